//! posada

#![forbid(unsafe_code)]

mod backends;
mod clock;
pub mod error;
mod flags;
mod health;
mod limits;
mod locks;
mod metrics;
mod pms;
mod posada;
mod rng;
mod sessions;
pub mod settings;
mod stay;
mod task;
mod tenants;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod text;

pub use backends::postgres::migrations::Applied;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use error::{Code, Error, Kind, Result, Retry, codes};
pub use flags::{
    Context, DEFAULT_FLAGS, Evaluation, FeatureFlags, Flag, FlagChange, FlagDefinition, FlagOptions,
    FlagPayload, FlagSnapshot, FlagSource, FlagStatus, FlagValue, FlagVariant, FlagWatch, Reason,
};
pub use health::{Check, Health};
pub use limits::{Decision, FailurePolicy, Granularity, RateLimit, RateLimiter, Strategy};
pub use locks::{
    AcquireOptions, AuditEntry, AuditEvent, Hold, HoldState, LockGuard, LockManager, LockName, LockState,
    LossCause, Release, Resource, StayHold,
};
pub use pms::{
    Availability, BookedRoom, Booking, BookingId, BookingRequest, BookingStatus, Created, Currency, Guest,
    HoldProof, Hotel, HotelId, IdempotencyKey, MockCollision, MockFault, MockOperation, MockPms, Money,
    Occupancy, OccupancyLimits, Offer, Party, PmsClient, Quote, RoomId, RoomType, RoomTypeId,
};
pub use posada::{Posada, PosadaBuilder};
pub use sessions::{
    ActiveSession, Document, Json, JsonNumber, JsonObject, JsonText, Session, SessionManager, Turn,
};
pub use settings::Settings;
pub use stay::Stay;
pub use tenants::{
    BusinessHours, Channel, Identifier, IdentifierKind, NewTenant, Resolution, ResolutionSource, Tenant,
    TenantId, TenantResolver, TenantStats, TenantStatus, TenantUpdate,
};
