//! Where Redis is and how it is used.

use std::time::Duration;

use super::Secret;

/// How to reach Redis. Made from a URL by the settings; see the README for every option.
#[derive(Debug, Clone)]
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
