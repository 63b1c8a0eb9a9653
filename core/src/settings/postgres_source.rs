//! From variables and builder options to Postgres settings.
//!
//! The first of these that is there says where Postgres is: the URL of the code, `DATABASE_URL`, `POSTGRES_URL`,
//! `POSTGRES_HOST` with its companions, `SUPABASE_DATABASE_URL`. Pool, pooler and deadlines come from variables of
//! their own, whatever says where.

use std::path::PathBuf;
use std::time::Duration;

use super::dsn::redacted;
use super::postgres_rules::{check_host, check_name};
use super::postgres_url::{self, Parts, root_certificate};
use super::sourced::{Fault, Slot, Sourced};
use super::{Pooling, PostgresSettings, Secret, Store, TlsMode};
use crate::error::{Error, Result, codes};

/// What the app uses when nothing is configured. In its `.env` files it stands beside `POSTGRES_HOST` and the other
/// parts, and the app follows the parts then.
const PLACEHOLDER: &str = "postgres:postgres@localhost:5432/postgres";
/// What Supabase's plans leave for one process of an app with `USE_SUPABASE=true`.
const SUPABASE_POOL: u32 = 2;
/// More connections than any one process can use.
const MOST_CONNECTIONS: u32 = 1000;

/// Everything that was said about Postgres.
#[derive(Debug, Clone, Default)]
pub(super) struct PostgresSource {
    /// From code; before every variable.
    pub(super) url: Slot<Secret>,
    pub(super) database_url: Slot<Secret>,
    pub(super) postgres_url: Slot<Secret>,
    pub(super) supabase_url: Slot<Secret>,
    /// This and the next four are taken verbatim.
    pub(super) host: Slot<String>,
    pub(super) port: Slot<u16>,
    pub(super) database: Slot<String>,
    pub(super) user: Slot<String>,
    pub(super) password: Slot<Secret>,
    /// This and the next fill what the URL leaves open.
    pub(super) tls: Slot<TlsMode>,
    pub(super) root_certificate: Slot<PathBuf>,
    pub(super) pooler: Slot<Pooler>,
    pub(super) pool_size: Slot<u32>,
    pub(super) max_overflow: Slot<u32>,
    pub(super) use_supabase: Slot<bool>,
    pub(super) acquire_timeout: Slot<Duration>,
    pub(super) statement_timeout: Slot<Duration>,
}

/// `POSTGRES_POOLER`: what to believe about a pooler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooler {
    /// What host, port and URL let suppose.
    Auto,
    /// This, whatever the URL looks like.
    Known(Pooling),
}

impl Pooler {
    /// Reads the word.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "session" => Ok(Self::Known(Pooling::Session)),
            "transaction" => Ok(Self::Known(Pooling::Transaction)),
            _ => Err("must be auto, session or transaction".into()),
        }
    }
}

impl PostgresSource {
    /// The store that was configured; `None` when nothing was.
    pub(super) fn resolve(&self) -> Result<Option<Store<PostgresSettings>>> {
        // Checked even when the store is memory: a wrong value should not wait for the day of the first server.
        let pool_size = self
            .pool_size
            .within(1..=MOST_CONNECTIONS, PostgresSettings::DEFAULT_POOL_SIZE)?;
        let max_overflow = self
            .max_overflow
            .within(0..=MOST_CONNECTIONS, PostgresSettings::DEFAULT_MAX_OVERFLOW)?;
        let deadlines = Duration::from_millis(10)..=Duration::from_mins(5);
        let acquire_timeout = self
            .acquire_timeout
            .within(deadlines.clone(), PostgresSettings::DEFAULT_ACQUIRE_TIMEOUT)?;
        let statement_timeout = self
            .statement_timeout
            .within(deadlines, PostgresSettings::DEFAULT_STATEMENT_TIMEOUT)?;
        let Some((field, shown, parts)) = self.parts()? else {
            return Ok(None);
        };
        let Some(parts) = parts else {
            return Ok(Some(Store::Memory));
        };
        let use_supabase = self.use_supabase.value().copied().unwrap_or(false);
        let mut settings = self
            .completed(parts)?
            .settings(use_supabase)
            .map_err(|fault| fault.blame(field).with("url", shown))?;
        settings.pool_size = pool_size;
        settings.max_overflow = max_overflow;
        settings.acquire_timeout = acquire_timeout;
        settings.statement_timeout = statement_timeout;
        if use_supabase && settings.is_supabase() {
            settings.pool_size = pool_size.min(SUPABASE_POOL);
            settings.max_overflow = max_overflow.min(SUPABASE_POOL);
        }
        if let Some(Pooler::Known(pooling)) = self.pooler.value() {
            settings.pooling = *pooling;
        }
        Ok(Some(Store::Server(settings)))
    }

    /// The first source that says something: its name, what may be shown of it, and its parts (`None` for memory).
    fn parts(&self) -> Result<Option<(&'static str, String, Option<Parts>)>> {
        let has_all_parts = self.host.get().is_some()
            && self.port.get().is_some()
            && self.database.get().is_some()
            && self.user.get().is_some()
            && self.password.get().is_some();
        let urls = [&self.url, &self.database_url, &self.postgres_url];
        let url = urls
            .into_iter()
            .filter_map(Slot::get)
            .find(|url| !(has_all_parts && is_placeholder(url)));
        if let Some(url) = url {
            return read_url(url).map(Some);
        }
        if let Some(host) = self.host.get() {
            // Each part blames its own variable; what concerns several blames the host's.
            check_host(&host.value).map_err(|fault| fault.blame(host.field))?;
            for name in [&self.user, &self.database].into_iter().filter_map(Slot::get) {
                check_name(&name.value).map_err(|fault| fault.blame(name.field))?;
            }
            let parts = Parts {
                host: Some(host.value.clone()),
                port: self.port.value().copied(),
                user: self.user.value().cloned(),
                password: self.password.value().cloned(),
                database: self.database.value().cloned(),
                ..Parts::default()
            };
            let shown = format!("postgresql://***@{}", host.value);
            return Ok(Some((host.field, shown, Some(parts))));
        }
        if let Some(url) = self.supabase_url.get() {
            return read_url(url).map(Some);
        }
        let lonely = [
            self.port.get().map(|given| given.field),
            self.database.get().map(|given| given.field),
            self.user.get().map(|given| given.field),
            self.password.get().map(|given| given.field),
        ];
        match lonely.into_iter().flatten().next() {
            None => Ok(None),
            Some(part) => Err(Error::field_invalid(
                codes::SETTINGS_MISSING,
                "POSTGRES_HOST",
                format_args!("is needed because {part} is set; set it, or DATABASE_URL"),
            )),
        }
    }

    /// Adds what was said beside the URL; the URL's own options come first.
    fn completed(&self, mut parts: Parts) -> Result<Parts> {
        parts.tls = parts.tls.or(self.tls.value().copied());
        if parts.root_certificate.is_none()
            && let Some(path) = self.root_certificate.get()
        {
            let text = path.value.to_string_lossy();
            let root = root_certificate(&text).map_err(|fault| fault.blame(path.field))?;
            parts.root_certificate = Some(root);
        }
        Ok(parts)
    }
}

/// Reads one URL; the answer is as that of [`PostgresSource::parts`].
fn read_url(url: &Sourced<Secret>) -> Result<(&'static str, String, Option<Parts>)> {
    let text = url.value.expose().trim();
    let shown = redacted(text);
    if is_memory(text) {
        return Ok((url.field, shown, None));
    }
    match postgres_url::parse(text) {
        Ok(parts) => Ok((url.field, shown, Some(parts))),
        Err(fault) => Err(fault.blame(url.field).with("url", shown)),
    }
}

/// Whether a URL chooses the store in this process.
pub(super) fn is_memory(url: &str) -> bool {
    url.eq_ignore_ascii_case("memory:") || url.eq_ignore_ascii_case("memory://")
}

/// Whether a URL is the app's default, in any of the spellings that the app turns into one.
fn is_placeholder(url: &Sourced<Secret>) -> bool {
    url.value
        .expose()
        .trim()
        .split_once("://")
        .is_some_and(|(scheme, rest)| {
            matches!(scheme, "postgres" | "postgresql" | "postgresql+asyncpg") && rest == PLACEHOLDER
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn from(vars: &[(&str, &str)]) -> Result<Store<PostgresSettings>> {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings::from_vars(vars).map(|settings| settings.postgres().clone())
    }

    fn server(vars: &[(&str, &str)]) -> PostgresSettings {
        match from(vars) {
            Ok(Store::Server(settings)) => settings,
            other => panic!("{vars:?}: {other:?}"),
        }
    }

    const PARTS: [(&str, &str); 5] = [
        ("POSTGRES_HOST", "aws-0-us-east-1.pooler.supabase.com"),
        ("POSTGRES_PORT", "6543"),
        ("POSTGRES_DB", "postgres"),
        ("POSTGRES_USER", "postgres.xxxxxxxxxxxxx"),
        ("POSTGRES_PASSWORD", "p@ss/w:rd%23 #?"),
    ];

    #[test]
    fn the_parts_of_the_setup_guide_are_taken_as_they_are() {
        let settings = server(&PARTS);
        assert_eq!(settings.host, "aws-0-us-east-1.pooler.supabase.com");
        assert_eq!((settings.port, settings.database.as_str()), (6543, "postgres"));
        assert_eq!(settings.user, "postgres.xxxxxxxxxxxxx");
        assert_eq!(settings.password, Some(Secret::new("p@ss/w:rd%23 #?")));
        assert_eq!(
            (settings.tls, settings.pooling),
            (TlsMode::Require, Pooling::Transaction)
        );
    }

    #[test]
    fn the_first_url_wins_over_the_parts_and_the_parts_over_supabases() {
        let urls = [
            ("DATABASE_URL", "postgres://one/db"),
            ("POSTGRES_URL", "postgres://two/db"),
            ("POSTGRES_HOST", "three"),
            ("SUPABASE_DATABASE_URL", "postgres://four/db"),
        ];
        for (skipped, host) in ["one", "two", "three", "four"].into_iter().enumerate() {
            assert_eq!(server(urls.get(skipped..).unwrap()).host, host);
        }
        assert_eq!(from(&[]).unwrap(), Store::Memory);
    }

    #[test]
    fn the_apps_default_url_gives_way_to_complete_parts_as_in_the_app() {
        let default = (
            "POSTGRES_URL",
            "postgresql+asyncpg://postgres:postgres@localhost:5432/postgres",
        );
        let mut vars = PARTS.to_vec();
        vars.push(default);
        assert_eq!(server(&vars).port, 6543);
        assert_eq!(
            server(&[default, ("POSTGRES_HOST", "db.example.com")]).host,
            "localhost"
        );
    }

    #[test]
    fn a_part_without_a_host_is_a_mistake_and_not_memory() {
        for part in [
            "POSTGRES_PORT",
            "POSTGRES_DB",
            "POSTGRES_USER",
            "POSTGRES_PASSWORD",
        ] {
            let error = from(&[(part, "1")]).unwrap_err();
            assert!(error.is(codes::SETTINGS_MISSING), "{error}");
            assert_eq!(error.field(), Some("POSTGRES_HOST"));
            assert!(error.message().contains(part), "{error}");
        }
        assert_eq!(
            from(&[("POSTGRES_DB", "x"), ("DATABASE_URL", "memory:")]).unwrap(),
            Store::Memory
        );
    }

    #[test]
    fn a_host_that_is_more_than_a_host_is_refused() {
        for host in ["db:5432", "postgres://db", "ana@db", "a,b", "a b"] {
            let error = from(&[("POSTGRES_HOST", host)]).unwrap_err();
            assert_eq!(error.field(), Some("POSTGRES_HOST"), "{error}");
        }
        assert_eq!(server(&[("POSTGRES_HOST", "::1")]).host, "::1");
        assert!(server(&[("POSTGRES_HOST", "/run/postgresql")]).is_socket());
    }

    #[test]
    fn a_name_with_a_line_break_blames_its_own_variable() {
        for field in ["POSTGRES_USER", "POSTGRES_DB"] {
            for (value, says) in [
                ("hotel\n", "line break"),
                ("hotel\r\n", "line break"),
                ("ho\ttel", "control characters"),
            ] {
                let error = from(&[("POSTGRES_HOST", "db.example.com"), (field, value)]).unwrap_err();
                assert_eq!(error.field(), Some(field), "{error}");
                assert!(error.message().contains(says), "{error}");
            }
        }
        let error = from(&[("DATABASE_URL", "postgres://ana%0A@h/db")]).unwrap_err();
        assert_eq!(error.field(), Some("DATABASE_URL"));
        assert!(
            error.message().contains("the user ends with a line break"),
            "{error}"
        );
    }

    #[test]
    fn the_pool_has_the_sizes_of_the_variables() {
        let settings = server(&[
            ("DATABASE_URL", "postgres://h/db"),
            ("POSTGRES_POOL_SIZE", "5"),
            ("POSTGRES_MAX_OVERFLOW", "0"),
            ("POSADA_POSTGRES_ACQUIRE_TIMEOUT", "30"),
            ("POSADA_POSTGRES_STATEMENT_TIMEOUT", "0.5"),
        ]);
        assert_eq!((settings.pool_size, settings.max_overflow), (5, 0));
        assert_eq!(settings.acquire_timeout, Duration::from_secs(30));
        assert_eq!(settings.statement_timeout, Duration::from_millis(500));
    }

    #[test]
    fn use_supabase_caps_the_pool_at_two_and_two() {
        for (url, given, pool) in [
            ("postgres://x.pooler.supabase.com:6543/db", "10", (2, 2)),
            ("postgres://x.pooler.supabase.com:6543/db", "1", (1, 1)),
            ("postgres://h/db", "10", (10, 10)),
        ] {
            let settings = server(&[
                ("DATABASE_URL", url),
                ("USE_SUPABASE", "true"),
                ("POSTGRES_POOL_SIZE", given),
                ("POSTGRES_MAX_OVERFLOW", given),
            ]);
            assert_eq!((settings.pool_size, settings.max_overflow), pool, "{url} {given}");
        }
    }

    #[test]
    fn use_supabase_asks_for_tls_on_hosts_of_another_name_unless_told_otherwise() {
        let with = |url| server(&[("DATABASE_URL", url), ("USE_SUPABASE", "1")]).tls;
        assert_eq!(with("postgres://db.hotel.example/db"), TlsMode::Require);
        assert_eq!(with("postgres://localhost/db?sslmode=disable"), TlsMode::Disable);
    }

    #[test]
    fn what_is_known_of_the_pooler_wins_over_what_the_url_looks_like() {
        let with = |url, pooler| server(&[("DATABASE_URL", url), ("POSTGRES_POOLER", pooler)]).pooling;
        assert_eq!(with("postgres://h:6543/db", "session"), Pooling::Session);
        assert_eq!(with("postgres://h:5432/db", "Transaction"), Pooling::Transaction);
        assert_eq!(with("postgres://h:6543/db", "auto"), Pooling::Transaction);
    }

    #[test]
    fn protection_said_beside_the_url_fills_what_the_url_leaves_open() {
        let with = |url| server(&[("DATABASE_URL", url), ("POSADA_POSTGRES_SSLMODE", "verify-full")]).tls;
        assert_eq!(with("postgres://h/db"), TlsMode::VerifyFull);
        assert_eq!(with("postgres://h/db?sslmode=verify-ca"), TlsMode::VerifyCa);
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut vars = PARTS.to_vec();
        vars.push(("POSADA_POSTGRES_SSLROOTCERT", path));
        let settings = server(&vars);
        assert_eq!(settings.tls, TlsMode::VerifyFull);
        assert_eq!(settings.root_certificate.as_deref(), Some(file.path()));
    }

    #[test]
    fn a_wrong_url_blames_its_own_variable_and_shows_only_the_scheme() {
        for field in ["DATABASE_URL", "POSTGRES_URL", "SUPABASE_DATABASE_URL"] {
            let error = from(&[(field, "postgresql+asyncpg://ana:s3/cret@h/db")]).unwrap_err();
            assert_eq!(error.field(), Some(field));
            assert_eq!(error.fact("url"), Some("postgresql://***"));
            assert!(!format!("{error} {error:?}").contains("s3"), "{error:?}");
        }
        let error = Settings::builder().postgres_url("h").build().unwrap_err();
        assert_eq!(error.field(), Some("postgres_url"));
    }
}
