//! The guard of a named lock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::engine::LockEngine;
use super::held::HeldLock;
use super::model::{AcquireOptions, LossCause, Release, check_duration};
use crate::error::Result;

/// A lock that is held. Dropping the guard releases the lock in the background, and repeats that while Redis is away;
/// [`release`](Self::release) waits for it.
///
/// A lock of Redis can be lost while its holder works: the process was paused, Redis lost its data, an extension did
/// not arrive. So the guard knows its own deadline on the monotonic clock and reports the loss even when Redis says
/// nothing; the time that the machine sleeps counts. Before a step that must not be done twice, call
/// [`ensure_held`](Self::ensure_held), or hand the [`fence`](Self::fence) to the thing that is protected, so that it
/// can refuse a latecomer.
pub struct LockGuard {
    engine: LockEngine,
    held: Arc<HeldLock>,
    is_released: bool,
}

impl LockGuard {
    pub(super) fn new(engine: LockEngine, held: Arc<HeldLock>) -> Self {
        Self {
            engine,
            held,
            is_released: false,
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
        self.held.expires_at()
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
        self.held.ensure_held()
    }

    /// Completes when the lock is lost; never while it is held. Race your work against it. It does not depend on
    /// Redis: at the local deadline it completes in any case. Cancel-safe.
    pub async fn lost(&self) -> LossCause {
        self.held.until_lost().await
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
        self.engine.extend(&self.held, ttl).await
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
        let outcome = self.engine.release_held(&self.held).await;
        self.is_released = outcome.is_ok();
        outcome
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.engine.forget(&self.held, self.is_released);
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
