//! The variables that posada reads, of which [`table`](super::table) has one row each: how they are found in an
//! environment, their part of SETTINGS.md, and what is said about a misspelt name.
//!
//! The names without a prefix are those of the app, whose `.env` files work unchanged. A name that begins with
//! `POSADA_` can only be meant for us, so an unknown one is an error; everything else that a process carries in its
//! environment is none of our business.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::SettingsBuilder;
use super::service::Services;
use super::sourced::{Fault, nearest};
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
    pub(super) read: Reader,
}

/// Puts a text into its place. It gets the name, so that errors can blame it.
pub(super) type Reader = fn(&mut SettingsBuilder, &'static str, &str) -> Result<(), Fault>;

/// Names with this beginning are ours alone, so an unknown one is a misspelling.
const OURS: &str = "POSADA_";
/// Names with this beginning belong to posada's own tests.
const FOR_TESTS: &str = "POSADA_TEST_";

impl Variable {
    /// The table of all variables as Markdown, for SETTINGS.md and the command line.
    pub fn markdown() -> String {
        let mut table = "| variable | meaning | default |\n|---|---|---|\n".to_owned();
        for Self {
            name, what, default, ..
        } in Self::ALL
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
        Self::ALL
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
        Variable::ALL
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Settings;

    fn from(vars: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_vars(vars.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn every_documented_default_is_the_real_one() {
        let set: Vec<_> = Variable::ALL
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
        for (position, variable) in Variable::ALL.iter().enumerate() {
            assert_eq!(variable.name, variable.name.to_ascii_uppercase());
            assert!(
                Variable::ALL
                    .iter()
                    .skip(position + 1)
                    .all(|other| other.name != variable.name)
            );
        }
    }

    #[test]
    fn the_markdown_table_has_one_row_for_each_variable() {
        let table = Variable::markdown();
        assert_eq!(table.lines().count(), Variable::ALL.len() + 2);
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
        let vars: Vec<_> = Variable::ALL
            .iter()
            .map(|variable| (variable.name, " "))
            .collect();
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
            ("PMS_TYPE", "opera", "mock, qloapps or custom"),
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
