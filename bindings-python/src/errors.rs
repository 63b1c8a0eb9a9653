//! Refusals on their way to Python, which owns the classes of exceptions (`posada.errors`).

use std::time::Duration;

use posada::error::Code;
use posada::{Kind, bridge};
use posada_bindings::refusal::Facts;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Why a call failed; see [`posada_bindings::Refusal`].
pub(crate) struct Refusal(posada_bindings::Refusal);

impl Refusal {
    pub(crate) fn own(code: Code, message: String) -> Self {
        Self(posada_bindings::Refusal::own(code, message))
    }

    /// A value that was given for `field` and cannot be.
    pub(crate) fn invalid(code: Code, field: &str, message: String) -> Self {
        Self(posada_bindings::Refusal::invalid(code, field, message))
    }
}

impl From<posada_bindings::Refusal> for Refusal {
    fn from(refusal: posada_bindings::Refusal) -> Self {
        Self(refusal)
    }
}

impl From<posada::Error> for Refusal {
    fn from(error: posada::Error) -> Self {
        Self(error.into())
    }
}

impl From<Refusal> for PyErr {
    fn from(refusal: Refusal) -> Self {
        Python::attach(|py| exception(refusal.0.facts(), py).unwrap_or_else(|failure| failure))
    }
}

fn exception(facts: Facts, py: Python<'_>) -> PyResult<PyErr> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let Facts {
        code,
        kind,
        message,
        is_retryable,
        retry_after,
        context,
        cause,
    } = facts;
    let parts = (
        code,
        kind.as_str(),
        message,
        is_retryable,
        retry_after.map(|pause| pause.as_secs_f64()),
        context,
        cause,
    );
    let made = MAKE.import(py, "posada.errors", "_make")?.call1(parts)?;
    Ok(PyErr::from_value(made))
}

/// The kind of that name; what no class of ours has is a defect.
fn kind(name: &str) -> Kind {
    let mut kinds = Kind::ALL.into_iter();
    kinds.find(|kind| kind.as_str() == name).unwrap_or(Kind::Internal)
}

/// The HTTP status of an error.
#[pyfunction]
pub(crate) fn http_status(code: &str, kind: &str) -> u16 {
    bridge::http_status(code, self::kind(kind))
}

/// The answer to an error: status, `Retry-After`, `WWW-Authenticate`, body.
#[pyfunction]
pub(crate) fn http_answer(
    code: &str,
    kind: &str,
    message: &str,
    retry_after: Option<f64>,
    facts: Vec<(String, String)>,
) -> (u16, Option<u64>, Option<&'static str>, String) {
    let facts = facts.iter().map(|(name, fact)| (name.as_str(), fact.as_str()));
    // What is no duration says nothing.
    let wait = retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let answer = bridge::http_answer(code, self::kind(kind), message, wait, facts);
    (
        answer.status,
        answer.retry_after,
        answer.www_authenticate,
        answer.body,
    )
}
