//! Why a call failed, as plain data that a thread of the runtime may hold.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use posada::error::{Code, Retry};
use posada::{Error, Kind};

/// Why a call failed.
#[derive(Debug)]
pub enum Refusal {
    /// The crate says so.
    Crate(Error),
    /// The binding says so, with one of the crate's codes.
    Own {
        /// The code.
        code: Code,
        /// What a person reads.
        message: String,
        /// Facts by their names.
        context: Vec<(&'static str, String)>,
    },
}

/// What every language needs to make its exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The stable code, such as `locks.contended`.
    pub code: &'static str,
    /// What the caller should do, which chooses the class of the exception.
    pub kind: Kind,
    /// What a person reads.
    pub message: String,
    /// Whether the same call may succeed later.
    pub is_retryable: bool,
    /// After which time, if the server said so.
    pub retry_after: Option<Duration>,
    /// Facts by their names, in the crate's order.
    pub context: Vec<(String, String)>,
    /// The errors beneath, from the nearest to the farthest.
    pub cause: Option<String>,
}

impl Facts {
    /// The argument or setting that was refused.
    pub fn field(&self) -> Option<&str> {
        self.fact("field")
    }

    /// A fact by its name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let found = self.context.iter().find(|(known, _)| known == name);
        found.map(|(_, fact)| fact.as_str())
    }

    /// [`retry_after`](Self::retry_after) in milliseconds, rounded up, for languages without a type for durations.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let millis = self.retry_after?.as_nanos().div_ceil(1_000_000);
        Some(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl Refusal {
    /// A refusal of the binding's own.
    pub fn own(code: Code, message: String) -> Self {
        Self::Own {
            code,
            message,
            context: Vec::new(),
        }
    }

    /// A value that was given for `field` and cannot be.
    pub fn invalid(code: Code, field: &str, message: String) -> Self {
        Self::Own {
            code,
            message,
            context: vec![("field", field.to_owned())],
        }
    }

    /// What the exception needs.
    pub fn facts(self) -> Facts {
        match self {
            Self::Crate(error) => Facts {
                code: error.code(),
                kind: error.kind(),
                message: error.message().to_owned(),
                is_retryable: error.is_retryable(),
                retry_after: retry_after(error.retry()),
                context: error
                    .context()
                    .map(|(name, fact)| (name.to_owned(), fact.to_owned()))
                    .collect(),
                cause: causes(&error),
            },
            Self::Own {
                code,
                message,
                context,
            } => Facts {
                code: code.name,
                kind: code.kind,
                message,
                is_retryable: !matches!(code.retry, Retry::Never),
                retry_after: retry_after(code.retry),
                context: context
                    .into_iter()
                    .map(|(name, fact)| (name.to_owned(), fact))
                    .collect(),
                cause: None,
            },
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Crate(error)
    }
}

fn retry_after(retry: Retry) -> Option<Duration> {
    match retry {
        Retry::After(pause) => Some(pause),
        Retry::Never | Retry::Backoff => None,
    }
}

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

#[cfg(test)]
mod tests {
    use posada::TenantId;
    use posada::error::codes;

    use super::*;

    #[test]
    fn an_error_of_the_crate_keeps_its_code_kind_words_and_facts() {
        let error = TenantId::parse("").unwrap_err();
        let (code, kind, message) = (error.code(), error.kind(), error.message().to_owned());
        let facts = Refusal::from(error).facts();
        assert_eq!((facts.code, facts.kind, facts.message), (code, kind, message));
        assert!(!facts.is_retryable && facts.cause.is_none());
    }

    #[test]
    fn a_value_that_cannot_be_names_its_field() {
        let refused = Refusal::invalid(
            codes::SETTINGS_INVALID,
            "profile",
            "expected legacy or strict".to_owned(),
        );
        let facts = refused.facts();
        assert_eq!((facts.field(), facts.kind), (Some("profile"), Kind::Invalid));
        assert_eq!(facts.retry_after_ms(), None);
    }

    #[test]
    fn what_may_pass_says_so() {
        let facts = Refusal::own(codes::REDIS_UNAVAILABLE, "Redis cannot be reached".to_owned()).facts();
        assert!(facts.is_retryable);
    }
}
