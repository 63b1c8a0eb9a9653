//! The expiring map behind every in-memory adapter.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::clock::SharedClock;
use crate::sync;

/// A map whose entries may have a time to live, like the keys of a Redis server. One lock: an
/// [`update`](Self::update) is as indivisible as a script.
#[derive(Debug)]
pub(crate) struct ExpiringMap<K, V> {
    clock: SharedClock,
    entries: Mutex<HashMap<K, Entry<V>>>,
    /// From when the entries may be counted again, by the coarse clock.
    count_again: AtomicU64,
}

/// The shortest time between two counts of the live entries, in milliseconds: a count looks at all of them.
const BETWEEN_COUNTS: u64 = 1000;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires: Option<Instant>,
}

/// What an update leaves behind.
pub(crate) enum Change<V> {
    /// The entry, or its absence, stays as it was, time to live included.
    Keep,
    /// This value, with this time to live (or none).
    Put(V, Option<Duration>),
    /// No entry.
    Remove,
}

impl<K: Eq + Hash + Clone, V: Clone> ExpiringMap<K, V> {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            entries: Mutex::default(),
            count_again: AtomicU64::new(0),
        }
    }

    /// The live value.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let now = self.clock.instant();
        self.lock()
            .get(key)
            .filter(|entry| entry.is_live(now))
            .map(|entry| entry.value.clone())
    }

    /// The time that the live value has left; `None` when there is none or it never expires.
    pub(crate) fn time_to_live<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        let now = self.clock.instant();
        self.lock()
            .get(key)?
            .expires?
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Removes the entry; returns the value that was live.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let now = self.clock.instant();
        self.lock()
            .remove(key)
            .filter(|entry| entry.is_live(now))
            .map(|entry| entry.value)
    }

    /// Looks at the live value and decides, in one indivisible step.
    pub(crate) fn update<R>(&self, key: K, decide: impl FnOnce(Option<&V>) -> (Change<V>, R)) -> R {
        let now = self.clock.instant();
        let mut entries = self.lock();
        let live = entries.get(&key).filter(|entry| entry.is_live(now));
        let (change, answer) = decide(live.map(|entry| &entry.value));
        match change {
            Change::Keep => {}
            Change::Remove => {
                entries.remove(&key);
            }
            Change::Put(value, ttl) => {
                let expires = ttl.and_then(|ttl| now.checked_add(ttl));
                entries.insert(key, Entry { value, expires });
            }
        }
        answer
    }

    /// All live entries. Also drops the dead ones.
    pub(crate) fn entries(&self) -> Vec<(K, V)> {
        let now = self.clock.instant();
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.is_live(now));
        entries
            .iter()
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect()
    }

    /// Whether there are more live entries than that. Drops the dead ones only when it must count, at most once a
    /// second; in between, the answer may be a yes that is a second old.
    pub(crate) fn is_beyond(&self, most: usize) -> bool {
        let (now, millis) = (self.clock.instant(), self.clock.coarse_millis());
        let mut entries = self.lock();
        if entries.len() > most && millis >= self.count_again.load(Ordering::Relaxed) {
            entries.retain(|_, entry| entry.is_live(now));
            self.count_again.store(millis + BETWEEN_COUNTS, Ordering::Relaxed);
        }
        entries.len() > most
    }

    /// Keeps only the live entries that `keep` accepts; returns how many live ones were removed.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> usize {
        let now = self.clock.instant();
        let mut removed = 0;
        self.lock().retain(|key, entry| {
            let live = entry.is_live(now);
            let stays = live && keep(key, &entry.value);
            removed += usize::from(live && !stays);
            stays
        });
        removed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        sync::lock(&self.entries)
    }
}

impl<V> Entry<V> {
    fn is_live(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::ManualClock;

    const SECOND: Duration = Duration::from_secs(1);

    impl ExpiringMap<&'static str, u32> {
        fn insert(&self, key: &'static str, value: u32, ttl: Option<Duration>) {
            self.update(key, |_| (Change::Put(value, ttl), ()));
        }
    }

    fn map() -> (ManualClock, ExpiringMap<&'static str, u32>) {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let map = ExpiringMap::new(clock.shared());
        (clock, map)
    }

    #[test]
    fn an_entry_is_gone_when_its_time_to_live_has_passed() {
        let (clock, map) = map();
        map.insert("a", 1, Some(SECOND));
        clock.advance(SECOND / 2);
        assert_eq!((map.get("a"), map.time_to_live("a")), (Some(1), Some(SECOND / 2)));
        clock.advance(SECOND / 2);
        assert_eq!((map.get("a"), map.time_to_live("a")), (None, None));
        assert!(map.entries().is_empty());
    }

    #[test]
    fn an_update_sees_no_dead_value() {
        let (clock, map) = map();
        map.insert("a", 1, Some(SECOND));
        assert!(map.update("a", |old| (Change::Keep, old == Some(&1))));
        clock.advance(SECOND);
        assert!(map.update("a", |old| (Change::Keep, old.is_none())));
    }

    #[test]
    fn retain_counts_what_it_removed() {
        let (clock, map) = map();
        map.insert("dead", 0, Some(SECOND));
        clock.advance(SECOND);
        map.insert("a", 1, None);
        map.insert("b", 2, None);
        assert_eq!(map.retain(|_, value| *value == 2), 1);
        assert_eq!(map.remove("b"), Some(2));
    }

    #[test]
    fn the_live_entries_are_counted_at_most_once_a_second() {
        let (clock, map) = map();
        map.insert("a", 1, None);
        map.insert("b", 2, Some(SECOND / 2));
        assert!(map.is_beyond(1));
        clock.advance(SECOND / 2);
        assert!(map.is_beyond(1), "the count is half a second old");
        clock.advance(SECOND / 2);
        assert!(!map.is_beyond(1));
    }
}
