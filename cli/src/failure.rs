//! Why a command did not do what it should, and what helps.

use posada::error::{Error, Kind, codes};

use crate::exit::Exit;

/// An error for the operator.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
    pub(crate) exit: Exit,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Something that the operator has to give first.
    pub(crate) fn refused(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code: "cli.refused".to_owned(),
            message: message.into(),
            remedy: Some(remedy.into()),
            exit: Exit::Refused,
        }
    }

    /// An argument or a setting that is wrong or missing.
    pub(crate) fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code: "cli.usage".to_owned(),
            message: message.into(),
            remedy: Some(remedy.into()),
            exit: Exit::Usage,
        }
    }

    /// What was asked for does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            code: "cli.not_found".to_owned(),
            message: message.into(),
            remedy: None,
            exit: Exit::Failed,
        }
    }
}

/// Whether a server does not accept the credentials.
fn is_refusal(error: &Error) -> bool {
    [codes::POSTGRES_REFUSED, codes::REDIS_REFUSED, codes::PMS_REFUSED]
        .into_iter()
        .any(|code| error.is(code))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            _ if error.is(codes::POSTGRES_CONTENDED) => Exit::TryAgain,
            // A server that refuses us is no use to the app, but it is there.
            _ if is_refusal(&error) => Exit::NotPermitted,
            Kind::Invalid => Exit::Usage,
            Kind::Unauthenticated | Kind::Denied => Exit::NotPermitted,
            Kind::Unavailable | Kind::Timeout => Exit::Unreachable,
            Kind::Conflict | Kind::Exhausted if error.is_retryable() => Exit::TryAgain,
            _ => Exit::Failed,
        };
        let remedy = match exit {
            _ if error.code().starts_with("settings.") => {
                Some("`posada settings --example` shows every variable with its meaning")
            }
            Exit::Unreachable | Exit::NotPermitted => Some("`posada doctor` looks for the cause"),
            Exit::TryAgain => Some("`posada migrate status` and `posada locks list` show what is under way"),
            _ => None,
        };
        Self {
            code: error.code().to_owned(),
            message: error.to_string(),
            remedy: remedy.map(str::to_owned),
            exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_wrong_is_the_operators_and_says_where_all_are_listed() {
        let wrong = posada::Settings::from_vars([("POSTGRES_PORT".to_owned(), "x".to_owned())]).unwrap_err();
        let failure = Failure::from(wrong);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.remedy.unwrap().contains("--example"));
    }
}
