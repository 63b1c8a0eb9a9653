//! The standard traits of values that are read from text, so that each has all of them: `text.parse::<T>()`,
//! `T::try_from(text)` of a `&str` or a `String`, and `value.as_ref()` and map look-ups by `&str` where the value is a
//! text. Every one is the value's own `parse`, with its errors.

use std::borrow::Borrow;
use std::str::FromStr;

#[cfg(feature = "auth")]
use crate::auth::{Permission, Profile, Role, TokenKind};
use crate::error::{Error, Result};
use crate::flags::FlagValue;
use crate::limits::{RateLimit, Strategy};
use crate::locks::{LockName, Resource};
use crate::pms::{
    BookingId, ChangeCursor, Currency, GuestId, HotelId, IdempotencyKey, Money, RatePlanId, RoomId,
    RoomTypeId, ServiceId, StayId,
};
use crate::sessions::{Document, Json};
use crate::settings::{PostgresSettings, RedisSettings};
use crate::tenants::{Channel, Identifier, TenantId, TenantStatus};

macro_rules! from_str {
    ($($value:ty),* $(,)?) => {$(
        impl FromStr for $value {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }
    )*};
}

macro_rules! try_from_text {
    ($($value:ty),* $(,)?) => {$(
        impl TryFrom<&str> for $value {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self> {
                text.parse()
            }
        }

        impl TryFrom<String> for $value {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
    )*};
}

macro_rules! as_text {
    ($($value:ty),* $(,)?) => {$(
        impl AsRef<str> for $value {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

macro_rules! borrowed_as_text {
    ($($value:ty),* $(,)?) => {$(
        // Sound because each hashes and compares as its text does.
        impl Borrow<str> for $value {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

from_str! {
    Channel, Document, FlagValue, Json, LockName, PostgresSettings, RateLimit, RedisSettings, Resource, Strategy,
    TenantId, TenantStatus,
}

#[cfg(feature = "auth")]
from_str! { Permission, Profile, Role, TokenKind }

impl FromStr for Identifier {
    type Err = Error;

    /// As [`Identifier::parse`] without a channel.
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, None)
    }
}

try_from_text! {
    BookingId, ChangeCursor, Channel, Currency, FlagValue, GuestId, HotelId, IdempotencyKey, LockName, Money, RateLimit,
    RatePlanId, Resource, RoomId, RoomTypeId, ServiceId, StayId, Strategy, TenantId, TenantStatus,
}

#[cfg(feature = "auth")]
try_from_text! { Permission, Role, TokenKind }

as_text! {
    BookingId, Channel, Currency, GuestId, HotelId, IdempotencyKey, LockName, RatePlanId, RoomId, RoomTypeId, ServiceId, StayId,
    TenantId,
}

// Ids of the PMS are ordered as numbers are, and a Currency is kept as its bytes, so neither can stand for its text.
borrowed_as_text! { IdempotencyKey, LockName, TenantId }

#[cfg(feature = "auth")]
as_text! { Permission }

#[cfg(feature = "auth")]
borrowed_as_text! { Permission }

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fmt::Debug;

    use super::*;

    /// The three ways to read a value give the same one, and its text reads back.
    fn is_read<T>(text: &str) -> T
    where
        T: FromStr<Err = Error> + TryFrom<String, Error = Error> + PartialEq + Debug,
        T: for<'a> TryFrom<&'a str, Error = Error>,
    {
        let value: T = text.parse().unwrap();
        assert_eq!(T::try_from(text).unwrap(), value);
        assert_eq!(T::try_from(text.to_owned()).unwrap(), value);
        value
    }

    #[test]
    fn every_way_to_read_a_value_gives_the_same_one() {
        is_read::<TenantId>("hotel-centro");
        is_read::<LockName>("reservation:5491187654321");
        is_read::<Resource>("room:101");
        is_read::<RateLimit>("30/minute");
        is_read::<FlagValue>("true");
        is_read::<Currency>("USD");
        is_read::<Money>("1300.10 USD");
        is_read::<IdempotencyKey>("wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdEQTQ0QjlDRTUzNzFERDk4QQA=");
        is_read::<ChangeCursor>(&ChangeCursor::since(chrono::DateTime::UNIX_EPOCH).to_string());
        assert_eq!(is_read::<HotelId>("7"), HotelId::from(7));
        assert_eq!(is_read::<BookingId>("XPGMSXGF-1").as_ref(), "XPGMSXGF-1");
        is_read::<GuestId>("6f1ad0de-a2b4-4a4f-8d6a-a0f700dfe1d3");
        is_read::<RatePlanId>("MUC-NONREF-FAMILY");
        is_read::<RoomId>("MUC-101");
        is_read::<RoomTypeId>("MUC-DOUBLE");
        is_read::<ServiceId>("MUC-BRKF");
        is_read::<StayId>("XPGMSXGF-1-2");
        for channel in Channel::ALL {
            assert_eq!(is_read::<Channel>(channel.as_ref()), channel);
        }
        for role in Role::ALL {
            assert_eq!(is_read::<Role>(&role.to_string()), role);
            for permission in role.permissions() {
                assert_eq!(&is_read::<Permission>(permission.as_ref()), permission);
            }
        }
        for strategy in Strategy::ALL {
            assert_eq!(is_read::<Strategy>(&strategy.to_string()), strategy);
        }
        for kind in TokenKind::ALL {
            assert_eq!(is_read::<TokenKind>(&kind.to_string()), kind);
        }
        for status in [TenantStatus::Active, TenantStatus::Inactive] {
            assert_eq!(is_read::<TenantStatus>(&status.to_string()), status);
        }
    }

    #[test]
    fn every_way_to_read_a_value_names_the_same_field() {
        let fields = |outcomes: [Result<()>; 3]| {
            outcomes.map(|outcome| outcome.unwrap_err().field().map(str::to_owned))
        };
        let read = fields([
            "".parse::<TenantId>().map(drop),
            TenantId::try_from("").map(drop),
            TenantId::try_from(String::new()).map(drop),
        ]);
        assert_eq!(read, [(); 3].map(|()| Some("tenant".to_owned())));
    }

    #[test]
    fn a_map_by_hotel_is_asked_by_its_text() {
        let rooms = HashMap::from([(TenantId::parse("hotel-centro").unwrap(), 42)]);
        assert_eq!(rooms.get("hotel-centro"), Some(&42));
    }
}
