//! The one tokio runtime of a process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posada::error::codes;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use super::keep_alive::KeepAlive;
use super::loop_bridge::LoopBridge;
use crate::arguments::{Given, whole};
use crate::errors::Refusal;

/// Only Python threads take this, while they hold the interpreter's lock, and none waits inside. A fork by Python
/// holds the interpreter's lock too, so the child never inherits it locked.
static RUNTIME: Mutex<Option<(Runtime, KeepAlive)>> = Mutex::new(None);

/// Counts the runtimes that are gone: by a fork or at exit.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many worker threads the next runtime gets; zero means that none was chosen.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// More than two workers do not help: they only feed one event loop. On two processors a second one is in the way: it is
/// woken for what the first would have done, beside the loop's own thread and the server.
const DEFAULT_WORKERS: usize = 2;

const MOST_WORKERS: usize = 64;

/// Where the tasks of a handle run: the runtime of the process that made it.
#[derive(Clone)]
pub(crate) struct Home {
    handle: Handle,
    keep_alive: KeepAlive,
    generation: u64,
    process: u32,
}

impl Home {
    /// The runtime of this process, made now if there is none.
    pub(crate) fn current() -> PyResult<Self> {
        let mut place = place();
        let (runtime, keep_alive) = match &mut *place {
            Some(made) => made,
            empty => empty.insert((build()?, KeepAlive::default())),
        };
        Ok(Self {
            handle: runtime.handle().clone(),
            keep_alive: keep_alive.clone(),
            generation: GENERATION.load(Ordering::Relaxed),
            process: std::process::id(),
        })
    }

    /// The runtime, if the handle still belongs to it.
    ///
    /// # Errors
    /// `posada.closed` after a fork, or when the interpreter is ending.
    pub(crate) fn handle(&self) -> Result<&Handle, Refusal> {
        if self.is_alive() {
            return Ok(&self.handle);
        }
        let (mine, now) = (self.process, std::process::id());
        Err(if mine == now {
            ending()
        } else {
            Refusal::own(
                codes::POSADA_CLOSED,
                format!(
                    "this handle was opened in process {mine}, before the fork of process {now}; its threads and \
                     connections stayed there: open a new one after the fork"
                ),
            )
        })
    }

    /// The bridge of the running event loop, kept alive from now on.
    pub(super) fn loop_bridge(&self, running: &Bound<'_, PyAny>) -> PyResult<Py<LoopBridge>> {
        let loop_bridge = LoopBridge::current(running)?;
        self.keep_alive.watch(loop_bridge.get().completions());
        Ok(loop_bridge)
    }

    /// Says that a call is on its way.
    pub(super) fn keep_alive(&self) {
        self.keep_alive.keep(&self.handle);
    }

    /// Whether the runtime still runs in this process.
    pub(crate) fn is_alive(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }
}

/// The error of every call once the runtime has ended with the interpreter.
pub(super) fn ending() -> Refusal {
    Refusal::own(codes::POSADA_CLOSED, "the interpreter is ending".to_owned())
}

/// Forgets the parent's runtime in a forked child: its threads do not exist here. What it holds is leaked, because
/// taking it apart would wait for them.
#[pyfunction]
#[pyo3(name = "_forked")]
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    std::mem::forget(place().take());
    crate::open::forget_all();
}

/// Ends the runtime at exit. Waits at most `seconds` for work that is on its way.
#[pyfunction]
#[pyo3(name = "_shutdown")]
pub(crate) fn shutdown(py: Python<'_>, seconds: f64) {
    let Some((runtime, _)) = place().take() else {
        return;
    };
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let deadline = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| {
        crate::open::close_all(&runtime, deadline);
        runtime.shutdown_timeout(deadline);
    });
}

/// Chooses the number of worker threads of the runtime, 1 to 64, before its first use.
///
/// By default one for two processors, at most two: they only feed event loops.
#[pyfunction]
pub(crate) fn set_workers(workers: Given<'_, '_>) -> PyResult<()> {
    let workers = whole("workers", workers)?;
    if !(1..=MOST_WORKERS).contains(&workers) {
        let message = format!("workers: expected 1 to {MOST_WORKERS}, not {workers}");
        let refusal = Refusal::invalid(codes::POSADA_INVALID_ARGUMENT, "workers", message);
        return Err(refusal.into());
    }
    WORKERS.store(workers, Ordering::Relaxed);
    Ok(())
}

/// How many worker threads the runtime has, or will have.
#[pyfunction]
pub(crate) fn workers() -> usize {
    match WORKERS.load(Ordering::Relaxed) {
        0 => std::thread::available_parallelism()
            .map_or(1, |processors| processors.get() / 2)
            .clamp(1, DEFAULT_WORKERS),
        workers => workers,
    }
}

fn build() -> PyResult<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name("posada")
        .enable_all()
        .build()?)
}

fn place() -> MutexGuard<'static, Option<(Runtime, KeepAlive)>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}
