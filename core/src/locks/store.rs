//! The port of named locks: what the service needs from a server.
//!
//! Every operation is one indivisible step, is keyed by a token that the caller chose before sending it, and may be
//! repeated without harm; that is what makes lost answers and cancelled callers safe.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::model::{LockName, LockState, Release};
use crate::error::Result;
use crate::tenants::TenantId;

/// How long a waiter counts as alive after it last asked. It asks again at least every [`RECHECK`].
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(3);

/// The longest pause of a waiter that nobody wakes: what a lost message costs.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

/// How long a lock is remembered after its end: its fence does not go back meanwhile, even if the server's clock does
/// by as much, and an end without a release is still noticed.
pub(crate) const RETENTION: Duration = Duration::from_hours(7 * 24);

/// Which lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LockKey {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) name: LockName,
}

/// One request for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) key: &'a LockKey,
    pub(crate) token: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) ttl: Duration,
    /// The process to wake when the lock becomes free; without one the request does not queue.
    pub(crate) process: Option<&'a str>,
}

/// A grant, live or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) token: String,
    pub(crate) owner: String,
    pub(crate) fence: u64,
    pub(crate) acquired_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The lock is the caller's; also the answer to a repeated request.
    Granted(Lease),
    /// Somebody else holds the lock, or was here first.
    Busy {
        /// Empty when the lock is free and kept for the first waiter.
        holder: String,
        remaining: Duration,
        /// How many wait in front; zero for the first of the queue.
        ahead: usize,
    },
}

/// An answer, and what the step found on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub(crate) answer: T,
    /// A grant that had ended without a release. Each is reported once, to whoever meets it first.
    pub(crate) expired: Option<Lease>,
}

/// The answer to an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extension {
    /// The lock lives on, until its (new) `expires_at`.
    Extended(Lease),
    /// The lock is not the caller's any more.
    Lost,
}

/// The answer to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Released {
    /// What the lock was; the lease is there when this very call ended it.
    Done(Release, Option<Lease>),
    /// Somebody else holds the lock.
    NotOwner,
}

/// What a listening process learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is this waiter's turn.
    Waiter(String),
    /// Messages may have been lost: everybody should look again.
    Everybody,
}

/// A server of named locks.
#[async_trait]
pub(crate) trait LockStore: Send + Sync + 'static {
    /// Grants the lock if it is free and nobody waits in front; queues the request otherwise, if it may wait.
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>>;

    /// Lets the lock live at least `ttl` from now.
    async fn extend(&self, key: &LockKey, token: &str, ttl: Duration) -> Result<Found<Extension>>;

    /// Ends the grant or the wait of this token, and wakes the first waiter.
    async fn release(&self, key: &LockKey, token: &str) -> Result<Found<Released>>;

    /// The live lock.
    async fn inspect(&self, key: &LockKey) -> Result<Option<LockState>>;

    /// Begins to listen for wake-ups of a process. The first event is [`Wake::Everybody`].
    fn listen(&self, process: &str) -> Box<dyn Wakes>;
}

/// The wake-ups of one process.
#[async_trait]
pub(crate) trait Wakes: Send {
    /// The next wake-up. Cancel-safe.
    async fn next(&mut self) -> Wake;
}
