//! Giving holds back, and going on with that in the background.

use std::sync::Arc;
use std::time::Duration;

use super::engine::HoldEngine;
use super::owned::OwnedHold;
use super::store::{Ended, HoldSlot, ResourceKey};
use crate::error::Result;
use crate::locks::model::Release;
use crate::task::Need;

/// Releases a hold, and goes on with that in the background, at most `within`, when there is no answer or the caller
/// goes away.
pub(super) async fn now(
    holds: &HoldEngine,
    hold: &OwnedHold,
    within: impl Fn() -> Duration,
) -> Result<Release> {
    let mut unanswered = Unanswered {
        holds,
        hold,
        within,
        is_answered: false,
    };
    let outcome = holds.end(&hold.key, &hold.slot, &hold.token).await;
    unanswered.is_answered = outcome.is_ok();
    match outcome? {
        Ended::Done(release, _) => Ok(release),
        Ended::NotOwner => Err(hold.not_owner()),
    }
}

/// Releases in the background whatever this token holds there, and repeats that while it fails.
pub(super) fn later(
    holds: &HoldEngine,
    key: &ResourceKey,
    slot: &HoldSlot,
    token: &str,
    need: Need,
    within: Duration,
) {
    if !holds.pending_releases().add(key, slot, token) {
        return;
    }
    let pending = Arc::new(PendingRelease {
        holds: holds.clone(),
        key: key.clone(),
        slot: slot.clone(),
        token: token.to_owned(),
    });
    holds
        .tasks()
        .until_done("the release of a hold", need, within, move || {
            let pending = pending.clone();
            async move { pending.end().await }
        });
}

/// What a release that goes on in the background releases. It is forgotten when that is done or given up.
struct PendingRelease {
    holds: HoldEngine,
    key: ResourceKey,
    slot: HoldSlot,
    token: String,
}

impl PendingRelease {
    /// Nothing is left to do when a later request for the same nights has ended it meanwhile.
    async fn end(&self) -> Result<()> {
        if self
            .holds
            .pending_releases()
            .has(&self.key, &self.slot, &self.token)
        {
            self.holds.end(&self.key, &self.slot, &self.token).await?;
        }
        Ok(())
    }
}

impl Drop for PendingRelease {
    fn drop(&mut self) {
        self.holds
            .pending_releases()
            .remove(&self.key, &self.slot, &self.token);
    }
}

/// Goes on with a release in the background, unless it was answered.
struct Unanswered<'a, W: Fn() -> Duration> {
    holds: &'a HoldEngine,
    hold: &'a OwnedHold,
    within: W,
    is_answered: bool,
}

impl<W: Fn() -> Duration> Drop for Unanswered<'_, W> {
    fn drop(&mut self) {
        if !self.is_answered {
            let OwnedHold { key, slot, token, .. } = self.hold;
            later(self.holds, key, slot, token, Need::Sure, (self.within)());
        }
    }
}
