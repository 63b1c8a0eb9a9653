//! The server of named locks as the parts of the engine see it: the store, and with each answer the journal learns
//! of a grant that the step found ended.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::journal::Journal;
use super::model::{LockName, LockState};
use super::store::{
    Attempt, Beat, Extension, Found, Grant, HandOver, Lease, LockKey, LockStore, Renewal, Replicas,
};
use crate::error::{Error, Result};
use crate::tenants::TenantId;

/// Locks that a listing asks for at the same time.
const INSPECTED_TOGETHER: usize = 100;

/// The store and the journal. Clones share both.
#[derive(Clone)]
pub(super) struct LockServer(Arc<Inner>);

struct Inner {
    store: Arc<dyn LockStore>,
    journal: Journal,
    /// Names this process among all that share the server.
    process: String,
}

impl LockServer {
    pub(super) fn new(store: Arc<dyn LockStore>, journal: Journal, process: String) -> Self {
        Self(Arc::new(Inner {
            store,
            journal,
            process,
        }))
    }

    pub(super) fn store(&self) -> &dyn LockStore {
        &*self.0.store
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub(super) fn process(&self) -> &str {
        &self.0.process
    }

    pub(super) async fn acquire(&self, attempt: Attempt<'_>) -> Result<Grant> {
        let found = self.0.store.acquire(attempt).await?;
        Ok(self.answer(attempt.key, found))
    }

    pub(super) async fn acquire_together(&self, attempts: &[Attempt<'_>], whole: bool) -> Result<Vec<Grant>> {
        let found = self.0.store.acquire_together(attempts, whole).await?;
        let each = attempts.iter().zip(found);
        Ok(each
            .map(|(attempt, found)| self.answer(attempt.key, found))
            .collect())
    }

    /// Gives a sign of life for the waiters of this process.
    pub(super) async fn beat(&self, key: &LockKey) -> Result<Beat> {
        let found = self.0.store.beat(key, self.process()).await?;
        Ok(self.answer(key, found))
    }

    /// Extends locks in one call; returns one result per lock, in the same order.
    pub(super) async fn extend(&self, renewals: &[Renewal<'_>]) -> Vec<Result<Extension>> {
        let answers = self.0.store.extend(renewals).await;
        let each = renewals.iter().zip(answers);
        each.map(|(renewal, found)| Ok(self.extension(renewal.key, found?)))
            .collect()
    }

    /// Extends locks and waits until replicas have them; returns also how many replicas do.
    pub(super) async fn extend_replicated(
        &self,
        renewals: &[Renewal<'_>],
        replicas: Replicas,
    ) -> Result<(Vec<Extension>, u32)> {
        let (answers, reached) = self.0.store.extend_replicated(renewals, replicas).await?;
        let each = renewals.iter().zip(answers);
        let extensions = each.map(|(renewal, found)| self.extension(renewal.key, found));
        Ok((extensions.collect(), reached))
    }

    pub(super) async fn release(&self, key: &LockKey, token: &str) -> Result<HandOver> {
        let found = self.0.store.release(key, token, self.process()).await?;
        Ok(self.answer(key, found))
    }

    pub(super) async fn force_release(&self, key: &LockKey) -> Result<Option<Lease>> {
        let found = self.0.store.force_release(key).await?;
        Ok(self.answer(key, found))
    }

    pub(super) async fn inspect(&self, key: &LockKey) -> Result<Option<LockState>> {
        self.0.store.inspect(key).await
    }

    /// The locks of a tenant that the index knows and that are held, by their names.
    pub(super) async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<(LockName, LockState)>> {
        let mut names = self.0.store.noted(tenant).await?;
        names.sort();
        let mut locks = Vec::with_capacity(names.len());
        for some in names.chunks(INSPECTED_TOGETHER) {
            let states = some.iter().map(async |name| {
                let key = LockKey {
                    tenant: tenant.cloned(),
                    name: name.clone(),
                };
                let state = self.inspect(&key).await?;
                Ok::<_, Error>(state.map(|state| (key.name, state)))
            });
            locks.extend(try_join_all(states).await?.into_iter().flatten());
        }
        Ok(locks)
    }

    fn extension(&self, key: &LockKey, found: Found<Extension>) -> Extension {
        let extension = self.answer(key, found);
        self.0.journal.count_extension(&extension);
        extension
    }

    fn answer<T>(&self, key: &LockKey, found: Found<T>) -> T {
        self.0.journal.expired(key, found.expired.as_ref());
        found.answer
    }
}
