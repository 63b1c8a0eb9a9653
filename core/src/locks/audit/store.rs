//! The port of the audit.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::{AuditEntry, Note};
use crate::error::Result;
use crate::tenants::TenantId;

/// Where the audit is kept.
#[async_trait]
pub(crate) trait AuditStore: Send + Sync + 'static {
    /// Adds rows, in this order, all or none.
    async fn append(&self, rows: &[Arc<Note>]) -> Result<()>;

    /// The newest rows of a key, newest first; of one tenant, if one is named.
    async fn recent(
        &self,
        lock_key: &str,
        tenant: Option<&TenantId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
}
