//! What this process knows of the writes through posada, and how it notices that a store went back in time.
//!
//! A Redis that restarts from an older snapshot, or an older replica that is promoted, answers with what was true
//! before, and no field of a hash says so. Two things do. The version counts the writes and never falls by itself. And
//! the log keeps the ids of the last writes: the last one that we know of must be among them, which also holds against
//! a store that went back and was written to since, so that its version has caught up.

use std::collections::{HashSet, VecDeque};

use super::store::{LOG, RawFlags, Written};
use super::view::FlagKey;

/// The writes that this process knows of.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    version: u64,
    /// The ids of the last writes, the newest first.
    ids: VecDeque<String>,
}

impl History {
    /// What a load found.
    pub(super) fn of(raw: &RawFlags) -> Self {
        Self {
            version: raw.version,
            ids: raw.log.iter().map(|write| write.id.clone()).collect(),
        }
    }

    /// What an earlier process knew.
    pub(super) fn at(version: u64, ids: Vec<String>) -> Self {
        Self {
            version,
            ids: ids.into(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The ids of the last writes, the newest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.iter()
    }

    /// Adds a write of this process.
    pub(super) fn note(&mut self, written: &Written) {
        self.version = self.version.max(written.version);
        if !self.ids.contains(&written.id) {
            self.ids.push_front(written.id.clone());
            self.ids.truncate(LOG);
        }
    }

    /// Whether a store that answers this is older than what we know.
    pub(super) fn is_newer_than(&self, raw: &RawFlags) -> bool {
        let Some(since) = raw.version.checked_sub(self.version) else {
            return true;
        };
        // Behind that many writes the log has forgotten ours.
        let is_kept = since < LOG as u64 / 2;
        let is_there = |id: &String| raw.log.iter().any(|write| write.id == *id);
        is_kept && self.ids.front().is_some_and(|newest| !is_there(newest))
    }

    /// How many writes the version counts since.
    pub(super) fn writes_until(&self, raw: &RawFlags) -> u64 {
        raw.version.saturating_sub(self.version)
    }

    /// The flags that were written since what we know and the store have in common. When that is so long ago that
    /// neither side can tell, nothing is said of a store that went back.
    pub(super) fn keys_until(&self, raw: &RawFlags) -> HashSet<FlagKey> {
        let new = raw.log.iter().take_while(|write| !self.ids.contains(&write.id));
        let places: HashSet<FlagKey> = new
            .clone()
            .map(|write| (write.tenant.clone(), write.flag.as_str().into()))
            .collect();
        if new.count() == raw.log.len() && self.is_newer_than(raw) {
            HashSet::new()
        } else {
            places
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::LoggedWrite;
    use super::*;

    fn raw(version: u64, ids: &[&str]) -> RawFlags {
        let log = ids.iter().map(|id| LoggedWrite {
            id: (*id).to_owned(),
            tenant: None,
            flag: format!("flag-of-{id}"),
        });
        RawFlags {
            version,
            log: log.collect(),
            ..RawFlags::default()
        }
    }

    #[test]
    fn a_version_that_fell_and_a_write_that_is_missing_say_that_the_store_is_older() {
        let known = History::of(&raw(3, &["c", "b", "a"]));
        assert!(!known.is_newer_than(&raw(3, &["c", "b", "a"])));
        assert!(!known.is_newer_than(&raw(4, &["d", "c", "b", "a"])));
        assert!(known.is_newer_than(&raw(2, &["b", "a"])));
        assert!(known.is_newer_than(&raw(0, &[])));
        assert!(known.is_newer_than(&raw(3, &["x", "b", "a"])), "it has caught up");
        assert!(known.is_newer_than(&raw(5, &["z", "y", "x", "b", "a"])));
    }

    #[test]
    fn a_store_that_is_far_ahead_or_was_never_written_through_posada_is_not_older() {
        let known = History::of(&raw(3, &["c", "b", "a"]));
        assert!(!known.is_newer_than(&raw(3 + LOG as u64, &["z"])));
        assert!(!History::default().is_newer_than(&raw(0, &[])));
        assert!(!History::default().is_newer_than(&raw(7, &["z"])));
    }

    #[test]
    fn the_flags_that_were_written_since_are_those_of_the_unknown_writes() {
        let known = History::of(&raw(2, &["b", "a"]));
        let since = known.keys_until(&raw(4, &["d", "c", "b", "a"]));
        let wanted = [(None, "flag-of-c".into()), (None, "flag-of-d".into())];
        assert_eq!(since, HashSet::from(wanted));
        let known = History::of(&raw(4, &["d", "c", "b", "a"]));
        let forked = known.keys_until(&raw(3, &["x", "b", "a"]));
        assert_eq!(forked, HashSet::from([(None, "flag-of-x".into())]));
    }

    #[test]
    fn old_writes_that_were_forgotten_here_are_not_taken_for_new_ones() {
        let known = History::at(900, vec!["z".to_owned()]);
        assert!(known.keys_until(&raw(4, &["d", "c", "b", "a"])).is_empty());
        assert_eq!(known.keys_until(&raw(1900, &["y", "x"])).len(), 2);
    }

    #[test]
    fn a_write_of_our_own_is_known_before_a_load_shows_it() {
        let mut known = History::of(&raw(2, &["b", "a"]));
        known.note(&Written {
            was_set: false,
            version: 3,
            id: "c".to_owned(),
        });
        assert!(known.is_newer_than(&raw(2, &["b", "a"])));
        assert!(!known.is_newer_than(&raw(3, &["c", "b", "a"])));
    }
}
