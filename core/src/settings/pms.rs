//! Which property management system the hotels use.
//!
//! The app's own default is QloApps on this machine with the key `dev-pms-key`. Ours is the mock, because a QloApps
//! server that is not named is none; production must be told which of the two it is.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Secret;
use super::dsn::scheme;
use super::environment::Environment;
use super::sourced::{Fault, Slot, Sourced};
use crate::error::{Error, Result, codes};

/// The property management system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PmsSettings {
    /// A small hotel in memory: for development and tests.
    Mock,
    /// QloApps over HTTP.
    QloApps(QloAppsSettings),
    /// A system that the program gives to [`PosadaBuilder::pms`](crate::PosadaBuilder::pms).
    Custom,
}

/// How to reach QloApps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QloAppsSettings {
    /// Address of the QloApps server, `http://` or `https://`, without a slash at the end and without `/api`
    /// (`PMS_BASE_URL`).
    pub base_url: String,
    /// Key of the web service (`PMS_API_KEY`).
    pub api_key: Secret,
    /// The hotel that is meant when a call names none (`PMS_HOTEL_ID`).
    pub hotel_id: u64,
}

/// How much is asked of a PMS, how patiently, and how long its answers are kept: of a QloApps server, and of any system
/// that is given to [`PosadaBuilder::pms`](crate::PosadaBuilder::pms). The mock is in this process and needs none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PmsLimits {
    /// Longest time of a question about what is stored, further tries included (`PMS_TIMEOUT`).
    pub timeout: Duration,
    /// Longest time of a question about free rooms and prices (`POSADA_PMS_AVAILABILITY_TIMEOUT`).
    pub availability_timeout: Duration,
    /// Longest time of a request that changes something, and of looking for a booking whose answer was lost
    /// (`POSADA_PMS_BOOKING_TIMEOUT`).
    pub booking_timeout: Duration,
    /// Most requests at a time, each for questions about what is stored, availability and writes
    /// (`POSADA_PMS_MAX_CONCURRENT`).
    pub max_concurrent: u32,
    /// Most requests a second (`POSADA_PMS_MAX_RATE`).
    pub max_rate: u32,
    /// How many failures in a row stop the requests (`POSADA_PMS_BREAKER_FAILURES`)…
    pub breaker_failures: u32,
    /// … for so long (`POSADA_PMS_BREAKER_PAUSE`).
    pub breaker_pause: Duration,
    /// Age up to which availability is answered without asking the system (`POSADA_PMS_AVAILABILITY_FRESH`).
    pub availability_fresh: Duration,
    /// The same for hotels and room types (`POSADA_PMS_ROOM_TYPES_FRESH`).
    pub room_types_fresh: Duration,
}

impl Default for PmsLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            availability_timeout: Duration::from_secs(20),
            booking_timeout: Duration::from_mins(1),
            max_concurrent: 32,
            max_rate: 100,
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(30),
            availability_fresh: Duration::from_mins(5),
            room_types_fresh: Duration::from_hours(1),
        }
    }
}

impl QloAppsSettings {
    /// Default of [`hotel_id`](Self::hotel_id): the first hotel of an installation.
    pub const DEFAULT_HOTEL_ID: u64 = 1;
}

/// `PMS_TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PmsType {
    Mock,
    QloApps,
    Custom,
}

impl PmsType {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        match text.to_ascii_lowercase().as_str() {
            "mock" => Ok(Self::Mock),
            "qloapps" => Ok(Self::QloApps),
            "custom" => Ok(Self::Custom),
            _ => Err("must be mock, qloapps or custom".into()),
        }
    }
}

/// Everything that was said about the property management system.
#[derive(Debug, Clone, Default)]
pub(super) struct PmsSource {
    pub(super) kind: Slot<PmsType>,
    pub(super) base_url: Slot<String>,
    pub(super) api_key: Slot<Secret>,
    pub(super) hotel_id: Slot<u64>,
    pub(super) timeout: Slot<Duration>,
    pub(super) availability_timeout: Slot<Duration>,
    pub(super) booking_timeout: Slot<Duration>,
    pub(super) max_concurrent: Slot<u32>,
    pub(super) max_rate: Slot<u32>,
    pub(super) breaker_failures: Slot<u32>,
    pub(super) breaker_pause: Slot<Duration>,
    pub(super) availability_fresh: Slot<Duration>,
    pub(super) room_types_fresh: Slot<Duration>,
}

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);

/// The shortest key that production accepts, in bytes. QloApps makes keys of 32.
const SHORTEST_KEY: usize = 16;

impl PmsSource {
    /// The system that was configured, or the mock outside production.
    pub(super) fn resolve(&self, environment: Environment) -> Result<PmsSettings> {
        let hotel_id = self
            .hotel_id
            .within(1..=u64::from(u32::MAX), QloAppsSettings::DEFAULT_HOTEL_ID)?;
        match (self.kind.value(), self.base_url.get()) {
            (None, None) if environment.is_production() => Err(missing(
                "PMS_TYPE",
                "is needed in production, where bookings of the mock would reach no hotel; set it to qloapps, to \
                 custom for a system of the program's own, or to mock if that is what you want",
            )),
            (Some(PmsType::Mock), _) | (None, None) => Ok(PmsSettings::Mock),
            (Some(PmsType::Custom), _) => Ok(PmsSettings::Custom),
            (Some(PmsType::QloApps), None) => Err(missing(
                "PMS_BASE_URL",
                "is needed for qloapps: the address of the QloApps server, such as https://hotel.example.com",
            )),
            (_, Some(base_url)) => Ok(PmsSettings::QloApps(QloAppsSettings {
                base_url: server(&base_url.value).map_err(|fault| fault.blame(base_url.field))?,
                api_key: self.key(environment)?,
                hotel_id,
            })),
        }
    }

    /// How much is asked of whatever system it is.
    pub(super) fn limits(&self) -> Result<PmsLimits> {
        let usual = PmsLimits::default();
        let day = Duration::ZERO..=Duration::from_hours(24);
        Ok(PmsLimits {
            timeout: self.timeout.within(TIMEOUTS, usual.timeout)?,
            availability_timeout: self
                .availability_timeout
                .within(TIMEOUTS, usual.availability_timeout)?,
            booking_timeout: self.booking_timeout.within(TIMEOUTS, usual.booking_timeout)?,
            max_concurrent: self.max_concurrent.within(1..=1000, usual.max_concurrent)?,
            max_rate: self.max_rate.within(1..=100_000, usual.max_rate)?,
            breaker_failures: self.breaker_failures.within(1..=1000, usual.breaker_failures)?,
            breaker_pause: self.breaker_pause.within(
                Duration::from_millis(100)..=Duration::from_hours(1),
                usual.breaker_pause,
            )?,
            availability_fresh: self
                .availability_fresh
                .within(day.clone(), usual.availability_fresh)?,
            room_types_fresh: self.room_types_fresh.within(day, usual.room_types_fresh)?,
        })
    }

    /// The key, checked.
    fn key(&self, environment: Environment) -> Result<Secret> {
        let Some(key) = self.api_key.get() else {
            return Err(missing(
                "PMS_API_KEY",
                "is needed for qloapps: a key of its web service",
            ));
        };
        check_key(key, environment).map_err(|fault| fault.blame(key.field))?;
        Ok(key.value.clone())
    }
}

fn missing(field: &'static str, message: &'static str) -> Error {
    Error::field_invalid(codes::SETTINGS_MISSING, field, message)
}

/// The key travels as the user of HTTP Basic, which ends at the first colon.
fn check_key(key: &Sourced<Secret>, environment: Environment) -> Result<(), Fault> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if !key.value.expose().bytes().all(fits) {
        return Err("must consist of visible ASCII characters other than a colon".into());
    }
    if environment.is_production() {
        key.value.check_strength(SHORTEST_KEY)?;
    }
    Ok(())
}

/// Reads the address of a QloApps server. Nothing of a wrong one is repeated, because people put keys into it.
fn server(text: &str) -> Result<String, Fault> {
    let (scheme, rest) = scheme(text.trim())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        .ok_or("must begin with http:// or https://")?;
    if rest.contains('@') || rest.contains("ws_key") {
        return Err("must not hold a user or key; the key belongs in PMS_API_KEY".into());
    }
    if rest.contains(['?', '#']) {
        return Err("must end before any ? or #".into());
    }
    if rest
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err("must not hold white space, control characters or backslashes".into());
    }
    let rest = rest.trim_end_matches('/');
    // The web service lives at /api, and so every guide names it; the client adds it by itself.
    let rest = rest.strip_suffix("/api").unwrap_or(rest).trim_end_matches('/');
    if rest.is_empty() || rest.starts_with(['/', ':']) {
        return Err("must name a host".into());
    }
    Ok(format!("{}://{rest}", scheme.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    const KEY: &str = "QLOAPPSTESTKEYALLPERMISSIONS0001";

    fn from(vars: &[(&str, &str)]) -> Result<PmsSettings> {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings::from_vars(vars).map(|settings| settings.pms().clone())
    }

    fn production(vars: &[(&'static str, &'static str)]) -> Result<PmsSettings> {
        let mut all = vec![
            ("ENVIRONMENT", "production"),
            ("DATABASE_URL", "memory:"),
            ("REDIS_URL", "memory:"),
        ];
        all.extend_from_slice(vars);
        from(&all)
    }

    fn base_url(text: &str) -> Result<String> {
        match from(&[("PMS_BASE_URL", text), ("PMS_API_KEY", "k")])? {
            PmsSettings::QloApps(qloapps) => Ok(qloapps.base_url),
            other => panic!("a QloApps server was named, not {other:?}"),
        }
    }

    #[test]
    fn qloapps_takes_its_place_key_and_hotel() {
        let vars = [
            ("PMS_TYPE", "QloApps"),
            ("PMS_BASE_URL", "http://127.0.0.1:8090/"),
            ("PMS_API_KEY", KEY),
            ("PMS_HOTEL_ID", "3"),
        ];
        assert_eq!(
            from(&vars).unwrap(),
            PmsSettings::QloApps(QloAppsSettings {
                base_url: "http://127.0.0.1:8090".to_owned(),
                api_key: Secret::new(KEY),
                hotel_id: 3,
            })
        );
    }

    #[test]
    fn limits_count_for_whatever_system_it_is() {
        for kind in ["mock", "qloapps", "custom"] {
            let vars = [
                ("PMS_TYPE", kind),
                ("PMS_BASE_URL", "http://h"),
                ("PMS_API_KEY", KEY),
                ("PMS_TIMEOUT", "30"),
                ("POSADA_PMS_MAX_RATE", "7"),
            ];
            let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let expected = PmsLimits {
                timeout: Duration::from_secs(30),
                max_rate: 7,
                ..PmsLimits::default()
            };
            assert_eq!(
                *Settings::from_vars(vars).unwrap().pms_limits(),
                expected,
                "{kind}"
            );
        }
    }

    #[test]
    fn the_mock_is_the_default_until_a_shop_is_named() {
        assert_eq!(from(&[]).unwrap(), PmsSettings::Mock);
        let server = [("PMS_BASE_URL", "http://h"), ("PMS_API_KEY", "dev-pms-key")];
        assert!(matches!(from(&server).unwrap(), PmsSettings::QloApps(_)));
        let mock = [("PMS_TYPE", "mock"), ("PMS_BASE_URL", "http://h")];
        assert_eq!(from(&mock).unwrap(), PmsSettings::Mock);
    }

    #[test]
    fn what_qloapps_needs_and_does_not_get_is_named() {
        for (vars, field) in [
            (&[("PMS_TYPE", "qloapps")][..], "PMS_BASE_URL"),
            (&[("PMS_BASE_URL", "http://h")], "PMS_API_KEY"),
        ] {
            let error = from(vars).unwrap_err();
            assert!(error.is(codes::SETTINGS_MISSING), "{error}");
            assert_eq!(error.field(), Some(field));
        }
    }

    #[test]
    fn production_does_not_fall_back_to_the_mock() {
        let error = production(&[]).unwrap_err();
        assert!(error.is(codes::SETTINGS_MISSING));
        assert_eq!(error.field(), Some("PMS_TYPE"));
        assert_eq!(production(&[("PMS_TYPE", "mock")]).unwrap(), PmsSettings::Mock);
        let custom = production(&[("PMS_TYPE", "custom")]).unwrap();
        assert_eq!(custom, PmsSettings::Custom);
    }

    #[test]
    fn production_refuses_a_key_that_anybody_knows() {
        for key in ["dev-pms-key", "changeme-changeme-changeme", "short-9Qm2xL0v"] {
            let error = production(&[("PMS_BASE_URL", "http://h"), ("PMS_API_KEY", key)]).unwrap_err();
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{key}: {error}");
            assert_eq!(error.field(), Some("PMS_API_KEY"));
            assert!(!format!("{error:?}").contains(key), "{error:?}");
        }
        assert!(production(&[("PMS_BASE_URL", "http://h"), ("PMS_API_KEY", KEY)]).is_ok());
    }

    #[test]
    fn a_key_that_cannot_travel_in_http_basic_is_refused() {
        for key in ["a:b", "a b", "ñ"] {
            let error = from(&[("PMS_BASE_URL", "http://h"), ("PMS_API_KEY", key)]).unwrap_err();
            assert_eq!(error.field(), Some("PMS_API_KEY"));
        }
        let error = Settings::builder()
            .pms_qloapps("http://h", "a:b")
            .build()
            .unwrap_err();
        assert_eq!(error.field(), Some("pms_qloapps.api_key"));
    }

    #[test]
    fn the_address_of_the_shop_is_made_uniform() {
        for (text, uniform) in [
            ("http://h", "http://h"),
            ("HTTPS://hotel.example.com/", "https://hotel.example.com"),
            (
                "https://hotel.example.com/shop//",
                "https://hotel.example.com/shop",
            ),
            ("http://[::1]:8080/api/", "http://[::1]:8080"),
        ] {
            assert_eq!(base_url(text).unwrap(), uniform);
        }
    }

    #[test]
    fn an_address_with_anything_else_in_it_is_refused_and_not_shown() {
        for text in [
            "hotel.example.com",
            "ftp://s3cret",
            "http://",
            "http:///api",
            "http://:80",
            "http://s3cret@h",
            "http://h/?ws_key=s3cret",
            "http://h/?a=s3cret",
            "http://h/#s3cret",
            "http://h/s3cret x",
        ] {
            let error = base_url(text).unwrap_err();
            assert_eq!(error.field(), Some("PMS_BASE_URL"), "{text}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
