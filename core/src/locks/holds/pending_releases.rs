//! Holds that were given back and of whose release the server may not have heard yet.
//!
//! A repeated release is guarded by the token, and the same conversation finds its hold again under the same token. So
//! a request for the same nights in this process first ends what is to be ended there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::store::{HoldSlot, ResourceKey};
use crate::sync::lock;

/// The tokens that are to be released, by what they hold.
#[derive(Default)]
pub(super) struct PendingReleases {
    /// As many as there are tokens: a look at it is all that this costs while there are none.
    count: AtomicUsize,
    tokens: Mutex<HashMap<(ResourceKey, HoldSlot), Vec<String>>>,
}

impl PendingReleases {
    /// Says no when it is there already.
    pub(super) fn add(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> bool {
        let mut all = self.tokens();
        let tokens = all.entry((key.clone(), slot.clone())).or_default();
        let is_new = !tokens.iter().any(|known| known == token);
        if is_new {
            tokens.push(token.to_owned());
            self.count.fetch_add(1, Ordering::Release);
        }
        is_new
    }

    pub(super) fn remove(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) {
        let (place, mut all) = ((key.clone(), slot.clone()), self.tokens());
        let Some(tokens) = all.get_mut(&place) else { return };
        let before = tokens.len();
        tokens.retain(|known| known != token);
        self.count.fetch_sub(before - tokens.len(), Ordering::Release);
        if tokens.is_empty() {
            all.remove(&place);
        }
    }

    /// Whether this hold was given back.
    pub(super) fn has(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> bool {
        self.at(key, slot).iter().any(|pending| pending == token)
    }

    pub(super) fn at(&self, key: &ResourceKey, slot: &HoldSlot) -> Vec<String> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let place = (key.clone(), slot.clone());
        self.tokens().get(&place).cloned().unwrap_or_default()
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<(ResourceKey, HoldSlot), Vec<String>>> {
        lock(&self.tokens)
    }
}
