//! The state of the database's schema: [`Posada::migrate`](crate::Posada::migrate) brings it to what this version of
//! posada needs, and says what it did.

pub use crate::backends::postgres::migrations::Applied;
