//! How to reach a server, and nothing about hotels.

pub(crate) mod memory;
#[cfg_attr(not(feature = "postgres"), path = "no_postgres.rs")]
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod tls;

use chrono::{DateTime, Utc};

/// The time of a server, and here before it was asked and after it was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockReading {
    pub(crate) asked: DateTime<Utc>,
    pub(crate) told: DateTime<Utc>,
    pub(crate) answered: DateTime<Utc>,
}
