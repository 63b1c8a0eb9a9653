//! The data layer of a multi-tenant hotel backend.
//!
//! A guest's message needs five answers, and each is one service of a [`Posada`]:
//!
//! 1. Which hotel is it? [`TenantResolver`], over Postgres, answered from memory.
//! 2. What was said before? [`SessionManager`], over Redis.
//! 3. May the agent do this? [`FeatureFlags`], over Redis, answered from a snapshot.
//! 4. Is the room still free in twenty minutes? [`LockManager`], over Redis, audited in Postgres.
//! 5. Book it: [`PmsClient`], over the hotel's own system.
//!
//! Who may ask all this is the business of the [`Authenticator`]. Beside them stand [`RateLimiter`], [`Settings`] for
//! where the servers are, and [`Error`] for everything that can go wrong. Values that several services share are
//! [`TenantId`] and [`Stay`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::flags::Context;
//! use posada::tenants::{NewTenant, Resolution};
//! use posada::Posada;
//!
//! let posada = Posada::embedded();
//! posada.tenants().create(NewTenant::new("hotel-test", "Hotel Test")?).await?;
//! posada.tenants().add_identifier(&"hotel-test".parse()?, "+5491112345678", None).await?;
//!
//! let Resolution::Found { tenant, .. } = posada.tenants().resolve("5491112345678", None).await? else {
//!     unreachable!("it was added above");
//! };
//! let session = posada.sessions().get_or_create(&tenant.id, "5491187654321", "whatsapp").await?;
//! assert_eq!(session.document.state(), Some("initial"));
//! assert!(!posada.flags().is_enabled("canary.enabled", &Context::new().tenant(&tenant.id)));
//! posada.close().await
//! # }
//! ```
//!
//! Every async method says whether dropping its future has no effect (*cancel-safe read*), loses only the answer
//! (*detached*) or releases what it acquired (*owned*). Use posada inside a tokio runtime.

#![forbid(unsafe_code)]

pub mod auth;
mod backends;
#[doc(hidden)]
pub mod bridge;
pub mod clock;
mod conversions;
pub mod correlation;
mod disk;
pub mod doctor;
pub mod error;
pub mod flags;
pub mod health;
mod hex;
pub mod limits;
pub mod locks;
pub mod metrics;
pub mod migrations;
pub mod pms;
mod posada;
mod prometheus;
mod redact;
mod rng;
mod scope;
mod seldom;
pub mod sessions;
pub mod settings;
mod stay;
mod task;
pub mod tenants;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod text;

#[doc(inline)]
pub use auth::{Authenticator, Claims};
#[doc(inline)]
pub use error::{Code, Error, Kind, Result, Retry};
#[doc(inline)]
pub use flags::FeatureFlags;
#[doc(inline)]
pub use limits::RateLimiter;
#[doc(inline)]
pub use locks::LockManager;
#[doc(inline)]
pub use pms::{IdempotencyKey, Money, PmsClient};
pub use posada::{Posada, PosadaBuilder};
#[doc(inline)]
pub use sessions::SessionManager;
#[doc(inline)]
pub use settings::Settings;
pub use stay::Stay;
#[doc(inline)]
pub use tenants::{TenantId, TenantResolver};

/// The README's code, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
