//! Time as a parameter: [`SystemClock`] in programs, [`ManualClock`] in tests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Where a component reads the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock, in UTC. It may jump; use it for what people and other machines see.
    fn now(&self) -> DateTime<Utc>;

    /// The monotonic clock. Use it for ages, deadlines and leases.
    fn instant(&self) -> Instant;

    /// Monotonic milliseconds since some fixed moment of this process, a few milliseconds coarse and cheaper to
    /// read than [`instant`](Clock::instant): for ages on paths that run on every request.
    fn coarse_millis(&self) -> u64;
}

/// A clock that many components share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The system clock, ready to share.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the machine's clocks"
)]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    #[cfg(target_os = "linux")]
    fn coarse_millis(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
    }

    #[cfg(not(target_os = "linux"))]
    fn coarse_millis(&self) -> u64 {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves only when it is told to. Clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    epoch: DateTime<Utc>,
    start: Instant,
    elapsed_millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at this moment.
    pub fn at(epoch: DateTime<Utc>) -> Self {
        Self {
            epoch,
            start: SystemClock.instant(),
            elapsed_millis: Arc::default(),
        }
    }

    /// Moves the clock forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// This clock, ready to share; the original still moves it.
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.epoch + chrono::Duration::milliseconds(i64::try_from(self.coarse_millis()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.coarse_millis())
    }

    fn coarse_millis(&self) -> u64 {
        self.elapsed_millis.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_all_its_faces_together() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let (before, instant) = (clock.now(), clock.instant());
        clock.advance(Duration::from_millis(1500));
        assert_eq!((clock.now() - before).num_milliseconds(), 1500);
        assert_eq!(clock.instant() - instant, Duration::from_millis(1500));
        assert_eq!(clock.coarse_millis(), 1500);
    }
}
