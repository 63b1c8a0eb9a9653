//! Collects settings from code and from variables, and checks them once, at the end.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::pms::{PmsSource, PmsType};
use super::postgres_source::{Pooler, PostgresSource};
use super::redis_source::RedisSource;
use super::sourced::{Fault, Slot};
use super::table::GivenValues;
use super::{ADVICE, Environment, Pooling, Secret, Settings, Store, variables};
use crate::TenantId;
use crate::error::{Error, Result, codes};

/// Makes [`Settings`]. Every option has a default; [`build`](SettingsBuilder::build) checks all of them.
///
/// What code sets wins over what [`vars`](SettingsBuilder::vars) reads, whatever the order. The options stand with
/// their variables in `settings/table.rs`.
///
/// ```
/// use std::time::Duration;
/// use posada::Settings;
/// let settings = Settings::builder()
///     .redis_url("rediss+sentinel://:s3cret@one.example.com,two.example.com/mymaster/0")
///     .session_ttl(Duration::from_mins(15))
///     .build()?;
/// assert_eq!(settings.session_ttl(), Duration::from_mins(15));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SettingsBuilder {
    pub(super) environment: Slot<Environment>,
    pub(super) postgres: PostgresSource,
    pub(super) redis: RedisSource,
    pub(super) pms: PmsSource,
    pub(super) secret_key: Slot<Secret>,
    pub(super) previous_key: Slot<Secret>,
    pub(super) previous_key_until: Slot<DateTime<Utc>>,
    pub(super) default_tenant: Slot<TenantId>,
    pub(super) snapshot_dir: Slot<PathBuf>,
    pub(super) values: GivenValues,
    /// Of variables that are only checked.
    pub(super) checked: Slot<()>,
    /// Names of variables that a service put there, not a person.
    pub(super) service_variables: Vec<String>,
}

impl SettingsBuilder {
    /// The Postgres URL, or `memory:`, before all variables. Default: memory, except in production.
    #[must_use]
    pub fn postgres_url(mut self, value: impl Into<Secret>) -> Self {
        self.postgres.url.set_by_code("postgres_url", value);
        self
    }

    /// What stands before Postgres, whatever the URL looks like. Default: `Transaction` on
    /// ports 6543 and 6432 and with `pgbouncer=true` in the URL, else `Session`.
    #[must_use]
    pub fn postgres_pooler(mut self, pooling: Pooling) -> Self {
        let known = Pooler::Known(pooling);
        self.postgres.pooler.set_by_code("postgres_pooler", known);
        self
    }

    /// The mock: a small hotel in memory. The default, except in production.
    #[must_use]
    pub fn pms_mock(mut self) -> Self {
        self.pms.kind.set_by_code("pms_mock", PmsType::Mock);
        self
    }

    /// QloApps at this address (`http://` or `https://`) with this key of its web service.
    #[must_use]
    pub fn pms_qloapps(mut self, base_url: impl Into<String>, api_key: impl Into<Secret>) -> Self {
        self.pms.kind.set_by_code("pms_qloapps", PmsType::QloApps);
        self.pms.base_url.set_by_code("pms_qloapps.base_url", base_url);
        self.pms.api_key.set_by_code("pms_qloapps.api_key", api_key);
        self
    }

    /// A system that the program gives to [`PosadaBuilder::pms`](crate::PosadaBuilder::pms). Building without one is
    /// refused, so that no booking lands in the mock because it was forgotten.
    #[must_use]
    pub fn pms_custom(mut self) -> Self {
        self.pms.kind.set_by_code("pms_custom", PmsType::Custom);
        self
    }

    /// Reads variables as [`Settings::from_vars`] does, so that code can add to them.
    ///
    /// # Errors
    /// `settings.invalid` when a variable cannot be read, `settings.unknown` for an unknown `POSADA_…`.
    pub fn vars(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        variables::read(&mut self, vars)?;
        Ok(self)
    }

    /// Checks everything and makes the settings. Nothing connects; the one thing that is looked up is whether the file
    /// of `sslrootcert` exists.
    ///
    /// # Errors
    /// `settings.*`; the field is the option or variable, and the message says what would be right.
    pub fn build(self) -> Result<Settings> {
        let environment = self.environment.value().copied().unwrap_or_default();
        let postgres = chosen(
            self.postgres.resolve()?,
            environment,
            "DATABASE_URL",
            "postgres_url",
        )
        .map_err(|error| self.remind(error, "POSTGRES_PORT"))?;
        if !self.service_variables.is_empty() {
            let names = self.service_variables.join(", ");
            tracing::info!(%names, "variables that Kubernetes or Docker made for a service are not read");
        }
        if environment.is_production()
            && let Store::Server(server) = &postgres
            && let Some(weakness) = server.weakness()
        {
            tracing::warn!(host = %server.host, sslmode = %server.tls, "{weakness}");
        }
        Ok(Settings {
            environment,
            postgres,
            redis: chosen(self.redis.resolve()?, environment, "REDIS_URL", "redis_url")
                .map_err(|error| self.remind(error, "REDIS_PORT"))?,
            pms: self.pms.resolve(environment)?,
            pms_limits: self.pms.limits()?,
            secret_key: self.checked_secret_key(environment)?,
            previous_key: self.checked_previous_key(environment)?,
            values: self.values.resolve()?,
            default_tenant: self.default_tenant.value().cloned(),
            snapshot_dir: self.snapshot_dir.value().cloned(),
            service_variables: self.service_variables,
        })
    }

    /// Adds to the error of a store that was not named that a variable of a service does not name it.
    fn remind(&self, error: Error, made: &'static str) -> Error {
        if !self
            .service_variables
            .iter()
            .any(|name| name.eq_ignore_ascii_case(made))
        {
            return error;
        }
        let field = error.field().unwrap_or_default().to_owned();
        let message = format!(
            "{} ({made} was made by Kubernetes or Docker for a service of that name and is not read)",
            error.message()
        );
        Error::new(codes::SETTINGS_MISSING, message).with("field", field)
    }

    fn checked_secret_key(&self, environment: Environment) -> Result<Option<Secret>> {
        let Some(key) = self.secret_key.get() else {
            return Ok(None);
        };
        check_signing_key(environment, key.field, &key.value)?;
        Ok(Some(key.value.clone()))
    }
}

impl SettingsBuilder {
    fn checked_previous_key(&self, environment: Environment) -> Result<Option<(Secret, DateTime<Utc>)>> {
        let Some(key) = self.previous_key.get() else {
            return Ok(None);
        };
        check_signing_key(environment, key.field, &key.value)?;
        // A key that verifies for ever is what a change of keys is meant to end.
        let until = self.previous_key_until.value().ok_or_else(|| {
            Error::field_invalid(
                codes::SETTINGS_MISSING,
                "POSADA_PREVIOUS_SECRET_KEY_UNTIL",
                "is needed with POSADA_PREVIOUS_SECRET_KEY; set it to a time such as 2026-12-31T00:00:00Z",
            )
        })?;
        Ok(Some((key.value.clone(), *until)))
    }
}

/// The shortest key that signs tokens in production, in bytes: as long as what HS256 makes of it.
pub(crate) const SHORTEST_SECRET_KEY: usize = 32;

/// Whether a key may sign or verify tokens. Development takes any but an empty one, as the app does, and says in the
/// log what production would refuse.
pub(super) fn check_signing_key(environment: Environment, field: &'static str, key: &Secret) -> Result<()> {
    if key.expose().is_empty() {
        let fault = Fault::dummy_secret(format!("must not be empty; {ADVICE}"));
        return Err(fault.blame(field));
    }
    if environment.is_production() {
        return key
            .check_strength(SHORTEST_SECRET_KEY)
            .map_err(|fault| fault.blame(field));
    }
    if let Some(weakness) = key.weakness(SHORTEST_SECRET_KEY) {
        tracing::warn!("{field} {weakness}; {ADVICE}");
    }
    Ok(())
}

/// The store, or memory if none is named. Production wants to be told, because there a forgotten variable
/// would be noticed only when every conversation is gone.
fn chosen<T>(
    store: Option<Store<T>>,
    environment: Environment,
    variable: &'static str,
    option: &str,
) -> Result<Store<T>> {
    match store {
        Some(store) => Ok(store),
        None if environment.is_production() => Err(Error::field_invalid(
            codes::SETTINGS_MISSING,
            variable,
            format_args!(
                "is needed in production (in code: {option}); set it to a server, or to memory: if everything may \
                 be forgotten with this process"
            ),
        )),
        None => Ok(Store::Memory),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::TlsMode;

    fn production() -> SettingsBuilder {
        Settings::builder()
            .environment(Environment::Production)
            .postgres_url("memory:")
            .redis_url("memory:")
            .pms_mock()
    }

    #[test]
    fn a_builder_without_options_makes_the_embedded_settings() {
        assert_eq!(
            format!("{:?}", Settings::builder().build().unwrap()),
            format!("{:?}", Settings::embedded())
        );
    }

    #[test]
    fn every_option_arrives() {
        let second = Duration::from_secs;
        let settings = Settings::builder()
            .environment(Environment::Staging)
            .postgres_url("postgres://h/db")
            .postgres_pool_size(3)
            .postgres_max_overflow(4)
            .postgres_sslmode(TlsMode::VerifyFull)
            .postgres_acquire_timeout(second(5))
            .postgres_statement_timeout(second(6))
            .postgres_pooler(Pooling::Transaction)
            .redis_url("redis://h")
            .redis_password("s3cret")
            .redis_connect_timeout(second(7))
            .redis_command_timeout(second(8))
            .pms_qloapps("http://h", "s3cret")
            .pms_hotel_id(9)
            .pms_timeout(second(10))
            .pms_availability_timeout(second(20))
            .pms_booking_timeout(second(21))
            .pms_max_concurrent(22)
            .pms_max_rate(23)
            .pms_breaker_failures(24)
            .pms_breaker_pause(second(25))
            .pms_availability_fresh(second(26))
            .pms_room_types_fresh(second(27))
            .secret_key("s3cret")
            .jwt_expiry(Duration::from_mins(15))
            .default_tenant(TenantId::parse("default").unwrap())
            .snapshot_dir("/var/lib/posada")
            .session_ttl(second(11))
            .tenant_cache_fresh(second(12))
            .tenant_cache_stale(second(13))
            .tenant_cache_negative(second(14))
            .flags_poll(second(15))
            .hold_ttl(second(16))
            .hold_extension(second(17))
            .hold_max_extensions(18)
            .close_deadline(second(19))
            .build()
            .unwrap();
        let expected = "Settings { environment: Staging, \
            postgres: Server(PostgresSettings { host: \"h\", port: 5432, database: \"db\", user: \"postgres\", \
            password: None, tls: VerifyFull, root_certificate: None, pooling: Transaction, pool_size: 3, \
            max_overflow: 4, connect_timeout: 5s, acquire_timeout: 5s, statement_timeout: 6s, \
            application_name: \"posada\" }), \
            redis: Server(RedisSettings { topology: Single(RedisNode { host: \"h\", port: 6379 }), tls: false, \
            root_certificate: None, client_certificate: None, username: None, password: Some(***), \
            sentinel_username: None, sentinel_password: None, database: 0, connect_timeout: 7s, command_timeout: 8s }), \
            pms: QloApps(QloAppsSettings { base_url: \"http://h\", api_key: ***, hotel_id: 9 }), \
            pms_limits: PmsLimits { timeout: 10s, availability_timeout: 20s, booking_timeout: 21s, max_concurrent: 22, max_rate: 23, \
            breaker_failures: 24, breaker_pause: 25s, availability_fresh: 26s, room_types_fresh: 27s }, \
            secret_key: Some(***), previous_key: None, default_tenant: Some(TenantId(\"default\")), \
            snapshot_dir: Some(\"/var/lib/posada\"), values: Values { jwt_expiry: 900s, session_ttl: 11s, \
            tenant_cache_fresh: 12s, tenant_cache_stale: 13s, tenant_cache_negative: 14s, flags_poll: 15s, \
            hold_ttl: 16s, hold_extension: 17s, hold_max_extensions: 18, close_deadline: 19s }, \
            service_variables: [] }";
        assert_eq!(format!("{settings:?}"), expected);
    }

    #[test]
    fn production_wants_to_be_told_where_its_stores_are() {
        let bare = || {
            Settings::builder()
                .environment(Environment::Production)
                .pms_mock()
        };
        let error = bare().redis_url("memory:").build().unwrap_err();
        assert!(error.is(codes::SETTINGS_MISSING));
        assert_eq!(error.field(), Some("DATABASE_URL"));
        let error = bare().postgres_url("memory:").build().unwrap_err();
        assert_eq!(error.field(), Some("REDIS_URL"));
        assert_eq!(*production().build().unwrap().postgres(), Store::Memory);
    }

    #[test]
    fn production_refuses_a_signing_key_that_can_be_guessed() {
        for key in [
            "generate_secure_key_here",
            "changeme",
            "generate_secure_key_here_generate_secure_key_here",
            "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3",
        ] {
            let error = production().secret_key(key).build().unwrap_err();
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{error}");
            assert_eq!(error.field(), Some("secret_key"));
            assert!(error.message().contains("openssl rand -hex 32"), "{error}");
            assert!(!format!("{error:?}").contains(key), "{error:?}");
            assert!(Settings::builder().secret_key(key).build().is_ok());
        }
        let good = "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3i";
        assert!(production().secret_key(good).build().is_ok());
    }

    #[test]
    fn a_previous_key_has_an_end_and_obeys_the_rules_of_the_one_that_signs() {
        let with = |builder: SettingsBuilder, key: &str, until: &str| {
            let vars = [
                ("POSADA_PREVIOUS_SECRET_KEY", key),
                ("POSADA_PREVIOUS_SECRET_KEY_UNTIL", until),
            ];
            let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
            builder.vars(vars).and_then(SettingsBuilder::build)
        };
        let good = "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3i";
        let settings = with(production(), good, "2026-12-31T01:00:00+01:00").unwrap();
        let (key, until) = settings.previous_key().unwrap();
        assert_eq!(
            (key.expose(), until.to_rfc3339()),
            (good, "2026-12-31T00:00:00+00:00".to_owned())
        );
        assert!(!format!("{settings:?}").contains(good));
        for (key, until, code, field) in [
            (
                good,
                "",
                codes::SETTINGS_MISSING,
                "POSADA_PREVIOUS_SECRET_KEY_UNTIL",
            ),
            (
                good,
                "2026-12-31",
                codes::SETTINGS_INVALID,
                "POSADA_PREVIOUS_SECRET_KEY_UNTIL",
            ),
            (
                good,
                "soon",
                codes::SETTINGS_INVALID,
                "POSADA_PREVIOUS_SECRET_KEY_UNTIL",
            ),
            (
                "changeme",
                "2026-12-31T00:00:00Z",
                codes::SETTINGS_DUMMY_SECRET,
                "POSADA_PREVIOUS_SECRET_KEY",
            ),
        ] {
            let error = with(production(), key, until).unwrap_err();
            assert!(error.is(code), "{error}");
            assert_eq!(error.field(), Some(field));
        }
        let unset = with(production(), "", "2026-12-31T00:00:00Z").unwrap();
        assert!(unset.previous_key().is_none());
    }

    #[test]
    fn development_takes_any_signing_key_but_an_empty_one() {
        for key in ["k", "generate_secure_key_here", "aB3dE5fG7hJ9kL2mN4pQ6rS8"] {
            assert!(Settings::builder().secret_key(key).build().is_ok(), "{key}");
        }
        for builder in [Settings::builder(), production()] {
            let error = builder.secret_key("").build().unwrap_err();
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{error}");
            assert_eq!(error.field(), Some("secret_key"));
        }
    }

    #[test]
    fn a_stale_answer_cannot_be_younger_than_a_fresh_one() {
        let builder = || Settings::builder().tenant_cache_fresh(Duration::from_mins(10));
        let error = builder()
            .tenant_cache_stale(Duration::from_mins(5))
            .build()
            .unwrap_err();
        assert_eq!(error.field(), Some("tenant_cache_stale"));
        let settings = builder().build().unwrap();
        assert_eq!(
            settings.tenant_cache_stale(),
            Settings::DEFAULT_TENANT_CACHE_STALE
        );
    }

    #[test]
    fn code_adds_to_variables_and_wins() {
        let vars = [
            ("DATABASE_URL".to_owned(), "postgres://variable/db".to_owned()),
            ("POSADA_SESSION_TTL".to_owned(), "60".to_owned()),
            ("POSADA_HOLD_TTL".to_owned(), "61".to_owned()),
        ];
        let settings = Settings::builder()
            .postgres_url("memory:")
            .vars(vars)
            .unwrap()
            .session_ttl(Duration::from_secs(62))
            .build()
            .unwrap();
        assert_eq!(*settings.postgres(), Store::Memory);
        assert_eq!(settings.session_ttl(), Duration::from_secs(62));
        assert_eq!(settings.hold_ttl(), Duration::from_secs(61));
    }
}
