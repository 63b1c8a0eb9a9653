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

/// How long the waiters of a process count as alive after its last sign of life, which it gives every [`BEAT`].
pub(crate) const LIFE: Duration = Duration::from_millis(1500);

/// How often a process with waiters gives a sign of life, lock by lock. It also sees then what a lost message would
/// have told.
pub(crate) const BEAT: Duration = Duration::from_millis(500);

/// How long a waiter of another process may take to ask for the lock that was handed to it.
pub(crate) const CLAIM: Duration = Duration::from_secs(1);

/// How often the owner of a lock may have entered it at the same time.
pub(crate) const MAX_ENTRIES: usize = 64;

/// How long a lock is remembered after its end: its fence does not go back meanwhile, even if the server's clock does
/// by as much, and an end without a release is still noticed.
pub(crate) const RETENTION: Duration = Duration::from_hours(7 * 24);

/// Which lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LockKey {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) name: LockName,
}

impl LockKey {
    /// # Errors
    /// `locks.invalid_name`.
    pub(super) fn parse(tenant: Option<&TenantId>, name: &str) -> Result<Self> {
        Ok(Self {
            tenant: tenant.cloned(),
            name: LockName::parse(name)?,
        })
    }
}

/// One request for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) key: &'a LockKey,
    pub(crate) token: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) ttl: Duration,
    /// The process of the caller.
    pub(crate) process: &'a str,
    /// Whether the request waits in the queue.
    pub(crate) waits: bool,
    /// Whether its owner may enter again while it holds the lock.
    pub(crate) again: bool,
}

/// A longer life for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renewal<'a> {
    pub(crate) key: &'a LockKey,
    pub(crate) token: &'a str,
    /// From now.
    pub(crate) ttl: Duration,
}

/// How many replicas are to have a grant, and how long to wait for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replicas {
    pub(crate) count: u32,
    pub(crate) within: Duration,
}

/// A grant, live or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Of whom: one token, or several, parted by commas, when its owner entered again.
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
    /// Another caller holds the lock, or was here first.
    Busy {
        /// Empty when the server could not say.
        holder: String,
        remaining: Duration,
        /// How many wait in front; zero for the first of the queue.
        ahead: usize,
    },
    /// The owner has entered [`MAX_ENTRIES`] times.
    Full,
}

/// What a process learns from its sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Who holds the lock, or has it on offer.
    pub(crate) tokens: String,
    /// How long that lasts.
    pub(crate) remaining: Duration,
    /// The process had been silent for too long: its waiters may have lost their places.
    pub(crate) was_dead: bool,
    /// The first waiter is one of this process.
    pub(crate) is_next: bool,
}

/// An answer, and what the step found on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub(crate) answer: T,
    /// A grant that had ended without a release. Each is reported once, by the first step that meets it.
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
    /// Its owner still holds the lock, by another entry.
    Left,
    /// Another caller holds the lock.
    NotOwner,
}

/// The answer to a release, and who has the lock then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandOver {
    pub(crate) released: Released,
    /// The waiter of the same process who holds the lock from now on. It is told by this answer alone; waiters of
    /// other processes get a message.
    pub(crate) next: Option<Lease>,
}

/// What a listening process learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is this waiter's turn.
    Waiter(String),
    /// These tokens, parted by commas, have lost their lock by force.
    Forced(String),
    /// Messages may have been lost: everybody should look again.
    Everybody,
}

/// A server of named locks.
#[async_trait]
pub(crate) trait LockStore: Send + Sync + 'static {
    /// Grants the lock if it is free and no waiter is in front; queues the request otherwise, if it waits. Asking again
    /// with the same token claims an offer, or answers the grant that is there and lets it live `ttl` from now.
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>>;

    /// Whether these locks can be asked for in one step.
    fn share_a_step(&self, keys: &[&LockKey]) -> bool;

    /// Asks for several locks of one caller in one step, in this order up to the first that is refused, and without
    /// waiting. Returns one grant per lock, the refusal last. With `whole`, a refusal gives those before it back.
    async fn acquire_together(&self, attempts: &[Attempt<'_>], whole: bool) -> Result<Vec<Found<Grant>>>;

    /// Gives a sign of life for the waiters of a process, and hands over a lock whose time has passed.
    async fn beat(&self, key: &LockKey, process: &str) -> Result<Found<Beat>>;

    /// Lets locks live longer, each by itself; returns as many, in the same order.
    async fn extend(&self, renewals: &[Renewal<'_>]) -> Vec<Result<Found<Extension>>>;

    /// As [`extend`](Self::extend), and waits until this number of replicas has it; returns also how many do, of the
    /// lock that the fewest have.
    async fn extend_replicated(
        &self,
        renewals: &[Renewal<'_>],
        replicas: Replicas,
    ) -> Result<(Vec<Found<Extension>>, u32)>;

    /// Ends the grant, the offer or the wait of this token, and hands the lock to the first waiter.
    async fn release(&self, key: &LockKey, token: &str, process: &str) -> Result<Found<HandOver>>;

    /// Ends whatever grant there is, tells the holder's process, and hands the lock to the first waiter. Returns the
    /// grant that it ended.
    async fn force_release(&self, key: &LockKey) -> Result<Found<Option<Lease>>>;

    /// Notes in the index of a tenant that these names are held for so long from now.
    async fn note_held(&self, tenant: Option<&TenantId>, names: &[(LockName, Duration)]) -> Result<()>;

    /// The names of which the index of a tenant believes that they are held.
    async fn noted(&self, tenant: Option<&TenantId>) -> Result<Vec<LockName>>;

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
