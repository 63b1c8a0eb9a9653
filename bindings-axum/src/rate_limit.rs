//! A number of requests in a span of time.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use posada::Posada;
use posada::limits::RateLimit;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Error;
use crate::{peer, route};

type Key = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// A number of requests in a span of time, for each key and route; 429 with `Retry-After` for more.
///
/// A route is its path with the names of its parameters, such as `/guests/{guest}`, for all guests together: add the layer
/// with [`route_layer`](axum::Router::route_layer), or with [`layer`](axum::Router::layer), where what has no route is
/// counted too. The key is the address at the other end ([`Peer`](crate::Peer)), or what [`key`](Self::key) says. A key
/// that is an IPv6 address counts by its /64, as in sign-in; requests without one count together. They are counted where
/// the limiter of the handle counts, together with those of the other languages. While Redis is down, each process counts
/// for itself.
#[derive(Clone)]
pub struct RateLimitLayer(Quota);

#[derive(Clone)]
struct Quota {
    posada: Posada,
    limit: RateLimit,
    key: Key,
}

impl RateLimitLayer {
    /// A limit such as `30/minute`, in the notation of [`RateLimit::parse`], for each address.
    ///
    /// # Errors
    /// `limits.invalid` for a text that is none.
    pub fn new(posada: &Posada, limit: &str) -> posada::Result<Self> {
        Ok(Self(Quota {
            posada: posada.clone(),
            limit: limit.parse()?,
            key: Arc::new(|parts| peer::of(&parts.extensions).map(|address| address.to_string())),
        }))
    }

    /// Counts by something else than the address, such as a user or a key of the program's own.
    #[must_use]
    pub fn key(mut self, key: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.0.key = Arc::new(key);
        self
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateLimitLayer({})", self.0.limit)
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited {
            inner,
            quota: self.0.clone(),
        }
    }
}

/// The service of [`RateLimitLayer`].
#[derive(Clone)]
pub struct Limited<S> {
    inner: S,
    quota: Quota,
}

impl<S> fmt::Debug for Limited<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limited({})", self.quota.limit)
    }
}

impl Quota {
    async fn admit(&self, whose: Option<String>, route: &str) -> Result<(), Error> {
        let counted = whose.map_or_else(|| "local".to_owned(), |key| peer::together(&key));
        let decision = self
            .posada
            .limits()
            .check(&self.limit, &[&counted, route])
            .await?;
        decision.into_result()?;
        Ok(())
    }
}

impl<S> Service<Request> for Limited<S>
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // What was polled for readiness is what is called.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let quota = self.quota.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let route = route::of_route(&parts.extensions).to_owned();
            match quota.admit((quota.key)(&parts), &route).await {
                Ok(()) => ready.call(Request::from_parts(parts, body)).await,
                Err(refusal) => Ok(refusal.into_response()),
            }
        })
    }
}
