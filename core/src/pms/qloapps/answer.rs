//! What an answer of QloApps means. Its HTTP status alone says little.
//!
//! * A status is that of the last error in the list, so PHP's own warnings turn a caller's mistake, and even a
//!   success, into a 500. What counts is the first error that is not PHP's.
//! * A 500 with warnings only may have booked. A 200 may be `Fatal error`.
//! * So a success is a 2xx that parses and has the root that was expected, and a write that is neither refused nor
//!   a success has an unknown outcome.

use std::time::Duration;

use serde_json::Value;

use super::reader::{Node, parse};
use super::redact::Redactor;
use crate::error::{Code, Error, Result, Retry, codes};
use crate::pms::guarded::retry::Ended;

/// Codes of PHP's errors, warnings and notices.
const PHP: std::ops::RangeInclusive<u64> = 2..=15;
/// The code of an object that was not saved, also when it was and only the mail about it failed.
const UNSAVED: u64 = 46;
/// What stands, with a status of success, in the answer to a change of an order that does not exist.
const UNKNOWN_ORDER: &[u8] = b"Invalid new order status";
/// What stands, with a status of success, in the answer of a PHP that died.
const FATAL: &[u8] = b"Fatal error";
/// The longest text of the server that an error repeats, in characters.
const REASON_CHARS: usize = 200;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Whether the question changes anything, because then a failure has two meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It asks; it may be asked again.
    Read,
    /// It writes; it is never repeated on a guess.
    Write,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Where a redirect points.
    pub(super) location: Option<String>,
    /// How long to wait, when the server says so.
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    /// The value under `root`, or an empty list when the answer is one.
    ///
    /// # Errors
    /// * `pms.refused`, `pms.not_permitted`, `pms.switched_off`, `pms.wrong_system`: see their remedies.
    /// * `pms.rejected` with `reason` and `reason_code`: the system will not do this; nothing was done.
    /// * `pms.unavailable`: it failed, and nothing was changed.
    /// * `pms.outcome_unknown`: it failed, and what was to be written may be written.
    /// * `pms.unexpected_answer`: a read that succeeded with something else than was asked for.
    pub(super) fn read(&self, root: &str, effect: Effect, redactor: &Redactor) -> Result<Value> {
        let value = parse(&self.body);
        let errors = value
            .as_ref()
            .map(|value| Node::new(value).field("errors").list());
        if (200..300).contains(&self.status) {
            match value {
                Some(Value::Array(list)) if list.is_empty() => return Ok(Value::Array(list)),
                // The list of what a key may see has no root.
                Some(Value::Array(list)) if root.is_empty() => return Ok(Value::Array(list)),
                Some(Value::Object(mut fields)) if fields.contains_key(root) => {
                    return Ok(fields.remove(root).unwrap_or_default());
                }
                Some(_) | None => {}
            }
        }
        let first = errors.iter().flatten().find_map(|error| {
            let code = error.field("code").number().filter(|code| !PHP.contains(code))?;
            let reason = error.field("message").text().unwrap_or_default();
            Some((code, redactor.shorten(&reason, REASON_CHARS)))
        });
        let error = match first {
            Some((code, _)) if code == UNSAVED && effect == Effect::Write => {
                outcome_unknown().caused_by(Ended)
            }
            Some((code, reason)) => refusal(code, effect)
                .with("reason_code", code)
                .with("reason", reason),
            // PHP died, or printed warnings behind its work. A web server in front of it has a page of its own.
            None if effect == Effect::Write
                && self.status == 500
                && (errors.is_some() || self.body.is_empty()) =>
            {
                outcome_unknown().caused_by(Ended)
            }
            None => self.without_reason(effect, errors.is_some(), redactor),
        };
        Err(error.with("status", self.status))
    }

    /// Whether the server itself answered, well or not: its web server in front of a dead PHP is not the server. A
    /// question that PHP's own errors make unanswerable counts as unanswered, too; a write that they follow was done.
    pub(super) fn is_from_the_shop(&self, effect: Effect) -> bool {
        if self.status < 500 && self.status != 429 {
            return true;
        }
        let errors = parse(&self.body);
        let errors = errors
            .as_ref()
            .map(|value| Node::new(value).field("errors").list());
        let own = |error: &Node<'_>| {
            let code = error.field("code").number();
            effect == Effect::Write || code.is_some_and(|code| !PHP.contains(&code))
        };
        errors.is_some_and(|errors| errors.iter().any(own))
    }

    /// What is left when the answer names no error of its own.
    fn without_reason(&self, effect: Effect, is_json: bool, redactor: &Redactor) -> Error {
        match (self.status, effect) {
            (300..=399, _) => {
                let error = Error::new(
                    codes::PMS_WRONG_SYSTEM,
                    "the server redirects; the base URL must name the server's own domain, with its port and scheme",
                );
                match &self.location {
                    Some(location) => error.with("location", redactor.address(location, REASON_CHARS)),
                    None => error,
                }
            }
            (401, _) => refused(),
            (429, _) => self.busy(),
            (400..=499, _) => Error::new(
                codes::PMS_WRONG_SYSTEM,
                "this is not the web service of QloApps; check the base URL, and that the server rewrites /api",
            ),
            (200..=299, Effect::Write) if self.body.starts_with(UNKNOWN_ORDER) => Error::new(
                codes::PMS_REJECTED,
                "the system knows no such booking or state; nothing was changed",
            ),
            (200..=299, Effect::Write) if self.body.starts_with(FATAL) => outcome_unknown().caused_by(Ended),
            (_, Effect::Write) => outcome_unknown(),
            (200..=299, Effect::Read) if is_json => not_understood("the answer is about something else"),
            (200..=299, Effect::Read) => Error::new(
                codes::PMS_WRONG_SYSTEM,
                "the server answered a page instead of data; check the base URL",
            ),
            (_, Effect::Read) => self.busy(),
        }
    }

    fn busy(&self) -> Error {
        let error = Error::new(codes::PMS_UNAVAILABLE, "the system could not answer");
        match self.retry_after {
            Some(pause) => error.retry_when(Retry::After(pause.min(LONGEST_PAUSE))),
            None => error,
        }
    }
}

/// The error for the first error of the system's own.
fn refusal(code: u64, effect: Effect) -> Error {
    match code {
        17 | 18 | 20 | 21 | 132 => refused(),
        25 | 26 => Error::new(
            codes::PMS_NOT_PERMITTED,
            "the key may not do this; tick the resource and the method for it under Web service",
        ),
        22 => Error::new(
            codes::PMS_SWITCHED_OFF,
            "the web service of the server is switched off; switch it on in the back office",
        ),
        27 => Error::new(
            codes::PMS_WRONG_SYSTEM,
            "the server does not know this resource; QloApps 1.6.1 or newer is needed",
        ),
        _ => rejected(effect),
    }
}

fn rejected(effect: Effect) -> Error {
    if effect == Effect::Read {
        return not_understood("the system did not understand the question");
    }
    Error::new(
        codes::PMS_REJECTED,
        "the system refused the request; nothing was changed",
    )
}

fn outcome_unknown() -> Error {
    Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the system failed after it took the request; it may have done it",
    )
}

fn refused() -> Error {
    Error::new(
        codes::PMS_REFUSED,
        "the server does not accept the key; check PMS_API_KEY, and that the key is active for this server",
    )
}

/// The error of an answer that says something else than was asked for.
pub(super) fn not_understood(message: &'static str) -> Error {
    const CODE: Code = codes::PMS_UNEXPECTED_ANSWER;
    Error::new(CODE, message)
}
