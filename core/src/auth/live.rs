//! What this process knows of sessions: for how long each state may be believed, and which have ended.
//!
//! An ended session stays ended here: nothing that was read before the end can bring it back.

use std::sync::Arc;

use papaya::Operation;

use super::model::ClaimsSource;
use super::store::SessionState;
use crate::error::{Error, Result};
use crate::single_flight::SingleFlight;

/// Most sessions that are remembered.
const MOST: usize = 50_000;

/// One session, as this process knows it. Times are coarse milliseconds of the clock.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) state: Arc<SessionState>,
    /// The marks of its password, one for each key, because each costs as much as a signature.
    pub(super) marks: Arc<[String]>,
    pub(super) source: ClaimsSource,
    pub(super) read_at: u64,
    pub(super) until: u64,
}

#[derive(Default)]
pub(super) struct LiveSessions {
    known: papaya::HashMap<String, Known>,
    /// Look-ups that any number of callers wait for.
    flights: SingleFlight<String, std::result::Result<Option<Known>, Arc<Error>>>,
}

impl LiveSessions {
    /// What is known and may still be believed.
    pub(super) fn get(&self, id: &str, now: u64) -> Option<Known> {
        let known = self.known.pin();
        known.get(id).filter(|known| now < known.until).cloned()
    }

    /// Remembers a state, unless the session has ended; answers what holds now.
    pub(super) fn put(&self, id: &str, new: &Known, now: u64) -> Known {
        let known = self.known.pin();
        if known.len() >= MOST {
            known.retain(|_, old| now < old.until);
            // The next walk is at least half a table away, so that a full one does not walk with every session.
            if known.len() > MOST / 2 {
                // Sessions that end here again are found ended in the store.
                known.clear();
            }
        }
        let outcome = known.compute(id.to_owned(), |old| match old {
            Some((_, old)) if old.state.is_revoked && now < old.until => Operation::Abort(old.clone()),
            _ => Operation::Insert(new.clone()),
        });
        match outcome {
            papaya::Compute::Aborted(ended) => ended,
            _ => new.clone(),
        }
    }

    /// Forgets what is known of the living sessions of a user: the next call asks for them. Looks at every entry, so it
    /// is for what is rare.
    pub(super) fn forget_user(&self, user: &str) {
        let known = self.known.pin();
        known.retain(|_, old| old.state.is_revoked || old.state.user != user);
    }

    /// How many sessions are remembered, and how many look-ups are under way.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.known.pin().len(), self.flights.len())
    }

    /// One look-up for all who ask at the same time. It runs in the caller who began it; when that one goes away, one of
    /// those who wait looks itself.
    pub(super) async fn once(
        &self,
        id: &str,
        look: impl Future<Output = Result<Option<Known>>>,
    ) -> Result<Option<Known>> {
        let id = id.to_owned();
        let outcome = loop {
            let (follower, leader) = self.flights.join(&id);
            if let Some(leader) = leader {
                let outcome = look.await.map_err(Arc::new);
                leader.complete(outcome.clone());
                break outcome;
            }
            if let Some(outcome) = follower.outcome().await {
                break outcome;
            }
        };
        outcome.map_err(|error| error.repeat())
    }
}
