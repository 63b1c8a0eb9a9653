//! Flags in this process: the default of an embedded posada, and the specification of the other adapter.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::store::{FlagNotices, FlagStore, LOG, LoggedWrite, Notice, RawFlags, RawLayer, Written};
use crate::error::Result;
use crate::rng;
use crate::sync;
use crate::tenants::TenantId;

/// Notices that a slow subscriber may be behind before it is told that it missed some.
const BACKLOG: usize = 256;

/// Flags in this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFlags {
    state: Arc<Mutex<State>>,
    notices: broadcast::Sender<Notice>,
}

#[derive(Debug, Clone, Default)]
struct State {
    version: u64,
    log: VecDeque<LoggedWrite>,
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

    /// What is there now, to be restored as a server does that starts from an older snapshot.
    #[cfg(test)]
    pub(crate) fn keep(&self) -> impl Fn(&Self) + use<> {
        let kept = self.with(|state| state.clone());
        move |memory| memory.with(|state| *state = kept.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut sync::lock(&self.state))
    }

    fn write(&self, tenant: Option<&TenantId>, flag: &str, value: Option<&str>) -> Written {
        let id = rng::token();
        let written = self.with(|state| {
            state.version += 1;
            state.log.push_front(LoggedWrite {
                id: id.clone(),
                tenant: tenant.cloned(),
                flag: flag.to_owned(),
            });
            state.log.truncate(LOG);
            let layer = state.layer(tenant);
            let before = match value {
                Some(value) => layer.insert(flag.to_owned(), value.to_owned()),
                None => layer.remove(flag),
            };
            Written {
                was_set: before.is_some(),
                version: state.version,
                id,
            }
        });
        // No listener is no error.
        let _ = self.notices.send(Notice::Written {
            tenant: tenant.cloned(),
            flag: flag.to_owned(),
        });
        written
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
            log: state.log.iter().cloned().collect(),
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

    async fn set(&self, tenant: Option<&TenantId>, flag: &str, value: &str) -> Result<Written> {
        Ok(self.write(tenant, flag, Some(value)))
    }

    async fn unset(&self, tenant: Option<&TenantId>, flag: &str) -> Result<Written> {
        Ok(self.write(tenant, flag, None))
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
