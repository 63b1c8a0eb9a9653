//! A load: what Redis answers becomes the view that this process evaluates.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::FeatureFlags;
use super::adopt::{Evidence, adopt};
use super::history::History;
use super::model::FlagChange;
use super::store::RawFlags;
use super::view::{Entry, FlagKey, View};
use crate::error::Result;
use crate::metrics::{FEATURE_FLAG_ENABLED, FLAGS_LOST_TOTAL, FLAGS_RELOADS_TOTAL};
use crate::tenants::TenantId;

/// What a load covers.
pub(super) enum Extent {
    /// Everything that is followed.
    All,
    /// The global flags and these tenants, because notices named them: every write since the last load is
    /// accounted for.
    Noticed(Vec<TenantId>),
    /// The global flags and these tenants, because they are new.
    Tenants(Vec<TenantId>),
}

impl FeatureFlags {
    /// Asks the store, makes the answer the new view, and writes the snapshot file. `trust` believes what is
    /// implausible too. Dropped in the middle it forgets notices, so callers detach it.
    pub(super) async fn load(&self, scope: Extent, trust: bool) -> Result<()> {
        let follower = &self.0.follower;
        let _turn = follower.turn.lock().await;
        self.restore().await;
        let (generation, history, explained) = {
            let mut ledger = follower.ledger();
            let explained = std::mem::take(&mut ledger.explained);
            (ledger.generation, ledger.history.clone(), explained)
        };
        let scope = self.widen(scope);
        let mut complete = matches!(scope, Extent::All);
        let is_new_tenant = matches!(scope, Extent::Tenants(_));
        let answer = async {
            let raw = self.ask(&scope).await?;
            if complete || !history.is_newer_than(&raw) {
                return Ok(raw);
            }
            // A fall concerns every layer, and is judged once.
            complete = true;
            self.want(scope);
            self.ask(&Extent::All).await
        };
        let mut raw = match answer.await {
            Ok(raw) => raw,
            Err(error) => {
                follower.ledger().explained.extend(explained);
                follower.health.fail();
                self.tell_staleness();
                metrics::counter!(FLAGS_RELOADS_TOTAL, "result" => "error").increment(1);
                return Err(error);
            }
        };
        metrics::counter!(FLAGS_RELOADS_TOTAL, "result" => "success").increment(1);
        {
            let mut ledger = follower.ledger();
            // What we wrote while the answer was on its way is newer than the answer.
            ledger.recent.retain(|_, recent| recent.generation > generation);
            for ((tenant, flag), recent) in &ledger.recent {
                let layer = match tenant {
                    None => Some(&mut raw.global),
                    Some(tenant) => {
                        let mut layers = raw.tenants.iter_mut();
                        layers.find(|(known, _)| known == tenant).map(|(_, layer)| layer)
                    }
                };
                match (layer, &recent.value) {
                    (Some(layer), Some(value)) => drop(layer.insert(flag.to_string(), value.to_string())),
                    (Some(layer), None) => drop(layer.remove(&**flag)),
                    (None, _) => {}
                }
            }
            let is_older = history.is_newer_than(&raw);
            let mut explained_now = history.keys_until(&raw);
            explained_now.extend(ledger.recent.keys().cloned());
            if !is_older {
                explained_now.extend(explained);
            }
            let previous = self.0.view.load();
            let adopted = adopt(
                &previous,
                &raw,
                &Evidence {
                    explained: &explained_now,
                    budget: history.writes_until(&raw),
                    is_older,
                    trust,
                    complete,
                },
            );
            if is_older || !is_new_tenant {
                ledger.history = History::of(&raw);
                let own = ledger.recent.values().map(|recent| recent.written.clone());
                for written in own.collect::<Vec<_>>() {
                    ledger.history.note(&written);
                }
            }
            if adopted.newly_lost > 0 {
                let count = adopted.newly_lost;
                tracing::warn!(
                    count,
                    is_older,
                    "Redis lost flags or has older ones, and no write accounts for that; the last good values stay until \
                     they are written again, or adopted"
                );
                metrics::counter!(FLAGS_LOST_TOTAL).increment(count as u64);
            }
            follower.health.confirm(&*self.0.clock, adopted.lost);
            self.publish(adopted.view, adopted.changed);
        }
        for (tenant, _) in &raw.tenants {
            follower.wanted.pin().remove(tenant);
        }
        self.tell_staleness();
        self.save().await;
        Ok(())
    }

    async fn ask(&self, scope: &Extent) -> Result<RawFlags> {
        let store = &self.0.follower.store;
        match scope {
            Extent::All => store.load(&self.followed(store.tenants().await?)).await,
            Extent::Noticed(tenants) | Extent::Tenants(tenants) => store.load(tenants).await,
        }
    }

    /// Puts the tenants of a scope on the list of those that the next complete load reads.
    fn want(&self, scope: Extent) {
        if let Extent::Noticed(tenants) | Extent::Tenants(tenants) = scope {
            let wanted = self.0.follower.wanted.pin();
            for tenant in tenants {
                wanted.insert(tenant, ());
            }
        }
    }

    /// After an outage only a complete load makes the values fresh again.
    fn widen(&self, scope: Extent) -> Extent {
        if !self.0.follower.health.is_failing() {
            return scope;
        }
        self.want(scope);
        Extent::All
    }

    /// The tenants whose overrides a complete load reads: those that were given some through posada, those that
    /// have some, and those that a caller asked for since the last time.
    fn followed(&self, registered: Vec<TenantId>) -> Vec<TenantId> {
        let mut followed: HashSet<TenantId> = registered.into_iter().collect();
        for (tenant, overrides) in &self.0.view.load().tenants {
            if overrides.asked.swap(false, Ordering::Relaxed) || !overrides.flags.is_empty() {
                followed.insert(tenant.clone());
            }
        }
        followed.extend(self.0.follower.wanted.pin().keys().cloned());
        followed.into_iter().collect()
    }

    /// Makes a view current and tells what is new. The ledger is locked by the caller.
    pub(super) fn publish(&self, view: View, changed: Vec<FlagKey>) {
        for (tenant, flag) in &changed {
            if tenant.is_none() {
                let default = view.defaults.get(flag).copied().unwrap_or_default();
                let enabled = view.global.get(flag).map_or(default, Entry::is_switched_on);
                metrics::gauge!(FEATURE_FLAG_ENABLED, "flag" => flag.to_string()).set(if enabled {
                    1.0
                } else {
                    0.0
                });
            }
        }
        self.0.view.store(Arc::new(view));
        for (tenant, flag) in changed {
            // No watcher is fine.
            let _ = self.0.follower.events.send(FlagChange::Changed { flag, tenant });
        }
    }

    /// Tells watchers when values become stale, and when they are fresh again; the latter also when Redis did not
    /// answer at the start, when there were no values to be stale.
    fn tell_staleness(&self) {
        let status = self.status();
        let unconfirmed = status.stale || !status.ready;
        let mut ledger = self.0.follower.ledger();
        if ledger.unconfirmed == unconfirmed {
            return;
        }
        ledger.unconfirmed = unconfirmed;
        let events = &self.0.follower.events;
        if !unconfirmed {
            let _ = events.send(FlagChange::Fresh);
        } else if status.ready {
            let _ = events.send(FlagChange::Stale);
        }
    }
}
