//! The locks that this process holds, by their tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::guard::Held;

/// The locks of the guards that are alive.
#[derive(Default)]
pub(super) struct Holding(Mutex<HashMap<String, Weak<Held>>>);

impl Holding {
    pub(super) fn add(&self, held: &Arc<Held>) {
        self.held().insert(held.token.clone(), Arc::downgrade(held));
    }

    pub(super) fn remove(&self, token: &str) {
        self.held().remove(token);
    }

    /// Those of these tokens, parted by commas.
    pub(super) fn find(&self, tokens: &str) -> Vec<Arc<Held>> {
        let held = self.held();
        tokens
            .split(',')
            .filter_map(|token| held.get(token)?.upgrade())
            .collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Weak<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
