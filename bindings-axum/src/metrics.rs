//! How many requests there were, and the page on which Prometheus reads it.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use metrics::SharedString;
use posada::clock::{Clock as _, SystemClock};
use posada::metrics::Prometheus;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Error;
use crate::networks::Networks;
use crate::peer::Peer;
use crate::route;

/// What HTTP calls its methods. A caller may write anything else, and each would be a series.
const METHODS: [(Method, &str); 9] = [
    (Method::GET, "GET"),
    (Method::HEAD, "HEAD"),
    (Method::POST, "POST"),
    (Method::PUT, "PUT"),
    (Method::PATCH, "PATCH"),
    (Method::DELETE, "DELETE"),
    (Method::OPTIONS, "OPTIONS"),
    (Method::CONNECT, "CONNECT"),
    (Method::TRACE, "TRACE"),
];

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts the requests of the service and how long they take.
///
/// They are `http_requests_total` by `method`, `endpoint` and `status_code`, and `http_request_duration_seconds` by the
/// first two, in whatever recorder of the crate `metrics` the program has installed, such as that of [`metrics_routes`].
/// The endpoint is the route, such as `/guests/{guest}`; a request of no route is `other`, so that no client fills the
/// memory with paths. One that panics counts as 500, and one whose caller went away before the answer is not counted. Add
/// the layer last, so that it sees what the others answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetricsLayer;

impl MetricsLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted(inner)
    }
}

/// The service of [`MetricsLayer`].
#[derive(Clone)]
pub struct Counted<S>(S);

impl<S> fmt::Debug for Counted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted(…)")
    }
}

/// A request that is counted when its answer is known, or when it panics.
struct Pending {
    method: &'static str,
    endpoint: SharedString,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Pending {
    fn new(request: &Request) -> Self {
        let method = request.method();
        let known = METHODS.iter().find(|(known, _)| known == method);
        Self {
            method: known.map_or("OTHER", |(_, name)| name),
            endpoint: route::of_route(request.extensions()).to_owned().into(),
            begun: SystemClock.instant(),
            status: None,
        }
    }

    fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let panicked = std::thread::panicking().then_some(StatusCode::INTERNAL_SERVER_ERROR);
        let Some(status) = self.status.or(panicked) else {
            return;
        };
        let took = SystemClock.instant().saturating_duration_since(self.begun);
        metrics::counter!(
            "http_requests_total",
            "method" => self.method, "endpoint" => self.endpoint.clone(), "status_code" => status.as_str().to_owned()
        )
        .increment(1);
        metrics::histogram!(
            "http_request_duration_seconds",
            "method" => self.method, "endpoint" => self.endpoint.clone()
        )
        .record(took);
    }
}

impl<S> Service<Request> for Counted<S>
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

    fn call(&mut self, request: Request) -> Self::Future {
        let mut pending = Pending::new(&request);
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            pending.answered(response.status());
            Ok(response)
        })
    }
}

/// `/metrics` for Prometheus, for these addresses at the other end of the socket; 403 for the others.
///
/// Make it before the first [`Posada`](posada::Posada), some of whose counters are found once: counting begins with it. A
/// program that has another recorder of the crate `metrics` has a page of its own; this one then answers 501.
pub fn metrics_routes<S>(allowed: Networks) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let recorder = Prometheus::install();
    Router::new().route(
        "/metrics",
        get(async move |Peer(peer): Peer| page(recorder, &allowed, peer)),
    )
}

fn page(recorder: Option<&Prometheus>, allowed: &Networks, peer: Option<std::net::IpAddr>) -> Response {
    if !allowed.contains(peer) {
        return Error::new(StatusCode::FORBIDDEN, "Forbidden").into_response();
    }
    match recorder {
        Some(recorder) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], recorder.render()).into_response(),
        None => Error::new(StatusCode::NOT_IMPLEMENTED, "another recorder is installed").into_response(),
    }
}
