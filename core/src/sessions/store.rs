//! The port: what conversations need of a store.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::model::{ActiveSession, Address};
use super::version::Version;
use crate::TenantId;
use crate::error::Result;

/// A store of documents with a time to live, and an index of those that live. Every method is one step on the
/// server: it is done as a whole or not at all. An error of kind
/// [`Ambiguous`](crate::Kind::Ambiguous) means that it may or may not have been done.
#[async_trait]
pub(crate) trait SessionStore: Send + Sync + fmt::Debug {
    /// The name under which every program finds the conversation. No two share one.
    fn key(&self, user: &str, tenant: Option<&TenantId>) -> String;

    /// What is stored. Changes nothing, the time to live included.
    async fn read(&self, at: &Address) -> Result<Option<Stored>>;

    /// Stores `body` if nothing is stored; returns what is stored then, and whether this call stored it. Safe to
    /// repeat.
    async fn create(&self, at: &Address, body: &str, ttl: Duration) -> Result<(Stored, bool)>;

    /// Stores the new text if the expected one is stored.
    async fn replace(&self, at: &Address, replacement: Replacement<'_>) -> Result<Replaced>;

    /// Renews the time to live; returns whether something is stored.
    async fn touch(&self, at: &Address, ttl: Duration) -> Result<bool>;

    /// Removes what is stored; returns whether something was.
    async fn delete(&self, at: &Address) -> Result<bool>;

    /// The live conversations of a tenant, the first to end first.
    async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<ActiveSession>>;

    /// How many conversations of a tenant live.
    async fn count(&self, tenant: Option<&TenantId>) -> Result<u64>;

    /// Removes every conversation of a tenant; returns how many there were.
    async fn purge_tenant(&self, tenant: &TenantId) -> Result<u64>;

    /// Removes every conversation of a user; returns how many there were.
    async fn purge_user(&self, user: &str) -> Result<u64>;

    /// The tenants that have, or had, conversations.
    async fn tenants(&self) -> Result<Vec<TenantId>>;
}

/// A document as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its bytes.
    pub(crate) body: Vec<u8>,
    /// The time that it has left; `None` when it has no end.
    pub(crate) time_to_live: Option<Duration>,
}

/// What is to be stored instead of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replacement<'a> {
    /// What must be stored.
    pub(crate) expected: Version,
    /// What will be stored.
    pub(crate) new: &'a str,
    /// Its life.
    pub(crate) ttl: Duration,
    /// Whether the same was asked before and the answer was lost: then it is also a success to find the new text.
    /// Otherwise that is the work of another caller that wrote the same, and counts as a conflict.
    pub(crate) is_repeat: bool,
}

/// How a replacement ended.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// The new bytes are stored.
    Done,
    /// Other bytes were stored, and still are.
    Occupied(Stored),
    /// Nothing was stored, and nothing is.
    Missing,
}
