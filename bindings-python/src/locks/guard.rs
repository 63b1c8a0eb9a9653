//! A named lock that Python holds.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use posada::error::codes;
use posada::locks::LockGuard;
use pyo3::prelude::*;
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio_util::sync::CancellationToken;

use crate::arguments::Span;
use crate::bridge::{Operation, ProcessBound, RuntimeHandle};
use crate::errors::Refusal;

/// The guard until it is released. Extensions share it, a release takes it.
struct Held {
    guard: RwLock<Option<LockGuard>>,
    /// Cancelled when a release begins, so that a caller that waits for the loss lets the guard go.
    ending: CancellationToken,
}

/// A lock that was granted, on its way to Python.
pub(crate) struct Taken {
    guard: LockGuard,
    name: String,
    runtime: RuntimeHandle,
}

impl Taken {
    pub(super) fn new(guard: LockGuard, name: String, runtime: RuntimeHandle) -> Self {
        Self { guard, name, runtime }
    }
}

/// A lock that is held. When Python drops it, the lock is released in the background.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Guard {
    held: ProcessBound<Arc<Held>>,
    name: String,
    token: String,
    fence: u64,
    first_end: DateTime<Utc>,
}

impl<'py> IntoPyObject<'py> for Taken {
    type Target = Guard;
    type Output = Bound<'py, Guard>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, Guard>> {
        let (token, fence) = (self.guard.token().to_owned(), self.guard.fence());
        let first_end = self.guard.expires_at();
        let held = Held {
            guard: RwLock::new(Some(self.guard)),
            ending: CancellationToken::new(),
        };
        let guard = Guard {
            held: ProcessBound::new(Arc::new(held), self.runtime),
            name: self.name,
            token,
            fence,
            first_end,
        };
        Bound::new(py, guard)
    }
}

/// The error of everything that is asked of a lock after its release.
fn released() -> Refusal {
    let message = "the lock was released by its holder".to_owned();
    posada_bindings::Refusal::Own {
        code: codes::LOCKS_LOST,
        message,
        context: vec![("cause", "released".to_owned())],
    }
    .into()
}

impl Guard {
    /// Looks at the guard without waiting: only a release that is under way keeps it away, and then it is gone.
    fn look<T>(&self, at: impl FnOnce(&LockGuard) -> T) -> Result<Option<T>, Refusal> {
        let held = self.held.get()?;
        Ok(held
            .guard
            .try_read()
            .ok()
            .and_then(|guard| guard.as_ref().map(at)))
    }
}

#[pymethods]
impl Guard {
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    #[getter]
    fn token(&self) -> &str {
        &self.token
    }

    #[getter]
    fn fence(&self) -> u64 {
        self.fence
    }

    #[getter]
    fn expires_at(&self) -> PyResult<DateTime<Utc>> {
        Ok(self.look(LockGuard::expires_at)?.unwrap_or(self.first_end))
    }

    fn remaining(&self) -> PyResult<std::time::Duration> {
        Ok(self.look(LockGuard::remaining)?.unwrap_or_default())
    }

    fn ensure_held(&self) -> PyResult<()> {
        match self.look(LockGuard::ensure_held)? {
            Some(answer) => Ok(answer.map_err(Refusal::from)?),
            None => Err(released().into()),
        }
    }

    /// Answers the cause; `released` when the holder released it.
    fn lost(&self, py: Python<'_>) -> PyResult<Operation> {
        self.held.call(py, async |held: Arc<Held>| {
            let guard = held.guard.read().await;
            let Some(guard) = &*guard else {
                return Ok("released");
            };
            tokio::select! {
                cause = guard.lost() => Ok(cause.as_str()),
                () = held.ending.cancelled() => Ok("released"),
            }
        })
    }

    fn extend(&self, py: Python<'_>, ttl: Span) -> PyResult<Operation> {
        self.held.finish(py, async move |held: Arc<Held>| {
            let guard: RwLockReadGuard<'_, Option<LockGuard>> = held.guard.read().await;
            Ok(guard.as_ref().ok_or_else(released)?.extend(ttl.0).await?)
        })
    }

    /// Answers how the lock ended; `already_released` when it was released before.
    fn release(&self, py: Python<'_>) -> PyResult<Operation> {
        self.held.finish(py, async |held: Arc<Held>| {
            held.ending.cancel();
            let guard = held.guard.write().await.take();
            match guard {
                Some(guard) => Ok(guard.release().await?.as_str()),
                None => Ok(posada::locks::Release::AlreadyReleased.as_str()),
            }
        })
    }
}
