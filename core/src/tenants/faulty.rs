//! A store for tests that can be counted, stopped and held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::store::{Assignment, TenantStore};
use super::{Identifier, MemoryTenants, NewTenant, Tenant, TenantId, TenantUpdate};
use crate::error::{Error, Result, codes};

/// A memory store behind a switch and a gate.
pub(super) struct Faulty {
    pub(super) rows: MemoryTenants,
    finds: watch::Sender<usize>,
    down: AtomicBool,
    open: watch::Sender<bool>,
}

impl Faulty {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: MemoryTenants::new(),
            finds: watch::Sender::new(0),
            down: AtomicBool::new(false),
            open: watch::Sender::new(true),
        })
    }

    /// Reads first and answers when the gate opens: the late answer of a slow server.
    async fn pass<T>(&self, answer: T) -> Result<T> {
        self.finds.send_modify(|finds| *finds += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::new(codes::POSTGRES_UNAVAILABLE, "down"));
        }
        Ok(answer)
    }

    pub(super) fn finds(&self) -> usize {
        *self.finds.borrow()
    }

    /// Waits until that number of questions have come.
    pub(super) async fn was_asked(&self, times: usize) {
        let _ = self.finds.subscribe().wait_for(|finds| *finds >= times).await;
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub(super) async fn add(&self, id: &str, identifier: &str) -> TenantId {
        let new = NewTenant::new(id, &format!("Hotel {id}")).unwrap();
        let _ = self.rows.insert(&new, DateTime::UNIX_EPOCH).await;
        self.rows.write_raw(&new.id, identifier);
        new.id
    }
}

#[async_trait]
impl TenantStore for Faulty {
    async fn find(&self, keys: &[String]) -> Result<Vec<Assignment>> {
        let found = self.rows.find(keys).await?;
        self.pass(found).await
    }

    async fn get(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let found = self.rows.get(id).await?;
        self.pass(found).await
    }

    async fn list(&self) -> Result<Vec<Tenant>> {
        self.rows.list().await
    }

    async fn insert(&self, tenant: &NewTenant, now: DateTime<Utc>) -> Result<Tenant> {
        self.rows.insert(tenant, now).await
    }

    async fn update(&self, id: &TenantId, update: &TenantUpdate, now: DateTime<Utc>) -> Result<Tenant> {
        self.rows.update(id, update, now).await
    }

    async fn add_identifier(&self, id: &TenantId, identifier: &Identifier, now: DateTime<Utc>) -> Result<()> {
        self.rows.add_identifier(id, identifier, now).await
    }

    async fn remove_identifier(&self, id: &TenantId, identifier: &Identifier) -> Result<()> {
        self.rows.remove_identifier(id, identifier).await
    }

    async fn all_identifiers(&self, limit: usize) -> Result<Vec<String>> {
        self.rows.all_identifiers(limit).await
    }
}
