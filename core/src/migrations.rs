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
