//! What has come for an event loop, and the bell that calls it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::Call;

/// What has come for one event loop. Tokio's threads push, the loop's thread takes all at once.
pub(super) struct Inbox {
    /// The numbers of operations that have finished.
    finished: Mutex<Vec<u64>>,
    /// Calls that the loop's own thread has woken.
    woken: Mutex<Vec<Arc<Call>>>,
    rung: AtomicBool,
    rings: AtomicU64,
    bell: Bell,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            finished: Mutex::default(),
            woken: Mutex::default(),
            rung: AtomicBool::new(false),
            rings: AtomicU64::new(0),
            bell: Bell::new()?,
        })
    }

    /// Notes that an operation has finished, and rings unless somebody did since the last look.
    pub(super) fn push(&self, operation: u64) {
        lock(&self.finished).push(operation);
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.bell.ring();
        }
    }

    /// Has a call go on in this turn or the next. On the loop's thread.
    pub(super) fn wake(&self, call: Arc<Call>) {
        lock(&self.woken).push(call);
        if !self.bell.is_turning() {
            self.bell.ring();
        }
    }

    /// From now on, what this thread polls belongs to the loop, which carries it on by itself or gathers what it asks.
    pub(super) fn enter(&self, by_itself: bool) -> impl Sized {
        self.bell.enter(by_itself)
    }

    /// Whether something waits to be sent.
    pub(super) fn has_gathered(&self) -> bool {
        self.bell.has_gathered()
    }

    /// Sends what was gathered. From any thread.
    pub(super) fn send(&self) {
        self.bell.send();
    }

    /// Whether this thread polls for the loop.
    pub(super) fn is_here(&self) -> bool {
        self.bell.is_here()
    }

    /// Carries on what can be, and takes what has finished. Whatever is pushed from now on rings again.
    pub(super) fn turn(&self) -> Vec<u64> {
        self.bell.turn(|| {
            // The bell is silent now, and what it was rung for is taken below.
            self.rung.store(false, Ordering::Release);
            let woken = std::mem::take(&mut *lock(&self.woken));
            let ended: Vec<u64> = woken.iter().filter_map(Call::step).collect();
            lock(&self.finished).extend(ended);
        });
        if !lock(&self.woken).is_empty() {
            self.bell.ring();
        }
        std::mem::take(&mut *lock(&self.finished))
    }

    /// How often it has rung.
    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }

    /// How many operations have finished since the last look.
    pub(super) fn finished(&self) -> usize {
        lock(&self.finished).len()
    }

    /// The descriptor that is readable after a ring.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> i32 {
        self.bell.descriptor()
    }

    /// Waits for a ring, for event loops that cannot watch a descriptor; says whether there was one.
    pub(super) fn wait(&self, limit: std::time::Duration) -> bool {
        self.bell.wait(limit)
    }
}

use bell::Bell;

/// The lane of the loop, whose descriptor it watches.
#[cfg(unix)]
mod bell {
    use std::io;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use posada::bridge::{InLane, Lane};

    pub(super) struct Bell(Lane);

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            Lane::new().map(Self)
        }

        pub(super) fn ring(&self) {
            self.0.ring();
        }

        pub(super) fn enter(&self, by_itself: bool) -> InLane {
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

        pub(super) fn is_here(&self) -> bool {
            self.0.is_here()
        }

        #[allow(clippy::unused_self, reason = "the other kind needs it")]
        pub(super) fn is_turning(&self) -> bool {
            Lane::is_turning()
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
mod bell {
    use std::io;
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    pub(super) struct Bell {
        rung: Mutex<bool>,
        heard: Condvar,
    }

    impl Bell {
        #[allow(clippy::unnecessary_wraps, reason = "the other kinds can fail")]
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self {
                rung: Mutex::new(false),
                heard: Condvar::new(),
            })
        }

        pub(super) fn ring(&self) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.heard.notify_one();
        }

        /// There is no place of its own.
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
        pub(super) fn is_here(&self) -> bool {
            false
        }

        pub(super) fn is_turning(&self) -> bool {
            false
        }

        /// Silences it and does the work.
        pub(super) fn turn(&self, work: impl FnOnce()) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = false;
            work();
        }

        pub(super) fn wait(&self, limit: Duration) -> bool {
            let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.heard.wait_timeout_while(rung, limit, |rung| !*rung);
            *waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
