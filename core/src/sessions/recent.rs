//! What this process has noted in an index lately, so that it is not noted again at every read.

use crate::sync;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A bounded memory of hashes. It may forget, which costs one more note; a collision of two 64-bit hashes hides an
/// entry of an index until its next write.
#[derive(Debug)]
pub(crate) struct Recent {
    limit: usize,
    hashing: foldhash::quality::RandomState,
    noted: Mutex<HashMap<u64, Instant, foldhash::fast::RandomState>>,
}

impl Recent {
    /// A memory of at most `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            hashing: foldhash::quality::RandomState::default(),
            noted: Mutex::default(),
        }
    }

    /// Remembers that the index knows `what` up to a moment.
    pub(crate) fn note(&self, what: &impl Hash, until: Instant, now: Instant) {
        let hash = self.hashing.hash_one(what);
        let mut noted = sync::lock(&self.noted);
        if noted.len() >= self.limit && !noted.contains_key(&hash) {
            noted.retain(|_, until| *until > now);
            if noted.len() >= self.limit {
                noted.clear();
            }
        }
        noted.insert(hash, until);
    }

    /// Whether the index knows `what` up to a moment, give or take `slack`.
    pub(crate) fn covers(&self, what: &impl Hash, until: Instant, slack: Duration) -> bool {
        let hash = self.hashing.hash_one(what);
        let noted = sync::lock(&self.noted);
        noted.get(&hash).is_some_and(|known| *known + slack >= until)
    }

    /// Forgets `what`: it left the index.
    pub(crate) fn forget(&self, what: &impl Hash) {
        let hash = self.hashing.hash_one(what);
        sync::lock(&self.noted).remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_noted_is_covered_up_to_its_end_and_the_slack() {
        let (recent, now) = (Recent::new(10), SystemClock.instant());
        recent.note(&"a", now + 10 * SECOND, now);
        assert!(recent.covers(&"a", now + 10 * SECOND, Duration::ZERO));
        assert!(recent.covers(&"a", now + 11 * SECOND, SECOND));
        assert!(!recent.covers(&"a", now + 12 * SECOND, SECOND));
        recent.forget(&"a");
        assert!(!recent.covers(&"a", now, SECOND));
    }

    #[test]
    fn the_memory_is_bounded_and_the_past_makes_room_first() {
        let (recent, now) = (Recent::new(2), SystemClock.instant());
        recent.note(&"past", now, now);
        recent.note(&"a", now + SECOND, now);
        recent.note(&"b", now + SECOND, now);
        assert!(recent.covers(&"a", now + SECOND, Duration::ZERO));
        recent.note(&"c", now + SECOND, now);
        assert!(recent.noted.lock().unwrap().len() <= 2);
    }
}
