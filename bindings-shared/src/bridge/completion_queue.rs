//! The calls of an event loop that have ended, and the waker that tells the loop.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posada::bridge::{Call, EventLoop};

/// The calls of one event loop that have ended. Tokio's threads push, the loop's thread takes all at once.
pub struct CompletionQueue<T> {
    /// The numbers of operations that have finished.
    finished: Mutex<Vec<u64>>,
    /// Calls that the loop's own thread has woken.
    woken: Mutex<Vec<Arc<Call<T>>>>,
    is_woken: AtomicBool,
    wakeups: AtomicU64,
    waker: LoopWaker,
}

impl<T: Send + 'static> CompletionQueue<T> {
    /// A queue of a loop that has made no call.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            finished: Mutex::default(),
            woken: Mutex::default(),
            is_woken: AtomicBool::new(false),
            wakeups: AtomicU64::new(0),
            waker: LoopWaker::new()?,
        })
    }

    /// From now on, what this thread polls belongs to the loop, which drives it by itself or gathers what it asks.
    pub fn enter(&self, by_itself: bool) -> impl Sized {
        self.waker.enter(by_itself)
    }

    /// Whether something waits to be sent.
    pub fn has_gathered(&self) -> bool {
        self.waker.has_gathered()
    }

    /// Sends what was gathered. From any thread.
    pub fn send(&self) {
        self.waker.send();
    }

    /// Drives what can be driven, and takes what has finished. What is pushed from now on wakes the loop again.
    pub fn turn(&self) -> Vec<u64> {
        self.waker.turn(|| {
            // Before the numbers are taken: one that is pushed in between wakes the loop once in vain. The other way
            // round, it would wake nothing and wait for the next call.
            self.is_woken.store(false, Ordering::Release);
            let woken = std::mem::take(&mut *lock(&self.woken));
            let ended: Vec<u64> = woken.iter().filter_map(Call::step).collect();
            lock(&self.finished).extend(ended);
        });
        if !lock(&self.woken).is_empty() {
            self.waker.wake();
        }
        std::mem::take(&mut *lock(&self.finished))
    }

    /// How often the loop was woken.
    pub fn wakeups(&self) -> u64 {
        self.wakeups.load(Ordering::Relaxed)
    }

    /// How many operations have finished since the last look.
    pub fn finished(&self) -> usize {
        lock(&self.finished).len()
    }

    /// The descriptor that is readable when the loop is to take a turn.
    #[cfg(unix)]
    pub fn descriptor(&self) -> i32 {
        self.waker.descriptor()
    }

    /// Waits until the loop is to take a turn, for loops that cannot watch a descriptor; `false` at the limit.
    pub fn wait(&self, limit: std::time::Duration) -> bool {
        self.waker.wait(limit)
    }
}

impl<T: Send + 'static> EventLoop<T> for CompletionQueue<T> {
    fn is_entered(&self) -> bool {
        self.waker.is_entered()
    }

    fn schedule(&self, call: Arc<Call<T>>) {
        lock(&self.woken).push(call);
        if !self.waker.is_in_turn() {
            self.waker.wake();
        }
    }

    fn ended(&self, number: u64) {
        lock(&self.finished).push(number);
        // One wake-up for all that ends until the loop's next turn: a wake-up is a system call, and a loop that is busy
        // would find one per call.
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.wakeups.fetch_add(1, Ordering::Relaxed);
            self.waker.wake();
        }
    }
}

use waker::LoopWaker;

/// The connections of the loop, which watches their descriptor.
#[cfg(unix)]
mod waker {
    use std::io;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use posada::bridge::{EnterGuard, LoopConnections};

    pub(super) struct LoopWaker(LoopConnections);

    impl LoopWaker {
        pub(super) fn new() -> io::Result<Self> {
            LoopConnections::new().map(Self)
        }

        pub(super) fn wake(&self) {
            self.0.wake();
        }

        pub(super) fn enter(&self, by_itself: bool) -> EnterGuard {
            if by_itself {
                self.0.enter()
            } else {
                self.0.gather()
            }
        }

        pub(super) fn has_gathered(&self) -> bool {
            self.0.has_gathered()
        }

        pub(super) fn send(&self) {
            self.0.send();
        }

        pub(super) fn is_entered(&self) -> bool {
            self.0.is_entered()
        }

        #[allow(clippy::unused_self, reason = "the other kind needs it")]
        pub(super) fn is_in_turn(&self) -> bool {
            LoopConnections::is_in_turn()
        }

        pub(super) fn turn(&self, work: impl FnOnce()) {
            self.0.turn(work);
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.0.as_raw_fd()
        }

        pub(super) fn wait(&self, limit: Duration) -> bool {
            self.0.wait(limit)
        }
    }
}

/// A condition variable, where event loops do not watch descriptors.
#[cfg(not(unix))]
mod waker {
    use std::io;
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    pub(super) struct LoopWaker {
        is_woken: Mutex<bool>,
        woken: Condvar,
    }

    impl LoopWaker {
        #[allow(clippy::unnecessary_wraps, reason = "the other kinds can fail")]
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                is_woken: Mutex::new(false),
                woken: Condvar::new(),
            })
        }

        pub(super) fn wake(&self) {
            *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.woken.notify_one();
        }

        /// The loop has no connections of its own.
        pub(super) fn enter(&self, _: bool) {}

        /// Nothing is gathered.
        #[allow(clippy::unused_self, reason = "the other kind needs it")]
        pub(super) fn has_gathered(&self) -> bool {
            false
        }

        /// So there is nothing to send.
        #[allow(clippy::unused_self, reason = "the other kind needs it")]
        pub(super) fn send(&self) {}

        /// Nothing is woken on the loop's thread.
        pub(super) fn is_entered(&self) -> bool {
            false
        }

        pub(super) fn is_in_turn(&self) -> bool {
            false
        }

        /// Takes the wake and does the work.
        pub(super) fn turn(&self, work: impl FnOnce()) {
            *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = false;
            work();
        }

        pub(super) fn wait(&self, limit: Duration) -> bool {
            let is_woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self
                .woken
                .wait_timeout_while(is_woken, limit, |is_woken| !*is_woken);
            *waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
