//! The numbers by which a property management system knows its things, and the key by which we know a request.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::error::{Error, Result, codes};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $field:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// An id from a number.
            ///
            /// # Errors
            #[doc = concat!("`pms.invalid_request` (field `", $field, "`) for zero.")]
            pub fn new(id: u64) -> Result<Self> {
                NonZeroU64::new(id).map(Self).ok_or_else(|| {
                    Error::field_invalid(codes::PMS_INVALID_REQUEST, $field, "must be a whole number above zero")
                })
            }

            /// Reads an id from decimal digits.
            ///
            /// # Errors
            #[doc = concat!("`pms.invalid_request` (field `", $field, "`) for anything else.")]
            pub fn parse(text: &str) -> Result<Self> {
                // `u64::from_str` also takes a plus sign, which no system writes.
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                Self::new(if digits { text.parse().unwrap_or(0) } else { 0 })
            }

            /// The number.
            pub fn get(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
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

ids! {
    /// A hotel of the property management system.
    HotelId, "hotel";
    /// A room type: in QloApps, a product that has rooms.
    RoomTypeId, "room_type";
    /// One physical room.
    RoomId, "room";
    /// A booking: in QloApps, the order.
    BookingId, "booking";
    /// A guest: in QloApps, the customer.
    GuestId, "guest";
    /// A service that is sold with rooms.
    ServiceId, "services";
}

/// The caller's name for one wish to book: the same key asks for the same booking, however often it is sent.
///
/// One to 64 visible ASCII characters. Make it from what identifies the wish, such as the id of the guest's
/// message, so that a repeated delivery carries the same key; it is stored beside the booking, so it must not
/// hold personal data.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Reads a key. White space is refused, because databases ignore it at the end of a text.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `idempotency_key`).
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |what| Error::field_invalid(codes::PMS_INVALID_REQUEST, "idempotency_key", what);
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(invalid("must have 1 to 64 bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("must be visible ASCII characters without white space"));
        }
        Ok(Self(text.into()))
    }

    /// What stands for the key of a booking that was made without one. It has a space, so no caller can choose it.
    pub(crate) fn of_unkeyed(booking: BookingId) -> Self {
        Self(format!("booking {booking}").into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({:?})", &*self.0)
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_whole_numbers_above_zero() {
        assert_eq!(BookingId::parse("17").unwrap().get(), 17);
        for text in ["", "0", "-1", "+1", "1.0", "١٢", "99999999999999999999"] {
            let error = BookingId::parse(text).unwrap_err();
            assert!(error.is(codes::PMS_INVALID_REQUEST), "{text:?}");
            assert_eq!(error.field(), Some("booking"));
        }
    }

    #[test]
    fn keys_are_short_and_visible() {
        assert_eq!(IdempotencyKey::parse(&"k".repeat(64)).unwrap().as_str().len(), 64);
        for text in ["", "a b", "a\n", "ñ", &"k".repeat(65)] {
            let error = IdempotencyKey::parse(text).unwrap_err();
            assert_eq!(error.field(), Some("idempotency_key"), "{text:?}");
        }
    }
}
