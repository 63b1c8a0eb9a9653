//! Why Postgres takes no connection, and what helps.

use super::codes;
use super::model::Finding;
use super::postgres::place;
use crate::backends::postgres::{Failure, Outage, Refusal};
use crate::error::Error;
use crate::settings::PostgresSettings;

/// Names the cause of a failed connection.
pub(super) fn not_connected(failure: Failure, settings: &PostgresSettings) -> Finding {
    let place = place(settings);
    match failure {
        Failure::Refused { what, reason } => refused(what, &reason, settings),
        Failure::Tls { reason } => Finding::error(
            codes::POSTGRES_TLS,
            format!("TLS with {place} failed, sslmode {}: {reason}.", settings.tls),
            tls_remedy(&reason),
        ),
        Failure::TooManyConnections { reason } => Finding::error(
            codes::TOO_MANY_CONNECTIONS,
            format!("{place} has no connection left: {reason}."),
            "Lower POSTGRES_POOL_SIZE and POSTGRES_MAX_OVERFLOW in every process (5 and 5 on a small plan), use \
             Supabase's port 6543, or raise the limit of the server or pooler that says so.",
        ),
        Failure::Unreachable {
            how: Outage::UnknownHost,
            ..
        } => Finding::error(
            codes::POSTGRES_HOST,
            format!("The host {} cannot be resolved.", settings.host),
            "Correct the host in DATABASE_URL. Supabase pauses projects of the free plan and takes their names away: \
             wake the project up in its dashboard.",
        ),
        Failure::Unreachable { how, reason } => unreachable_server(how, &reason, settings),
        Failure::DeadlinePassed | Failure::StatementTimeout => Finding::error(
            codes::POSTGRES_UNREACHABLE,
            format!("{place} took the connection and then did not answer in time."),
            "Look at the server's load and at the network between; a server that is overloaded or paused behaves so.",
        ),
        Failure::ShuttingDown { reason } if reason.contains("server_login_retry") => Finding::error(
            codes::POSTGRES_STARTING,
            format!("PgBouncer at {place} could not log in to Postgres and remembers it: {reason}."),
            "Look whether Postgres runs, and whether PgBouncer has the right password for it: its log has the reason. It \
             tries again when its server_login_retry has passed, 15 seconds by default: set server_login_retry = 1, so \
             that a return is noticed soon.",
        ),
        Failure::ShuttingDown { reason } => Finding::error(
            codes::POSTGRES_STARTING,
            format!("{place} is starting, stopping or failing over: {reason}."),
            "Wait, and look again; if it stays so, read the log of the server, or of the pooler in front of it, which \
             may have lost it.",
        ),
        Failure::ServerFault { reason } => Finding::error(
            codes::POSTGRES_SERVER_FAULT,
            format!("{place} runs and cannot do what it is asked: {reason}."),
            "53100 and \"No space left\": give the server disk space, and look for large tables and old files of WAL. \
             53200 and \"out of memory\": more memory, or a smaller work_mem and fewer connections. Otherwise read the \
             server's log.",
        ),
        other => {
            let error = Error::from(other);
            if error.is(crate::error::codes::POSADA_CLOSED) {
                return Finding::closed();
            }
            Finding::error(
                codes::POSTGRES_CONNECTION,
                format!("{place} could not be examined: {}.", error.message()),
                format!(
                    "Look up {} in the documentation of the error codes.",
                    error.code()
                ),
            )
        }
    }
}

fn refused(what: Refusal, reason: &str, settings: &PostgresSettings) -> Finding {
    let (place, user) = (place(settings), &settings.user);
    match what {
        Refusal::Password if settings.password.is_none() => Finding::error(
            codes::POSTGRES_PASSWORD,
            format!("{place} wants a password for {user}, and none is set."),
            "Set it in DATABASE_URL, or in POSTGRES_PASSWORD with the other parts.",
        ),
        Refusal::Password => Finding::error(
            codes::POSTGRES_PASSWORD,
            format!("{place} refused the password of {user}, or does not know the user: {reason}."),
            "Set the password anew (Supabase: Project Settings, Database). In a URL write @ / ? # % in it as %40 %2F \
             %3F %23 %25.",
        ),
        Refusal::User => Finding::error(
            codes::POSTGRES_USER,
            format!("{place} does not know the user {user}: {reason}."),
            "Correct the user; behind Supabase's pooler it is postgres.<project-ref>, and the host must be of the \
             project's region.",
        ),
        Refusal::Database => Finding::error(
            codes::POSTGRES_DATABASE,
            format!(
                "There is no database {} at {}:{}: {reason}.",
                settings.database, settings.host, settings.port
            ),
            "Correct the name after the last slash of DATABASE_URL (postgres on Supabase), or create the database.",
        ),
        Refusal::Entry => Finding::error(
            codes::POSTGRES_ENTRY,
            format!("{place} takes no such connection: {reason}."),
            "Admit this machine's address and user in pg_hba.conf or in the provider's network restrictions; if the \
             server insists on TLS, write sslmode=require.",
        ),
        Refusal::Right => Finding::error(
            codes::PERMISSIONS,
            format!("{user} may not do what was asked: {reason}."),
            format!("Grant the right to {user}, or use the role that owns the tables."),
        ),
        Refusal::Options => Finding::error(
            codes::POSTGRES_CONNECTION,
            format!("The connection to {place} cannot be made as it is asked for: {reason}."),
            "Compare the options of DATABASE_URL with SETTINGS.md.",
        ),
        Refusal::Words => Finding::error(
            codes::POSTGRES_CONNECTION,
            format!("{place} refused the connection, in words that posada does not know: {reason}."),
            "Look the words up in the documentation of the server, pooler or provider that stands there, and check \
             user, database and plan in its dashboard.",
        ),
        Refusal::Protocol => Finding::error(
            codes::POSTGRES_CONNECTION,
            format!("What listens at {place} does not speak Postgres as posada does: {reason}."),
            "Check host and port (5432; poolers have 6543 or 6432), and that the server asks for a password (SCRAM or \
             MD5), not for Kerberos.",
        ),
    }
}

fn unreachable_server(how: Outage, reason: &str, settings: &PostgresSettings) -> Finding {
    let place = place(settings);
    let seen = match how {
        Outage::Refused => format!("Nothing listens at {place}."),
        Outage::Silent => format!("{place} does not answer: {reason}."),
        Outage::Broken | Outage::UnknownHost => format!("The connection to {place} broke: {reason}."),
        Outage::Blocked => {
            return Finding::error(
                codes::POSTGRES_ENTRY,
                format!("{place} takes no new connection for now: {reason}."),
                "Failed log-ins cause this: correct user and password in every process that uses them, then wait some \
                 minutes. If the project itself is blocked, its dashboard says why.",
            );
        }
    };
    let remedy = if settings.is_supabase() && settings.port == 5432 {
        "Use the pooler: host …pooler.supabase.com, port 6543, user postgres.<project-ref>. Supabase's own port 5432 \
         is reached by IPv6 only."
    } else {
        "Check that the server runs, that host and port are right, and that firewalls let this machine through."
    };
    Finding::error(codes::POSTGRES_UNREACHABLE, seen, remedy)
}

/// What helps depends on what rustls found wrong.
fn tls_remedy(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") {
        "The certificate of the server is signed by an authority that this machine does not trust: give sslrootcert \
         (or POSADA_POSTGRES_SSLROOTCERT) the file with the provider's root certificate."
    } else if reason.contains("not valid for name") || reason.contains("NotValidForName") {
        "The certificate is for another name: write the host as the certificate has it, or sslmode=verify-ca."
    } else if ["expired", "Expired", "not valid yet", "NotValidYet"]
        .iter()
        .any(|word| reason.contains(word))
    {
        "Renew the certificate of the server, or correct the clock of this machine."
    } else if reason.contains("does not support TLS") {
        "Switch TLS on at the server; only on a network of your own, sslmode=disable."
    } else {
        "If the certificate is not trusted, give sslrootcert the provider's root certificate; if the server has no \
         TLS, switch it on there."
    }
}
