//! LockEngine locks: the acquire loop, its clean-up, and what is counted and audited on the way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, try_join_all};

use super::acquire_all;
use super::acquisition::Acquisition;
use super::audit::{Audit, AuditEvent, Facts, Note, shown_token};
use super::auto_extender::AutoExtender;
use super::guard::{HeldLock, LockGuard};
use super::held::{HeldLocks, keep_noting};
use super::model::{AcquireOptions, LockName, LockState, LossCause, MAX_REASON_BYTES, Release, check_text};
use super::store::{
    Attempt, Beat, Extension, Found, Grant, Lease, LockKey, LockStore, Released, Renewal, Replicas,
};
use super::wait_queue::WaitQueue;
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::task::{Need, Tasks};
use crate::tenants::TenantId;
use crate::{metrics as names, rng};

/// Locks that a listing asks for at the same time.
const INSPECTED_TOGETHER: usize = 100;

/// How long the release of a lock is repeated whose time to live is not known here.
const LEFT_BEHIND: Duration = Duration::from_mins(10);

/// The engine locks of one process. Clones share everything.
#[derive(Clone)]
pub(super) struct LockEngine(Arc<Inner>);

struct Inner {
    store: Arc<dyn LockStore>,
    clock: SharedClock,
    tasks: Tasks,
    audit: Audit,
    queue: WaitQueue,
    held: HeldLocks,
    extender: AutoExtender,
}

impl LockEngine {
    pub(super) fn new(store: Arc<dyn LockStore>, clock: SharedClock, tasks: Tasks, audit: Audit) -> Self {
        Self(Arc::new(Inner {
            store,
            extender: AutoExtender::new(),
            queue: WaitQueue::new(rng::token()),
            held: HeldLocks::default(),
            clock,
            tasks,
            audit,
        }))
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn store(&self) -> &dyn LockStore {
        &*self.0.store
    }

    pub(super) fn queue(&self) -> &WaitQueue {
        &self.0.queue
    }

    pub(super) fn instant(&self) -> Instant {
        self.0.clock.instant()
    }

    /// `audited`: whether a refusal is worth a row of the audit.
    pub(super) async fn acquire(
        &self,
        name: &str,
        options: &AcquireOptions,
        audited: bool,
    ) -> Result<LockGuard> {
        let key = LockKey {
            tenant: options.tenant.clone(),
            name: LockName::parse(name)?,
        };
        options.check()?;
        self.begin();
        let granted = Acquisition::new(self, key, options, audited)
            .until_granted(options.wait)
            .await?;
        let mut guard = self.admit(granted, options);
        acquire_all::finish(self, std::slice::from_mut(&mut guard), options).await?;
        Ok(guard)
    }

    /// Listens to what this process must be told, and notes what it holds, from the first lock on.
    pub(super) fn begin(&self) {
        if self.0.queue.listen(self) {
            let engine = self.clone();
            self.tasks()
                .run_until_closed(async move { keep_noting(&engine).await });
        }
    }

    /// Makes a guard of a grant that was answered to a request of then.
    pub(super) fn admit(
        &self,
        (key, lease, sent): (LockKey, Lease, Instant),
        options: &AcquireOptions,
    ) -> LockGuard {
        count("acquire", "success");
        self.note(&key, AuditEvent::Acquired, acquired_facts(&lease, options.ttl));
        let held = Arc::new(HeldLock::new(self.clone(), key, lease, options.ttl, sent));
        self.0.held.add(&held);
        LockGuard::new(held)
    }

    /// Extends a lock automatically, if its options say so.
    pub(super) fn keep(&self, guard: &LockGuard, options: &AcquireOptions) {
        if options.auto_extend {
            self.0.extender.keep(self, guard.held(), options.max_hold);
        }
    }

    /// Notes in the index what this process has held for `least`.
    pub(super) async fn note_held(&self, least: Duration) -> Result<()> {
        let mut by_tenant: HashMap<_, Vec<_>> = HashMap::new();
        let held = self.0.held.to_note(self.instant(), least);
        for held in &held {
            let noted = (held.key.name.clone(), held.remaining());
            by_tenant.entry(&held.key.tenant).or_default().push(noted);
        }
        for (tenant, names) in by_tenant {
            if let Err(error) = self.0.store.note_held(tenant.as_ref(), &names).await {
                self.0.held.not_noted(&held);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The locks of a tenant that are held, by their names.
    pub(super) async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<(LockName, LockState)>> {
        self.note_held(Duration::ZERO).await?;
        let mut names = self.0.store.noted(tenant).await?;
        names.sort();
        let mut locks = Vec::with_capacity(names.len());
        for some in names.chunks(INSPECTED_TOGETHER) {
            let states = some.iter().map(async |name| {
                let key = LockKey {
                    tenant: tenant.cloned(),
                    name: name.clone(),
                };
                let state = self.0.store.inspect(&key).await?;
                Ok::<_, Error>(state.map(|state| (key.name, state)))
            });
            locks.extend(try_join_all(states).await?.into_iter().flatten());
        }
        Ok(locks)
    }

    pub(super) async fn inspect(&self, tenant: Option<&TenantId>, name: &str) -> Result<Option<LockState>> {
        let key = LockKey {
            tenant: tenant.cloned(),
            name: LockName::parse(name)?,
        };
        self.0.store.inspect(&key).await
    }

    /// One attempt of a request.
    pub(super) async fn attempt(&self, attempt: Attempt<'_>) -> Result<Grant> {
        let found = self.0.store.acquire(attempt).await?;
        self.note_expired(attempt.key, found.expired.as_ref());
        Ok(found.answer)
    }

    /// One attempt of several requests.
    pub(super) async fn attempt_together(&self, attempts: &[Attempt<'_>], whole: bool) -> Result<Vec<Grant>> {
        let found = self.0.store.acquire_together(attempts, whole).await?;
        let each = attempts.iter().zip(found);
        Ok(each
            .map(|(attempt, found)| {
                self.note_expired(attempt.key, found.expired.as_ref());
                found.answer
            })
            .collect())
    }

    /// A sign of life for the waiters of this process.
    pub(super) async fn beat(&self, key: &LockKey) -> Result<Beat> {
        let found = self.0.store.beat(key, self.process()).await?;
        self.note_expired(key, found.expired.as_ref());
        Ok(found.answer)
    }

    /// Ends whatever this token has on the server, and passes on what comes back.
    pub(super) async fn withdraw(&self, key: &LockKey, token: &str) -> Result<Released> {
        let sent = self.instant();
        let outcome = self.0.store.release(key, token, self.process()).await;
        if !matches!(&outcome, Ok(found) if matches!(found.answer.released, Released::Done(Release::Released, _)))
        {
            // An earlier answer may be lost, and with it that one of our waiters has the lock.
            self.0.queue.look_by(key, sent);
        }
        let found = outcome?;
        self.note_expired(key, found.expired.as_ref());
        if let Some(lease) = found.answer.next
            && let Err((lease, _)) = self.0.queue.give((lease, sent))
        {
            // Its waiter is gone, and may have been unable to withdraw_later.
            self.withdraw_later(key.clone(), lease.token, Need::Sure, LEFT_BEHIND);
        }
        Ok(found.answer.released)
    }

    /// Ends whatever this token has on the server, behind the caller's back, and repeats that while it fails.
    pub(super) fn withdraw_later(&self, key: LockKey, token: String, need: Need, within: Duration) {
        let (engine, request) = (self.clone(), Arc::new((key, token)));
        self.tasks()
            .until_done("the withdrawal of a request on a lock", need, within, move || {
                let (engine, request) = (engine.clone(), request.clone());
                let withdraw: BoxFuture<'static, _> =
                    Box::pin(async move { engine.withdraw(&request.0, &request.1).await.map(drop) });
                withdraw
            });
    }

    /// Locks of ours were ended by somebody else.
    pub(super) fn was_forced(&self, tokens: &str) {
        for held in self.0.held.find(tokens) {
            held.lose(LossCause::Forced);
        }
    }

    /// A guard is gone.
    pub(super) fn forget(&self, token: &str) {
        self.0.held.remove(token);
    }

    pub(super) fn process(&self) -> &str {
        self.0.queue.process()
    }

    /// Notes that a request was refused.
    pub(super) fn note_conflict(&self, key: &LockKey, owner: &str, holder: &str, audited: bool) {
        count("acquire", "conflict");
        if !audited {
            return;
        }
        let facts = Facts::new()
            .with("session_id", None)
            .with("user_id", owner)
            .with("reason", "held")
            .with("holder", holder);
        self.note(key, AuditEvent::Conflict, facts);
    }

    /// Extends one lock because its holder says so.
    pub(super) async fn extend(&self, held: &HeldLock, ttl: Duration) -> Result<Extension> {
        let extension = self
            .extend_all(&[(held, ttl)])
            .await
            .pop()
            .unwrap_or(Ok(Extension::Lost))?;
        if let Extension::Extended(lease) = &extension {
            self.note(&held.key, AuditEvent::Extended, extended_facts(lease, ttl));
        }
        Ok(extension)
    }

    /// Extends locks in one call. It is not audited: automatic extension would fill the table with nothing new.
    pub(super) async fn extend_all(&self, locks: &[(&HeldLock, Duration)]) -> Vec<Result<Extension>> {
        let renewals = renewals(locks);
        let answers = self.0.store.extend(&renewals).await;
        let each = locks.iter().zip(answers);
        each.map(|((held, _), answer)| Ok(self.open_extension(&held.key, answer?)))
            .collect()
    }

    /// Extends locks, and waits until replicas have them; answers also how many do.
    pub(super) async fn extend_replicated(
        &self,
        locks: &[(&HeldLock, Duration)],
        replicas: Replicas,
    ) -> Result<(Vec<Extension>, u32)> {
        let renewals = renewals(locks);
        let (answers, reached) = self.0.store.extend_replicated(&renewals, replicas).await?;
        let each = locks.iter().zip(answers);
        let opened = each.map(|((held, _), found)| self.open_extension(&held.key, found));
        Ok((opened.collect(), reached))
    }

    fn open_extension(&self, key: &LockKey, found: Found<Extension>) -> Extension {
        self.note_expired(key, found.expired.as_ref());
        let result = match &found.answer {
            Extension::Extended(_) => "success",
            Extension::Lost => "failed",
        };
        count("extend", result);
        metrics::counter!(names::LOCK_EXTENSIONS_TOTAL, "result" => result).increment(1);
        found.answer
    }

    /// Releases what a guard held. That somebody else holds the lock by now means that ours had expired.
    pub(super) async fn release_held(&self, held: &HeldLock) -> Result<Release> {
        let release = match self.release(&held.key, &held.token).await? {
            Released::Done(release, _) => release,
            Released::Left => Release::Released,
            Released::NotOwner => Release::Expired,
        };
        let seconds = self
            .instant()
            .saturating_duration_since(held.granted)
            .as_secs_f64();
        metrics::histogram!(names::LOCK_HOLD_SECONDS).record(seconds);
        Ok(release)
    }

    pub(super) async fn release_by_token(
        &self,
        tenant: Option<&TenantId>,
        name: &str,
        token: &str,
    ) -> Result<Release> {
        let key = LockKey {
            tenant: tenant.cloned(),
            name: LockName::parse(name)?,
        };
        let outcome = self.release(&key, token).await;
        if outcome.is_err() {
            self.withdraw_later(key.clone(), token.to_owned(), Need::Sure, LEFT_BEHIND);
        }
        match outcome? {
            Released::Done(release, _) => Ok(release),
            Released::Left => Ok(Release::Released),
            Released::NotOwner => {
                Err(Error::new(codes::LOCKS_NOT_OWNER, "somebody else holds the lock")
                    .with("lock", &key.name))
            }
        }
    }

    /// Ends somebody's grant; answers whose it was.
    pub(super) async fn force_release(
        &self,
        tenant: Option<&TenantId>,
        name: &str,
        reason: &str,
    ) -> Result<Option<String>> {
        let key = LockKey {
            tenant: tenant.cloned(),
            name: LockName::parse(name)?,
        };
        check_text(codes::LOCKS_INVALID_REASON, "reason", reason, MAX_REASON_BYTES)?;
        let found = self.0.store.force_release(&key).await?;
        self.note_expired(&key, found.expired.as_ref());
        let Some(lease) = found.answer else {
            count("force_release", "not_found");
            return Ok(None);
        };
        count("force_release", "success");
        let facts = released_facts(&lease).with("forced", true).with("reason", reason);
        self.note(&key, AuditEvent::Released, facts);
        // The message tells other processes; this one knows already.
        self.was_forced(&lease.token);
        Ok(Some(lease.owner))
    }

    async fn release(&self, key: &LockKey, token: &str) -> Result<Released> {
        let released = self.withdraw(key, token).await?;
        if let Released::Done(Release::Released, lease) = &released {
            let facts = lease.as_ref().map_or_else(Facts::new, released_facts);
            self.note(key, AuditEvent::Released, facts);
        }
        count(
            "release",
            match released {
                Released::Done(Release::Released, _) | Released::Left => "success",
                Released::Done(..) => "not_found",
                Released::NotOwner => "not_owner",
            },
        );
        Ok(released)
    }

    fn note_expired(&self, key: &LockKey, expired: Option<&Lease>) {
        if let Some(lease) = expired {
            count("expire", "success");
            self.note(key, AuditEvent::Expired, released_facts(lease));
        }
    }

    fn note(&self, key: &LockKey, event: AuditEvent, facts: Facts) {
        self.0.audit.note(Note {
            lock_key: key.name.shared(),
            event,
            at: self.0.clock.now(),
            tenant: key.tenant.clone(),
            facts,
        });
    }
}

fn renewals<'a>(locks: &[(&'a HeldLock, Duration)]) -> Vec<Renewal<'a>> {
    let renewal = |(held, ttl): &(&'a HeldLock, Duration)| Renewal {
        key: &held.key,
        token: &held.token,
        ttl: *ttl,
    };
    locks.iter().map(renewal).collect()
}

fn count(operation: &'static str, result: &'static str) {
    metrics::counter!(names::LOCK_OPERATIONS_TOTAL, "operation" => operation, "result" => result)
        .increment(1);
}

fn lease_facts(lease: &Lease) -> Facts {
    Facts::new()
        .with("user_id", &*lease.owner)
        .with("fence", lease.fence)
        .with("token", shown_token(&lease.token))
}

fn acquired_facts(lease: &Lease, ttl: Duration) -> Facts {
    lease_facts(lease)
        .with("session_id", None)
        .with("ttl", whole_seconds(ttl))
}

fn extended_facts(lease: &Lease, ttl: Duration) -> Facts {
    lease_facts(lease).with("new_ttl", whole_seconds(ttl))
}

fn released_facts(lease: &Lease) -> Facts {
    lease_facts(lease)
        .with("session_id", None)
        .with("acquired_at", lease.acquired_at)
}

/// Seconds as the production app writes them, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
