//! Locks of the standard library without their poison.
//!
//! A mutex is poisoned when a thread panics while it holds it. What this crate keeps behind one is whole after every
//! statement, so that a panic elsewhere is no reason to refuse everything from then on.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, also after a panic of another thread that held it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
