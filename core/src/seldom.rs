//! Warnings that every call of an outage would repeat: the log has one in ten seconds, and how many there were.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{Clock as _, SystemClock};

/// How long one warning stands for all that follow, in milliseconds.
const PAUSE: u64 = 10_000;

/// When a warning was last given, and how many were held back since. One `static` for each warning.
pub(crate) struct Seldom {
    /// The next moment at which it may be given.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether the warning is to be given now, and how many were held back before it.
    pub(crate) fn turn(&self) -> Option<u64> {
        self.turn_at(SystemClock.coarse_millis())
    }

    fn turn_at(&self, now: u64) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let is_first = now >= next
            && self
                .next
                .compare_exchange(next, now + PAUSE, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            Some(self.held_back.swap(0, Ordering::Relaxed))
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_warnings_are_one_and_the_next_says_how_many_there_were() {
        let seldom = Seldom::new();
        let given: Vec<u64> = (0..1000).filter_map(|at| seldom.turn_at(at)).collect();
        assert_eq!(given, [0]);
        assert_eq!(seldom.turn_at(PAUSE - 1), None);
        assert_eq!(seldom.turn_at(PAUSE), Some(1000));
        assert_eq!(seldom.turn_at(PAUSE * 3), Some(0));
    }
}
