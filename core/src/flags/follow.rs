//! How this process follows Redis: notices, polls, look-ups of new tenants, and its own writes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, broadcast};

use super::history::History;
use super::load::Extent;
use super::model::{FlagChange, FlagOptions};
use super::status::Health;
use super::store::{FlagNotices, FlagStore, Notice, Written};
use super::view::FlagKey;
use super::watch::BACKLOG;
use super::{FeatureFlags, Inner};
use crate::metrics::FLAGS_SNAPSHOT_AGE_SECONDS;
use crate::rng;
use crate::sync;
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
    pub(super) restored: AtomicBool,
    /// Tenants that contexts named and that were not looked up yet.
    pub(super) wanted: papaya::HashMap<TenantId, ()>,
    /// Apart, so that waiting for it does not keep the service alive.
    asked: Arc<Notify>,
    ledger: Mutex<Ledger>,
    /// Held during a load: loads come one after the other.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// What must not be lost between loads. Changes of the view happen under its lock.
#[derive(Default)]
pub(super) struct Ledger {
    /// Counts the writes of this process.
    pub(super) generation: u64,
    /// The writes that a running load may not have seen.
    pub(super) recent: HashMap<FlagKey, Recent>,
    /// Removals and writes that notices named since the last load.
    pub(super) explained: HashSet<FlagKey>,
    /// The writes that are known from the last load, and ours since.
    pub(super) history: History,
    /// Whether the last load left values that are stale, or none at all.
    pub(super) unconfirmed: bool,
}

/// A write of this process.
pub(super) struct Recent {
    pub(super) generation: u64,
    /// Nothing when it unset the flag.
    pub(super) value: Option<Arc<str>>,
    pub(super) written: Written,
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

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        sync::lock(&self.ledger)
    }
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
}

/// Follows the store until `close()`, or until no handle of the service is left.
async fn follow(service: Weak<Inner>, mut notices: Box<dyn FlagNotices>) {
    let Some(flags) = service.upgrade().map(FeatureFlags::over) else {
        return;
    };
    let asked = flags.0.follower.asked.clone();
    if !flags.0.follower.health.is_ready() {
        flags.load_as_follower(Extent::All).await;
    }
    // Notices do not put the poll off: while they rain, a foreign program may write too.
    let mut poll = Box::pin(tokio::time::sleep(flags.pause()));
    drop(flags);
    loop {
        let event = tokio::select! {
            notice = notices.next() => match notice {
                Some(notice) => Some(notice),
                None => return,
            },
            () = asked.notified() => None,
            () = &mut poll => Some(Notice::Missed),
        };
        let Some(flags) = service.upgrade().map(FeatureFlags::over) else {
            return;
        };
        let scope = match event {
            None => Extent::Tenants(flags.0.follower.wanted.pin().keys().cloned().collect()),
            Some(first) => {
                // Many notices at once are one load.
                let mut burst = vec![first];
                while let Some(Some(notice)) = notices.next().now_or_never() {
                    burst.push(notice);
                }
                flags.scope_of(burst)
            }
        };
        let is_complete = matches!(scope, Extent::All);
        flags.load_as_follower(scope).await;
        if is_complete || flags.0.follower.health.is_failing() {
            poll = Box::pin(tokio::time::sleep(flags.pause()));
        }
    }
}

impl FeatureFlags {
    /// What a burst of notices makes us read; remembers what they explain.
    fn scope_of(&self, burst: Vec<Notice>) -> Extent {
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
            Extent::All
        } else {
            Extent::Noticed(tenants.into_iter().collect())
        }
    }

    async fn load_as_follower(&self, scope: Extent) {
        if let Err(error) = self.load(scope, false).await {
            tracing::debug!(%error, "the flags cannot be read");
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
