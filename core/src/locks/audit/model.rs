//! One line of the audit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::tenants::TenantId;

/// What happened to a lock or hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditEvent {
    /// It was granted.
    Acquired,
    /// Its time was prolonged.
    Extended,
    /// Its owner gave it back.
    Released,
    /// Its time passed without a release; noticed by the first step that met it.
    Expired,
    /// It was refused because of others.
    Conflict,
}

impl AuditEvent {
    /// The word in the column `event_type`, the same that the production app writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Extended => "extended",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
        }
    }

    /// Reads the word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [
            Self::Acquired,
            Self::Extended,
            Self::Released,
            Self::Expired,
            Self::Conflict,
        ]
        .into_iter()
        .find(|event| event.as_str() == word)
    }
}

impl fmt::Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of the table `lock_audit`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// `[tenant:{tenant}:]lock:room:{id}:{check_in}:{check_out}` for a hold, the lock's name for a named lock; at
    /// most 255 bytes.
    pub lock_key: String,
    /// What happened.
    pub event: AuditEvent,
    /// When, by the clock of the process that noticed it.
    pub at: DateTime<Utc>,
    /// Whose lock it is, if it belongs to a tenant.
    pub tenant: Option<TenantId>,
    /// The facts, as a JSON object. The owner's token is never among them, only its first eight characters.
    pub details: Value,
}

/// A row that is still to be written. It costs little, because each lock makes two and hardly anybody reads them.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) lock_key: Arc<str>,
    pub(crate) event: AuditEvent,
    pub(crate) at: DateTime<Utc>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) facts: Facts,
}

impl Note {
    /// The row as readers see it.
    pub(crate) fn entry(&self) -> AuditEntry {
        AuditEntry {
            lock_key: self.lock_key.as_ref().to_owned(),
            event: self.event,
            at: self.at,
            tenant: self.tenant.clone(),
            details: serde_json::to_value(&self.facts).unwrap_or_default(),
        }
    }
}

/// The facts of an event. They become JSON when they are written or read.
#[derive(Debug, Clone)]
pub(crate) struct Facts(Vec<(&'static str, Fact)>);

/// A value that a fact can have.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Fact {
    Nothing,
    Truth(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
    #[serde(serialize_with = "as_text")]
    Moment(DateTime<Utc>),
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(6))
    }

    /// Adds a fact, whose name is none of those that are there.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Fact>) -> Self {
        self.0.push((name, value.into()));
        self
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, fact)| (name, fact)))
    }
}

fn as_text<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339())
}

impl From<bool> for Fact {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Fact {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<&str>> for Fact {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, Self::from)
    }
}

impl From<Vec<String>> for Fact {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl From<DateTime<Utc>> for Fact {
    fn from(at: DateTime<Utc>) -> Self {
        Self::Moment(at)
    }
}

/// Longest `lock_key`, in bytes: what the narrowest column in the wild holds.
const MAX_KEY_BYTES: usize = 255;

/// Cuts a key that would not fit its column, at the border of a character.
pub(crate) fn fit_key(mut key: String) -> String {
    while key.len() > MAX_KEY_BYTES {
        key.pop();
    }
    key
}

/// Seconds as the production app writes them, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// As much of an owner token as may be shown.
pub(crate) fn shown_token(token: &str) -> &str {
    token.get(..8).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_cut_between_characters() {
        let key = fit_key("ñ".repeat(200));
        assert_eq!(key.len(), 254);
        assert_eq!(fit_key("lock:room:101".to_owned()), "lock:room:101");
    }

    #[test]
    fn facts_become_an_object() {
        let facts = Facts::new()
            .with("session_id", None::<&str>)
            .with("user_id", "ana")
            .with("forced", true)
            .with("fence", u64::MAX)
            .with("nights", vec!["2027-03-10".to_owned()])
            .with("acquired_at", DateTime::UNIX_EPOCH);
        let note = Note {
            lock_key: "a".into(),
            event: AuditEvent::Released,
            at: DateTime::UNIX_EPOCH,
            tenant: None,
            facts,
        };
        assert_eq!(
            note.entry().details,
            serde_json::json!({
                "session_id": null, "user_id": "ana", "forced": true, "fence": u64::MAX, "nights": ["2027-03-10"],
                "acquired_at": "1970-01-01T00:00:00+00:00",
            })
        );
    }

    #[test]
    fn words_read_back() {
        for word in ["acquired", "extended", "released", "expired", "conflict"] {
            assert_eq!(AuditEvent::from_word(word).unwrap().as_str(), word);
        }
        assert_eq!(AuditEvent::from_word("Acquired"), None);
    }
}
