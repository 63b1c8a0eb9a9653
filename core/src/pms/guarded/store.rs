//! The port to what we remember of a key beside the booking itself, for all processes.
//!
//! The system knows whether a booking exists. It does not know that one was sent and may still appear, that a row
//! was moved into its room and so gives way to everybody there, that a caller was told, or which price was agreed for
//! nights that a booking has already.
//!
//! Beside the records there is a list of the keys that are *unsettled*: from before their booking is sent until its
//! recheck has ended. A process that dies leaves its keys there, and the others finish them
//! ([`settle`](super::settle)).

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Result;
use crate::pms::events::Collision;
use crate::pms::id::{BookingId, HotelId, IdempotencyKey, StayId, StoredId};
use crate::pms::money::Money;
use crate::stay::Stay;

/// How long a key is remembered after it was last used. The booking itself is found by its key for ever.
pub(crate) const KEPT: Duration = Duration::from_hours(30 * 24);

/// What is remembered of one key. Empty for one that was never used.
///
/// Records of the first form are read, and a process of a version that wrote them reads these, as long as the system's
/// ids are numbers: it skips the version, and finds numbers where it looks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    #[serde(default)]
    version: Version,
    /// When a booking was last sent, in milliseconds of the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent_at: Option<i64>,
    /// The rows that were moved.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    moved: BTreeSet<StoredId>,
    /// The booking that a caller was told about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reported: Option<StoredId>,
    /// The change of nights that was begun, until its price is set or everything is put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
    /// Where the booking was sent, for a process that knows only the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hotel: Option<String>,
    /// Whether the request wants to keep the booking beside a foreign one in its room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keeps: bool,
    /// The price that was agreed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agreed: Option<Agreed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Agreed {
    total: String,
    currency: String,
}

/// The form in which records are written, as a number in the text and nothing in memory. The first form had none, and
/// ids that were numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Version;

impl Version {
    const WRITTEN: u32 = 2;
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::WRITTEN)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|_| Self)
    }
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
    /// Notes that a booking is about to be sent to a hotel.
    pub(crate) fn send(
        &mut self,
        now: DateTime<Utc>,
        hotel: HotelId,
        collision: Collision,
        agreed: Option<Money>,
    ) {
        *self = Self {
            sent_at: Some(now.timestamp_millis()),
            hotel: Some(hotel.to_string()),
            keeps: collision == Collision::Keep,
            agreed: agreed.map(|total| Agreed {
                total: total.amount().to_string(),
                currency: total.currency().as_str().to_owned(),
            }),
            ..Self::default()
        };
    }

    /// Whether a booking was sent at any time; also by a version that noted less.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent_at.is_some()
    }

    /// How long ago it was sent.
    pub(crate) fn since_sent(&self, now: DateTime<Utc>) -> Option<Duration> {
        let since = now.timestamp_millis().saturating_sub(self.sent_at?);
        Some(Duration::from_millis(u64::try_from(since).unwrap_or_default()))
    }

    /// The hotel to which it was sent.
    pub(crate) fn hotel(&self) -> Option<HotelId> {
        HotelId::parse(self.hotel.as_ref()?).ok()
    }

    /// What becomes of it beside a foreign booking in its room.
    pub(crate) fn collision(&self) -> Collision {
        if self.keeps {
            Collision::Keep
        } else {
            Collision::Yield
        }
    }

    /// The price that was agreed for it.
    pub(crate) fn agreed(&self) -> Option<Money> {
        let agreed = self.agreed.as_ref()?;
        Money::parse(&agreed.total, &agreed.currency).ok()
    }

    /// Whether a caller was told about any booking.
    pub(crate) fn was_reported(&self) -> bool {
        self.reported.is_some()
    }

    /// Whether a booking was sent less than `limit` ago, so that the system may still be writing it.
    pub(crate) fn may_be_under_way(&self, now: DateTime<Utc>, limit: Duration) -> bool {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        self.sent_at
            .is_some_and(|sent| now.timestamp_millis().saturating_sub(sent) < limit)
    }

    /// Notes that rows are about to be moved.
    pub(crate) fn moves(&mut self, rows: impl Iterator<Item = StayId>) {
        self.moved.extend(rows.map(StoredId::from));
    }

    /// Whether a row was moved into the room that it has.
    pub(crate) fn has_moved(&self, row: StayId) -> bool {
        self.moved.contains(&row.into())
    }

    /// Notes that a caller is about to be told.
    pub(crate) fn report(&mut self, booking: BookingId) {
        self.reported = Some(booking.into());
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
        self.reported == Some(booking.into())
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

    /// Notes that a key is unsettled, and that another process may finish it from `due` on. What is written of it
    /// afterwards leaves that as it is.
    async fn unsettle(&self, system: &str, key: &IdempotencyKey, due: DateTime<Utc>) -> Result<()>;

    /// Notes that a key is settled. May be called at any time and by any process.
    async fn settle(&self, system: &str, key: &IdempotencyKey) -> Result<()>;

    /// From when on the key may be finished; `None` for one that is settled.
    async fn unsettled(&self, system: &str, key: &IdempotencyKey) -> Result<Option<DateTime<Utc>>>;

    /// Some keys that were to be finished before `now`. They are put off, so that other processes leave them alone for
    /// a while.
    async fn overdue(&self, system: &str, now: DateTime<Utc>) -> Result<Vec<IdempotencyKey>>;
}

/// How many keys are finished in one go.
pub(super) const AT_ONCE: usize = 16;
/// For how long a key is left to the process that took it.
pub(super) const PUT_OFF: Duration = Duration::from_mins(1);

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
        known.report(BookingId::from(7));
        let before = serde_json::to_string(&known).unwrap();
        known.begin(Some(change()));
        let text = serde_json::to_string(&known).unwrap();
        let read: KeyRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, read.begun()), (&known, Some(change())));
        known.begin(None);
        assert_eq!(serde_json::to_string(&known).unwrap(), before);
        known.begin(Some(change()));
        let hotel = HotelId::from(1);
        known.send(DateTime::UNIX_EPOCH, hotel, Collision::Keep, Some(change().1));
        let text = serde_json::to_string(&known).unwrap();
        let read: KeyRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (read.hotel(), read.collision(), read.agreed()),
            (Some(hotel), Collision::Keep, Some(change().1))
        );
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
        assert_eq!(read.moved, [1, 2].into());
    }

    #[derive(Deserialize)]
    struct Vectors {
        first: Vec<FirstForm>,
    }

    #[derive(Deserialize)]
    struct FirstForm {
        text: String,
        second: String,
        reported: Option<String>,
        #[serde(default)]
        moved: Vec<String>,
        begun: Option<(String, String)>,
    }

    #[test]
    fn records_of_the_first_form_are_read_and_written_in_the_second() {
        let vectors = include_str!("../../../../tests/vectors/pms/key_records.json");
        for vector in serde_json::from_str::<Vectors>(vectors).unwrap().first {
            let known: KeyRecord = serde_json::from_str(&vector.text).unwrap();
            assert_eq!(serde_json::to_string(&known).unwrap(), vector.second);
            let reported = vector.reported.map(|id| BookingId::parse(&id).unwrap());
            assert!(reported.is_none_or(|id| known.is_reported(id)), "{}", vector.text);
            assert!(!known.is_reported(BookingId::from(2)));
            let moved = vector.moved.iter().map(|id| StayId::parse(id).unwrap());
            assert!(moved.into_iter().all(|id| known.has_moved(id)), "{}", vector.text);
            let begun = known
                .begun()
                .map(|(stay, total)| (stay.to_string(), total.to_string()));
            assert_eq!(begun, vector.begun);
        }
    }

    #[test]
    fn a_record_says_in_which_form_it_is_written_and_ids_may_be_texts() {
        let mut known = KeyRecord::default();
        known.report(BookingId::parse("XPGMSXGF-1").unwrap());
        known.moves(
            ["XPGMSXGF-1", "12"]
                .into_iter()
                .map(|id| StayId::parse(id).unwrap()),
        );
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(
            text,
            r#"{"version":2,"moved":[12,"XPGMSXGF-1"],"reported":"XPGMSXGF-1"}"#
        );
        let read: KeyRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(read, known);
        assert!(read.has_moved(StayId::from(12)) && !read.has_moved(StayId::from(13)));
        let nothing: KeyRecord = serde_json::from_str(r#"{"version":2}"#).unwrap();
        assert_eq!(
            nothing,
            KeyRecord::default(),
            "and the form is nothing that is remembered"
        );
    }

    #[test]
    fn a_change_that_cannot_be_read_is_none() {
        let text = r#"{"begun":{"check_in":"soon","check_out":"2027-03-13","total":"1","currency":"USD"}}"#;
        let known: KeyRecord = serde_json::from_str(text).unwrap();
        assert_eq!(known.begun(), None);
    }
}
