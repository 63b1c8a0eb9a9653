//! Counters in this process: the specification of the script, and the fallback while Redis is down.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::model::Strategy;
use super::store::{Charge, LimitStore, Mode, Window};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::sync;

/// Counters that each check looks at to see whether their window has passed: more than it may add, so that they do not
/// pile up, and so few that a check costs the same however many there are.
const LOOKED_AT: usize = 2;

/// Milliseconds of the coarse clock.
type Millis = u64;

type Key = (String, Strategy);

#[derive(Debug)]
pub(crate) struct MemoryLimits {
    clock: SharedClock,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<Arc<Key>, Counter>,
    /// Every counter once, in the order in which they are looked at.
    queue: VecDeque<Arc<Key>>,
}

/// What one limit has counted. `ends` is when the counter may be forgotten.
#[derive(Debug, Default)]
struct Counter {
    count: u32,
    ends: Millis,
    previous: u32,
    previous_ends: Millis,
    /// Times of the moving window, oldest first.
    times: VecDeque<Millis>,
}

impl MemoryLimits {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            counters: Mutex::default(),
        }
    }
}

#[async_trait]
impl LimitStore for MemoryLimits {
    async fn take(&self, mode: Mode, charges: &[Charge]) -> Result<Vec<Window>> {
        let now = self.clock.coarse_millis();
        let mut counters = sync::lock(&self.counters);
        let mut look = |charge: &Charge| {
            counters.forget_some(now);
            let counter = counters.of(charge);
            counter.roll(charge, now);
            counter.window(charge, now)
        };
        let mut windows: Vec<Window> = charges.iter().map(&mut look).collect();
        let everything = windows.iter().all(|window| window.allowed);
        for (charge, window) in charges.iter().zip(&mut windows) {
            let counts_refused = charge.limit.get_strategy() == Strategy::FixedWindow;
            let takes = match mode {
                Mode::Peek => false,
                Mode::HitAll => everything,
                Mode::Hit => window.allowed || counts_refused,
            };
            if takes {
                let counter = counters.of(charge);
                counter.take(charge, now);
                let after = counter.window(charge, now);
                window.remaining = after.remaining;
                window.reset_after = after.reset_after;
                if !window.allowed {
                    window.retry_after = after.retry_after;
                }
            }
        }
        Ok(windows)
    }

    async fn reset(&self, charge: &Charge) -> Result<()> {
        let mut counters = sync::lock(&self.counters);
        // It stays in the queue, so it is forgotten from there.
        if let Some(counter) = counters.by_key.get_mut(&key(charge)) {
            *counter = Counter::default();
        }
        Ok(())
    }
}

fn key(charge: &Charge) -> Key {
    (charge.item.clone(), charge.limit.get_strategy())
}

impl Counters {
    fn of(&mut self, charge: &Charge) -> &mut Counter {
        let key = Arc::new(key(charge));
        if !self.by_key.contains_key(&key) {
            self.queue.push_back(key.clone());
        }
        self.by_key.entry(key).or_default()
    }

    fn forget_some(&mut self, now: Millis) {
        for _ in 0..LOOKED_AT {
            let Some(key) = self.queue.pop_front() else { return };
            match self.by_key.get(&key) {
                Some(counter) if counter.ends.max(counter.previous_ends) > now => self.queue.push_back(key),
                _ => {
                    self.by_key.remove(&key);
                }
            }
        }
    }
}

impl Counter {
    /// Forgets what has passed.
    fn roll(&mut self, charge: &Charge, now: Millis) {
        let window = length(charge);
        match charge.limit.get_strategy() {
            Strategy::FixedWindow => {
                if self.ends <= now {
                    *self = Self::default();
                }
            }
            Strategy::MovingWindow => {
                while self.times.front().is_some_and(|time| time + window <= now) {
                    self.times.pop_front();
                }
            }
            Strategy::SlidingWindowCounter => {
                if self.ends <= now {
                    *self = Self {
                        previous: self.previous,
                        previous_ends: self.previous_ends,
                        ..Self::default()
                    };
                } else if self.ends - now < window {
                    (self.previous, self.previous_ends) = (self.count, self.ends);
                    (self.count, self.ends) = (0, self.ends + window);
                }
                if self.previous_ends <= now {
                    (self.previous, self.previous_ends) = (0, 0);
                }
            }
        }
    }

    fn window(&self, charge: &Charge, now: Millis) -> Window {
        let (amount, cost) = (charge.limit.amount(), charge.cost);
        let length = length(charge);
        match charge.limit.get_strategy() {
            Strategy::FixedWindow => {
                let allowed = self.count.saturating_add(cost) <= amount;
                let left = self.ends.saturating_sub(now);
                answer(allowed, amount.saturating_sub(self.count), left, left)
            }
            Strategy::MovingWindow => {
                let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
                let until_gone = |time: &Millis| (time + length).saturating_sub(now);
                let reset = self.times.front().map_or(length, until_gone);
                let allowed = count.saturating_add(cost) <= amount;
                // The request fits when enough of the oldest have left that its cost finds room.
                let leaving = count
                    .saturating_add(cost)
                    .saturating_sub(amount)
                    .saturating_sub(1);
                let blocking = self.times.get(usize::try_from(leaving).unwrap_or(usize::MAX));
                let retry = blocking.map_or(length, until_gone);
                answer(allowed, amount.saturating_sub(count), reset, retry)
            }
            Strategy::SlidingWindowCounter => {
                let previous_left = self.previous_ends.saturating_sub(now);
                let left = self.ends.saturating_sub(now);
                let faded = u128::from(self.previous) * u128::from(previous_left) / u128::from(length);
                let weighted = u32::try_from(faded)
                    .unwrap_or(u32::MAX)
                    .saturating_add(self.count);
                let mut reset = if self.previous > 0 || self.count > 0 {
                    length
                } else {
                    0
                };
                if self.previous > 0 {
                    let step = length.div_ceil(u64::from(self.previous)).max(1);
                    reset = reset.min(previous_left % step);
                }
                if self.count > 0 {
                    reset = reset.min(left % length);
                }
                let allowed = weighted.saturating_add(cost) <= amount;
                let room = amount.saturating_sub(cost);
                let retry = match room.checked_sub(self.count) {
                    // It fits when the previous window has faded …
                    Some(room) => previous_left.saturating_sub(fitting(self.previous, room, length)),
                    // … or when this one has become the previous one, and has.
                    None => left.saturating_sub(fitting(self.count, room, length)),
                };
                answer(allowed, amount.saturating_sub(weighted), reset, retry)
            }
        }
    }

    fn take(&mut self, charge: &Charge, now: Millis) {
        let length = length(charge);
        match charge.limit.get_strategy() {
            Strategy::FixedWindow => {
                if self.count == 0 {
                    self.ends = now + length;
                }
                self.count = self.count.saturating_add(charge.cost);
            }
            Strategy::MovingWindow => {
                self.times.extend((0..charge.cost).map(|_| now));
                self.ends = now + length;
            }
            Strategy::SlidingWindowCounter => {
                if self.ends <= now {
                    self.ends = now + 2 * length;
                }
                self.count = self.count.saturating_add(charge.cost);
            }
        }
    }
}

/// The window, in milliseconds. Limits have at most a hundred years.
fn length(charge: &Charge) -> Millis {
    charge.limit.seconds() * 1000
}

/// The most of its life that a previous window may have left so that no more of its count is weighed than there is
/// room.
fn fitting(count: u32, room: u32, length: Millis) -> Millis {
    let longest = (u128::from(room) + 1) * u128::from(length);
    let fits = longest.div_ceil(u128::from(count.max(1)));
    u64::try_from(fits)
        .unwrap_or(length)
        .min(length)
        .saturating_sub(1)
}

fn answer(allowed: bool, remaining: u32, reset: Millis, retry: Millis) -> Window {
    Window {
        allowed,
        remaining,
        reset_after: Duration::from_millis(reset),
        retry_after: Duration::from_millis(if allowed { 0 } else { retry }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::clock::ManualClock;
    use crate::limits::{RateLimit, RateLimiter};

    fn limiter() -> (ManualClock, RateLimiter) {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let store = Arc::new(MemoryLimits::new(clock.shared()));
        (clock.clone(), RateLimiter::new(store, clock.shared()))
    }

    #[tokio::test]
    async fn a_fixed_window_begins_with_its_first_request() {
        let (clock, limits) = limiter();
        let limit = RateLimit::parse("1/minute").unwrap();
        clock.advance(Duration::from_secs(59));
        assert!(limits.check(&limit, &["a"]).await.unwrap().allowed);
        clock.advance(Duration::from_secs(59));
        let refused = limits.check(&limit, &["a"]).await.unwrap();
        assert_eq!(
            (refused.allowed, refused.retry_after),
            (false, Duration::from_secs(1))
        );
        clock.advance(Duration::from_secs(1));
        assert!(limits.check(&limit, &["a"]).await.unwrap().allowed);
    }

    #[tokio::test]
    async fn a_moving_window_frees_one_request_at_a_time() {
        let (clock, limits) = limiter();
        let limit = RateLimit::parse("2/minute")
            .unwrap()
            .strategy(Strategy::MovingWindow);
        limits.check(&limit, &["a"]).await.unwrap();
        clock.advance(Duration::from_secs(30));
        limits.check(&limit, &["a"]).await.unwrap();
        let refused = limits.check(&limit, &["a"]).await.unwrap();
        assert_eq!(
            (refused.allowed, refused.retry_after),
            (false, Duration::from_secs(30))
        );
        clock.advance(Duration::from_millis(30_001));
        assert!(limits.check(&limit, &["a"]).await.unwrap().allowed);
        assert!(!limits.check(&limit, &["a"]).await.unwrap().allowed);
    }

    #[tokio::test]
    async fn a_sliding_counter_lets_the_previous_window_fade() {
        let (clock, limits) = limiter();
        let limit = RateLimit::parse("4/minute")
            .unwrap()
            .strategy(Strategy::SlidingWindowCounter);
        for _ in 0..4 {
            assert!(limits.check(&limit, &["a"]).await.unwrap().allowed);
        }
        clock.advance(Duration::from_secs(61));
        assert!(
            limits.check(&limit, &["a"]).await.unwrap().allowed,
            "3 of 4 are still counted"
        );
        assert!(!limits.check(&limit, &["a"]).await.unwrap().allowed);
        clock.advance(Duration::from_secs(30));
        assert!(
            limits.check(&limit, &["a"]).await.unwrap().allowed,
            "now 1 of 4, and the one since"
        );
    }

    #[tokio::test]
    async fn a_refused_request_fits_at_the_time_it_was_told_and_not_before() {
        for strategy in [
            Strategy::FixedWindow,
            Strategy::MovingWindow,
            Strategy::SlidingWindowCounter,
        ] {
            for amount in [1_u32, 2, 3, 5, 7, 30, 100] {
                let (clock, limits) = limiter();
                let limit = RateLimit::parse(&format!("{amount}/minute"))
                    .unwrap()
                    .strategy(strategy);
                clock.advance(Duration::from_secs(1000));
                for round in 0..6 {
                    // A peek does not count, so that a fixed window is not asked for more by asking.
                    while limits.peek(&limit, &["a"]).await.unwrap().allowed {
                        limits.check(&limit, &["a"]).await.unwrap();
                        clock.advance(Duration::from_millis(137));
                    }
                    let refused = limits.peek(&limit, &["a"]).await.unwrap();
                    let wait = refused.retry_after;
                    let case = format!("{strategy:?} {amount} {round} {refused:?}");
                    assert!(wait > Duration::ZERO && wait <= 2 * limit.window(), "{case}");
                    clock.advance(wait.saturating_sub(Duration::from_millis(1)));
                    assert!(!limits.peek(&limit, &["a"]).await.unwrap().allowed, "{case}");
                    clock.advance(Duration::from_millis(1));
                    assert!(limits.peek(&limit, &["a"]).await.unwrap().allowed, "{case}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_longest_windows_and_largest_amounts_are_counted() {
        let (clock, limits) = limiter();
        for strategy in [
            Strategy::FixedWindow,
            Strategy::MovingWindow,
            Strategy::SlidingWindowCounter,
        ] {
            let limit = RateLimit::parse("4294967295/100 years")
                .unwrap()
                .strategy(strategy);
            for _ in 0..4 {
                assert!(limits.check_cost(&limit, &["a"], 10_000).await.unwrap().allowed);
                clock.advance(limit.window() / 2 + Duration::from_secs(1));
            }
            if strategy != Strategy::MovingWindow {
                let most = limits.check_cost(&limit, &["b"], u32::MAX).await.unwrap();
                assert!(most.allowed, "{strategy:?}");
                clock.advance(limit.window() + Duration::from_secs(1));
                let after = limits.check_cost(&limit, &["b"], u32::MAX).await.unwrap();
                assert!(after.allowed || after.retry_after > Duration::ZERO, "{after:?}");
            }
        }
    }

    #[tokio::test]
    async fn counters_that_have_ended_do_not_pile_up() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let store = Arc::new(MemoryLimits::new(clock.shared()));
        let limits = RateLimiter::new(store.clone(), clock.shared());
        let limit = RateLimit::parse("5/minute").unwrap();
        for number in 0..1000 {
            let who = format!("203.0.113.{number}");
            limits.check(&limit, &[&who]).await.unwrap();
            limits.reset(&limit, &[&who]).await.unwrap();
            limits.check(&limit, &[&who]).await.unwrap();
        }
        let kept = || {
            let counters = store.counters.lock().unwrap();
            assert_eq!(counters.by_key.len(), counters.queue.len());
            counters.queue.len()
        };
        assert_eq!(kept(), 1000);
        clock.advance(Duration::from_secs(61));
        for _ in 0..500 {
            limits.check(&limit, &["203.0.113.9"]).await.unwrap();
        }
        assert!(kept() <= 2, "{}", kept());
    }
}
