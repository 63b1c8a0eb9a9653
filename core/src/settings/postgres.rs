//! Where Postgres is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// How to reach Postgres. Made from a URL by the settings; see the README for every option.
#[derive(Debug, Clone)]
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
