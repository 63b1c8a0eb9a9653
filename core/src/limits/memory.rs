//! Counters in this process: the specification of the script, and the fallback while Redis is down.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::model::Strategy;
use super::store::{Charge, LimitStore, Mode, Window};
use crate::clock::SharedClock;
use crate::error::Result;

/// Counters beyond this number make room by forgetting those whose window has passed.
const TIDY_ABOVE: usize = 10_000;

/// Milliseconds of the coarse clock.
type Millis = u64;

#[derive(Debug)]
pub(crate) struct MemoryLimits {
    clock: SharedClock,
    counters: Mutex<HashMap<(String, Strategy), Counter>>,
}

/// What one limit has counted. `ends` is when the counter may be forgotten.
#[derive(Debug, Default)]
struct Counter {
    count: u32,
    ends: Millis,
    previous: u32,
    previous_ends: Millis,
    /// Times of the moving window, oldest first.
    times: Vec<Millis>,
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
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() > TIDY_ABOVE {
            counters.retain(|_, counter| counter.ends.max(counter.previous_ends) > now);
        }
        let mut look = |charge: &Charge| {
            let counter = counters
                .entry((charge.item.clone(), charge.limit.strategy()))
                .or_default();
            counter.roll(charge, now);
            counter.window(charge, now)
        };
        let mut windows: Vec<Window> = charges.iter().map(&mut look).collect();
        let everything = windows.iter().all(|window| window.allowed);
        for (charge, window) in charges.iter().zip(&mut windows) {
            let counts_refused = charge.limit.strategy() == Strategy::FixedWindow;
            let takes = match mode {
                Mode::Peek => false,
                Mode::HitAll => everything,
                Mode::Hit => window.allowed || counts_refused,
            };
            if takes && let Some(counter) = counters.get_mut(&(charge.item.clone(), charge.limit.strategy()))
            {
                counter.take(charge, now);
                let after = counter.window(charge, now);
                window.remaining = after.remaining;
                window.reset_after = after.reset_after;
                window.retry_after = if window.allowed {
                    Duration::ZERO
                } else {
                    after.reset_after
                };
            }
        }
        Ok(windows)
    }

    async fn reset(&self, charge: &Charge) -> Result<()> {
        let key = (charge.item.clone(), charge.limit.strategy());
        self.counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        Ok(())
    }
}

impl Counter {
    /// Forgets what has passed.
    fn roll(&mut self, charge: &Charge, now: Millis) {
        let window = charge.limit.seconds() * 1000;
        match charge.limit.strategy() {
            Strategy::FixedWindow => {
                if self.ends <= now {
                    *self = Self::default();
                }
            }
            Strategy::MovingWindow => self.times.retain(|time| time + window >= now),
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
        let length = charge.limit.seconds() * 1000;
        match charge.limit.strategy() {
            Strategy::FixedWindow => {
                let allowed = self.count.saturating_add(cost) <= amount;
                answer(
                    allowed,
                    amount.saturating_sub(self.count),
                    self.ends.saturating_sub(now),
                    None,
                )
            }
            Strategy::MovingWindow => {
                let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
                let reset = self.times.first().copied().unwrap_or(now) + length - now;
                let allowed = count.saturating_add(cost) <= amount;
                // The request fits when so many of the oldest have left that its cost finds room.
                let leaving = count
                    .saturating_add(cost)
                    .saturating_sub(amount)
                    .saturating_sub(1);
                let blocking = self.times.get(usize::try_from(leaving).unwrap_or(usize::MAX));
                let retry = blocking
                    .map(|time| time + length - now)
                    .filter(|_| cost <= amount);
                answer(allowed, amount.saturating_sub(count), reset, retry)
            }
            Strategy::SlidingWindowCounter => {
                let previous_left = self.previous_ends.saturating_sub(now);
                let left = self.ends.saturating_sub(now);
                let faded = u64::from(self.previous) * previous_left / length;
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
                answer(allowed, amount.saturating_sub(weighted), reset, None)
            }
        }
    }

    fn take(&mut self, charge: &Charge, now: Millis) {
        let length = charge.limit.seconds() * 1000;
        match charge.limit.strategy() {
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

fn answer(allowed: bool, remaining: u32, reset: Millis, retry: Option<Millis>) -> Window {
    let retry = if allowed { 0 } else { retry.unwrap_or(reset) };
    Window {
        allowed,
        remaining,
        reset_after: Duration::from_millis(reset),
        retry_after: Duration::from_millis(retry),
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
            .with_strategy(Strategy::MovingWindow);
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
            .with_strategy(Strategy::SlidingWindowCounter);
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
}
