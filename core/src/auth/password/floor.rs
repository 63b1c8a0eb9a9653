//! How long every refusal takes at least.
//!
//! Users of the app have bcrypt hashes, which take several times as long as the dummy work for an unknown name: time
//! would tell who they are. So while there are such hashes, every refusal is held back as long as the slowest of them
//! took lately; the first sign-in of a process tries the costliest that is stored. The wait is off the pool, so it
//! costs no core.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Microseconds; zero until a hash that takes longer is met.
#[derive(Debug, Default)]
pub(crate) struct Floor(AtomicU64);

impl Floor {
    /// A refusal never waits longer, whatever a busy machine measured.
    const HIGHEST: Duration = Duration::from_secs(2);

    /// A verification of a hash unlike those of today took that long. The floor rises at once and sinks slowly.
    pub(crate) fn learn(&self, took: Duration) {
        let took = u64::try_from(took.min(Self::HIGHEST).as_micros()).unwrap_or(u64::MAX);
        let _always_some = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |floor| {
                Some(took.max(floor - floor / 16))
            });
    }

    /// How long a refusal still waits after work that took that long.
    pub(crate) fn left_after(&self, took: Duration) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed)).saturating_sub(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn without_bcrypt_nothing_waits_and_with_it_everything_ends_at_the_same_time() {
        let floor = Floor::default();
        assert_eq!(floor.left_after(MILLI), Duration::ZERO);
        floor.learn(MILLI * 250);
        assert_eq!(floor.left_after(MILLI * 35), MILLI * 215);
        assert_eq!(floor.left_after(MILLI * 250), Duration::ZERO);
    }

    #[test]
    fn the_floor_sinks_slowly_and_has_a_ceiling() {
        let floor = Floor::default();
        floor.learn(Duration::from_mins(1));
        assert_eq!(floor.left_after(Duration::ZERO), Floor::HIGHEST);
        for _ in 0..200 {
            floor.learn(MILLI * 200);
        }
        assert_eq!(floor.left_after(Duration::ZERO), MILLI * 200);
    }
}
