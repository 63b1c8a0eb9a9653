//! What a refusal means: by its code, where that is enough, else by its words, else by when it was said.
//!
//! PgBouncer says 08P01 for nearly everything, Supavisor XX000, other poolers and proxies what they like, and all of
//! them get new words with every release. So words only refine. What they leave open follows from the moment: while
//! connecting it is a refusal, shown with text and code, and on a live connection the connection is gone.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::failure::{Failure, Outage, Refusal};
use super::phrases::{Meaning, meaning};

/// The longest text of a server that is passed on, in characters.
const LONGEST: usize = 300;

/// What a server said.
pub(super) struct Answer<'a> {
    pub(super) state: &'a str,
    pub(super) message: &'a str,
    /// The function of the server that refused: unlike the message, it is in no language.
    pub(super) routine: &'a str,
    /// The session ends with it: `FATAL` or `PANIC`.
    pub(super) is_last: bool,
    pub(super) constraint: &'a str,
    pub(super) column: &'a str,
}

impl<'a> From<&'a PgDatabaseError> for Answer<'a> {
    fn from(answer: &'a PgDatabaseError) -> Self {
        Self {
            state: answer.code(),
            message: answer.message(),
            routine: answer.routine().unwrap_or_default(),
            is_last: matches!(answer.severity(), PgSeverity::Fatal | PgSeverity::Panic),
            constraint: answer.constraint().unwrap_or("unnamed"),
            column: answer.column().unwrap_or("unnamed"),
        }
    }
}

/// The classes of SQLSTATE that say that a statement is wrong: repeating it helps in no server's state. Every other
/// class, also one that this list does not know, says that the server cannot carry it out now.
/// (PostgreSQL, appendix A, "PostgreSQL Error Codes".)
const OUR_MISTAKES: &[&str] = &[
    "03", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24", "25", "26", "27", "2B", "2D",
    "2F", "34", "38", "39", "3B", "3D", "3F", "42", "44", "54", "P0",
];

fn is_our_mistake(state: &str) -> bool {
    OUR_MISTAKES.iter().any(|class| state.starts_with(class))
}

impl Answer<'_> {
    /// Text and code, fit for one line of a log.
    fn words(&self) -> String {
        format!("{} (SQLSTATE {})", in_one_line(self.message), self.state)
    }

    /// What it means when it was the answer to a start-up packet.
    pub(super) fn while_connecting(&self) -> Failure {
        if self.refuses_options() {
            return Failure::Refused {
                what: Refusal::Options,
                reason: self.words(),
            };
        }
        self.of_a_session().unwrap_or_else(|| Failure::Refused {
            what: Refusal::Words,
            reason: self.words(),
        })
    }

    /// What it means when it was the answer to a statement.
    pub(super) fn to_a_statement(&self) -> Failure {
        let reason = || self.words();
        let named = |name: &str| name.to_owned();
        match self.state {
            // A statement of ours that the server does not know, or knows already, was prepared in another session.
            "26000" | "42P05" => {
                return Failure::PoolerContract {
                    state: self.state.to_owned(),
                    reason: reason(),
                };
            }
            // The server's own code for a defect has severity ERROR; Supavisor says the same of its own accidents.
            state if self.is_last || state.starts_with("08") || state == "XX000" => {
                return self.of_a_session().unwrap_or_else(|| Failure::Unreachable {
                    how: Outage::Broken,
                    reason: reason(),
                });
            }
            _ => {}
        }
        match self.state {
            "23505" => Failure::UniqueViolation {
                constraint: named(self.constraint),
            },
            "23503" => Failure::ForeignKeyViolation {
                constraint: named(self.constraint),
            },
            "23514" | "23P01" => Failure::CheckViolation {
                constraint: named(self.constraint),
            },
            "23502" => Failure::NotNullViolation {
                column: named(self.column),
            },
            "22021" | "22P05" => Failure::InvalidText,
            "40001" => Failure::Serialization,
            // The server itself does not know whether the statement was carried out.
            "40003" => Failure::Unreachable {
                how: Outage::Broken,
                reason: reason(),
            },
            "40P01" => Failure::Deadlock,
            "55P03" => Failure::LockTimeout,
            "25006" => Failure::ReadOnly,
            "42P01" | "42703" | "3F000" | "42704" | "42883" => Failure::MissingSchema {
                what: in_one_line(self.message),
            },
            "42501" if self.routine == "check_enable_rls" || self.message.contains("row-level security") => {
                Failure::RowSecurity {
                    reason: in_one_line(self.message),
                }
            }
            "57014" => Failure::StatementTimeout,
            "0A000" if self.routine == "RevalidateCachedQuery" || self.message.contains("cached plan") => {
                Failure::StalePlan
            }
            // The messages of class 22 (bad data) quote the value; values never leave this module.
            state if state.starts_with("22") => Failure::Unexpected {
                state: state.to_owned(),
                reason: "a value does not fit its type".into(),
            },
            state => self.of_a_session().unwrap_or_else(|| {
                if is_our_mistake(state) {
                    Failure::Unexpected {
                        state: state.to_owned(),
                        reason: in_one_line(self.message),
                    }
                } else {
                    Failure::ServerFault { reason: reason() }
                }
            }),
        }
    }

    /// What is about the session and not about a statement, if it is.
    fn of_a_session(&self) -> Option<Failure> {
        let reason = || self.words();
        let refused = |what| {
            Some(Failure::Refused {
                what,
                reason: reason(),
            })
        };
        match self.state {
            "28P01" => return refused(Refusal::Password),
            "3D000" => return refused(Refusal::Database),
            "42501" => return refused(Refusal::Right),
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => {
                return Some(Failure::ShuttingDown { reason: reason() });
            }
            "53300" => {
                return Some(Failure::TooManyConnections { reason: reason() });
            }
            // No disk space, no memory, a limit: while connecting, too, nothing of us is refused.
            state if state.starts_with("53") || state.starts_with("58") => {
                return match meaning(self.message) {
                    Some(Meaning::Full) => Some(Failure::TooManyConnections { reason: reason() }),
                    Some(Meaning::Away) => Some(Failure::ShuttingDown { reason: reason() }),
                    _ => Some(Failure::ServerFault { reason: reason() }),
                };
            }
            "28000" if self.routine == "InitializeSessionUserId" || self.message.starts_with("role ") => {
                return refused(Refusal::User);
            }
            "28000" => {
                return match meaning(self.message) {
                    Some(Meaning::Refused(what)) => refused(what),
                    _ => refused(Refusal::Entry),
                };
            }
            _ => {}
        }
        // Words mean something only from one who ends the session, or who has no code for it.
        let may_speak = self.is_last || self.state.starts_with("08") || self.state.starts_with("XX");
        match meaning(self.message).filter(|_| may_speak) {
            Some(Meaning::Full) => Some(Failure::TooManyConnections { reason: reason() }),
            Some(Meaning::Blocked) => Some(Failure::Unreachable {
                how: Outage::Blocked,
                reason: reason(),
            }),
            Some(Meaning::Refused(what)) => refused(what),
            Some(Meaning::Away) => Some(Failure::ShuttingDown { reason: reason() }),
            None if matches!(self.state, "08000" | "08001" | "08003" | "08006") => {
                Some(Failure::Unreachable {
                    how: Outage::Broken,
                    reason: reason(),
                })
            }
            None => None,
        }
    }

    /// Whether a session can go on after it: it was said about a statement, and by the server.
    pub(super) fn leaves_session_usable(&self) -> bool {
        !self.is_last
            && !self.state.starts_with("08")
            && !matches!(self.state, "26000" | "42P05" | "25006" | "0A000" | "XX000")
    }

    /// Whether it says for sure that the statement which it answers changed nothing: the server refused it, or ended
    /// the session between two statements. After a crash, and in the words of a pooler, it may have been done.
    pub(super) fn proves_that_nothing_happened(&self) -> bool {
        let from_the_server = !self.state.starts_with("08") && !matches!(self.state, "XX000" | "40003");
        if self.is_last {
            matches!(self.state, "57P01" | "57P03" | "57P05" | "25P03") || self.state.starts_with("28")
        } else {
            from_the_server
        }
    }

    /// Whether the other end takes no start-up options, in the words that are known for it: PgBouncer's, RDS Proxy's.
    fn refuses_options(&self) -> bool {
        self.message.contains("unsupported startup parameter")
            || (self.state == "0A000" && self.message.contains("command-line options"))
    }
}

/// A text that is not ours, for a log or a report: one line of a bearable length.
pub(super) fn in_one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error, codes};

    fn last<'a>(state: &'a str, message: &'a str) -> Answer<'a> {
        Answer {
            state,
            message,
            routine: "",
            is_last: true,
            constraint: "",
            column: "",
        }
    }

    /// Words of real servers, and what they are while connecting and on a live connection.
    const SAID: &[(&str, &str, Code, Code)] = {
        use codes::{
            POSTGRES_EXHAUSTED as FULL, POSTGRES_INTERNAL as MIXED_UP, POSTGRES_REFUSED as REFUSED,
            POSTGRES_UNAVAILABLE as AWAY,
        };
        &[
            (
                "XX000",
                "(ENOTFOUND) tenant/user postgres.abcdefghijklmnopqrst not found",
                REFUSED,
                REFUSED,
            ),
            ("XX000", "Tenant or user not found", REFUSED, REFUSED),
            (
                "XX000",
                "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked",
                AWAY,
                AWAY,
            ),
            (
                "XX000",
                "(EDBHANDLEREXITED) DbHandler exited. Check logs for more information",
                AWAY,
                AWAY,
            ),
            (
                "XX000",
                "(EDBHANDLEREXITED) connection to database closed. Check logs",
                AWAY,
                AWAY,
            ),
            (
                "XX000",
                "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
                FULL,
                FULL,
            ),
            (
                "XX000",
                "(EMAXCONNSESSION) max clients reached in session mode",
                FULL,
                FULL,
            ),
            (
                "XX000",
                "(EMAXCONN) max client connections reached, limit: 200",
                FULL,
                FULL,
            ),
            (
                "XX000",
                "(EAUTHQUERY) user not found in the database",
                REFUSED,
                REFUSED,
            ),
            (
                "XX000",
                "(EADDRNOTALLOWED) address not in tenant allow_list: {1, 2, 3, 4}",
                REFUSED,
                REFUSED,
            ),
            ("XX000", "(ESOMETHINGNEW) words of next year", REFUSED, AWAY),
            (
                "08006",
                "(EAUTHTIMEOUT) timeout while waiting for message",
                AWAY,
                AWAY,
            ),
            (
                "26000",
                "(EPREPAREDNOTFOUND) prepared statement \"sqlx_s_1\" does not exist",
                REFUSED,
                MIXED_UP,
            ),
            (
                "42P05",
                "(EPREPAREDDUP) prepared statement \"sqlx_s_1\" already exists",
                REFUSED,
                MIXED_UP,
            ),
            ("08P01", "admin forced disconnect", AWAY, AWAY),
            (
                "08P01",
                "client connections exceeded (max_user_client_connections)",
                FULL,
                FULL,
            ),
            ("08P01", "client_login_timeout (server down)", AWAY, AWAY),
            ("08P01", "client_idle_timeout", AWAY, AWAY),
            ("08P01", "server conn crashed?", AWAY, AWAY),
            ("08P01", "SASL authentication failed", REFUSED, REFUSED),
            ("08P01", "words of PgBouncer 2", REFUSED, AWAY),
            ("53300", "sorry, too many clients already", FULL, FULL),
            (
                "58000",
                "could not get connection from the pool - AllServersDown",
                AWAY,
                AWAY,
            ),
            (
                "28000",
                "Invalid Username specified. Please check the Username",
                REFUSED,
                REFUSED,
            ),
            (
                "57P05",
                "terminating connection due to idle-session timeout",
                AWAY,
                AWAY,
            ),
            (
                "25P03",
                "terminating connection due to idle-in-transaction timeout",
                AWAY,
                AWAY,
            ),
            (
                "53100",
                "could not write to file \"pg_wal/xlogtemp.4711\": No space left on device",
                AWAY,
                AWAY,
            ),
            ("53200", "out of memory", AWAY, AWAY),
            (
                "53400",
                "too many connections for database \"hotels\"",
                FULL,
                FULL,
            ),
            (
                "58030",
                "could not fsync file \"pg_wal/1\": Input/output error",
                AWAY,
                AWAY,
            ),
            ("99999", "no list knows this", REFUSED, AWAY),
        ]
    };

    #[test]
    fn what_ends_a_session_is_a_refusal_at_its_start_and_a_lost_connection_later() {
        for (state, message, starting, living) in SAID {
            let answer = last(state, message);
            let (start, live) = (answer.while_connecting(), answer.to_a_statement());
            assert_eq!(start.code(), *starting, "{message}: {start:?}");
            assert_eq!(live.code(), *living, "{message}: {live:?}");
            assert!(!answer.leaves_session_usable(), "{message}");
        }
    }

    #[test]
    fn a_statement_that_the_server_cannot_carry_out_is_no_mistake_of_ours() {
        for (state, message, code) in [
            (
                "53100",
                "could not extend file \"base/16384/24576\": No space left on device",
                codes::POSTGRES_UNAVAILABLE,
            ),
            ("53200", "out of shared memory", codes::POSTGRES_UNAVAILABLE),
            (
                "53400",
                "temporary file size exceeds \"temp_file_limit\" (65536kB)",
                codes::POSTGRES_UNAVAILABLE,
            ),
            ("53000", "insufficient resources", codes::POSTGRES_UNAVAILABLE),
            (
                "58030",
                "could not read block 7 in file \"base/16384/24576\": Input/output error",
                codes::POSTGRES_UNAVAILABLE,
            ),
            ("55000", "recovery is in progress", codes::POSTGRES_UNAVAILABLE),
            ("72000", "snapshot too old", codes::POSTGRES_UNAVAILABLE),
            (
                "F0000",
                "configuration file \"postgresql.conf\" contains errors",
                codes::POSTGRES_UNAVAILABLE,
            ),
            (
                "XX001",
                "invalid page in block 7 of relation base/16384/24576",
                codes::POSTGRES_UNAVAILABLE,
            ),
            ("CR000", "the cluster rebalances", codes::POSTGRES_UNAVAILABLE),
            (
                "42601",
                "syntax error at or near \"SELEC\"",
                codes::POSTGRES_INTERNAL,
            ),
            ("54001", "stack depth limit exceeded", codes::POSTGRES_INTERNAL),
            (
                "P0001",
                "a trigger of the database refuses",
                codes::POSTGRES_INTERNAL,
            ),
            (
                "21000",
                "more than one row returned by a subquery",
                codes::POSTGRES_INTERNAL,
            ),
        ] {
            let answer = Answer {
                is_last: false,
                ..last(state, message)
            };
            let failure = answer.to_a_statement();
            assert_eq!(failure.code(), code, "{message}: {failure:?}");
            assert!(answer.proves_that_nothing_happened(), "{state}");
            assert!(Error::from(failure).message().contains(message), "{message}");
        }
    }

    #[test]
    fn text_and_code_of_a_server_are_passed_on_in_one_line() {
        let text = format!("first line\nsecond {}", "x".repeat(1000));
        let Failure::Refused { reason, .. } = last("XX123", &text).while_connecting() else {
            panic!("not a refusal")
        };
        assert!(reason.starts_with("first line second xxx"), "{reason}");
        assert!(reason.ends_with("x… (SQLSTATE XX123)"), "{reason}");
        assert!(reason.len() < 400);
    }

    #[test]
    fn only_the_servers_own_word_proves_that_a_write_was_not_done() {
        for (state, proven) in [
            ("57P01", true),
            ("57P03", true),
            ("57P02", false),
            ("08P01", false),
            ("XX000", false),
            ("26000", false),
            ("53100", false),
        ] {
            let answer = last(state, "");
            assert_eq!(answer.proves_that_nothing_happened(), proven, "{state}");
        }
        for (state, proven) in [
            ("23505", true),
            ("25006", true),
            ("XX000", false),
            ("08P01", false),
            ("40003", false),
            ("53100", true),
        ] {
            let answer = Answer {
                is_last: false,
                ..last(state, "")
            };
            assert_eq!(answer.proves_that_nothing_happened(), proven, "{state}");
        }
    }

    #[test]
    fn a_server_that_speaks_another_language_is_understood_by_its_functions() {
        let spoken = |state, routine| Answer {
            routine,
            is_last: false,
            ..last(state, "la consulta se vería afectada")
        };
        let failure = spoken("42501", "check_enable_rls").to_a_statement();
        assert!(matches!(failure, Failure::RowSecurity { .. }), "{failure:?}");
        let failure = spoken("0A000", "RevalidateCachedQuery").to_a_statement();
        assert!(matches!(failure, Failure::StalePlan), "{failure:?}");
        let failure = spoken("28000", "InitializeSessionUserId").while_connecting();
        assert!(
            matches!(
                failure,
                Failure::Refused {
                    what: Refusal::User,
                    ..
                }
            ),
            "{failure:?}"
        );
    }

    #[test]
    fn those_who_take_no_options_are_known() {
        for (state, message) in [
            ("08P01", "unsupported startup parameter: options"),
            (
                "08P01",
                "unsupported startup parameter in options: statement_timeout",
            ),
            (
                "0A000",
                "Feature not supported: RDS Proxy currently doesn\u{2019}t support command-line options.",
            ),
        ] {
            assert!(last(state, message).refuses_options(), "{message}");
        }
    }
}
