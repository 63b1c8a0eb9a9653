//! Everything that Postgres, a pooler or the network can answer, told apart by what follows from it.

use std::io;
use std::sync::Arc;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::error::{Code, Error, codes};

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
    /// Somebody else holds the row for longer than we wait (55P03).
    LockTimeout,
    /// The server takes no writes; it is a replica, or became one (25006).
    ReadOnly,
    /// A table, column, type or function that we need does not exist (42P01, 42703, 3F000, 42704, 42883).
    MissingSchema { what: String },
    /// User, password, database or network address are not accepted (28xxx, 3D000), or the role lacks a right (42501).
    Refused { what: Refusal, reason: String },
    /// The server or the pooler has no connection left for us (53300 and the poolers' own words for it).
    TooManyConnections { reason: String },
    /// All connections of our pool stayed busy.
    PoolTimeout,
    /// The server is stopping, starting or failing over (57P01, 57P02, 57P03).
    ShuttingDown,
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
    /// What stands between us and the server gave us another session's state (26000, 42P05, 08P01).
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
}

/// How a server was out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Nobody knows the name of the host.
    UnknownHost,
    /// Nothing listens at the port.
    Refused,
    /// Nothing was answered in time.
    Silent,
    /// The connection broke.
    Broken,
}

impl Failure {
    /// Whether the whole transaction may be run again at once: nothing was changed, and the cause passes.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Serialization
                | Self::Deadlock
                | Self::LockTimeout
                | Self::ReadOnly
                | Self::TooManyConnections { .. }
                | Self::ShuttingDown
                | Self::StalePlan
                | Self::Unreachable { .. }
        )
    }

    /// The same failure, with the place of a server that is not there for us.
    pub(super) fn at(self, server: &Arc<str>) -> Self {
        match self {
            Self::ReadOnly | Self::ShuttingDown | Self::Unreachable { .. } => Self::Unavailable {
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
            | Self::ShuttingDown
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
            Self::ReadOnly | Self::ShuttingDown | Self::Unreachable { .. } | Self::Unavailable { .. } => {
                codes::POSTGRES_UNAVAILABLE
            }
            Self::Refused { .. } | Self::Tls { .. } => codes::POSTGRES_REFUSED,
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
                "{what}; run `Posada::migrate()` or paste migrations/schema.sql into the SQL editor, \
                 and check the role's search_path"
            ),
        ),
        Failure::Refused { reason, .. } => Error::new(code, format!("Postgres refused us: {reason}")),
        Failure::Tls { reason } => Error::new(code, format!("TLS with Postgres failed: {reason}")),
        Failure::TooManyConnections { reason } => {
            Error::new(code, format!("Postgres has no connection left: {reason}"))
        }
        Failure::PoolTimeout => Error::new(code, "every connection of the pool stayed busy"),
        Failure::ShuttingDown => Error::new(code, format!("{server} is stopping, starting or failing over")),
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
                Some(answer) => from_answer(answer),
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

/// Whether a connection can be used again after this error: the server answered in order and keeps the session.
pub(super) fn leaves_connection_usable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(answer) => answer
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|answer| {
                answer.severity() == PgSeverity::Error
                    && !matches!(answer.code(), "26000" | "42P05" | "08P01" | "25006" | "0A000")
            }),
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

fn from_answer(answer: &PgDatabaseError) -> Failure {
    let named = |name: Option<&str>| name.unwrap_or("unnamed").to_owned();
    classify(Answer {
        state: answer.code(),
        message: answer.message(),
        constraint: named(answer.constraint()),
        column: named(answer.column()),
    })
}

struct Answer<'a> {
    state: &'a str,
    message: &'a str,
    constraint: String,
    column: String,
}

fn classify(answer: Answer<'_>) -> Failure {
    let reason = || answer.message.to_owned();
    let refused = |what| Failure::Refused {
        what,
        reason: answer.message.to_owned(),
    };
    let from_pooler = answer.state.starts_with("08") || answer.state.starts_with("XX");
    if let Some(failure) = from_pooler_words(answer.message).filter(|_| from_pooler) {
        return failure;
    }
    match answer.state {
        "23505" => Failure::UniqueViolation {
            constraint: answer.constraint,
        },
        "23503" => Failure::ForeignKeyViolation {
            constraint: answer.constraint,
        },
        "23514" | "23P01" => Failure::CheckViolation {
            constraint: answer.constraint,
        },
        "23502" => Failure::NotNullViolation {
            column: answer.column,
        },
        "22021" | "22P05" => Failure::InvalidText,
        "40001" => Failure::Serialization,
        "40P01" => Failure::Deadlock,
        "55P03" => Failure::LockTimeout,
        "25006" => Failure::ReadOnly,
        "42P01" | "42703" | "3F000" | "42704" | "42883" => Failure::MissingSchema { what: reason() },
        "28P01" => refused(Refusal::Password),
        "28000" if answer.message.starts_with("role ") => refused(Refusal::User),
        "28000" => refused(Refusal::Entry),
        "3D000" => refused(Refusal::Database),
        "42501" => refused(Refusal::Right),
        "53300" => Failure::TooManyConnections { reason: reason() },
        "57P01" | "57P02" | "57P03" => Failure::ShuttingDown,
        "57014" => Failure::StatementTimeout,
        "08000" | "08001" | "08003" | "08004" | "08006" => Failure::Unreachable {
            how: Outage::Broken,
            reason: reason(),
        },
        "0A000" if answer.message.contains("cached plan") => Failure::StalePlan,
        "26000" | "42P05" | "08P01" => Failure::PoolerContract {
            state: answer.state.to_owned(),
            reason: reason(),
        },
        // The messages of class 22 (bad data) quote the value; values never leave this module.
        state if state.starts_with("22") => Failure::Unexpected {
            state: state.to_owned(),
            reason: "a value does not fit its type".into(),
        },
        state => Failure::Unexpected {
            state: state.to_owned(),
            reason: reason(),
        },
    }
}

/// Poolers speak in words where Postgres has a code: PgBouncer says 08P01 for everything, Supavisor XX000.
fn from_pooler_words(message: &str) -> Option<Failure> {
    const FULL: [&str; 6] = [
        "ECHECKOUTTIMEOUT",
        "EMAXCONN",
        "Max client connections",
        "no more connections allowed",
        "query_wait_timeout",
        "unable to check out connection from the pool",
    ];
    const AWAY: [&str; 7] = [
        "server conn crashed",
        "server_login_retry",
        "server login has been failing",
        "pgbouncer cannot connect to server",
        "the database system is",
        "terminating connection",
        "server closed the connection",
    ];
    const REFUSED: [(&str, Refusal); 5] = [
        ("Tenant or user not found", Refusal::User),
        ("no such database", Refusal::Database),
        ("password authentication failed", Refusal::Password),
        ("SASL authentication failed", Refusal::Password),
        ("no such user", Refusal::User),
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let reason = || message.to_owned();
    if says(&FULL) {
        return Some(Failure::TooManyConnections { reason: reason() });
    }
    if let Some((_, what)) = REFUSED.iter().find(|(phrase, _)| message.contains(phrase)) {
        return Some(Failure::Refused {
            what: *what,
            reason: reason(),
        });
    }
    says(&AWAY).then_some(Failure::ShuttingDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: &str, message: &str) -> Failure {
        classify(Answer {
            state,
            message,
            constraint: "uq_identifier".into(),
            column: "role".into(),
        })
    }

    #[test]
    fn a_missing_table_names_itself_and_the_remedy() {
        let error = Error::from(of("42P01", "relation \"tenants\" does not exist"));
        assert!(error.is(codes::POSTGRES_SCHEMA));
        assert!(error.message().contains("tenants") && error.message().contains("migrate"));
    }

    #[test]
    fn constraints_are_named() {
        assert!(
            matches!(of("23505", ""), Failure::UniqueViolation { constraint } if constraint == "uq_identifier")
        );
        assert!(matches!(of("23502", ""), Failure::NotNullViolation { column } if column == "role"));
    }

    #[test]
    fn poolers_are_understood_by_their_words() {
        for words in [
            "(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 60000ms",
            "Max client connections reached",
            "no more connections allowed (max_client_conn)",
        ] {
            assert!(of("XX000", words).code() == codes::POSTGRES_EXHAUSTED, "{words}");
        }
        assert!(of("08P01", "server conn crashed?").is_transient());
        assert!(of("XX000", "Tenant or user not found").code() == codes::POSTGRES_REFUSED);
        assert!(of("08P01", "SASL authentication failed").code() == codes::POSTGRES_REFUSED);
    }

    #[test]
    fn a_mixed_up_session_is_never_repeated_blindly() {
        for state in ["26000", "42P05", "08P01"] {
            assert!(
                !of(state, "bind message supplies 1 parameters").is_transient(),
                "{state}"
            );
        }
    }

    #[test]
    fn values_in_messages_of_bad_data_are_not_passed_on() {
        let error = Error::from(of("22P02", "invalid input syntax for type integer: \"hunter2\""));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

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
        for failure in [refused, Failure::ShuttingDown, Failure::ReadOnly] {
            let error = Error::from(failure.at(&place));
            assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
            assert!(
                error.message().starts_with("Postgres (db.example.com:5432) "),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_could_have_happened_is_unknown() {
        let lost = Failure::Unreachable {
            how: Outage::Broken,
            reason: "reset".into(),
        };
        assert!(matches!(lost.of_lost_write(), Failure::OutcomeUnknown));
        let refused = of("23505", "").of_lost_write();
        assert!(matches!(refused, Failure::UniqueViolation { .. }));
    }
}
