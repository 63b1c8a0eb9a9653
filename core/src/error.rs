//! One error type for every operation: what happened, what the caller should do, and nothing secret.
//!
//! An [`Error`] is one word wide. Its [`Kind`] says what the caller should do, its [`code`](Error::code) is a
//! stable string for programs and dashboards (all of them stand in [`codes`]), its message is for people.
//! Adapters keep their own failures private and map each of them to one code.
//!
//! ```
//! use posada::error::codes;
//! use posada::{Kind, Retry, Stay};
//!
//! let error = Stay::parse("2027-03-12", "2027-03-10").unwrap_err();
//! assert!(error.is(codes::STAY_INVALID) && error.field() == Some("check_out"));
//! assert_eq!((error.kind(), error.retry()), (Kind::Invalid, Retry::Never));
//! assert_eq!(error.http_status(), 422); // and `to_public_json` is the body
//! ```

pub mod codes;
pub(crate) mod http;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::redact::redacted;
pub use codes::Code;

/// Facts in words of others.
const NAMED_BY_OTHERS: &[&str] = &["holder", "location", "lock", "reason", "resource"];

/// The result of every fallible operation of posada.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error. The list is closed: programs may match it exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong; the context names the field. Correct it; a repeat fails again.
    Invalid,
    /// The caller did not prove who it is (HTTP 401).
    Unauthenticated,
    /// The caller is known and may not do this (HTTP 403).
    Denied,
    /// The thing that should be changed does not exist. Look-ups answer `None` instead.
    NotFound,
    /// Another caller was first: read again and decide again.
    Conflict,
    /// A limit is reached (capacity, rate, pool, extensions). Wait as long as `retry` says, or ask for less.
    Exhausted,
    /// A dependency is down or refuses us. Nothing was done; a repeat later may work.
    Unavailable,
    /// The deadline passed and nothing was done.
    Timeout,
    /// A write was sent and its answer never came: it may or may not have happened. Read before repeating it.
    Ambiguous,
    /// The system in use cannot do this, and nothing was asked of it. The facts name the `feature` and the `system`,
    /// and `instead` what can be done. A repeat fails again.
    Unsupported,
    /// The handle was closed.
    Closed,
    /// A defect, in posada or in the stored data. Repeating does not help; please report it.
    Internal,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Invalid,
        Self::Unauthenticated,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::Exhausted,
        Self::Unavailable,
        Self::Timeout,
        Self::Ambiguous,
        Self::Unsupported,
        Self::Closed,
        Self::Internal,
    ];

    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Ambiguous => "ambiguous",
            Self::Unsupported => "unsupported",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether and when the same call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// Not before this long from now.
    After(Duration),
    /// Soon, with growing and jittered pauses.
    Backoff,
}

/// Why an operation failed. See the [module](self) for how to read it.
///
/// ```
/// use posada::{Kind, TenantId};
/// let error = TenantId::parse("").unwrap_err();
/// assert_eq!((error.kind(), error.code()), (Kind::Invalid, "tenants.invalid_id"));
/// assert_eq!(error.field(), Some("tenant"));
/// ```
pub struct Error(Box<Inner>);

/// The most characters of a message about a request, which may hold words of the request.
const LONGEST_MESSAGE: usize = 1000;

struct Inner {
    code: Code,
    retry: Retry,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this code; kind and default retry advice come with the code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            retry: code.retry,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// An error of this code that blames one field of the request. A message that repeats the request is cut.
    pub(crate) fn field_invalid(code: Code, field: &'static str, message: impl fmt::Display) -> Self {
        let mut message = format!("{field}: {message}");
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self::new(code, message).with("field", field)
    }

    /// Adds a fact. Facts are shown to people and in logs, so they never hold secrets, nor the phone number or e-mail
    /// address of a guest that a program put into the name of a lock.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let mut value = value.to_string();
        if NAMED_BY_OTHERS.contains(&name)
            && let Cow::Owned(shown) = redacted(&value)
        {
            value = shown;
        }
        self.0.context.push((name, value));
        self
    }

    /// Replaces the code's default retry advice.
    #[must_use]
    pub(crate) fn retry_when(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Keeps the underlying error, for logs.
    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error for one more caller who waited for the same work; the underlying error stays with the
    /// first, because it cannot be cloned.
    pub(crate) fn repeat(&self) -> Self {
        let inner = &self.0;
        Self(Box::new(Inner {
            code: inner.code,
            retry: inner.retry,
            message: inner.message.clone(),
            context: inner.context.clone(),
            source: None,
        }))
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.0.code.kind
    }

    /// The stable code, such as `locks.contended`.
    pub fn code(&self) -> &'static str {
        self.0.code.name
    }

    /// Whether this is the given code of [`codes`].
    pub fn is(&self, code: Code) -> bool {
        self.0.code.name == code.name
    }

    /// The sentence for people, without the facts.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether and when the same call may be repeated.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether repeating the call can help.
    pub fn is_retryable(&self) -> bool {
        self.0.retry != Retry::Never
    }

    /// Facts about the failure, in the order in which they were learnt.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// One fact by name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.context()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The field of the request that is wrong, for errors of kind [`Kind::Invalid`].
    pub fn field(&self) -> Option<&str> {
        self.fact("field")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.0.message, self.0.code.name)?;
        for (name, value) in self.context().filter(|(name, _)| *name != "field") {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("code", &self.code())
            .field("message", &self.0.message)
            .field("retry", &self.0.retry)
            .field("context", &self.0.context)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn a_message_about_a_request_has_an_end() {
        let error = Error::field_invalid(codes::LIMITS_INVALID, "limit", "ñ".repeat(1_000_000));
        assert_eq!(error.message().chars().count(), LONGEST_MESSAGE + 1);
    }

    #[test]
    fn display_shows_message_code_and_facts() {
        let error = Error::new(codes::LOCKS_CONTENDED, "the lock is held").with("holder", "ana");
        assert_eq!(error.to_string(), "the lock is held [locks.contended] holder=ana");
    }

    #[test]
    fn a_fact_in_words_of_others_names_no_guest() {
        let error = Error::new(codes::LOCKS_CONTENDED, "the lock is held")
            .with("lock", "guest:5491187654321")
            .with("holder", "ana@example.com")
            .with("fence", 5_491_187_654_321_u64);
        assert_eq!(
            error.to_string(),
            "the lock is held [locks.contended] lock=guest:***21 holder=*** fence=5491187654321"
        );
    }

    #[test]
    fn codes_are_unique_and_named_after_their_room() {
        let mut names: Vec<_> = codes::ALL.iter().map(|code| code.name).collect();
        assert!(names.iter().all(|name| {
            name.split_once('.')
                .is_some_and(|(room, what)| !room.is_empty() && !what.is_empty())
        }));
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(before, names.len());
    }
}
