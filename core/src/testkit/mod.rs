//! For tests (feature `testkit`): conformance suites that every adapter must pass, probes of the backends, and a
//! TCP proxy that misbehaves on demand. Suites panic with a sentence when a promise is broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on should stop, loudly"
)]

pub mod auth;
pub mod auth_history;
mod dice;
pub mod flags;
pub mod holds;
pub mod holds_walk;
pub mod limits;
pub mod locks;
pub mod locks_model;
pub mod pms;
pub mod postgres;
mod proxy;
pub mod qloapps;
pub mod redis;
pub mod sessions;
pub mod tenants;

pub use dice::Dice;
pub use proxy::Proxy;
