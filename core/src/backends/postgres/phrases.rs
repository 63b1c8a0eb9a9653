//! Phrases of poolers, proxies and servers, by which a refusal is told apart that has no code of its own.

use super::failure::Refusal;

/// What no code but its words say.
pub(super) enum Meaning {
    /// There is no connection left.
    Full,
    /// The server behind is not there for us at the moment, or ended the session.
    Away,
    /// New connections are blocked for a while.
    Blocked,
    Refused(Refusal),
}

/// In lower case, each list in order of precedence. Of Supavisor the codes in brackets and, for older versions, the
/// words; the rest is PgBouncer, pgcat, Odyssey, RDS Proxy, Neon and Azure.
const FULL: &[&str] = &[
    "echeckouttimeout",
    "echeckoutretries",
    "emaxconn",
    "emaxpoolsreached",
    "maxclientsinsessionmode",
    "max clients reached",
    "max client connections",
    "max pools count",
    "no more connections allowed",
    "client connections exceeded",
    "query_wait_timeout",
    "unable to check out",
    "too many clients",
    "too many connections",
    "too many server connections",
    "connection slots are reserved",
    "timed-out waiting to acquire",
    "too many database connection attempts",
    "resources exhaustion",
];
const BLOCKED: &[&str] = &[
    "ecircuitbreaker",
    "circuit breaker",
    "temporarily blocked",
    "ebanned",
    "tenant is banned",
];
const REFUSED: &[(&str, Refusal)] = &[
    ("tenant or user not found", Refusal::User),
    ("enotfound", Refusal::User),
    ("tenant/user", Refusal::User),
    ("einvaliduserinfo", Refusal::User),
    ("enoidentifier", Refusal::User),
    ("emultipleusers", Refusal::User),
    ("no tenant identifier", Refusal::User),
    ("no such user", Refusal::User),
    ("user not found", Refusal::User),
    ("no credentials for the role", Refusal::User),
    ("invalid username specified", Refusal::User),
    ("no such database", Refusal::Database),
    ("no pool configured", Refusal::Database),
    ("eaddrnotallowed", Refusal::Entry),
    ("not in tenant allow_list", Refusal::Entry),
    ("esslrequired", Refusal::Entry),
    ("ssl required", Refusal::Entry),
    ("ssl connection is required", Refusal::Entry),
    ("no pg_hba.conf entry", Refusal::Entry),
    ("login rejected", Refusal::Entry),
    ("is disabled", Refusal::Entry),
    ("has been disabled", Refusal::Entry),
    ("authentication failed", Refusal::Password),
    ("ewrongpassword", Refusal::Password),
    ("ejitunauthorized", Refusal::Password),
    ("invalid password", Refusal::Password),
    ("empty password", Refusal::Password),
];
const AWAY: &[&str] = &[
    "edbhandlerexited",
    "dbhandler exited",
    "connection to database closed",
    "connection to database not available",
    "epoolterminating",
    "epoolcheckout",
    "epoolconfignotfound",
    "epoolranchnotfound",
    "echeckoutfailed",
    "eworkernotfound",
    "eproxy",
    "esubscriberetries",
    "ejitrequestfailed",
    "eauthtimeout",
    "auth_query connection failed",
    "secret check timed out",
    "shutting down",
    "server conn crashed",
    "server login has been failing",
    "server_login_retry",
    "cannot connect to server",
    "server down",
    "the database system is",
    "terminating connection",
    "server closed the connection",
    "admin forced disconnect",
    "suspend_timeout",
    "client_idle_timeout",
    "client_login_timeout",
    "allserversdown",
    "could not get connection from the pool",
    "failed to connect to remote server",
    "couldn't connect to compute",
    "control plane request failed",
];

/// What the words of a refusal say, whatever its code.
pub(super) fn meaning(message: &str) -> Option<Meaning> {
    let message = message.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if says(FULL) {
        return Some(Meaning::Full);
    }
    if says(BLOCKED) {
        return Some(Meaning::Blocked);
    }
    if let Some((_, what)) = REFUSED.iter().find(|(phrase, _)| message.contains(phrase)) {
        return Some(Meaning::Refused(*what));
    }
    says(AWAY).then_some(Meaning::Away)
}
