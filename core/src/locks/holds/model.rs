//! The values of stay holds: parsed at the edge, trusted inside.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Error, Result, codes};
use crate::ids::{HotelId, RoomTypeId};
use crate::locks::audit::fit_key;
use crate::locks::model::{AcquireOptions, check_duration, check_owner, check_text};
use crate::stay::Stay;
use crate::tenants::TenantId;
use crate::text::Shown;

/// What nights are held of: one room, or the units of a room type.
///
/// ```
/// use posada::locks::Resource;
/// use posada::pms::{HotelId, RoomTypeId};
/// assert_eq!(Resource::room("101")?.to_string(), "room:101");
/// let rooms = Resource::room_type(&HotelId::from(1), &RoomTypeId::parse("MUC-SUITE")?);
/// assert_eq!(rooms.to_string(), "room_type:1/MUC-SUITE");
/// assert_eq!(rooms, "room_type:1/MUC-SUITE".parse()?);
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Kind);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Room(String),
    /// The hotel belongs to it, because two hotels may give their room types the same ids. Holds that an earlier
    /// version made name none.
    RoomType(Option<HotelId>, RoomTypeId),
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

    /// All rooms of a type of a hotel, by their ids in the hotel's own system.
    pub fn room_type(hotel: &HotelId, id: &RoomTypeId) -> Self {
        Self(Kind::RoomType(Some(*hotel), *id))
    }

    /// The same room type without its hotel, as holds of an earlier version name it.
    pub(crate) fn without_hotel(&self) -> Option<Self> {
        match self.0 {
            Kind::RoomType(Some(_), id) if id.number().is_some() => Some(Self(Kind::RoomType(None, id))),
            _ => None,
        }
    }

    /// Whether new holds may be made of it. A room type without its hotel is only read.
    fn check(&self) -> Result<()> {
        match self.0 {
            Kind::RoomType(None, _) => {
                let wanted = format!("must name the hotel of the room type, as in room_type:1/3, is {self}");
                Err(Error::field_invalid(
                    codes::LOCKS_INVALID_RESOURCE,
                    "resource",
                    wanted,
                ))
            }
            Kind::Room(_) | Kind::RoomType(Some(_), _) => Ok(()),
        }
    }

    /// Reads `room:101` or `room_type:1/3`, which is the room type 3 of the hotel 1; in both ids a slash is written as
    /// `%2F` and a percent sign as `%25`. Also read is `room_type:3`, which holds of an earlier version name; no new
    /// ones are made of it.
    ///
    /// # Errors
    /// `locks.invalid_resource` (field `resource`).
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            let wanted =
                format_args!("must look like room:101 or room_type:1/3, is {}", Shown(text)).to_string();
            Error::field_invalid(codes::LOCKS_INVALID_RESOURCE, "resource", wanted)
        };
        let resource = match text.split_once(':').ok_or_else(invalid)? {
            ("room", id) => return Self::room(id),
            ("room_type", ids) => {
                if let Some((hotel, id)) = ids.split_once('/') {
                    let hotel = HotelId::parse(&unescaped(hotel)).map_err(|_| invalid())?;
                    let id = RoomTypeId::parse(&unescaped(id)).map_err(|_| invalid())?;
                    Self::room_type(&hotel, &id)
                } else {
                    // Ids were numbers then.
                    let number: u64 = ids.parse().map_err(|_| invalid())?;
                    Self(Kind::RoomType(None, RoomTypeId::from(number)))
                }
            }
            _ => return Err(invalid()),
        };
        // Another way of writing it, such as "007" or "%2f", would be a second name of the same thing.
        if resource.to_string() == text {
            Ok(resource)
        } else {
            Err(invalid())
        }
    }

    /// `room` or `room_type`.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Room(_) => "room",
            Kind::RoomType(..) => "room_type",
        }
    }

    /// What stands behind the kind and the colon: the id of the room, or the hotel and the room type.
    pub fn id(&self) -> String {
        match &self.0 {
            Kind::Room(id) => id.clone(),
            Kind::RoomType(Some(hotel), id) => {
                format!("{}/{}", escaped(hotel.as_str()), escaped(id.as_str()))
            }
            Kind::RoomType(None, id) => id.to_string(),
        }
    }
}

/// An id in which a slash separates nothing.
fn escaped(id: &str) -> String {
    id.replace('%', "%25").replace('/', "%2F")
}

fn unescaped(text: &str) -> String {
    text.replace("%2F", "/").replace("%25", "%")
}

impl From<(HotelId, RoomTypeId)> for Resource {
    /// The rooms of a type, as [`Resource::room_type`].
    fn from((hotel, room_type): (HotelId, RoomTypeId)) -> Self {
        Self::room_type(&hotel, &room_type)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
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

    /// One unit of a resource of which there is one, without a conversation, and as long as the settings say
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
        self.resource.check()?;
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
        for text in [
            "room:101",
            "room:a:b",
            "room_type:1/3",
            "room_type:MUC/NONREF-FAMILY",
            "room_type:a%2Fb/c%252F%25",
            "room_type:3",
            "room_type:0",
        ] {
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
            "room_type:/3",
            "room_type:1/",
            "room_type:1/2/3",
            "room_type:1/a%2fb",
            "room_type:1/50%",
            "room_type:1/a b",
            "room_type:007",
            "room_type:+7",
        ] {
            let error = Resource::parse(text).unwrap_err();
            assert!(error.is(codes::LOCKS_INVALID_RESOURCE), "{text:?}");
            assert_eq!(error.field(), Some("resource"));
        }
    }

    #[test]
    fn room_types_of_two_hotels_and_ids_with_slashes_are_kept_apart() {
        let of = |hotel: &str, id: &str| {
            let (hotel, id) = (HotelId::parse(hotel).unwrap(), RoomTypeId::parse(id).unwrap());
            Resource::room_type(&hotel, &id)
        };
        assert_ne!(of("1", "3"), of("2", "3"));
        for (one, other) in [
            (of("a/b", "c"), of("a", "b/c")),
            (of("a%2Fb", "c"), of("a/b", "c")),
        ] {
            assert_ne!(one.to_string(), other.to_string());
            assert_eq!(Resource::parse(&one.to_string()).unwrap(), one);
            assert_eq!(Resource::parse(&other.to_string()).unwrap(), other);
        }
    }

    #[test]
    fn a_room_type_without_its_hotel_is_read_and_not_held_anew() {
        let old = Resource::parse("room_type:3").unwrap();
        let new = Resource::room_type(&HotelId::from(1), &RoomTypeId::from(3));
        assert_eq!(new.without_hotel(), Some(old.clone()));
        let error = StayHold::new(old, stay()).check().unwrap_err();
        assert!(error.is(codes::LOCKS_INVALID_RESOURCE), "{error}");
        assert!(error.message().contains("room_type:1/3"), "{error}");
    }

    #[test]
    fn bad_requests_name_the_field() {
        let hold = || StayHold::new("room_type:1/3".parse().unwrap(), stay());
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
