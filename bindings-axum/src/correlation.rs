//! The id of a request, so that it can be followed.

use std::fmt;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::future::BoxFuture;
use posada::correlation::Correlation;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument as _;

use crate::route;

const HEADERS: [&str; 2] = ["x-request-id", "x-correlation-id"];

/// Lets a request be followed.
///
/// Its id is what it brings as `X-Request-ID` or `X-Correlation-ID`, or a new one where it brings none that can be used. It
/// stands in the answer under both names, and in everything that is asked of a hotel's system meanwhile, as does the
/// `traceparent` of the request: see [`posada::correlation`]. Handlers find it as `Extension<Correlation>`, and the log in
/// the span `request` with `id`, `method` and `route`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CorrelationLayer;

impl CorrelationLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for CorrelationLayer {
    type Service = Correlated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Correlated(inner)
    }
}

/// The service of [`CorrelationLayer`].
#[derive(Clone)]
pub struct Correlated<S>(S);

impl<S> fmt::Debug for Correlated<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Correlated(…)")
    }
}

/// The ids that a request brings, as far as they can be sent along.
fn ids(headers: &HeaderMap) -> Correlation {
    let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty());
    let brought = HEADERS.iter().find_map(|name| text(name));
    let id = brought.and_then(|id| Correlation::new(id).ok());
    let id = id.unwrap_or_else(Correlation::random);
    match text("traceparent").map(|place| id.clone().traceparent(place)) {
        Some(Ok(placed)) => placed,
        Some(Err(_)) | None => id,
    }
}

impl<S> Service<Request> for Correlated<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let ids = ids(request.headers());
        let span = tracing::info_span!(
            "request",
            id = ids.request_id(),
            method = %request.method(),
            route = route::of_route(request.extensions()),
        );
        request.extensions_mut().insert(ids.clone());
        let tag = HeaderValue::from_str(ids.request_id());
        let answer = ids.scope(self.0.call(request)).instrument(span);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Ok(tag) = tag {
                for name in HEADERS {
                    response.headers_mut().insert(name, tag.clone());
                }
            }
            Ok(response)
        })
    }
}
