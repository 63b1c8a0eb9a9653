//! The invariants of ARCHITECTURE.md that a search of the files can hold.
//!
//! Each test is one rule, and each finding says where it is and what to do instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod cases;
mod circles;
mod dependencies;
mod drivers;
mod face;
mod files;
mod modules;
mod plan;
mod secrets;
mod size;
mod words;
