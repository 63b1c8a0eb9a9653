//! A password as it was typed.

use std::fmt;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::error::{Error, Result, codes};

/// Longest input, in bytes: known before any work is done.
const LONGEST_INPUT: usize = 4096;
/// Longest password after normalization, in bytes, for new ones.
const LONGEST_NEW: usize = 1024;

/// A password. Never shown.
#[derive(Clone)]
pub(crate) struct Password {
    /// One form for what looks the same: `ñ` may be typed as one character or as two.
    pub(super) normal: String,
    /// As typed, if that differs: old hashes were made without normalization.
    pub(super) typed: Option<String>,
}

impl Password {
    /// A password to be verified. Anything but an endless one is accepted; it is only wrong.
    ///
    /// # Errors
    /// `auth.invalid_password` beyond 4096 bytes.
    pub(crate) fn typed(input: &str) -> Result<Self> {
        if input.len() > LONGEST_INPUT {
            return Err(invalid(format!("must have at most {LONGEST_INPUT} bytes")));
        }
        if is_nfc(input) {
            return Ok(Self {
                normal: input.to_owned(),
                typed: None,
            });
        }
        Ok(Self {
            normal: input.nfc().collect(),
            typed: Some(input.to_owned()),
        })
    }

    /// Every form in which the password may have been hashed. How many there are depends on what was typed only.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.normal.as_str()).chain(self.typed.as_deref())
    }

    /// A password to be set.
    ///
    /// # Errors
    /// `auth.invalid_password` for more than 1024 bytes, and for NUL, which bcrypt cannot see.
    pub(crate) fn new(input: &str) -> Result<Self> {
        let password = Self::typed(input)?;
        if password.normal.len() > LONGEST_NEW {
            return Err(invalid(format!("must have at most {LONGEST_NEW} bytes")));
        }
        if password.normal.contains('\0') {
            return Err(invalid("must not contain NUL".to_owned()));
        }
        Ok(Self {
            typed: None,
            ..password
        })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn invalid(message: String) -> Error {
    Error::field_invalid(codes::AUTH_INVALID_PASSWORD, "password", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_87_the_length_is_known_before_any_work() {
        assert!(Password::typed(&"x".repeat(4096)).is_ok());
        // Hours of work, if the text were normalised before its length is looked at.
        let huge = "n\u{303}".repeat(3_000_000);
        for _ in 0..100_000 {
            let refused = Password::typed(&huge).unwrap_err();
            assert!(refused.is(codes::AUTH_INVALID_PASSWORD));
        }
        assert!(Password::typed(&"x".repeat(4097)).is_err());
        assert!(Password::new("a\0b").is_err() && Password::typed("a\0b").is_ok());
        assert!(Password::new(&"x".repeat(1025)).is_err());
        assert_eq!(Password::new(" spaces stay ").unwrap().normal, " spaces stay ");
    }

    #[test]
    fn case_88_what_looks_the_same_is_the_same() {
        let (composed, decomposed) = ("contrase\u{f1}a", "contrasen\u{303}a");
        assert_eq!(Password::typed(decomposed).unwrap().normal, composed);
        assert_eq!(
            Password::typed(decomposed).unwrap().typed.as_deref(),
            Some(decomposed)
        );
        assert_eq!(format!("{:?}", Password::typed(composed).unwrap()), "***");
    }
}
