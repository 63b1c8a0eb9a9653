//! A random walk of stay holds beside a plain model.
#![allow(
    unused_imports,
    reason = "the walk shares the imports of the suite it was cut from"
)]

use super::Dice;
use super::holds::{room, stay, wish};
use std::collections::HashMap;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures_util::future::join_all;

use super::locks::eventually;
use crate::clock::{Clock, ManualClock};
use crate::error::codes;
use crate::locks::{AuditEvent, Hold, LockManager, Release, Resource, StayHold};
use crate::stay::Stay;
use crate::tenants::TenantId;

/// Compares a store with a plain model over random steps: holds, changes of quantity, extensions, releases and, with
/// a clock that the store reads too, the passing of time.
pub async fn random_walk(
    locks: &LockManager,
    tenant: &TenantId,
    seed: u64,
    steps: usize,
    clock: Option<&ManualClock>,
) {
    let mut dice = Dice::new(seed | 1);
    let mut model = Model::default();
    let mut holds: HashMap<(Stay, u64), Hold> = HashMap::new();
    let year = stay("2027-01-01", "2027-04-01");
    for number in 0..steps {
        let note = format!("seed {seed}, step {number}");
        if let Some(clock) = clock {
            model.now = clock.coarse_millis();
        }
        model.forget_ended();
        match dice.below(10) {
            0..=5 => {
                let first = NaiveDate::from_ymd_opt(2027, 1, 1).unwrap() + Days::new(dice.below(20));
                let nights = Stay::new(first, first + Days::new(1 + dice.below(7))).unwrap();
                let (session, capacity) = (dice.below(6), 1 + u32::try_from(dice.below(3)).unwrap());
                let quantity = 1 + u32::try_from(dice.below(u64::from(capacity))).unwrap();
                let ttl = Duration::from_secs(1 + dice.below(30))
                    + Duration::from_secs(if clock.is_none() { 600 } else { 0 });
                let request = wish(tenant, &session.to_string(), nights)
                    .capacity(capacity)
                    .quantity(quantity)
                    .ttl(ttl);
                let answer = locks.hold_stay(&request).await;
                match model.hold((nights, session), quantity, capacity, ttl) {
                    Ok(()) => {
                        let hold = answer.unwrap_or_else(|error| panic!("{note}: {error}"));
                        assert_eq!(hold.quantity(), quantity, "{note}");
                        holds.insert((nights, session), hold);
                    }
                    Err(taken) => {
                        let error = answer
                            .err()
                            .unwrap_or_else(|| panic!("{note}: {taken} were taken"));
                        assert_eq!(error.fact("nights"), Some(taken.as_str()), "{note}");
                    }
                }
            }
            6 => {
                if let Some((slot, hold)) = pick(&mut dice, &holds) {
                    let extended = hold.extend(Duration::from_secs(10)).await.is_ok();
                    assert_eq!(extended, model.extend(slot, 10_000), "{note}");
                }
            }
            7 => {
                if let Some((slot, hold)) = pick(&mut dice, &holds) {
                    let released = hold.release().await.unwrap() == Release::Released;
                    assert_eq!(released, model.live.remove(&slot).is_some(), "{note}");
                    holds.remove(&slot);
                }
            }
            8 => {
                let listed = locks.holds(Some(tenant), &room("101"), year).await.unwrap();
                assert_eq!(listed.len(), model.live.len(), "{note}");
            }
            _ => {
                if let Some(clock) = clock {
                    clock.advance(Duration::from_millis(dice.below(8_000)));
                }
            }
        }
    }
}

/// Every live hold in a list, and every question answered by looking at all of them.
#[derive(Default)]
struct Model {
    now: u64,
    live: HashMap<(Stay, u64), Live>,
}

struct Live {
    quantity: u32,
    end: u64,
    extensions: u32,
}

impl Model {
    fn forget_ended(&mut self) {
        let now = self.now;
        self.live.retain(|_, live| live.end > now);
    }

    fn hold(&mut self, slot: (Stay, u64), quantity: u32, capacity: u32, ttl: Duration) -> Result<(), String> {
        let own = self.live.get(&slot).map_or(0, |live| live.quantity);
        let is_taken = |night: &NaiveDate| {
            let others: u32 = self
                .live
                .iter()
                .filter(|(other, _)| **other != slot && other.0.each_night().any(|held| held == *night))
                .map(|(_, live)| live.quantity)
                .sum();
            quantity > own && others + quantity > capacity
        };
        let taken: Vec<_> = slot
            .0
            .each_night()
            .filter(is_taken)
            .map(|night| night.to_string())
            .collect();
        if !taken.is_empty() {
            return Err(taken.join(","));
        }
        let end = self.now + u64::try_from(ttl.as_millis()).unwrap();
        let live = self.live.entry(slot).or_insert(Live {
            quantity,
            end,
            extensions: 0,
        });
        live.quantity = quantity;
        Ok(())
    }

    fn extend(&mut self, slot: (Stay, u64), extra: u64) -> bool {
        match self.live.get_mut(&slot) {
            Some(live) if live.extensions < Hold::MAX_EXTENSIONS => {
                live.extensions += 1;
                live.end += extra;
                true
            }
            _ => false,
        }
    }
}

fn pick<'a>(dice: &mut Dice, holds: &'a HashMap<(Stay, u64), Hold>) -> Option<((Stay, u64), &'a Hold)> {
    let mut slots: Vec<_> = holds.keys().copied().collect();
    slots.sort_unstable();
    let index = usize::try_from(dice.below(slots.len().max(1) as u64)).unwrap();
    slots.get(index).map(|slot| (*slot, &holds[slot]))
}
