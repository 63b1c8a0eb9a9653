//! What can go wrong between us and Redis, and which error each failure becomes.

use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};

use super::refusal::{Meaning, Refusal};
use crate::error::{Error, codes};
use crate::task;

/// A failed Redis call. Private to the adapters; services see an [`Error`].
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// No connection, or the server cannot serve now; nothing was done.
    Unavailable {
        reason: String,
        /// Where the settings say that it is; noted when the failure leaves this module.
        place: Option<Arc<str>>,
    },
    /// The server is there and refuses work, in its own words: it has lost its disk or its replicas, is a replica
    /// itself, is loading or busy, or has no place for us. Nothing was done.
    Declined {
        words: String,
        /// As in `Unavailable`.
        place: Option<Arc<str>>,
    },
    /// Wrong password or unknown user.
    Refused(String),
    /// A command or key that the user may not use, or that the server does not have.
    NotPermitted(String),
    /// The server has no database of that number.
    NoDatabase(String),
    /// No answer to a read in time.
    Timeout,
    /// A write was sent and no answer came: it may have happened.
    OutcomeUnknown,
    /// The key holds another type than ours.
    WrongType,
    /// The memory limit is reached.
    OutOfMemory,
    /// The server does not have the script; it was not run.
    UnknownScript,
    /// The handle was closed.
    Closed,
    /// An answer that we do not understand, or a defect in a script of ours.
    Unexpected(String),
}

/// Whether a call may be repeated without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Repeating changes nothing.
    Read,
    /// The server knows a repetition and does nothing twice; without an answer it may have happened.
    Once,
    /// Repeating might do it twice.
    Write,
}

impl Failure {
    /// Reads the driver's error. `effect` decides what a lost answer means.
    pub(super) fn from_driver(error: &RedisError, effect: Effect) -> Self {
        if let Some(Refusal { meaning, words }) = Refusal::of(error) {
            return Self::from_words(meaning, words);
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused(error.to_string()),
            // The driver has no words of the server for it: the version is too old.
            ErrorKind::RESP3NotSupported => {
                Self::NotPermitted("the server does not know HELLO, so it is older than version 6".to_owned())
            }
            ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::ClusterConnectionNotFound => Self::unavailable(error),
            _ if error.is_connection_refusal() => Self::unavailable(error),
            _ if error.is_timeout() => Self::unanswered(effect),
            _ if error.is_io_error() || error.is_connection_dropped() => match effect {
                Effect::Read => Self::unavailable(error),
                Effect::Once | Effect::Write => Self::OutcomeUnknown,
            },
            _ => Self::Unexpected(error.to_string()),
        }
    }

    fn from_words(meaning: Meaning, words: String) -> Self {
        match meaning {
            Meaning::WrongType => Self::WrongType,
            Meaning::OutOfMemory => Self::OutOfMemory,
            Meaning::UnknownScript => Self::UnknownScript,
            Meaning::NotAdmitted => Self::Refused(words),
            Meaning::NotPermitted => Self::NotPermitted(words),
            Meaning::NoDatabase => Self::NoDatabase(words),
            Meaning::Elsewhere | Meaning::NotNow => Self::Declined { words, place: None },
            Meaning::Defect => Self::Unexpected(words),
        }
    }

    /// Reads the driver's error about a connection that did not come about: nothing was sent.
    pub(super) fn while_connecting(error: &RedisError) -> Self {
        match Self::from_driver(error, Effect::Read) {
            Self::Timeout => Self::unavailable(error),
            // Whatever it says, it does not take us in.
            Self::Unexpected(words) => Self::Declined { words, place: None },
            failure => failure,
        }
    }

    /// No server, for this reason.
    pub(super) fn unavailable(reason: impl fmt::Display) -> Self {
        Self::Unavailable {
            reason: reason.to_string(),
            place: None,
        }
    }

    /// The same failure, with the place of a server that cannot be reached.
    pub(super) fn at(self, server: &Arc<str>) -> Self {
        match self {
            Self::Unavailable { reason, place: None } => Self::Unavailable {
                reason,
                place: Some(server.clone()),
            },
            Self::Declined { words, place: None } => Self::Declined {
                words,
                place: Some(server.clone()),
            },
            failure => failure,
        }
    }

    /// The deadline passed after the command was handed to the connection.
    pub(super) fn unanswered(effect: Effect) -> Self {
        match effect {
            Effect::Read => Self::Timeout,
            Effect::Once | Effect::Write => Self::OutcomeUnknown,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable {
                reason,
                place: Some(place),
            } => write!(f, "Redis ({place}) cannot be reached: {reason}"),
            Self::Unavailable { reason, place: None } => write!(f, "Redis cannot be reached: {reason}"),
            Self::Declined {
                words,
                place: Some(place),
            } => write!(f, "Redis ({place}) refuses work: {words}"),
            Self::Declined { words, place: None } => write!(f, "Redis refuses work: {words}"),
            Self::Refused(reason) | Self::NotPermitted(reason) => write!(f, "Redis refused us: {reason}"),
            Self::NoDatabase(words) => write!(
                f,
                "REDIS_URL: names a database that the server does not have ({words}); it counts from 0, and its setting \
                 `databases` says how many there are"
            ),
            Self::Timeout => f.write_str("Redis did not answer in time"),
            Self::OutcomeUnknown => f.write_str("Redis did not confirm a write; it may have happened"),
            Self::WrongType => f.write_str("a Redis key of ours holds another type"),
            Self::OutOfMemory => f.write_str("Redis has no memory left"),
            Self::UnknownScript => f.write_str("Redis does not have the script"),
            Self::Closed => f.write_str("the handle was closed"),
            Self::Unexpected(reason) => write!(f, "Redis answered something unexpected: {reason}"),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Unavailable { .. } | Failure::Declined { .. } => codes::REDIS_UNAVAILABLE,
            Failure::Refused(_) | Failure::NotPermitted(_) => codes::REDIS_REFUSED,
            Failure::Timeout => codes::REDIS_TIMEOUT,
            Failure::OutcomeUnknown => codes::REDIS_OUTCOME_UNKNOWN,
            Failure::WrongType => codes::REDIS_WRONG_TYPE,
            Failure::OutOfMemory => codes::REDIS_OUT_OF_MEMORY,
            Failure::NoDatabase(_) => {
                return Self::new(codes::SETTINGS_INVALID, failure.to_string()).with("field", "REDIS_URL");
            }
            Failure::Closed => return task::closed(),
            Failure::UnknownScript | Failure::Unexpected(_) => codes::REDIS_INTERNAL,
        };
        Self::new(code, failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn driver(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    #[test]
    fn a_lost_answer_is_unknown_for_a_write_and_unavailable_for_a_read() {
        let lost = driver(io::ErrorKind::BrokenPipe);
        assert!(matches!(
            Failure::from_driver(&lost, Effect::Write),
            Failure::OutcomeUnknown
        ));
        assert!(matches!(
            Failure::from_driver(&lost, Effect::Read),
            Failure::Unavailable { .. }
        ));
    }

    #[test]
    fn a_refused_connection_did_nothing() {
        let refused = driver(io::ErrorKind::ConnectionRefused);
        assert!(matches!(
            Failure::from_driver(&refused, Effect::Write),
            Failure::Unavailable { .. }
        ));
    }
}
