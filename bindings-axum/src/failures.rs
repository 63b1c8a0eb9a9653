//! The log of what failed: one line of each code in ten seconds, which says how many there were before it.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use posada::clock::{SharedClock, SystemClock};

const QUIET_FOR_MILLIS: u64 = 10_000;

pub(crate) struct Failures {
    clock: SharedClock,
    said: Mutex<BTreeMap<&'static str, Said>>,
}

/// When a code was said last, and how often it was not since.
struct Said {
    at: u64,
    unsaid: u64,
}

/// The one log of the process.
pub(crate) fn shared() -> &'static Failures {
    static SHARED: LazyLock<Failures> = LazyLock::new(|| Failures::new(SystemClock::shared()));
    &SHARED
}

impl Failures {
    fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            said: Mutex::default(),
        }
    }

    /// Whether to say this code now, and how many of it were not said before.
    pub(crate) fn note(&self, code: &'static str) -> Option<u64> {
        let now = self.clock.coarse_millis();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = said.get_mut(code) else {
            said.insert(code, Said { at: now, unsaid: 0 });
            return Some(0);
        };
        if now.saturating_sub(last.at) < QUIET_FOR_MILLIS {
            last.unsaid += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use posada::clock::ManualClock;

    use super::*;

    #[test]
    fn an_outage_is_a_line_in_ten_seconds_for_each_code() {
        let clock = ManualClock::at("2027-03-10T09:00:00Z".parse().unwrap());
        let failures = Failures::new(clock.shared());
        assert_eq!(failures.note("redis.timeout"), Some(0));
        assert_eq!(failures.note("redis.timeout"), None);
        assert_eq!(failures.note("postgres.timeout"), Some(0));
        clock.advance(Duration::from_secs(9));
        assert_eq!(failures.note("redis.timeout"), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(failures.note("redis.timeout"), Some(2));
        assert_eq!(failures.note("redis.timeout"), None);
    }
}
