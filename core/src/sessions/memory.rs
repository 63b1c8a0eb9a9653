//! Conversations in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::model::{ActiveSession, Address};
use super::store::{Replaced, Replacement, SessionStore, Stored};
use super::version::Version;
use crate::TenantId;
use crate::backends::memory::{Change, ExpiringMap};
use crate::backends::redis::keys;
use crate::clock::SharedClock;
use crate::error::Result;

/// The executable specification of the port.
#[derive(Debug)]
pub(crate) struct MemorySessions {
    clock: SharedClock,
    documents: ExpiringMap<Address, Arc<[u8]>>,
}

impl MemorySessions {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            documents: ExpiringMap::new(clock.clone()),
            clock,
        }
    }

    fn stored(&self, at: &Address, body: &[u8]) -> Stored {
        Stored {
            body: body.to_vec(),
            time_to_live: self.documents.time_to_live(at),
        }
    }

    fn of_tenant(&self, tenant: Option<&TenantId>) -> Vec<Address> {
        let entries = self.documents.entries().into_iter().map(|(at, _)| at);
        entries.filter(|at| at.tenant.as_ref() == tenant).collect()
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    fn key(&self, user: &str, tenant: Option<&TenantId>) -> String {
        keys::session(tenant, user)
    }

    async fn read(&self, at: &Address) -> Result<Option<Stored>> {
        Ok(self.documents.get(at).map(|body| self.stored(at, &body)))
    }

    async fn create(&self, at: &Address, body: &str, ttl: Duration) -> Result<(Stored, bool)> {
        let (body, is_new) = self.documents.update(at.clone(), |stored| {
            if let Some(stored) = stored {
                return (Change::Keep, (stored.clone(), false));
            }
            let body: Arc<[u8]> = body.as_bytes().into();
            (Change::Put(body.clone(), Some(ttl)), (body, true))
        });
        Ok((self.stored(at, &body), is_new))
    }

    async fn replace(&self, at: &Address, replacement: Replacement<'_>) -> Result<Replaced> {
        let Replacement {
            expected,
            new,
            ttl,
            is_repeat,
        } = replacement;
        let other = self.documents.update(at.clone(), |stored| {
            let Some(stored) = stored else {
                return (Change::Keep, Err(Replaced::Missing));
            };
            let version = Version::of(stored);
            if version == expected || (is_repeat && version == Version::of(new.as_bytes())) {
                (Change::Put(new.as_bytes().into(), Some(ttl)), Ok(None))
            } else {
                (Change::Keep, Ok(Some(stored.clone())))
            }
        });
        Ok(match other {
            Ok(None) => Replaced::Done,
            Ok(Some(other)) => Replaced::Occupied(self.stored(at, &other)),
            Err(missing) => missing,
        })
    }

    async fn touch(&self, at: &Address, ttl: Duration) -> Result<bool> {
        Ok(self.documents.update(at.clone(), |stored| match stored {
            Some(body) => (Change::Put(body.clone(), Some(ttl)), true),
            None => (Change::Keep, false),
        }))
    }

    async fn delete(&self, at: &Address) -> Result<bool> {
        Ok(self.documents.remove(at).is_some())
    }

    async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<ActiveSession>> {
        let now = self.clock.now();
        let mut active: Vec<_> = self
            .of_tenant(tenant)
            .into_iter()
            .filter_map(|at| {
                let left = self.documents.time_to_live(&at)?;
                Some(ActiveSession {
                    user: at.user.to_string(),
                    expires: now + TimeDelta::from_std(left).unwrap_or(TimeDelta::MAX),
                })
            })
            .collect();
        active.sort_by(|one, other| (one.expires, &one.user).cmp(&(other.expires, &other.user)));
        Ok(active)
    }

    async fn count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        Ok(u64::try_from(self.of_tenant(tenant).len()).unwrap_or(u64::MAX))
    }

    async fn purge_tenant(&self, tenant: &TenantId) -> Result<u64> {
        let purged = self.documents.retain(|at, _| at.tenant.as_ref() != Some(tenant));
        Ok(u64::try_from(purged).unwrap_or(u64::MAX))
    }

    async fn purge_user(&self, user: &str) -> Result<u64> {
        let purged = self.documents.retain(|at, _| &*at.user != user);
        Ok(u64::try_from(purged).unwrap_or(u64::MAX))
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let entries = self.documents.entries().into_iter();
        let mut tenants: Vec<_> = entries.filter_map(|(at, _)| at.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        Ok(tenants)
    }
}
