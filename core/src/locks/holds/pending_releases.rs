//! Holds that were given back and of whose release the server may not have heard yet.
//!
//! A repeated release is guarded by the token, and the same conversation finds its hold again under the same token. So
//! whoever asks for the same nights in this process first ends what is to be ended there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::{Ended, HoldSlot, ResourceKey};
use super::{Hold, Holds};
use crate::error::Result;
use crate::locks::model::Release;
use crate::task::Need;

/// The tokens that are to be released, by what they hold.
#[derive(Default)]
pub(super) struct PendingReleases {
    /// As many as there are tokens: a look at it is all that this costs while there are none.
    count: AtomicUsize,
    tokens: Mutex<HashMap<(ResourceKey, HoldSlot), Vec<String>>>,
}

impl PendingReleases {
    /// Says no when it is there already.
    fn add(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> bool {
        let mut all = self.tokens();
        let tokens = all.entry((key.clone(), slot.clone())).or_default();
        let is_new = !tokens.iter().any(|known| known == token);
        if is_new {
            tokens.push(token.to_owned());
            self.count.fetch_add(1, Ordering::Release);
        }
        is_new
    }

    fn remove(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) {
        let (place, mut all) = ((key.clone(), slot.clone()), self.tokens());
        let Some(tokens) = all.get_mut(&place) else { return };
        let before = tokens.len();
        tokens.retain(|known| known != token);
        self.count.fetch_sub(before - tokens.len(), Ordering::Release);
        if tokens.is_empty() {
            all.remove(&place);
        }
    }

    fn at(&self, key: &ResourceKey, slot: &HoldSlot) -> Vec<String> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let place = (key.clone(), slot.clone());
        self.tokens().get(&place).cloned().unwrap_or_default()
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<(ResourceKey, HoldSlot), Vec<String>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a release that goes on in the background releases. It is forgotten when that is done or given up.
struct PendingRelease {
    holds: Holds,
    key: ResourceKey,
    slot: HoldSlot,
    token: String,
}

impl PendingRelease {
    /// Nothing is left to do when somebody else has ended it meanwhile.
    async fn end(&self) -> Result<()> {
        if self.holds.is_pending_release(&self.key, &self.slot, &self.token) {
            self.holds.end(&self.key, &self.slot, &self.token).await?;
        }
        Ok(())
    }
}

impl Drop for PendingRelease {
    fn drop(&mut self) {
        self.holds
            .0
            .pending_releases
            .remove(&self.key, &self.slot, &self.token);
    }
}

/// Goes on with a release in the background, unless it was answered.
struct Unanswered<'a> {
    hold: &'a Hold,
    is_answered: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        // Somebody may just have confirmed it.
        let within = self.hold.remaining() + Hold::MAX_CONFIRMATION;
        let (key, slot, token) = (self.hold.key(), self.hold.slot(), self.hold.token());
        let holds = self.hold.holds();
        holds.release_later(key, slot, token, Need::Sure, within);
    }
}

impl Holds {
    /// Releases a hold, and goes on with that in the background when there is no answer, or the caller goes away.
    pub(super) async fn release(&self, hold: &Hold) -> Result<Release> {
        let mut unanswered = Unanswered {
            hold,
            is_answered: false,
        };
        let outcome = self.end(hold.key(), hold.slot(), hold.token()).await;
        unanswered.is_answered = outcome.is_ok();
        match outcome? {
            Ended::Done(release, _) => Ok(release),
            Ended::NotOwner => Err(super::not_owner(hold)),
        }
    }

    /// Releases in the background whatever this token holds there, and repeats that while it fails.
    pub(super) fn release_later(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        need: Need,
        within: Duration,
    ) {
        if !self.0.pending_releases.add(key, slot, token) {
            return;
        }
        let pending = Arc::new(PendingRelease {
            holds: self.clone(),
            key: key.clone(),
            slot: slot.clone(),
            token: token.to_owned(),
        });
        self.0
            .tasks
            .until_done("the release of a hold", need, within, move || {
                let pending = pending.clone();
                async move { pending.end().await }
            });
    }

    /// Whether a hold was given back.
    pub(super) fn is_pending_release(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> bool {
        self.0
            .pending_releases
            .at(key, slot)
            .iter()
            .any(|pending| pending == token)
    }

    /// Ends what was given back there, before something is made there or asked about it.
    pub(super) async fn end_pending(&self, key: &ResourceKey, slot: &HoldSlot) -> Result<()> {
        for token in self.0.pending_releases.at(key, slot) {
            self.end(key, slot, &token).await?;
            self.0.pending_releases.remove(key, slot, &token);
        }
        Ok(())
    }
}
