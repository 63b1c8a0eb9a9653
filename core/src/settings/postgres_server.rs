//! Where Postgres is and how it is used.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::dsn::encode;
use super::{Secret, postgres_rules, postgres_url};
use crate::error::{Error, Result};

/// How to reach Postgres. Made from a URL by the settings; SETTINGS.md lists every option.
///
/// `Display` is the URL without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Host name, IP address, or directory of a Unix socket (begins with `/`).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// User name; behind Supabase's pooler `postgres.<project-ref>`.
    pub user: String,
    /// Password, if any.
    pub password: Option<Secret>,
    /// Encryption and whom to trust. Always [`Disable`](TlsMode::Disable) on a Unix socket, as in libpq.
    pub tls: TlsMode,
    /// Root certificates to trust instead of the public ones (`sslrootcert`). The file existed when it was read.
    pub root_certificate: Option<PathBuf>,
    /// What stands between us and the server.
    pub pooling: Pooling,
    /// Connections that are kept (`POSTGRES_POOL_SIZE`).
    pub pool_size: u32,
    /// Connections beyond those, closed when idle (`POSTGRES_MAX_OVERFLOW`).
    pub max_overflow: u32,
    /// Longest time to make a connection (`connect_timeout` of the URL).
    pub connect_timeout: Duration,
    /// Longest wait for a connection of the pool.
    pub acquire_timeout: Duration,
    /// Longest time that one statement or transaction may take, from the caller's view.
    pub statement_timeout: Duration,
    /// Name shown in `pg_stat_activity`.
    pub application_name: String,
}

/// libpq's `sslmode`, with libpq's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Plain text unless the server insists.
    Allow,
    /// Encrypted if the server offers it, and the server is not authenticated.
    Prefer,
    /// Encrypted, and the server is not authenticated: an attacker in between can pose as the server. (With a root
    /// certificate libpq checks it as `verify-ca` does; the settings say [`VerifyCa`](TlsMode::VerifyCa) then.)
    Require,
    /// Encrypted, and the certificate is signed by a trusted root.
    VerifyCa,
    /// Encrypted, the certificate is trusted, and it names the host.
    VerifyFull,
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Nothing, or a pooler in session mode: a connection is ours until we close it.
    Session,
    /// A pooler in transaction mode (PgBouncer, Supavisor): a connection is ours only inside a transaction.
    Transaction,
}

impl PostgresSettings {
    /// Default of [`port`](Self::port).
    pub const DEFAULT_PORT: u16 = 5432;
    /// Default of [`pool_size`](Self::pool_size): 10 connections.
    pub const DEFAULT_POOL_SIZE: u32 = 10;
    /// Default of [`max_overflow`](Self::max_overflow): 10 connections.
    pub const DEFAULT_MAX_OVERFLOW: u32 = 10;
    /// Default of [`connect_timeout`](Self::connect_timeout): 5 seconds.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Default of [`acquire_timeout`](Self::acquire_timeout): 3 seconds.
    pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
    /// Default of [`statement_timeout`](Self::statement_timeout): 5 seconds.
    pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
    /// Default of [`application_name`](Self::application_name).
    pub const DEFAULT_APPLICATION_NAME: &str = "posada";

    /// Reads a URL; everything that it does not say has its default.
    ///
    /// # Errors
    /// `settings.invalid` or `settings.unknown` (field `postgres_url`); no piece of a wrong URL is repeated.
    pub fn parse(url: &str) -> Result<Self> {
        postgres_url::parse(url.trim())
            .and_then(|parts| parts.settings(false))
            .map_err(|fault| fault.blame("postgres_url"))
    }

    /// Whether [`host`](Self::host) is the directory of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Where the server is, without user and password: host and port, or the file of the socket.
    pub(crate) fn place(&self) -> String {
        if self.is_socket() {
            format!("{}/.s.PGSQL.{}", self.host, self.port)
        } else if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.is_socket() || is_this_machine(&self.host)
    }

    /// What an attacker on the network between us and the server could do, in words for a log or a report; `None` when
    /// the server proves who it is, or when there is no network between us. Production warns of it once, when the
    /// settings are made.
    pub fn weakness(&self) -> Option<&'static str> {
        if self.is_local() || self.tls.is_authenticated() {
            None
        } else if self.tls.is_encrypted() {
            Some(
                "the connection to Postgres is encrypted, but the server need not prove who it is; use \
                 sslmode=verify-full with the sslrootcert of the provider",
            )
        } else {
            Some(
                "the connection to Postgres may be in plain text, passwords and guests included; use \
                 sslmode=require, or better verify-full",
            )
        }
    }

    /// Whether the host belongs to Supabase.
    pub fn is_supabase(&self) -> bool {
        postgres_rules::is_supabase(&self.host)
    }
}

/// Whether a host name or address means this machine, as far as that can be seen.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Default for PostgresSettings {
    /// The defaults of every field: `postgres@localhost:5432/postgres` without a password.
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: Self::DEFAULT_PORT,
            database: "postgres".to_owned(),
            user: "postgres".to_owned(),
            password: None,
            tls: TlsMode::Prefer,
            root_certificate: None,
            pooling: Pooling::Session,
            pool_size: Self::DEFAULT_POOL_SIZE,
            max_overflow: Self::DEFAULT_MAX_OVERFLOW,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            acquire_timeout: Self::DEFAULT_ACQUIRE_TIMEOUT,
            statement_timeout: Self::DEFAULT_STATEMENT_TIMEOUT,
            application_name: Self::DEFAULT_APPLICATION_NAME.to_owned(),
        }
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@", encode(&self.user))?;
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]", self.host)?;
        } else {
            write!(f, "{}", encode(&self.host))?;
        }
        write!(f, ":{}/{}", self.port, encode(&self.database))?;
        write!(f, "?sslmode={}", self.tls)
    }
}

impl TlsMode {
    /// The six names, from the weakest to the strongest.
    pub const NAMES: [&'static str; 6] = [
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ];

    /// libpq's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether nothing is ever sent in plain text.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }

    /// Whether the server must prove who it is.
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TlsMode {
    type Err = Error;

    /// # Errors
    /// `settings.invalid` (field `sslmode`), naming the six.
    fn from_str(text: &str) -> Result<Self> {
        postgres_url::tls_mode(text).map_err(|fault| fault.blame("sslmode"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_host_and_port_or_the_file_of_the_socket_and_no_user() {
        for (url, place) in [
            (
                "postgres://ana:hunter2@db.example.com/hotel",
                "db.example.com:5432",
            ),
            ("postgres://ana:hunter2@[::1]:6543/hotel", "[::1]:6543"),
            (
                "postgres://ana:hunter2@/hotel?host=/run/postgresql",
                "/run/postgresql/.s.PGSQL.5432",
            ),
        ] {
            assert_eq!(PostgresSettings::parse(url).unwrap().place(), place);
        }
    }

    #[test]
    fn every_name_of_a_mode_reads_back() {
        for name in TlsMode::NAMES {
            assert_eq!(name.parse::<TlsMode>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn an_unknown_mode_names_the_six() {
        let error = "no-verify".parse::<TlsMode>().unwrap_err();
        assert_eq!(error.field(), Some("sslmode"));
        assert!(
            TlsMode::NAMES.iter().all(|name| error.message().contains(name)),
            "{error}"
        );
    }

    #[test]
    fn a_displayed_url_reads_back_without_its_password() {
        for url in [
            "postgres://ana:s3cret@db.example.com:6000/hotels?sslmode=verify-full",
            "postgres://an%40a:s3cret@[2001:db8::1]/h%2Fo",
            "postgres://ana:s3cret@%2Frun%2Fpostgresql/hotels",
        ] {
            let settings = PostgresSettings::parse(url).unwrap();
            let shown = settings.to_string();
            assert!(!shown.contains("s3cret"), "{shown}");
            let expected = PostgresSettings {
                password: None,
                ..settings
            };
            assert_eq!(PostgresSettings::parse(&shown).unwrap(), expected);
        }
    }

    #[test]
    fn only_a_server_across_the_network_that_proves_nothing_is_a_weakness() {
        for (url, says) in [
            ("postgres://db.example.com/h", Some("plain text")),
            (
                "postgres://db.example.com/h?sslmode=require",
                Some("prove who it is"),
            ),
            ("postgres://db.example.com/h?sslmode=verify-ca", None),
            ("postgres://localhost/h", None),
            ("postgres://127.0.0.1/h", None),
            ("postgres://[::1]/h", None),
            ("postgres://%2Frun/h", None),
        ] {
            let weakness = PostgresSettings::parse(url).unwrap().weakness();
            assert_eq!(weakness.is_some(), says.is_some(), "{url}");
            assert!(weakness.is_none_or(|text| text.contains(says.unwrap())), "{url}");
        }
    }

    #[test]
    fn an_empty_url_means_the_defaults() {
        assert_eq!(
            PostgresSettings::parse("postgresql://").unwrap(),
            PostgresSettings::default()
        );
    }
}
