//! The locks that this process holds: how long it may rely on each, and what the index of held locks knows of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::model::LossCause;
use super::server::LockServer;
use super::store::{Extension, Lease, LockKey, Renewal};
use crate::clock::{LOOK_AGAIN, SharedClock};
use crate::error::{Error, Result, codes};
use crate::metrics as names;
use crate::redact::Quiet;
use crate::sync::lock;

/// How often the index learns of locks that have been held for as long. Short ones never get there, so that listing
/// costs the hot path nothing.
const PERIOD: Duration = Duration::from_secs(1);

/// One lock that was granted to this process, and until when it may be relied on.
pub(super) struct HeldLock {
    pub(super) key: LockKey,
    pub(super) token: String,
    pub(super) fence: u64,
    pub(super) ttl: Duration,
    pub(super) granted: Instant,
    clock: SharedClock,
    term: Mutex<Term>,
    changed: Notify,
    ended: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    /// Until when we may rely on the lock, on our own monotonic clock.
    deadline: Instant,
    /// Until when the server keeps it, by its clock.
    expires_at: DateTime<Utc>,
    /// Automatic extension has reached its end.
    last: bool,
    lost: Option<LossCause>,
}

impl HeldLock {
    /// `sent` is when the request left us: the server's clock started no earlier.
    pub(super) fn new(clock: SharedClock, key: LockKey, lease: Lease, ttl: Duration, sent: Instant) -> Self {
        Self {
            term: Mutex::new(Term {
                deadline: sent + reliable(ttl),
                expires_at: lease.expires_at,
                last: false,
                lost: None,
            }),
            changed: Notify::new(),
            ended: AtomicBool::new(false),
            granted: sent,
            clock,
            key,
            token: lease.token,
            fence: lease.fence,
            ttl,
        }
    }

    pub(super) fn expires_at(&self) -> DateTime<Utc> {
        self.term().expires_at
    }

    pub(super) fn remaining(&self) -> Duration {
        let term = *self.term();
        if term.lost.is_some() {
            return Duration::ZERO;
        }
        term.deadline.saturating_duration_since(self.clock.instant())
    }

    /// # Errors
    /// `locks.lost` when the lock is not held any more.
    pub(super) fn ensure_held(&self) -> Result<()> {
        self.lost_cause()
            .map_or(Ok(()), |cause| Err(lost(&self.key, cause)))
    }

    /// Why the lock is lost, if it is. The first to notice counts it.
    pub(super) fn lost_cause(&self) -> Option<LossCause> {
        let term = *self.term();
        if term.lost.is_some() || self.clock.instant() < term.deadline {
            return term.lost;
        }
        Some(self.lose(if term.last {
            LossCause::MaxHold
        } else {
            LossCause::Expired
        }))
    }

    /// Completes when the lock is lost. Cancel-safe.
    pub(super) async fn until_lost(&self) -> LossCause {
        loop {
            // Registered before the look, so that a loss between the two is not missed.
            let changed = self.changed.notified();
            if let Some(cause) = self.lost_cause() {
                return cause;
            }
            // A timer does not count the machine's sleep, so the clock is looked at again and again.
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(self.remaining().clamp(Duration::from_millis(1), LOOK_AGAIN)) => {}
            }
        }
    }

    /// Takes the answer to an extension that was sent then.
    ///
    /// # Errors
    /// `locks.lost` when the lock is not held any more.
    pub(super) fn extended(&self, extension: Extension, ttl: Duration, sent: Instant) -> Result<()> {
        // A loss is for good, also when the deadline was not looked at yet.
        self.ensure_held()?;
        match extension {
            Extension::Extended(lease) => {
                let mut term = self.term();
                // The later of two answers need not be the one that was sent later.
                term.deadline = term.deadline.max(sent + reliable(ttl));
                term.expires_at = lease.expires_at;
                drop(term);
                self.changed.notify_waiters();
                Ok(())
            }
            Extension::Lost => Err(lost(&self.key, self.lose(LossCause::TakenOver))),
        }
    }

    /// Notes that no automatic extension follows.
    pub(super) fn reached_max_hold(&self) {
        self.term().last = true;
    }

    /// Notes a loss. The first cause stands.
    pub(super) fn lose(&self, cause: LossCause) -> LossCause {
        let mut term = self.term();
        if let Some(known) = term.lost {
            return known;
        }
        term.lost = Some(cause);
        drop(term);
        metrics::counter!(names::LOCK_LOST_TOTAL, "cause" => cause.as_str()).increment(1);
        tracing::warn!(lock = %Quiet(&self.key.name), cause = cause.as_str(), "a lock was lost while it was held");
        self.changed.notify_waiters();
        cause
    }

    /// Notes that the guard is gone: nothing is to be extended or reported any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn renewal(&self, ttl: Duration) -> Renewal<'_> {
        Renewal {
            key: &self.key,
            token: &self.token,
            ttl,
        }
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        lock(&self.term)
    }
}

/// The part of a lease that we rely on: a hundredth and two milliseconds less, because the server's clock may run
/// faster than ours.
fn reliable(ttl: Duration) -> Duration {
    ttl.saturating_sub(ttl / 100 + Duration::from_millis(2))
}

fn lost(key: &LockKey, cause: LossCause) -> Error {
    Error::new(codes::LOCKS_LOST, "the lock is not held any more")
        .with("lock", &key.name)
        .with("cause", cause.as_str())
}

/// The locks of the guards that are alive, by their tokens.
#[derive(Default)]
pub(super) struct HeldLocks(Mutex<HashMap<String, Entry>>);

struct Entry {
    /// Weak, so that a guard that is gone is not kept alive by the registry.
    held: Weak<HeldLock>,
    /// Until when the index says that it is held.
    noted: Option<Instant>,
}

impl HeldLocks {
    pub(super) fn add(&self, held: &Arc<HeldLock>) {
        let entry = Entry {
            held: Arc::downgrade(held),
            noted: None,
        };
        lock(&self.0).insert(held.token.clone(), entry);
    }

    pub(super) fn remove(&self, token: &str) {
        lock(&self.0).remove(token);
    }

    /// Whether a guard with this token is alive.
    pub(super) fn has(&self, token: &str) -> bool {
        lock(&self.0).contains_key(token)
    }

    /// Notes that the locks of these tokens, parted by commas, were taken away by force.
    pub(super) fn were_forced(&self, tokens: &str) {
        let all = lock(&self.0);
        let held: Vec<_> = tokens
            .split(',')
            .filter_map(|token| all.get(token)?.held.upgrade())
            .collect();
        drop(all);
        for held in held {
            held.lose(LossCause::Forced);
        }
    }

    /// Notes in the index the locks that have been held for `least`.
    pub(super) async fn note(&self, server: &LockServer, now: Instant, least: Duration) -> Result<()> {
        let mut by_tenant: HashMap<_, Vec<_>> = HashMap::new();
        let held = self.to_note(now, least);
        for held in &held {
            let noted = (held.key.name.clone(), held.remaining());
            by_tenant.entry(&held.key.tenant).or_default().push(noted);
        }
        for (tenant, names) in by_tenant {
            if let Err(error) = server.store().note_held(tenant.as_ref(), &names).await {
                self.not_noted(&held);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Notes held locks in the index for ever.
    pub(super) async fn keep_noting(&self, server: &LockServer, clock: &SharedClock) {
        loop {
            tokio::time::sleep(PERIOD).await;
            if let Err(error) = self.note(server, clock.instant(), PERIOD).await {
                tracing::debug!(%error, "the index of held locks could not be written; the next second will");
            }
        }
    }

    /// What the index should learn now: locks that have been held for `least` and that it does not know, or believes
    /// to end soon although they do not.
    fn to_note(&self, now: Instant, least: Duration) -> Vec<Arc<HeldLock>> {
        let mut all = lock(&self.0);
        let entries = all.values_mut();
        entries
            .filter_map(|entry| {
                let held = entry.held.upgrade()?;
                let end = now + held.remaining();
                let known = entry
                    .noted
                    .is_some_and(|noted| noted >= end || noted > now + PERIOD * 2);
                if known || now.saturating_duration_since(held.granted) < least {
                    return None;
                }
                entry.noted = Some(end);
                Some(held)
            })
            .collect()
    }

    /// The index did not learn of these; the next time it shall.
    fn not_noted(&self, held: &[Arc<HeldLock>]) {
        let mut all = lock(&self.0);
        for held in held {
            if let Some(entry) = all.get_mut(&held.token) {
                entry.noted = None;
            }
        }
    }
}
