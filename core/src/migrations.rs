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

pub use crate::backends::postgres::migrations::Applied;
