//! What happens when servers stop, freeze, crash, or the network between us and them breaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod redis;
mod servers;
