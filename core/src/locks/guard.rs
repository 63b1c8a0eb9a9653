//! The guard of a engine lock.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::engine::LockEngine;
use super::model::{AcquireOptions, LossCause, Release, check_duration};
use super::store::{Extension, Lease, LockKey};
use crate::clock::LOOK_AGAIN;
use crate::error::{Error, Result, codes};
use crate::metrics as names;
use crate::redact::Quiet;
use crate::task::Need;

/// A lock that is held. Dropping the guard releases the lock in the background, and repeats that while Redis is away;
/// [`release`](Self::release) waits for it.
///
/// A lock of Redis can be lost while its holder works: the process was paused, Redis lost its data, an extension did
/// not arrive. So the guard knows its own deadline on the monotonic clock and reports the loss even when Redis says
/// nothing; the time that the machine sleeps counts. Before a step that must not be done twice, call [`ensure_held`](Self::ensure_held), or hand the
/// [`fence`](Self::fence) to the thing that is protected, so that it can refuse a latecomer.
pub struct LockGuard {
    held: Arc<HeldLock>,
    released: bool,
}

/// What the guard and the auto-extender share.
pub(super) struct HeldLock {
    pub(super) engine: LockEngine,
    pub(super) key: LockKey,
    pub(super) token: String,
    pub(super) fence: u64,
    pub(super) ttl: Duration,
    pub(super) granted: Instant,
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

impl LockGuard {
    pub(super) fn new(held: Arc<HeldLock>) -> Self {
        Self {
            held,
            released: false,
        }
    }

    pub(super) fn held(&self) -> &Arc<HeldLock> {
        &self.held
    }

    /// The owner's secret: who knows it may extend and release the lock.
    pub fn token(&self) -> &str {
        &self.held.token
    }

    /// A number that grows with every grant of this name, also when Redis lost its data in between. Store it with
    /// what the lock protects, and refuse smaller ones.
    pub fn fence(&self) -> u64 {
        self.held.fence
    }

    /// When the lock ends unless it is extended, by the server's clock (UTC).
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.held.term().expires_at
    }

    /// How long we may rely on the lock, by our own monotonic clock; a little less than the server grants, for
    /// clocks that drift. Zero when it is lost.
    pub fn remaining(&self) -> Duration {
        self.held.remaining()
    }

    /// Checks, without asking the server, that the lock is still ours.
    ///
    /// # Errors
    /// `locks.lost`; the fact `cause` says why.
    pub fn ensure_held(&self) -> Result<()> {
        match self.held.lost_cause() {
            None => Ok(()),
            Some(cause) => Err(lost(&self.held.key, cause)),
        }
    }

    /// Completes when the lock is lost; never while it is held. Race your work against it. It does not depend on
    /// Redis: at the local deadline it completes in any case. Cancel-safe.
    pub async fn lost(&self) -> LossCause {
        let held = &self.held;
        loop {
            let changed = held.changed.notified();
            if let Some(cause) = held.lost_cause() {
                return cause;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(held.remaining().clamp(Duration::from_millis(1), LOOK_AGAIN)) => {}
            }
        }
    }

    /// Lets the lock live at least `ttl` from now. Never shortens it.
    ///
    /// When Redis is down the lock stays as it is, and the local deadline still counts down. Cancel-safe: dropping
    /// the future may or may not have extended the lock.
    ///
    /// # Errors
    /// `locks.lost` when it is not ours any more; `locks.invalid_duration` (field `ttl`); `redis.*`.
    pub async fn extend(&self, ttl: Duration) -> Result<()> {
        check_duration("ttl", ttl, AcquireOptions::MIN_TTL, AcquireOptions::MAX_TTL)?;
        self.held.extend(ttl).await
    }

    /// Gives the lock back and waits for the answer. A lock that was lost is no error: the answer says so, and does
    /// not hide the result of the work that was done under it.
    ///
    /// When Redis is down this fails, and the release goes on in the background: it is repeated until Redis is back, or
    /// until the lock has ended by its time to live. Cancel-safe: a dropped future releases in the background, too.
    ///
    /// # Errors
    /// `redis.*`: the lock may still be held, and is given back as soon as Redis can be asked.
    pub async fn release(mut self) -> Result<Release> {
        self.give_back().await
    }

    pub(super) async fn give_back(&mut self) -> Result<Release> {
        let outcome = self.held.engine.release_held(&self.held).await;
        self.released = outcome.is_ok();
        outcome
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.held.ended.store(true, Ordering::Release);
        self.held.engine.forget(&self.held.token);
        if !self.released {
            let held = self.held.clone();
            // An extension whose answer was lost may have given it as much again.
            let within = held.ttl.max(held.remaining());
            let tasks = held.engine.tasks().clone();
            tasks.until_done("the release of a lock", Need::Sure, within, move || {
                let held = held.clone();
                async move { held.engine.release_held(&held).await.map(drop) }
            });
        }
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("name", &self.held.key.name)
            .field("fence", &self.held.fence)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

impl HeldLock {
    /// `sent` is when the request left us: the server's clock started no earlier.
    pub(super) fn new(engine: LockEngine, key: LockKey, lease: Lease, ttl: Duration, sent: Instant) -> Self {
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
            engine,
            key,
            token: lease.token,
            fence: lease.fence,
            ttl,
        }
    }

    pub(super) async fn extend(&self, ttl: Duration) -> Result<()> {
        let sent = self.engine.instant();
        let extension = self.engine.extend(self, ttl).await?;
        self.extended(extension, ttl, sent)
    }

    /// Takes the answer to an extension that was sent then.
    pub(super) fn extended(&self, extension: Extension, ttl: Duration, sent: Instant) -> Result<()> {
        // A loss is for good, also when nobody has looked at the deadline yet.
        if let Some(cause) = self.lost_cause() {
            return Err(lost(&self.key, cause));
        }
        match extension {
            Extension::Extended(lease) => {
                let mut term = self.term();
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

    pub(super) fn remaining(&self) -> Duration {
        let term = *self.term();
        if term.lost.is_some() {
            return Duration::ZERO;
        }
        term.deadline.saturating_duration_since(self.engine.instant())
    }

    /// Why the lock is lost, if it is. The first to notice counts it.
    pub(super) fn lost_cause(&self) -> Option<LossCause> {
        let term = *self.term();
        if term.lost.is_some() || self.engine.instant() < term.deadline {
            return term.lost;
        }
        Some(self.lose(if term.last {
            LossCause::MaxHold
        } else {
            LossCause::Expired
        }))
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

    /// Whether the guard is gone: nothing is to be extended or reported any more.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn term(&self) -> MutexGuard<'_, Term> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
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
