//! Collects settings from code and from variables, and checks them once, at the end.

use super::given::Given;
use super::{PostgresSettings, RedisSettings, Secret, Settings, Store};
use crate::error::{Error, Result, codes};

/// Makes [`Settings`]. Every option has a default; [`build`](SettingsBuilder::build) checks all of them.
#[derive(Debug, Clone, Default)]
pub struct SettingsBuilder {
    postgres_url: Option<Given<Secret>>,
    redis_url: Option<Given<Secret>>,
}

impl SettingsBuilder {
    /// The Postgres URL, or `memory:`.
    #[must_use]
    pub fn postgres_url(mut self, url: impl Into<String>) -> Self {
        self.postgres_url = Some(Given::new("postgres_url", Secret::new(url)));
        self
    }

    /// The Redis URL, or `memory:`.
    #[must_use]
    pub fn redis_url(mut self, url: impl Into<String>) -> Self {
        self.redis_url = Some(Given::new("redis_url", Secret::new(url)));
        self
    }

    /// Reads variables; see [`Settings::from_vars`]. What was given before is overridden.
    pub fn vars(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        for (name, value) in vars {
            match name.to_ascii_uppercase().as_str() {
                _ if value.trim().is_empty() => {}
                "DATABASE_URL" => self.postgres_url = Some(Given::new("DATABASE_URL", Secret::new(value))),
                "REDIS_URL" => self.redis_url = Some(Given::new("REDIS_URL", Secret::new(value))),
                _ => {}
            }
        }
        Ok(self)
    }

    /// Checks everything and makes the settings.
    ///
    /// # Errors
    /// `settings.*`; the field is the option or variable, and the message says what would be right.
    pub fn build(self) -> Result<Settings> {
        let mut settings = Settings::embedded();
        if let Some(url) = &self.postgres_url {
            settings.postgres = store(url, |url| PostgresSettings::parse(url))?;
        }
        if let Some(url) = &self.redis_url {
            settings.redis = store(url, |url| RedisSettings::parse(url))?;
        }
        Ok(settings)
    }
}

fn store<T>(url: &Given<Secret>, parse: impl Fn(&str) -> Result<T>) -> Result<Store<T>> {
    match url.value.expose().trim() {
        "memory:" | "memory://" => Ok(Store::Memory),
        text => parse(text)
            .map(Store::Server)
            .map_err(|error| Error::field_invalid(codes::SETTINGS_INVALID, url.field, error.message())),
    }
}
