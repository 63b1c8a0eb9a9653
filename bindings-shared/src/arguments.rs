//! Plain values and records of options, read into the crate's types.
//!
//! A language hands options over as one record, by their names. What stands in it is read here, once for all languages,
//! so that an option is added in one line; a name that no function here reads is refused by [`expect_only`].

use std::time::Duration;

use chrono::NaiveDate;
use posada::locks::{AcquireOptions, Resource, StayHold};
use posada::tenants::Channel;
use posada::{Stay, TenantId};

use crate::refusal::Refusal;

/// A record of options in another language. What is left out, or is the language's nothing, is `None`.
pub trait Record {
    /// How the language refuses a value, by the name of the option.
    type Error: From<Refusal>;

    /// A text.
    ///
    /// # Errors
    /// When something else stands there.
    fn text(&self, name: &'static str) -> Result<Option<String>, Self::Error>;

    /// A truth value.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    fn switch(&self, name: &'static str) -> Result<Option<bool>, Self::Error>;

    /// A whole number of zero or more.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    fn count(&self, name: &'static str) -> Result<Option<u32>, Self::Error>;

    /// A length of time.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    fn duration(&self, name: &'static str) -> Result<Option<Duration>, Self::Error>;

    /// A tenant, by its id or by the language's object.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, Self::Error>;
}

/// The options of `acquire`, `try_acquire` (without `wait`) and `acquire_all`.
pub const ACQUIRE: &[&str] = &[
    "ttl",
    "wait",
    "owner",
    "auto_extend",
    "max_hold",
    "tenant",
    "reentrant",
    "audit_misses",
    "replicas",
    "replicas_within",
];

/// How a lock is wanted; what is left out has the crate's default.
///
/// # Errors
/// The record's.
pub fn acquire_options<R: Record>(given: &R) -> Result<AcquireOptions, R::Error> {
    let mut options = AcquireOptions::new();
    if let Some(ttl) = given.duration("ttl")? {
        options = options.ttl(ttl);
    }
    if let Some(wait) = given.duration("wait")? {
        options = options.wait(wait);
    }
    if let Some(owner) = given.text("owner")? {
        options = options.owner(owner);
    }
    if let Some(on) = given.switch("auto_extend")? {
        options = options.auto_extend(on);
    }
    if let Some(max_hold) = given.duration("max_hold")? {
        options = options.max_hold(max_hold);
    }
    if let Some(tenant) = given.tenant("tenant")? {
        options = options.tenant(&tenant);
    }
    if let Some(on) = given.switch("reentrant")? {
        options = options.reentrant(on);
    }
    if let Some(on) = given.switch("audit_misses")? {
        options = options.audit_misses(on);
    }
    if let Some(count) = given.count("replicas")? {
        options = options.replicas(count);
    }
    if let Some(within) = given.duration("replicas_within")? {
        options = options.replicas_within(within);
    }
    Ok(options)
}

/// The options of `hold_stay`, and of each request of `hold_stays`.
pub const HOLD_STAY: &[&str] = &["quantity", "capacity", "tenant", "session_id", "user_id", "ttl"];

/// Which nights are wanted; what is left out has the crate's default.
///
/// # Errors
/// The record's; `locks.invalid_resource`.
pub fn stay_hold<R: Record>(resource: &str, stay: Stay, given: &R) -> Result<StayHold, R::Error> {
    let mut request = StayHold::new(Resource::parse(resource).map_err(Refusal::from)?, stay);
    if let Some(quantity) = given.count("quantity")? {
        request = request.quantity(quantity);
    }
    if let Some(capacity) = given.count("capacity")? {
        request = request.capacity(capacity);
    }
    if let Some(tenant) = given.tenant("tenant")? {
        request = request.tenant(&tenant);
    }
    if let Some(session) = given.text("session_id")? {
        request = request.session_id(session);
    }
    if let Some(user) = given.text("user_id")? {
        request = request.user_id(user);
    }
    if let Some(ttl) = given.duration("ttl")? {
        request = request.ttl(ttl);
    }
    Ok(request)
}

/// The first of the names that is none of the options.
pub fn expect_only<'a>(names: impl IntoIterator<Item = &'a str>, options: &[&str]) -> Result<(), &'a str> {
    names
        .into_iter()
        .find(|name| !options.contains(name))
        .map_or(Ok(()), Err)
}

/// A tenant by its id.
///
/// # Errors
/// `tenants.invalid_id`.
pub fn tenant(id: &str) -> Result<TenantId, Refusal> {
    Ok(TenantId::parse(id)?)
}

/// A channel by its name, where it may be left out.
///
/// # Errors
/// `tenants.invalid_identifier`.
pub fn channel(name: Option<&str>) -> Result<Option<Channel>, Refusal> {
    Ok(name.map(Channel::parse).transpose()?)
}

/// The nights between two days.
///
/// # Errors
/// `stay.invalid`.
pub fn stay(check_in: NaiveDate, check_out: NaiveDate) -> Result<Stay, Refusal> {
    Ok(Stay::new(check_in, check_out)?)
}

/// A length of time in seconds; `None` for one that is negative, endless or no number.
pub fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    enum Value {
        Text(&'static str),
        Switch(bool),
        Count(u32),
        Seconds(f64),
    }

    /// A record as a language without types would hand it over.
    struct Given(BTreeMap<&'static str, Value>);

    #[derive(Debug, PartialEq)]
    enum Refused {
        Type(&'static str),
        Crate(String),
    }

    impl From<Refusal> for Refused {
        fn from(refusal: Refusal) -> Self {
            Self::Crate(refusal.facts().code.to_owned())
        }
    }

    impl Given {
        fn read<T>(
            &self,
            name: &'static str,
            of: impl FnOnce(&Value) -> Option<T>,
        ) -> Result<Option<T>, Refused> {
            let given = self.0.get(name);
            given
                .map(|value| of(value).ok_or(Refused::Type(name)))
                .transpose()
        }
    }

    impl Record for Given {
        type Error = Refused;

        fn text(&self, name: &'static str) -> Result<Option<String>, Refused> {
            self.read(name, |value| match value {
                Value::Text(text) => Some((*text).to_owned()),
                _ => None,
            })
        }

        fn switch(&self, name: &'static str) -> Result<Option<bool>, Refused> {
            self.read(name, |value| match value {
                Value::Switch(on) => Some(*on),
                _ => None,
            })
        }

        fn count(&self, name: &'static str) -> Result<Option<u32>, Refused> {
            self.read(name, |value| match value {
                Value::Count(count) => Some(*count),
                _ => None,
            })
        }

        fn duration(&self, name: &'static str) -> Result<Option<Duration>, Refused> {
            self.read(name, |value| match value {
                Value::Seconds(given) => seconds(*given),
                _ => None,
            })
        }

        fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, Refused> {
            let id = self.text(name)?;
            Ok(id.as_deref().map(tenant).transpose()?)
        }
    }

    /// One value of the right kind for each option.
    fn right(name: &str) -> Value {
        match name {
            "auto_extend" | "reentrant" | "audit_misses" => Value::Switch(true),
            "replicas" | "quantity" | "capacity" => Value::Count(2),
            "ttl" | "wait" | "max_hold" | "replicas_within" => Value::Seconds(1.5),
            "tenant" => Value::Text("hotel-boutique-01"),
            _ => Value::Text("5491187654321"),
        }
    }

    fn nights() -> Stay {
        let day = |day| NaiveDate::from_ymd_opt(2031, 3, day).unwrap();
        stay(day(1), day(4)).unwrap()
    }

    #[test]
    fn every_option_of_the_lists_is_read_by_its_name() {
        let plain = format!("{:?}", acquire_options(&Given(BTreeMap::new())).unwrap());
        for name in ACQUIRE {
            let given = Given(BTreeMap::from([(*name, right(name))]));
            assert_ne!(format!("{:?}", acquire_options(&given).unwrap()), plain, "{name}");
            let wrong = Given(BTreeMap::from([(*name, Value::Seconds(-1.0))]));
            assert_eq!(acquire_options(&wrong).unwrap_err(), Refused::Type(name));
        }
        let held = |given| stay_hold("room:101", nights(), &Given(given)).unwrap();
        let plain = format!("{:?}", held(BTreeMap::new()));
        for name in HOLD_STAY {
            assert_ne!(
                format!("{:?}", held(BTreeMap::from([(*name, right(name))]))),
                plain,
                "{name}"
            );
        }
    }

    #[test]
    fn what_the_crate_refuses_keeps_its_code() {
        let given = Given(BTreeMap::from([("tenant", Value::Text(""))]));
        let refused = acquire_options(&given).unwrap_err();
        assert_eq!(refused, Refused::Crate("tenants.invalid_id".to_owned()));
        let refused = stay_hold("cupboard", nights(), &Given(BTreeMap::new())).unwrap_err();
        assert_eq!(refused, Refused::Crate("locks.invalid_resource".to_owned()));
    }

    #[test]
    fn a_name_that_is_no_option_is_found() {
        assert_eq!(expect_only(["ttl", "tll"], ACQUIRE), Err("tll"));
        assert_eq!(expect_only(ACQUIRE.iter().copied(), ACQUIRE), Ok(()));
    }

    #[test]
    fn a_length_of_time_is_neither_negative_nor_endless() {
        assert_eq!(seconds(0.25), Some(Duration::from_millis(250)));
        for wrong in [-1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(seconds(wrong), None);
        }
    }
}
