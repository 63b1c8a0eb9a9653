//! Settings: how posada is told where its servers are and how it should behave.
//!
//! [`Settings::from_env`] reads the variables that the app has always read, plus `POSADA_…` for what is new;
//! [`Settings::builder`] takes the same things from code; [`Settings::embedded`] needs nothing. All three pass the
//! same checks, so a `Settings` that exists is usable. Nothing here connects, and nothing here shows a secret.
//!
//! ```
//! use posada::settings::{Settings, Store};
//! let settings = Settings::builder()
//!     .postgres_url("postgresql+asyncpg://ana:s3cret@db.example.com/hotels?sslmode=require")
//!     .build()?;
//! let Store::Server(postgres) = settings.postgres() else { unreachable!() };
//! assert_eq!((postgres.host.as_str(), postgres.port), ("db.example.com", 5432));
//! assert!(!format!("{settings:?}").contains("s3cret"));
//! # Ok::<(), posada::Error>(())
//! ```

mod builder;
mod dsn;
mod environment;
mod pms;
mod postgres_rules;
mod postgres_server;
mod postgres_source;
mod postgres_url;
mod redis_options;
mod redis_server;
mod redis_source;
mod redis_url;
mod secret;
mod service;
mod sourced;
mod table;
mod variables;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

pub(crate) use builder::SHORTEST_SECRET_KEY;
pub use builder::SettingsBuilder;
pub use environment::Environment;
pub use pms::{PmsLimits, PmsSettings, QloAppsSettings};
pub(crate) use postgres_server::is_this_machine;
pub use postgres_server::{Pooling, PostgresSettings, TlsMode};
pub use redis_server::{ClientCertificate, RedisNode, RedisSettings, RedisTopology};
pub(crate) use secret::ADVICE;
pub use secret::Secret;
#[doc(hidden)]
pub use table::{OptionSource, SettingValue};
pub use variables::Variable;

use crate::TenantId;
use crate::error::Result;

/// Where one kind of state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store<T> {
    /// In this process, and gone with it.
    Memory,
    /// On a server.
    Server(T),
}

/// Everything that posada must be told. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    environment: Environment,
    postgres: Store<PostgresSettings>,
    redis: Store<RedisSettings>,
    pms: PmsSettings,
    pms_limits: PmsLimits,
    secret_key: Option<Secret>,
    previous_key: Option<(Secret, DateTime<Utc>)>,
    default_tenant: Option<TenantId>,
    snapshot_dir: Option<PathBuf>,
    values: table::Values,
    service_variables: Vec<String>,
}

/// How settings are made.
impl Settings {
    /// Memory stores and the mock PMS, in development, with every default. Needs no server and cannot fail.
    pub fn embedded() -> Self {
        Self {
            environment: Environment::Development,
            postgres: Store::Memory,
            redis: Store::Memory,
            pms: PmsSettings::Mock,
            pms_limits: PmsLimits::default(),
            secret_key: None,
            previous_key: None,
            default_tenant: None,
            snapshot_dir: None,
            values: table::Values::default(),
            service_variables: Vec::new(),
        }
    }

    /// A builder with every default.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Reads the variables of this process.
    ///
    /// # Errors
    /// As [`from_vars`](Self::from_vars).
    pub fn from_env() -> Result<Self> {
        Self::from_vars(variables::as_text(std::env::vars_os())?)
    }

    /// Reads variables from any source, such as a file or a test. Names are case-insensitive, empty values count
    /// as unset, and names that are not posada's are ignored, as are the variables that Kubernetes and Docker make for
    /// a service (see [`service_variables`](Self::service_variables)).
    ///
    /// # Errors
    /// `settings.*`; the field is the variable, and the message says what would be right.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        Self::builder().vars(vars)?.build()
    }
}

/// What the settings say.
impl Settings {
    /// The kind of installation.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Variables with names like ours that were not read, because no person wrote them: Kubernetes makes `REDIS_PORT`
    /// and `POSADA_API_SERVICE_HOST` for services of those names, as did the links of Docker.
    pub fn service_variables(&self) -> &[String] {
        &self.service_variables
    }

    /// Where tenants, users and audit live.
    pub fn postgres(&self) -> &Store<PostgresSettings> {
        &self.postgres
    }

    /// Where conversations, flags, locks and counters live.
    pub fn redis(&self) -> &Store<RedisSettings> {
        &self.redis
    }

    /// The property management system.
    pub fn pms(&self) -> &PmsSettings {
        &self.pms
    }

    /// How much is asked of the property management system, whichever it is, and how patiently.
    pub fn pms_limits(&self) -> &PmsLimits {
        &self.pms_limits
    }

    /// Key that signs tokens, if sign-in is used.
    pub fn secret_key(&self) -> Option<&Secret> {
        self.secret_key.as_ref()
    }

    /// Another key that verifies tokens, and until when: the variables `POSADA_PREVIOUS_SECRET_KEY` and
    /// `POSADA_PREVIOUS_SECRET_KEY_UNTIL`. Code names such keys in
    /// [`AuthOptions::previous_keys`](crate::auth::AuthOptions::previous_keys); both count.
    pub fn previous_key(&self) -> Option<(&Secret, DateTime<Utc>)> {
        self.previous_key.as_ref().map(|(secret, until)| (secret, *until))
    }

    /// Whether another key may verify tokens, by the rules for the one that signs them.
    pub(crate) fn check_signing_key(&self, field: &'static str, key: &Secret) -> Result<()> {
        builder::check_signing_key(self.environment, field, key)
    }

    /// The tenant of identifiers that belong to none. `None` leaves them unknown, which is safer.
    pub fn default_tenant(&self) -> Option<&TenantId> {
        self.default_tenant.as_ref()
    }

    /// Folder for snapshots of tenants and flags, which let a restart survive an outage. `None` writes none.
    pub fn snapshot_dir(&self) -> Option<&Path> {
        self.snapshot_dir.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// No word of any message holds these letters.
    const PASSWORD: &str = "Zq9Xk";

    fn from(vars: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_vars(vars.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn the_example_environment_of_the_app_is_read() {
        let settings = from(&[
            ("ENVIRONMENT", "development"),
            ("DEBUG", "true"),
            ("POSTGRES_URL", "postgresql+asyncpg://localhost:5432/postgres"),
            ("POSTGRES_POOL_SIZE", "10"),
            ("POSTGRES_MAX_OVERFLOW", "10"),
            ("REDIS_URL", "redis://localhost:6379/0"),
            ("PMS_TYPE", "mock"),
        ])
        .unwrap();
        assert_eq!(settings.environment(), Environment::Development);
        assert_eq!(*settings.postgres(), Store::Server(PostgresSettings::default()));
        assert_eq!(*settings.redis(), Store::Server(RedisSettings::default()));
        assert_eq!(*settings.pms(), PmsSettings::Mock);
    }

    #[test]
    fn nothing_shows_a_secret() {
        let vars = [
            ("DATABASE_URL", format!("postgres://ana:{PASSWORD}@h/db")),
            ("REDIS_URL", "redis://h".to_owned()),
            ("REDIS_PASSWORD", PASSWORD.to_owned()),
            ("PMS_BASE_URL", "http://h".to_owned()),
            ("PMS_API_KEY", PASSWORD.to_owned()),
            ("SECRET_KEY", PASSWORD.to_owned()),
            ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let builder = Settings::builder().vars(vars).unwrap();
        let settings = builder.clone().build().unwrap();
        let (Store::Server(postgres), Store::Server(redis)) = (settings.postgres(), settings.redis()) else {
            panic!("two servers were named");
        };
        assert_eq!(postgres.password.as_ref().map(Secret::expose), Some(PASSWORD));
        let shown = format!("{builder:?} {settings:?} {settings:#?} {postgres} {redis}");
        assert!(!shown.contains(PASSWORD), "{shown}");
    }

    #[test]
    fn every_way_to_spoil_a_url_keeps_the_password_out_of_the_error() {
        for (before, after) in [
            ("", ""),
            ("mysql://ana:", "@h/db"),
            ("postgres://ana:", "%FF@h/db"),
            ("postgres://ana:", "%00@h/db"),
            ("postgres://ana:", "%zz@h/db"),
            ("postgres://ana:", "/@h/db"),
            ("postgres://ana:", "#@h/db"),
            ("postgres://ana:", " @h/db"),
            ("postgres://ana:", "@h:port/db"),
            ("postgres://ana:", "@[h/db"),
            ("postgres://ana:", "@a,b/db"),
            ("postgres://ana:", "@h/db?nonsense=1"),
            ("postgres://ana:", "@h/db?sslmode=no-verify"),
            ("postgres://ana:", "@db.x.supabase.co/db?sslmode=disable"),
            ("postgres://ana:", ""),
            ("postgres://h/db?password=", "&nonsense=1"),
            ("postgres://h/db?password=", "%FF"),
            ("postgres://h/db?", "=1"),
            ("postgres://h/db?sslmode=", ""),
        ] {
            let error = from(&[("DATABASE_URL", &format!("{before}{PASSWORD}{after}"))]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error:?}");
        }
    }

    proptest! {
        /// Pieces of URLs in any order, among them the password, encoded or not.
        #[test]
        fn no_error_repeats_a_piece_of_a_url(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "postgres", "rediss", "+sentinel", "://", ":", "@", "/", "?", "#", "&", "=", "%", "%40", "%FF", "%00", "[", "]", ",",
                "h", "6543", "sslmode", "require", "db.x.supabase.co", "user", PASSWORD, "\u{e9}", " ",
            ]), 0..16),
            scheme in prop::sample::select(vec!["", "postgres://", "redis://", "redis+cluster://"]),
        ) {
            let text = format!("{scheme}{}", pieces.concat());
            for name in ["DATABASE_URL", "REDIS_URL", "PMS_BASE_URL"] {
                match from(&[(name, &text), ("PMS_API_KEY", "k")]) {
                    Ok(_) => {}
                    Err(error) => {
                        let shown = format!("{error} {error:?}");
                        prop_assert!(!shown.contains(PASSWORD), "{}: {}", text, shown);
                        prop_assert!(error.code().starts_with("settings."));
                        prop_assert!(error.field().is_some());
                    }
                }
            }
        }

        #[test]
        fn a_password_of_any_letters_arrives_and_is_never_shown(tail in "[^\0]{0,20}") {
            let password = format!("{PASSWORD}{tail}");
            let url = format!("postgres://ana:{}@h/db", dsn::encode(&password));
            let settings = from(&[("DATABASE_URL", &url)]).unwrap();
            let Store::Server(postgres) = settings.postgres() else { panic!("a server was named") };
            prop_assert_eq!(postgres.password.as_ref().map(Secret::expose), Some(password.as_str()));
            let shown = format!("{settings:?} {postgres}");
            prop_assert!(!shown.contains(PASSWORD));
        }

        #[test]
        fn any_text_in_any_variable_is_read_or_refused_with_its_name(
            variable in 0..Variable::ALL.len(),
            text in "\\PC{0,40}",
        ) {
            let name = Variable::ALL[variable].name;
            if let Err(error) = from(&[(name, &text)]) {
                prop_assert!(error.code().starts_with("settings."));
                prop_assert!(error.field().is_some(), "{}", error);
            }
        }
    }
}
