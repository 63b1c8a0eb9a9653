//! What has come for an event loop, and the bell that calls it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The finished operations of one event loop. Tokio's threads push, the loop's thread takes all at once.
pub(super) struct Inbox {
    finished: Mutex<Vec<u64>>,
    rung: AtomicBool,
    rings: AtomicU64,
    bell: Bell,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            finished: Mutex::new(Vec::new()),
            rung: AtomicBool::new(false),
            rings: AtomicU64::new(0),
            bell: Bell::new()?,
        })
    }

    /// Notes that an operation has finished, and rings unless somebody did since the last look.
    pub(super) fn push(&self, operation: u64) {
        self.finished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(operation);
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.bell.ring();
        }
    }

    /// How often it has rung.
    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }

    /// How many operations have finished since the last look.
    pub(super) fn finished(&self) -> usize {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes what has finished. Whatever is pushed from now on rings again.
    pub(super) fn take(&self) -> Vec<u64> {
        self.bell.silence();
        self.rung.store(false, Ordering::Release);
        std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner))
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

/// A counter of the kernel: one write rings it, one read silences it.
#[cfg(target_os = "linux")]
mod bell {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

    pub(super) struct Bell(OwnedFd);

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
        }

        /// It fails only when it has been rung 2^64 times, and then it is loud enough.
        pub(super) fn ring(&self) {
            let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        }

        /// It fails when it is silent already.
        pub(super) fn silence(&self) {
            let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.0.as_raw_fd()
        }

        pub(super) fn wait(&self, limit: Duration) -> bool {
            let limit = Timespec::try_from(limit).ok();
            let mut watched = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
            // A signal ends the wait early; the caller looks and waits again.
            matches!(poll(&mut watched, limit.as_ref()), Ok(count) if count > 0)
        }
    }
}

/// A pair of sockets: one byte rings it.
#[cfg(all(unix, not(target_os = "linux")))]
mod bell {
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    pub(super) struct Bell {
        rope: UnixStream,
        bell: UnixStream,
    }

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            let (rope, bell) = UnixStream::pair()?;
            rope.set_nonblocking(true)?;
            bell.set_nonblocking(true)?;
            Ok(Self { rope, bell })
        }

        /// It fails only when it was rung many times, and then it is loud enough.
        pub(super) fn ring(&self) {
            let _ = (&self.rope).write(&[1]);
        }

        /// It fails when it is silent already.
        pub(super) fn silence(&self) {
            let mut heard = [0_u8; 64];
            while matches!((&self.bell).read(&mut heard), Ok(count) if count == heard.len()) {}
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.bell.as_raw_fd()
        }

        /// Without `poll` at hand, a look every millisecond.
        pub(super) fn wait(&self, limit: Duration) -> bool {
            std::thread::sleep(limit.min(Duration::from_millis(1)));
            true
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

        pub(super) fn silence(&self) {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }

        pub(super) fn wait(&self, limit: Duration) -> bool {
            let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.heard.wait_timeout_while(rung, limit, |rung| !*rung);
            *waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}
