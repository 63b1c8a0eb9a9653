//! The port of fences.

use async_trait::async_trait;

use crate::error::Result;

/// The statement that checks a fence and remembers it. The contract is on
/// [`LockManager::fence_guard_sql`](crate::locks::LockManager::fence_guard_sql).
// The row stays locked until the caller's transaction ends, so a second holder waits for the outcome of the first.
pub(in crate::locks) const GUARD: &str = "INSERT INTO posada.lock_fence AS known (resource, last_fence) VALUES ($1, $2) \
     ON CONFLICT (resource) DO UPDATE SET last_fence = EXCLUDED.last_fence \
     WHERE known.last_fence <= EXCLUDED.last_fence RETURNING last_fence";

/// Where the highest fence of each resource is kept.
#[async_trait]
pub(crate) trait FenceStore: Send + Sync + 'static {
    /// Remembers a fence unless a higher one was seen; returns whether it was accepted. May be repeated.
    async fn accept(&self, resource: &str, fence: i64) -> Result<bool>;
}
