//! Flags in this process: the default of an embedded posada, and the specification of the other adapter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::store::{FlagNotices, FlagStore, Notice, RawFlags, RawLayer};
use crate::error::Result;
use crate::tenants::TenantId;

/// Notices that a slow subscriber may be behind before it is told that it missed some.
const BACKLOG: usize = 256;

/// Flags in this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFlags {
    state: Arc<Mutex<State>>,
    notices: broadcast::Sender<Notice>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    global: RawLayer,
    tenants: BTreeMap<TenantId, RawLayer>,
}

impl MemoryFlags {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            notices: broadcast::Sender::new(BACKLOG),
        }
    }

    /// Changes the fields of one hash as a foreign program does: without a version and without a notice.
    #[cfg(test)]
    pub(crate) fn write_as_a_foreigner(&self, tenant: Option<&TenantId>, change: impl FnOnce(&mut RawLayer)) {
        self.with(|state| change(state.layer(tenant)));
    }

    /// Loses everything, the version included.
    #[cfg(test)]
    pub(crate) fn flush(&self) {
        self.with(|state| *state = State::default());
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, tenant: Option<&TenantId>, flag: &str, work: impl FnOnce(&mut RawLayer) -> T) -> T {
        let outcome = self.with(|state| {
            state.version += 1;
            work(state.layer(tenant))
        });
        // Nobody listening is no error.
        let _ = self.notices.send(Notice::Written {
            tenant: tenant.cloned(),
            flag: flag.to_owned(),
        });
        outcome
    }
}

impl State {
    fn layer(&mut self, tenant: Option<&TenantId>) -> &mut RawLayer {
        match tenant {
            None => &mut self.global,
            Some(tenant) => self.tenants.entry(tenant.clone()).or_default(),
        }
    }
}

#[async_trait]
impl FlagStore for MemoryFlags {
    async fn load(&self, tenants: &[TenantId]) -> Result<RawFlags> {
        Ok(self.with(|state| RawFlags {
            version: state.version,
            global: state.global.clone(),
            tenants: tenants
                .iter()
                .map(|tenant| {
                    let layer = state.tenants.get(tenant).cloned().unwrap_or_default();
                    (tenant.clone(), layer)
                })
                .collect(),
        }))
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.with(|state| state.tenants.keys().cloned().collect()))
    }

    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<()> {
        self.write(tenant, flag, |layer| {
            layer.insert(flag.to_owned(), value.to_owned());
        });
        Ok(())
    }

    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<bool> {
        Ok(self.write(tenant, flag, |layer| layer.remove(flag).is_some()))
    }

    fn changes(&self) -> Box<dyn FlagNotices> {
        Box::new(MemoryNotices(self.notices.subscribe()))
    }
}

struct MemoryNotices(broadcast::Receiver<Notice>);

#[async_trait]
impl FlagNotices for MemoryNotices {
    async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
