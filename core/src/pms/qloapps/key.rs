//! Our key inside the server: the `source` of an order.
//!
//! The server finds orders by it, and brackets, bars, commas and percent signs mean something in its filters. So these
//! are written as `~` and two hexadecimal digits, as is the tilde itself; usual keys stay as they are. A long key that
//! has such characters is stored as its hash.

use std::fmt::Write as _;

use crate::pms::id::{IdempotencyKey, is_plain};

/// The key as the server stores it, in at most its 255 characters.
pub(super) fn source(key: &IdempotencyKey) -> String {
    let stored = key.stored();
    let mut source = String::with_capacity(stored.len());
    for byte in stored.bytes() {
        if is_plain(byte) {
            source.push(char::from(byte));
        } else {
            let _ = write!(source, "~{byte:02x}");
        }
    }
    source
}

/// The key that a source stands for; `None` when it is not one of ours.
pub(super) fn key(source: &str) -> Option<IdempotencyKey> {
    let mut parts = source.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        text.push(char::from(code));
        text.push_str(part.get(2..)?);
    }
    let key = IdempotencyKey::parse(&text).ok()?;
    // What we would write otherwise was not written by posada.
    (self::source(&key) == source).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_keys_are_stored_as_they_are() {
        let text = "wa-wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABEYEjdEQTQ0QjlDRTUzNzFERDk4+/==";
        let usual = IdempotencyKey::parse(text).unwrap();
        assert_eq!(source(&usual), text);
        // As long as keys were before.
        let oldest = IdempotencyKey::parse(&"%".repeat(64)).unwrap();
        assert_eq!(source(&oldest), "~25".repeat(64));
        let odd = IdempotencyKey::parse("a|b,[c]%~").unwrap();
        assert_eq!(source(&odd), "a~7cb~2c~5bc~5d~25~7e");
    }

    #[test]
    fn a_source_of_somebody_else_is_no_key() {
        for foreign in ["", "Booking Com", "a~7Cb", "a~", "a~zz", "~61"] {
            assert_eq!(key(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back_as_it_is_stored(text in "[!-~]{1,255}|[0-9A-Za-z.+/=_-]{60,255}") {
            let wanted = IdempotencyKey::parse(&text).unwrap();
            let source = source(&wanted);
            prop_assert!(source.len() <= 255);
            let found = key(&source).unwrap();
            prop_assert_eq!(found.stored(), wanted.stored());
            prop_assert_eq!(self::source(&found), source);
            if text.len() <= 64 {
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
