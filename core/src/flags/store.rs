//! The port: where flags are kept.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::tenants::TenantId;

/// The fields of one hash, as they are stored.
pub(crate) type RawLayer = BTreeMap<String, String>;

/// What a load found.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawFlags {
    /// How often posada wrote, as it was *before* the hashes were read: so a removal that the hashes show may be
    /// newer than the version, never older, and is at worst explained by the next load.
    pub(crate) version: u64,
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

    /// Stores a value, raises the version, and tells everybody, in this order.
    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<()>;

    /// Removes a value, raises the version, and tells everybody. Answers whether there was one.
    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<bool>;

    /// Everything that is told from now on.
    fn changes(&self) -> Box<dyn FlagNotices>;
}

/// What a store tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Somebody set or unset this flag.
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
