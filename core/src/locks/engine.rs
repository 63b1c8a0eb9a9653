//! The engine of named locks: what a lock goes through from its grant to its end. Below it are leaves that do not
//! know it or each other (the queue, the registry of held locks, the auto-extender, the journal), above it the guard
//! and the ways to acquire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::audit::Audit;
use super::auto_extender::AutoExtender;
use super::held::{HeldLock, HeldLocks};
use super::journal::Journal;
use super::model::{AcquireOptions, LockName, LockState, MAX_REASON_BYTES, Release, check_text};
use super::server::LockServer;
use super::store::{Extension, Lease, LockKey, LockStore, Released};
use super::wait_queue::{WaitQueue, Waiter};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::task::{Need, Tasks};
use crate::tenants::TenantId;
use crate::{metrics as names, rng};

/// How long the release of a lock is repeated whose time to live is not known here.
const LEFT_BEHIND: Duration = Duration::from_mins(10);

/// The named locks of one process. Clones share everything.
#[derive(Clone)]
pub(super) struct LockEngine(Arc<Inner>);

struct Inner {
    server: LockServer,
    clock: SharedClock,
    tasks: Tasks,
    queue: WaitQueue,
    held: Arc<HeldLocks>,
    extender: AutoExtender,
}

/// A grant that this process has not taken over yet.
pub(super) struct Granted {
    pub(super) key: LockKey,
    pub(super) lease: Lease,
    /// When the request was sent that it came with.
    pub(super) sent: Instant,
    /// Its place in the queue of this process, until the lock counts as held: a hand-over of this grant may still be
    /// under way, and must find its token in one of the two, or it is taken for one that has gone away.
    pub(super) waiter: Option<Waiter>,
}

impl LockEngine {
    pub(super) fn new(store: Arc<dyn LockStore>, clock: SharedClock, tasks: Tasks, audit: Audit) -> Self {
        let server = LockServer::new(store, Journal::new(audit, clock.clone()), rng::token());
        Self(Arc::new(Inner {
            extender: AutoExtender::new(server.clone(), clock.clone(), tasks.clone()),
            queue: WaitQueue::new(server.clone(), clock.clone(), tasks.clone()),
            held: Arc::default(),
            server,
            clock,
            tasks,
        }))
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn server(&self) -> &LockServer {
        &self.0.server
    }

    pub(super) fn queue(&self) -> &WaitQueue {
        &self.0.queue
    }

    pub(super) fn instant(&self) -> Instant {
        self.0.clock.instant()
    }

    /// Listens to what this process must be told, and notes what it holds, from the first lock on.
    pub(super) fn begin(&self) {
        let held = self.0.held.clone();
        if self.0.queue.listen(move |tokens| held.were_forced(tokens)) {
            let (held, server, clock) = (self.0.held.clone(), self.0.server.clone(), self.0.clock.clone());
            self.0
                .tasks
                .run_until_closed(async move { held.keep_noting(&server, &clock).await });
        }
    }

    /// Takes a grant over: from here on the lock counts as held by this process.
    pub(super) fn admit(&self, granted: Granted, ttl: Duration) -> Arc<HeldLock> {
        let Granted {
            key,
            lease,
            sent,
            waiter,
        } = granted;
        self.0.server.journal().acquired(&key, &lease, ttl);
        let held = Arc::new(HeldLock::new(self.0.clock.clone(), key, lease, ttl, sent));
        self.0.held.add(&held);
        // Only now: see `Granted`.
        drop(waiter);
        held
    }

    /// Extends a lock automatically, if its options say so.
    pub(super) fn keep(&self, held: &Arc<HeldLock>, options: &AcquireOptions) {
        if options.auto_extend {
            self.0.extender.keep(held, options.max_hold);
        }
    }

    /// The locks of a tenant that are held, by their names.
    pub(super) async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<(LockName, LockState)>> {
        self.0
            .held
            .note(&self.0.server, self.instant(), Duration::ZERO)
            .await?;
        self.0.server.list(tenant).await
    }

    pub(super) async fn inspect(&self, tenant: Option<&TenantId>, name: &str) -> Result<Option<LockState>> {
        self.0.server.inspect(&LockKey::parse(tenant, name)?).await
    }

    /// Extends one lock because its holder says so.
    pub(super) async fn extend(&self, held: &HeldLock, ttl: Duration) -> Result<()> {
        let sent = self.instant();
        let mut answers = self.0.server.extend(&[held.renewal(ttl)]).await;
        let extension = answers.pop().unwrap_or(Ok(Extension::Lost))?;
        if let Extension::Extended(lease) = &extension {
            self.0.server.journal().extended(&held.key, lease, ttl);
        }
        held.extended(extension, ttl, sent)
    }

    /// Extends several locks in one call; fails with the first of them that is lost or that was not answered.
    pub(super) async fn extend_all(&self, locks: &[Arc<HeldLock>], ttl: Duration) -> Result<()> {
        let renewals: Vec<_> = locks.iter().map(|held| held.renewal(ttl)).collect();
        let sent = self.instant();
        let answers = self.0.server.extend(&renewals).await;
        let mut each = locks.iter().zip(answers);
        each.try_for_each(|(held, answer)| held.extended(answer?, ttl, sent))
    }

    /// Ends whatever this token has on the server, be it a grant, an offer or a place in the queue, and passes on
    /// what comes back.
    pub(super) async fn withdraw(&self, key: &LockKey, token: &str) -> Result<Released> {
        let sent = self.instant();
        let outcome = self.0.server.release(key, token).await;
        if !matches!(&outcome, Ok(answer) if matches!(answer.released, Released::Done(Release::Released, _)))
        {
            // An earlier answer may be lost, and with it that one of our waiters has the lock.
            self.0.queue.look_by(key, sent);
        }
        let answer = outcome?;
        if let Some(lease) = answer.next {
            self.hand_over(key, lease, sent);
        }
        Ok(answer.released)
    }

    /// Passes a grant on that came with a release, sent at that moment, to its waiter in this process.
    fn hand_over(&self, key: &LockKey, lease: Lease, sent: Instant) {
        let Err((lease, _)) = self.0.queue.give((lease, sent)) else {
            return;
        };
        // The waiter may have asked by itself meanwhile and have been told of this very grant before this answer was
        // read. Then the lock is in use, and withdrawing it would let another process in.
        if !self.0.held.has(&lease.token) {
            // Its waiter is gone, and may have been unable to withdraw.
            self.withdraw_later(key.clone(), lease.token, Need::Sure, LEFT_BEHIND);
        }
    }

    /// As [`withdraw`](Self::withdraw) in the background, repeated while it fails.
    pub(super) fn withdraw_later(&self, key: LockKey, token: String, need: Need, within: Duration) {
        let (engine, withdrawn) = (self.clone(), Arc::new((key, token)));
        self.tasks().until_done(
            "the withdrawal of a request for a lock",
            need,
            within,
            move || {
                let (engine, withdrawn) = (engine.clone(), withdrawn.clone());
                // Boxed because `withdraw` itself may withdraw for another waiter.
                let attempt: BoxFuture<'static, _> =
                    Box::pin(async move { engine.withdraw(&withdrawn.0, &withdrawn.1).await.map(drop) });
                attempt
            },
        );
    }

    /// The guard of a lock is gone; unless it was released, that is done in the background.
    pub(super) fn forget(&self, held: &Arc<HeldLock>, is_released: bool) {
        held.end();
        self.0.held.remove(&held.token);
        if is_released {
            return;
        }
        let (engine, held) = (self.clone(), held.clone());
        // An extension whose answer was lost may have given it as much again.
        let within = held.ttl.max(held.remaining());
        self.tasks()
            .until_done("the release of a lock", Need::Sure, within, move || {
                let (engine, held) = (engine.clone(), held.clone());
                async move { engine.release_held(&held).await.map(drop) }
            });
    }

    /// Releases what a guard held. That another process holds the lock by now means that ours had expired.
    pub(super) async fn release_held(&self, held: &HeldLock) -> Result<Release> {
        let release = match self.release(&held.key, &held.token).await? {
            Released::Done(release, _) => release,
            Released::Left => Release::Released,
            Released::NotOwner => Release::Expired,
        };
        let seconds = self.instant().saturating_duration_since(held.granted);
        metrics::histogram!(names::LOCK_HOLD_SECONDS).record(seconds.as_secs_f64());
        Ok(release)
    }

    pub(super) async fn release_by_token(
        &self,
        tenant: Option<&TenantId>,
        name: &str,
        token: &str,
    ) -> Result<Release> {
        let key = LockKey::parse(tenant, name)?;
        let outcome = self.release(&key, token).await;
        if outcome.is_err() {
            self.withdraw_later(key.clone(), token.to_owned(), Need::Sure, LEFT_BEHIND);
        }
        match outcome? {
            Released::Done(release, _) => Ok(release),
            Released::Left => Ok(Release::Released),
            Released::NotOwner => Err(
                Error::new(codes::LOCKS_NOT_OWNER, "another caller holds the lock").with("lock", &key.name),
            ),
        }
    }

    /// Ends the grant of whichever process has it; returns its owner.
    pub(super) async fn force_release(
        &self,
        tenant: Option<&TenantId>,
        name: &str,
        reason: &str,
    ) -> Result<Option<String>> {
        let key = LockKey::parse(tenant, name)?;
        check_text(codes::LOCKS_INVALID_REASON, "reason", reason, MAX_REASON_BYTES)?;
        let ended = self.0.server.force_release(&key).await?;
        self.0.server.journal().forced(&key, ended.as_ref(), reason);
        Ok(ended.map(|lease| {
            // The message tells other processes; this one knows already.
            self.0.held.were_forced(&lease.token);
            lease.owner
        }))
    }

    async fn release(&self, key: &LockKey, token: &str) -> Result<Released> {
        let released = self.withdraw(key, token).await?;
        self.0.server.journal().released(key, &released);
        Ok(released)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::super::acquire::acquire;
    use super::super::{MemoryAudit, MemoryLocks};
    use super::*;
    use crate::clock::SystemClock;

    fn engine() -> LockEngine {
        let (clock, tasks) = (SystemClock::shared(), Tasks::new());
        let audit = Audit::new(Arc::new(MemoryAudit::default()), tasks.clone());
        LockEngine::new(Arc::new(MemoryLocks::new(clock.clone())), clock, tasks, audit)
    }

    const NAME: &str = "housekeeping:101";

    /// A lock that is released to a waiter of the same process: the wait, and the answer to the release, which was sent
    /// at that moment and is not read yet.
    async fn released_to<W: Future>(
        engine: &LockEngine,
        options: &AcquireOptions,
        wait: impl FnOnce() -> Pin<Box<W>>,
    ) -> (Pin<Box<W>>, Lease, Instant) {
        let first = acquire(engine, NAME, options, true).await.unwrap();
        let mut waiting = wait();
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let sent = engine.instant();
        let answer = engine.server().release(&key(), first.token()).await.unwrap();
        (waiting, answer.next.expect("the waiter is of this process"), sent)
    }

    fn key() -> LockKey {
        LockKey::parse(None, NAME).unwrap()
    }

    fn patient() -> AcquireOptions {
        AcquireOptions::new().wait(Duration::from_mins(1))
    }

    #[tokio::test]
    async fn a_hand_over_that_is_read_after_its_waiter_asked_by_itself_leaves_the_lock_with_the_waiter() {
        let (engine, patient) = (engine(), patient());
        let wait = || Box::pin(acquire(&engine, NAME, &patient, true));
        let (second, next, sent) = released_to(&engine, &patient, wait).await;
        engine.queue().look_by(&key(), sent);
        let second = second.await.unwrap();
        assert_eq!(second.token(), next.token);

        engine.hand_over(&key(), next, sent);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        second.extend(Duration::from_mins(1)).await.unwrap();
        let third = acquire(&engine, NAME, &AcquireOptions::new(), true).await;
        assert!(third.unwrap_err().is(codes::LOCKS_CONTENDED));
    }

    #[tokio::test]
    async fn a_hand_over_whose_waiter_has_gone_away_is_given_back() {
        let (engine, patient) = (engine(), patient());
        let wait = || Box::pin(acquire(&engine, NAME, &patient, true));
        let (second, next, sent) = released_to(&engine, &patient, wait).await;
        drop(second);
        engine.hand_over(&key(), next, sent);
        acquire(&engine, NAME, &patient, true).await.unwrap();
    }
}
