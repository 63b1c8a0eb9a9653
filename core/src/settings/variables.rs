//! Every variable that posada reads: its name, what it means, its default, and how it is read. The table of
//! SETTINGS.md, the reader and the answer to a misspelt name all come from here.
//!
//! The names without a prefix are those of the app, whose `.env` files work unchanged. A name that begins with
//! `POSADA_` can only be meant for us, so an unknown one is an error; everything else that a process carries in its
//! environment is none of our business.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::given::{Fault, nearest, seconds, whole_number, yes_or_no};
use super::pms::PmsType;
use super::postgres_source::Pooler;
use super::postgres_url::tls_mode;
use super::redis_url::database_number;
use super::service::Services;
use super::{Environment, Secret, SettingsBuilder};
use crate::TenantId;
use crate::error::{Error, Result, codes};

/// One variable that posada reads.
///
/// ```
/// use posada::settings::Variable;
/// let ttl = Variable::ALL.iter().find(|variable| variable.name == "POSADA_SESSION_TTL").unwrap();
/// assert_eq!(ttl.default, "1800");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Variable {
    /// The name, in upper case; any case is read.
    pub name: &'static str,
    /// What it means, with its unit.
    pub what: &'static str,
    /// What holds when it is not set; empty if nothing does.
    pub default: &'static str,
    read: Reader,
}

/// Puts a text into its place. It gets the name, so that errors can blame it.
type Reader = fn(&mut SettingsBuilder, &'static str, &str) -> Result<(), Fault>;

/// Names with this beginning are ours alone, so an unknown one is a misspelling.
const OURS: &str = "POSADA_";
/// Names with this beginning belong to posada's own tests.
const FOR_TESTS: &str = "POSADA_TEST_";

impl Variable {
    /// Every variable, in the order of SETTINGS.md.
    pub const ALL: &[Self] = TABLE;

    /// The table of all variables as Markdown, for SETTINGS.md and the command line.
    pub fn markdown() -> String {
        let mut table = "| variable | meaning | default |\n|---|---|---|\n".to_owned();
        for Self {
            name, what, default, ..
        } in TABLE
        {
            let default = if default.is_empty() {
                String::new()
            } else {
                format!("`{default}`")
            };
            // Writing into a String cannot fail.
            let _ = writeln!(table, "| `{name}` | {what} | {default} |");
        }
        table
    }

    fn find(name: &str) -> Option<&'static Self> {
        TABLE
            .iter()
            .find(|variable| variable.name.eq_ignore_ascii_case(name))
    }
}

/// Turns what the operating system gives into text. A foreign variable may hold anything; ours must be UTF-8.
pub(super) fn as_text(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for (name, value) in vars {
        let Ok(name) = name.into_string() else { continue };
        match (value.into_string(), Variable::find(&name)) {
            (Ok(value), _) => texts.push((name, value)),
            (Err(_), Some(known)) => return Err(Fault::from("must be UTF-8").blame(known.name)),
            (Err(_), None) => {}
        }
    }
    Ok(texts)
}

/// Puts variables into their places.
pub(super) fn read(
    builder: &mut SettingsBuilder,
    vars: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let vars: Vec<(String, String)> = vars.into_iter().collect();
    let services = Services::among(&vars);
    let mut found = Vec::new();
    for (name, value) in vars {
        let known = Variable::find(&name);
        let is_ours = known.is_some() || starts_with(&name, OURS);
        if is_ours && services.made(&name, &value) {
            builder.service_variables.push(name);
            continue;
        }
        match known {
            Some(_) if value.trim().is_empty() => {}
            Some(variable) => found.push((variable.name == name, variable, value)),
            None if is_ours && !starts_with(&name, FOR_TESTS) => return Err(unknown(&name)),
            None => {}
        }
    }
    // Two spellings of one name: the one in upper case is read last and wins.
    found.sort_by_key(|(is_exact, _, _)| *is_exact);
    for (_, variable, value) in found {
        (variable.read)(builder, variable.name, &value).map_err(|fault| fault.blame(variable.name))?;
    }
    Ok(())
}

/// `str::starts_with` in any case.
fn starts_with(name: &str, beginning: &str) -> bool {
    name.get(..beginning.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// The answer to a `POSADA_…` that does not exist. The value is not repeated.
fn unknown(name: &str) -> Error {
    let ours = || {
        TABLE
            .iter()
            .map(|variable| variable.name)
            .filter(|name| name.starts_with(OURS))
    };
    let upper = name.to_ascii_uppercase();
    let guess = nearest(&upper, ours()).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
    let known = ours().collect::<Vec<_>>().join(", ");
    Error::new(
        codes::SETTINGS_UNKNOWN,
        format!("{name}: posada has no such variable{guess}; its own are {known}"),
    )
    .with("field", name)
}

/// `name, meaning, default, reader` of each variable.
macro_rules! table {
    ($($name:literal, $what:literal, $default:literal, $read:expr;)*) => {
        const TABLE: &[Variable] = &[$(Variable {
            name: $name,
            what: $what,
            default: $default,
            read: $read,
        }),*];
    };
}

table! {
    "ENVIRONMENT", "`development`, `staging` or `production`. Production refuses placeholder secrets, and stores and \
        a PMS that nobody chose.", "development",
        |b, name, text| { b.environment.set_by_variable(name, Environment::read(text)?); Ok(()) };

    "DATABASE_URL", "Where Postgres is: `postgresql://user:password@host:port/database?sslmode=…`, or `memory:`.", "",
        |b, name, text| { b.postgres.database_url.set_by_variable(name, text); Ok(()) };
    "POSTGRES_URL", "The same, read when `DATABASE_URL` is not set.", "",
        |b, name, text| { b.postgres.postgres_url.set_by_variable(name, text); Ok(()) };
    "POSTGRES_HOST", "Host, address or socket directory; this and the next four are read when no URL is set, and \
        taken as they are, without percent-encoding.", "",
        |b, name, text| { b.postgres.host.set_by_variable(name, text.trim()); Ok(()) };
    "POSTGRES_PORT", "Port.", "5432",
        |b, name, text| { b.postgres.port.set_by_variable(name, port(text)?); Ok(()) };
    "POSTGRES_DB", "Database; by default the one named after the user.", "",
        |b, name, text| { b.postgres.database.set_by_variable(name, text); Ok(()) };
    "POSTGRES_USER", "User; behind Supabase's pooler `postgres.<project-ref>`.", "postgres",
        |b, name, text| { b.postgres.user.set_by_variable(name, text); Ok(()) };
    "POSTGRES_PASSWORD", "Password.", "",
        |b, name, text| { b.postgres.password.set_by_variable(name, text); Ok(()) };
    "SUPABASE_DATABASE_URL", "As `DATABASE_URL`, read last.", "",
        |b, name, text| { b.postgres.supabase_url.set_by_variable(name, text); Ok(()) };
    "POSTGRES_POOL_SIZE", "Connections that are kept.", "10",
        |b, name, text| { b.postgres.pool_size.set_by_variable(name, whole_number::<u32>(text.trim())?); Ok(()) };
    "POSTGRES_MAX_OVERFLOW", "Connections beyond those, closed when idle.", "10",
        |b, name, text| { b.postgres.max_overflow.set_by_variable(name, whole_number::<u32>(text.trim())?); Ok(()) };
    "POSTGRES_POOLER", "What stands before Postgres: `session`, `transaction`, or `auto`: transaction on \
        ports 6543 and 6432 and with `pgbouncer=true` in the URL, else session.", "auto",
        |b, name, text| { b.postgres.pooler.set_by_variable(name, Pooler::parse(text.trim())?); Ok(()) };
    "USE_SUPABASE", "Whether Postgres is Supabase: at most 2 + 2 connections there, and TLS by default on any host.",
        "false",
        |b, name, text| { b.postgres.use_supabase.set_by_variable(name, yes_or_no(text.trim())?); Ok(()) };
    "POSADA_POSTGRES_SSLMODE", "libpq's `sslmode` where the URL does not say it. Default `prefer`; Supabase \
        `require`; with a root certificate `verify-full`.", "",
        |b, name, text| { b.postgres.tls.set_by_variable(name, tls_mode(text.trim())?); Ok(()) };
    "POSADA_POSTGRES_SSLROOTCERT", "File of root certificates, or `system`, where the URL does not say it.", "",
        |b, name, text| { b.postgres.root_certificate.set_by_variable(name, text.trim()); Ok(()) };
    "POSADA_POSTGRES_ACQUIRE_TIMEOUT", "Longest wait for a connection of the pool, in seconds.", "3",
        |b, name, text| { b.postgres.acquire_timeout.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_POSTGRES_STATEMENT_TIMEOUT", "Longest time of one statement or transaction, in seconds.", "5",
        |b, name, text| { b.postgres.statement_timeout.set_by_variable(name, time(text)?); Ok(()) };

    "REDIS_URL", "Where Redis is: `redis://`, `rediss://` (TLS), `redis+sentinel://host,host/primary/0`, \
        `redis+cluster://host,host`, `unix:///path`, or `memory:`.", "",
        |b, name, text| { b.redis.url.set_by_variable(name, text); Ok(()) };
    "REDIS_HOST", "Host, or the path of a socket; this and the next two are read when no URL is set.", "localhost",
        |b, name, text| { b.redis.host.set_by_variable(name, text.trim()); Ok(()) };
    "REDIS_PORT", "Port.", "6379",
        |b, name, text| { b.redis.port.set_by_variable(name, port(text)?); Ok(()) };
    "REDIS_DB", "Database number.", "0",
        |b, name, text| { b.redis.database.set_by_variable(name, database_number(text.trim())?); Ok(()) };
    "REDIS_PASSWORD", "Password, also for a URL without one.", "",
        |b, name, text| { b.redis.password.set_by_variable(name, text); Ok(()) };
    "POSADA_REDIS_CONNECT_TIMEOUT", "Longest time to make a connection, in seconds.", "1",
        |b, name, text| { b.redis.connect_timeout.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_REDIS_COMMAND_TIMEOUT", "Longest time of one command, reconnection included, in seconds.", "1",
        |b, name, text| { b.redis.command_timeout.set_by_variable(name, time(text)?); Ok(()) };

    "PMS_TYPE", "`qloapps`, or `mock` for a small hotel in memory. By default `qloapps` if `PMS_BASE_URL` is set, \
        else `mock`; production wants one of the two.", "",
        |b, name, text| { b.pms.kind.set_by_variable(name, PmsType::parse(text.trim())?); Ok(()) };
    "PMS_BASE_URL", "Address of the QloApps server, such as `https://hotel.example.com`.", "",
        |b, name, text| { b.pms.base_url.set_by_variable(name, text.trim()); Ok(()) };
    "PMS_API_KEY", "Key of the QloApps web service.", "",
        |b, name, text| { b.pms.api_key.set_by_variable(name, text.trim()); Ok(()) };
    "PMS_HOTEL_ID", "The hotel that is meant when a call names none.", "1",
        |b, name, text| { b.pms.hotel_id.set_by_variable(name, whole_number::<u64>(text.trim())?); Ok(()) };
    "PMS_TIMEOUT", "Longest time of a question to the PMS about what is stored, in seconds.", "10",
        |b, name, text| { b.pms.timeout.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_PMS_AVAILABILITY_TIMEOUT", "Longest time of a question about free rooms and prices, in seconds.", "20",
        |b, name, text| { b.pms.availability_timeout.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_PMS_BOOKING_TIMEOUT", "Longest time of a request that changes something in the PMS, and of looking for a booking whose answer was lost, in seconds.", "60",
        |b, name, text| { b.pms.booking_timeout.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_PMS_MAX_CONCURRENT", "Most requests at a time to the PMS, each for questions about what is stored, \
        availability and writes.", "32",
        |b, name, text| { b.pms.max_concurrent.set_by_variable(name, whole_number::<u32>(text.trim())?); Ok(()) };
    "POSADA_PMS_MAX_RATE", "Most requests a second to the PMS, of one process.", "100",
        |b, name, text| { b.pms.max_rate.set_by_variable(name, whole_number::<u32>(text.trim())?); Ok(()) };
    "POSADA_PMS_BREAKER_FAILURES", "So many failures in a row stop the requests of a kind to the PMS.", "5",
        |b, name, text| { b.pms.breaker_failures.set_by_variable(name, whole_number::<u32>(text.trim())?); Ok(()) };
    "POSADA_PMS_BREAKER_PAUSE", "Time for which they stop before one caller tries again, in seconds.", "30",
        |b, name, text| { b.pms.breaker_pause.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_PMS_AVAILABILITY_FRESH", "Age up to which availability is answered without asking the PMS, in seconds; \
        `0` asks every time.", "300",
        |b, name, text| { b.pms.availability_fresh.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_PMS_ROOM_TYPES_FRESH", "The same for hotels and room types, in seconds.", "3600",
        |b, name, text| { b.pms.room_types_fresh.set_by_variable(name, time(text)?); Ok(()) };

    "SECRET_KEY", "Key that signs tokens; in production random and at least 32 bytes.", "",
        |b, name, text| { b.secret_key.set_by_variable(name, Secret::new(text)); Ok(()) };
    "JWT_ALGORITHM", "`HS256`; nothing else exists.", "HS256",
        |_, _, text| algorithm(text);
    "JWT_EXPIRATION_MINUTES", "Life of an access token, in minutes; of posada's own at most 1440. The app's own tokens \
        are taken to be made so long before they end: give the app and posada the same value.", "60",
        |b, name, text| {
            let minutes = whole_number::<u32>(text.trim())?;
            b.jwt_expiry.set_by_variable(name, Duration::from_secs(60 * u64::from(minutes)));
            Ok(())
        };

    "POSADA_DEFAULT_TENANT", "Tenant of identifiers that belong to none. The app uses `default`; unset is safer, \
        because nobody's guest then reaches the wrong hotel.", "",
        |b, name, text| { b.default_tenant.set_by_variable(name, tenant(text)?); Ok(()) };
    "POSADA_SNAPSHOT_DIR", "Folder for snapshots of tenants and flags, which let a restart survive an outage.", "",
        |b, name, text| { b.snapshot_dir.set_by_variable(name, PathBuf::from(text.trim())); Ok(()) };
    "POSADA_SESSION_TTL", "Life of a conversation after its last write, in seconds.", "1800",
        |b, name, text| { b.session_ttl.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_TENANT_CACHE_FRESH", "Age up to which a resolved tenant is served without asking Postgres, in seconds.",
        "300",
        |b, name, text| { b.tenant_cache_fresh.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_TENANT_CACHE_STALE", "Age up to which a resolved tenant is served while Postgres fails, in seconds.",
        "86400",
        |b, name, text| { b.tenant_cache_stale.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_TENANT_CACHE_NEGATIVE", "Time for which an unknown identifier is remembered as unknown, in seconds.",
        "30",
        |b, name, text| { b.tenant_cache_negative.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_FLAGS_POLL", "Longest time between two looks at the flags in Redis, in seconds; at most 30.", "30",
        |b, name, text| { b.flags_poll.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_HOLD_TTL", "Life of a stay hold, in seconds, 1 to 86400.", "1200",
        |b, name, text| { b.hold_ttl.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_HOLD_EXTENSION", "The most that one extension adds to a stay hold, in seconds, 1 to 86400.", "600",
        |b, name, text| { b.hold_extension.set_by_variable(name, time(text)?); Ok(()) };
    "POSADA_HOLD_MAX_EXTENSIONS", "How often a stay hold may be extended, 0 to 100.", "2",
        |b, name, text| {
            b.hold_max_extensions.set_by_variable(name, whole_number::<u32>(text.trim())?);
            Ok(())
        };
    "POSADA_CLOSE_DEADLINE", "Longest time that closing waits for work under way, in seconds.", "10",
        |b, name, text| { b.close_deadline.set_by_variable(name, time(text)?); Ok(()) };

    "DEBUG", "Read by the app and ignored here: posada prints neither statements nor secrets in any mode.", "",
        |_, _, _| Ok(());
}

/// A time in seconds.
fn time(text: &str) -> Result<Duration, Fault> {
    seconds(text.trim())
}

/// A TCP port.
fn port(text: &str) -> Result<u16, Fault> {
    match whole_number::<u16>(text.trim()) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be a port between 1 and 65535".into()),
    }
}

/// The algorithm is only checked: choosing it from outside is how tokens are forged.
fn algorithm(text: &str) -> Result<(), Fault> {
    if text.trim() == "HS256" {
        Ok(())
    } else {
        Err("must be HS256, the only algorithm of the app's tokens".into())
    }
}

/// A tenant's id.
fn tenant(text: &str) -> Result<TenantId, Fault> {
    TenantId::parse(text.trim()).map_err(|error| error.message().to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn from(vars: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_vars(vars.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn every_documented_default_is_the_real_one() {
        let set: Vec<_> = TABLE
            .iter()
            .filter(|variable| !variable.default.is_empty())
            .map(|variable| (variable.name, variable.default))
            .chain([
                ("DATABASE_URL", "postgres://h"),
                ("PMS_BASE_URL", "http://h"),
                ("PMS_API_KEY", "k"),
            ])
            .collect();
        let unset = [
            ("REDIS_HOST", "localhost"),
            ("DATABASE_URL", "postgres://h"),
            ("PMS_BASE_URL", "http://h"),
            ("PMS_API_KEY", "k"),
        ];
        assert_eq!(
            format!("{:?}", from(&set).unwrap()),
            format!("{:?}", from(&unset).unwrap())
        );
    }

    #[test]
    fn names_are_unique_and_in_upper_case() {
        for (position, variable) in TABLE.iter().enumerate() {
            assert_eq!(variable.name, variable.name.to_ascii_uppercase());
            assert!(
                TABLE
                    .iter()
                    .skip(position + 1)
                    .all(|other| other.name != variable.name)
            );
        }
    }

    #[test]
    fn the_markdown_table_has_one_row_for_each_variable() {
        let table = Variable::markdown();
        assert_eq!(table.lines().count(), TABLE.len() + 2);
        assert!(table.lines().all(|row| row.matches('|').count() == 4), "{table}");
    }

    #[test]
    fn a_misspelt_variable_of_ours_is_answered_with_the_right_one() {
        let error = from(&[("posada_sesion_ttl", "1800")]).unwrap_err();
        assert!(error.is(codes::SETTINGS_UNKNOWN));
        assert_eq!(error.field(), Some("posada_sesion_ttl"));
        assert!(
            error.message().contains("did you mean POSADA_SESSION_TTL?"),
            "{error}"
        );
        assert!(error.message().contains("POSADA_FLAGS_POLL"), "{error}");
    }

    #[test]
    fn foreign_variables_and_those_of_our_tests_are_ignored() {
        let vars = [
            ("PATH", "/bin"),
            ("POSTGRES_INITDB_ARGS", "x"),
            ("POSADA_TEST_POSTGRES", "x"),
            ("POSADAS", "x"),
            ("DEBUG", "maybe"),
            ("é", "x"),
        ];
        assert!(from(&vars).is_ok());
    }

    #[test]
    fn what_kubernetes_makes_of_a_service_stops_nobody_and_says_nothing_about_servers() {
        let settings = from(&[
            ("POSADA_API_SERVICE_HOST", "10.96.0.12"),
            ("POSADA_PORT", "tcp://10.96.0.12:8080"),
            ("POSADA_PORT_8080_TCP_ADDR", "10.96.0.12"),
            ("REDIS_PORT", "tcp://10.96.0.13:6379"),
            ("REDIS_SERVICE_HOST", "10.96.0.13"),
            ("REDIS_HOST", "redis"),
            ("POSTGRES_PORT", "tcp://10.96.0.14:5432"),
            ("POSTGRES_SERVICE_PORT", "5432"),
            ("DATABASE_URL", "postgres://ana@db.example.com:6432/hotel"),
        ])
        .unwrap();
        let shown = format!("{:?}", settings.redis());
        assert!(shown.contains("host: \"redis\", port: 6379"), "{shown}");
        let shown = format!("{:?}", settings.postgres());
        assert!(shown.contains("port: 6432"), "{shown}");
        let ignored = [
            "POSADA_API_SERVICE_HOST",
            "POSADA_PORT",
            "POSADA_PORT_8080_TCP_ADDR",
            "REDIS_PORT",
            "POSTGRES_PORT",
        ];
        assert_eq!(settings.service_variables(), ignored);
        let alone = from(&[
            ("REDIS_PORT", "tcp://10.96.0.13:6379"),
            ("POSTGRES_PORT", "tcp://10.96.0.14:5432"),
        ]);
        assert_eq!(*alone.unwrap().redis(), crate::settings::Store::Memory);
        let production = from(&[
            ("ENVIRONMENT", "production"),
            ("PMS_TYPE", "mock"),
            ("DATABASE_URL", "memory:"),
            ("REDIS_PORT", "tcp://10.96.0.13:6379"),
        ]);
        let error = production.unwrap_err();
        assert_eq!(error.field(), Some("REDIS_URL"));
        assert!(error.message().contains("REDIS_PORT"), "{error}");
        assert!(from(&[("POSADA_ENV_PATH", "/usr/bin")]).is_err());
    }

    #[test]
    fn names_are_read_in_any_case_and_upper_case_wins() {
        for vars in [
            [("POSADA_SESSION_TTL", "60"), ("posada_session_ttl", "70")],
            [("posada_session_ttl", "70"), ("POSADA_SESSION_TTL", "60")],
            [("Posada_Session_Ttl", "60"), ("PATH", "70")],
        ] {
            assert_eq!(from(&vars).unwrap().session_ttl(), Duration::from_mins(1));
        }
    }

    #[test]
    fn empty_values_count_as_unset() {
        let vars: Vec<_> = TABLE.iter().map(|variable| (variable.name, " ")).collect();
        assert_eq!(
            format!("{:?}", from(&vars).unwrap()),
            format!("{:?}", Settings::embedded())
        );
    }

    #[test]
    fn every_unreadable_value_blames_its_variable() {
        for (name, value, says) in [
            ("ENVIRONMENT", "prod", "development, staging, production"),
            ("POSTGRES_PORT", "0", "between 1 and 65535"),
            ("POSTGRES_POOL_SIZE", "ten", "whole number"),
            ("POSTGRES_POOL_SIZE", "0", "between 1 and 1000"),
            ("POSTGRES_MAX_OVERFLOW", "-1", "whole number"),
            ("POSTGRES_POOLER", "statement", "auto, session or transaction"),
            ("USE_SUPABASE", "si", "true or false"),
            ("REDIS_PORT", "70000", "between 1 and 65535"),
            ("REDIS_DB", "-1", "database number"),
            ("PMS_TYPE", "opera", "mock or qloapps"),
            ("PMS_HOTEL_ID", "0", "between 1"),
            ("PMS_TIMEOUT", "0", "between 100ms and 300s"),
            ("POSADA_PMS_BOOKING_TIMEOUT", "0", "between 100ms and 300s"),
            ("POSADA_PMS_MAX_CONCURRENT", "0", "between 1 and 1000"),
            ("POSADA_PMS_MAX_RATE", "fast", "whole number"),
            ("POSADA_PMS_BREAKER_FAILURES", "0", "between 1 and 1000"),
            ("POSADA_PMS_BREAKER_PAUSE", "0", "between 100ms and 3600s"),
            ("POSADA_PMS_AVAILABILITY_FRESH", "86401", "between 0ns and 86400s"),
            ("JWT_ALGORITHM", "none", "HS256"),
            ("JWT_ALGORITHM", "RS256", "HS256"),
            ("JWT_EXPIRATION_MINUTES", "0", "between"),
            ("POSADA_DEFAULT_TENANT", "a\tb", "control characters"),
            ("POSADA_SESSION_TTL", "30m", "number of seconds"),
            ("POSADA_FLAGS_POLL", "31", "between 1s and 30s"),
            ("POSADA_HOLD_MAX_EXTENSIONS", "many", "whole number"),
            (
                "POSADA_POSTGRES_SSLMODE",
                "no-verify",
                "disable, allow, prefer, require, verify-ca, verify-full",
            ),
            (
                "POSADA_POSTGRES_SSLROOTCERT",
                "/no/such/file",
                "a file that exists",
            ),
        ] {
            let error = from(&[(name, value), ("DATABASE_URL", "postgres://h")]).unwrap_err();
            assert!(error.is(codes::SETTINGS_INVALID), "{name}: {error}");
            assert_eq!(error.field(), Some(name));
            assert!(error.message().contains(says), "{name}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_variable_of_ours_must_be_utf_8() {
        use std::os::unix::ffi::OsStringExt as _;
        let binary = || OsString::from_vec(vec![0xff]);
        let foreign = as_text([("LS_COLORS".into(), binary()), (binary(), "x".into())]).unwrap();
        assert!(foreign.is_empty());
        let error = as_text([("Database_Url".into(), binary())]).unwrap_err();
        assert_eq!(error.field(), Some("DATABASE_URL"));
    }
}
