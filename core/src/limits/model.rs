//! A rate limit and the answer to a check.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Error, Result, Retry, codes};
use crate::text::Shown;

/// A number of requests in a time, by one of three strategies. Made by [`RateLimit::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    pub(super) amount: u32,
    pub(super) multiples: u32,
    pub(super) granularity: Granularity,
    pub(super) strategy: Strategy,
}

/// The unit of a limit's window, with the lengths that `limits` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Granularity {
    /// 1 second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
    /// 30 days.
    Month,
    /// 360 days.
    Year,
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// A counter that begins with the first request and starts again when the window has passed. Refused requests
    /// count too. Twice the amount may pass around the end of a window. slowapi's default.
    #[default]
    FixedWindow,
    /// The time of every request: exact, and costs memory in proportion to the amount.
    MovingWindow,
    /// Two counters, the older of which fades: close to exact in constant memory.
    SlidingWindowCounter,
}

/// What happens to requests while Redis is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailurePolicy {
    /// Everything is allowed.
    Open,
    /// The check fails with `redis.*`.
    Closed,
    /// This process enforces its share of the limit, in memory: the amount divided by the number of processes, at
    /// least one.
    LocalShare {
        /// How many processes share the limit.
        processes: NonZeroU32,
    },
}

impl Default for FailurePolicy {
    /// The whole limit in this process alone.
    fn default() -> Self {
        Self::LocalShare {
            processes: NonZeroU32::MIN,
        }
    }
}

/// The answer to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// The limit's amount.
    pub limit: u32,
    /// Requests that are left in the window.
    pub remaining: u32,
    /// Time until the window gives something back: the whole quota in a fixed window, the oldest request otherwise.
    pub reset_after: Duration,
    /// Time after which the refused request may be repeated: never zero then, and the whole window for a request that
    /// costs more than the limit's amount. Zero if it was allowed.
    pub retry_after: Duration,
    /// Whether Redis was down and the failure policy decided.
    pub degraded: bool,
}

impl Decision {
    /// The decision as a result.
    ///
    /// # Errors
    /// `limits.exceeded` with the time to wait.
    pub fn into_result(self) -> Result<Self> {
        if self.allowed {
            return Ok(self);
        }
        Err(Error::new(codes::LIMITS_EXCEEDED, "too many requests")
            .with("limit", self.limit)
            .with("retry_after_seconds", self.retry_after.as_secs_f64().ceil())
            .retry_when(Retry::After(self.retry_after)))
    }
}

impl RateLimit {
    /// How many requests.
    pub fn amount(&self) -> u32 {
        self.amount
    }

    /// In how much time.
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    /// How they are counted.
    pub fn get_strategy(&self) -> Strategy {
        self.strategy
    }

    /// Counts it in another way; [`FixedWindow`](Strategy::FixedWindow) unless this is called.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    pub(super) fn seconds(&self) -> u64 {
        u64::from(self.multiples) * self.granularity.seconds()
    }

    /// The decision of [`FailurePolicy::Open`].
    pub(super) fn untouched(&self) -> Decision {
        Decision {
            allowed: true,
            limit: self.amount,
            remaining: self.amount,
            reset_after: Duration::ZERO,
            retry_after: Duration::ZERO,
            degraded: true,
        }
    }
}

impl fmt::Display for RateLimit {
    /// As slowapi's message says it: `30 per 1 minute`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} per {} {}",
            self.amount,
            self.multiples,
            self.granularity.name()
        )
    }
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::FixedWindow, Self::MovingWindow, Self::SlidingWindowCounter];

    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed_window",
            Self::MovingWindow => "moving_window",
            Self::SlidingWindowCounter => "sliding_window_counter",
        }
    }

    /// Reads a strategy.
    ///
    /// # Errors
    /// `limits.invalid` (field `strategy`) when none has that name.
    pub fn parse(name: &str) -> Result<Self> {
        let mut known = Self::ALL.into_iter();
        known.find(|strategy| strategy.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let message = format_args!("must be one of {names}, is {}", Shown(name));
            Error::field_invalid(codes::LIMITS_INVALID, "strategy", message)
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Granularity {
    pub(super) const ALL: [Self; 6] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Year,
    ];

    /// The name in keys and limit strings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The length in seconds.
    pub fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => DAY,
            Self::Month => 30 * DAY,
            Self::Year => 360 * DAY,
        }
    }
}
