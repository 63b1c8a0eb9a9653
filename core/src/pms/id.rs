//! The key by which we know a request, beside the ids of the system.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};

use crate::error::{Error, Result, codes};
use crate::hex::hex;
pub(crate) use crate::ids::StoredId;
pub use crate::ids::{BookingId, GuestId, HotelId, RatePlanId, RoomId, RoomTypeId, ServiceId, StayId};

/// The caller's name for one wish to book: the same key asks for the same booking, however often it is sent.
///
/// One to 255 visible ASCII characters. Make it from what identifies the wish, such as the id of the guest's message,
/// so that a repeated delivery carries the same key. It is stored beside the booking, where the hotel's staff see it,
/// and ids of messages may hold personal data (those of WhatsApp hold the guest's phone number in base64), so make it
/// with [`of`](Self::of), which hashes them.
///
/// `Debug` and the log show a mark of it, which is the same for the same key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 255;
    /// What every system can store as it is, in bytes.
    const SHORT_BYTES: usize = 64;
    /// Before the hash that stands for a key that a system cannot store as it is.
    const HASHED: &str = "sha256:";

    /// The key of a message: a hash of its id, 64 characters long, from which the guest cannot be found.
    ///
    /// `namespace` tells ids of one source from those of another, such as the channel (`whatsapp`), or what is done with
    /// the message when it can be more than one thing. Ids are as long as they are. A program that made its keys in
    /// another way books a message again that it booked before the change and is delivered after it; let it look for
    /// the old key with [`find_booking`](crate::PmsClient::find_booking) first, for as long as that can happen.
    ///
    /// ```
    /// use posada::IdempotencyKey;
    /// let id = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFjNFQjBDMEE4RDc0RjRBQjJDOUU2RjAA";
    /// let key = IdempotencyKey::of("whatsapp", id)?;
    /// assert_eq!(key, IdempotencyKey::of("whatsapp", id)?);
    /// assert_ne!(key, IdempotencyKey::of("telegram", id)?);
    /// assert_eq!(key.as_str().len(), 64);
    /// # Ok::<(), posada::Error>(())
    /// ```
    ///
    /// # Errors
    /// `pms.invalid_request` (field `namespace` or `message_id`) for an empty one: all messages without an id would
    /// have the same key.
    pub fn of(namespace: &str, message_id: &str) -> Result<Self> {
        for (field, part) in [("namespace", namespace), ("message_id", message_id)] {
            if part.is_empty() {
                return Err(Error::field_invalid(
                    codes::PMS_INVALID_REQUEST,
                    field,
                    "must not be empty",
                ));
            }
        }
        // The length keeps apart what would otherwise be the same text.
        Ok(Self(
            hashed(&format!("{}:{namespace}{message_id}", namespace.len())).into(),
        ))
    }

    /// Reads a key. White space is refused, because databases ignore it at the end of a text.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `idempotency_key`).
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |what| Error::field_invalid(codes::PMS_INVALID_REQUEST, "idempotency_key", what);
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(invalid("must have 1 to 255 bytes"));
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

    /// The key as it is stored: itself, or a hash when it is long and has characters that a system may have to escape.
    /// Of a stored key it is the same again.
    pub(crate) fn stored(&self) -> Cow<'_, str> {
        if self.0.len() <= Self::SHORT_BYTES || self.0.bytes().all(is_plain) {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(format!("{}{}", Self::HASHED, hashed(&self.0)))
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of the key's hash to find what the log says about one booking, and nothing of the key.
    pub(crate) fn mark(&self) -> String {
        hashed(&self.0).chars().take(12).collect()
    }
}

/// Whether a byte is stored as it is by every system.
pub(super) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/@+=".contains(&byte)
}

fn hashed(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey(#{})", self.mark())
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

    /// As WhatsApp makes them: base64 of the guest's number and of a random name of the message.
    const WAMID: &str = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdEQTQ0QjlDRTUzNzFERDk4QQA=";

    #[test]
    fn keys_are_visible_and_as_long_as_the_ids_of_messages() {
        assert!(IdempotencyKey::parse(&format!("wa-{WAMID}")).is_ok());
        assert_eq!(
            IdempotencyKey::parse(&"k".repeat(255)).unwrap().as_str().len(),
            255
        );
        for text in ["", "a b", "a\n", "ñ", &"k".repeat(256)] {
            let error = IdempotencyKey::parse(text).unwrap_err();
            assert_eq!(error.field(), Some("idempotency_key"), "{text:?}");
        }
    }

    #[test]
    fn the_key_of_a_message_is_a_hash_of_its_source_and_its_id() {
        let key = |namespace, id| IdempotencyKey::of(namespace, id).unwrap();
        // Other languages make the same.
        assert_eq!(
            key("whatsapp", WAMID).as_str(),
            "c47e3a4c8fc0c5532ac0419379b68bf45df213cb945e30c11ddcb294c6461b83"
        );
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("1:a", "b"), key("1", ":ab"));
        assert!(IdempotencyKey::parse(key("ñ", &"x y".repeat(500)).as_str()).is_ok());
        for (namespace, id, field) in [("", WAMID, "namespace"), ("whatsapp", "", "message_id")] {
            let error = IdempotencyKey::of(namespace, id).unwrap_err();
            assert_eq!(error.field(), Some(field));
        }
    }

    #[test]
    fn what_a_system_would_have_to_escape_is_stored_as_a_hash_when_it_is_long() {
        let stored = |text: &str| IdempotencyKey::parse(text).unwrap().stored().into_owned();
        for kept in [
            "a|b".to_owned(),
            "%".repeat(64),
            format!("wa-{WAMID}"),
            "k".repeat(255),
        ] {
            assert_eq!(stored(&kept), kept);
        }
        let hashed = stored(&"%".repeat(65));
        assert!(hashed.starts_with("sha256:") && hashed.len() == 71, "{hashed}");
        assert_eq!(stored(&hashed), hashed);
        assert_ne!(stored(&"%".repeat(66)), hashed);
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        let shown = format!("{:?}", IdempotencyKey::parse("wa-5491187654321").unwrap());
        assert!(
            shown.starts_with("IdempotencyKey(#") && !shown.contains("5491187654321"),
            "{shown}"
        );
    }
}
