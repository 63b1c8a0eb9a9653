//! `posada.limits`.

use std::num::NonZeroU32;
use std::time::Duration;

use posada::RateLimiter;
use posada::error::codes;
use posada::limits::{Decision, FailurePolicy, RateLimit, Strategy};
use pyo3::prelude::*;

use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::handle::Handle;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Limits(pub(crate) ProcessBound<RateLimiter>);

/// A limit that was read and checked.
#[pyclass(frozen, module = "posada._native", eq, hash, from_py_object)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Limit(RateLimit);

/// (allowed, limit, remaining, reset_after, retry_after, degraded)
type Decided = (bool, u32, u32, Duration, Duration, bool);

fn decided(decision: Decision) -> Decided {
    let Decision {
        allowed,
        limit,
        remaining,
        reset_after,
        retry_after,
        degraded,
    } = decision;
    (allowed, limit, remaining, reset_after, retry_after, degraded)
}

fn words(identifiers: &[String]) -> Vec<&str> {
    identifiers.iter().map(String::as_str).collect()
}

#[pymethods]
impl Limit {
    #[staticmethod]
    #[pyo3(signature = (text, strategy=None))]
    fn parse(text: &str, strategy: Option<&str>) -> PyResult<Self> {
        let limit = RateLimit::parse(text).map_err(Refusal::from)?;
        Ok(Self(match strategy {
            Some(name) => limit.strategy(Strategy::parse(name).map_err(Refusal::from)?),
            None => limit,
        }))
    }

    #[staticmethod]
    fn parse_many(text: &str) -> PyResult<Vec<Self>> {
        let limits = RateLimit::parse_many(text).map_err(Refusal::from)?;
        Ok(limits.into_iter().map(Self).collect())
    }

    #[getter]
    fn amount(&self) -> u32 {
        self.0.amount()
    }

    #[getter]
    fn window(&self) -> Duration {
        self.0.window()
    }

    #[getter]
    fn strategy(&self) -> &'static str {
        self.0.get_strategy().as_str()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

#[pymethods]
impl Limits {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self(handle.keep(|posada| posada.limits().clone())?))
    }

    /// `policy` is `open`, `closed` or `local_share`, the last among that number of processes.
    #[pyo3(signature = (policy, processes=1))]
    fn failure_policy(&self, policy: &str, processes: u32) -> PyResult<Self> {
        let invalid = |field, message| Refusal::invalid(codes::LIMITS_INVALID, field, message);
        let policy = match policy {
            "open" => FailurePolicy::Open,
            "closed" => FailurePolicy::Closed,
            "local_share" => FailurePolicy::LocalShare {
                processes: NonZeroU32::new(processes)
                    .ok_or_else(|| invalid("processes", "expected at least 1, not 0".to_owned()))?,
            },
            _ => {
                let message = format!("expected open, closed or local_share, not {policy:?}");
                return Err(invalid("policy", message).into());
            }
        };
        let limits = self.0.get()?.clone().failure_policy(policy);
        Ok(Self(ProcessBound::new(limits, self.0.runtime().clone())))
    }

    fn check(
        &self,
        py: Python<'_>,
        limit: &Limit,
        identifiers: Vec<String>,
        cost: u32,
    ) -> PyResult<Operation> {
        let limit = limit.0;
        self.0.finish(py, async move |limits: RateLimiter| {
            let decision = limits.check_cost(&limit, &words(&identifiers), cost).await?;
            Ok(decided(decision))
        })
    }

    fn check_many(&self, py: Python<'_>, limits: Vec<(Limit, Vec<String>)>) -> PyResult<Operation> {
        self.0.finish(py, async move |limiter: RateLimiter| {
            let named: Vec<Vec<&str>> = limits.iter().map(|(_, identifiers)| words(identifiers)).collect();
            let wanted: Vec<(&RateLimit, &[&str])> = limits
                .iter()
                .zip(&named)
                .map(|((limit, _), identifiers)| (&limit.0, identifiers.as_slice()))
                .collect();
            let decisions = limiter.check_many(&wanted).await?;
            Ok(decisions.into_iter().map(decided).collect::<Vec<_>>())
        })
    }

    fn peek(&self, py: Python<'_>, limit: &Limit, identifiers: Vec<String>) -> PyResult<Operation> {
        let limit = limit.0;
        self.0.call(py, async move |limits: RateLimiter| {
            Ok(decided(limits.peek(&limit, &words(&identifiers)).await?))
        })
    }

    fn reset(&self, py: Python<'_>, limit: &Limit, identifiers: Vec<String>) -> PyResult<Operation> {
        let limit = limit.0;
        self.0.finish(py, async move |limits: RateLimiter| {
            Ok(limits.reset(&limit, &words(&identifiers)).await?)
        })
    }
}

/// The error of a decision that refuses.
#[pyfunction]
pub(crate) fn refuse(
    limit: u32,
    remaining: u32,
    reset_after: Duration,
    retry_after: Duration,
    degraded: bool,
) -> PyResult<()> {
    let decision = Decision {
        allowed: false,
        limit,
        remaining,
        reset_after,
        retry_after,
        degraded,
    };
    decision.into_result().map_err(Refusal::from)?;
    Ok(())
}
