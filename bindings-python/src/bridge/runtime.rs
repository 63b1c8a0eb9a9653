//! The runtime of the process, as Python's package and its hooks of `os.register_at_fork` and `atexit` see it.

use std::time::Duration;

use posada::error::codes;
use posada_bindings::bridge::{self, MAX_WORKERS};
use pyo3::prelude::*;

use crate::arguments::{Given, whole};
use crate::errors::Refusal;

/// Forgets the parent's runtime in a forked child.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked() {
    bridge::forked();
}

/// Ends the runtime at exit. Waits at most `seconds` for work in progress.
#[pyfunction]
#[pyo3(name = "_shutdown")]
pub(crate) fn shutdown(py: Python<'_>, seconds: f64) {
    let Some(runtime) = bridge::take_runtime() else {
        return;
    };
    let deadline = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| {
        bridge::close_all(&runtime, deadline);
        runtime.shutdown_timeout(deadline);
    });
}

/// Chooses the number of worker threads of the runtime, 1 to 64, before its first use.
///
/// By default one for two processors, at most two: they only feed event loops.
#[pyfunction]
pub(crate) fn set_workers(workers: Given<'_, '_>) -> PyResult<()> {
    let workers = whole("workers", workers)?;
    if bridge::set_workers(workers) {
        return Ok(());
    }
    let message = format!("workers: expected 1 to {MAX_WORKERS}, not {workers}");
    Err(Refusal::invalid(codes::POSADA_INVALID_ARGUMENT, "workers", message).into())
}

/// How many worker threads the runtime has, or will have.
#[pyfunction]
pub(crate) fn workers() -> usize {
    bridge::workers()
}
