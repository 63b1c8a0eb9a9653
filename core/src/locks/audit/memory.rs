//! The audit in memory: the newest rows of this process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::model::{AuditEntry, Note};
use super::store::AuditStore;
use crate::error::Result;
use crate::sync;
use crate::tenants::TenantId;

/// Rows that are kept.
const CAPACITY: usize = 10_000;

/// A ring of rows.
#[derive(Debug, Default)]
pub(crate) struct MemoryAudit {
    rows: Mutex<VecDeque<Arc<Note>>>,
}

#[async_trait]
impl AuditStore for MemoryAudit {
    async fn append(&self, rows: &[Arc<Note>]) -> Result<()> {
        let mut kept = sync::lock(&self.rows);
        kept.extend(rows.iter().cloned());
        let surplus = kept.len().saturating_sub(CAPACITY);
        kept.drain(..surplus);
        Ok(())
    }

    async fn recent(
        &self,
        lock_key: &str,
        tenant: Option<&TenantId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let kept = sync::lock(&self.rows);
        Ok(kept
            .iter()
            .rev()
            .filter(|row| *row.lock_key == *lock_key)
            .filter(|row| tenant.is_none() || tenant == row.tenant.as_ref())
            .take(limit)
            .map(|row| row.entry())
            .collect())
    }
}
