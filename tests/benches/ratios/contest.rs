//! Two ways of doing a thing, in turns.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

pub(crate) const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(100);

/// Seconds per operation of each side in each round.
struct Rounds {
    ours: Vec<f64>,
    reference: Vec<f64>,
}

/// An operation that is awaited.
pub(crate) type Operation = Box<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Makes an operation of an async closure; the argument is the number of the task that runs it.
pub(crate) fn operation<F, T>(work: F) -> Operation
where
    F: Fn(usize) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    Box::new(move |task| Box::pin(work(task)))
}

/// Compares two awaited operations, run by so many tasks at once.
pub(crate) async fn awaited(name: &str, promise: &str, tasks: usize, ours: Operation, reference: Operation) {
    let (ours, reference) = (std::sync::Arc::new(ours), std::sync::Arc::new(reference));
    let mut rounds = Rounds {
        ours: Vec::new(),
        reference: Vec::new(),
    };
    for round in 0..=ROUNDS {
        let (mut first, mut second) = (0.0, 0.0);
        for turn in 0..2 {
            if (turn + round) % 2 == 0 {
                first = slice(tasks, &ours).await;
            } else {
                second = slice(tasks, &reference).await;
            }
        }
        // The first round warms up.
        if round > 0 {
            rounds.ours.push(first);
            rounds.reference.push(second);
        }
    }
    rounds.print(&format!("{name}, {tasks} tasks"), promise);
}

/// Compares two plain functions; each call does so many iterations as it is told.
pub(crate) fn plain(name: &str, promise: &str, mut ours: impl FnMut(u32), mut reference: impl FnMut(u32)) {
    let mut rounds = Rounds {
        ours: Vec::new(),
        reference: Vec::new(),
    };
    for round in 0..=ROUNDS {
        let first = timed(&mut ours);
        let second = timed(&mut reference);
        if round > 0 {
            rounds.ours.push(first);
            rounds.reference.push(second);
        }
    }
    rounds.print(name, promise);
}

async fn slice(tasks: usize, operation: &std::sync::Arc<Operation>) -> f64 {
    let started = Instant::now();
    let end = started + SLICE;
    let runs: Vec<_> = (0..tasks)
        .map(|task| {
            let operation = operation.clone();
            tokio::spawn(async move {
                let mut done = 0u64;
                while Instant::now() < end {
                    operation(task).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for run in runs {
        done += run.await.unwrap();
    }
    started.elapsed().as_secs_f64() / done as f64
}

/// A row whose two sides were timed elsewhere, in seconds.
pub(crate) fn line(name: &str, promise: &str, ours: f64, reference: f64) {
    let (shown_ours, shown_reference) = (shown(ours), shown(reference));
    let ratio = ours / reference;
    println!("{name:<58} {shown_ours:>10} {shown_reference:>10} {ratio:>8.2}   {promise}");
}

fn timed(work: &mut impl FnMut(u32)) -> f64 {
    const BATCH: u32 = 10_000;
    let started = Instant::now();
    let mut done = 0u64;
    while started.elapsed() < SLICE {
        work(BATCH);
        done += u64::from(BATCH);
    }
    started.elapsed().as_secs_f64() / done as f64
}

impl Rounds {
    fn print(&self, name: &str, promise: &str) {
        let ratios = self
            .ours
            .iter()
            .zip(&self.reference)
            .map(|(ours, reference)| ours / reference)
            .collect();
        println!(
            "{name:<58} {:>10} {:>10} {:>8.2}   {promise}",
            shown(median(self.ours.clone())),
            shown(median(self.reference.clone())),
            median(ratios),
        );
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn shown(seconds: f64) -> String {
    if seconds < 1e-6 {
        format!("{:.1} ns", seconds * 1e9)
    } else {
        format!("{:.2} us", seconds * 1e6)
    }
}
