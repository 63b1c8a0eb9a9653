//! `make bench`: what posada costs beside the bare thing, as ratios of one run.
//!
//! Both sides of a row run in the same process, in turns of a tenth of a second, for several rounds; the figure is the
//! median over the rounds of ours divided by theirs in the same round. Absolute times are printed for those rows
//! that promise one. Nothing is asserted: machines differ, ratios less so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark is a program about real time that may stop loudly"
)]

mod auth;
mod contended;
mod contest;
mod pms;
mod rows;

fn main() {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap();
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    println!(
        "{workers} workers, {} rounds; ratio below 1 means faster than the reference\n",
        contest::ROUNDS
    );
    println!(
        "{:<58} {:>10} {:>10} {:>8}   promise",
        "row", "ours", "reference", "ratio"
    );
    runtime.block_on(rows::all(only.as_deref().unwrap_or("")));
}
