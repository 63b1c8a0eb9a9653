//! The state of the database's schema: [`Posada::migrate`](crate::Posada::migrate) brings it to what this version of
//! posada needs, and says what it did.
//!
//! It works on an empty database and on any that the app has left, may run at every start and from every replica at
//! once, and needs the role that owns the tables.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::Posada;
//!
//! let posada = Posada::embedded(); // on servers: `Posada::connect(Settings::from_env()?)`
//! let applied = posada.migrate().await?;
//! assert!(applied.migrations.is_empty(), "memory needs none");
//! # posada.close().await
//! # }
//! ```

use chrono::{DateTime, Utc};

/// The version to which this posada brings a database.
pub(crate) const LATEST: i32 = 8;

/// What a run of the migrations did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The migrations that this run applied, by name and in order; empty when there was nothing to do.
    pub migrations: Vec<String>,
    /// The version of the database now.
    pub version: i32,
}

impl Applied {
    /// What a store without tables returns: it is always up to date.
    pub(crate) fn nothing_to_do() -> Self {
        Self {
            migrations: Vec::new(),
            version: LATEST,
        }
    }
}

/// How the schema of a database stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// What was applied, in order; empty for a database that posada never migrated.
    pub applied: Vec<AppliedMigration>,
    /// What this posada would apply, in order; empty when the database is up to date.
    pub pending: Vec<PendingMigration>,
    /// The run that is under way now, of whichever process.
    pub running: Option<MigrationRun>,
}

/// A migration that a database has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AppliedMigration {
    /// Its number.
    pub version: i32,
    /// Its name, such as `0001_six_tables`.
    pub name: String,
    /// When it was applied, by the clock of the server.
    pub applied_at: DateTime<Utc>,
}

/// A migration that a database lacks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PendingMigration {
    /// Its number.
    pub version: i32,
    /// Its name, such as `0001_six_tables`.
    pub name: String,
    /// Its statements.
    pub sql: String,
}

/// A run of the migrations that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MigrationRun {
    /// The process of the server that serves it.
    pub pid: i32,
    /// Since when; `None` where the role may not see that.
    pub since: Option<DateTime<Utc>>,
}
