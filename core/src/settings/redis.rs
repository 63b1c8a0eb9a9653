//! Where Redis is and how it is used.

use std::time::Duration;

use super::Secret;
use crate::error::{Error, Result, codes};

/// How to reach Redis. Made from a URL by the settings; see the README for every option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// One server, a Sentinel group, or a cluster.
    pub topology: RedisTopology,
    /// Encrypted with verified certificates (`rediss://`).
    pub tls: bool,
    /// User name of an ACL user, if any.
    pub username: Option<String>,
    /// Password, if any.
    pub password: Option<Secret>,
    /// Database number; always 0 in a cluster.
    pub database: i64,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Longest time that one command may take, from the caller's view, reconnection included.
    pub command_timeout: Duration,
}

/// How the servers of one Redis stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single(RedisNode),
    /// The primary of this name, as the sentinels know it.
    Sentinel {
        /// The sentinels.
        nodes: Vec<RedisNode>,
        /// The name of the primary.
        primary: String,
    },
    /// A cluster, entered through any of these nodes.
    Cluster(Vec<RedisNode>),
}

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisNode {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Default for RedisSettings {
    /// The defaults of every field: database 0 of `localhost:6379` without a password.
    fn default() -> Self {
        Self {
            topology: RedisTopology::Single(RedisNode {
                host: "localhost".to_owned(),
                port: 6379,
            }),
            tls: false,
            username: None,
            password: None,
            database: 0,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            command_timeout: Self::DEFAULT_COMMAND_TIMEOUT,
        }
    }
}

impl RedisSettings {
    /// Default of [`connect_timeout`](Self::connect_timeout): 1 second.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    /// Default of [`command_timeout`](Self::command_timeout): 1 second.
    pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

    /// Reads a URL; everything that it does not say has its default.
    ///
    /// # Errors
    /// `settings.invalid` or `settings.unknown` (field `redis_url`); no piece of the URL is repeated.
    pub fn parse(url: &str) -> Result<Self> {
        super::redis_url::parse(url.trim())
            .map_err(|fault| Error::field_invalid(codes::SETTINGS_INVALID, "redis_url", fault))
    }
}
