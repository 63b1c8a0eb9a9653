//! What a handler, an extractor or a layer answers in place of what was asked for.

use std::borrow::Cow;
use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use posada::error::Code;
use serde_json::json;

use crate::failures;

/// What handlers answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An answer in place of what was asked for: made of an error of posada by `?`, or a program's own by
/// [`new`](Self::new).
///
/// An error of posada is answered with its [status](posada::Error::http_status) and its
/// [body](posada::Error::to_public_json), `Retry-After` and `WWW-Authenticate`. The message of a fault of the servers is
/// kept to the log, in which an outage is a line in ten seconds for each code, and not one for each request.
///
/// ```
/// use axum::http::StatusCode;
/// use posada_axum::{Error, Result, Scope};
///
/// async fn conversation(Scope(hotel): Scope) -> Result<String> {
///     let session = hotel.sessions().get(None, "5491187654321").await?;
///     let session = session.ok_or(Error::new(StatusCode::NOT_FOUND, "there is no such conversation"))?;
///     Ok(session.document.to_text())
/// }
/// ```
pub struct Error(Cause);

enum Cause {
    Posada(posada::Error),
    /// A refusal of this crate under a code of posada's.
    Refused(Code, &'static str),
    /// `{"detail": …}`.
    Plain(StatusCode, Cow<'static, str>),
    /// The program is written wrong; the caller learns nothing of it.
    Miswritten(String),
}

impl Error {
    /// An answer of the program's own: `{"detail": "…"}`.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Cause::Plain(status, detail.into()))
    }

    pub(crate) fn refused(code: Code, message: &'static str) -> Self {
        Self(Cause::Refused(code, message))
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Not authenticated")
    }

    pub(crate) fn miswritten(what: impl Into<String>) -> Self {
        Self(Cause::Miswritten(what.into()))
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        let number = match &self.0 {
            Cause::Posada(error) => error.http_status(),
            Cause::Refused(code, _) if code.kind == posada::Kind::NotFound => 404,
            Cause::Refused(..) => 403,
            Cause::Plain(status, _) => return *status,
            Cause::Miswritten(_) => 500,
        };
        StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error of posada, if it is one: for handlers that decide by its code.
    pub fn posada(&self) -> Option<&posada::Error> {
        match &self.0 {
            Cause::Posada(error) => Some(error),
            _ => None,
        }
    }

    /// Tells the log what the caller is not told.
    fn note(&self, status: StatusCode) {
        if !status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED {
            return;
        }
        match &self.0 {
            Cause::Posada(error) => {
                if let Some(unsaid) = failures::shared().note(error.code()) {
                    let cause = std::error::Error::source(error);
                    tracing::error!(status = status.as_u16(), cause, unsaid, "{error}");
                }
            }
            Cause::Miswritten(what) => tracing::error!("{what}"),
            Cause::Refused(..) | Cause::Plain(..) => {}
        }
    }
}

impl From<posada::Error> for Error {
    fn from(error: posada::Error) -> Self {
        Self(Cause::Posada(error))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        self.note(status);
        let body = match &self.0 {
            Cause::Posada(error) => error.to_public_json(),
            Cause::Refused(code, message) => {
                json!({"detail": message, "code": code.name, "message": message, "facts": {}}).to_string()
            }
            Cause::Plain(_, detail) => json!({"detail": detail}).to_string(),
            Cause::Miswritten(_) => json!({"detail": "Internal Server Error"}).to_string(),
        };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (challenge, wait) = match &self.0 {
            Cause::Posada(error) => (error.http_challenge(), error.http_retry_after()),
            _ if status == StatusCode::UNAUTHORIZED => (Some("Bearer"), None),
            _ => (None, None),
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, wait.into());
        }
        response
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Posada(error) => error.fmt(f),
            Cause::Refused(code, message) => write!(f, "{message} [{code}]"),
            Cause::Plain(status, detail) => write!(f, "{detail} [{status}]"),
            Cause::Miswritten(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Posada(error) => f.debug_tuple("Error").field(error).finish(),
            _ => write!(f, "Error({self})"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.posada().and_then(std::error::Error::source)
    }
}
