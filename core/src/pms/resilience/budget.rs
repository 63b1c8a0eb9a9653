//! The retry budget: in an outage, every further try makes it worse. So tries beyond the first are paid from
//! what successes have saved.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one more try costs, and what a success at the first try saves: one more try for ten successes.
const COST: u32 = 10;
const GAIN: u32 = 1;
/// The most that can be saved: ten more tries at once.
const MOST: u32 = 100;

/// Shared by all callers of one host.
#[derive(Debug)]
pub(super) struct RetryBudget(AtomicU32);

impl RetryBudget {
    pub(super) fn full() -> Self {
        Self(AtomicU32::new(MOST))
    }

    /// Takes the price of one more try. Answers false when there is not enough.
    pub(super) fn take(&self) -> bool {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(COST)
        });
        taken.is_ok()
    }

    /// Saves a little.
    pub(super) fn gain(&self) {
        let more = |left: u32| Some((left + GAIN).min(MOST)).filter(|more| *more != left);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_more_tries_are_paid_at_once_and_then_one_for_ten_successes() {
        let budget = RetryBudget::full();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        for _ in 0..9 {
            budget.gain();
        }
        assert!(!budget.take());
        budget.gain();
        assert!(budget.take());
        for _ in 0..10_000 {
            budget.gain();
        }
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10, "no more is saved");
    }
}
