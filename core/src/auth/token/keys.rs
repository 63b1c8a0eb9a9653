//! The keys that sign tokens: one that signs, and older ones that still verify until their time ends.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::crypto::CryptoProvider;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::strict::Unverified;
use crate::error::{Error, Result, codes};
use crate::settings::Secret;

/// How many keys a ring may hold: a token without a key id is tried against each.
const MOST_KEYS: usize = 3;
/// The shortest key, in bytes: as long as the hash.
const SHORTEST: usize = 32;

/// Signs with its first key and verifies with all of them.
#[derive(Clone)]
pub(crate) struct KeyRing {
    current: Key,
    previous: Vec<(Key, DateTime<Utc>)>,
}

#[derive(Clone)]
struct Key {
    /// Eight bytes that say which key it is, and nothing about it.
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    mac: hmac::Key,
}

impl KeyRing {
    /// A ring of one key.
    ///
    /// # Errors
    /// `settings.dummy_secret` for a key that is short, monotonous or stands in an example.
    pub(crate) fn new(secret: &Secret) -> Result<Self> {
        Ok(Self {
            current: Key::new(secret)?,
            previous: Vec::new(),
        })
    }

    /// The ring with one more key that verifies until that moment and never signs.
    ///
    /// # Errors
    /// As [`new`](Self::new), and `settings.invalid` for a fourth key.
    pub(crate) fn with_previous(mut self, secret: &Secret, until: DateTime<Utc>) -> Result<Self> {
        if self.previous.len() + 1 == MOST_KEYS {
            let message = format!("at most {MOST_KEYS} keys");
            return Err(Error::field_invalid(
                codes::SETTINGS_INVALID,
                "previous_keys",
                message,
            ));
        }
        self.previous.push((Key::new(secret)?, until));
        Ok(self)
    }

    /// The id of the key that signs.
    pub(super) fn id(&self) -> &str {
        &self.current.id
    }

    /// The signature of a text, in base64url.
    pub(super) fn sign(&self, signed: &str) -> Result<String> {
        jsonwebtoken::crypto::sign(signed.as_bytes(), &self.current.encoding, Algorithm::HS256).map_err(
            |failure| Error::new(codes::POSADA_INTERNAL, "a token could not be signed").caused_by(failure),
        )
    }

    /// Until when the key verifies that signed the token, if it is one that may verify at this moment. A key id narrows
    /// the choice.
    pub(super) fn verifies(&self, token: &Unverified<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let previous = self.previous.iter().map(|(key, until)| (key, *until));
        std::iter::once((&self.current, DateTime::<Utc>::MAX_UTC))
            .chain(previous)
            .filter(|(key, until)| now < *until && token.kid.as_ref().is_none_or(|kid| *kid == key.id))
            .find(|(key, _)| key.verifies(token))
            .map(|(_, until)| until)
    }

    /// A text that only holders of the current key can compute, 43 characters of base64url. `purpose` keeps the
    /// uses apart.
    pub(crate) fn derive(&self, purpose: &str, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.current.mac);
        for part in std::iter::once(&purpose).chain(parts) {
            // The length goes first, so that no two lists of parts look alike.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(context.sign())
    }
}

impl Key {
    fn new(secret: &Secret) -> Result<Self> {
        install_provider();
        let bytes = secret.expose().as_bytes();
        if bytes.len() < SHORTEST || !secret.is_strong() {
            let message = format!(
                "a key that signs tokens must be random and have at least {SHORTEST} bytes; make one with \
                 `openssl rand -hex 32`"
            );
            return Err(Error::field_invalid(
                codes::SETTINGS_DUMMY_SECRET,
                "SECRET_KEY",
                message,
            ));
        }
        let mac = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let digest = hmac::sign(&mac, b"posada key id");
        Ok(Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref().get(..8).unwrap_or_default()),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
            mac,
        })
    }

    fn verifies(&self, token: &Unverified<'_>) -> bool {
        jsonwebtoken::crypto::verify(
            token.signature,
            token.signed.as_bytes(),
            &self.decoding,
            Algorithm::HS256,
        )
        .unwrap_or(false)
    }
}

/// Installs aws-lc-rs as jsonwebtoken's provider, unless the program has chosen one. Without this the crate guesses
/// from the features of the whole program, and panics when two providers are compiled in.
fn install_provider() {
    let _already_there = CryptoProvider::install_default(&jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER);
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

    #[test]
    fn case_36_empty_short_and_placeholder_keys_are_refused() {
        for secret in [
            "",
            "short",
            "Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3",
            "generate_secure_key_here_and_make_it_long_enough",
            "abababababababababababababababababab",
        ] {
            let error = KeyRing::new(&Secret::new(secret)).unwrap_err();
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{secret}");
            assert!(secret.is_empty() || !error.to_string().contains(secret));
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
}
