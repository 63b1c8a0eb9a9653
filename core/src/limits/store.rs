//! The port: counters that are taken from in one step.

use std::time::Duration;

use async_trait::async_trait;

use super::MOST_BYTES;
use super::model::{Decision, RateLimit, Strategy};
use crate::error::{Error, Result, codes};
use crate::scope::Scope;
use crate::text;

/// The most that one request may cost in a moving window.
const MOST_ENTRIES: u32 = 10_000;

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
    pub(crate) fn new(scope: &Scope, limit: &RateLimit, identifiers: &[&str], cost: u32) -> Result<Self> {
        let invalid =
            |message: String| Error::field_invalid(codes::LIMITS_INVALID_IDENTIFIER, "identifiers", message);
        if cost == 0 {
            return Err(Error::field_invalid(
                codes::LIMITS_INVALID,
                "cost",
                "must be at least 1",
            ));
        }
        // There every unit is an entry of its own.
        if limit.strategy == Strategy::MovingWindow && cost > MOST_ENTRIES {
            let message = format!("must be at most {MOST_ENTRIES} in a moving window");
            return Err(Error::field_invalid(codes::LIMITS_INVALID, "cost", message));
        }
        if identifiers.is_empty() {
            return Err(invalid("must name whose quota it is".to_owned()));
        }
        for identifier in identifiers {
            text::check(identifier, MOST_BYTES).map_err(|fault| invalid(fault.to_string()))?;
        }
        let item = format!(
            "LIMITER/{}{}/{}/{}/{}",
            owner(scope),
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

/// What a scope puts before the identifiers. Without a scope nothing: such keys are shared with the package `limits`.
fn owner(scope: &Scope) -> String {
    let tenant = scope.key_part();
    tenant.map_or_else(String::new, |tenant| format!("tenant:{tenant}/"))
}

impl Window {
    pub(crate) fn decision(&self, charge: &Charge, degraded: bool) -> Decision {
        let is_impossible = charge.cost > charge.limit.amount;
        Decision {
            allowed: self.allowed,
            limit: charge.limit.amount,
            remaining: self.remaining,
            reset_after: self.reset_after,
            retry_after: match self.retry_after {
                _ if self.allowed => Duration::ZERO,
                // No time is long enough; callers who wait at all should not come back at once.
                _ if is_impossible => charge.limit.window(),
                // A counter that ends within this millisecond.
                retry => retry.max(Duration::from_millis(1)),
            },
            degraded,
        }
    }
}
