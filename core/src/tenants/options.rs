//! How a resolver caches.

use std::path::PathBuf;
use std::time::Duration;

use super::TenantId;
use crate::settings::{Settings, Store};

/// How long answers live, how many are kept, and what happens to the unknown.
#[derive(Debug, Clone)]
pub(crate) struct TenantOptions {
    /// How long an answer counts as fresh: what a change that was not announced can take to be seen.
    pub(crate) fresh_for: Duration,
    /// How old an answer may be that is served while Postgres does not answer.
    pub(crate) stale_for: Duration,
    /// How long "unknown" is believed.
    pub(crate) unknown_for: Duration,
    /// How long a caller who could be served stale waits for Postgres first.
    pub(crate) longest_wait: Duration,
    /// The pause between attempts to reach a Postgres that failed, per identifier.
    pub(crate) failure_pause: Duration,
    /// Most identifiers that are kept.
    pub(crate) capacity: usize,
    /// Most unknown identifiers that are remembered, however many are probed.
    pub(crate) unknown_capacity: usize,
    /// Whose guest an unknown one is: the behaviour of the app. Hotels that share one `default` see each
    /// other's guests, so it is off unless the program asks for it.
    pub(crate) default_tenant: Option<TenantId>,
    /// Where answers are kept for a restart during an outage.
    pub(crate) snapshot_dir: Option<PathBuf>,
}

impl TenantOptions {
    /// What the settings say. A memory store is gone with its process, so there is nothing to keep on disk.
    pub(crate) fn of(settings: &Settings) -> Self {
        let in_memory = matches!(settings.postgres(), Store::Memory);
        Self {
            fresh_for: settings.tenant_cache_fresh(),
            stale_for: settings.tenant_cache_stale(),
            unknown_for: settings.tenant_cache_negative(),
            default_tenant: settings.default_tenant().cloned(),
            snapshot_dir: settings.snapshot_dir().filter(|_| !in_memory).map(Into::into),
            ..Self::default()
        }
    }
}

impl Default for TenantOptions {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_mins(5),
            stale_for: Duration::from_hours(24),
            unknown_for: Duration::from_secs(30),
            longest_wait: Duration::from_secs(1),
            failure_pause: Duration::from_secs(5),
            capacity: 50_000,
            unknown_capacity: 10_000,
            default_tenant: None,
            snapshot_dir: None,
        }
    }
}
