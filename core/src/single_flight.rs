//! One piece of work for all who want the same at the same time: the first to come leads, the others wait for what the
//! leader brings.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::sync::lock;

/// The work that is under way, by what it is for. Clones share it.
pub(crate) struct SingleFlight<K, T>(Arc<Mutex<HashMap<K, Follower<T>>>>);

/// The one that does the work. When it is dropped before it completed, those who wait learn that nothing comes.
pub(crate) struct Leader<K: Eq + Hash, T> {
    flights: SingleFlight<K, T>,
    key: K,
    outcome: watch::Sender<Option<T>>,
}

/// One that waits.
pub(crate) struct Follower<T>(watch::Receiver<Option<T>>);

impl<K: Eq + Hash + Clone, T: Clone> SingleFlight<K, T> {
    /// Joins the work for `key`. There is a leader when none is under way: its owner has to do the work.
    pub(crate) fn join(&self, key: &K) -> (Follower<T>, Option<Leader<K, T>>) {
        let mut flights = lock(&self.0);
        if let Some(follower) = flights.get(key) {
            return (follower.clone(), None);
        }
        let (sender, receiver) = watch::channel(None);
        let follower = Follower(receiver);
        flights.insert(key.clone(), follower.clone());
        let leader = Leader {
            flights: self.clone(),
            key: key.clone(),
            outcome: sender,
        };
        (follower, Some(leader))
    }

    /// Takes work off the list: who joins from now on begins it anew, and who waits for it still gets its outcome.
    pub(crate) fn retire(&self, mut is_outdated: impl FnMut(&K) -> bool) {
        lock(&self.0).retain(|key, _| !is_outdated(key));
    }

    /// How many pieces of work are under way.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}

impl<K: Eq + Hash, T> Leader<K, T> {
    /// Gives the outcome to all who wait. Who joins from now on begins anew.
    pub(crate) fn complete(&self, outcome: T) {
        self.outcome.send_replace(Some(outcome));
        self.leave();
    }

    fn leave(&self) {
        let mut flights = lock(&self.flights.0);
        // After `retire` another leader may have the place.
        let ours = self.outcome.subscribe();
        if flights
            .get(&self.key)
            .is_some_and(|follower| follower.0.same_channel(&ours))
        {
            flights.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, T> Drop for Leader<K, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T: Clone> Follower<T> {
    /// Waits for the outcome; `None` when the leader went away without one. Cancel-safe.
    pub(crate) async fn outcome(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K, T> Clone for SingleFlight<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Follower<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_first_leads_and_all_get_what_it_brings() {
        let flights = SingleFlight::<&str, u32>::default();
        let (first, leader) = flights.join(&"a");
        let (second, follower) = flights.join(&"a");
        assert!(follower.is_none());
        let mut second = Box::pin(second.outcome());
        assert!(second.as_mut().now_or_never().is_none());
        leader.unwrap().complete(7);
        assert_eq!(
            (first.outcome().now_or_never(), second.now_or_never()),
            (Some(Some(7)), Some(Some(7)))
        );
    }

    #[test]
    fn different_keys_do_not_wait_for_each_other_and_nothing_is_left_afterwards() {
        let flights = SingleFlight::<&str, u32>::default();
        let (one, other) = (flights.join(&"a").1, flights.join(&"b").1);
        assert!(one.is_some() && other.is_some());
        assert_eq!(flights.len(), 2);
        drop((one, other));
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn after_the_outcome_the_next_leads_although_the_leader_is_still_there() {
        let flights = SingleFlight::<&str, u32>::default();
        let leader = flights.join(&"a").1.unwrap();
        leader.complete(7);
        let (waiting, next) = flights.join(&"a");
        drop(leader);
        assert_eq!(flights.len(), 1);
        next.unwrap().complete(8);
        assert_eq!(waiting.outcome().now_or_never(), Some(Some(8)));
    }

    #[test]
    fn a_leader_that_goes_away_leaves_nobody_waiting_and_the_next_leads() {
        let flights = SingleFlight::<&str, u32>::default();
        let (waiting, leader) = flights.join(&"a");
        drop(leader);
        assert_eq!(waiting.outcome().now_or_never(), Some(None));
        assert!(flights.join(&"a").1.is_some());
    }

    #[test]
    fn who_joins_after_a_change_does_not_get_what_was_begun_before() {
        let flights = SingleFlight::<&str, u32>::default();
        let (before, old) = flights.join(&"a");
        flights.retire(|key| *key == "a");
        let (after, new) = flights.join(&"a");
        old.unwrap().complete(1);
        assert_eq!(flights.len(), 1, "the old leader took the new one off the list");
        new.unwrap().complete(2);
        assert_eq!(
            (before.outcome().now_or_never(), after.outcome().now_or_never()),
            (Some(Some(1)), Some(Some(2)))
        );
    }
}
