//! Passwords of programs that share their users with the app, and hash on their own.

use super::bcrypt_hash::BCRYPT_READS;
use super::input::Password;
use super::stored::{ScratchPool, Stored};
use crate::error::{Error, Result, codes};

/// The cost of the app's hashes.
const COST: u32 = 12;

/// Of many at once, all but one compute with new memory.
static SPARE: ScratchPool = ScratchPool::new(1);

/// Whether a password is the one behind a stored hash: argon2 as posada or passlib makes it, or bcrypt as the app does.
/// False for anything else. Takes tens to hundreds of milliseconds of the calling thread; no I/O.
///
/// A sign-in is [`Authenticator::login`](crate::Authenticator::login), which also counts attempts.
pub fn password_matches(password: &str, hash: &str) -> bool {
    let (Ok(password), Some(stored)) = (Password::typed(password), Stored::read(hash)) else {
        return false;
    };
    SPARE.lend(|scratch| stored.is_of(&password, scratch))
}

/// A hash that the app can verify too: bcrypt `$2b$12$`. Takes hundreds of milliseconds of the calling thread; no I/O.
///
/// # Errors
/// `auth.invalid_password` (field `password`) for more than 72 bytes, which is all that bcrypt reads, and for NUL.
pub fn legacy_password_hash(password: &str) -> Result<String> {
    let password = Password::new(password)?.normal;
    if password.len() > BCRYPT_READS {
        return Err(Error::field_invalid(
            codes::AUTH_INVALID_PASSWORD,
            "password",
            "must have at most 72 bytes, which is all that bcrypt reads",
        ));
    }
    bcrypt::hash(password, COST)
        .map_err(|_| Error::new(codes::POSADA_INTERNAL, "a password hash cannot be made"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_for_the_app_has_its_form_and_matches_its_password_only() {
        let hash = legacy_password_hash("Verano 2027!").unwrap();
        assert!(hash.starts_with("$2b$12$") && hash.len() == 60, "{hash}");
        assert!(password_matches("Verano 2027!", &hash) && !password_matches("verano 2027!", &hash));
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for hash in [
            "",
            "plain",
            "$2x$12$",
            "$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA",
        ] {
            assert!(!password_matches("plain", hash), "{hash:?}");
        }
    }

    #[test]
    fn bcrypt_gets_nothing_that_it_would_not_read() {
        for password in ["x".repeat(73), "a\0b".to_owned()] {
            let error = legacy_password_hash(&password).unwrap_err();
            assert_eq!(error.code(), "auth.invalid_password");
        }
    }
}
