//! Named locks: the acquire loop, its clean-up, and what is counted and audited on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::audit::{Audit, AuditEntry, AuditEvent, shown_token};
use super::claim::Claim;
use super::guard::{Held, LockGuard};
use super::keeper::Keeper;
use super::model::{AcquireOptions, LockName, LockState, Release};
use super::store::{Attempt, Extension, Grant, Lease, LockKey, LockStore, Released};
use super::waiting::{Waiter, Waiting};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::task::Tasks;
use crate::tenants::TenantId;
use crate::{metrics as names, rng};

/// The named locks of one process. Clones share everything.
#[derive(Clone)]
pub(super) struct Named(Arc<Inner>);

struct Inner {
    store: Arc<dyn LockStore>,
    clock: SharedClock,
    tasks: Tasks,
    audit: Audit,
    waiting: Waiting,
    keeper: Keeper,
}

impl Named {
    pub(super) fn new(store: Arc<dyn LockStore>, clock: SharedClock, tasks: Tasks, audit: Audit) -> Self {
        Self(Arc::new(Inner {
            store,
            keeper: Keeper::new(clock.clone(), tasks.clone()),
            waiting: Waiting::new(rng::token()),
            clock,
            tasks,
            audit,
        }))
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn instant(&self) -> Instant {
        self.0.clock.instant()
    }

    pub(super) async fn acquire(&self, name: &str, options: &AcquireOptions) -> Result<LockGuard> {
        let key = LockKey {
            tenant: options.tenant.clone(),
            name: LockName::parse(name)?,
        };
        options.check()?;
        let (key, lease, sent) = Claim::new(self, key, options).pursue(options.wait).await?;
        count("acquire", "success");
        self.note(&key, AuditEvent::Acquired, acquired_details(&lease, options.ttl));
        let held = Arc::new(Held::new(self.clone(), key, lease, options.ttl, sent));
        if options.auto_extend {
            self.0.keeper.keep(&held, options.max_hold);
        }
        Ok(LockGuard::new(held))
    }

    pub(super) async fn inspect(&self, tenant: Option<&TenantId>, name: &str) -> Result<Option<LockState>> {
        let key = LockKey {
            tenant: tenant.cloned(),
            name: LockName::parse(name)?,
        };
        self.0.store.inspect(&key).await
    }

    /// One attempt of a claim.
    pub(super) async fn attempt(&self, attempt: Attempt<'_>) -> Result<Grant> {
        let found = self.0.store.acquire(attempt).await?;
        self.note_expired(attempt.key, found.expired.as_ref());
        Ok(found.answer)
    }

    /// Ends whatever a claim that nobody pursues any more has left on the server.
    pub(super) async fn withdraw(&self, key: &LockKey, token: &str) -> Result<Released> {
        let found = self.0.store.release(key, token).await?;
        self.note_expired(key, found.expired.as_ref());
        Ok(found.answer)
    }

    pub(super) fn enter_queue(&self, token: &str) -> Waiter {
        self.0.waiting.enter(token, &self.0.store, &self.0.tasks)
    }

    pub(super) fn process(&self) -> &str {
        self.0.waiting.process()
    }

    /// Notes that a claim was refused.
    pub(super) fn note_conflict(&self, key: &LockKey, owner: &str, holder: &str) {
        count("acquire", "conflict");
        let details = json!({"session_id": null, "user_id": owner, "reason": "held", "holder": holder});
        self.note(key, AuditEvent::Conflict, details);
    }

    pub(super) async fn extend(&self, held: &Held, ttl: Duration) -> Result<Extension> {
        let found = self.0.store.extend(&held.key, &held.token, ttl).await?;
        self.note_expired(&held.key, found.expired.as_ref());
        let result = match &found.answer {
            Extension::Extended(lease) => {
                self.note(&held.key, AuditEvent::Extended, extended_details(lease, ttl));
                "success"
            }
            Extension::Lost => "failed",
        };
        count("extend", result);
        metrics::counter!(names::LOCK_EXTENSIONS_TOTAL, "result" => result).increment(1);
        Ok(found.answer)
    }

    /// Releases what a guard held. That somebody else holds the lock by now means that ours had expired.
    pub(super) async fn release_held(&self, held: &Held) -> Result<Release> {
        let release = match self.release(&held.key, &held.token).await? {
            Released::Done(release, _) => release,
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
        match self.release(&key, token).await? {
            Released::Done(release, _) => Ok(release),
            Released::NotOwner => {
                Err(Error::new(codes::LOCKS_NOT_OWNER, "somebody else holds the lock")
                    .with("lock", &key.name))
            }
        }
    }

    async fn release(&self, key: &LockKey, token: &str) -> Result<Released> {
        let found = self.0.store.release(key, token).await?;
        self.note_expired(key, found.expired.as_ref());
        if let Released::Done(Release::Released, lease) = &found.answer {
            let details = lease.as_ref().map_or(Value::Null, released_details);
            self.note(key, AuditEvent::Released, details);
        }
        count(
            "release",
            match found.answer {
                Released::Done(Release::Released, _) => "success",
                Released::Done(..) => "not_found",
                Released::NotOwner => "not_owner",
            },
        );
        Ok(found.answer)
    }

    fn note_expired(&self, key: &LockKey, expired: Option<&Lease>) {
        if let Some(lease) = expired {
            count("expire", "success");
            self.note(key, AuditEvent::Expired, released_details(lease));
        }
    }

    fn note(&self, key: &LockKey, event: AuditEvent, details: Value) {
        self.0.audit.note(AuditEntry {
            lock_key: key.name.as_str().to_owned(),
            event,
            at: self.0.clock.now(),
            tenant: key.tenant.clone(),
            details,
        });
    }
}

fn count(operation: &'static str, result: &'static str) {
    metrics::counter!(names::LOCK_OPERATIONS_TOTAL, "operation" => operation, "result" => result)
        .increment(1);
}

fn acquired_details(lease: &Lease, ttl: Duration) -> Value {
    json!({
        "session_id": null, "user_id": lease.owner, "ttl": whole_seconds(ttl),
        "fence": lease.fence, "token": shown_token(&lease.token),
    })
}

fn extended_details(lease: &Lease, ttl: Duration) -> Value {
    json!({
        "user_id": lease.owner, "new_ttl": whole_seconds(ttl),
        "fence": lease.fence, "token": shown_token(&lease.token),
    })
}

fn released_details(lease: &Lease) -> Value {
    json!({
        "session_id": null, "user_id": lease.owner,
        "fence": lease.fence, "token": shown_token(&lease.token),
        "acquired_at": lease.acquired_at.to_rfc3339(),
    })
}

/// Seconds as the production app writes them, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
