//! Time as a parameter: [`SystemClock`] in programs, [`ManualClock`] in tests.
//!
//! What we rely on ends while the machine sleeps, too: a lock, an answer that may be so old, the proof that a session is
//! alive. So the monotonic clock counts sleep where the system has such a clock: on Linux, Android and macOS. (On Windows
//! the usual one does.) Timers count no sleep, so what must be noticed in time looks at the clock again and again.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use std::time::Duration;
//! use posada::clock::ManualClock;
//! use posada::{Posada, TenantId};
//!
//! let clock = ManualClock::at("2027-03-10T09:00:00Z".parse().expect("a moment"));
//! let posada = Posada::builder().clock(clock.shared()).build()?;
//! let hotel = TenantId::parse("hotel-test")?;
//! posada.sessions().get_or_create(&hotel, "5491187654321", "whatsapp").await?;
//! clock.advance(Duration::from_mins(30)); // the life of a conversation
//! assert!(posada.sessions().get(&hotel, "5491187654321").await?.is_none());
//! # posada.close().await
//! # }
//! ```

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// Where a component reads the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock, in UTC. It may jump; use it for what people and other machines see.
    fn now(&self) -> DateTime<Utc>;

    /// The monotonic clock. It goes on while the machine sleeps. Use it for ages, deadlines and leases.
    fn instant(&self) -> Instant;

    /// Monotonic milliseconds since some fixed moment, those of sleep included, a few milliseconds coarse and cheaper to
    /// read than [`instant`](Clock::instant): for ages on paths that run on every request.
    fn coarse_millis(&self) -> u64;
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time to live in milliseconds, at least one: Redis refuses a life of zero.
pub(crate) fn life_millis(ttl: Duration) -> u64 {
    millis(ttl).max(1)
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
        // An `Instant` cannot be made of the time of another clock, so it is counted from one that was read.
        static START: OnceLock<(Instant, Duration)> = OnceLock::new();
        let Some(now) = sleepless::now() else {
            return Instant::now();
        };
        let (start, then) = START.get_or_init(|| (Instant::now(), now));
        *start + now.saturating_sub(*then)
    }

    #[cfg(target_os = "linux")]
    fn coarse_millis(&self) -> u64 {
        let awake = sleepless::coarse(rustix::time::ClockId::MonotonicCoarse);
        awake + sleepless::slept(awake)
    }

    #[cfg(not(target_os = "linux"))]
    fn coarse_millis(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = self.instant();
        let start = START.get_or_init(|| now);
        millis(now.saturating_duration_since(*start))
    }
}

/// The longest that a timer runs before the clock is asked again, where a sleep of the machine must not be missed.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The time that has passed, sleep included.
mod sleepless {
    use std::time::Duration;
    #[cfg(target_os = "linux")]
    use std::{sync::atomic::AtomicU64, sync::atomic::Ordering};

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn duration(time: rustix::time::Timespec) -> Duration {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn now() -> Option<Duration> {
        use rustix::time::{DynamicClockId, clock_gettime_dynamic};
        // Unknown to a kernel of before 2011, and perhaps to what only looks like a kernel.
        clock_gettime_dynamic(DynamicClockId::Boottime).ok().map(duration)
    }

    /// Apple's `CLOCK_MONOTONIC`, unlike the clock of an `Instant` there, counts sleep.
    #[cfg(target_vendor = "apple")]
    #[allow(clippy::unnecessary_wraps, reason = "the other kinds can fail")]
    pub(super) fn now() -> Option<Duration> {
        Some(duration(rustix::time::clock_gettime(
            rustix::time::ClockId::Monotonic,
        )))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    pub(super) fn now() -> Option<Duration> {
        None
    }

    #[cfg(target_os = "linux")]
    pub(super) fn coarse(clock: rustix::time::ClockId) -> u64 {
        super::millis(duration(rustix::time::clock_gettime(clock)))
    }

    /// How long the machine has slept, give or take a tenth of a second. There is no coarse clock that counts it. But a
    /// sleep moves the wall clock away from the monotonic one, and only then is the exact clock read.
    #[cfg(target_os = "linux")]
    pub(super) fn slept(awake: u64) -> u64 {
        use rustix::time::ClockId;
        static APART: AtomicU64 = AtomicU64::new(0);
        static SLEPT: AtomicU64 = AtomicU64::new(0);
        let apart = coarse(ClockId::RealtimeCoarse).wrapping_sub(awake);
        if apart.abs_diff(APART.load(Ordering::Relaxed)) > 100 {
            let exactly_awake = duration(rustix::time::clock_gettime(ClockId::Monotonic));
            let slept = now().unwrap_or_default().saturating_sub(exactly_awake);
            SLEPT.fetch_max(super::millis(slept), Ordering::Relaxed);
            APART.store(apart, Ordering::Relaxed);
        }
        SLEPT.load(Ordering::Relaxed)
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
        self.elapsed_millis.fetch_add(millis(by), Ordering::SeqCst);
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
    #[cfg(target_os = "linux")]
    fn the_clock_of_the_machine_counts_its_sleep() {
        use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};
        let total =
            |time: rustix::time::Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        // The kernel's words: since the start of the machine, with and without its sleep.
        let with = total(clock_gettime_dynamic(DynamicClockId::Boottime).unwrap());
        let without = total(clock_gettime(ClockId::Monotonic));
        let slept = u64::try_from((with - without).max(0) / 1_000_000).unwrap();
        let coarse = SystemClock.coarse_millis();
        let awake = u64::try_from(total(clock_gettime(ClockId::Monotonic)) / 1_000_000).unwrap();
        assert!(coarse <= awake + slept + 200, "{coarse} {awake} {slept}");
        assert!(
            coarse + 1000 > awake.saturating_sub(1000) + slept,
            "{coarse} {awake} {slept}"
        );
        let (first, second) = (SystemClock.instant(), SystemClock.instant());
        assert!(first <= second);
    }

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
