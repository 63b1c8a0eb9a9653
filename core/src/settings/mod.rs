//! Settings: how posada is told where its servers are and how it should behave.

mod postgres;
mod redis;
mod secret;

pub use postgres::{Pooling, PostgresSettings, TlsMode};
pub use redis::{RedisNode, RedisSettings, RedisTopology};
pub use secret::Secret;
