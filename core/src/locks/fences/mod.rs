//! Fences: the number by which the protected thing itself refuses a holder whose lock was lost.
//!
//! No lock of Redis can keep a paused process from waking up late and writing. The database can: every write under a
//! lock first shows its fence, and a fence below the highest one seen is refused.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod store;

use std::sync::Arc;

pub(crate) use memory::MemoryFences;
#[cfg(feature = "postgres")]
pub(crate) use postgres::PostgresFences;
pub(crate) use store::FenceStore;
pub(super) use store::GUARD;

use super::model::check_text;
use crate::error::{Error, Result, codes};
use crate::scope::Scope;

/// Longest name of a resource, in bytes.
const MAX_RESOURCE_BYTES: usize = 255;

/// The fences that were seen. Clones share them.
#[derive(Clone)]
pub(super) struct Fences(Arc<dyn FenceStore>);

impl Fences {
    pub(super) fn new(store: Arc<dyn FenceStore>) -> Self {
        Self(store)
    }

    pub(super) async fn check(&self, scope: &Scope, resource: &str, fence: u64) -> Result<()> {
        check_text(
            codes::LOCKS_INVALID_RESOURCE,
            "resource",
            resource,
            MAX_RESOURCE_BYTES,
        )?;
        let of_tenant = scope
            .key_part()
            .map(|tenant| format!("tenant:{tenant}:{resource}"));
        let resource = of_tenant.as_deref().unwrap_or(resource);
        let number = i64::try_from(fence).map_err(|_| {
            Error::field_invalid(codes::LOCKS_INVALID_FENCE, "fence", "is larger than any fence")
        })?;
        if self.0.accept(resource, number).await? {
            return Ok(());
        }
        Err(
            Error::new(codes::LOCKS_STALE_FENCE, "a later holder has written already")
                .with("resource", resource)
                .with("fence", fence),
        )
    }
}
