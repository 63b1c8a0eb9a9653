//! Tenants in memory: the embedded default, and the specification that Postgres is measured by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::TenantId;
use super::change::{NewTenant, TenantUpdate};
use super::identifier::{Identifier, loose};
use super::model::Tenant;
use super::store::{Assignment, TenantStore, exists, identifier_not_found, identifier_taken, not_found};
use crate::error::Result;
use crate::sync;

/// A table of tenants and a table of identifiers, under one lock.
#[derive(Debug, Default)]
pub(crate) struct MemoryTenants(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    tenants: BTreeMap<TenantId, Tenant>,
    /// Loose form to the rows that have it: the index of `find`.
    identifiers: HashMap<String, Vec<(String, TenantId)>>,
}

impl MemoryTenants {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Whether the tenant is active; `None` when there is none.
    pub(crate) fn is_active(&self, id: &TenantId) -> Option<bool> {
        self.with(|tables| tables.tenants.get(id).map(Tenant::is_active))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(&mut sync::lock(&self.0))
    }

    /// Writes a row exactly as given, the way the app and people with SQL do.
    #[cfg(test)]
    pub(crate) fn write_raw(&self, id: &TenantId, identifier: &str) {
        self.with(|tables| tables.put(id, identifier));
    }
}

impl Tables {
    fn matches(&self, identifier: &Identifier) -> Vec<(String, TenantId)> {
        let rows = identifier
            .keys()
            .iter()
            .filter_map(|key| self.identifiers.get(key))
            .flatten();
        rows.filter(|(stored, _)| identifier.is_same_address(stored))
            .cloned()
            .collect()
    }

    fn put(&mut self, id: &TenantId, identifier: &str) {
        self.identifiers
            .entry(loose(identifier))
            .or_default()
            .push((identifier.to_owned(), id.clone()));
    }
}

#[async_trait]
impl TenantStore for MemoryTenants {
    async fn find(&self, keys: &[String]) -> Result<Vec<Assignment>> {
        Ok(self.with(|tables| {
            let rows = keys
                .iter()
                .filter_map(|key| tables.identifiers.get(key))
                .flatten();
            rows.filter_map(|(identifier, id)| {
                let tenant = tables.tenants.get(id)?.clone();
                Some(Assignment {
                    identifier: identifier.clone(),
                    tenant,
                })
            })
            .collect()
        }))
    }

    async fn get(&self, id: &TenantId) -> Result<Option<Tenant>> {
        Ok(self.with(|tables| tables.tenants.get(id).cloned()))
    }

    async fn list(&self) -> Result<Vec<Tenant>> {
        Ok(self.with(|tables| tables.tenants.values().cloned().collect()))
    }

    async fn insert(&self, new: &NewTenant, now: DateTime<Utc>) -> Result<Tenant> {
        self.with(|tables| {
            if tables.tenants.contains_key(&new.id) {
                return Err(exists(&new.id));
            }
            let tenant = Tenant {
                id: new.id.clone(),
                name: new.name.clone(),
                status: new.status,
                business_hours: new.business_hours.clone(),
                created_at: Some(now),
                updated_at: Some(now),
            };
            tables.tenants.insert(new.id.clone(), tenant.clone());
            Ok(tenant)
        })
    }

    async fn update(&self, id: &TenantId, update: &TenantUpdate, now: DateTime<Utc>) -> Result<Tenant> {
        let update = update.clone();
        self.with(|tables| {
            let tenant = tables.tenants.get_mut(id).ok_or_else(|| not_found(id))?;
            let hours = &mut tenant.business_hours;
            tenant.name = update.name.unwrap_or_else(|| std::mem::take(&mut tenant.name));
            tenant.status = update.status.unwrap_or(tenant.status);
            hours.start = update.start.unwrap_or(hours.start);
            hours.end = update.end.unwrap_or(hours.end);
            hours.timezone = update.timezone.unwrap_or_else(|| hours.timezone.take());
            tenant.updated_at = Some(now);
            Ok(tenant.clone())
        })
    }

    async fn add_identifier(
        &self,
        id: &TenantId,
        identifier: &Identifier,
        _now: DateTime<Utc>,
    ) -> Result<()> {
        self.with(|tables| {
            if !tables.tenants.contains_key(id) {
                return Err(not_found(id));
            }
            let matches = tables.matches(identifier);
            if let Some((_, owner)) = matches.iter().find(|(_, owner)| owner != id) {
                return Err(identifier_taken(Some(owner.as_str())));
            }
            if matches.is_empty() {
                tables.put(id, identifier.canonical());
            }
            Ok(())
        })
    }

    async fn remove_identifier(&self, id: &TenantId, identifier: &Identifier) -> Result<()> {
        self.with(|tables| {
            if !tables.tenants.contains_key(id) {
                return Err(not_found(id));
            }
            if !tables.matches(identifier).iter().any(|(_, owner)| owner == id) {
                return Err(identifier_not_found(id));
            }
            for key in identifier.keys() {
                if let Some(rows) = tables.identifiers.get_mut(key) {
                    rows.retain(|(stored, owner)| owner != id || !identifier.is_same_address(stored));
                }
            }
            Ok(())
        })
    }

    async fn all_identifiers(&self, limit: usize) -> Result<Vec<String>> {
        Ok(self.with(|tables| {
            let rows = tables.identifiers.values().flatten();
            rows.map(|(identifier, _)| identifier.clone())
                .take(limit)
                .collect()
        }))
    }
}
