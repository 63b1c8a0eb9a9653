//! The data layer of a multi-tenant hotel backend.
//!
//! A message of a guest asks questions. Each is one service of a [`Posada`] and one module here, whose page holds what
//! the service promises:
//!
//! | question | service | module | over |
//! |---|---|---|---|
//! | Which hotel is it? | [`TenantResolver`] | [`tenants`] | Postgres, answered from memory |
//! | What was said before? | [`SessionManager`] | [`sessions`] | Redis |
//! | May the agent do this? | [`FeatureFlags`] | [`flags`] | Redis, answered from a snapshot |
//! | Is the room still free in twenty minutes? | [`LockManager`] | [`locks`] | Redis, audited in Postgres |
//! | Book it. | [`PmsClient`] | [`pms`] | the hotel's own system |
//! | Who asks, and may they? | [`Authenticator`] | [`auth`] | Postgres and Redis |
//! | How often may they? | [`RateLimiter`] | [`limits`] | Redis |
//!
//! Around them: [`settings`] say where the servers are, [`error`] is everything that can go wrong, [`health`] and
//! [`doctor`] tell how the servers are, [`metrics`] counts, [`migrations`] keeps the schema, [`correlation`] follows a
//! request into other systems, and [`clock`] is time for tests. Values that several services share stand at the root.
//!
//! # One message
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
//! # Features
//!
//! All are on by default. Redis is not one of them: what processes share lives there. What is left out is also not compiled:
//!
//! | feature | gives | crates |
//! |---|---|---|
//! | (none) | locks and holds, conversations, rate limits, plain flags, hotels in memory, the port of hotels' systems | 121 |
//! | `auth` | [`auth`]: sign-in, its sessions and tokens | 27 |
//! | `flags-unleash` | flags with strategies, rollouts and variants; without it the JSON of a definition is one that cannot be used | 47 |
//! | `phone` | the numbering plans of the world; without it a number counts as it was written in international form | 30 |
//! | `pms-qloapps` | bookings in QloApps; without it: in the mock, or in a system of the program's own | 23 |
//! | `postgres` | what is to last; without it hotels, users, fences and the audit live in memory | 42 |
//! | `testkit` | suites and simulators for tests, with all of the above | |
//!
//! Some crates are in the count of several features: all of them together are 259. A setting that asks for what was left
//! out is `settings.invalid`.
//!
//! # Values as JSON
//!
//! What a program stores or answers is `serde::Serialize`, and what it receives or reads again is `Deserialize`, checked as
//! by the value's own `parse` or `new`. The members have the names of the fields, which are those of the other languages;
//! dates are texts in the forms of ISO 8601, lengths of time are seconds, and an amount is a text with as many decimals
//! as people write in its currency:
//!
//! ```
//! use posada::{Money, Stay};
//! let stay: Stay = serde_json::from_str(r#"{"check_in": "2027-03-10", "check_out": "2027-03-12"}"#)?;
//! assert_eq!(stay.nights(), 2);
//! let night = Money::parse("1300", "USD").unwrap();
//! assert_eq!(serde_json::to_string(&night)?, r#"{"amount":"1300.00","currency":"USD"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! There is no feature for this, because posada itself needs `serde`. On purpose some values have only one half, or none:
//!
//! | value | why |
//! |---|---|
//! | [`settings::Secret`] is only read; [`auth::TokenPair`] is neither | what is secret is answered by name, or not at all |
//! | [`pms::Guest`] is only read, [`pms::GuestProfile`] and a booking's guest and key are not written | they say who a guest is, or hold a phone number; so does [`sessions::ActiveSession`] |
//! | the name and the e-mail address of an [`auth::User`] are not written | a user may be a guest |
//! | [`Claims`] are only written | only a token vouches for them |
//! | [`locks::Hold`], its ticket and its proof, a [`locks::LockGuard`] | a program that has one holds the nights; `ticket()` is the text to keep |
//! | a [`pms::BookingRequest`] and a [`pms::BookingChange`] | the program puts them together from a quote, a guest and a key |
//!
//! Every async method says whether dropping its future has no effect (*cancel-safe read*), loses only the answer
//! (*detached*) or releases what it acquired (*owned*). Use posada inside a tokio runtime.

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        feature = "auth",
        feature = "flags-unleash",
        feature = "phone",
        feature = "pms-qloapps",
        feature = "postgres"
    )),
    allow(
        dead_code,
        unused_imports,
        reason = "what only a feature uses that is left out"
    )
)]

#[cfg(feature = "auth")]
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
#[cfg(test)]
mod guidelines;
pub mod health;
mod hex;
mod ids;
pub mod limits;
pub mod locks;
#[cfg(unix)]
mod loop_connections;
pub mod maintenance;
pub mod metrics;
pub mod migrations;
pub mod pms;
mod posada;
mod redact;
mod rng;
mod scope;
mod seldom;
pub mod sessions;
pub mod settings;
mod single_flight;
mod stay;
mod sync;
mod task;
pub mod tenants;
#[cfg(any(test, feature = "testkit"))]
#[allow(
    missing_debug_implementations,
    reason = "harnesses of tests, which are not printed"
)]
pub mod testkit;
mod text;
mod wire;

/// Dates and times in the public interface are of this crate.
pub use chrono;
/// Amounts of [`Money`] are decimals of this crate.
pub use rust_decimal;

#[cfg(feature = "auth")]
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

/// The guide's system, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/add-a-pms.md")]
struct AddAPms;
