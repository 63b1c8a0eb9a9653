//! The one table of settings. A row makes the variable with its line in SETTINGS.md, the option of the builder, which
//! every language has under the same name, and for the numbers of [`Values`] the default, the check of the range and
//! the getter, too. docs/guides/add-a-setting.md goes through it.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pms::PmsType;
use super::postgres_source::Pooler;
use super::postgres_url::tls_mode;
use super::redis_url::database_number;
use super::sourced::{Fault, Slot, seconds, whole_number, yes_or_no};
use super::variables::Variable;
use super::{Environment, Secret, Settings, SettingsBuilder, TlsMode};
use crate::TenantId;
use crate::error::Result;

/// How a program of another language reads the value of an option, by its kind. The name is for errors.
#[doc(hidden)]
pub trait OptionSource {
    /// What it says when the value is of another type.
    type Error;

    /// A number without a fraction.
    fn whole(&self, name: &'static str) -> Result<u32, Self::Error>;
    /// A number that a PMS gave to a hotel.
    fn id(&self, name: &'static str) -> Result<u64, Self::Error>;
    /// A time.
    fn time(&self, name: &'static str) -> Result<Duration, Self::Error>;
    /// Yes or no.
    fn yes_or_no(&self, name: &'static str) -> Result<bool, Self::Error>;
    /// A text that is shown nowhere.
    fn secret(&self, name: &'static str) -> Result<String, Self::Error>;
    /// A file or folder.
    fn path(&self, name: &'static str) -> Result<PathBuf, Self::Error>;
    /// The kind of installation.
    fn environment(&self, name: &'static str) -> Result<Environment, Self::Error>;
    /// How Postgres is asked for TLS.
    fn tls(&self, name: &'static str) -> Result<TlsMode, Self::Error>;
    /// A tenant.
    fn tenant(&self, name: &'static str) -> Result<TenantId, Self::Error>;
}

/// One of the numbers that say how posada behaves.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingValue {
    /// A time.
    Time(Duration),
    /// A number without a fraction.
    Whole(u32),
}

impl From<Duration> for SettingValue {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<u32> for SettingValue {
    fn from(number: u32) -> Self {
        Self::Whole(number)
    }
}

/// The type of an option of a kind.
#[rustfmt::skip]
macro_rules! given {
    (whole) => { u32 };
    (id) => { u64 };
    (time) => { Duration };
    (yes_or_no) => { bool };
    (secret) => { impl Into<Secret> };
    (path) => { impl Into<PathBuf> };
    (environment) => { Environment };
    (tls) => { TlsMode };
    (tenant) => { TenantId };
}

/// The text of a variable as a value of a kind.
#[rustfmt::skip]
macro_rules! read {
    (whole, $text:ident) => { whole_number::<u32>($text.trim())? };
    (id, $text:ident) => { whole_number::<u64>($text.trim())? };
    (time, $text:ident) => { seconds($text.trim())? };
    (minutes, $text:ident) => { minutes($text.trim())? };
    (yes_or_no, $text:ident) => { yes_or_no($text.trim())? };
    (secret, $text:ident) => { $text };
    (text, $text:ident) => { $text };
    (trimmed, $text:ident) => { $text.trim() };
    (path, $text:ident) => { $text.trim() };
    (environment, $text:ident) => { Environment::read($text)? };
    (tls, $text:ident) => { tls_mode($text.trim())? };
    (tenant, $text:ident) => { tenant($text.trim())? };
    (moment, $text:ident) => { moment($text.trim())? };
    (port, $text:ident) => { port($text.trim())? };
    (database, $text:ident) => { database_number($text.trim())? };
    (pooler, $text:ident) => { Pooler::parse($text.trim())? };
    (pms, $text:ident) => { PmsType::parse($text.trim())? };
    (algorithm, $text:ident) => { algorithm($text.trim())? };
    (nothing, $text:ident) => { { let _ = $text; } };
}

/// A number of a row of [`Values`]: in seconds, in minutes, or how often. Its type, one of its values (a literal, or
/// another row's), and its unit in words.
#[rustfmt::skip]
macro_rules! number {
    (type times) => { u32 };
    (type $unit:ident) => { Duration };
    (times $number:literal) => { $number };
    (seconds $number:literal) => { Duration::from_secs($number) };
    (minutes $number:literal) => { Duration::from_secs(60 * $number) };
    (read times $text:ident) => { read!(whole, $text) };
    (read seconds $text:ident) => { read!(time, $text) };
    (read minutes $text:ident) => { read!(minutes, $text) };
    (given times $source:ident, $name:expr) => { $source.whole($name)? };
    (given $unit:ident $source:ident, $name:expr) => { $source.time($name)? };
    (words times) => { "" };
    (words seconds) => { "in seconds, " };
    (words minutes) => { "in minutes, " };
    ($unit:ident $other:ident) => { $other };
}

/// Where an option is kept: `[postgres.pool_size]`.
macro_rules! place {
    ($builder:ident, [$($part:ident).+]) => {
        $builder.$($part).+
    };
}

macro_rules! settings {
    (
        options: $($variable:literal = $usual:literal, $what:literal, $place:tt: $kind:ident $(=> $option:ident)?;)*
        values: $($name:literal = $default:literal, $meaning:literal, $value:ident, $constant:ident:
            $unit:ident $least:tt to $most:literal $(, $more:literal)?;)*
    ) => {
        impl Variable {
            /// Every variable, in the order of SETTINGS.md.
            pub const ALL: &[Self] = &[
                $(Self {
                    name: $variable,
                    what: $what,
                    default: $usual,
                    read: |builder, name, text| {
                        place!(builder, $place).set_by_variable(name, read!($kind, text));
                        Ok(())
                    },
                },)*
                $(Self {
                    name: $name,
                    what: concat!($meaning, ", ", number!(words $unit), stringify!($least), " to ", $most, "."
                        $(, " ", $more)?),
                    default: stringify!($default),
                    read: |builder, name, text| {
                        builder.values.$value.set_by_variable(name, number!(read $unit text));
                        Ok(())
                    },
                },)*
            ];
        }

        /// Options. Each takes the place of the variable that it names; what is a time here is a number of seconds
        /// there.
        impl SettingsBuilder {
            $($(
                #[doc = concat!($what, "\n\nAs the variable `", $variable, "`, whose default is \"", $usual, "\".")]
                #[must_use]
                pub fn $option(mut self, value: given!($kind)) -> Self {
                    place!(self, $place).set_by_code(stringify!($option), value);
                    self
                }
            )?)*
            $(
                #[doc = concat!($meaning, ", ", number!(words $unit), stringify!($least), " to ", $most, "."
                    $(, " ", $more)?, "\n\nAs the variable `", $name, "`, whose default is ", $default, ".")]
                #[must_use]
                pub fn $value(mut self, value: number!(type $unit)) -> Self {
                    self.values.$value.set_by_code(stringify!($value), value);
                    self
                }
            )*

            /// Sets the option of a name to what a program of another language gives; `None` when there is none.
            ///
            /// # Errors
            /// What the source says about a value of another type.
            #[doc(hidden)]
            pub fn option<S: OptionSource>(self, name: &str, source: &S) -> Result<Option<Self>, S::Error> {
                Ok(Some(match name {
                    "postgres_url" => self.postgres_url(source.secret("postgres_url")?),
                    $($(stringify!($option) => self.$option(source.$kind(stringify!($option))?),)?)*
                    $(stringify!($value) => self.$value(number!(given $unit source, stringify!($value))),)*
                    _ => return Ok(None),
                }))
            }

            /// The names that [`option`](Self::option) knows.
            #[doc(hidden)]
            pub const OPTIONS: &[&str] =
                &["postgres_url", $($(stringify!($option),)?)* $(stringify!($value),)*];
        }

        /// The numbers that say how posada behaves.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct Values {$(
            $value: number!(type $unit),
        )*}

        /// The same as they were given.
        #[derive(Debug, Clone, Default)]
        pub(super) struct GivenValues {$(
            $value: Slot<number!(type $unit)>,
        )*}

        impl Default for Values {
            fn default() -> Self {
                Self {$($value: Settings::$constant,)*}
            }
        }

        impl GivenValues {
            /// Checks the ranges, in the order of the table.
            pub(super) fn resolve(&self) -> Result<Values> {
                $(
                    let least = number!($unit $least);
                    let range = least..=number!($unit $most);
                    let $value = self.$value.within(range, Settings::$constant.max(least))?;
                )*
                Ok(Values {$($value,)*})
            }
        }

        /// How posada behaves: the defaults.
        impl Settings {$(
            #[doc = concat!("Default of [`", stringify!($value), "`](Self::", stringify!($value), "): ",
                $default, " ", stringify!($unit), ".")]
            pub const $constant: number!(type $unit) = number!($unit $default);
        )*}

        /// How posada behaves.
        impl Settings {
            $(
                #[doc = concat!($meaning, "." $(, " ", $more)?)]
                pub fn $value(&self) -> number!(type $unit) {
                    self.values.$value
                }
            )*

            /// What the getter of a name returns, for programs of other languages; `None` when there is none.
            #[doc(hidden)]
            pub fn value(&self, name: &str) -> Option<SettingValue> {
                Some(match name {
                    $(stringify!($value) => self.values.$value.into(),)*
                    _ => return None,
                })
            }
        }
    };
}

// Options: variable, default, meaning, place and kind, name of the option. Their ranges are checked where the place is
// read. Values: variable, default, meaning, name, constant, unit, least and most, and more words.
settings! {
    options:
    "ENVIRONMENT" = "development", "`development`, `staging` or `production`. Production refuses placeholder secrets, \
        and stores and a PMS that were not chosen.", [environment]: environment => environment;

    "DATABASE_URL" = "", "Where Postgres is: `postgresql://user:password@host:port/database?sslmode=…`, or `memory:`.",
        [postgres.database_url]: secret;
    "POSTGRES_URL" = "", "The same, read when `DATABASE_URL` is not set.", [postgres.postgres_url]: secret;
    "POSTGRES_HOST" = "", "Host, address or socket directory; this and the next four are read when no URL is set, and \
        taken as they are, without percent-encoding.", [postgres.host]: trimmed;
    "POSTGRES_PORT" = "5432", "Port.", [postgres.port]: port;
    "POSTGRES_DB" = "", "Database; by default the one named after the user.", [postgres.database]: text;
    "POSTGRES_USER" = "postgres", "User; behind Supabase's pooler `postgres.<project-ref>`.", [postgres.user]: text;
    "POSTGRES_PASSWORD" = "", "Password.", [postgres.password]: secret;
    "SUPABASE_DATABASE_URL" = "", "As `DATABASE_URL`, read last.", [postgres.supabase_url]: secret;
    "POSTGRES_POOL_SIZE" = "10", "Connections that are kept, 1 to 1000.",
        [postgres.pool_size]: whole => postgres_pool_size;
    "POSTGRES_MAX_OVERFLOW" = "10", "Connections beyond those, closed when idle, 0 to 1000.",
        [postgres.max_overflow]: whole => postgres_max_overflow;
    "POSTGRES_POOLER" = "auto", "What stands before Postgres: `session`, `transaction`, or `auto`: transaction on \
        ports 6543 and 6432 and with `pgbouncer=true` in the URL, else session.", [postgres.pooler]: pooler;
    "USE_SUPABASE" = "false", "Whether Postgres is Supabase: at most 2 + 2 connections there, and TLS by default on any \
        host.", [postgres.use_supabase]: yes_or_no => use_supabase;
    "POSADA_POSTGRES_SSLMODE" = "", "libpq's `sslmode` where the URL does not say it. Default `prefer`; Supabase \
        `require`; with a root certificate `verify-full`.", [postgres.tls]: tls => postgres_sslmode;
    "POSADA_POSTGRES_SSLROOTCERT" = "", "File of root certificates, or `system`, where the URL does not say it.",
        [postgres.root_certificate]: path => postgres_root_certificate;
    "POSADA_POSTGRES_ACQUIRE_TIMEOUT" = "3", "Longest wait for a connection of the pool, in seconds, 0.01 to 300.",
        [postgres.acquire_timeout]: time => postgres_acquire_timeout;
    "POSADA_POSTGRES_STATEMENT_TIMEOUT" = "5", "Longest time of one statement or transaction, in seconds, 0.01 to 300.",
        [postgres.statement_timeout]: time => postgres_statement_timeout;

    "REDIS_URL" = "", "Where Redis is: `redis://`, `rediss://` (TLS), `redis+sentinel://host,host/primary/0`, \
        `redis+cluster://host,host`, `unix:///path`, or `memory:`.", [redis.url]: secret => redis_url;
    "REDIS_HOST" = "localhost", "Host, or the path of a socket; this and the next two are read when no URL is set.",
        [redis.host]: trimmed;
    "REDIS_PORT" = "6379", "Port.", [redis.port]: port;
    "REDIS_DB" = "0", "Database number.", [redis.database]: database;
    "REDIS_PASSWORD" = "", "Password, also for a URL without one.", [redis.password]: secret => redis_password;
    "POSADA_REDIS_CONNECT_TIMEOUT" = "1", "Longest time to make a connection, in seconds, 0.01 to 60.",
        [redis.connect_timeout]: time => redis_connect_timeout;
    "POSADA_REDIS_COMMAND_TIMEOUT" = "1", "Longest time of one command, reconnection included, in seconds, 0.01 to 60.",
        [redis.command_timeout]: time => redis_command_timeout;

    "PMS_TYPE" = "", "`qloapps`, `mock` for a small hotel in memory, or `custom` for a system of the program's own (in \
        Rust). By default `qloapps` if `PMS_BASE_URL` is set, else `mock`; production wants one of them.", [pms.kind]: pms;
    "PMS_BASE_URL" = "", "Address of the QloApps server, such as `https://hotel.example.com`.", [pms.base_url]: trimmed;
    "PMS_API_KEY" = "", "Key of the QloApps web service.", [pms.api_key]: trimmed;
    "PMS_HOTEL_ID" = "1", "The hotel that is meant when a call names none.", [pms.hotel_id]: id => pms_hotel_id;
    "PMS_TIMEOUT" = "10", "Longest time of a question to the PMS about what is stored, in seconds, 0.1 to 300.",
        [pms.timeout]: time => pms_timeout;
    "POSADA_PMS_AVAILABILITY_TIMEOUT" = "20", "Longest time of a question about free rooms and prices, in seconds, 0.1 \
        to 300.", [pms.availability_timeout]: time => pms_availability_timeout;
    "POSADA_PMS_BOOKING_TIMEOUT" = "60", "Longest time of a request that changes something in the PMS, and of looking \
        for a booking whose answer was lost, in seconds, 0.1 to 300.", [pms.booking_timeout]: time => pms_booking_timeout;
    "POSADA_PMS_MAX_CONCURRENT" = "32", "Most requests at a time to the PMS, each for questions about what is stored, \
        availability and writes, 1 to 1000.", [pms.max_concurrent]: whole => pms_max_concurrent;
    "POSADA_PMS_MAX_RATE" = "100", "Most requests a second to the PMS, of one process, 1 to 100000.",
        [pms.max_rate]: whole => pms_max_rate;
    "POSADA_PMS_BREAKER_FAILURES" = "5", "How many failures in a row stop the requests of a kind to the PMS, 1 to 1000.",
        [pms.breaker_failures]: whole => pms_breaker_failures;
    "POSADA_PMS_BREAKER_PAUSE" = "30", "Time for which they stop before one caller tries again, in seconds, 0.1 to 3600.",
        [pms.breaker_pause]: time => pms_breaker_pause;
    "POSADA_PMS_AVAILABILITY_FRESH" = "300", "Age up to which availability is answered without asking the PMS, in \
        seconds, at most 86400; `0` asks every time.", [pms.availability_fresh]: time => pms_availability_fresh;
    "POSADA_PMS_ROOM_TYPES_FRESH" = "3600", "The same for hotels and room types, in seconds.",
        [pms.room_types_fresh]: time => pms_room_types_fresh;

    "SECRET_KEY" = "", "Key that signs tokens; in production random and at least 32 bytes.",
        [secret_key]: secret => secret_key;
    "POSADA_PREVIOUS_SECRET_KEY" = "", "Another key that verifies tokens while `SECRET_KEY` is changed, until \
        `POSADA_PREVIOUS_SECRET_KEY_UNTIL`.", [previous_key]: secret;
    "POSADA_PREVIOUS_SECRET_KEY_UNTIL" = "", "When that ends, such as `2026-12-31T00:00:00Z`; needed with it.",
        [previous_key_until]: moment;
    "JWT_ALGORITHM" = "HS256", "`HS256`; nothing else exists.", [checked]: algorithm;

    "POSADA_DEFAULT_TENANT" = "", "Tenant of identifiers that belong to none. The app uses `default`; unset is safer, \
        because no guest then reaches the wrong hotel.", [default_tenant]: tenant => default_tenant;
    "POSADA_SNAPSHOT_DIR" = "", "Folder for snapshots of tenants and flags, which let a restart survive an outage.",
        [snapshot_dir]: path => snapshot_dir;
    "DEBUG" = "", "Read by the app and ignored here: posada prints neither statements nor secrets in any mode.",
        [checked]: nothing;

    values:
    "JWT_EXPIRATION_MINUTES" = 60, "Life of an access token", jwt_expiry, DEFAULT_JWT_EXPIRY: minutes 1 to 43200,
        "Of posada's own at most 1440 minutes. The app's own tokens are taken to be made so long before they end: give \
         the app and posada the same value.";
    "POSADA_SESSION_TTL" = 1800, "Life of a conversation after its last write",
        session_ttl, DEFAULT_SESSION_TTL: seconds 1 to 2_592_000;
    "POSADA_TENANT_CACHE_FRESH" = 300, "Age up to which a resolved tenant is served without asking Postgres",
        tenant_cache_fresh, DEFAULT_TENANT_CACHE_FRESH: seconds 0 to 86400;
    "POSADA_TENANT_CACHE_STALE" = 86400, "Age up to which a resolved tenant is served while Postgres fails",
        tenant_cache_stale, DEFAULT_TENANT_CACHE_STALE: seconds tenant_cache_fresh to 2_592_000;
    "POSADA_TENANT_CACHE_NEGATIVE" = 30, "Time for which an unknown identifier is remembered as unknown",
        tenant_cache_negative, DEFAULT_TENANT_CACHE_NEGATIVE: seconds 0 to 3600;
    "POSADA_FLAGS_POLL" = 30, "Longest time between two looks at the flags in Redis",
        flags_poll, DEFAULT_FLAGS_POLL: seconds 1 to 30;
    "POSADA_HOLD_TTL" = 1200, "Life of a stay hold", hold_ttl, DEFAULT_HOLD_TTL: seconds 1 to 86400;
    "POSADA_HOLD_EXTENSION" = 600, "The most that one extension adds to a stay hold",
        hold_extension, DEFAULT_HOLD_EXTENSION: seconds 1 to 86400;
    "POSADA_HOLD_MAX_EXTENSIONS" = 2, "How often a stay hold may be extended",
        hold_max_extensions, DEFAULT_HOLD_MAX_EXTENSIONS: times 0 to 100;
    "POSADA_CLOSE_DEADLINE" = 10, "Longest time that closing waits for work under way",
        close_deadline, DEFAULT_CLOSE_DEADLINE: seconds 0 to 300;
}

/// A time in minutes.
fn minutes(text: &str) -> Result<Duration, Fault> {
    whole_number::<u32>(text).map(|minutes| Duration::from_secs(60 * u64::from(minutes)))
}

/// A moment with its offset, as RFC 3339 writes it.
fn moment(text: &str) -> Result<DateTime<Utc>, Fault> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(moment) => Ok(moment.to_utc()),
        Err(_) => Err("must be a time such as 2026-12-31T00:00:00Z".into()),
    }
}

/// A TCP port.
fn port(text: &str) -> Result<u16, Fault> {
    match whole_number::<u16>(text) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("must be a port between 1 and 65535".into()),
    }
}

/// The algorithm is only checked: choosing it from outside is how tokens are forged.
fn algorithm(text: &str) -> Result<(), Fault> {
    if text == "HS256" {
        Ok(())
    } else {
        Err("must be HS256, the only algorithm of the app's tokens".into())
    }
}

/// A tenant's id.
fn tenant(text: &str) -> Result<TenantId, Fault> {
    TenantId::parse(text).map_err(|error| error.message().to_owned().into())
}
