//! Real servers for tests: Postgres, PgBouncer in transaction mode, Redis, and a Redis Cluster.
//!
//! Each server is a child process on a free loopback port, with its files in a scratch folder. It is ready when
//! `start` returns, and it is gone when the value is dropped, and also when the test process dies in any way.
//! A server that cannot start is a failed test with a message that says what is missing, never a skipped one.
//!
//! Tests that only need *a* server share those of [`servers`]. Tests that stop, freeze or fill one start their own.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this crate is test code about real processes: they run on real time, and failing loudly is its job"
)]

pub mod bookings;
mod certificates;
mod clock;
mod cluster;
mod event_loop;
mod peer;
mod pgbouncer;
mod ports;
mod postgres;
mod process;
mod redis;
mod scripted_redis;
mod sentinel;
pub mod servers;
mod spokesman;

pub use certificates::Certificates;
pub use cluster::RedisCluster;
pub use event_loop::EventLoop;
pub use peer::Peer;
pub use pgbouncer::PgBouncer;
pub use postgres::PostgresServer;
pub use process::wait_until;
pub use redis::RedisServer;
pub use scripted_redis::ScriptedRedis;
pub use sentinel::RedisSentinel;
pub use spokesman::Spokesman;

use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other test uses: `word`, the process id and a counter, joined by `_`.
///
/// Use it for tenants, users and databases, so that tests can share servers and run at the same time.
pub fn unique(word: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{word}_{}_{number}", std::process::id())
}
