//! Stay holds in memory: the executable specification of the scripts, for one process.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::store::{
    Changed, Ended, HoldOutcome, HoldRequest, HoldSlot, HoldStore, Holder, MAX_HOLDS, Moved, Prolong, Record,
    ResourceKey, Shortage, Step,
};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::locks::model::Release;
use crate::stay::Stay;
use crate::sync;

/// All holds of this process under one mutex, so that every operation is indivisible.
#[derive(Debug)]
pub(crate) struct MemoryHolds {
    clock: SharedClock,
    tables: Mutex<HashMap<ResourceKey, HoldTable>>,
}

/// The holds of one resource. It is never forgotten, because its fence must not go back.
#[derive(Debug, Default)]
struct HoldTable {
    holds: HashMap<HoldSlot, Record>,
    by_end: BTreeSet<(DateTime<Utc>, HoldSlot)>,
    /// Units held per night; nights without holds are absent.
    nights: HashMap<NaiveDate, u32>,
    fence: u64,
}

impl MemoryHolds {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            tables: Mutex::default(),
        }
    }

    /// One indivisible step on the table of a resource.
    fn step<T>(&self, key: &ResourceKey, decide: impl FnOnce(&mut HoldTable, DateTime<Utc>) -> T) -> Step<T> {
        let now = self.clock.now();
        let mut tables = sync::lock(&self.tables);
        let table = tables.entry(key.clone()).or_default();
        let expired = table.take_expired(now);
        Step {
            answer: decide(table, now),
            expired,
            now,
        }
    }
}

impl HoldTable {
    fn take_expired(&mut self, now: DateTime<Utc>) -> Vec<Record> {
        let mut expired = Vec::new();
        while let Some((end, slot)) = self.by_end.first().cloned() {
            if end > now {
                break;
            }
            expired.extend(self.remove(&slot));
        }
        expired
    }

    fn remove(&mut self, slot: &HoldSlot) -> Option<Record> {
        let record = self.holds.remove(slot)?;
        self.by_end.remove(&(record.expires_at, slot.clone()));
        for night in slot.stay.each_night() {
            let units = self.nights.entry(night).or_default();
            *units = units.saturating_sub(record.quantity);
            if *units == 0 {
                self.nights.remove(&night);
            }
        }
        Some(record)
    }

    fn insert(&mut self, record: Record) {
        for night in record.slot.stay.each_night() {
            *self.nights.entry(night).or_default() += record.quantity;
        }
        self.by_end.insert((record.expires_at, record.slot.clone()));
        self.holds.insert(record.slot.clone(), record);
    }

    fn hold(&mut self, request: HoldRequest<'_>, now: DateTime<Utc>) -> HoldOutcome {
        let known = self.holds.get(request.slot).cloned();
        let own = known.as_ref().map_or(0, |record| record.quantity);
        if let Some(record) = &known
            && own == request.quantity
        {
            return HoldOutcome::Same(record.clone());
        }
        if known.is_none() && self.holds.len() >= MAX_HOLDS {
            return HoldOutcome::Full;
        }
        let is_full = |night: &NaiveDate| {
            let others = self.units(*night) - own;
            request.quantity > own && others + request.quantity > request.capacity
        };
        let full: Vec<_> = request.slot.stay.each_night().filter(is_full).collect();
        if !full.is_empty() {
            let units = |night: &NaiveDate| self.units(*night) - own + request.quantity;
            return HoldOutcome::Taken(self.shortage(full, request.slot, request.capacity, units));
        }
        if let Some(mut record) = self.remove(request.slot) {
            record.quantity = request.quantity;
            self.insert(record.clone());
            return HoldOutcome::Same(record);
        }
        self.fence = (self.fence + 1).max(u64::try_from(now.timestamp_micros()).unwrap_or(0));
        let record = Record {
            slot: request.slot.clone(),
            id: request.id.to_owned(),
            token: request.token.to_owned(),
            user_id: request.user_id.map(str::to_owned),
            quantity: request.quantity,
            fence: self.fence,
            acquired_at: now,
            expires_at: now + delta(request.ttl),
            extensions: 0,
        };
        self.insert(record.clone());
        HoldOutcome::New(record)
    }

    fn move_to(&mut self, slot: &HoldSlot, token: &str, stay: Stay, capacity: u32) -> Moved {
        let target = HoldSlot {
            stay,
            holder: slot.holder.clone(),
        };
        let owned = |slot: &HoldSlot| self.holds.get(slot).filter(|record| record.token == token);
        let Some(mut record) = owned(slot).cloned() else {
            return match (owned(&target), self.holds.contains_key(slot)) {
                (Some(moved), _) => Moved::Done(moved.clone()),
                (None, true) => Moved::NotOwner,
                (None, false) => Moved::Gone,
            };
        };
        if target == *slot {
            return Moved::Done(record);
        }
        if self.holds.contains_key(&target) {
            return Moved::Occupied;
        }
        let is_full = |night: &NaiveDate| {
            let others = self.units(*night);
            !slot.stay.contains(*night) && others + record.quantity > capacity
        };
        let full: Vec<_> = stay.each_night().filter(is_full).collect();
        if !full.is_empty() {
            let units = |night: &NaiveDate| self.units(*night) + record.quantity;
            return Moved::Taken(self.shortage(full, slot, capacity, units));
        }
        self.remove(slot);
        record.slot = target;
        self.insert(record.clone());
        Moved::Done(record)
    }

    fn units(&self, night: NaiveDate) -> u32 {
        self.nights.get(&night).copied().unwrap_or(0)
    }

    /// Why these nights are refused at this place; `units` would be needed in them.
    fn shortage(
        &self,
        nights: Vec<NaiveDate>,
        slot: &HoldSlot,
        capacity: u32,
        units: impl Fn(&NaiveDate) -> u32,
    ) -> Shortage {
        let is_own = |other: &HoldSlot| {
            matches!(other.holder, Holder::Session(_)) && other.holder == slot.holder && other != slot
        };
        let has = |other: &HoldSlot, night: &NaiveDate| other.stay.contains(*night);
        let own: Vec<_> = self
            .holds
            .values()
            .filter(|record| is_own(&record.slot))
            .collect();
        let without = |night: &NaiveDate| {
            let own = own.iter().filter(|record| has(&record.slot, night));
            units(night) - own.map(|record| record.quantity).sum::<u32>()
        };
        let newest = own
            .iter()
            .filter(|record| nights.iter().any(|night| has(&record.slot, night)))
            .max_by_key(|record| (record.expires_at, &record.slot));
        let is_ours = nights.iter().all(|night| without(night) <= capacity);
        Shortage {
            frees_at: self.frees_at(&nights, slot),
            own: newest
                .filter(|_| is_ours)
                .map(|record| Box::new((*record).clone())),
            nights,
        }
    }

    /// When the first hold of others on one of these nights ends.
    fn frees_at(&self, taken: &[NaiveDate], own: &HoldSlot) -> Option<DateTime<Utc>> {
        let touches = |slot: &HoldSlot| taken.iter().any(|night| slot.stay.contains(*night));
        self.by_end
            .iter()
            .find(|(_, slot)| slot != own && touches(slot))
            .map(|(end, _)| *end)
    }

    /// Gives a hold another end, if `token` owns it.
    fn change(
        &mut self,
        slot: &HoldSlot,
        token: &str,
        decide: impl FnOnce(&mut Record) -> Option<Changed>,
    ) -> Changed {
        let Some(mut record) = self.holds.get(slot).cloned() else {
            return Changed::Gone;
        };
        if record.token != token {
            return Changed::NotOwner;
        }
        if let Some(refused) = decide(&mut record) {
            return refused;
        }
        self.remove(slot);
        self.insert(record.clone());
        Changed::Done(record)
    }
}

#[async_trait]
impl HoldStore for MemoryHolds {
    async fn hold(&self, request: HoldRequest<'_>) -> Result<Step<HoldOutcome>> {
        Ok(self.step(request.key, |table, now| table.hold(request, now)))
    }

    fn share_a_step(&self, _: &[&ResourceKey]) -> bool {
        true
    }

    async fn hold_together(&self, requests: &[HoldRequest<'_>]) -> Result<Vec<Step<HoldOutcome>>> {
        let now = self.clock.now();
        let mut tables = sync::lock(&self.tables);
        let mut steps = Vec::with_capacity(requests.len());
        let mut undo: Vec<(&HoldRequest<'_>, Option<Record>)> = Vec::new();
        for request in requests {
            let table = tables.entry(request.key.clone()).or_default();
            let expired = table.take_expired(now);
            let before = table.holds.get(request.slot).cloned();
            let answer = table.hold(*request, now);
            let is_refused = !matches!(answer, HoldOutcome::New(_) | HoldOutcome::Same(_));
            steps.push(Step { answer, expired, now });
            if is_refused {
                // The last first: two of them may be on the same nights.
                for (request, before) in undo.into_iter().rev() {
                    let table = tables.entry(request.key.clone()).or_default();
                    table.remove(request.slot);
                    if let Some(record) = before {
                        table.insert(record);
                    }
                }
                break;
            }
            undo.push((request, before));
        }
        Ok(steps)
    }

    async fn extend(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        prolong: Prolong,
    ) -> Result<Step<Changed>> {
        Ok(self.step(key, |table, _| {
            table.change(slot, token, |record| {
                if record.extensions > prolong.seen {
                    return Some(Changed::Already(record.clone()));
                }
                if record.extensions >= prolong.limit {
                    return Some(Changed::MaxExtensions(record.clone()));
                }
                record.extensions += 1;
                record.expires_at += delta(prolong.extra);
                None
            })
        }))
    }

    async fn confirm(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        at_least: Duration,
    ) -> Result<Step<Changed>> {
        Ok(self.step(key, |table, now| {
            table.change(slot, token, |record| {
                record.expires_at = record.expires_at.max(now + delta(at_least));
                None
            })
        }))
    }

    async fn move_to(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        stay: Stay,
        capacity: u32,
    ) -> Result<Step<Moved>> {
        Ok(self.step(key, |table, _| table.move_to(slot, token, stay, capacity)))
    }

    async fn release(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> Result<Step<Ended>> {
        let mut step = self.step(key, |table, _| match table.holds.get(slot) {
            Some(record) if record.token == token => Ended::Done(Release::Released, table.remove(slot)),
            Some(_) => Ended::NotOwner,
            None => Ended::Done(Release::AlreadyReleased, None),
        });
        let is_mine = |record: &Record| record.slot == *slot && record.token == token;
        if step.expired.iter().any(is_mine) {
            step.answer = Ended::Done(Release::Expired, None);
        }
        Ok(step)
    }

    async fn list(&self, key: &ResourceKey) -> Result<Step<Vec<Record>>> {
        Ok(self.step(key, |table, _| {
            table
                .by_end
                .iter()
                .filter_map(|(_, slot)| table.holds.get(slot).cloned())
                .collect()
        }))
    }

    async fn sweep(&self, key: &ResourceKey) -> Result<Step<Option<DateTime<Utc>>>> {
        Ok(self.step(key, |table, _| table.by_end.first().map(|(end, _)| *end)))
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
