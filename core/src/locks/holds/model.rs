//! The values of stay holds: parsed at the edge, trusted inside.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result, codes};
use crate::locks::audit::fit_key;
use crate::locks::model::{AcquireOptions, check_duration, check_owner, check_text};
use crate::stay::Stay;
use crate::tenants::TenantId;
use crate::text::Shown;

/// What nights are held of: one room, or the units of a room type.
///
/// ```
/// use posada::locks::Resource;
/// assert_eq!(Resource::room("101")?.to_string(), "room:101");
/// assert_eq!("room_type:3".parse::<Resource>()?, Resource::room_type(3));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Room(String),
    RoomType(u64),
}

impl Resource {
    /// Longest id of a room, in bytes.
    pub const MAX_ID_BYTES: usize = 100;

    /// One room, by the id that the hotel gives it: 1 to 100 bytes without control characters.
    ///
    /// # Errors
    /// `locks.invalid_resource` (field `resource`).
    pub fn room(id: &str) -> Result<Self> {
        check_text(codes::LOCKS_INVALID_RESOURCE, "resource", id, Self::MAX_ID_BYTES)?;
        Ok(Self(Kind::Room(id.to_owned())))
    }

    /// All rooms of a type, by its number in the hotel's own system.
    pub fn room_type(id: u64) -> Self {
        Self(Kind::RoomType(id))
    }

    /// Reads `room:101` or `room_type:3`.
    ///
    /// # Errors
    /// `locks.invalid_resource` (field `resource`).
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            let wanted =
                format_args!("must look like room:101 or room_type:3, is {}", Shown(text)).to_string();
            Error::field_invalid(codes::LOCKS_INVALID_RESOURCE, "resource", wanted)
        };
        match text.split_once(':').ok_or_else(invalid)? {
            ("room", id) => Self::room(id),
            ("room_type", id) => {
                let number: u64 = id.parse().map_err(|_| invalid())?;
                // "007" and "+7" would be second names of the same thing.
                if number.to_string() == id {
                    Ok(Self::room_type(number))
                } else {
                    Err(invalid())
                }
            }
            _ => Err(invalid()),
        }
    }

    /// `room` or `room_type`.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Room(_) => "room",
            Kind::RoomType(_) => "room_type",
        }
    }

    /// The id alone.
    pub fn id(&self) -> String {
        match &self.0 {
            Kind::Room(id) => id.clone(),
            Kind::RoomType(id) => id.to_string(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Room(id) => write!(f, "room:{id}"),
            Kind::RoomType(id) => write!(f, "room_type:{id}"),
        }
    }
}

/// Which nights are wanted, of what, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayHold {
    pub(super) resource: Resource,
    pub(super) stay: Stay,
    pub(super) quantity: u32,
    pub(super) capacity: u32,
    pub(super) tenant: Option<TenantId>,
    pub(super) session_id: Option<String>,
    pub(super) user_id: Option<String>,
    /// Unless the settings are to say it.
    pub(super) ttl: Option<Duration>,
}

impl StayHold {
    /// Longest time to live.
    pub const MAX_TTL: Duration = Duration::from_hours(7 * 24);
    /// Largest capacity.
    pub const MAX_CAPACITY: u32 = 1_000_000;

    /// One unit of a resource of which there is one, for nobody in particular, and as long as the settings say
    /// (`POSADA_HOLD_TTL`, 20 minutes by default: as guests need them to decide).
    pub fn new(resource: Resource, stay: Stay) -> Self {
        Self {
            resource,
            stay,
            quantity: 1,
            capacity: 1,
            tenant: None,
            session_id: None,
            user_id: None,
            ttl: None,
        }
    }

    /// How many units are wanted for every night.
    #[must_use]
    pub fn quantity(mut self, quantity: u32) -> Self {
        self.quantity = quantity;
        self
    }

    /// How many units there are in every night, apart from holds: the free rooms that the hotel's system reports.
    #[must_use]
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    /// Whose resource it is. Resources of the same name of two tenants do not meet.
    #[must_use]
    pub fn tenant<'t>(mut self, tenant: impl Into<Option<&'t TenantId>>) -> Self {
        self.tenant = tenant.into().cloned();
        self
    }

    /// The conversation that wants it. Asking again for the same nights in the same conversation finds the same hold.
    /// Without one, every request is a hold of its own.
    #[must_use]
    pub fn session_id(mut self, session_id: impl Into<String>) -> Self {
        self.session_id = Some(session_id.into());
        self
    }

    /// The guest, for the audit.
    #[must_use]
    pub fn user_id(mut self, user_id: impl Into<String>) -> Self {
        self.user_id = Some(user_id.into());
        self
    }

    /// How long the hold lives unless it is extended: from 10 ms to 7 days.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    pub(in crate::locks) fn of_tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    pub(super) fn check(&self) -> Result<()> {
        let invalid = |field, what: String| Error::field_invalid(codes::LOCKS_INVALID_QUANTITY, field, what);
        if !(1..=Self::MAX_CAPACITY).contains(&self.capacity) {
            let (most, is) = (Self::MAX_CAPACITY, self.capacity);
            return Err(invalid("capacity", format!("must be from 1 to {most}, is {is}")));
        }
        if !(1..=self.capacity).contains(&self.quantity) {
            let (most, is) = (self.capacity, self.quantity);
            return Err(invalid(
                "quantity",
                format!("must be from 1 to the capacity {most}, is {is}"),
            ));
        }
        for (field, value) in [("session_id", &self.session_id), ("user_id", &self.user_id)] {
            if let Some(value) = value {
                check_owner(field, value)?;
            }
        }
        self.ttl.map_or(Ok(()), |ttl| {
            check_duration("ttl", ttl, AcquireOptions::MIN_TTL, Self::MAX_TTL)
        })
    }
}

/// A live hold as [`LockManager::holds`](crate::LockManager::holds) sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldState {
    /// The hold's id.
    pub id: String,
    /// The nights.
    pub stay: Stay,
    /// Units per night.
    pub quantity: u32,
    /// The conversation that holds it.
    pub session_id: Option<String>,
    /// The guest.
    pub user_id: Option<String>,
    /// The fence of the grant.
    pub fence: u64,
    /// When it was granted, by the server's clock.
    pub acquired_at: DateTime<Utc>,
    /// When it ends unless it is extended, by the server's clock.
    pub expires_at: DateTime<Utc>,
    /// How often it was extended.
    pub extensions: u32,
}

/// The key under which the production app knows a hold, and the audit keeps it.
pub(super) fn audit_key(tenant: Option<&TenantId>, resource: &Resource, stay: Stay) -> String {
    let tenant = tenant.map_or_else(String::new, |tenant| format!("tenant:{tenant}:"));
    let (check_in, check_out) = (stay.check_in(), stay.check_out());
    fit_key(format!("{tenant}lock:{resource}:{check_in}:{check_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay() -> Stay {
        Stay::parse("2027-03-10", "2027-03-12").unwrap()
    }

    #[test]
    fn resources_read_back() {
        for text in ["room:101", "room:a:b", "room_type:3", "room_type:0"] {
            assert_eq!(Resource::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_resource_names_the_field() {
        for text in [
            "",
            "room",
            "room:",
            "room:\n",
            "suite:1",
            "room_type:",
            "room_type:x",
            "room_type:007",
            "room_type:+7",
        ] {
            let error = Resource::parse(text).unwrap_err();
            assert!(error.is(codes::LOCKS_INVALID_RESOURCE), "{text:?}");
            assert_eq!(error.field(), Some("resource"));
        }
    }

    #[test]
    fn bad_requests_name_the_field() {
        let hold = || StayHold::new(Resource::room_type(3), stay());
        for (request, field) in [
            (hold().quantity(0), "quantity"),
            (hold().quantity(2), "quantity"),
            (hold().capacity(0), "capacity"),
            (hold().capacity(u32::MAX), "capacity"),
            (hold().session_id(""), "session_id"),
            (hold().user_id("a\tb"), "user_id"),
            (hold().ttl(Duration::ZERO), "ttl"),
            (hold().ttl(Duration::MAX), "ttl"),
        ] {
            assert_eq!(request.check().unwrap_err().field(), Some(field));
        }
        hold().capacity(3).quantity(3).check().unwrap();
    }

    #[test]
    fn the_audit_knows_a_hold_under_the_key_of_the_app() {
        let tenant = TenantId::parse("hotel-test").unwrap();
        let room = Resource::room("101").unwrap();
        assert_eq!(
            audit_key(Some(&tenant), &room, stay()),
            "tenant:hotel-test:lock:room:101:2027-03-10:2027-03-12"
        );
        assert_eq!(
            audit_key(None, &room, stay()),
            "lock:room:101:2027-03-10:2027-03-12"
        );
    }
}
