//! Where Redis is and how it is used.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dsn::encode;
use super::sourced::Fault;
use super::{Secret, redis_url};
use crate::error::Result;

/// How to reach Redis. Made from a URL by the settings; SETTINGS.md lists every form.
///
/// `Display` is the URL without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// One server, a Sentinel group, or a cluster.
    pub topology: RedisTopology,
    /// Encrypted with verified certificates (`rediss://`).
    pub tls: bool,
    /// A file of root certificates in place of those that this machine trusts (`ssl_ca_certs`).
    pub root_certificate: Option<PathBuf>,
    /// What this process proves itself with (`ssl_certfile`, `ssl_keyfile`).
    pub client_certificate: Option<ClientCertificate>,
    /// User name of an ACL user, if any.
    pub username: Option<String>,
    /// Password, if any.
    pub password: Option<Secret>,
    /// User name for the sentinels, if they have one (`sentinel_username`).
    pub sentinel_username: Option<String>,
    /// Password for the sentinels, if they have one (`sentinel_password`). That of Redis is not shown to them.
    pub sentinel_password: Option<Secret>,
    /// Database number; always 0 in a cluster.
    pub database: i64,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Longest time that one command may take, from the caller's view, reconnection included.
    pub command_timeout: Duration,
}

/// The files of a client's certificate, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key, which is not encrypted; may be the same file.
    pub key: PathBuf,
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

/// The address of one server. `Display` is `host:port`, or the path of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisNode {
    /// Host name or IP address; the path of a Unix socket begins with a slash.
    pub host: String,
    /// TCP port. A socket has none.
    pub port: u16,
}

impl RedisSettings {
    /// Default of [`connect_timeout`](Self::connect_timeout): 1 second.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    /// Default of [`command_timeout`](Self::command_timeout): 1 second.
    pub const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

    /// Reads a URL; everything that it does not say has its default.
    ///
    /// # Errors
    /// `settings.invalid` or `settings.unknown` (field `redis_url`); no piece of a wrong URL is repeated.
    pub fn parse(url: &str) -> Result<Self> {
        redis_url::parse(url.trim())
            .and_then(Self::checked)
            .map_err(|fault| fault.blame("redis_url"))
    }

    /// The rules that concern several parts.
    pub(super) fn checked(self) -> Result<Self, Fault> {
        if self.username.is_some() && self.password.is_none() {
            return Err(
                "names a user without a password; a password alone is written with a colon before it, \
                        redis://:password@host"
                    .into(),
            );
        }
        let has_socket = self.topology.nodes().iter().any(|node| node.socket().is_some());
        if has_socket && (self.tls || !matches!(self.topology, RedisTopology::Single(_))) {
            return Err(
                "names a Unix socket, which only one server has, in plain text: unix:///run/redis.sock"
                    .into(),
            );
        }
        Ok(self)
    }
}

impl Default for RedisSettings {
    /// The defaults of every field: database 0 of `localhost:6379` without a password.
    fn default() -> Self {
        Self {
            topology: RedisTopology::Single(RedisNode {
                host: "localhost".to_owned(),
                port: RedisNode::DEFAULT_PORT,
            }),
            tls: false,
            root_certificate: None,
            client_certificate: None,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            database: 0,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            command_timeout: Self::DEFAULT_COMMAND_TIMEOUT,
        }
    }
}

impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let socket = self.topology.nodes().iter().find_map(RedisNode::socket);
        let (kind, primary) = match &self.topology {
            RedisTopology::Single(_) => ("", None),
            RedisTopology::Sentinel { primary, .. } => ("+sentinel", Some(primary)),
            RedisTopology::Cluster(_) => ("+cluster", None),
        };
        match socket {
            Some(_) => f.write_str("unix://")?,
            None => write!(f, "{scheme}{kind}://")?,
        }
        if let Some(username) = &self.username {
            write!(f, "{}@", encode(username))?;
        }
        if let Some(path) = socket {
            for step in path.split('/').skip(1) {
                write!(f, "/{}", encode(step))?;
            }
            return write!(f, "?db={}", self.database);
        }
        for (position, node) in self.topology.nodes().iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{node}")?;
        }
        if let Some(primary) = primary {
            write!(f, "/{}", encode(primary))?;
        }
        write!(f, "/{}", self.database)?;
        let mut mark = '?';
        let mut option = |name: &str, value: &str| {
            let mark = std::mem::replace(&mut mark, '&');
            write!(f, "{mark}{name}={}", encode(value))
        };
        let path = |path: &Path| path.to_string_lossy().into_owned();
        if let Some(username) = &self.sentinel_username {
            option("sentinel_username", username)?;
        }
        if let Some(file) = &self.root_certificate {
            option("ssl_ca_certs", &path(file))?;
        }
        if let Some(client) = &self.client_certificate {
            option("ssl_certfile", &path(&client.certificate))?;
            option("ssl_keyfile", &path(&client.key))?;
        }
        Ok(())
    }
}

/// Where the servers are, without users and passwords.
impl fmt::Display for RedisTopology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(_) => {}
            Self::Sentinel { primary, .. } => write!(f, "the primary {primary} of the sentinels ")?,
            Self::Cluster(_) => f.write_str("the cluster at ")?,
        }
        for (position, node) in self.nodes().iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{node}")?;
        }
        Ok(())
    }
}

impl RedisTopology {
    /// The addresses that the settings name.
    pub(crate) fn nodes(&self) -> &[RedisNode] {
        match self {
            Self::Single(node) => std::slice::from_ref(node),
            Self::Sentinel { nodes, .. } | Self::Cluster(nodes) => nodes,
        }
    }
}

impl RedisNode {
    /// Default of [`port`](Self::port), except for sentinels, which listen on 26379.
    pub const DEFAULT_PORT: u16 = 6379;

    /// An address; an empty host means this machine.
    pub(super) fn checked(host: &str, port: u16) -> Result<Self, Fault> {
        if host.starts_with('/') {
            return Self::at_socket(host);
        }
        let is_address = host.parse::<Ipv6Addr>().is_ok();
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || "/@:?#,[]\\".contains(c);
        if !is_address && (host.contains(is_odd) || host.len() > 253) {
            return Err("must have a host that is a name or an address".into());
        }
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl RedisNode {
    /// A server at a Unix socket.
    pub(super) fn at_socket(path: &str) -> Result<Self, Fault> {
        if path.len() < 2 || path.ends_with('/') || path.chars().any(char::is_control) {
            return Err("must name the file of the socket, as in unix:///run/redis/redis.sock".into());
        }
        Ok(Self {
            host: path.to_owned(),
            port: Self::DEFAULT_PORT,
        })
    }

    /// The path of the server's Unix socket, if it is one.
    pub fn socket(&self) -> Option<&str> {
        self.host.starts_with('/').then_some(self.host.as_str())
    }
}

impl fmt::Display for RedisNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.socket() {
            return f.write_str(path);
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", encode(&self.host), self.port)
        }
    }
}
