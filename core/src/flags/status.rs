//! How fresh the flags are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// How fresh the flags are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagStatus {
    /// Whether flags were loaded, from Redis or from the snapshot file. Before that, code defaults speak.
    pub ready: bool,
    /// Whether Redis fails, lost flags, or was not heard of for three polls.
    pub stale: bool,
    /// How long ago Redis last confirmed the values.
    pub age: Option<Duration>,
    /// How many flags are kept although Redis lost them.
    pub lost: usize,
}

/// Not loaded yet.
const NEVER: u64 = u64::MAX;

/// What the loads of the past say about the present. Read by every evaluation, so it has no lock; the parts may
/// be a load apart for a moment, which changes a reason and never a value.
#[derive(Debug)]
pub(super) struct Health {
    /// The coarse clock at the last confirmation.
    confirmed: AtomicU64,
    /// How much older the values are than that, when they come from a file.
    earlier: AtomicU64,
    failing: AtomicBool,
    lost: AtomicU64,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            confirmed: NEVER.into(),
            earlier: 0.into(),
            failing: false.into(),
            lost: 0.into(),
        }
    }

    /// Redis answered; `lost` fields of the last good view are missing there.
    pub(super) fn confirm(&self, clock: &dyn Clock, lost: usize) {
        self.lost.store(lost as u64, Ordering::Relaxed);
        self.earlier.store(0, Ordering::Relaxed);
        self.confirmed.store(clock.coarse_millis(), Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
    }

    /// Values were found in a file; Redis confirmed them `age` ago and not since.
    pub(super) fn restore(&self, clock: &dyn Clock, age: Duration) {
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX / 2);
        self.earlier.store(millis, Ordering::Relaxed);
        self.confirmed.store(clock.coarse_millis(), Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
    }

    /// Redis did not answer.
    pub(super) fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed) != NEVER
    }

    /// `poll` is the longest time between two loads.
    pub(super) fn status(&self, clock: &dyn Clock, poll: Duration) -> FlagStatus {
        let confirmed = self.confirmed.load(Ordering::Relaxed);
        let ready = confirmed != NEVER;
        let age = ready.then(|| {
            let since = clock.coarse_millis().saturating_sub(confirmed);
            Duration::from_millis(since.saturating_add(self.earlier.load(Ordering::Relaxed)))
        });
        let lost = usize::try_from(self.lost.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        FlagStatus {
            ready,
            stale: ready && (self.is_failing() || lost > 0 || age.is_some_and(|age| age > poll * 3)),
            age,
            lost,
        }
    }
}
