//! Everything that Postgres, a pooler or the network can answer, told apart by what follows from it.

use std::io;
use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use super::words::{Answer, in_one_line};
use crate::error::{Code, Error, codes};
use crate::settings::Secret;

/// Why a call to Postgres failed. Adapters match what they care about; the rest becomes an [`Error`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// A row with this key exists (23505).
    UniqueViolation { constraint: String },
    /// The row that is referred to does not exist, or is still referred to (23503).
    ForeignKeyViolation { constraint: String },
    /// A check or exclusion constraint refused the row (23514, 23P01).
    CheckViolation { constraint: String },
    /// A column without a default got no value (23502).
    NotNullViolation { column: String },
    /// A text that Postgres cannot hold: NUL, or a broken code point (22021, 22P05).
    InvalidText,
    /// Two transactions collided (40001).
    Serialization,
    /// Two transactions waited for each other (40P01).
    Deadlock,
    /// Another transaction holds the row for longer than we wait (55P03).
    LockTimeout,
    /// The server takes no writes; it is a replica, or became one (25006).
    ReadOnly,
    /// A table, column, type or function that we need does not exist (42P01, 42703, 3F000, 42704, 42883).
    MissingSchema { what: String },
    /// User, password, database or network address are not accepted (28xxx, 3D000), or the role lacks a right (42501).
    Refused { what: Refusal, reason: String },
    /// Row-level security would hide rows of a table from this role, so the server refused the statement (42501).
    RowSecurity { reason: String },
    /// The server or the pooler has no connection left for us (53300 and the poolers' own words for it).
    TooManyConnections { reason: String },
    /// All connections of our pool stayed busy.
    PoolTimeout,
    /// The server is stopping, starting or failing over (57P01 to 57P05), or a pooler says that it is not there.
    ShuttingDown { reason: String },
    /// The server refused the statement for a reason of its own, and changed nothing: no disk space or memory left, an
    /// I/O error, a limit of the server (53xxx, 58xxx and the like).
    ServerFault { reason: String },
    /// The server gave up on the statement at its time limit (57014).
    StatementTimeout,
    /// The deadline passed without an answer, and nothing was changed.
    DeadlinePassed,
    /// No connection could be made, or it broke, and nothing was changed.
    Unreachable { how: Outage, reason: String },
    /// TLS could not be agreed on.
    Tls { reason: String },
    /// A prepared statement was made before a column changed its type (0A000).
    StalePlan,
    /// A write or `COMMIT` was sent and its answer never came.
    OutcomeUnknown,
    /// What stands between us and the server gave us another session's state: 26000, 42P05, or messages out of turn.
    PoolerContract { state: String, reason: String },
    /// A migration cannot be applied.
    Migration { reason: String },
    /// Postgres refused the statement for a reason that posada does not expect, or answered something else.
    Unexpected { state: String, reason: String },
    /// One of the failures that say that there is no server, with where the settings say that it is.
    Unavailable { place: Arc<str>, failure: Box<Failure> },
    /// The work gave up by itself, with this error; its transaction was rolled back.
    Abandoned(Error),
}

/// What was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The password; Postgres says the same of a user that it does not know.
    Password,
    /// The user, in the words of a pooler or of a server without passwords.
    User,
    /// The database does not exist.
    Database,
    /// The server takes no such connection: from this address, to this database, or without TLS.
    Entry,
    /// The role lacks a right.
    Right,
    /// What we ask of the connection itself.
    Options,
    /// Something that is said in words that we do not know.
    Words,
    /// What listens there does not speak the protocol of Postgres as we do.
    Protocol,
}

/// How a server was out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// The name of the host cannot be resolved.
    UnknownHost,
    /// Nothing listens at the port.
    Refused,
    /// Nothing was answered in time.
    Silent,
    /// The connection broke.
    Broken,
    /// New connections are blocked for a while, because of earlier ones that failed.
    Blocked,
}

impl Failure {
    /// Whether the whole transaction may be run again at once: nothing was changed, and the cause passes.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            // It passes by itself, but not at once.
            Self::Unreachable { how, .. } => *how != Outage::Blocked,
            Self::Serialization
            | Self::Deadlock
            | Self::LockTimeout
            | Self::ReadOnly
            | Self::TooManyConnections { .. }
            | Self::ShuttingDown { .. }
            | Self::ServerFault { .. }
            | Self::StalePlan => true,
            _ => false,
        }
    }

    /// The same failure, with the place of a server that is not there for us.
    pub(super) fn at(self, server: &Arc<str>) -> Self {
        match self {
            Self::ReadOnly
            | Self::ShuttingDown { .. }
            | Self::ServerFault { .. }
            | Self::Unreachable { .. } => Self::Unavailable {
                place: server.clone(),
                failure: Box::new(self),
            },
            failure => failure,
        }
    }

    /// The same failure, for a write whose answer was lost: what could not be known must not be called a failure.
    pub(super) fn of_lost_write(self) -> Self {
        match self {
            Self::Unreachable { .. }
            | Self::DeadlinePassed
            | Self::ShuttingDown { .. }
            | Self::ServerFault { .. }
            | Self::PoolerContract { .. }
            | Self::TooManyConnections { .. } => Self::OutcomeUnknown,
            other => other,
        }
    }

    /// The code under which this failure is shown and counted.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::UniqueViolation { .. }
            | Self::ForeignKeyViolation { .. }
            | Self::CheckViolation { .. }
            | Self::NotNullViolation { .. } => codes::POSTGRES_CONSTRAINT,
            Self::InvalidText => codes::POSTGRES_INVALID_TEXT,
            Self::Serialization | Self::Deadlock | Self::LockTimeout => codes::POSTGRES_CONTENDED,
            Self::ReadOnly
            | Self::ShuttingDown { .. }
            | Self::ServerFault { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. } => codes::POSTGRES_UNAVAILABLE,
            Self::Refused { .. } | Self::Tls { .. } => codes::POSTGRES_REFUSED,
            Self::RowSecurity { .. } => codes::POSTGRES_ROW_SECURITY,
            Self::TooManyConnections { .. } | Self::PoolTimeout => codes::POSTGRES_EXHAUSTED,
            Self::MissingSchema { .. } => codes::POSTGRES_SCHEMA,
            Self::StatementTimeout | Self::DeadlinePassed => codes::POSTGRES_TIMEOUT,
            Self::OutcomeUnknown => codes::POSTGRES_OUTCOME_UNKNOWN,
            Self::Migration { .. } => codes::POSTGRES_MIGRATION,
            Self::PoolerContract { .. } | Self::StalePlan | Self::Unexpected { .. } => {
                codes::POSTGRES_INTERNAL
            }
            Self::Abandoned(_) => codes::POSADA_INTERNAL,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        tell(failure, "Postgres")
    }
}

/// The error of a failure of a server that is called so.
fn tell(failure: Failure, server: &str) -> Error {
    let code = failure.code();
    match failure {
        Failure::Unavailable { place, failure } => tell(*failure, &format!("Postgres ({place})")),
        Failure::Abandoned(error) => error,
        Failure::UniqueViolation { constraint } => {
            Error::new(code, "a row with this key exists").with("constraint", constraint)
        }
        Failure::ForeignKeyViolation { constraint } => Error::new(
            code,
            "the row refers to another that does not exist, or is referred to",
        )
        .with("constraint", constraint),
        Failure::CheckViolation { constraint } => {
            Error::new(code, "a constraint of the database refused the row").with("constraint", constraint)
        }
        Failure::NotNullViolation { column } => {
            Error::new(code, "a column of the database needs a value").with("column", column)
        }
        Failure::InvalidText => Error::new(code, "a text holds a character that Postgres cannot store"),
        Failure::Serialization | Failure::Deadlock => {
            Error::new(code, "the transaction collided with others, repeatedly")
        }
        Failure::LockTimeout => Error::new(code, "another transaction holds the row"),
        Failure::ReadOnly => Error::new(code, format!("{server} takes no writes; is it a replica?")),
        Failure::MissingSchema { what } => Error::new(
            code,
            format!(
                "{what}; run the migrations (`posada.migrate()`) or paste migrations/schema.sql into the SQL \
                 editor, and check the role's search_path"
            ),
        ),
        Failure::Refused { reason, .. } => Error::new(code, format!("Postgres refused us: {reason}")),
        Failure::RowSecurity { reason } => Error::new(
            code,
            format!(
                "row-level security would hide rows from this role, so nothing was read or written: {reason}; \
                 give the role BYPASSRLS or make it the owner of the tables"
            ),
        ),
        Failure::Tls { reason } => Error::new(code, format!("TLS with Postgres failed: {reason}")),
        Failure::TooManyConnections { reason } => {
            Error::new(code, format!("Postgres has no connection left: {reason}"))
        }
        Failure::PoolTimeout => Error::new(code, "every connection of the pool stayed busy"),
        Failure::ShuttingDown { reason } => Error::new(
            code,
            format!("{server} is stopping, starting or failing over: {reason}"),
        ),
        Failure::ServerFault { reason } => Error::new(
            code,
            format!("{server} cannot carry out the statement, and changed nothing: {reason}"),
        ),
        Failure::Unreachable { reason, .. } => {
            Error::new(code, format!("{server} cannot be reached: {reason}"))
        }
        Failure::StatementTimeout => Error::new(code, "Postgres gave up on the statement at its time limit"),
        Failure::DeadlinePassed => Error::new(code, "Postgres did not answer within the deadline"),
        Failure::StalePlan => Error::new(code, "the columns of a table keep changing"),
        Failure::OutcomeUnknown => Error::new(
            code,
            "a write was sent to Postgres and its answer never came; read before repeating it",
        ),
        Failure::PoolerContract { state, reason } => Error::new(
            code,
            format!(
                "the connection pooler mixed up sessions: {reason}; set the pooling mode to `transaction`"
            ),
        )
        .with("sqlstate", state),
        Failure::Migration { reason } => Error::new(code, reason),
        Failure::Unexpected { state, reason } => {
            Error::new(code, format!("Postgres answered: {reason}")).with("sqlstate", state)
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Abandoned(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(answer) => match answer.try_downcast_ref::<PgDatabaseError>() {
                Some(answer) => Answer::from(answer).to_a_statement(),
                None => unexpected(&answer),
            },
            sqlx::Error::Io(broken) => from_network(&broken),
            sqlx::Error::Tls(reason) => Self::Tls {
                reason: reason.to_string(),
            },
            // The driver lost the thread of the conversation: the other end is not what we take it for, or a
            // pooler gave us the middle of another conversation.
            sqlx::Error::Protocol(reason) => Self::PoolerContract {
                state: "protocol".into(),
                reason,
            },
            other => unexpected(&other),
        }
    }
}

impl Failure {
    /// What a failed attempt to connect means.
    pub(super) fn of_connecting(error: sqlx::Error, password: Option<&Secret>) -> Self {
        let refused = |what, reason| Self::Refused { what, reason };
        let failure = match error {
            sqlx::Error::Database(answer) => match answer.try_downcast_ref::<PgDatabaseError>() {
                Some(answer) => Answer::from(answer).while_connecting(),
                None => refused(Refusal::Words, answer.to_string()),
            },
            sqlx::Error::Protocol(reason) => refused(Refusal::Protocol, in_one_line(&reason)),
            // The driver repeats the character that it stumbled over.
            sqlx::Error::Configuration(reason) if reason.to_string().contains("saslprep password") => {
                refused(
                    Refusal::Password,
                    "the password holds characters that the driver cannot send".to_owned(),
                )
            }
            sqlx::Error::Configuration(reason) => refused(Refusal::Options, in_one_line(&reason.to_string())),
            other => Self::from(other),
        };
        failure.without(password).hinting_at_a_line_break(password)
    }

    /// Says so if a refused password ends with a line break: psql sends it too, but most often it is a mistake.
    pub(super) fn hinting_at_a_line_break(mut self, password: Option<&Secret>) -> Self {
        if let Self::Refused {
            what: Refusal::Password,
            reason,
        } = &mut self
            && password.is_some_and(|password| password.expose().ends_with('\n'))
        {
            reason.push_str("; the password ends with a line break, as files of secrets do");
        }
        self
    }

    /// The same failure, should its words repeat the password.
    pub(super) fn without(mut self, password: Option<&Secret>) -> Self {
        if let (
            Some(password),
            Self::Refused { reason, .. }
            | Self::Unreachable { reason, .. }
            | Self::ShuttingDown { reason }
            | Self::ServerFault { reason }
            | Self::TooManyConnections { reason }
            | Self::Tls { reason }
            | Self::Unexpected { reason, .. },
        ) = (password, &mut self)
            // A shorter one is a word that stands in every text.
            && password.expose().len() > 3
        {
            *reason = reason.replace(password.expose(), "***");
        }
        self
    }
}

/// The server's answer in an error, if it is one.
pub(super) fn answer(error: &sqlx::Error) -> Option<Answer<'_>> {
    let answer = error.as_database_error()?;
    answer.try_downcast_ref::<PgDatabaseError>().map(Answer::from)
}

/// Whether a connection can be used again after this error: the server answered in order and keeps the session.
pub(super) fn leaves_connection_usable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => answer(error).is_some_and(|answer| answer.leaves_session_usable()),
        // A value could not be encoded: nothing was sent.
        sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

fn from_network(broken: &io::Error) -> Failure {
    let reason = broken.to_string();
    // The driver passes a refused certificate on as a broken connection; trying again would not help.
    let about_tls = broken
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>())
        .is_some();
    if about_tls {
        Failure::Tls { reason }
    } else {
        let how = match broken.kind() {
            io::ErrorKind::ConnectionRefused => Outage::Refused,
            io::ErrorKind::TimedOut => Outage::Silent,
            // The standard library has no kind for it.
            _ if reason.contains("lookup address") => Outage::UnknownHost,
            _ => Outage::Broken,
        };
        Failure::Unreachable { how, reason }
    }
}

fn unexpected(error: &dyn std::fmt::Display) -> Failure {
    Failure::Unexpected {
        state: "none".into(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_work_itself_comes_out_unchanged() {
        let inner = Error::new(codes::TENANTS_EXISTS, "taken");
        assert!(Error::from(Failure::from(inner)).is(codes::TENANTS_EXISTS));
    }

    #[test]
    fn a_server_that_is_not_there_is_named_and_keeps_its_code() {
        let place = Arc::from("db.example.com:5432");
        let refused = Failure::Unreachable {
            how: Outage::Refused,
            reason: "Connection refused".into(),
        };
        let stopping = Failure::ShuttingDown {
            reason: "the database system is shutting down (SQLSTATE 57P03)".into(),
        };
        for failure in [refused, stopping, Failure::ReadOnly] {
            let error = Error::from(failure.at(&place));
            assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
            assert!(
                error.message().starts_with("Postgres (db.example.com:5432) "),
                "{error}"
            );
        }
    }

    #[test]
    fn what_was_said_while_connecting_never_repeats_the_password() {
        let secret = Secret::new("hunter2");
        let refused = Failure::Refused {
            what: Refusal::Words,
            reason: "no entry for ana:hunter2".into(),
        };
        let error = Error::from(refused.without(Some(&secret)));
        assert!(error.message().contains("ana:***"), "{error}");
    }

    #[test]
    fn only_what_could_have_happened_is_unknown() {
        let lost = Failure::Unreachable {
            how: Outage::Broken,
            reason: "reset".into(),
        };
        assert!(matches!(lost.of_lost_write(), Failure::OutcomeUnknown));
        let refused = Failure::UniqueViolation {
            constraint: "uq_identifier".into(),
        };
        assert!(matches!(refused.of_lost_write(), Failure::UniqueViolation { .. }));
    }
}
