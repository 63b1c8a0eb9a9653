//! Conversations as callers hold them, and where each is kept.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::document::{Document, Identity};
use super::store::SessionStore;
use super::version::{Seen, Version};
use crate::TenantId;
use crate::error::{Error, Result, codes};
use crate::redact::redacted;
use crate::text;

/// Longest user id and channel, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 255;

/// A conversation as it was when it was read, and what the caller has made of it since.
///
/// Change [`document`](Self::document) and give it back to [`SessionManager::save`](crate::SessionManager::save).
/// A session remembers which version it was read at, so a save never overwrites what it has not seen.
#[derive(Clone)]
pub struct Session {
    /// What the conversation holds. A save sets its `last_activity`.
    pub document: Document,
    pub(crate) at: Address,
    seen: Seen,
    pub(crate) identity: Identity,
    expires: Option<DateTime<Utc>>,
    pub(super) is_new: bool,
}

impl Session {
    /// Reads what is stored.
    ///
    /// # Errors
    /// `sessions.corrupt`, naming the key, when it is not a JSON object.
    pub(crate) fn read(at: &Address, body: &[u8], expires: Option<DateTime<Utc>>) -> Result<Self> {
        let document = Document::parse(body).map_err(|fault| corrupt(at).caused_by(fault))?;
        let seen = match document.source() {
            Some(text) => Seen::Text(text.clone()),
            None => Seen::Version(Version::of(body)),
        };
        Ok(Self::of(at.clone(), document, seen, expires))
    }

    fn of(at: Address, document: Document, seen: Seen, expires: Option<DateTime<Utc>>) -> Self {
        let identity = Identity::of(&document);
        Self {
            document,
            at,
            seen,
            identity,
            expires,
            is_new: false,
        }
    }

    /// What must be stored still when this is written.
    pub(crate) fn version(&self) -> Version {
        self.seen.version()
    }

    /// Notes that this document is what is stored now.
    pub(crate) fn stored(&mut self, version: Version, expires: DateTime<Utc>) {
        self.seen = Seen::Version(version);
        self.expires = Some(expires);
    }

    /// A stable name of the conversation, the same in every process and at every time: its key in the store. Use
    /// it as the session id of stay holds.
    pub fn id(&self) -> &str {
        self.at.key()
    }

    /// The user to whom the conversation belongs, as its channel knows it.
    pub fn user(&self) -> &str {
        &self.at.user
    }

    /// The tenant, if there is one.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.at.tenant.as_ref()
    }

    /// Where the conversation takes place, such as `whatsapp`.
    pub fn channel(&self) -> Option<&str> {
        self.document.channel()
    }

    /// When the conversation ends unless it is written or touched, in UTC by this machine's clock; `None` when
    /// another program stored it without an end.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.expires
    }

    /// Whether the call that answered this session began the conversation.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

/// Names the conversation and shows nothing of what was said in it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("version", &self.version())
            .field("expires", &self.expires)
            .field("is_new", &self.is_new)
            .finish_non_exhaustive()
    }
}

/// A live conversation, as [`SessionManager::list`](crate::SessionManager::list) names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ActiveSession {
    /// The user to whom the conversation belongs.
    pub user: String,
    /// When it ends unless it is written or touched, in UTC.
    pub expires: DateTime<Utc>,
}

/// Where a conversation is kept. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) user: Arc<str>,
    key: Arc<str>,
}

impl Address {
    /// Checks the user's id.
    ///
    /// # Errors
    /// `sessions.invalid_user` when it is empty, longer than 255 bytes or holds control characters.
    pub(crate) fn new(store: &dyn SessionStore, user: &str, tenant: Option<&TenantId>) -> Result<Self> {
        text::check(user, MAX_ID_BYTES)
            .map_err(|fault| Error::field_invalid(codes::SESSIONS_INVALID_USER, "user", fault))?;
        Ok(Self {
            tenant: tenant.cloned(),
            user: user.into(),
            key: store.key(user, tenant).into(),
        })
    }

    /// The key under which every program finds the conversation.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The key as errors and the log show it: no phone number or e-mail address.
    pub(crate) fn shown(&self) -> String {
        match (redacted(&self.user), self.key.rsplit_once(':')) {
            // The user is the last part, in which a colon would be escaped.
            (Cow::Owned(user), Some((before, _))) => format!("{before}:{user}"),
            _ => self.key.to_string(),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown())
    }
}

/// Checks a channel.
///
/// # Errors
/// `sessions.invalid_channel` when it is empty, longer than 255 bytes or holds control characters.
/// Something else is stored where the conversation should be.
pub(crate) fn corrupt(at: &Address) -> Error {
    Error::new(
        codes::SESSIONS_CORRUPT,
        "what is stored is not a conversation and was left as it is; delete it to begin anew",
    )
    .with("key", at.shown())
}

pub(crate) fn check_channel(channel: &str) -> Result<()> {
    text::check(channel, MAX_ID_BYTES)
        .map_err(|fault| Error::field_invalid(codes::SESSIONS_INVALID_CHANNEL, "channel", fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::sessions::MemorySessions;

    fn address(user: &str, tenant: Option<&TenantId>) -> Result<Address> {
        Address::new(&MemorySessions::new(SystemClock::shared()), user, tenant)
    }

    #[test]
    fn what_is_no_document_is_corrupt_and_its_key_is_named() {
        let tenant = TenantId::parse("hotel-test").unwrap();
        let at = address("549", Some(&tenant)).unwrap();
        for body in [&b"{\"a\": "[..], b"[]", b"", b"\xff", b"plain"] {
            let error = Session::read(&at, body, None).unwrap_err();
            assert!(error.is(codes::SESSIONS_CORRUPT));
            assert_eq!(error.fact("key"), Some("session:hotel-test:549"));
        }
    }

    #[test]
    fn a_key_is_shown_without_the_guest() {
        let tenant = TenantId::parse("hotel-test").unwrap();
        for (user, tenant, shown) in [
            ("5491187654321", Some(&tenant), "session:hotel-test:***21"),
            (
                "ana:perez@hotel.example",
                Some(&tenant),
                "session:hotel-test:ana:***",
            ),
            ("+5491187654321", None, "session:***21"),
        ] {
            let at = address(user, tenant).unwrap();
            let error = Session::read(&at, b"[]", None).unwrap_err();
            assert_eq!(error.fact("key"), Some(shown));
            assert_eq!(format!("{at:?}"), format!("Address({shown})"));
        }
    }

    #[test]
    fn the_version_is_that_of_the_bytes_that_were_read_whatever_becomes_of_the_document() {
        let at = address("549", None).unwrap();
        for body in [r#"{"a": 1}"#, " {\"a\":1}\n", "{}"] {
            let mut session = Session::read(&at, body.as_bytes(), None).unwrap();
            session.document.set(["a"], 2).unwrap();
            assert_eq!(session.version(), Version::of(body.as_bytes()));
            session.document = Document::default();
            assert_eq!(session.clone().version(), Version::of(body.as_bytes()));
            session.stored(Version::of(b"new"), DateTime::UNIX_EPOCH);
            assert_eq!(session.version(), Version::of(b"new"));
        }
    }

    #[test]
    fn a_session_shows_no_conversation_in_debug_output() {
        let at = address("549", None).unwrap();
        let session = Session::read(&at, br#"{"guest_name": "Ana"}"#, None).unwrap();
        assert!(!format!("{session:?}").contains("Ana"));
    }

    #[test]
    fn users_and_channels_that_cannot_be_are_refused() {
        for user in ["", "a\n", &"x".repeat(256)] {
            let error = address(user, None).unwrap_err();
            assert!(error.is(codes::SESSIONS_INVALID_USER));
            assert_eq!(error.field(), Some("user"));
        }
        assert!(check_channel("").unwrap_err().is(codes::SESSIONS_INVALID_CHANNEL));
    }
}
