//! What can go wrong between us and Redis, and which error each failure becomes.

use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

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
    /// Wrong password or unknown user.
    Refused(String),
    /// A command or key that the user may not use.
    NotPermitted(String),
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
    /// Repeating might do it twice.
    Write,
}

impl Failure {
    /// Reads the driver's error. `effect` decides what a lost answer means.
    pub(super) fn from_driver(error: &RedisError, effect: Effect) -> Self {
        match (error.code(), error.kind()) {
            (Some("WRONGTYPE"), _) => Self::WrongType,
            (Some("OOM"), _) => Self::OutOfMemory,
            (Some("NOPERM"), _) => Self::NotPermitted(error.to_string()),
            (Some("NOAUTH" | "WRONGPASS"), _) | (_, ErrorKind::AuthenticationFailed) => {
                Self::Refused(error.to_string())
            }
            (
                _,
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask,
                )
                | ErrorKind::MasterNameNotFoundBySentinel
                | ErrorKind::NoValidReplicasFoundBySentinel
                | ErrorKind::ClusterConnectionNotFound,
            ) => Self::unavailable(error),
            (_, ErrorKind::Server(ServerErrorKind::NoScript)) => Self::UnknownScript,
            _ if error.is_connection_refusal() => Self::unavailable(error),
            _ if error.is_timeout() => Self::unanswered(effect),
            _ if error.is_io_error() || error.is_connection_dropped() => match effect {
                Effect::Read => Self::unavailable(error),
                Effect::Write => Self::OutcomeUnknown,
            },
            // A script that meets a foreign type reports it inside its own error text.
            _ if error.to_string().contains("WRONGTYPE") => Self::WrongType,
            _ if error.to_string().contains("OOM command not allowed") => Self::OutOfMemory,
            _ => Self::Unexpected(error.to_string()),
        }
    }

    /// Reads the driver's error about a connection that did not come about: nothing was sent.
    pub(super) fn while_connecting(error: &RedisError) -> Self {
        match Self::from_driver(error, Effect::Read) {
            Self::Timeout => Self::unavailable(error),
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
            failure => failure,
        }
    }

    /// The deadline passed after the command was handed to the connection.
    pub(super) fn unanswered(effect: Effect) -> Self {
        match effect {
            Effect::Read => Self::Timeout,
            Effect::Write => Self::OutcomeUnknown,
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
            Self::Refused(reason) | Self::NotPermitted(reason) => write!(f, "Redis refused us: {reason}"),
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
            Failure::Unavailable { .. } => codes::REDIS_UNAVAILABLE,
            Failure::Refused(_) | Failure::NotPermitted(_) => codes::REDIS_REFUSED,
            Failure::Timeout => codes::REDIS_TIMEOUT,
            Failure::OutcomeUnknown => codes::REDIS_OUTCOME_UNKNOWN,
            Failure::WrongType => codes::REDIS_WRONG_TYPE,
            Failure::OutOfMemory => codes::REDIS_OUT_OF_MEMORY,
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
