//! The keys that sign tokens: one that signs, and others that only verify until their time ends.
//!
//! While the key is changed, processes with different rings serve the same sessions. What is derived from a key and
//! compared later is therefore derived with the key that signed the token in question: a process that can verify the
//! token has that key, whichever key it signs with itself.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::strict::Unverified;
use crate::error::{Error, Result, codes};
use crate::settings::{ADVICE, Secret};

/// How many keys a ring may hold: a token without a key id is tried against each.
const MOST_KEYS: usize = 3;

/// Signs with its first key and verifies with all of them.
#[derive(Clone)]
pub(crate) struct KeyRing {
    current: Key,
    previous: Vec<(Key, DateTime<Utc>)>,
}

/// The place of a key in its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyIndex(usize);

#[derive(Clone)]
struct Key {
    /// Eight bytes that say which key it is, and nothing about it.
    id: String,
    mac: hmac::Key,
}

impl KeyRing {
    /// A ring of one key. Whether a key is good enough for production is the settings' matter.
    ///
    /// # Errors
    /// `settings.dummy_secret` for an empty key.
    pub(crate) fn new(secret: &Secret) -> Result<Self> {
        Ok(Self {
            current: Key::new(secret, "SECRET_KEY")?,
            previous: Vec::new(),
        })
    }

    /// The ring with one more key that verifies until that moment and never signs.
    ///
    /// # Errors
    /// As [`new`](Self::new), and `settings.invalid` for a fourth key.
    pub(crate) fn with_previous(mut self, secret: &Secret, until: DateTime<Utc>) -> Result<Self> {
        if self.previous.len() + 1 == MOST_KEYS {
            let message = format!("at most {} keys beside the one that signs", MOST_KEYS - 1);
            return Err(Error::field_invalid(
                codes::SETTINGS_INVALID,
                "previous_keys",
                message,
            ));
        }
        self.previous.push((Key::new(secret, "previous_keys")?, until));
        Ok(self)
    }

    /// The id of the key that signs.
    pub(super) fn id(&self) -> &str {
        &self.current.id
    }

    /// The signature of a text, in base64url.
    pub(super) fn sign(&self, signed: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.current.mac, signed.as_bytes()))
    }

    /// The key that signed the token and until when it verifies, if it is one that may verify at this moment. A key id
    /// narrows the choice.
    pub(super) fn verifies(
        &self,
        token: &Unverified<'_>,
        now: DateTime<Utc>,
    ) -> Option<(KeyIndex, DateTime<Utc>)> {
        self.each()
            .filter(|(_, key, until)| now < *until && token.kid.as_ref().is_none_or(|kid| *kid == key.id))
            .find(|(_, key, _)| key.verifies(token))
            .map(|(index, _, until)| (index, until))
    }

    /// A text that only holders of the current key can compute, 43 characters of base64url. `purpose` keeps the
    /// uses apart.
    pub(crate) fn derive(&self, purpose: &str, parts: &[&str]) -> String {
        self.current.derive(purpose, parts)
    }

    /// [`derive`](Self::derive) with another key of the ring.
    pub(crate) fn derive_with(&self, index: KeyIndex, purpose: &str, parts: &[&str]) -> String {
        let previous = index.0.checked_sub(1).and_then(|place| self.previous.get(place));
        previous
            .map_or(&self.current, |(key, _)| key)
            .derive(purpose, parts)
    }

    /// [`derive`](Self::derive) with every key that may verify at this moment, the current one first.
    pub(crate) fn derive_each(&self, purpose: &str, parts: &[&str], now: DateTime<Utc>) -> Vec<String> {
        self.each()
            .filter(|(_, _, until)| now < *until)
            .map(|(_, key, _)| key.derive(purpose, parts))
            .collect()
    }

    /// [`derive`](Self::derive) with every key, in the order of their [`KeyIndex`].
    pub(crate) fn derive_all(&self, purpose: &str, parts: &[&str]) -> Vec<String> {
        self.each()
            .map(|(_, key, _)| key.derive(purpose, parts))
            .collect()
    }

    /// Whether a text was derived so with a key that may verify at this moment. Takes the same time for every text.
    pub(crate) fn is_derived(&self, text: &str, purpose: &str, parts: &[&str], now: DateTime<Utc>) -> bool {
        self.derive_each(purpose, parts, now)
            .iter()
            .any(|derived| derived.as_bytes().ct_eq(text.as_bytes()).into())
    }

    /// Every key, its place and until when it verifies.
    fn each(&self) -> impl Iterator<Item = (KeyIndex, &Key, DateTime<Utc>)> {
        let previous = self.previous.iter().map(|(key, until)| (key, *until));
        std::iter::once((&self.current, DateTime::<Utc>::MAX_UTC))
            .chain(previous)
            .enumerate()
            .map(|(place, (key, until))| (KeyIndex(place), key, until))
    }
}

impl KeyIndex {
    /// What [`KeyRing::derive_all`] derived with this key.
    pub(crate) fn of<T>(self, derived: &[T]) -> Option<&T> {
        derived.get(self.0)
    }
}

impl Key {
    fn new(secret: &Secret, field: &'static str) -> Result<Self> {
        let bytes = secret.expose().as_bytes();
        if bytes.is_empty() {
            let message = format!("a key that signs tokens must not be empty; {ADVICE}");
            return Err(Error::field_invalid(codes::SETTINGS_DUMMY_SECRET, field, message));
        }
        let mac = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let digest = hmac::sign(&mac, b"posada key id");
        Ok(Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref().get(..8).unwrap_or_default()),
            mac,
        })
    }

    fn derive(&self, purpose: &str, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.mac);
        for part in std::iter::once(&purpose).chain(parts) {
            // The length goes first, so that no two lists of parts look alike.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(context.sign())
    }

    /// Takes the same time for every signature.
    fn verifies(&self, token: &Unverified<'_>) -> bool {
        BASE64_URL_SAFE_NO_PAD
            .decode(token.signature)
            .is_ok_and(|signature| hmac::verify(&self.mac, token.signed.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("current", &self.current.id)
            .field("previous", &self.previous.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
    const OTHER: &str = "0ther5ecret0123456789abcdef0123456789abcdef00";

    #[test]
    fn case_36_an_empty_key_is_refused_by_its_name() {
        let error = KeyRing::new(&Secret::new("")).unwrap_err();
        assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{error}");
        assert_eq!(error.field(), Some("SECRET_KEY"));
        let ring = KeyRing::new(&Secret::new(GOOD)).unwrap();
        let error = ring
            .with_previous(&Secret::new(""), DateTime::<Utc>::MAX_UTC)
            .unwrap_err();
        assert_eq!(error.field(), Some("previous_keys"));
    }

    #[test]
    fn a_key_of_any_length_signs_because_only_production_asks_for_a_long_one() {
        for secret in ["k", "generate_secure_key_here", "qX7#", &"x".repeat(200)] {
            let ring = KeyRing::new(&Secret::new(secret)).unwrap();
            assert_eq!(ring.sign("header.claims").len(), 43, "{}", secret.len());
        }
    }

    #[test]
    fn a_ring_shows_no_key_and_takes_three() {
        let secret = Secret::new(GOOD);
        let until = DateTime::<Utc>::MAX_UTC;
        let ring = KeyRing::new(&secret)
            .and_then(|ring| ring.with_previous(&secret, until))
            .and_then(|ring| ring.with_previous(&secret, until))
            .unwrap();
        let shown = format!("{ring:?}");
        assert!(!shown.contains(GOOD) && shown.contains(ring.id()), "{shown}");
        assert!(
            ring.with_previous(&secret, until)
                .unwrap_err()
                .is(codes::SETTINGS_INVALID)
        );
    }

    #[test]
    fn derived_texts_keep_purposes_and_parts_apart() {
        let ring = KeyRing::new(&Secret::new(GOOD)).unwrap();
        assert_eq!(ring.derive("a", &["b"]), ring.derive("a", &["b"]));
        assert_ne!(ring.derive("a", &["bc"]), ring.derive("a", &["b", "c"]));
        assert_ne!(ring.derive("a", &["b"]), ring.derive("b", &["a"]));
    }

    #[test]
    fn two_rings_of_the_same_keys_in_another_order_derive_the_same_with_the_same_key() {
        let (old, new) = (Secret::new(GOOD), Secret::new(OTHER));
        let (until, now) = (DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::UNIX_EPOCH);
        let before = KeyRing::new(&old).unwrap().with_previous(&new, until).unwrap();
        let after = KeyRing::new(&new).unwrap().with_previous(&old, until).unwrap();
        let previous = KeyIndex(1);
        let parts = ["session", "token"];
        assert_eq!(
            after.derive_with(previous, "refresh", &parts),
            before.derive_with(KeyIndex(0), "refresh", &parts)
        );
        let mut of_both = [&before, &after].map(|ring| ring.derive_each("refresh", &parts, now));
        of_both[1].reverse();
        assert_eq!(of_both[0], of_both[1]);
        assert_eq!(
            previous.of(&after.derive_all("refresh", &parts)),
            Some(&of_both[0][0])
        );
    }

    #[test]
    fn a_derived_text_is_known_until_its_key_retires_and_for_its_purpose_and_parts_only() {
        let moment = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
        let old = KeyRing::new(&Secret::new(GOOD)).unwrap();
        let ring = KeyRing::new(&Secret::new(OTHER))
            .and_then(|ring| ring.with_previous(&Secret::new(GOOD), moment(100)))
            .unwrap();
        let text = old.derive("state", &["session", "value"]);
        assert!(ring.is_derived(&text, "state", &["session", "value"], moment(99)));
        assert!(!ring.is_derived(&text, "state", &["session", "value"], moment(100)));
        assert!(!ring.is_derived(&text, "state", &["another", "value"], moment(0)));
        assert!(!ring.is_derived(&text, "event", &["session", "value"], moment(0)));
        assert!(!ring.is_derived(&text[..42], "state", &["session", "value"], moment(0)));
        assert!(!ring.is_derived("", "state", &["session", "value"], moment(0)));
    }
}
