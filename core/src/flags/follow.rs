//! How this process follows Redis: notices, polls, look-ups of new tenants, and its own writes.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, broadcast};

use super::adopt::{Judgement, Place, adopt};
use super::file::Saved;
use super::model::{FlagChange, FlagOptions};
use super::status::Health;
use super::store::{FlagNotices, FlagStore, Notice};
use super::view::{Entry, Layer, Overrides, View};
use super::watch::BACKLOG;
use super::{FeatureFlags, Inner};
use crate::error::{Result, codes};
use crate::metrics::{
    FEATURE_FLAG_ENABLED, FLAGS_LOST_TOTAL, FLAGS_RELOADS_TOTAL, FLAGS_SNAPSHOT_AGE_SECONDS,
};
use crate::rng;
use crate::tenants::TenantId;

/// Longest pause between two attempts while Redis fails.
const RETRY: Duration = Duration::from_secs(1);

/// What following needs.
pub(super) struct Follower {
    pub(super) store: Arc<dyn FlagStore>,
    pub(super) options: FlagOptions,
    pub(super) health: Health,
    pub(super) events: broadcast::Sender<FlagChange>,
    started: AtomicBool,
    restored: AtomicBool,
    /// Tenants that contexts named and nobody looked up yet.
    wanted: papaya::HashMap<TenantId, ()>,
    /// Apart, so that waiting for it does not keep the service alive.
    asked: Arc<Notify>,
    ledger: Mutex<Ledger>,
    /// Held during a load: loads come one after the other.
    turn: tokio::sync::Mutex<()>,
}

/// What must not be lost between loads. Changes of the view happen under its lock.
#[derive(Default)]
struct Ledger {
    /// Counts the writes of this process.
    generation: u64,
    /// The writes that a running load may not have seen, with their generation.
    recent: HashMap<Place, (u64, Option<Arc<str>>)>,
    /// Removals and writes that notices named since the last load.
    explained: HashSet<Place>,
    /// The version at the last load.
    version: u64,
    /// Whether values were said to be stale.
    told_stale: bool,
}

impl Follower {
    pub(super) fn new(store: Arc<dyn FlagStore>, options: FlagOptions) -> Self {
        Self {
            store,
            options,
            health: Health::new(),
            events: broadcast::Sender::new(BACKLOG),
            started: AtomicBool::new(false),
            restored: AtomicBool::new(false),
            wanted: papaya::HashMap::new(),
            asked: Arc::default(),
            ledger: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a load covers.
enum Scope {
    /// Everything that is followed.
    All,
    /// The global flags and these tenants, because notices named them: every write since the last load is
    /// accounted for.
    Noticed(Vec<TenantId>),
    /// The global flags and these tenants, because they are new.
    Tenants(Vec<TenantId>),
}

impl FeatureFlags {
    #[inline]
    pub(super) fn start_if_needed(&self) {
        if !self.0.follower.started.load(Ordering::Relaxed) {
            self.start();
        }
    }

    /// Begins to follow, once, if there is a runtime to do it on.
    #[cold]
    pub(super) fn start(&self) {
        if tokio::runtime::Handle::try_current().is_err()
            || self.0.follower.started.swap(true, Ordering::Relaxed)
        {
            return;
        }
        // Subscribed before the first load, so that nothing falls between the two.
        let notices = self.0.follower.store.changes();
        self.0
            .tasks
            .run_until_closed(follow(Arc::downgrade(&self.0), notices));
    }

    /// Puts a tenant on the list of those to be looked up.
    #[cold]
    pub(super) fn ask_for(&self, tenant: &TenantId) {
        let follower = &self.0.follower;
        let wanted = follower.wanted.pin();
        if wanted.contains_key(tenant) {
            return;
        }
        if wanted.len() + self.0.view.load().tenants.len() >= follower.options.max_tenants {
            tracing::debug!(%tenant, "too many tenants are followed; global flags speak for this one");
            return;
        }
        wanted.insert(tenant.clone(), ());
        follower.asked.notify_one();
    }

    /// Runs a write to its end, and reads everything again when its outcome is unknown.
    pub(super) async fn write<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.start_if_needed();
        let flags = self.clone();
        self.0
            .tasks
            .detach(async move {
                let outcome = work(flags.clone()).await;
                if let Err(error) = &outcome
                    && error.is(codes::REDIS_OUTCOME_UNKNOWN)
                {
                    let after = flags.clone();
                    flags.0.tasks.in_background(async move {
                        // A failure is shown by the status and tried again by the poll.
                        let _ = after.load_all(false).await;
                    });
                }
                outcome
            })
            .await
    }

    /// Shows a write of this process, and keeps a running load from undoing it.
    pub(super) fn apply(&self, tenant: Option<TenantId>, flag: &str, value: Option<&str>) {
        let mut ledger = self.0.follower.ledger();
        ledger.generation += 1;
        let place: Place = (tenant, flag.into());
        let generation = ledger.generation;
        ledger
            .recent
            .insert(place.clone(), (generation, value.map(Into::into)));
        let mut view = View::clone(&self.0.view.load());
        let before = match &place.0 {
            None => view.global.clone(),
            Some(tenant) => view
                .tenants
                .get(tenant)
                .map(|overrides| overrides.flags.clone())
                .unwrap_or_default(),
        };
        let mut layer = Layer::clone(&before);
        let removed = layer.remove(flag);
        let is_change = removed.as_ref().map(|entry| &*entry.raw) != value;
        if let Some(value) = value {
            layer.insert(place.1.clone(), Entry::read(flag, value, removed.as_ref()));
        }
        match &place.0 {
            None => view.global = Arc::new(layer),
            Some(tenant) => {
                let overrides = Overrides {
                    flags: Arc::new(layer),
                    asked: true.into(),
                };
                view.tenants.insert(tenant.clone(), Arc::new(overrides));
            }
        }
        self.publish(view, if is_change { vec![place] } else { Vec::new() });
    }

    pub(super) async fn load_all(&self, trust: bool) -> Result<()> {
        self.load(Scope::All, trust).await
    }

    pub(super) async fn load_tenants(&self, tenants: Vec<TenantId>) -> Result<()> {
        self.load(Scope::Tenants(tenants), false).await
    }

    /// Asks the store and makes the answer the new view. Cancel-safe, except that notices of the moment are
    /// forgotten; callers detach it.
    async fn load(&self, scope: Scope, trust: bool) -> Result<()> {
        let follower = &self.0.follower;
        let _turn = follower.turn.lock().await;
        self.restore().await;
        let (generation, explained) = {
            let mut ledger = follower.ledger();
            (ledger.generation, std::mem::take(&mut ledger.explained))
        };
        let complete = matches!(scope, Scope::All);
        let is_new_tenant = matches!(scope, Scope::Tenants(_));
        let answer = async {
            let tenants = match scope {
                Scope::All => self.followed(follower.store.tenants().await?),
                Scope::Noticed(tenants) | Scope::Tenants(tenants) => tenants,
            };
            follower.store.load(&tenants).await
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
            ledger.recent.retain(|_, (written, _)| *written > generation);
            for ((tenant, flag), (_, value)) in &ledger.recent {
                let layer = match tenant {
                    None => Some(&mut raw.global),
                    Some(tenant) => {
                        let mut layers = raw.tenants.iter_mut();
                        layers.find(|(known, _)| known == tenant).map(|(_, layer)| layer)
                    }
                };
                match (layer, value) {
                    (Some(layer), Some(value)) => drop(layer.insert(flag.to_string(), value.to_string())),
                    (Some(layer), None) => drop(layer.remove(&**flag)),
                    (None, _) => {}
                }
            }
            let previous = self.0.view.load();
            let adopted = adopt(
                &previous,
                &raw,
                &Judgement {
                    explained: &explained,
                    budget: raw.version.saturating_sub(ledger.version),
                    trust,
                    complete,
                },
            );
            if !is_new_tenant {
                ledger.version = raw.version;
            }
            if adopted.newly_lost > 0 {
                let count = adopted.newly_lost;
                tracing::warn!(
                    count,
                    "Redis lost flags that nobody unset; the last good values stay"
                );
                metrics::counter!(FLAGS_LOST_TOTAL).increment(count as u64);
            }
            follower.health.confirm(&*self.0.clock, adopted.lost);
            self.publish(adopted.view, adopted.changed);
        }
        let wanted = follower.wanted.pin();
        for (tenant, _) in &raw.tenants {
            wanted.remove(tenant);
        }
        drop(wanted);
        self.tell_staleness();
        Ok(())
    }

    /// The tenants whose overrides a complete load reads: those that were given some through posada, those that
    /// have some, and those that somebody asked for since the last time.
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
    fn publish(&self, view: View, changed: Vec<Place>) {
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
            // Nobody watching is fine.
            let _ = self.0.follower.events.send(FlagChange::Changed { flag, tenant });
        }
    }

    /// Tells watchers when values become stale, and when they are fresh again.
    fn tell_staleness(&self) {
        let is_stale = self.status().stale;
        let mut ledger = self.0.follower.ledger();
        if ledger.told_stale != is_stale {
            ledger.told_stale = is_stale;
            let change = if is_stale {
                FlagChange::Stale
            } else {
                FlagChange::Fresh
            };
            let _ = self.0.follower.events.send(change);
        }
    }

    /// Reads the snapshot file before the first load, whose answer is then judged against it: a Redis that lost
    /// everything is noticed by a process that starts only now. The caller has the turn.
    async fn restore(&self) {
        let Some(folder) = self.0.follower.options.snapshot_dir.clone() else {
            return;
        };
        if self.0.follower.restored.swap(true, Ordering::Relaxed) {
            return;
        }
        let read = tokio::task::spawn_blocking(move || Saved::read(&folder)).await;
        let saved = match read {
            Ok(Ok(Some(saved))) => saved,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the snapshot of the flags cannot be read");
                return;
            }
        };
        let age = (self.0.clock.now() - saved.confirmed)
            .to_std()
            .unwrap_or_default();
        let raw = saved.into_raw();
        let mut ledger = self.0.follower.ledger();
        let judgement = Judgement {
            explained: &HashSet::new(),
            budget: 0,
            trust: true,
            complete: true,
        };
        let adopted = adopt(&self.0.view.load(), &raw, &judgement);
        ledger.version = raw.version;
        self.0.follower.health.restore(&*self.0.clock, age);
        self.publish(adopted.view, adopted.changed);
    }

    /// Writes the snapshot file.
    async fn save(&self) {
        let follower = &self.0.follower;
        let Some(folder) = follower.options.snapshot_dir.clone() else {
            return;
        };
        let version = follower.ledger().version;
        let saved = Saved::new(&self.0.view.load(), version, self.0.clock.now());
        let written = tokio::task::spawn_blocking(move || saved.write(&folder)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the snapshot of the flags cannot be written");
        }
    }
}

/// Follows the store until `close()`, or until nobody has the service any more.
async fn follow(service: Weak<Inner>, mut notices: Box<dyn FlagNotices>) {
    let Some(flags) = service.upgrade().map(FeatureFlags) else {
        return;
    };
    let asked = flags.0.follower.asked.clone();
    if !flags.0.follower.health.is_ready() {
        flags.load_and_save(Scope::All).await;
    }
    let mut pause = flags.pause();
    drop(flags);
    loop {
        let event = tokio::select! {
            notice = notices.next() => match notice {
                Some(notice) => Some(notice),
                None => return,
            },
            () = asked.notified() => None,
            () = tokio::time::sleep(pause) => Some(Notice::Missed),
        };
        let Some(flags) = service.upgrade().map(FeatureFlags) else {
            return;
        };
        let scope = match event {
            None => Scope::Tenants(flags.0.follower.wanted.pin().keys().cloned().collect()),
            Some(first) => {
                // Many notices at once are one load.
                let mut burst = vec![first];
                while let Some(Some(notice)) = notices.next().now_or_never() {
                    burst.push(notice);
                }
                flags.scope_of(burst)
            }
        };
        flags.load_and_save(scope).await;
        pause = flags.pause();
    }
}

impl FeatureFlags {
    /// What a burst of notices makes us read; remembers what they explain.
    fn scope_of(&self, burst: Vec<Notice>) -> Scope {
        let mut ledger = self.0.follower.ledger();
        let (mut tenants, mut missed) = (HashSet::new(), false);
        for notice in burst {
            match notice {
                Notice::Written { tenant, flag } => {
                    tenants.extend(tenant.clone());
                    ledger.explained.insert((tenant, flag.into()));
                }
                Notice::Missed => missed = true,
            }
        }
        if missed {
            Scope::All
        } else {
            Scope::Noticed(tenants.into_iter().collect())
        }
    }

    /// A complete load as the follower does it.
    #[cfg(test)]
    pub(super) async fn refresh_and_save(&self) {
        self.load_and_save(Scope::All).await;
    }

    async fn load_and_save(&self, scope: Scope) {
        match self.load(scope, false).await {
            Ok(()) => self.save().await,
            Err(error) => tracing::debug!(%error, "the flags cannot be read"),
        }
        if let Some(age) = self.status().age {
            metrics::gauge!(FLAGS_SNAPSHOT_AGE_SECONDS).set(age.as_secs_f64());
        }
    }

    /// How long to wait for the next look: jittered, so that a fleet does not ask in step, and short while Redis
    /// fails.
    fn pause(&self) -> Duration {
        let longest = self.0.follower.options.poll;
        let longest = if self.0.follower.health.is_failing() {
            longest.min(RETRY)
        } else {
            longest
        };
        longest / 2 + rng::jitter(longest / 2)
    }
}
