//! From variables and builder options to Postgres settings.

use std::path::PathBuf;
use std::time::Duration;

use super::dsn::redacted;
use super::given::{Fault, Given, Slot};
use super::postgres_url::{self, Parts, root_certificate};
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
    pub(super) host: Slot<String>,
    pub(super) port: Slot<u16>,
    pub(super) database: Slot<String>,
    pub(super) user: Slot<String>,
    pub(super) password: Slot<Secret>,
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

fn read_url(url: &Given<Secret>) -> Result<(&'static str, String, Option<Parts>)> {
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

fn is_placeholder(url: &Given<Secret>) -> bool {
    url.value
        .expose()
        .trim()
        .split_once("://")
        .is_some_and(|(scheme, rest)| {
            matches!(scheme, "postgres" | "postgresql" | "postgresql+asyncpg") && rest == PLACEHOLDER
        })
}
