//! The rate cap: at most a number of requests a second to one host, evenly after a first burst of a second's worth.
//!
//! The generic cell rate algorithm on one number. It takes its time from our clock; the crates that have it do not.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// The pace of one host.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time between two requests.
    step: Duration,
    burst: Duration,
    /// When the next request would be due if all came evenly; in the past when there is room for a burst.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most `per_second` requests a second.
    pub(super) fn new(per_second: u32) -> Self {
        let burst = Duration::from_secs(1);
        Self {
            step: burst / per_second.max(1),
            burst,
            due: Mutex::new(None),
        }
    }

    /// Takes the next place, and says how long to wait for it.
    pub(super) fn take(&self, now: Instant) -> Duration {
        let mut due = lock(&self.due);
        let place = due.map_or(now, |due| due.max(now));
        *due = Some(place + self.step);
        (place + self.step).saturating_duration_since(now + self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn a_second_s_worth_passes_at_once_and_the_rest_evenly() {
        let (pace, now) = (Pace::new(10), SystemClock.instant());
        let waits: Vec<_> = (0..13).map(|_| pace.take(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 300]);
        let later = now + Duration::from_millis(1300);
        assert_eq!(pace.take(later).as_millis(), 0, "time makes room");
    }
}
