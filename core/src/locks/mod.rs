//! Locks: named locks for anything, and stay holds for nights.
//!
//! Promises:
//! * One holder at a time per name, while clocks drift by less than a hundredth; for what must hold in any case there
//!   is the [fence](LockGuard::fence).
//! * A server's clock may step: forwards, locks and holds end early on the server; backwards, they stay there as much
//!   longer, and `force_release` helps. A fence does not go back by steps within the week that a lock is remembered,
//!   and a holder never relies on a lock longer than its own monotonic clock says.
//! * Waiters are served in the order of arrival. A release hands the lock to the first of them in the same step, and
//!   tells one process. However many wait, each process has one subscription, and sends one sign of life for all.
//! * A holder is told when its lock is lost, at its own monotonic deadline, even when Redis is silent.
//! * A cancelled caller leaves nothing behind: tokens are chosen before they are sent, and everything is repeatable.
//! * Holds count units per night, atomically: no night is ever given out beyond its capacity, and back-to-back stays
//!   do not collide.
//! * Everything that happens is audited, off the hot path.
//!
//! What a hold of the old app (`lock:room:…`) keeps is not honoured: its key contains the dates, so finding an
//! overlap needs a scan of the whole database for each hold. Move all writers of one hotel at once.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use std::time::Duration;
//! use posada::locks::{AcquireOptions, Resource, StayHold};
//! use posada::{Posada, Stay};
//!
//! let posada = Posada::embedded();
//! let locks = posada.locks();
//!
//! let lock = locks.acquire("reservation:guest123", &AcquireOptions::new().wait(Duration::from_secs(5))).await?;
//! lock.ensure_held()?;
//! lock.release().await?;
//!
//! let stay = Stay::parse("2027-03-10", "2027-03-12")?;
//! let hold = locks.hold_stay(&StayHold::new(Resource::room("101")?, stay).session_id("s-1")).await?;
//! let other = locks.hold_stay(&StayHold::new(Resource::room("101")?, stay).session_id("s-2")).await;
//! assert_eq!(other.unwrap_err().code(), "locks.nights_taken");
//! hold.release().await?;
//! # Ok(())
//! # }
//! ```

mod acquire;
mod acquisition;
mod audit;
mod auto_extender;
mod engine;
mod fences;
mod guard;
mod held;
mod holds;
mod journal;
mod memory;
mod model;
mod order;
mod redis;
mod server;
mod store;
mod wait_queue;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use audit::Audit;
#[cfg(feature = "postgres")]
pub(crate) use audit::PostgresAudit;
pub use audit::{AuditEntry, AuditEvent};
pub(crate) use audit::{AuditStore, MemoryAudit};
use engine::LockEngine;
use fences::Fences;
#[cfg(feature = "postgres")]
pub(crate) use fences::PostgresFences;
pub(crate) use fences::{FenceStore, MemoryFences};
pub use guard::LockGuard;
use holds::HoldEngine;
pub use holds::{Hold, HoldState, Resource, StayHold};
pub(crate) use holds::{HoldRules, HoldStore, MemoryHolds, RedisHolds};
pub(crate) use memory::MemoryLocks;
pub use model::{AcquireOptions, LockName, LockState, LossCause, Release};
pub(crate) use redis::RedisLocks;
pub(crate) use store::LockStore;
#[cfg(any(test, feature = "testkit"))]
pub(crate) use store::{Attempt, Extension, Grant, Lease, LockKey, Released, Renewal};

use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::scope::{OutOfScope, Scope};
use crate::stay::Stay;
use crate::task::Tasks;
use crate::tenants::TenantId;

/// Named locks and stay holds. Cloning is cheap and shares everything. See the module's page for the promises.
#[derive(Clone)]
pub struct LockManager {
    engine: LockEngine,
    holds: HoldEngine,
    fences: Fences,
    audit: Audit,
    scope: Scope,
}

impl LockManager {
    pub(crate) fn new(
        locks: Arc<dyn LockStore>,
        holds: Arc<dyn HoldStore>,
        audit: Arc<dyn AuditStore>,
        fences: Arc<dyn FenceStore>,
        rules: HoldRules,
        clock: SharedClock,
        tasks: Tasks,
    ) -> Self {
        let audit = Audit::new(audit, tasks.clone());
        Self {
            engine: LockEngine::new(locks, clock.clone(), tasks.clone(), audit.clone()),
            holds: HoldEngine::new(holds, rules, clock, tasks, audit.clone()),
            fences: Fences::new(fences),
            audit,
            scope: Scope::default(),
        }
    }

    /// The same locks and holds, of one tenant.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            ..self.clone()
        }
    }

    /// The options with the tenant that they mean.
    fn meant<'o>(&self, options: &'o AcquireOptions) -> Result<Cow<'o, AcquireOptions>> {
        let tenant = self.scope.choose(options.tenant.as_ref())?;
        if tenant == options.tenant.as_ref() {
            return Ok(Cow::Borrowed(options));
        }
        Ok(Cow::Owned(options.clone().tenant(tenant)))
    }

    /// The request with the tenant that it means.
    fn wanted<'r>(&self, request: &'r StayHold) -> Result<Cow<'r, StayHold>> {
        let tenant = self.scope.choose(request.of_tenant())?;
        if tenant == request.of_tenant() {
            return Ok(Cow::Borrowed(request));
        }
        Ok(Cow::Owned(request.clone().tenant(tenant)))
    }

    /// Takes a lock, waiting for it as long as the options say, in the order of arrival.
    ///
    /// When Redis is down: keeps trying until the wait is over, then fails. Owned: the answer is a guard whose drop
    /// releases, and dropping the future gives the claim up in the background; neither leaves a lock behind.
    ///
    /// # Errors
    /// `locks.contended` (facts `holder`, `remaining_ms`, `position`) when the wait is over; `locks.not_replicated`
    /// (facts `wanted`, `reached`) when too few [replicas](AcquireOptions::replicas) had it; `locks.too_many_entries`
    /// for an owner who has [entered](AcquireOptions::reentrant) 64 times; `locks.invalid_name`,
    /// `locks.invalid_duration`, `locks.invalid_owner` with the field; `redis.*`; `posada.closed`.
    pub async fn acquire(&self, name: &str, options: &AcquireOptions) -> Result<LockGuard> {
        acquire::acquire(&self.engine, name, &*self.meant(options)?, true).await
    }

    /// Takes a lock if that is possible at once; `None` when another caller holds it or waits for it. A `wait` in the
    /// options is ignored, and a refusal is audited only if they [say so](AcquireOptions::audit_misses). Otherwise as
    /// [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), without `locks.contended`.
    pub async fn try_acquire(&self, name: &str, options: &AcquireOptions) -> Result<Option<LockGuard>> {
        let options = self.meant(options)?.into_owned().wait(std::time::Duration::ZERO);
        match acquire::acquire(&self.engine, name, &options, options.audit_misses).await {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.is(codes::LOCKS_CONTENDED) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes several locks, all of them or none, and returns their guards in the order of `names`.
    ///
    /// * Without a wait: all in one indivisible step, in which no other caller sees some of them taken.
    /// * With a wait: in the order of their names, whatever the order of the request, so that two callers who want
    ///   the same locks never wait for each other in a circle. One step takes as many as are free; then this call
    ///   waits in the queue of the first that is not, keeps what it has alive meanwhile, and goes on. The wait is for
    ///   all of them together. When it is over, those that were taken are given back in the background.
    /// * On a cluster one step is possible only for names that share a slot: let them begin with the same `{group}`,
    ///   as in `{order-7}:stock` and `{order-7}:invoice`. Others are taken one after the other in the same order, and
    ///   given back in the background when one is refused.
    ///
    /// A caller that takes more locks while it holds some must keep to one order itself. At most 100 names; one that is
    /// there twice is an error. Otherwise as [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire), with the fact `lock` for the name that was refused; `locks.lost` when one was
    /// lost while this call waited for another; `locks.invalid_name` (field `names`).
    pub async fn acquire_all(&self, names: &[&str], options: &AcquireOptions) -> Result<Vec<LockGuard>> {
        acquire::acquire_all(&self.engine, names, &*self.meant(options)?).await
    }

    /// The SQL statement that makes a write under a lock safe: run it first in your own transaction, in any language
    /// and with any driver, with the parameters `$1` resource (text) and `$2` fence (bigint).
    ///
    /// * It answers one row when the fence is accepted. When it answers **no row**, a later holder has written
    ///   already: roll back, the lock was lost.
    /// * The same fence may come again and is accepted, so that one holder may write several times.
    /// * From then on until the end of the transaction, others who show a fence for this resource wait; so the
    ///   comparison and your writes are one step. A roll-back forgets the fence again.
    /// * It needs posada's migrations (table `posada.lock_fence`) and the isolation level read committed; above it, a
    ///   conflict is a serialization failure (40001), which means: begin the transaction again.
    /// * Use one resource name for one lock name, and never one for fences of two locks.
    ///
    /// ```
    /// assert!(posada::LockManager::fence_guard_sql().contains("posada.lock_fence"));
    /// ```
    pub const fn fence_guard_sql() -> &'static str {
        fences::GUARD
    }

    /// Checks and remembers a fence in a transaction of its own: for things that are protected but not in Postgres.
    /// For writes in Postgres use [`fence_guard_sql`](Self::fence_guard_sql), because here time passes between the
    /// check and the write.
    ///
    /// A handle that is bound to a tenant keeps the resources of that tenant apart, as `tenant:{id}:{resource}`, with
    /// `:`, `/` and `%` of an id written as `%3A`, `%2F` and `%25`; a statement of your own names them so.
    ///
    /// When Postgres is down this fails. Detached: the fence is remembered although the caller went away.
    ///
    /// # Errors
    /// `locks.stale_fence` when a higher one was seen; `locks.invalid_resource`, `locks.invalid_fence` with the field;
    /// `postgres.*`.
    pub async fn check_fence(&self, resource: &str, fence: u64) -> Result<()> {
        self.fences.check(&self.scope, resource, fence).await
    }

    /// Who holds a lock; `None` when it is free. When Redis is down this fails. Cancel-safe read.
    ///
    /// # Errors
    /// `locks.invalid_name`; `redis.*`.
    pub async fn inspect<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        name: &str,
    ) -> Result<Option<LockState>> {
        self.engine.inspect(self.scope.choose(tenant.into())?, name).await
    }

    /// The locks of a tenant (or of none) that are held, by their names. Locks of this process are seen at once, those
    /// of others from their second second on; one that ended meanwhile is left out. It reads one index and the locks
    /// in it, never the whole database.
    ///
    /// When Redis is down this fails. Cancel-safe.
    ///
    /// # Errors
    /// `redis.*`.
    pub async fn list<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
    ) -> Result<Vec<(LockName, LockState)>> {
        self.engine.list(self.scope.choose(tenant.into())?).await
    }

    /// Releases a lock by its token, for programs that do not keep the guard. May be repeated.
    ///
    /// When Redis is down this fails, and the release goes on in the background for at most ten minutes. Cancel-safe:
    /// dropping the future may or may not have released the lock.
    ///
    /// # Errors
    /// `locks.not_owner` when another caller holds the lock; `locks.invalid_name`; `redis.*`.
    pub async fn release<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        name: &str,
        token: &str,
    ) -> Result<Release> {
        self.engine
            .release_by_token(self.scope.choose(tenant.into())?, name, token)
            .await
    }

    /// Takes a lock away from its holder, and gives it to the first waiter. Returns the owner who lost it; `None` when
    /// it was free. The holder's guard is told at once, and the audit gets a row `released` with the reason.
    ///
    /// The holder may still be at work: what it does is safe only if the protected thing checks the fence. When Redis
    /// is down this fails. Cancel-safe: dropping the future may or may not have ended the lock.
    ///
    /// # Errors
    /// `locks.invalid_name`, `locks.invalid_reason` with the field; `redis.*`.
    pub async fn force_release<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        name: &str,
        reason: &str,
    ) -> Result<Option<String>> {
        self.engine
            .force_release(self.scope.choose(tenant.into())?, name, reason)
            .await
    }

    /// Holds the nights of a stay, all of them or none.
    ///
    /// A repeated request of the same conversation for the same resource and nights answers the hold that is there,
    /// with its end unchanged; with another quantity it changes that hold, if there is room for more. Dropping the
    /// answer does not release it, see [`Hold`].
    ///
    /// When Redis is down this fails and nothing is promised. Cancel-safe: dropping the future may or may not have
    /// made the hold; asking again in the same conversation finds it, and otherwise it expires.
    ///
    /// # Errors
    /// `locks.nights_taken` with the facts `nights` (comma-separated dates) and `frees_at` (the earliest moment at
    /// which one of them gets a unit back), or, when only the same conversation is in the way, `own_hold` and
    /// `own_stay` instead: [move](Hold::move_to) that hold, or release it first; `locks.too_many_holds`;
    /// `locks.invalid_quantity`, `locks.invalid_duration`, `locks.invalid_owner` with the field; `redis.*`;
    /// `posada.closed`.
    #[tracing::instrument(level = "debug", name = "posada.locks.hold_stay", skip_all)]
    pub async fn hold_stay(&self, request: &StayHold) -> Result<Hold> {
        holds::hold(&self.holds, &*self.wanted(request)?).await
    }

    /// Holds several stays, all of them or none, and returns them in the order of the requests.
    ///
    /// * In memory and on one server, a Sentinel group included: in one indivisible step. A refusal changes nothing.
    /// * On a cluster, where resources live on different servers: one after the other in the order of their
    ///   resources. When one is refused, those that this call made are released again before it answers, and for a
    ///   moment others may be refused because of them. A hold that the same conversation had before stays, with the
    ///   quantity that this call gave it.
    ///
    /// At most 100. When Redis is down in the middle, what was held so far ends by its time to live at the latest.
    /// Owned until it is answered: dropping the future releases in the background what it made.
    ///
    /// # Errors
    /// As [`hold_stay`](Self::hold_stay), with the facts `resource` and `nights` of the one that was refused;
    /// `locks.invalid_quantity` (field `requests`) for more than 100.
    #[tracing::instrument(level = "debug", name = "posada.locks.hold_stays", skip_all, fields(holds = requests.len()))]
    pub async fn hold_stays(&self, requests: &[StayHold]) -> Result<Vec<Hold>> {
        let wanted = requests.iter().map(|request| self.wanted(request));
        let wanted: Vec<_> = wanted
            .map(|wanted| wanted.map(Cow::into_owned))
            .collect::<Result<_>>()?;
        holds::hold_all(&self.holds, &wanted).await
    }

    /// Finds a hold again by its [ticket](Hold::ticket), in whatever process. It does not prolong the hold.
    ///
    /// When Redis is down nothing is known about the hold. Cancel-safe read.
    ///
    /// # Errors
    /// `locks.invalid_ticket` (field `ticket`); `locks.lost` when the hold has ended; `locks.not_owner` when the same
    /// conversation holds the nights anew; `redis.*`.
    pub async fn resume_hold(&self, ticket: &str) -> Result<Hold> {
        holds::resume(&self.holds, ticket, &self.scope).await
    }

    /// The live holds of a resource that touch a night of `window`, by their end. Cancel-safe.
    ///
    /// # Errors
    /// `redis.*`.
    pub async fn holds<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        resource: &Resource,
        window: Stay,
    ) -> Result<Vec<HoldState>> {
        self.holds
            .list(self.scope.choose(tenant.into())?, resource, window)
            .await
    }

    /// Looks for holds of this process that have ended, so that the audit learns of them; returns how many. It runs
    /// by itself about once a minute. Ended holds do not count against a capacity, swept or not.
    ///
    /// # Errors
    /// `redis.*`; the rest is looked at the next time.
    pub async fn sweep(&self) -> Result<u64> {
        self.scope.ensure_all()?;
        self.holds.sweep().await
    }

    /// Waits until every event so far is in the audit, at most `deadline` long. Cancel-safe.
    ///
    /// # Errors
    /// `postgres.timeout` when rows still wait; they are not lost.
    pub async fn flush_audit(&self, deadline: std::time::Duration) -> Result<()> {
        tokio::time::timeout(deadline, self.audit.flush())
            .await
            .map_err(|_| {
                Error::new(
                    codes::POSTGRES_TIMEOUT,
                    "the lock audit still waits for its store",
                )
            })
    }

    /// The newest audit rows of a key, newest first. Rows reach the audit a moment after the event. Of a handle that is
    /// bound to a tenant, only that tenant's: named locks of the same name have the same key, and the key of another
    /// tenant's hold is refused. Cancel-safe read.
    ///
    /// # Errors
    /// `locks.invalid_name` (field `lock_key`) for a key that no lock can have; `postgres.*`.
    pub async fn audit(&self, lock_key: &str, limit: usize) -> Result<Vec<AuditEntry>> {
        model::check_text(codes::LOCKS_INVALID_NAME, "lock_key", lock_key, LONGEST_AUDIT_KEY)?;
        if let Some(tenant) = self.scope.tenant() {
            // What holds are audited under names their tenant.
            let (own, is_of_hold) = (format!("tenant:{tenant}:lock:"), lock_key.contains(":lock:"));
            if lock_key.starts_with("tenant:") && is_of_hold && !lock_key.starts_with(&own) {
                return Err(OutOfScope.into());
            }
        }
        self.audit.recent(lock_key, self.scope.tenant(), limit).await
    }
}

/// The longest key of the audit, in bytes: more than any lock has.
const LONGEST_AUDIT_KEY: usize = 1024;

impl fmt::Debug for LockManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockManager").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod explore;

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::testkit;

    fn in_memory(clock: &SharedClock) -> LockManager {
        LockManager::new(
            Arc::new(MemoryLocks::new(clock.clone())),
            Arc::new(MemoryHolds::new(clock.clone())),
            Arc::new(MemoryAudit::default()),
            Arc::new(MemoryFences::default()),
            HoldRules::default(),
            clock.clone(),
            Tasks::new(),
        )
    }

    #[tokio::test]
    async fn locks_in_memory_keep_the_promises() {
        testkit::locks::suite(&in_memory(&SystemClock::shared()), "memory").await;
    }

    #[tokio::test]
    async fn a_lock_is_lost_when_its_time_passed_in_the_machines_sleep_although_no_timer_ran() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let locks = in_memory(&clock.shared());
        let minutes = AcquireOptions::new().ttl(std::time::Duration::from_mins(10));
        for (name, options) in [("plain", minutes.clone()), ("kept", minutes.auto_extend(true))] {
            let guard = locks.acquire(name, &options).await.unwrap();
            let mut lost = Box::pin(guard.lost());
            assert!(futures_util::poll!(&mut lost).is_pending());
            clock.advance(std::time::Duration::from_mins(11));
            assert!(guard.ensure_held().unwrap_err().is(codes::LOCKS_LOST));
            assert!(guard.remaining().is_zero());
            assert_eq!(lost.await, LossCause::Expired);
            assert!(locks.acquire(name, &AcquireOptions::new()).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_lock_is_noticed_as_lost_within_moments_of_the_machines_waking() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let locks = in_memory(&clock.shared());
        let options = AcquireOptions::new().ttl(std::time::Duration::from_mins(10));
        let guard = locks.acquire("night-audit", &options).await.unwrap();
        let mut lost = Box::pin(guard.lost());
        assert!(futures_util::poll!(&mut lost).is_pending());
        clock.advance(std::time::Duration::from_mins(11));
        // Only the clock says so; a timer of ten minutes would outlast the patience of every test.
        assert_eq!(lost.await, LossCause::Expired);
    }

    #[tokio::test]
    async fn holds_in_memory_keep_the_promises() {
        testkit::holds::suite(&in_memory(&SystemClock::shared()), "memory").await;
    }

    #[tokio::test]
    async fn holds_in_memory_agree_with_a_plain_model() {
        for seed in 1..=200 {
            let clock = ManualClock::at(DateTime::UNIX_EPOCH);
            let locks = in_memory(&clock.shared());
            let tenant = TenantId::parse("model").unwrap();
            testkit::holds_walk::random_walk(&locks, &tenant, seed, 500, Some(&clock)).await;
        }
    }
}
