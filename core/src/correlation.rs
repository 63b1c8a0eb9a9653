//! Which request of its caller a piece of work belongs to, so that it can be followed into other systems.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::Posada;
//! use posada::correlation::Correlation;
//!
//! let posada = Posada::embedded();
//! let ids = Correlation::new("req-7f3a")?.traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")?;
//! let hotels = ids.scope(posada.pms().hotels()).await?;
//! assert!(!hotels.is_empty());
//! # posada.close().await
//! # }
//! ```

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use tracing::Instrument as _;

use crate::error::{Error, Result, codes};
use crate::rng;

tokio::task_local! {
    static CURRENT: Correlation;
}

/// The ids of a request, sent along with everything that it makes posada ask of a hotel's system: as `X-Request-ID`
/// and `X-Correlation-ID`, as the app does, and as `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Correlation {
    request: Arc<str>,
    traceparent: Option<Arc<str>>,
}

impl Correlation {
    /// Longest id, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The id of a request.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `request_id`) unless it has 1 to 128 visible ASCII characters.
    pub fn new(request: &str) -> Result<Self> {
        let is_good = (1..=Self::MAX_BYTES).contains(&request.len())
            && request.bytes().all(|byte| byte.is_ascii_graphic());
        if is_good {
            return Ok(Self {
                request: request.into(),
                traceparent: None,
            });
        }
        Err(invalid(
            "request_id",
            "must have 1 to 128 visible ASCII characters",
        ))
    }

    /// A new id, for a request that brings none: a random UUID (RFC 9562, version 4).
    pub fn random() -> Self {
        let digits = rng::token();
        let part = |range: Range<usize>| digits.get(range).unwrap_or_default();
        let request = format!(
            "{}-{}-4{}-a{}-{}",
            part(0..8),
            part(8..12),
            part(13..16),
            part(17..20),
            part(20..32)
        );
        Self {
            request: request.into(),
            traceparent: None,
        }
    }

    /// Adds the place in a trace, as W3C Trace Context writes it: `00-<trace>-<span>-<flags>`.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `traceparent`) for anything else.
    pub fn traceparent(mut self, traceparent: &str) -> Result<Self> {
        let parts: Vec<&str> = traceparent.split('-').collect();
        let is_hex = |text: &str| {
            let mut bytes = text.bytes();
            bytes.all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        if lengths != [2, 32, 16, 2] || !parts.iter().all(|part| is_hex(part)) {
            return Err(invalid(
                "traceparent",
                "must look like 00-<32 digits>-<16 digits>-<2 digits>",
            ));
        }
        self.traceparent = Some(traceparent.into());
        Ok(self)
    }

    /// The id of the request.
    pub fn request_id(&self) -> &str {
        &self.request
    }

    /// Its place in a trace.
    pub fn get_traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Does work that belongs to the request; what the work leaves in the background belongs to it too. Cancel-safe as
    /// far as the work is.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// To what the caller belongs.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Work for another task, which belongs where its maker belongs: to its request, and to its span in the log.
    pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let current = Self::current();
        let work = work.in_current_span();
        async move {
            match current {
                Some(current) => CURRENT.scope(current, work).await,
                None => work.await,
            }
        }
    }
}

fn invalid(field: &'static str, message: &'static str) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Tasks;

    #[test]
    fn what_cannot_stand_in_a_header_is_refused() {
        for text in ["", "a b", "a\r\nHost: x", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(
                Correlation::new(text).unwrap_err().field(),
                Some("request_id"),
                "{text:?}"
            );
        }
        let ids = Correlation::new("req-1").unwrap();
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            ids.clone().traceparent(good).unwrap().get_traceparent(),
            Some(good)
        );
        for text in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            &good[1..],
        ] {
            assert_eq!(
                ids.clone().traceparent(text).unwrap_err().field(),
                Some("traceparent")
            );
        }
    }

    #[test]
    fn a_request_without_an_id_gets_one_of_its_own() {
        let (one, other) = (Correlation::random(), Correlation::random());
        assert_ne!(one, other);
        let lengths: Vec<usize> = one.request_id().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(one.request_id().as_bytes()[14], b'4');
        assert!(Correlation::new(one.request_id()).is_ok());
    }

    #[tokio::test]
    async fn work_that_is_handed_on_keeps_its_ids() {
        let seen = || async { Ok(Correlation::current().map(|ids| ids.request_id().to_owned())) };
        let tasks = Tasks::new();
        let ids = Correlation::new("req-1").unwrap();
        assert_eq!(
            ids.scope(tasks.detach(seen())).await.unwrap().as_deref(),
            Some("req-1")
        );
        assert_eq!(tasks.detach(seen()).await.unwrap(), None);
    }
}
