//! The one tokio runtime of a process.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posada::error::codes;
use tokio::runtime::{Builder, Handle, Runtime};

use super::completion_queue::CompletionQueue;
use super::keep_alive::KeepAlive;
use super::open_handles;
use crate::refusal::Refusal;

/// Only threads of the language take this, and none waits inside. Where the language forks, it holds a lock of its own
/// while it calls here and while it forks, so that a child never inherits this locked.
static RUNTIME: Mutex<Option<(Runtime, KeepAlive)>> = Mutex::new(None);

/// Counts the runtimes that are gone: by a fork or at exit.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many worker threads the next runtime gets; zero means that none was chosen.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// More than two workers do not help: they only feed one event loop. On two processors a second one is in the way: it is
/// woken for what the first would have done, beside the loop's own thread and the server.
const DEFAULT_WORKERS: usize = 2;

/// Most worker threads that can be chosen.
pub const MAX_WORKERS: usize = 64;

/// A reference to the runtime of the process that made it. Tasks of a handle run there.
#[derive(Clone)]
pub struct RuntimeHandle {
    handle: Handle,
    keep_alive: KeepAlive,
    generation: u64,
    process: u32,
}

impl RuntimeHandle {
    /// The runtime of this process, made now if there is none.
    ///
    /// # Errors
    /// The system's, when it starts no thread.
    pub fn current() -> io::Result<Self> {
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

    /// The runtime, if it is still this process's.
    ///
    /// # Errors
    /// `posada.closed` after a fork, or when the interpreter is ending.
    pub fn handle(&self) -> Result<&Handle, Refusal> {
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

    /// From now on, what this loop gathers is sent in time even when the loop stands still.
    pub fn watch<T: Send + 'static>(&self, completions: &Arc<CompletionQueue<T>>) {
        self.keep_alive.watch(completions);
    }

    /// A call is in progress: keeps the timer running that spares it a wake-up.
    pub fn keep_alive(&self) {
        self.keep_alive.keep(&self.handle);
    }

    /// Whether the runtime still runs in this process.
    pub fn is_alive(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }
}

/// The error of every call once the runtime has ended with the interpreter.
pub fn ending() -> Refusal {
    Refusal::own(codes::POSADA_CLOSED, "the interpreter is ending".to_owned())
}

/// Forgets the parent's runtime and handles in a forked child: their threads do not exist here. What they hold is
/// leaked, because taking it apart would wait for them.
pub fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    std::mem::forget(place().take());
    open_handles::leak_all();
}

/// Takes the runtime to end it at exit: from now on every handle is closed.
pub fn take_runtime() -> Option<Runtime> {
    let (runtime, _) = place().take()?;
    GENERATION.fetch_add(1, Ordering::Relaxed);
    Some(runtime)
}

/// Chooses the number of worker threads of the next runtime. `false` unless it is 1 to [`MAX_WORKERS`].
pub fn set_workers(workers: usize) -> bool {
    let is_possible = (1..=MAX_WORKERS).contains(&workers);
    if is_possible {
        WORKERS.store(workers, Ordering::Relaxed);
    }
    is_possible
}

/// How many worker threads the runtime has, or will have.
pub fn workers() -> usize {
    match WORKERS.load(Ordering::Relaxed) {
        0 => std::thread::available_parallelism()
            .map_or(1, |processors| processors.get() / 2)
            .clamp(1, DEFAULT_WORKERS),
        workers => workers,
    }
}

fn build() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name("posada")
        .enable_all()
        .build()
}

fn place() -> MutexGuard<'static, Option<(Runtime, KeepAlive)>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::ProcessBound;

    #[test]
    fn what_belongs_to_a_runtime_that_is_gone_is_refused_and_not_dropped() {
        struct Dropped(Arc<AtomicUsize>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let drops = Arc::new(AtomicUsize::new(0));
        let runtime = RuntimeHandle::current().unwrap();
        let bound = ProcessBound::new(Dropped(drops.clone()), runtime.clone());
        assert!(bound.get().is_ok() && runtime.is_alive());
        drop(take_runtime().unwrap());
        assert_eq!(bound.get().err().unwrap().facts().code, "posada.closed");
        drop(bound);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        assert!(
            RuntimeHandle::current().unwrap().is_alive(),
            "the next use makes another"
        );
    }

    #[test]
    fn workers_are_between_one_and_the_most() {
        assert!(!set_workers(0) && !set_workers(MAX_WORKERS + 1));
        assert!((1..=MAX_WORKERS).contains(&workers()));
    }
}
