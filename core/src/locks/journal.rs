//! What is counted and audited of named locks. It knows neither the server nor the locks that are held.

use std::time::Duration;

use super::audit::{Audit, AuditEvent, Facts, Note, shown_token, whole_seconds};
use super::model::Release;
use super::store::{Extension, Lease, LockKey, Released};
use crate::clock::SharedClock;
use crate::metrics as names;

/// Writes one line per event into the audit's queue and counts it.
pub(super) struct Journal {
    audit: Audit,
    clock: SharedClock,
}

impl Journal {
    pub(super) fn new(audit: Audit, clock: SharedClock) -> Self {
        Self { audit, clock }
    }

    pub(super) fn acquired(&self, key: &LockKey, lease: &Lease, ttl: Duration) {
        count("acquire", "success");
        let facts = lease_facts(lease)
            .with("session_id", None)
            .with("ttl", whole_seconds(ttl));
        self.note(key, AuditEvent::Acquired, facts);
    }

    /// `audited`: whether the refusal is worth a row.
    pub(super) fn refused(&self, key: &LockKey, owner: &str, holder: &str, audited: bool) {
        count("acquire", "conflict");
        if audited {
            let facts = Facts::new()
                .with("session_id", None)
                .with("user_id", owner)
                .with("reason", "held")
                .with("holder", holder);
            self.note(key, AuditEvent::Conflict, facts);
        }
    }

    /// Counts an extension; automatic ones are not audited, because they would fill the table with nothing new.
    #[allow(clippy::unused_self, reason = "all that is counted goes through the journal")]
    pub(super) fn count_extension(&self, extension: &Extension) {
        let result = match extension {
            Extension::Extended(_) => "success",
            Extension::Lost => "failed",
        };
        count("extend", result);
        metrics::counter!(names::LOCK_EXTENSIONS_TOTAL, "result" => result).increment(1);
    }

    /// The holder itself extended its lock.
    pub(super) fn extended(&self, key: &LockKey, lease: &Lease, ttl: Duration) {
        let facts = lease_facts(lease).with("new_ttl", whole_seconds(ttl));
        self.note(key, AuditEvent::Extended, facts);
    }

    pub(super) fn released(&self, key: &LockKey, released: &Released) {
        if let Released::Done(Release::Released, lease) = released {
            let facts = lease.as_ref().map_or_else(Facts::new, ended_facts);
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
    }

    /// `None` when no lock was there.
    pub(super) fn forced(&self, key: &LockKey, ended: Option<&Lease>, reason: &str) {
        let Some(lease) = ended else {
            count("force_release", "not_found");
            return;
        };
        count("force_release", "success");
        let facts = ended_facts(lease).with("forced", true).with("reason", reason);
        self.note(key, AuditEvent::Released, facts);
    }

    /// A grant ended without a release, if a step found one.
    pub(super) fn expired(&self, key: &LockKey, expired: Option<&Lease>) {
        if let Some(lease) = expired {
            count("expire", "success");
            self.note(key, AuditEvent::Expired, ended_facts(lease));
        }
    }

    fn note(&self, key: &LockKey, event: AuditEvent, facts: Facts) {
        self.audit.note(Note {
            lock_key: key.name.shared(),
            event,
            at: self.clock.now(),
            tenant: key.tenant.clone(),
            facts,
        });
    }
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

fn ended_facts(lease: &Lease) -> Facts {
    lease_facts(lease)
        .with("session_id", None)
        .with("acquired_at", lease.acquired_at)
}
