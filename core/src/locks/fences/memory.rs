//! Fences in memory, for one process.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::store::FenceStore;
use crate::error::Result;
use crate::sync;

/// The highest fence of each resource. None is forgotten: it must not go back.
#[derive(Debug, Default)]
pub(crate) struct MemoryFences(Mutex<HashMap<String, i64>>);

#[async_trait]
impl FenceStore for MemoryFences {
    async fn accept(&self, resource: &str, fence: i64) -> Result<bool> {
        let mut fences = sync::lock(&self.0);
        let last = fences.entry(resource.to_owned()).or_insert(fence);
        let accepted = *last <= fence;
        *last = fence.max(*last);
        Ok(accepted)
    }
}
