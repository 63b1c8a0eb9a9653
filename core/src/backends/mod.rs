//! How to reach a server, and nothing about hotels.

pub(crate) mod memory;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod tls;
