//! Where Postgres is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use crate::error::{Error, Result, codes};

/// How to reach Postgres. Made from a URL by the settings; see the README for every option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Host name, IP address, or directory of a Unix socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub database: String,
    /// User name; behind Supabase's pooler `postgres.<project-ref>`.
    pub user: String,
    /// Password, if any.
    pub password: Option<Secret>,
    /// Encryption and whom to trust.
    pub tls: TlsMode,
    /// Root certificates to trust instead of the public ones (`sslrootcert`).
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

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Plain text unless the server insists.
    Allow,
    /// Encrypted if the server offers it, and nobody is authenticated.
    Prefer,
    /// Encrypted; the server is authenticated only if a root certificate is given.
    Require,
    /// Encrypted, and the certificate is signed by a trusted root.
    VerifyCa,
    /// Encrypted, the certificate is trusted, and it names the host.
    VerifyFull,
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Nothing, or a pooler in session mode: a connection is ours until we close it.
    Session,
    /// A pooler in transaction mode (PgBouncer, Supavisor): a connection is ours only inside a transaction.
    Transaction,
}

impl Default for PostgresSettings {
    /// The defaults of every field: `postgres@localhost:5432/postgres` without a password.
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5432,
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

impl PostgresSettings {
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
    /// `settings.invalid` or `settings.unknown` (field `postgres_url`); no piece of the URL is repeated.
    pub fn parse(url: &str) -> Result<Self> {
        super::postgres_url::parse(url.trim())
            .map_err(|fault| Error::field_invalid(codes::SETTINGS_INVALID, "postgres_url", fault))
    }
}

impl TlsMode {
    /// The mode of this libpq name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}
