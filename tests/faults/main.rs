//! What happens when servers stop, freeze, crash, or the network between us and them breaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real servers run on real time")]

mod auth;
mod auth_lost_answers;
mod auth_matrix;
mod booking_changes;
mod booking_races;
mod doctor;
mod flags;
mod flags_going_back;
mod idle_writes;
mod lock_chaos;
mod lock_cleanup;
mod lock_clock;
mod loop_connections;
mod pms;
mod postgres;
mod postgres_words;
mod readiness;
mod redis;
mod redis_refusals;
mod servers;
mod sessions;
mod tenants;
