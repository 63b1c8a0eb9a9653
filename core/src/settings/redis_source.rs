//! From variables and builder options to Redis settings.

use std::time::Duration;

use super::dsn::redacted;
use super::given::{Given, Slot};
use super::postgres_source::is_memory;
use super::{RedisNode, RedisSettings, RedisTopology, Secret, Store, redis_url};
use crate::error::Result;

/// What the app's `.env` files carry beside `REDIS_HOST` and the other parts. The app follows the parts then.
const PLACEHOLDER: &str = "redis://localhost:6379/0";

/// Everything that was said about Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct RedisSource {
    /// From code or `REDIS_URL`.
    pub(super) url: Slot<Secret>,
    pub(super) host: Slot<String>,
    pub(super) port: Slot<u16>,
    pub(super) database: Slot<i64>,
    pub(super) password: Slot<Secret>,
    pub(super) connect_timeout: Slot<Duration>,
    pub(super) command_timeout: Slot<Duration>,
}

impl RedisSource {
    /// The store that was configured; `None` when nothing was.
    pub(super) fn resolve(&self) -> Result<Option<Store<RedisSettings>>> {
        let deadlines = Duration::from_millis(10)..=Duration::from_mins(1);
        let connect_timeout = self
            .connect_timeout
            .within(deadlines.clone(), RedisSettings::DEFAULT_CONNECT_TIMEOUT)?;
        let command_timeout = self
            .command_timeout
            .within(deadlines, RedisSettings::DEFAULT_COMMAND_TIMEOUT)?;
        let has_parts =
            self.host.get().is_some() || self.port.get().is_some() || self.database.get().is_some();
        let url = self
            .url
            .get()
            .filter(|url| !(has_parts && url.value.expose().trim() == PLACEHOLDER));
        let mut settings = match url {
            Some(url) if is_memory(url.value.expose().trim()) => return Ok(Some(Store::Memory)),
            Some(url) => self.by_url(url)?,
            None if has_parts || self.password.get().is_some() => self.by_parts()?,
            None => return Ok(None),
        };
        settings.connect_timeout = connect_timeout;
        settings.command_timeout = command_timeout;
        Ok(Some(Store::Server(settings)))
    }

    fn by_url(&self, url: &Given<Secret>) -> Result<RedisSettings> {
        let text = url.value.expose().trim();
        redis_url::parse(text)
            .and_then(|mut settings| {
                settings.password = settings.password.or_else(|| self.password.value().cloned());
                settings.checked()
            })
            .map_err(|fault| fault.blame(url.field).with("url", redacted(text)))
    }

    /// One server from single variables, each with the app's default.
    fn by_parts(&self) -> Result<RedisSettings> {
        let host = self.host.value().map_or("localhost", String::as_str);
        let port = self.port.value().copied().unwrap_or(RedisNode::DEFAULT_PORT);
        let node = RedisNode::checked(host, port).map_err(|fault| {
            let field = self.host.get().map_or("REDIS_HOST", |given| given.field);
            fault.blame(field)
        })?;
        Ok(RedisSettings {
            topology: RedisTopology::Single(node),
            password: self.password.value().cloned(),
            database: self.database.value().copied().unwrap_or(0),
            ..RedisSettings::default()
        })
    }
}
