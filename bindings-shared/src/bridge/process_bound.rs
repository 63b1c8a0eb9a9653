//! Values that belong to the process that made them.

use posada::error::codes;

use super::runtime::RuntimeHandle;
use crate::refusal::Refusal;

/// A value of the crate that belongs to the process which made it.
///
/// In a forked child it is neither used nor taken apart: its threads, sockets and locks are the parent's.
pub struct ProcessBound<T> {
    value: Option<T>,
    runtime: RuntimeHandle,
}

impl<T> ProcessBound<T> {
    /// Keeps a value that was made in this runtime.
    pub fn new(value: T, runtime: RuntimeHandle) -> Self {
        Self {
            value: Some(value),
            runtime,
        }
    }

    /// The value, if this is still its process.
    ///
    /// # Errors
    /// `posada.closed` otherwise.
    pub fn get(&self) -> Result<&T, Refusal> {
        self.runtime.handle()?;
        self.value
            .as_ref()
            .ok_or_else(|| Refusal::own(codes::POSADA_CLOSED, "this handle was closed".to_owned()))
    }

    /// The runtime that it was made in.
    pub fn runtime(&self) -> &RuntimeHandle {
        &self.runtime
    }
}

impl<T> Drop for ProcessBound<T> {
    fn drop(&mut self) {
        // Dropping it in a forked child would wait for threads that are not there, and close sockets of the parent.
        if !self.runtime.is_alive() {
            std::mem::forget(self.value.take());
        }
    }
}
