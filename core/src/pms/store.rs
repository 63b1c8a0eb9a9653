//! The port to what we remember of a key beside the booking itself, for all processes.
//!
//! The system knows whether a booking exists. It does not know that one was sent and may still appear, that a row
//! was moved into its room and so gives way to everybody there, or that a caller was told.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{BookingId, IdempotencyKey};
use crate::error::Result;

/// How long a key is remembered after it was last used. The booking itself is found by its key for ever.
pub(crate) const KEPT: Duration = Duration::from_hours(30 * 24);

/// What is remembered of one key. Empty for one that was never used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// When a booking was last sent, in milliseconds of the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent_at: Option<i64>,
    /// The rows that were moved.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) moved: BTreeSet<u64>,
    /// The booking that a caller was told about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported: Option<u64>,
}

impl KeyRecord {
    /// Notes that a booking is about to be sent.
    pub(crate) fn send(&mut self, now: DateTime<Utc>) {
        *self = Self {
            sent_at: Some(now.timestamp_millis()),
            ..Self::default()
        };
    }

    /// Whether a booking was sent less than `limit` ago, so that the system may still be writing it.
    pub(crate) fn may_be_under_way(&self, now: DateTime<Utc>, limit: Duration) -> bool {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        self.sent_at
            .is_some_and(|sent| now.timestamp_millis().saturating_sub(sent) < limit)
    }

    /// Notes that a caller is about to be told.
    pub(crate) fn report(&mut self, booking: BookingId) {
        self.reported = Some(booking.get());
    }

    /// Whether a caller was told about this booking.
    pub(crate) fn is_reported(&self, booking: BookingId) -> bool {
        self.reported == Some(booking.get())
    }
}

/// Keeps the records of the keys of every system. Calls are made while the hotel's turn is held, so a key is written
/// by one process at a time.
#[async_trait]
pub(crate) trait KeyStore: Send + Sync {
    /// What is remembered of a key of this system.
    async fn read(&self, system: &str, key: &IdempotencyKey) -> Result<KeyRecord>;

    /// Remembers it for [`KEPT`].
    async fn write(&self, system: &str, key: &IdempotencyKey, record: &KeyRecord) -> Result<()>;
}
