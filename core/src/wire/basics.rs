//! Values that are texts, ids, and the nights of a stay.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::refused;
use crate::error::Error;
use crate::limits::{Decision, RateLimit};
use crate::locks::{LockName, Resource};
use crate::pms::{
    BookingId, ChangeCursor, Currency, GuestId, HotelId, IdempotencyKey, RatePlanId, RoomId, RoomTypeId,
    ServiceId, StayId,
};
use crate::settings::Secret;
use crate::stay::Stay;
use crate::tenants::{Channel, TenantId, TenantStatus};

texts! { ChangeCursor, Channel, Currency, IdempotencyKey, LockName, Resource, TenantId, TenantStatus }

/// The ids of a hotel's system are written as texts, and read as texts or numbers.
macro_rules! ids {
    ($($value:ty),* $(,)?) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Id(PhantomData))
                } else {
                    deserializer.deserialize_str(Id(PhantomData))
                }
            }
        }
    )*};
}

ids! { BookingId, GuestId, HotelId, RatePlanId, RoomId, RoomTypeId, ServiceId, StayId }

struct Id<T>(PhantomData<T>);

impl<T: From<u64> + FromStr<Err = Error>> Visitor<'_> for Id<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: a text, or a number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Ok(number.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(refused)
    }
}

impl Serialize for Stay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Stay", 2)?;
        object.serialize_field("check_in", &self.check_in())?;
        object.serialize_field("check_out", &self.check_out())?;
        object.end()
    }
}

/// The days of a stay, as they are written.
#[derive(Deserialize)]
struct Days {
    check_in: String,
    check_out: String,
}

made_of! {
    Stay: Days => |days| Stay::parse(&days.check_in, &days.check_out);
    // Written it would lose its strategy.
    RateLimit: String => |text| text.parse();
    // It comes in, and never goes out.
    Secret: String => |text| Ok(Secret::new(text));
}

members! {
    Decision {
        allowed, limit, remaining, reset_after: super::seconds, retry_after: super::seconds, degraded,
    }
}
