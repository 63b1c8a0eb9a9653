//! Answers and errors as JSON.

use posada::Kind;
use posada::bridge::http_answer;
use posada_bindings::Refusal;
use serde::Serialize;

/// What a call answers: a JSON text.
pub(crate) type Outcome = Result<String, Refusal>;

/// An answer as JSON.
#[allow(clippy::unnecessary_wraps, reason = "it ends the work of nearly every method")]
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    // The values of the crate have a JSON form.
    Ok(serde_json::to_string(value).unwrap_or_default())
}

#[derive(Serialize)]
struct Shape {
    code: &'static str,
    kind: &'static str,
    message: String,
    retryable: bool,
    retry_after_ms: Option<u64>,
    context: serde_json::Map<String, serde_json::Value>,
    cause: Option<String>,
    http: Http,
}

/// What to answer over HTTP.
#[derive(Serialize)]
struct Http {
    status: u16,
    retry_after: Option<u64>,
    www_authenticate: Option<&'static str>,
    body: String,
}

/// An error, from which JavaScript makes an exception.
pub(crate) fn error(refusal: Refusal) -> String {
    let facts = refusal.facts();
    let retry_after_ms = facts.retry_after_ms();
    let known = facts
        .context
        .iter()
        .map(|(name, fact)| (name.as_str(), fact.as_str()));
    let answer = http_answer(facts.code, facts.kind, &facts.message, facts.retry_after, known);
    let context = facts.context.into_iter().map(|(name, fact)| (name, fact.into()));
    let shape = Shape {
        code: facts.code,
        kind: name(facts.kind),
        message: facts.message,
        retryable: facts.is_retryable,
        retry_after_ms,
        context: context.collect(),
        cause: facts.cause,
        http: Http {
            status: answer.status,
            retry_after: answer.retry_after,
            www_authenticate: answer.www_authenticate,
            body: answer.body,
        },
    };
    serde_json::to_string(&shape).unwrap_or_default()
}

/// The same for what is answered without a promise.
pub(crate) fn thrown(refusal: impl Into<Refusal>) -> napi::Error {
    napi::Error::from_reason(error(refusal.into()))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Unauthenticated => "unauthenticated",
        Kind::Denied => "denied",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::Exhausted => "exhausted",
        Kind::Unavailable => "unavailable",
        Kind::Timeout => "timeout",
        Kind::Ambiguous => "ambiguous",
        Kind::Unsupported => "unsupported",
        Kind::Closed => "closed",
        Kind::Internal => "internal",
    }
}
