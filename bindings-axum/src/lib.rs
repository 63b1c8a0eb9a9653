//! posada in an [axum] service: extractors, layers, answers to errors, and the pages for operators.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use posada::Posada;
//! use posada_axum::{
//!     Authenticated, CorrelationLayer, Flag, FlagName, MetricsLayer, Networks, RateLimitLayer, Result, Scope,
//!     health_routes, metrics_routes,
//! };
//!
//! struct Chat;
//!
//! impl FlagName for Chat {
//!     const NAME: &'static str = "chat.enabled";
//! }
//!
//! /// Only the hotel of the caller can be touched here.
//! async fn conversations(Scope(hotel): Scope, user: Authenticated, chat: Flag<Chat>) -> Result<String> {
//!     let count = hotel.sessions().count(None).await?;
//!     Ok(format!("{} sees {count}, chat {}", user.user_id, chat.is_on()))
//! }
//!
//! fn app(posada: Posada) -> posada::Result<Router> {
//!     Ok(Router::new()
//!         .route("/conversations", get(conversations))
//!         .route_layer(RateLimitLayer::new(&posada, "30/minute")?)
//!         .merge(health_routes())
//!         .merge(metrics_routes(Networks::loopback()))
//!         .layer(CorrelationLayer::new())
//!         .layer(MetricsLayer::new())
//!         .with_state(posada))
//! }
//! # app(Posada::embedded()).unwrap();
//! ```
//!
//! The handle is in the router's state: [`Posada`](posada::Posada) itself, or anything from which
//! [`FromRef`](axum::extract::FromRef) gives it. Handlers answer `posada_axum::Result`, and `?` takes errors of posada.
//!
//! What is answered, and under which name requests are counted, is the same as in the kits of the other languages;
//! `tests/vectors/kits/kits.json` holds them together. A fault of the servers is answered 503 or 504, never 401 or 403.
//!
//! Serve the router with `into_make_service_with_connect_info::<SocketAddr>()`: without the address of the other end all
//! callers share one quota, and sign-in cannot tell a client that guesses from the others. Behind a proxy, add
//! [`ProxiesLayer`].

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod correlation;
mod error;
mod failures;
mod flag;
mod health;
mod json;
mod metrics;
mod networks;
mod peer;
mod permitted;
mod rate_limit;
mod route;
mod tenant;
mod user;

pub use correlation::{Correlated, CorrelationLayer};
pub use error::{Error, Result};
pub use flag::{Flag, FlagName};
pub use health::health_routes;
pub use json::Json;
pub use metrics::{Counted, MetricsLayer, metrics_routes};
pub use networks::Networks;
pub use peer::{BehindProxies, Peer, ProxiesLayer};
pub use permitted::{HotelOf, Permit, Permitted};
pub use rate_limit::{Limited, RateLimitLayer};
pub use tenant::{CurrentTenant, Scope};
pub use user::{Authenticated, Privileged, Superuser};

/// The README's code, compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
