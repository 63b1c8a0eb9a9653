//! The port: where flags are kept.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::tenants::TenantId;

/// The fields of one hash, as they are stored.
pub(crate) type RawLayer = BTreeMap<String, String>;

/// How many writes the log keeps.
pub(crate) const LOG: usize = 128;

/// A write through posada, as the log of the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedWrite {
    /// No other write has it.
    pub(crate) id: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) flag: String,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Whether the flag was set before.
    pub(crate) was_set: bool,
    /// The version that the write made.
    pub(crate) version: u64,
    /// The write in the log.
    pub(crate) id: String,
}

/// What a load found.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawFlags {
    /// How often posada wrote, as it was *before* the hashes were read: so a removal that the hashes show may be
    /// newer than the version, never older, and is at worst explained by the next load.
    pub(crate) version: u64,
    /// The last writes through posada, the newest first; read with the version, or a moment after it.
    pub(crate) log: Vec<LoggedWrite>,
    pub(crate) global: RawLayer,
    /// One entry for each tenant that was asked for, empty if it overrides nothing.
    pub(crate) tenants: Vec<(TenantId, RawLayer)>,
}

/// Where flags are kept. Every call has its own deadline.
#[async_trait]
pub(crate) trait FlagStore: Send + Sync + fmt::Debug {
    /// The version, the global flags, and the overrides of these tenants.
    async fn load(&self, tenants: &[TenantId]) -> Result<RawFlags>;

    /// The tenants that were given overrides through posada.
    async fn tenants(&self) -> Result<Vec<TenantId>>;

    /// Stores a value, raises the version, logs the write, and tells everybody.
    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<Written>;

    /// Removes a value, raises the version, logs the write, and tells everybody.
    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<Written>;

    /// Everything that is told from now on.
    fn changes(&self) -> Box<dyn FlagNotices>;
}

/// What a store tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// This flag was set or unset.
    Written { tenant: Option<TenantId>, flag: String },
    /// Something may have been missed.
    Missed,
}

/// A subscription; dropping it ends it.
#[async_trait]
pub(crate) trait FlagNotices: Send {
    /// Waits for the next notice; `None` when the store is gone. Cancel-safe.
    async fn next(&mut self) -> Option<Notice>;
}
