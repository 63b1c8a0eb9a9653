//! What the resolver remembers.
//!
//! Reads take no lock: a caller's text leads to a [`Slot`] by one probe of a concurrent map, and the slot holds
//! the answer and until when it counts as fresh. Everything that changes goes through one mutex, the
//! [`Index`], so that the rules below need no reasoning about interleavings:
//!
//! * Every question gets a *generation* before it is sent. An answer whose generation is older than what the
//!   slot holds, or older than the last change anybody announced, is given to those who waited for it and is not
//!   kept: it may describe the time before.
//! * A slot that leaves the index never becomes fresh again, so memos of it are harmless.
//! * "Unknown" is kept apart, with its own bound, so that probing strangers cannot push hotels out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::answer::{Answer, Entry, Hit, OpenQuestion, Outcome, Slot};
use super::identifier::Identifier;
use super::options::TenantOptions;
use super::question::{OwnedRaw, Raw, Target};
use super::resolution::{Resolution, ResolutionSource, Verdict};
use crate::error::Error;
use crate::rng;
use crate::single_flight::SingleFlight;
use crate::sync;

#[derive(Debug, Clone, Copy)]
struct Absent {
    until: i64,
    generation: u64,
}

#[derive(Default)]
struct Index {
    slots: HashMap<Box<str>, Arc<Slot>>,
    /// The questions on which an answer is under way that was asked for after the last change.
    underway: SingleFlight<Box<str>, Outcome>,
    generation: u64,
    changed: u64,
}

/// Answers by identifier and by tenant id.
pub(super) struct Cache {
    known: papaya::HashMap<OwnedRaw, Arc<Slot>, RandomState>,
    absent: papaya::HashMap<OwnedRaw, Absent, RandomState>,
    /// The index's `changed`, for readers.
    changed: AtomicU64,
    index: Mutex<Index>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    fresh: i64,
    stale: i64,
    unknown: i64,
    pause: i64,
    slots: usize,
    memos: usize,
    absent: usize,
}

impl Cache {
    pub(super) fn new(options: &TenantOptions) -> Self {
        Self {
            known: papaya::HashMap::with_hasher(RandomState::default()),
            absent: papaya::HashMap::with_hasher(RandomState::default()),
            changed: AtomicU64::new(0),
            index: Mutex::default(),
            limits: Limits {
                fresh: millis(options.fresh_for),
                stale: millis(options.stale_for),
                unknown: millis(options.unknown_for),
                pause: millis(options.failure_pause),
                slots: options.capacity.max(1),
                memos: options.capacity.max(1).saturating_mul(2),
                absent: options.unknown_capacity.max(1),
            },
        }
    }

    /// The lock-free path of every request: one probe, a comparison of times, and the clone of one `Arc`.
    pub(super) fn probe(&self, raw: Raw<'_>, now: i64) -> Option<Hit> {
        let known = self.known.pin();
        let Some(slot) = known.get(&raw) else {
            return self.probe_absent(raw, now);
        };
        if now >= slot.fresh_until.load(Ordering::Acquire) {
            return None;
        }
        let answer = slot.answer.load();
        let answer = answer.as_ref()?;
        Some(Hit {
            resolution: answer.resolution(now),
            due: now >= slot.refresh_at.load(Ordering::Relaxed) && !slot.refreshing.load(Ordering::Relaxed),
        })
    }

    fn probe_absent(&self, raw: Raw<'_>, now: i64) -> Option<Hit> {
        let absent = self.absent.pin();
        let found = absent.get(&raw)?;
        let holds = now < found.until && found.generation > self.changed.load(Ordering::Acquire);
        holds.then_some(Hit {
            resolution: Resolution::Unknown,
            due: false,
        })
    }

    /// Claims the refresh of a slot that is due; `None` when another caller was faster.
    pub(super) fn claim_refresh(&self, raw: Raw<'_>) -> Option<Target> {
        let known = self.known.pin();
        let slot = known.get(&raw)?;
        (!slot.refreshing.swap(true, Ordering::AcqRel)).then(|| slot.target.clone())
    }

    /// What an earlier call read this text as, to spare reading it again.
    pub(super) fn target(&self, raw: Raw<'_>) -> Option<Target> {
        self.known.pin().get(&raw).map(|slot| slot.target.clone())
    }

    /// Joins the question for a target or begins it. `ask` begins it although a fresh answer is there.
    pub(super) fn enter(&self, target: &Target, now: i64, ask: bool) -> Entry {
        let mut index = self.lock();
        let key = target.key().into_boxed_str();
        let slot = index.slots.get(&key).cloned();
        let old = slot.as_ref().and_then(|slot| slot.answer.load_full());
        if let (Some(slot), Some(old), false) = (&slot, &old, ask)
            && now < slot.fresh_until.load(Ordering::Acquire)
        {
            return Entry::Known(old.clone(), slot.clone());
        }
        let old = old.filter(|old| now - old.fetched <= self.limits.stale);
        match index.underway.join(&key) {
            (waiting, None) => Entry::Join(waiting, old),
            (waiting, Some(leader)) => {
                let generation = index.next_generation();
                Entry::Lead(OpenQuestion { generation, leader }, waiting, old)
            }
        }
    }

    /// The answer for a target, unless it is too old even to be served stale. What a change made wrong is held until
    /// something newer is known.
    pub(super) fn held(&self, raw: Raw<'_>, target: &Target, now: i64) -> Option<Answer> {
        let slot = self.lock().slots.get(target.key().as_str()).cloned()?;
        let Some(held) = slot.answer.load_full() else {
            let outdated = slot.outdated.load_full()?;
            return (now - outdated.fetched <= self.limits.stale).then(|| outdated.as_stale());
        };
        if now < slot.fresh_until.load(Ordering::Acquire) {
            self.remember(raw, &held, Some(slot));
            return Some(Answer::clone(&held));
        }
        (now - held.fetched <= self.limits.stale).then(|| held.as_stale())
    }

    /// A generation for questions that no other caller can join.
    pub(super) fn generation(&self) -> u64 {
        self.lock().next_generation()
    }

    /// Keeps what the store said, unless something newer is known.
    pub(super) fn install(&self, target: &Target, generation: u64, verdict: Verdict, now: i64) -> Outcome {
        let mut index = self.lock();
        let key = target.key().into_boxed_str();
        if let Some(slot) = index.slots.get(&key) {
            slot.refreshing.store(false, Ordering::Release);
        }
        let answer = Arc::new(Answer {
            verdict,
            fetched: now,
            source: ResolutionSource::Fresh,
            generation,
        });
        if generation <= index.changed {
            return Outcome::Answered { answer, slot: None };
        }
        if answer.verdict == Verdict::Unknown {
            // A definite "unknown" ends what was known, also as a stale answer.
            if let Some(slot) = index.slots.remove(&key) {
                slot.forget();
            }
            return Outcome::Answered { answer, slot: None };
        }
        let slot = index.slot(key, target, &self.limits);
        if slot
            .answer
            .load()
            .as_ref()
            .is_none_or(|held| held.generation < generation)
        {
            slot.answer.store(Some(answer.clone()));
            slot.outdated.store(None);
            let early = self.limits.fresh / 10 + jitter(self.limits.fresh / 10);
            slot.refresh_at
                .store(now + self.limits.fresh - early, Ordering::Relaxed);
            slot.fresh_until.store(now + self.limits.fresh, Ordering::Release);
        }
        Outcome::Answered {
            answer,
            slot: Some(slot),
        }
    }

    /// The store did not answer: the older answer, if there is one that may still be served, is from now on
    /// served as stale, and asked for again after a pause.
    pub(super) fn fail(&self, target: &Target, generation: u64, error: Error, now: i64) -> Outcome {
        let index = self.lock();
        let key = target.key().into_boxed_str();
        let slot = index.slots.get(&key).cloned();
        let held = slot.as_ref().and_then(|slot| slot.answer.load_full());
        let (Some(slot), Some(held)) = (slot, held) else {
            return Outcome::Failed(Arc::new(error));
        };
        slot.refreshing.store(false, Ordering::Release);
        if now - held.fetched > self.limits.stale {
            return Outcome::Failed(Arc::new(error));
        }
        if held.generation > generation {
            return Outcome::Answered {
                answer: held,
                slot: Some(slot),
            };
        }
        let stale = self.serve_stale(&slot, &held, now);
        Outcome::Answered {
            answer: stale,
            slot: Some(slot),
        }
    }

    /// The store takes too long: the older answer, if there still is one that may be served, is served until the
    /// new one comes.
    pub(super) fn stop_waiting(&self, target: &Target, now: i64) -> Option<Arc<Answer>> {
        let index = self.lock();
        let slot = index.slots.get(target.key().as_str())?;
        let held = slot.answer.load_full()?;
        if now < slot.fresh_until.load(Ordering::Acquire) {
            return Some(held);
        }
        (now - held.fetched <= self.limits.stale).then(|| self.serve_stale(slot, &held, now))
    }

    /// A caller that keeps asking gets the stale answer at once and a new attempt in the background; after a longer
    /// silence the next caller waits for the store again.
    fn serve_stale(&self, slot: &Slot, held: &Answer, now: i64) -> Arc<Answer> {
        let stale = Arc::new(held.as_stale());
        slot.answer.store(Some(stale.clone()));
        let pause = self.limits.pause / 2 + jitter(self.limits.pause / 2);
        slot.refresh_at.store(now + pause, Ordering::Relaxed);
        let until = (now + 2 * self.limits.pause).min(held.fetched + self.limits.stale);
        slot.fresh_until.store(until, Ordering::Release);
        stale
    }

    /// Remembers what a text leads to.
    pub(super) fn remember(&self, raw: Raw<'_>, answer: &Answer, slot: Option<Arc<Slot>>) {
        if raw.text.len() > Identifier::MAX_BYTES {
            return;
        }
        if let Some(slot) = slot {
            let known = self.known.pin();
            if known.len() >= self.limits.memos {
                known.clear();
            }
            known.insert(raw.to_owned(), slot);
        } else if answer.verdict == Verdict::Unknown {
            let absent = self.absent.pin();
            if absent.len() >= self.limits.absent {
                absent.retain(|_, found| answer.fetched < found.until);
                // The next walk is at least half a table away, so that strangers in a row do not walk each.
                if absent.len() > self.limits.absent / 2 {
                    absent.clear();
                }
            }
            let found = Absent {
                until: answer.fetched + self.limits.unknown,
                generation: answer.generation,
            };
            absent.insert(raw.to_owned(), found);
            // Readers look among the known first, and a slot that is gone would hide the absence.
            self.known.pin().remove(&raw);
        }
    }

    /// A tenant changed, and perhaps identifiers came or went: what they touch is known to be wrong and is not
    /// served again, not even as stale; nothing that was asked before is kept.
    pub(super) fn forget(&self, tenant: &str, identifiers: &[String]) {
        let mut index = self.lock();
        self.mark_changed(&mut index);
        for slot in index.slots.values() {
            let names_tenant = match &slot.target {
                Target::Tenant(id) => id.as_str() == tenant,
                Target::Identifier(_) => slot.answer.load().as_ref().is_some_and(|answer| {
                    answer
                        .verdict
                        .tenants()
                        .iter()
                        .any(|known| known.id.as_str() == tenant)
                }),
            };
            if names_tenant || slot.target.is_named_by(identifiers) {
                slot.forget();
            }
        }
    }

    /// Anything may have changed: everything has to be asked again before it counts as fresh.
    pub(super) fn expire_all(&self) {
        let mut index = self.lock();
        self.mark_changed(&mut index);
        for slot in index.slots.values() {
            slot.expire();
        }
    }

    /// What is remembered, for a refresh or for the disk.
    pub(super) fn answers(&self) -> Vec<(Target, Option<Arc<Answer>>)> {
        let index = self.lock();
        index
            .slots
            .values()
            .map(|slot| (slot.target.clone(), slot.answer.load_full()))
            .collect()
    }

    /// Keeps an answer that an earlier process learnt, unless this process knows better. It is served only when
    /// the store does not answer.
    pub(super) fn restore(&self, target: &Target, verdict: Verdict, fetched: i64) {
        let mut index = self.lock();
        let key = target.key().into_boxed_str();
        let slot = index.slot(key, target, &self.limits);
        if slot.answer.load().is_none() {
            slot.answer.store(Some(Arc::new(Answer {
                verdict,
                fetched,
                source: ResolutionSource::Disk,
                generation: 0,
            })));
        }
    }

    /// How many identifiers and tenants are kept, and how many unknown texts.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.lock().slots.len(), self.absent.pin().len())
    }

    /// Grows with every change that was made or heard of.
    pub(super) fn changes(&self) -> u64 {
        self.changed.load(Ordering::Acquire)
    }

    fn mark_changed(&self, index: &mut Index) {
        index.changed = index.next_generation();
        self.changed.store(index.changed, Ordering::Release);
        // Who asks from now on must not get an answer that was asked for before.
        index.underway.retire(|_| true);
        self.absent.pin().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        sync::lock(&self.index)
    }
}

impl Index {
    fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    fn slot(&mut self, key: Box<str>, target: &Target, limits: &Limits) -> Arc<Slot> {
        if let Some(slot) = self.slots.get(&key) {
            return slot.clone();
        }
        if self.slots.len() >= limits.slots {
            self.evict();
        }
        let slot = Arc::new(Slot::new(target.clone()));
        self.slots.insert(key, slot.clone());
        slot
    }

    /// Drops the sixteenth that was asked for the longest ago: what is in use is refreshed and so is young.
    fn evict(&mut self) {
        let fetched = |slot: &Slot| {
            slot.answer
                .load()
                .as_ref()
                .map_or(i64::MIN, |answer| answer.fetched)
        };
        let mut ages: Vec<i64> = self.slots.values().map(|slot| fetched(slot)).collect();
        let mut left = ages.len() / 16 + 1;
        let (_, limit, _) = ages.select_nth_unstable(left - 1);
        let limit = *limit;
        self.slots.retain(|_, slot| {
            let goes = left > 0 && fetched(slot) <= limit;
            if goes {
                left -= 1;
                slot.forget();
            }
            !goes
        });
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// A random number of milliseconds below the limit.
fn jitter(limit: i64) -> i64 {
    millis(rng::jitter(Duration::from_millis(
        u64::try_from(limit).unwrap_or(0),
    )))
}
