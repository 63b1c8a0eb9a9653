//! What JavaScript holds by a number: locks, stay holds and conversations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use posada::error::codes;
use posada_bindings::Refusal;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::bridge::lock;

/// Things of one kind by their numbers. One call at a time has a thing.
pub(crate) struct Kept<T>(Mutex<HashMap<u32, Arc<AsyncMutex<Option<T>>>>>);

/// Numbers are never used twice, so that a late one names nothing else.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// Keeps a thing until it is forgotten.
    pub(crate) fn keep(&self, thing: T) -> u32 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let thing = Arc::new(AsyncMutex::new(Some(thing)));
        lock(&self.0).insert(number, thing);
        number
    }

    /// The thing, for as long as the guard lives.
    pub(crate) async fn get(&self, number: u32) -> Result<OwnedMutexGuard<Option<T>>, Refusal> {
        let thing = lock(&self.0).get(&number).cloned();
        Ok(thing.ok_or_else(gone)?.lock_owned().await)
    }

    /// The thing without waiting; `None` while a call has it.
    pub(crate) fn now<R>(&self, number: u32, look: impl FnOnce(&T) -> R) -> Option<R> {
        let thing = lock(&self.0).get(&number).cloned()?;
        let guard = thing.try_lock_owned().ok()?;
        guard.as_ref().map(look)
    }

    /// Forgets a thing.
    pub(crate) fn forget(&self, number: u32) {
        let gone = lock(&self.0).remove(&number);
        drop(gone);
    }
}

/// A number that names nothing any more.
pub(crate) fn gone() -> Refusal {
    Refusal::own(
        codes::POSADA_CLOSED,
        "this was released or closed before".to_owned(),
    )
}
