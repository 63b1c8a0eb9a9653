//! How errors are answered over HTTP, and what of them is told to callers: one table for the kits of every language.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Error, Kind, Retry};

/// Codes of tokens that are not accepted. The app answers them with 403, and 401 only where there is no token. All that
/// callers learn is that it was not accepted, so that an attacker does not learn from it how to make one.
const REFUSED_TOKENS: [&str; 3] = ["auth.invalid_token", "auth.session_ended", "auth.token_expired"];

/// What callers are told: their own request, and numbers. No name of a lock, a guest, a booking or another hotel.
const PUBLIC_FACTS: [&str; 20] = [
    "allowed",
    "asked",
    "bytes",
    "current",
    "differs",
    "feature",
    "field",
    "frees_at",
    "instead",
    "limit",
    "nights",
    "permission",
    "quoted",
    "retry_after_seconds",
    "role",
    "room_type",
    "service",
    "stay",
    "violation",
    "wanted",
];

/// An error as an answer of an HTTP server.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// What the header `Retry-After` says, in seconds.
    pub retry_after: Option<u64>,
    /// What the header `WWW-Authenticate` says.
    pub www_authenticate: Option<&'static str>,
    /// The body, as JSON.
    pub body: String,
}

/// The status of an error.
pub fn http_status(code: &str, kind: Kind) -> u16 {
    match code {
        // The operator's mistake, not the caller's.
        _ if code.starts_with("settings.") => 500,
        _ if REFUSED_TOKENS.contains(&code) => 403,
        // It is the server that is exhausted, not the caller.
        "auth.hashing_busy" | "postgres.contended" | "postgres.exhausted" | "redis.out_of_memory" => 503,
        // Waiting does not help.
        "locks.max_extensions" => 409,
        _ => match kind {
            Kind::Invalid => 422,
            Kind::Unauthenticated => 401,
            Kind::Denied => 403,
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::Exhausted => 429,
            Kind::Unavailable | Kind::Ambiguous | Kind::Closed => 503,
            Kind::Timeout => 504,
            Kind::Unsupported => 501,
            Kind::Internal => 500,
        },
    }
}

/// The answer to an error of these parts.
pub fn http_answer<'a, 'b>(
    code: &str,
    kind: Kind,
    message: &str,
    retry_after: Option<Duration>,
    facts: impl IntoIterator<Item = (&'a str, &'b str)>,
) -> HttpAnswer {
    #[derive(Serialize)]
    struct Body<'a> {
        detail: &'a str,
        code: &'a str,
        message: &'a str,
        facts: BTreeMap<&'a str, &'a str>,
    }
    let status = http_status(code, kind);
    let is_refused_token = REFUSED_TOKENS.contains(&code);
    let message = match status {
        _ if is_refused_token => "Could not validate credentials",
        500 => "the server failed",
        502.. => "a server does not answer; try again later",
        _ => message,
    };
    let facts = if is_refused_token || (status >= 500 && status != 501) {
        BTreeMap::new()
    } else {
        let public = facts.into_iter().filter(|(name, _)| PUBLIC_FACTS.contains(name));
        public.collect()
    };
    let body = Body {
        detail: message,
        code,
        message,
        facts,
    };
    HttpAnswer {
        status,
        retry_after: matches!(status, 429 | 503 | 504).then(|| whole_seconds(retry_after)),
        www_authenticate: (status == 401 || is_refused_token).then_some("Bearer"),
        // Texts alone can always be written.
        body: serde_json::to_string(&body).unwrap_or_default(),
    }
}

/// At least one, and never too early.
fn whole_seconds(wait: Option<Duration>) -> u64 {
    let wait = wait.unwrap_or_default();
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl Error {
    /// How long a repeat has to wait, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.retry() {
            Retry::After(wait) => Some(wait),
            Retry::Never | Retry::Backoff => None,
        }
    }

    /// The status with which an HTTP server answers this error: mostly that of its kind, 500 for what only the operator
    /// can mend, 503 where it is the server that is exhausted. A server that is down is never a 401 or 403.
    ///
    /// | kind | status |
    /// |---|---|
    /// | `Invalid` | 422 |
    /// | `Unauthenticated` | 401, and 403 for a token that is not accepted |
    /// | `Denied` | 403 |
    /// | `NotFound` | 404 |
    /// | `Conflict` | 409 |
    /// | `Exhausted` | 429 |
    /// | `Unavailable`, `Ambiguous`, `Closed` | 503 |
    /// | `Timeout` | 504 |
    /// | `Unsupported` | 501 |
    /// | `Internal` | 500 |
    pub fn http_status(&self) -> u16 {
        http_status(self.code(), self.kind())
    }

    /// The header `Retry-After` of the answer, in whole seconds: at least 1 for 429, 503 and 504, and none otherwise.
    pub fn http_retry_after(&self) -> Option<u64> {
        self.http_answer().retry_after
    }

    /// The header `WWW-Authenticate` of the answer: `Bearer` for 401, and for a token that is not accepted.
    pub fn http_challenge(&self) -> Option<&'static str> {
        self.http_answer().www_authenticate
    }

    /// The body of the answer: `{"detail", "code", "message", "facts"}`. The facts are of a fixed list: the caller's own
    /// request, and numbers, but no guest, key, lock or other hotel. Of what concerns the servers the caller learns the
    /// code only, and of a token that it was not accepted: log the error itself.
    ///
    /// ```
    /// let error = posada::Stay::parse("2027-03-12", "2027-03-10").unwrap_err();
    /// assert_eq!((error.http_status(), error.http_retry_after()), (422, None));
    /// assert!(error.to_public_json().contains(r#""facts":{"field":"check_out"}"#));
    /// ```
    pub fn to_public_json(&self) -> String {
        self.http_answer().body
    }

    fn http_answer(&self) -> HttpAnswer {
        http_answer(
            self.code(),
            self.kind(),
            self.message(),
            self.retry_after(),
            self.context(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::error::codes;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/errors/http.json")).unwrap()
    }

    #[test]
    fn every_code_has_the_status_of_its_kind_or_the_one_that_is_listed() {
        let vectors = vectors();
        for code in codes::ALL {
            let listed = vectors["codes"].get(code.name);
            let wanted = listed.unwrap_or(&vectors["kinds"][code.kind.as_str()]);
            assert_eq!(Error::new(*code, "x").http_status(), *wanted, "{code}");
        }
    }

    #[test]
    fn callers_are_told_what_the_vectors_say() {
        for case in vectors()["public"].as_array().unwrap() {
            let error = &case["error"];
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == error[1])
                .unwrap();
            let wait = error[3].as_f64().map(Duration::from_secs_f64);
            let facts = error[4].as_array().unwrap().iter();
            let facts = facts.map(|fact| (fact[0].as_str().unwrap(), fact[1].as_str().unwrap()));
            let (code, message) = (error[0].as_str().unwrap(), error[2].as_str().unwrap());
            let answer = http_answer(code, kind, message, wait, facts);
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(answer.status, case["status"], "{code}");
            assert_eq!(answer.retry_after, case["retry_after"].as_u64(), "{code}");
            assert_eq!(
                answer.www_authenticate,
                case["www_authenticate"].as_str(),
                "{code}"
            );
            assert_eq!(body, case["body"], "{code}");
        }
    }

    #[test]
    fn a_fault_of_a_server_never_looks_like_a_refusal() {
        for code in codes::ALL {
            let is_servers = matches!(code.kind, Kind::Unavailable | Kind::Timeout | Kind::Ambiguous);
            let status = Error::new(*code, "x").http_status();
            assert!(!is_servers || status >= 500, "{code}");
        }
    }
}
