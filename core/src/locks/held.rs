//! The locks that this process holds, by their tokens, and what the index of held locks knows of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::engine::LockEngine;
use super::guard::HeldLock;

/// How often the index learns of locks that have been held for as long. Short ones never get there, so that listing
/// costs the hot path nothing.
const PERIOD: Duration = Duration::from_secs(1);

/// The locks of the guards that are alive.
#[derive(Default)]
pub(super) struct HeldLocks(Mutex<HashMap<String, Entry>>);

struct Entry {
    held: Weak<HeldLock>,
    /// Until when the index says that it is held.
    noted: Option<Instant>,
}

impl HeldLocks {
    pub(super) fn add(&self, held: &Arc<HeldLock>) {
        let entry = Entry {
            held: Arc::downgrade(held),
            noted: None,
        };
        self.held().insert(held.token.clone(), entry);
    }

    pub(super) fn remove(&self, token: &str) {
        self.held().remove(token);
    }

    /// Those of these tokens, parted by commas.
    pub(super) fn find(&self, tokens: &str) -> Vec<Arc<HeldLock>> {
        let held = self.held();
        tokens
            .split(',')
            .filter_map(|token| held.get(token)?.held.upgrade())
            .collect()
    }

    /// What the index should learn now: locks that have been held for `least` and that it does not know, or believes
    /// to end soon although they do not.
    pub(super) fn to_note(&self, now: Instant, least: Duration) -> Vec<Arc<HeldLock>> {
        let mut all = self.held();
        let entries = all.values_mut();
        entries
            .filter_map(|entry| {
                let held = entry.held.upgrade()?;
                let end = now + held.remaining();
                let known = entry
                    .noted
                    .is_some_and(|noted| noted >= end || noted > now + PERIOD * 2);
                if known || now.saturating_duration_since(held.granted) < least {
                    return None;
                }
                entry.noted = Some(end);
                Some(held)
            })
            .collect()
    }

    /// The index did not learn of these; the next time it shall.
    pub(super) fn not_noted(&self, held: &[Arc<HeldLock>]) {
        let mut all = self.held();
        for held in held {
            if let Some(entry) = all.get_mut(&held.token) {
                entry.noted = None;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes held locks in the index for ever.
pub(super) async fn keep_noting(engine: &LockEngine) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if let Err(error) = engine.note_held(PERIOD).await {
            tracing::debug!(%error, "the index of held locks could not be written; the next second will");
        }
    }
}
