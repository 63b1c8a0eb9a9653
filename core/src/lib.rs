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
//! use posada::{Context, NewTenant, Posada, Resolution};
//!
//! let posada = Posada::embedded();
//! posada.tenants().create(NewTenant::new("hotel-test", "Hotel Test")?).await?;
//! posada.tenants().add_identifier(&"hotel-test".parse()?, "+5491112345678", None).await?;
//!
//! let Resolution::Found { tenant, .. } = posada.tenants().resolve("5491112345678", None).await? else {
//!     unreachable!("it was added above");
//! };
//! let session = posada.sessions().get_or_create("5491187654321", "whatsapp", Some(&tenant.id)).await?;
//! assert_eq!(session.document.state(), Some("initial"));
//! assert!(!posada.flags().is_enabled("canary.enabled", &Context::tenant(&tenant.id)));
//! posada.close().await
//! # }
//! ```
//!
//! Every async method says whether dropping its future has no effect (*cancel-safe read*), loses only the answer
//! (*detached*) or releases what it acquired (*owned*). Use posada inside a tokio runtime.

#![forbid(unsafe_code)]

mod auth;
mod backends;
mod clock;
mod correlation;
mod disk;
mod doctor;
pub mod error;
mod flags;
mod health;
mod hex;
#[cfg(unix)]
mod lane;
mod limits;
mod locks;
mod metrics;
mod pms;
mod posada;
mod prometheus;
mod redact;
mod rng;
mod seldom;
mod sessions;
pub mod settings;
mod stay;
mod task;
mod tenants;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod text;

pub use auth::{
    AUTH_FAILURE_POLICY, AuditSink, AuthDependency, AuthEvent, AuthEventKind, AuthFallback, AuthOptions,
    AuthStep, Authenticator, Claims, ClaimsSource, NewUser, PasswordPolicy, Permission, Profile, Role,
    SignIn, SignInSession, TokenKind, TokenPair, User, legacy_password_hash, password_matches,
};
pub use backends::postgres::migrations::Applied;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use correlation::Correlation;
pub use doctor::{Diagnosis, Finding, Severity};
pub use error::{Code, Error, Kind, Result, Retry, codes};
pub use flags::{
    Context, DEFAULT_FLAGS, Evaluation, FeatureFlags, Flag, FlagChange, FlagDefinition, FlagOptions,
    FlagPayload, FlagSnapshot, FlagSource, FlagStatus, FlagValue, FlagVariant, FlagWatch, Reason,
};
pub use health::{Check, Health};
#[cfg(unix)]
pub use lane::{InLane, Lane};
pub use limits::{Decision, FailurePolicy, Granularity, RateLimit, RateLimiter, Strategy};
pub use locks::{
    AcquireOptions, AuditEntry, AuditEvent, Hold, HoldState, LockGuard, LockManager, LockName, LockState,
    LossCause, Release, Resource, StayHold,
};
pub use pms::{
    Availability, BookedRoom, BookedService, Booking, BookingChange, BookingId, BookingRequest,
    BookingStatus, Change, ChangeCursor, Changes, ChosenService, Collision, Created, Currency, Folio,
    FolioLine, Guest, GuestId, GuestProfile, HoldProof, Hotel, HotelId, IdempotencyKey, Invoice,
    MissingPermission, MockCollision, MockFault, MockOperation, MockPms, Money, Occupancy, OccupancyLimits,
    Offer, Party, Payment, PmsClient, PmsEvent, PmsEvents, Quote, QuotedService, RoomId, RoomType,
    RoomTypeId, Service, ServiceId, Settle,
};
pub use posada::{Posada, PosadaBuilder};
pub use prometheus::Prometheus;
pub use sessions::{
    ActiveSession, Document, Json, JsonNumber, JsonObject, JsonText, Session, SessionManager, Turn,
};
pub use settings::Settings;
pub use stay::Stay;
pub use tenants::{
    BusinessHours, Channel, Identifier, IdentifierKind, NewTenant, Resolution, ResolutionSource, Tenant,
    TenantId, TenantResolver, TenantStats, TenantStatus, TenantUpdate,
};

/// The README's code, compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
