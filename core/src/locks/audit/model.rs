//! One line of the audit.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::tenants::TenantId;

/// What happened to a lock or hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// It was granted.
    Acquired,
    /// Its time was prolonged.
    Extended,
    /// Its owner gave it back.
    Released,
    /// Its time passed without a release; noticed by whoever met it first.
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

/// A row of the table `lock_audit`.
#[derive(Debug, Clone, PartialEq)]
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

/// Longest `lock_key`, in bytes: what the narrowest column in the wild holds.
const MAX_KEY_BYTES: usize = 255;

/// Cuts a key that would not fit its column, at the border of a character.
pub(crate) fn fit_key(mut key: String) -> String {
    while key.len() > MAX_KEY_BYTES {
        key.pop();
    }
    key
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
    fn words_read_back() {
        for word in ["acquired", "extended", "released", "expired", "conflict"] {
            assert_eq!(AuditEvent::from_word(word).unwrap().as_str(), word);
        }
        assert_eq!(AuditEvent::from_word("Acquired"), None);
    }
}
