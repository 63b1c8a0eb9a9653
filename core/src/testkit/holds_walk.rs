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

/// Compares a store with a plain model over random steps: holds, several at once, changes of quantity, moves to other
/// nights, extensions, releases and, with a clock that the store reads too, the passing of time.
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
    let year = stay("2026-07-01", "2027-06-01");
    for number in 0..steps {
        let note = format!("seed {seed}, step {number}");
        if let Some(clock) = clock {
            model.now = clock.coarse_millis();
        }
        model.forget_ended();
        match dice.below(13) {
            0..=5 => {
                let nights = some_nights(&mut dice);
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
            10 => {
                let picked = pick(&mut dice, &holds).map(|(slot, _)| slot);
                if let Some((slot, mut hold)) = picked.and_then(|slot| Some((slot, holds.remove(&slot)?))) {
                    let to = other_nights(&mut dice, slot.0);
                    let capacity = hold.quantity() + u32::try_from(dice.below(2)).unwrap();
                    let answer = hold.move_to(to, capacity).await;
                    let expected = model.move_to(slot, to, capacity);
                    match (&expected, answer) {
                        (Ok(()), answer) => {
                            answer.unwrap_or_else(|error| panic!("{note}: {error}"));
                            assert_eq!(hold.stay(), to, "{note}");
                        }
                        (Err(refusal), answer) => {
                            let error = answer.err().unwrap_or_else(|| panic!("{note}: {refusal:?}"));
                            assert_eq!(Refusal::of(&error), *refusal, "{note}");
                            assert_eq!(hold.stay(), slot.0, "{note}");
                        }
                    }
                    match expected {
                        Ok(()) => holds.insert((to, slot.1), hold),
                        Err(Refusal::Gone) => None,
                        Err(_) => holds.insert(slot, hold),
                    };
                }
            }
            11 => {
                several_at_once(locks, tenant, &mut dice, &mut model, &mut holds, &note).await;
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

async fn several_at_once(
    locks: &LockManager,
    tenant: &TenantId,
    dice: &mut Dice,
    model: &mut Model,
    holds: &mut HashMap<(Stay, u64), Hold>,
    note: &str,
) {
    let (session, quantity) = (dice.below(6), 1 + u32::try_from(dice.below(2)).unwrap());
    let set: Vec<_> = (0..2 + dice.below(2)).map(|_| some_nights(dice)).collect();
    let ttl = Duration::from_mins(20);
    let of = |nights: &Stay| {
        let request = wish(tenant, &session.to_string(), *nights).capacity(2);
        request.quantity(quantity).ttl(ttl)
    };
    let answer = locks.hold_stays(&set.iter().map(of).collect::<Vec<_>>()).await;
    match (model.hold_all(&set, session, quantity, ttl), answer) {
        (Ok(()), answer) => {
            let made = answer.unwrap_or_else(|error| panic!("{note}: {error}"));
            holds.extend(made.into_iter().map(|hold| ((hold.stay(), session), hold)));
        }
        (Err(taken), answer) => {
            let error = answer.err().unwrap_or_else(|| panic!("{note}: {taken}"));
            assert_eq!(error.fact("nights"), Some(taken.as_str()), "{note}");
        }
    }
}

/// One to seven nights of the first weeks of the year.
fn some_nights(dice: &mut Dice) -> Stay {
    let first = NaiveDate::from_ymd_opt(2027, 1, 1).unwrap() + Days::new(dice.below(20));
    Stay::new(first, first + Days::new(1 + dice.below(7))).unwrap()
}

/// The same nights and more, fewer of them, or others.
fn other_nights(dice: &mut Dice, stay: Stay) -> Stay {
    let (first, last) = (stay.check_in(), stay.check_out());
    match dice.below(4) {
        0 => Stay::new(first, last + Days::new(1 + dice.below(3))).unwrap(),
        1 => Stay::new(first - Days::new(dice.below(3)), last + Days::new(dice.below(2))).unwrap(),
        2 => Stay::new(first, first + Days::new(1)).unwrap(),
        _ => some_nights(dice),
    }
}

/// Why a hold stays where it is.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Gone,
    Occupied,
    Taken(String),
}

impl Refusal {
    fn of(error: &crate::Error) -> Self {
        match error.fact("nights") {
            _ if error.is(codes::LOCKS_LOST) => Self::Gone,
            Some(nights) => Self::Taken(nights.to_owned()),
            None => Self::Occupied,
        }
    }
}

/// Every live hold in a list, and every question answered by looking at all of them.
#[derive(Default)]
struct Model {
    now: u64,
    live: HashMap<(Stay, u64), Live>,
}

#[derive(Clone)]
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

    /// In the order of their nights, as the store takes them.
    fn hold_all(&mut self, set: &[Stay], session: u64, quantity: u32, ttl: Duration) -> Result<(), String> {
        let before = self.live.clone();
        let mut sorted = set.to_vec();
        sorted.sort_unstable();
        for nights in sorted {
            if let Err(taken) = self.hold((nights, session), quantity, 2, ttl) {
                self.live = before;
                return Err(taken);
            }
        }
        Ok(())
    }

    fn move_to(&mut self, slot: (Stay, u64), to: Stay, capacity: u32) -> Result<(), Refusal> {
        let Some(quantity) = self.live.get(&slot).map(|live| live.quantity) else {
            return Err(Refusal::Gone);
        };
        if to == slot.0 {
            return Ok(());
        }
        if self.live.contains_key(&(to, slot.1)) {
            return Err(Refusal::Occupied);
        }
        let mut taken = Vec::new();
        for night in to.each_night() {
            let is_on = |stay: Stay| stay.each_night().any(|held| held == night);
            let others = self.live.iter().filter(|(other, _)| is_on(other.0));
            let others: u32 = others.map(|(_, live)| live.quantity).sum();
            if !is_on(slot.0) && others + quantity > capacity {
                taken.push(night.to_string());
            }
        }
        if !taken.is_empty() {
            return Err(Refusal::Taken(taken.join(",")));
        }
        if let Some(live) = self.live.remove(&slot) {
            self.live.insert((to, slot.1), live);
        }
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
