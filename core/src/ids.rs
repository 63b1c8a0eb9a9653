//! The ids by which a property management system knows its things. They are public as those of `pms`; holds of room
//! types name them, too.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, codes};

/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The text of an id, kept in place, so that an id is passed on like a number. Bytes behind the text are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Text {
    bytes: [u8; MAX_ID_BYTES],
    len: u8,
}

impl Text {
    /// No id is: what stands where a text that always fits is made.
    const EMPTY: Self = Self {
        bytes: [0; MAX_ID_BYTES],
        len: 0,
    };

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; MAX_ID_BYTES];
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        fits.then_some(Self { bytes, len })
    }

    fn of_number(number: u64) -> Self {
        // At most 20 digits.
        Self::new(&number.to_string()).unwrap_or(Self::EMPTY)
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // ASCII is always UTF-8.
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The number, when it is written as numbers are.
    fn number(&self) -> Option<u64> {
        let text = self.as_str();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || text.starts_with('0') {
            return None;
        }
        text.parse().ok()
    }
}

impl Ord for Text {
    /// Numbers first and by their size, then texts.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.number(), other.number()) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.as_str().cmp(other.as_str()),
        }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $field:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// Text of 1 to 64 visible ASCII characters that means nothing but itself; systems with numbers write them in
        /// digits, and [`From`] takes a number. It is copied as cheaply as a number. The order is one for lists:
        /// numbers by their size, then texts; it says nothing about time.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Text);

        impl $name {
            /// Reads an id.
            ///
            /// # Errors
            #[doc = concat!("`pms.invalid_request` (field `", $field, "`) unless it is 1 to 64 visible ASCII characters.")]
            pub fn parse(text: &str) -> Result<Self> {
                Text::new(text).map(Self).ok_or_else(|| {
                    let message = "must be 1 to 64 visible ASCII characters without white space";
                    Error::field_invalid(codes::PMS_INVALID_REQUEST, $field, message)
                })
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The number that the id is, for a system whose ids are numbers above zero; `None` for another text,
            /// also for one that only looks like a number, such as `007`.
            pub(crate) fn number(self) -> Option<u64> {
                self.0.number()
            }
        }

        impl From<u64> for $name {
            /// The number in digits.
            fn from(number: u64) -> Self {
                Self(Text::of_number(number))
            }
        }

        impl From<$name> for StoredId {
            fn from(id: $name) -> Self {
                let text = || Self::Text(id.to_string());
                id.number().map_or_else(text, Self::Number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }
    )*};
}

/// An id as it is kept: numbers as numbers, which versions before text ids wrote and can read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredId {
    Number(u64),
    Text(String),
}

impl StoredId {
    /// The id again.
    ///
    /// # Errors
    /// None for what was made of one.
    pub(crate) fn read<Id: FromStr<Err = Error> + From<u64>>(&self) -> Result<Id> {
        match self {
            Self::Number(number) => Ok(Id::from(*number)),
            Self::Text(text) => text.parse(),
        }
    }
}

ids! {
    /// A hotel of the property management system.
    HotelId, "hotel";
    /// A room type: in QloApps, a product that has rooms.
    RoomTypeId, "room_type";
    /// A rate plan: at which price and under which terms a room type is sold. A system that has none sells everything
    /// under one, whose id is `default`.
    RatePlanId, "rate_plan";
    /// One physical room.
    RoomId, "room";
    /// A booking: in QloApps, the order.
    BookingId, "booking";
    /// One room of a booking: in QloApps, the row of `room_bookings`.
    StayId, "stay";
    /// A guest: in QloApps, the customer.
    GuestId, "guest";
    /// A service that is sold with rooms.
    ServiceId, "services";
}

impl Default for RatePlanId {
    /// The only rate plan of a system that has none.
    fn default() -> Self {
        Self(Text::new("default").unwrap_or(Text::EMPTY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_visible_text() {
        for text in ["17", "XPGMSXGF-1", "MUC-NONREF-FAMILY", &"f".repeat(64)] {
            assert_eq!(BookingId::parse(text).unwrap().to_string(), text);
        }
        for text in ["", " 17", "a b", "a\n", "ñ", "١٢", &"f".repeat(65)] {
            let error = BookingId::parse(text).unwrap_err();
            assert!(error.is(codes::PMS_INVALID_REQUEST), "{text:?}");
            assert_eq!(error.field(), Some("booking"));
        }
    }

    #[test]
    fn a_number_is_an_id_in_digits_and_only_its_own_digits_are_the_number() {
        for number in [1, 17, u64::MAX] {
            let id = BookingId::from(number);
            assert_eq!(
                (id.as_str(), id.number()),
                (number.to_string().as_str(), Some(number))
            );
            assert_eq!(id, BookingId::parse(&number.to_string()).unwrap());
        }
        for text in [
            "0",
            "007",
            "+7",
            "-7",
            "7.0",
            "99999999999999999999",
            "XPGMSXGF-1",
        ] {
            assert_eq!(BookingId::parse(text).unwrap().number(), None, "{text}");
        }
    }

    #[test]
    fn in_lists_numbers_come_by_their_size_and_before_texts() {
        let mut ids = ["b", "10", "a", "9", "007", "100"].map(|text| ServiceId::parse(text).unwrap());
        ids.sort_unstable();
        assert_eq!(ids.map(|id| id.to_string()), ["9", "10", "100", "007", "a", "b"]);
    }
}
