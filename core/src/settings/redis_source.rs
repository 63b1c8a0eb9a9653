//! From variables and builder options to Redis settings.
//!
//! A URL comes before `REDIS_HOST` and its companions; `REDIS_PASSWORD` completes whichever is there (the app forgets
//! it for its rate limiter).

use std::time::Duration;

use super::dsn::redacted;
use super::postgres_source::is_memory;
use super::sourced::{Slot, Sourced};
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

    /// What the URL says, with the password from beside it.
    fn by_url(&self, url: &Sourced<Secret>) -> Result<RedisSettings> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::error::codes;

    fn from(vars: &[(&str, &str)]) -> Result<Store<RedisSettings>> {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings::from_vars(vars).map(|settings| settings.redis().clone())
    }

    fn server(vars: &[(&str, &str)]) -> RedisSettings {
        match from(vars) {
            Ok(Store::Server(settings)) => settings,
            other => panic!("{vars:?}: {other:?}"),
        }
    }

    #[test]
    fn each_part_has_the_default_of_the_app() {
        for (vars, shown) in [
            (&[("REDIS_HOST", "redis")][..], "redis://redis:6379/0"),
            (&[("REDIS_PORT", "6380")], "redis://localhost:6380/0"),
            (&[("REDIS_DB", "3")], "redis://localhost:6379/3"),
            (&[("REDIS_PASSWORD", "s")], "redis://localhost:6379/0"),
            (
                &[("REDIS_HOST", "::1"), ("REDIS_PORT", "1"), ("REDIS_DB", "2")],
                "redis://[::1]:1/2",
            ),
            (
                &[("REDIS_HOST", "/run/redis/redis.sock"), ("REDIS_DB", "2")],
                "unix:///run/redis/redis.sock?db=2",
            ),
        ] {
            assert_eq!(server(vars).to_string(), shown);
        }
        assert_eq!(from(&[]).unwrap(), Store::Memory);
        assert_eq!(from(&[("REDIS_URL", "memory:")]).unwrap(), Store::Memory);
    }

    #[test]
    fn a_url_wins_over_the_parts_unless_it_is_the_apps_default() {
        let host = ("REDIS_HOST", "redis");
        let with = |url| server(&[("REDIS_URL", url), host]).to_string();
        assert_eq!(with("redis://other:6379/0"), "redis://other:6379/0");
        assert_eq!(with("redis://localhost:6379/1"), "redis://localhost:6379/1");
        assert_eq!(with("redis://localhost:6379/0"), "redis://redis:6379/0");
    }

    #[test]
    fn the_password_also_applies_to_a_url_without_one() {
        let with = |url| server(&[("REDIS_URL", url), ("REDIS_PASSWORD", "p@ss/w:rd%23")]);
        assert_eq!(with("rediss://h:1/0").password, Some(Secret::new("p@ss/w:rd%23")));
        assert_eq!(with("rediss://:own@h").password, Some(Secret::new("own")));
        let acl = with("redis+cluster://ana@a,b");
        assert_eq!(
            (acl.username.as_deref(), acl.password.is_some()),
            (Some("ana"), true)
        );
        assert_eq!(
            server(&[("REDIS_HOST", "h"), ("REDIS_PASSWORD", "s")]).password,
            Some(Secret::new("s"))
        );
    }

    #[test]
    fn deadlines_are_seconds_within_limits() {
        let settings = server(&[
            ("REDIS_HOST", "h"),
            ("POSADA_REDIS_CONNECT_TIMEOUT", "2"),
            ("POSADA_REDIS_COMMAND_TIMEOUT", "0.25"),
        ]);
        assert_eq!(settings.connect_timeout, Duration::from_secs(2));
        assert_eq!(settings.command_timeout, Duration::from_millis(250));
        let error = from(&[("POSADA_REDIS_COMMAND_TIMEOUT", "0")]).unwrap_err();
        assert_eq!(error.field(), Some("POSADA_REDIS_COMMAND_TIMEOUT"));
    }

    #[test]
    fn a_wrong_url_blames_its_variable_and_shows_only_the_scheme() {
        let error = from(&[("REDIS_URL", "rediss://:s3/cret@h#insecure")]).unwrap_err();
        assert!(error.is(codes::SETTINGS_INVALID));
        assert_eq!(error.field(), Some("REDIS_URL"));
        assert_eq!(error.fact("url"), Some("rediss://***"));
        let error = from(&[("REDIS_HOST", "redis:6379")]).unwrap_err();
        assert_eq!(error.field(), Some("REDIS_HOST"));
    }
}
