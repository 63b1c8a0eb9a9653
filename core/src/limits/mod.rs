//! Rate limits, byte-compatible with the Python package `limits` on Redis.
//!
//! A program on posada and the Python app (slowapi on `limits` 5) may count on the same keys at the same time: keys,
//! values and times to live are the same, so both see one quota. Promises:
//! * One check is one round trip and one indivisible step; [`check_many`](RateLimiter::check_many) takes from all
//!   its limits or from none.
//! * A key that lost its time to live, which would deny for ever, is mended by the next check.
//! * When Redis is down, or refuses to work, the [`FailurePolicy`] decides, within the deadline, and the answer says
//!   so.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use posada::Posada;
//! use posada::limits::RateLimit;
//! let posada = Posada::embedded();
//! let limit = RateLimit::parse("2/minute")?;
//! let who = ["203.0.113.9", "/api/reservations"];
//! assert!(posada.limits().check(&limit, &who).await?.allowed);
//! assert!(posada.limits().check(&limit, &who).await?.allowed);
//! let refused = posada.limits().check(&limit, &who).await?;
//! assert!(!refused.allowed && refused.retry_after <= std::time::Duration::from_secs(60));
//! # Ok::<(), posada::Error>(()) }).unwrap();
//! ```

mod memory;
mod model;
mod parse;
mod redis;
mod store;

use std::sync::Arc;

pub use model::{Decision, FailurePolicy, Granularity, RateLimit, Strategy};

pub(crate) use memory::MemoryLimits;
pub(crate) use redis::RedisLimits;
pub(crate) use store::LimitStore;
use store::{Charge, Mode, Window};

use crate::clock::SharedClock;
use crate::error::{Error, Kind, Result, codes};
use crate::scope::Scope;

/// Most limits that one check may combine.
const MOST_LIMITS: usize = 16;
/// Longest identifiers of one check, in bytes, all together.
const MOST_BYTES: usize = 2048;

/// Decides whether one more request is allowed. Cloning is cheap.
#[derive(Clone)]
pub struct RateLimiter {
    store: Arc<dyn LimitStore>,
    /// Counts while the store is down, under [`FailurePolicy::LocalShare`].
    local: Arc<MemoryLimits>,
    policy: FailurePolicy,
    scope: Scope,
}

impl RateLimiter {
    pub(crate) fn new(store: Arc<dyn LimitStore>, clock: SharedClock) -> Self {
        let policy = FailurePolicy::default();
        Self {
            store,
            local: Arc::new(MemoryLimits::new(clock)),
            policy,
            scope: Scope::default(),
        }
    }

    /// The same limiter, with quotas of one tenant.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            ..self.clone()
        }
    }

    /// What happens while Redis is down; [`FailurePolicy::default`] unless this is called. Other clones keep theirs.
    #[must_use]
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Takes one request from the quota of these identifiers (such as an address and a path).
    ///
    /// As in `limits`, a refused request still counts in a fixed window. Dropping the future may leave the request
    /// counted.
    ///
    /// # Errors
    /// `limits.invalid_identifier`; `redis.*` only under [`FailurePolicy::Closed`].
    pub async fn check(&self, limit: &RateLimit, identifiers: &[&str]) -> Result<Decision> {
        self.check_cost(limit, identifiers, 1).await
    }

    /// As [`check`](Self::check), for a request that costs more than one.
    ///
    /// # Errors
    /// As [`check`](Self::check), and `limits.invalid` (field `cost`) for a cost of zero, or above 10,000 in a moving
    /// window.
    pub async fn check_cost(&self, limit: &RateLimit, identifiers: &[&str], cost: u32) -> Result<Decision> {
        let charge = Charge::new(&self.scope, limit, identifiers, cost)?;
        first(self.ask(Mode::Hit, std::slice::from_ref(&charge)).await?)
    }

    /// Takes one request from every limit, or from none if one of them refuses. Returns one decision per limit, in
    /// order; the request is allowed if all are.
    ///
    /// On a Redis Cluster the counters live on different nodes: there every limit is looked at first, and taken
    /// from only if all allow it. A simultaneous request may then consume from one limit and be refused by
    /// another, but no limit is ever exceeded.
    ///
    /// # Errors
    /// As [`check`](Self::check), and `limits.invalid` (field `limits`) for none or more than 16 limits.
    pub async fn check_many(&self, limits: &[(&RateLimit, &[&str])]) -> Result<Vec<Decision>> {
        if limits.is_empty() || limits.len() > MOST_LIMITS {
            let message = format!("must be 1 to {MOST_LIMITS} limits, are {}", limits.len());
            return Err(Error::field_invalid(codes::LIMITS_INVALID, "limits", message));
        }
        let charges = limits
            .iter()
            .map(|(limit, identifiers)| Charge::new(&self.scope, limit, identifiers, 1))
            .collect::<Result<Vec<_>>>()?;
        self.ask(Mode::HitAll, &charges).await
    }

    /// What a check would answer now, without taking anything. Cancel-safe read.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn peek(&self, limit: &RateLimit, identifiers: &[&str]) -> Result<Decision> {
        let charge = Charge::new(&self.scope, limit, identifiers, 1)?;
        first(self.ask(Mode::Peek, std::slice::from_ref(&charge)).await?)
    }

    /// Gives the identifiers their whole quota back.
    ///
    /// # Errors
    /// `limits.invalid_identifier`, or `redis.*` when Redis is down, under every policy.
    pub async fn reset(&self, limit: &RateLimit, identifiers: &[&str]) -> Result<()> {
        let charge = Charge::new(&self.scope, limit, identifiers, 1)?;
        self.local.reset(&charge).await?;
        self.store.reset(&charge).await
    }

    async fn ask(&self, mode: Mode, charges: &[Charge]) -> Result<Vec<Decision>> {
        let error = match self.store.take(mode, charges).await {
            Ok(windows) => return Ok(decisions(charges, &windows, false)),
            Err(error) => error,
        };
        // Whatever is wrong with the server or its settings: only a defect is none of the policy's business.
        let outage = matches!(
            error.kind(),
            Kind::Unavailable | Kind::Timeout | Kind::Ambiguous | Kind::Exhausted
        ) || error.is(codes::SETTINGS_INVALID);
        match self.policy {
            FailurePolicy::Closed => Err(error),
            _ if !outage => Err(error),
            FailurePolicy::Open => Ok(charges.iter().map(|charge| charge.limit.untouched()).collect()),
            FailurePolicy::LocalShare { processes } => {
                let shares: Vec<Charge> = charges
                    .iter()
                    .map(|charge| charge.share(processes.get()))
                    .collect();
                Ok(decisions(&shares, &self.local.take(mode, &shares).await?, true))
            }
        }
    }
}

fn decisions(charges: &[Charge], windows: &[Window], degraded: bool) -> Vec<Decision> {
    charges
        .iter()
        .zip(windows)
        .map(|(charge, window)| window.decision(charge, degraded))
        .collect()
}

fn first(decisions: Vec<Decision>) -> Result<Decision> {
    let missing = || Error::new(codes::POSADA_INTERNAL, "a rate limit check without an answer");
    decisions.into_iter().next().ok_or_else(missing)
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn memory_keeps_the_promises() {
        let clock = SystemClock::shared();
        let limits = RateLimiter::new(Arc::new(MemoryLimits::new(clock.clone())), clock);
        crate::testkit::limits::suite(&limits, "memory").await;
    }
}
