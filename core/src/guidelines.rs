//! What the compiler can hold of `docs/api-guidelines.md`: handles, values, options and guards cross threads and show
//! themselves, values compare, and errors go where any error goes.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use crate::*;

fn crosses_threads<T: Send + Sync + Debug + 'static>() {}
fn is_a_handle<T: Clone + Send + Sync + Debug + 'static>() {}
fn is_a_value<T: Clone + PartialEq + Send + Sync + Debug + 'static>() {}
fn is_a_key<T: Clone + Eq + Hash + Send + Sync + Debug + 'static>() {}
fn is_a_word<T: Copy + Eq + Hash + Display + Send + Sync + Debug + 'static>() {}

#[test]
fn handles_are_cloned_and_cross_threads() {
    is_a_handle::<Posada>();
    is_a_handle::<TenantResolver>();
    is_a_handle::<SessionManager>();
    is_a_handle::<FeatureFlags>();
    is_a_handle::<LockManager>();
    is_a_handle::<PmsClient>();
    is_a_handle::<Authenticator>();
    is_a_handle::<RateLimiter>();
    is_a_handle::<pms::MockPms>();
    is_a_handle::<clock::ManualClock>();
    crosses_threads::<PosadaBuilder>();
    crosses_threads::<settings::SettingsBuilder>();
    crosses_threads::<metrics::Prometheus>();
}

#[test]
fn guards_and_watches_cross_threads() {
    crosses_threads::<locks::LockGuard>();
    crosses_threads::<locks::Hold>();
    crosses_threads::<flags::FlagWatch>();
    crosses_threads::<pms::PmsEvents>();
    crosses_threads::<pms::Changes>();
    crosses_threads::<sessions::Session>();
    crosses_threads::<flags::FlagSnapshot>();
}

#[test]
fn what_is_given_and_returned_compares() {
    is_a_value::<Settings>();
    is_a_value::<Claims>();
    is_a_value::<auth::AuthOptions>();
    is_a_value::<auth::NewUser>();
    is_a_value::<auth::SignIn>();
    is_a_value::<auth::SignInSession>();
    is_a_value::<auth::TokenPair>();
    is_a_value::<auth::User>();
    is_a_value::<doctor::Diagnosis>();
    is_a_value::<flags::Context<'static>>();
    is_a_value::<flags::Evaluation>();
    is_a_value::<flags::Flag>();
    is_a_value::<flags::FlagStatus>();
    is_a_value::<health::Health>();
    is_a_value::<limits::Decision>();
    is_a_value::<locks::AcquireOptions>();
    is_a_value::<locks::AuditEntry>();
    is_a_value::<locks::HoldState>();
    is_a_value::<locks::LockState>();
    is_a_value::<locks::StayHold>();
    is_a_value::<migrations::Applied>();
    is_a_value::<pms::Availability>();
    is_a_value::<pms::Booking>();
    is_a_value::<pms::BookingChange>();
    is_a_value::<pms::BookingRequest>();
    is_a_value::<pms::Capabilities>();
    is_a_value::<pms::Change>();
    is_a_value::<pms::Folio>();
    is_a_value::<pms::Guest>();
    is_a_value::<pms::Hotel>();
    is_a_value::<pms::MissingPermission>();
    is_a_value::<pms::Offer>();
    is_a_value::<pms::Price>();
    is_a_value::<pms::Quote>();
    is_a_value::<pms::RoomType>();
    is_a_value::<pms::Service>();
    is_a_value::<pms::port::ChangePage>();
    is_a_value::<pms::port::Record>();
    is_a_value::<pms::port::RowChange>();
    is_a_value::<pms::port::StockNight>();
    is_a_value::<sessions::ActiveSession>();
    is_a_value::<sessions::Document>();
    is_a_value::<sessions::Json>();
    is_a_value::<sessions::Turn>();
    is_a_value::<settings::PostgresSettings>();
    is_a_value::<settings::RedisSettings>();
    is_a_value::<settings::Secret>();
    is_a_value::<tenants::NewTenant>();
    is_a_value::<tenants::Resolution>();
    is_a_value::<tenants::Tenant>();
    is_a_value::<tenants::TenantStats>();
    is_a_value::<tenants::TenantUpdate>();
}

#[test]
fn what_names_something_is_a_key_of_maps() {
    is_a_key::<IdempotencyKey>();
    is_a_key::<Money>();
    is_a_key::<Stay>();
    is_a_key::<TenantId>();
    is_a_key::<auth::Permission>();
    is_a_key::<correlation::Correlation>();
    is_a_key::<flags::FlagValue>();
    is_a_key::<limits::RateLimit>();
    is_a_key::<locks::LockName>();
    is_a_key::<locks::Resource>();
    is_a_key::<pms::BookingId>();
    is_a_key::<pms::Currency>();
    is_a_key::<pms::HotelId>();
    is_a_key::<pms::Occupancy>();
    is_a_key::<tenants::BusinessHours>();
    is_a_key::<tenants::Identifier>();
}

#[test]
fn what_is_one_of_a_list_is_a_word() {
    is_a_word::<Code>();
    is_a_word::<Kind>();
    is_a_word::<auth::AuthEventKind>();
    is_a_word::<auth::ClaimsSource>();
    is_a_word::<auth::Profile>();
    is_a_word::<auth::Role>();
    is_a_word::<auth::TokenKind>();
    is_a_word::<doctor::Severity>();
    is_a_word::<flags::FlagSource>();
    is_a_word::<flags::Reason>();
    is_a_word::<health::Check>();
    is_a_word::<limits::Strategy>();
    is_a_word::<locks::AuditEvent>();
    is_a_word::<locks::LossCause>();
    is_a_word::<locks::Release>();
    is_a_word::<pms::BookingStatus>();
    is_a_word::<pms::Feature>();
    is_a_word::<settings::Environment>();
    is_a_word::<settings::TlsMode>();
    is_a_word::<tenants::Channel>();
    is_a_word::<tenants::IdentifierKind>();
    is_a_word::<tenants::ResolutionSource>();
    is_a_word::<tenants::TenantStatus>();
}

#[test]
fn an_error_goes_where_any_error_goes() {
    fn is_good<T: StdError + Send + Sync + 'static>() {}
    is_good::<Error>();
    let error: Box<dyn StdError + Send + Sync> = TenantId::parse("").unwrap_err().into();
    assert!(
        error
            .downcast_ref::<Error>()
            .is_some_and(|error| error.kind() == Kind::Invalid)
    );
}
