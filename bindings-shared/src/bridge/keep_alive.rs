//! A timer that is always due soon, for as long as calls are made.
//!
//! Setting a timer that is due before all others wakes the thread that watches the sockets, only to let it wait again
//! until then. Nearly every call would do that with its deadline, and is answered long before. Beside a timer that is
//! due sooner than any deadline, setting one costs no wake-up.
//!
//! It also sends what event loops have gathered and do not send, because they stand still.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::completion_queue::CompletionQueue;

/// What a loop gathers, whatever its calls end with.
trait Gathered: Send + Sync {
    fn send(&self);
}

impl<T: Send + 'static> Gathered for CompletionQueue<T> {
    fn send(&self) {
        CompletionQueue::send(self);
    }
}

/// Sooner than deadlines are.
const INTERVAL: Duration = Duration::from_millis(100);
/// After this many intervals without a call it stops, and a process that does nothing sleeps.
const INTERVALS: u32 = 10;

/// The timer of a runtime. Clones are one.
#[derive(Clone, Default)]
pub(super) struct KeepAlive(Arc<Inner>);

#[derive(Default)]
struct Inner {
    intervals_left: AtomicU32,
    queues: Mutex<Vec<Weak<dyn Gathered>>>,
}

impl KeepAlive {
    /// Keeps it running for another while.
    pub(super) fn keep(&self, runtime: &Handle) {
        // It runs, or is just about to stop and sees the new number: `fetch_sub` decides which.
        if self.0.intervals_left.swap(INTERVALS, Ordering::Relaxed) > 0 {
            return;
        }
        let inner = self.0.clone();
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the bridge, and it belongs to the runtime"
        )]
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                inner.send();
                if inner.intervals_left.fetch_sub(1, Ordering::Relaxed) <= 1 {
                    return;
                }
            }
        });
    }

    /// From now on, in every interval, also sends what this event loop has gathered.
    pub(super) fn watch<T: Send + 'static>(&self, completions: &Arc<CompletionQueue<T>>) {
        let mut queues = self.0.queues();
        queues.retain(|known| known.strong_count() > 0);
        let completions: Arc<dyn Gathered> = completions.clone();
        let completions = Arc::downgrade(&completions);
        if !queues.iter().any(|known| known.ptr_eq(&completions)) {
            queues.push(completions);
        }
    }
}

impl Inner {
    fn send(&self) {
        let queues: Vec<_> = self.queues().iter().filter_map(Weak::upgrade).collect();
        for completions in queues {
            completions.send();
        }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Weak<dyn Gathered>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
