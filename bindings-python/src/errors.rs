//! Errors of the crate on their way to Python, which owns the classes (`posada.errors`).

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use posada::{Code, Error, Kind, Retry, bridge};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Why a call failed, as plain data that a Rust thread may hold.
pub(crate) enum Refusal {
    /// The crate says so.
    Crate(Error),
    /// The bridge says so, in the crate's words.
    Own {
        code: Code,
        message: String,
        context: Vec<(&'static str, String)>,
    },
}

impl Refusal {
    pub(crate) fn own(code: Code, message: String) -> Self {
        Self::Own {
            code,
            message,
            context: Vec::new(),
        }
    }

    /// A value that was given for `field` and cannot be.
    pub(crate) fn invalid(code: Code, field: &str, message: String) -> Self {
        Self::Own {
            code,
            message,
            context: vec![("field", field.to_owned())],
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Crate(error)
    }
}

impl From<Refusal> for PyErr {
    fn from(refusal: Refusal) -> Self {
        Python::attach(|py| refusal.into_exception(py).unwrap_or_else(|failure| failure))
    }
}

/// What `posada.errors` needs to make an exception.
type Parts<'a> = (
    &'a str,
    &'a str,
    String,
    bool,
    Option<f64>,
    Vec<(&'a str, String)>,
    Option<String>,
);

impl Refusal {
    fn into_exception(self, py: Python<'_>) -> PyResult<PyErr> {
        static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let parts: Parts<'_> = match &self {
            Self::Crate(error) => (
                error.code(),
                error.kind().as_str(),
                error.message().to_owned(),
                error.is_retryable(),
                retry_after(error.retry()),
                error
                    .context()
                    .map(|(name, fact)| (name, fact.to_owned()))
                    .collect(),
                causes(error),
            ),
            Self::Own {
                code,
                message,
                context,
            } => (
                code.name,
                code.kind.as_str(),
                message.clone(),
                !matches!(code.retry, Retry::Never),
                retry_after(code.retry),
                context.clone(),
                None,
            ),
        };
        let made = MAKE.import(py, "posada.errors", "_make")?.call1(parts)?;
        Ok(PyErr::from_value(made))
    }
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

fn retry_after(retry: Retry) -> Option<f64> {
    match retry {
        Retry::After(pause) => Some(pause.as_secs_f64()),
        Retry::Never | Retry::Backoff => None,
    }
}

/// What lay beneath, from the nearest to the farthest.
fn causes(error: &Error) -> Option<String> {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let gap = if text.is_empty() { "" } else { ": " };
        // Writing into a text cannot fail.
        let _ = write!(text, "{gap}{error}");
        cause = error.source();
    }
    (!text.is_empty()).then_some(text)
}
