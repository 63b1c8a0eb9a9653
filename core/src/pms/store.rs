//! The port to what we remember of a key beside the booking itself, for all processes.
//!
//! The system knows whether a booking exists. It does not know that one was sent and may still appear, that a row
//! was moved into its room and so gives way to everybody there, that a caller was told, or which price was agreed for
//! nights that a booking has already.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::{BookingId, IdempotencyKey};
use super::money::Money;
use crate::error::Result;
use crate::stay::Stay;

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
    /// The change of nights that was begun, until its price is set or everything is put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
}

/// Nights that a booking is getting, and what it shall cost in all then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    check_in: String,
    check_out: String,
    total: String,
    currency: String,
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

    /// Notes that the rows of a booking are about to get these nights, and its price to become this; `None` when there
    /// is nothing left to do.
    pub(crate) fn begin(&mut self, change: Option<(Stay, Money)>) {
        self.begun = change.map(|(stay, total)| Begun {
            check_in: stay.check_in().to_string(),
            check_out: stay.check_out().to_string(),
            total: total.amount().to_string(),
            currency: total.currency().as_str().to_owned(),
        });
    }

    /// The change that was begun and has not come to its end.
    pub(crate) fn begun(&self) -> Option<(Stay, Money)> {
        let begun = self.begun.as_ref()?;
        let stay = Stay::parse(&begun.check_in, &begun.check_out).ok()?;
        let total = Money::parse(&begun.total, &begun.currency).ok()?;
        Some((stay, total))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> (Stay, Money) {
        let stay = Stay::parse("2027-03-10", "2027-03-13").unwrap();
        (stay, Money::parse("3900.50", "USD").unwrap())
    }

    #[test]
    fn a_change_that_was_begun_is_read_again_as_it_was_written() {
        let mut known = KeyRecord::default();
        known.report(BookingId::new(7).unwrap());
        let before = serde_json::to_string(&known).unwrap();
        known.begin(Some(change()));
        let text = serde_json::to_string(&known).unwrap();
        let read: KeyRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, read.begun()), (&known, Some(change())));
        known.begin(None);
        assert_eq!(serde_json::to_string(&known).unwrap(), before);
        known.begin(Some(change()));
        known.send(DateTime::UNIX_EPOCH);
        assert_eq!(known.begun(), None, "a booking that is made anew has no change");
    }

    /// As it was before.
    #[derive(Deserialize)]
    struct Old {
        moved: BTreeSet<u64>,
    }

    #[test]
    fn records_of_before_changes_were_noted_are_read_and_theirs_can_read_ours() {
        let old = r#"{"sent_at":5,"moved":[1,2],"reported":7}"#;
        let known: KeyRecord = serde_json::from_str(old).unwrap();
        assert_eq!((known.begun(), known.moved.len()), (None, 2));

        let mut known = known;
        known.begin(Some(change()));
        let read: Old = serde_json::from_str(&serde_json::to_string(&known).unwrap()).unwrap();
        assert_eq!(read.moved, known.moved);
    }

    #[test]
    fn a_change_that_cannot_be_read_is_none() {
        let text = r#"{"begun":{"check_in":"soon","check_out":"2027-03-13","total":"1","currency":"USD"}}"#;
        let known: KeyRecord = serde_json::from_str(text).unwrap();
        assert_eq!(known.begun(), None);
    }
}
