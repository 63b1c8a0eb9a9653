//! The port of fences.

use async_trait::async_trait;

use crate::error::Result;

/// Where the highest fence of each resource is kept.
#[async_trait]
pub(crate) trait FenceStore: Send + Sync + 'static {
    /// Remembers a fence unless a higher one was seen; answers whether it was accepted. May be repeated.
    async fn accept(&self, resource: &str, fence: i64) -> Result<bool>;
}
