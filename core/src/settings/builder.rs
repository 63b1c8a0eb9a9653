//! Collects settings from code and from variables, and checks them once, at the end.

use std::path::PathBuf;
use std::time::Duration;

use super::given::{Fault, Slot};
use super::pms::{PmsSource, PmsType};
use super::postgres_source::{Pooler, PostgresSource};
use super::redis_source::RedisSource;
use super::{ADVICE, Environment, Pooling, Secret, Settings, Store, TlsMode, variables};
use crate::TenantId;
use crate::error::{Error, Result, codes};

/// Makes [`Settings`]. Every option has a default; [`build`](SettingsBuilder::build) checks all of them.
///
/// What code sets wins over what [`vars`](SettingsBuilder::vars) reads, whatever the order.
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
    pub(super) jwt_expiry: Slot<Duration>,
    pub(super) default_tenant: Slot<TenantId>,
    pub(super) snapshot_dir: Slot<PathBuf>,
    pub(super) session_ttl: Slot<Duration>,
    pub(super) tenant_cache_fresh: Slot<Duration>,
    pub(super) tenant_cache_stale: Slot<Duration>,
    pub(super) tenant_cache_negative: Slot<Duration>,
    pub(super) flags_poll: Slot<Duration>,
    pub(super) hold_ttl: Slot<Duration>,
    pub(super) hold_extension: Slot<Duration>,
    pub(super) hold_max_extensions: Slot<u32>,
    /// Names of variables that nobody wrote.
    pub(super) service_variables: Vec<String>,
    pub(super) close_deadline: Slot<Duration>,
}

/// The setters, one line each: documentation, name, type, place.
macro_rules! setters {
    ($($(#[$doc:meta])* $option:ident: $type:ty => $($place:ident).+;)*) => {
        impl SettingsBuilder {$(
            $(#[$doc])*
            #[must_use]
            pub fn $option(mut self, value: $type) -> Self {
                self.$($place).+.set_by_code(stringify!($option), value);
                self
            }
        )*}
    };
}

setters! {
    /// The kind of installation. Default: development.
    environment: Environment => environment;
    /// The Postgres URL, or `memory:`. Default: memory, except in production.
    postgres_url: impl Into<Secret> => postgres.url;
    /// Connections that are kept, 1 to 1000. Default: 10.
    postgres_pool_size: u32 => postgres.pool_size;
    /// Connections beyond those, 0 to 1000. Default: 10.
    postgres_max_overflow: u32 => postgres.max_overflow;
    /// libpq's `sslmode` where the URL does not say it.
    postgres_sslmode: TlsMode => postgres.tls;
    /// A file of root certificates where the URL does not say `sslrootcert`.
    postgres_root_certificate: impl Into<PathBuf> => postgres.root_certificate;
    /// Longest wait for a connection of the pool, 10 ms to 5 minutes. Default: 3 seconds.
    postgres_acquire_timeout: Duration => postgres.acquire_timeout;
    /// Longest time of one statement or transaction, 10 ms to 5 minutes. Default: 5 seconds.
    postgres_statement_timeout: Duration => postgres.statement_timeout;
    /// Whether Postgres is Supabase: at most 2 + 2 connections there, and TLS by default on any host.
    use_supabase: bool => postgres.use_supabase;
    /// The Redis URL, or `memory:`. Default: memory, except in production.
    redis_url: impl Into<Secret> => redis.url;
    /// Password of Redis where the URL has none.
    redis_password: impl Into<Secret> => redis.password;
    /// Longest time to make a connection to Redis, 10 ms to 1 minute. Default: 1 second.
    redis_connect_timeout: Duration => redis.connect_timeout;
    /// Longest time of one Redis command, reconnection included, 10 ms to 1 minute. Default: 1 second.
    redis_command_timeout: Duration => redis.command_timeout;
    /// The hotel that is meant when a call names none. Default: 1.
    pms_hotel_id: u64 => pms.hotel_id;
    /// Longest time of a question to the PMS about what is stored, 100 ms to 5 minutes. Default: 10 seconds.
    pms_timeout: Duration => pms.timeout;
    /// Longest time of a question about free rooms and prices, 100 ms to 5 minutes. Default: 20 seconds.
    pms_availability_timeout: Duration => pms.availability_timeout;
    /// Longest time of a request that changes something in the PMS, and of looking for a booking whose answer was
    /// lost; 100 ms to 5 minutes. Default: 60 seconds.
    pms_booking_timeout: Duration => pms.booking_timeout;
    /// Most requests at a time to the PMS, of each kind, 1 to 1000. Default: 32.
    pms_max_concurrent: u32 => pms.max_concurrent;
    /// Most requests a second to the PMS, of this process, 1 to 100,000. Default: 100.
    pms_max_rate: u32 => pms.max_rate;
    /// Failures in a row that stop the requests of a kind to the PMS, 1 to 1000. Default: 5.
    pms_breaker_failures: u32 => pms.breaker_failures;
    /// Time for which they stop before one caller tries again, 100 ms to 1 hour. Default: 30 seconds.
    pms_breaker_pause: Duration => pms.breaker_pause;
    /// Age up to which availability is answered without asking the PMS, at most 24 hours; zero asks every time.
    /// Default: 300 seconds.
    pms_availability_fresh: Duration => pms.availability_fresh;
    /// The same for hotels and room types. Default: 3600 seconds.
    pms_room_types_fresh: Duration => pms.room_types_fresh;
    /// Key that signs tokens; in production random and at least 32 bytes.
    secret_key: impl Into<Secret> => secret_key;
    /// Life of an access token, 1 minute to 30 days. Default: 60 minutes.
    jwt_expiry: Duration => jwt_expiry;
    /// Tenant of identifiers that belong to none. Default: none, so that no guest reaches the wrong hotel.
    default_tenant: TenantId => default_tenant;
    /// Folder for snapshots of tenants and flags. Default: none are written.
    snapshot_dir: impl Into<PathBuf> => snapshot_dir;
    /// Life of a conversation after its last write, 1 second to 30 days. Default: 1800 seconds.
    session_ttl: Duration => session_ttl;
    /// Age up to which a resolved tenant is served without asking Postgres, at most 24 hours. Default: 300 seconds.
    tenant_cache_fresh: Duration => tenant_cache_fresh;
    /// Age up to which a resolved tenant is served while Postgres fails, at most 30 days and not less than
    /// `tenant_cache_fresh`. Default: 24 hours.
    tenant_cache_stale: Duration => tenant_cache_stale;
    /// Time for which an unknown identifier is remembered as unknown, at most 1 hour. Default: 30 seconds.
    tenant_cache_negative: Duration => tenant_cache_negative;
    /// Longest time between two looks at the flags in Redis, 1 to 30 seconds. Default: 30 seconds.
    flags_poll: Duration => flags_poll;
    /// Life of a stay hold, 1 second to 24 hours. Default: 1200 seconds.
    hold_ttl: Duration => hold_ttl;
    /// The most that one extension adds to a stay hold, 1 second to 24 hours. Default: 600 seconds.
    hold_extension: Duration => hold_extension;
    /// How often a stay hold may be extended, at most 100 times. Default: twice.
    hold_max_extensions: u32 => hold_max_extensions;
    /// Longest time that `close()` waits for work under way, at most 5 minutes. Default: 10 seconds.
    close_deadline: Duration => close_deadline;
}

impl SettingsBuilder {
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
        let second = Duration::from_secs(1);
        let day = Duration::from_hours(24);
        let month = Duration::from_hours(30 * 24);
        let tenant_cache_fresh = self
            .tenant_cache_fresh
            .within(Duration::ZERO..=day, Settings::DEFAULT_TENANT_CACHE_FRESH)?;
        Ok(Settings {
            environment,
            postgres,
            redis: chosen(self.redis.resolve()?, environment, "REDIS_URL", "redis_url")
                .map_err(|error| self.remind(error, "REDIS_PORT"))?,
            pms: self.pms.resolve(environment)?,
            secret_key: self.checked_secret_key(environment)?,
            jwt_expiry: self
                .jwt_expiry
                .within(Duration::from_mins(1)..=month, Settings::DEFAULT_JWT_EXPIRY)?,
            session_ttl: self
                .session_ttl
                .within(second..=month, Settings::DEFAULT_SESSION_TTL)?,
            tenant_cache_fresh,
            tenant_cache_stale: self.tenant_cache_stale.within(
                tenant_cache_fresh..=month,
                Settings::DEFAULT_TENANT_CACHE_STALE.max(tenant_cache_fresh),
            )?,
            tenant_cache_negative: self.tenant_cache_negative.within(
                Duration::ZERO..=Duration::from_hours(1),
                Settings::DEFAULT_TENANT_CACHE_NEGATIVE,
            )?,
            flags_poll: self
                .flags_poll
                .within(second..=Duration::from_secs(30), Settings::DEFAULT_FLAGS_POLL)?,
            hold_ttl: self.hold_ttl.within(second..=day, Settings::DEFAULT_HOLD_TTL)?,
            hold_extension: self
                .hold_extension
                .within(second..=day, Settings::DEFAULT_HOLD_EXTENSION)?,
            hold_max_extensions: self
                .hold_max_extensions
                .within(0..=100, Settings::DEFAULT_HOLD_MAX_EXTENSIONS)?,
            close_deadline: self.close_deadline.within(
                Duration::ZERO..=Duration::from_mins(5),
                Settings::DEFAULT_CLOSE_DEADLINE,
            )?,
            default_tenant: self.default_tenant.value().cloned(),
            snapshot_dir: self.snapshot_dir.value().cloned(),
            service_variables: self.service_variables,
        })
    }

    /// Adds to the error of a store that nobody named that a variable of a service does not name it.
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

/// The store, or memory if nobody said anything. Production wants to be told, because there a forgotten variable
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
    use super::*;

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
            pms: QloApps(QloAppsSettings { base_url: \"http://h\", api_key: ***, hotel_id: 9, timeout: 10s, \
            limits: PmsLimits { availability_timeout: 20s, booking_timeout: 21s, max_concurrent: 22, max_rate: 23, \
            breaker_failures: 24, breaker_pause: 25s, availability_fresh: 26s, room_types_fresh: 27s } }), \
            secret_key: Some(***), jwt_expiry: 900s, default_tenant: Some(TenantId(\"default\")), \
            snapshot_dir: Some(\"/var/lib/posada\"), session_ttl: 11s, tenant_cache_fresh: 12s, \
            tenant_cache_stale: 13s, tenant_cache_negative: 14s, flags_poll: 15s, hold_ttl: 16s, \
            hold_extension: 17s, hold_max_extensions: 18, close_deadline: 19s, \
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
