//! The port: counters that are taken from in one step.

use std::time::Duration;

use async_trait::async_trait;

use super::MOST_BYTES;
use super::model::{Decision, RateLimit};
use crate::error::{Error, Result, codes};
use crate::text;

/// One limit and whose quota it is.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) limit: RateLimit,
    /// The key of `limits` without its prefix: `LIMITER/…/30/1/minute`.
    pub(crate) item: String,
    pub(crate) cost: u32,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes from one limit as `limits` does: a refused request counts in a fixed window.
    Hit,
    /// Takes from every limit if all allow it.
    HitAll,
    /// Takes nothing.
    Peek,
}

/// The state of one limit after the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) allowed: bool,
    pub(crate) remaining: u32,
    pub(crate) reset_after: Duration,
    pub(crate) retry_after: Duration,
}

/// Where the counters live.
#[async_trait]
pub(crate) trait LimitStore: Send + Sync {
    /// Takes or looks, in one indivisible step, and answers one window per charge.
    async fn take(&self, mode: Mode, charges: &[Charge]) -> Result<Vec<Window>>;

    /// Forgets what was counted.
    async fn reset(&self, charge: &Charge) -> Result<()>;
}

impl Charge {
    pub(crate) fn new(limit: &RateLimit, identifiers: &[&str], cost: u32) -> Result<Self> {
        let invalid =
            |message: String| Error::field_invalid(codes::LIMITS_INVALID_IDENTIFIER, "identifiers", message);
        if cost == 0 {
            return Err(Error::field_invalid(
                codes::LIMITS_INVALID,
                "cost",
                "must be at least 1",
            ));
        }
        if identifiers.is_empty() {
            return Err(invalid("must name whose quota it is".to_owned()));
        }
        for identifier in identifiers {
            text::check(identifier, MOST_BYTES).map_err(|fault| invalid(fault.to_string()))?;
        }
        let item = format!(
            "LIMITER/{}/{}/{}/{}",
            identifiers.join("/"),
            limit.amount,
            limit.multiples,
            limit.granularity.name()
        );
        text::check(&item, MOST_BYTES).map_err(|fault| invalid(fault.to_string()))?;
        Ok(Self {
            limit: *limit,
            item,
            cost,
        })
    }

    /// The part of the limit that one of several processes may use.
    pub(crate) fn share(&self, processes: u32) -> Self {
        let mut share = self.clone();
        // A limit of zero refuses everything, in every process.
        share.limit.amount = (self.limit.amount / processes.max(1)).max(self.limit.amount.min(1));
        share
    }
}

impl Window {
    pub(crate) fn decision(&self, limit: u32, degraded: bool) -> Decision {
        Decision {
            allowed: self.allowed,
            limit,
            remaining: self.remaining,
            reset_after: self.reset_after,
            retry_after: self.retry_after,
            degraded,
        }
    }
}
