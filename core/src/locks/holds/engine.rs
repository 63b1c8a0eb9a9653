//! The engine of stay holds: one step on the server each, what is audited and counted of it, and how a refusal reads.
//! It does not know the handle that callers get (`hold.rs`), nor requests for several holds (`acquire.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::model::{HoldState, Resource, StayHold, audit_key};
use super::owned::OwnedHold;
use super::pending_releases::PendingReleases;
use super::store::{
    Changed, Ended, HoldOutcome, HoldRequest, HoldSlot, HoldStore, Holder, MAX_HOLDS, Moved, Prolong, Record,
    ResourceKey, Shortage, Step,
};
use super::sweeper::{self, Sweeper};
use crate::clock::SharedClock;
use crate::error::{Error, Result, Retry, codes};
use crate::locks::audit::{Audit, AuditEvent, Facts, Note, shown_token, whole_seconds};
use crate::locks::model::Release;
use crate::settings::Settings;
use crate::stay::Stay;
use crate::task::Tasks;
use crate::tenants::TenantId;
use crate::{metrics as names, rng};

/// The holds that this process makes. Clones share everything.
#[derive(Clone)]
pub(in crate::locks) struct HoldEngine(Arc<Inner>);

/// What holds may do unless a request says otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldRules {
    ttl: Duration,
    /// What one extension adds, unless the caller wants less.
    extension: Duration,
    max_extensions: u32,
}

impl HoldRules {
    /// The rules of these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            ttl: settings.hold_ttl(),
            extension: settings.hold_extension(),
            max_extensions: settings.hold_max_extensions(),
        }
    }
}

impl Default for HoldRules {
    fn default() -> Self {
        Self {
            ttl: Settings::DEFAULT_HOLD_TTL,
            extension: Settings::DEFAULT_HOLD_EXTENSION,
            max_extensions: Settings::DEFAULT_HOLD_MAX_EXTENSIONS,
        }
    }
}

struct Inner {
    store: Arc<dyn HoldStore>,
    rules: HoldRules,
    clock: SharedClock,
    tasks: Tasks,
    audit: Audit,
    sweeper: Sweeper,
    pending_releases: PendingReleases,
}

impl HoldEngine {
    pub(in crate::locks) fn new(
        store: Arc<dyn HoldStore>,
        rules: HoldRules,
        clock: SharedClock,
        tasks: Tasks,
        audit: Audit,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            rules,
            clock,
            tasks,
            audit,
            sweeper: Sweeper::default(),
            pending_releases: PendingReleases::default(),
        }))
    }

    pub(super) fn store(&self) -> &dyn HoldStore {
        &*self.0.store
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn pending_releases(&self) -> &PendingReleases {
        &self.0.pending_releases
    }

    pub(super) fn instant(&self) -> Instant {
        self.0.clock.instant()
    }

    /// The most that one extension may add.
    pub(super) fn extension(&self) -> Duration {
        self.0.rules.extension
    }

    /// Takes the answer to a request that was sent then.
    pub(super) fn made(
        &self,
        request: &StayHold,
        planned: &PlannedHold,
        step: Step<HoldOutcome>,
        asked: Instant,
    ) -> Result<Made> {
        let PlannedHold { key, slot, .. } = planned;
        let (answer, now) = self.open(key, step);
        let is_new = matches!(answer, HoldOutcome::New(_));
        let record = match answer {
            HoldOutcome::New(record) => {
                count("acquire", "success");
                self.note(
                    key,
                    &record.slot,
                    AuditEvent::Acquired,
                    acquired_facts(key, &record),
                );
                record
            }
            HoldOutcome::Same(record) => {
                count("acquire", "already_exists");
                record
            }
            HoldOutcome::Taken(shortage) => return Err(self.taken(request, key, slot, &shortage, now)),
            HoldOutcome::Full => {
                count("acquire", "full");
                return Err(Error::new(
                    codes::LOCKS_TOO_MANY_HOLDS,
                    "the resource has too many live holds",
                )
                .with("resource", &key.resource)
                .with("limit", MAX_HOLDS));
            }
        };
        if self.0.sweeper.expect(
            key,
            asked + (record.expires_at - now).to_std().unwrap_or_default(),
        ) {
            let holds = self.clone();
            self.0
                .tasks
                .run_until_closed(async move { holds.sweep_for_ever().await });
        }
        Ok(Made {
            record,
            asked,
            now,
            is_new,
        })
    }

    pub(in crate::locks) async fn list(
        &self,
        tenant: Option<&TenantId>,
        resource: &Resource,
        window: Stay,
    ) -> Result<Vec<HoldState>> {
        let key = ResourceKey {
            tenant: tenant.cloned(),
            resource: resource.clone(),
        };
        let step = self.0.store.list(&key).await?;
        let (records, _) = self.open(&key, step);
        Ok(records
            .into_iter()
            .filter(|record| record.slot.stay.overlaps(window))
            .map(HoldState::from)
            .collect())
    }

    /// Takes out the ended holds of every resource that is due; returns how many there were.
    pub(in crate::locks) async fn sweep(&self) -> Result<u64> {
        let mut ended = 0;
        let due = self.0.sweeper.due(self.instant());
        for (done, key) in due.iter().enumerate() {
            let asked = self.instant();
            match self.0.store.sweep(key).await {
                Ok(step) => {
                    ended += step.expired.len() as u64;
                    let (next, now) = self.open(key, step);
                    if let Some(next) = next {
                        self.0
                            .sweeper
                            .expect(key, asked + (next - now).to_std().unwrap_or_default());
                    }
                }
                Err(error) => {
                    // Those that were not looked at stay due, this one too: their holds have ended all the same.
                    for key in due.iter().skip(done) {
                        self.0.sweeper.expect(key, asked);
                    }
                    return Err(error);
                }
            }
        }
        Ok(ended)
    }

    pub(super) async fn extend(
        &self,
        hold: &OwnedHold,
        extra: Duration,
        seen: u32,
    ) -> Result<(Record, DateTime<Utc>)> {
        self.ensure_kept(hold)?;
        let prolong = Prolong {
            extra,
            limit: self.0.rules.max_extensions,
            seen,
        };
        let step = self
            .0
            .store
            .extend(&hold.key, &hold.slot, &hold.token, prolong)
            .await?;
        let (answer, now) = self.open(&hold.key, step);
        let (result, outcome) = match answer {
            Changed::Done(record) => {
                let facts = extended_facts(&record, extra, now);
                self.note(&hold.key, &hold.slot, AuditEvent::Extended, facts);
                ("success", Ok((record, now)))
            }
            Changed::Already(record) => ("success", Ok((record, now))),
            Changed::MaxExtensions(record) => {
                let message = "the hold was extended as often as it may be";
                let error = hold
                    .refused(codes::LOCKS_MAX_EXTENSIONS, message)
                    .with("extensions", record.extensions);
                ("max_reached", Err(error))
            }
            Changed::Gone => ("not_found", Err(hold.gone())),
            Changed::NotOwner => ("not_owner", Err(hold.not_owner())),
        };
        count("extend", result);
        let label = if matches!(result, "success" | "max_reached") {
            result
        } else {
            "failed"
        };
        metrics::counter!(names::LOCK_EXTENSIONS_TOTAL, "result" => label).increment(1);
        outcome
    }

    pub(super) async fn confirm(
        &self,
        hold: &OwnedHold,
        at_least: Duration,
    ) -> Result<(Record, DateTime<Utc>)> {
        self.ensure_kept(hold)?;
        let step = self
            .0
            .store
            .confirm(&hold.key, &hold.slot, &hold.token, at_least)
            .await?;
        let (answer, now) = self.open(&hold.key, step);
        match answer {
            Changed::Done(record) | Changed::Already(record) | Changed::MaxExtensions(record) => {
                Ok((record, now))
            }
            Changed::Gone => Err(hold.gone()),
            Changed::NotOwner => Err(hold.not_owner()),
        }
    }

    /// Moves a hold to the stay of `request`, which may have up to `left` units of each of its nights.
    pub(super) async fn move_to(
        &self,
        hold: &OwnedHold,
        request: &StayHold,
        left: u32,
    ) -> Result<(Record, DateTime<Utc>)> {
        self.ensure_kept(hold)?;
        let stay = request.stay;
        let holder = hold.slot.holder.clone();
        // A hold of these nights that was given back and whose release failed would refuse the move.
        self.end_pending(&hold.key, &HoldSlot { stay, holder }).await?;
        let step = self
            .0
            .store
            .move_to(&hold.key, &hold.slot, &hold.token, stay, left)
            .await?;
        let (answer, now) = self.open(&hold.key, step);
        match answer {
            Moved::Done(record) => {
                if record.slot != hold.slot {
                    count("move", "success");
                    let (from, to) = (ended_facts(&record), acquired_facts(&hold.key, &record));
                    self.note(&hold.key, &hold.slot, AuditEvent::Released, from);
                    self.note(&hold.key, &record.slot, AuditEvent::Acquired, to);
                }
                Ok((record, now))
            }
            Moved::Taken(shortage) => {
                let slot = HoldSlot {
                    stay,
                    holder: hold.slot.holder.clone(),
                };
                Err(self.taken(request, &hold.key, &slot, &shortage, now))
            }
            Moved::Occupied => {
                let message = "the same conversation holds these nights already";
                Err(hold
                    .refused(codes::LOCKS_NIGHTS_TAKEN, message)
                    .with("wanted", stay))
            }
            Moved::Gone => Err(hold.gone()),
            Moved::NotOwner => Err(hold.not_owner()),
        }
    }

    /// Ends what was given back there, before something is made there or asked about it.
    pub(super) async fn end_pending(&self, key: &ResourceKey, slot: &HoldSlot) -> Result<()> {
        for token in self.0.pending_releases.at(key, slot) {
            self.end(key, slot, &token).await?;
            self.0.pending_releases.remove(key, slot, &token);
        }
        Ok(())
    }

    async fn sweep_for_ever(&self) {
        loop {
            tokio::time::sleep(sweeper::pause()).await;
            if let Err(error) = self.sweep().await {
                tracing::debug!(%error, "ended holds could not be looked for; the next sweep will");
            }
        }
    }

    /// Refuses a hold that was given back, although the server may not have heard of it.
    pub(super) fn ensure_kept(&self, hold: &OwnedHold) -> Result<()> {
        if self.0.pending_releases.has(&hold.key, &hold.slot, &hold.token) {
            return Err(hold.gone());
        }
        Ok(())
    }

    pub(super) async fn end(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> Result<Ended> {
        let step = self.0.store.release(key, slot, token).await?;
        let (answer, _) = self.open(key, step);
        let result = match &answer {
            Ended::Done(Release::Released, _) => "success",
            Ended::Done(..) => "not_found",
            Ended::NotOwner => "not_owner",
        };
        count("release", result);
        if let Ended::Done(_, Some(record)) = &answer {
            self.note(key, slot, AuditEvent::Released, ended_facts(record));
        }
        Ok(answer)
    }

    /// Takes a step's answer and audits the holds that it found ended.
    pub(super) fn open<T>(&self, key: &ResourceKey, step: Step<T>) -> (T, DateTime<Utc>) {
        for record in &step.expired {
            count("expire", "success");
            self.note(key, &record.slot, AuditEvent::Expired, ended_facts(record));
        }
        (step.answer, step.now)
    }

    pub(super) fn taken(
        &self,
        request: &StayHold,
        key: &ResourceKey,
        slot: &HoldSlot,
        shortage: &Shortage,
        now: DateTime<Utc>,
    ) -> Error {
        count("acquire", "conflict");
        metrics::counter!(names::LOCK_CONFLICTS_TOTAL, "room_id" => self.0.sweeper.label(key)).increment(1);
        let nights: Vec<_> = shortage.nights.iter().map(NaiveDate::to_string).collect();
        let facts = Facts::new()
            .with("session_id", request.session_id.as_deref())
            .with("user_id", request.user_id.as_deref())
            .with("reason", "date_overlap")
            .with("nights", nights.clone());
        self.note(key, slot, AuditEvent::Conflict, facts);
        let refused = |message| {
            Error::new(codes::LOCKS_NIGHTS_TAKEN, message)
                .with("resource", &key.resource)
                .with("stay", slot.stay)
                .with("nights", nights.join(","))
        };
        if let Some(own) = &shortage.own {
            // WaitQueue for the end of one's own hold is no advice.
            let message = "the same conversation holds some nights of the stay already, and no other holder is in the way: \
                           change that hold with `move_to`, or release it first";
            return refused(message)
                .with("own_hold", &own.id)
                .with("own_stay", own.slot.stay);
        }
        let error = refused("some nights of the stay are held by others");
        match shortage.frees_at {
            Some(at) => error
                .with("frees_at", at.to_rfc3339_opts(SecondsFormat::Millis, true))
                .retry_when(Retry::After((at - now).to_std().unwrap_or_default())),
            None => error,
        }
    }

    fn note(&self, key: &ResourceKey, slot: &HoldSlot, event: AuditEvent, facts: Facts) {
        self.0.audit.note(Note {
            lock_key: audit_key(key.tenant.as_ref(), &key.resource, slot.stay).into(),
            event,
            at: self.0.clock.now(),
            tenant: key.tenant.clone(),
            facts,
        });
    }
}

/// A hold that a request made, or found.
pub(super) struct Made {
    pub(super) record: Record,
    /// When the request left us.
    pub(super) asked: Instant,
    /// The server's time when it was answered.
    pub(super) now: DateTime<Utc>,
    pub(super) is_new: bool,
}

/// What a request asks for, under names that are chosen before it is sent.
pub(super) struct PlannedHold {
    pub(super) key: ResourceKey,
    pub(super) slot: HoldSlot,
    pub(super) id: String,
    pub(super) token: String,
    pub(super) ttl: Duration,
}

impl PlannedHold {
    pub(super) fn of(request: &StayHold, holds: &HoldEngine) -> Self {
        let id = rng::token();
        let session = request.session_id.clone();
        Self {
            key: ResourceKey {
                tenant: request.tenant.clone(),
                resource: request.resource.clone(),
            },
            slot: HoldSlot {
                stay: request.stay,
                holder: session.map_or_else(|| Holder::Anonymous(id.clone()), Holder::Session),
            },
            id,
            token: rng::token(),
            ttl: request.ttl.unwrap_or(holds.0.rules.ttl),
        }
    }

    pub(super) fn request<'a>(&'a self, request: &'a StayHold) -> HoldRequest<'a> {
        HoldRequest {
            key: &self.key,
            slot: &self.slot,
            id: &self.id,
            token: &self.token,
            user_id: request.user_id.as_deref(),
            quantity: request.quantity,
            capacity: request.capacity,
            ttl: self.ttl,
        }
    }
}

impl From<Record> for HoldState {
    fn from(record: Record) -> Self {
        Self {
            session_id: session(&record).map(str::to_owned),
            id: record.id,
            stay: record.slot.stay,
            quantity: record.quantity,
            user_id: record.user_id,
            fence: record.fence,
            acquired_at: record.acquired_at,
            expires_at: record.expires_at,
            extensions: record.extensions,
        }
    }
}

fn session(record: &Record) -> Option<&str> {
    match &record.slot.holder {
        Holder::Session(id) => Some(id),
        Holder::Anonymous(_) => None,
    }
}

fn count(operation: &'static str, result: &'static str) {
    metrics::counter!(names::LOCK_OPERATIONS_TOTAL, "operation" => operation, "result" => result)
        .increment(1);
}

fn record_facts(record: &Record) -> Facts {
    Facts::new()
        .with("hold_id", &*record.id)
        .with("fence", record.fence)
        .with("token", shown_token(&record.token))
}

fn acquired_facts(key: &ResourceKey, record: &Record) -> Facts {
    let ttl = (record.expires_at - record.acquired_at)
        .to_std()
        .unwrap_or_default();
    record_facts(record)
        .with("session_id", session(record))
        .with("user_id", record.user_id.as_deref())
        .with("room_id", key.resource.id())
        .with("check_in", record.slot.stay.check_in().to_string())
        .with("check_out", record.slot.stay.check_out().to_string())
        .with("ttl", whole_seconds(ttl))
        .with("quantity", record.quantity)
}

fn extended_facts(record: &Record, extra: Duration, now: DateTime<Utc>) -> Facts {
    let left = (record.expires_at - now).to_std().unwrap_or_default();
    record_facts(record)
        .with("extension_count", record.extensions)
        .with("new_ttl", whole_seconds(left))
        .with("extra_ttl", whole_seconds(extra))
}

fn ended_facts(record: &Record) -> Facts {
    record_facts(record)
        .with("session_id", session(record))
        .with("user_id", record.user_id.as_deref())
        .with("extensions", record.extensions)
}
