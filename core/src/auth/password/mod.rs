//! Passwords: made into argon2id hashes, verified against those and the app's bcrypt ones, judged by a policy.

mod floor;
mod input;
mod policy;
mod pool;
mod shared;
mod stored;

pub(crate) use floor::Floor;
pub(crate) use input::Password;
pub use policy::PasswordPolicy;
pub(crate) use pool::HashPool;
pub use shared::{legacy_password_hash, password_matches};

use std::time::Duration;

use self::stored::{BCRYPT_READS, Scratch, Stored};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};

/// What a password is to a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right {
        /// A better hash, for a stored one that is weaker than today's.
        rehash: Option<String>,
        /// bcrypt saw only the first 72 bytes, so any ending would have been right: a new one must be set.
        must_change: bool,
    },
}

/// A verdict, and how long its computation took: without the wait for a core.
pub(crate) struct Verification {
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    pub(crate) was_bcrypt: bool,
}

/// Verifies. Without a hash, or with one that cannot be computed, the same work is done for nothing, so that time
/// does not tell who exists.
///
/// # Errors
/// `auth.hashing_busy`.
pub(crate) async fn verify(
    pool: &HashPool,
    clock: &SharedClock,
    password: Password,
    hash: Option<String>,
) -> Result<Verification> {
    let clock = clock.clone();
    pool.run(move |scratch| {
        let begun = clock.instant();
        let verdict = verify_now(&password, hash.as_deref(), scratch);
        Verification {
            verdict,
            took: clock.instant().saturating_duration_since(begun),
            was_bcrypt: hash
                .as_deref()
                .and_then(Stored::read)
                .is_some_and(|stored| stored.is_bcrypt()),
        }
    })
    .await
}

/// A new hash.
///
/// # Errors
/// `auth.hashing_busy`.
pub(crate) async fn hash(pool: &HashPool, password: Password) -> Result<String> {
    pool.run(move |scratch| stored::hash(&password.normal, scratch))
        .await?
        .ok_or_else(|| Error::new(codes::POSADA_INTERNAL, "there is no memory for a password hash"))
}

/// Whether the password is one of those behind these hashes. One hash at a time, so that others get their turn.
///
/// # Errors
/// `auth.hashing_busy`.
pub(crate) async fn is_any_of(pool: &HashPool, password: &str, hashes: Vec<String>) -> Result<bool> {
    for hash in hashes {
        let password = Password::typed(password)?;
        let same = pool
            .run(move |scratch| {
                Stored::read(&hash).is_some_and(|stored| stored.verify(&password.normal, scratch))
            })
            .await?;
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn verify_now(password: &Password, hash: Option<&str>, scratch: &mut Scratch) -> Verdict {
    let Some(stored) = hash.and_then(Stored::read) else {
        if hash.is_some() {
            tracing::warn!(event = "hash_params_out_of_bounds", "a stored hash is not usable");
        }
        let _same_work = stored::hash(&password.normal, scratch);
        return Verdict::Wrong;
    };
    if !stored.is_of(password, scratch) {
        return Verdict::Wrong;
    }
    let is_cut = stored.is_bcrypt() && password.normal.len() > BCRYPT_READS;
    Verdict::Right {
        rehash: (stored.is_outdated() && !is_cut)
            .then(|| stored::hash(&password.normal, scratch))
            .flatten(),
        must_change: is_cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(password: &str, hash: &str) -> Verdict {
        verify_now(
            &Password::typed(password).unwrap(),
            Some(hash),
            &mut Scratch::default(),
        )
    }

    #[test]
    fn case_92_beyond_72_bytes_bcrypt_is_not_rehashed_and_must_be_changed() {
        let hash = bcrypt::hash("x".repeat(72), 4).unwrap();
        for (length, must_change) in [(72, false), (73, true), (80, true)] {
            let Verdict::Right {
                rehash,
                must_change: flag,
            } = verdict(&"x".repeat(length), &hash)
            else {
                panic!("{length} bytes begin with the right ones")
            };
            assert_eq!((rehash.is_none(), flag), (must_change, must_change), "{length}");
        }
    }

    #[test]
    fn a_current_hash_is_kept_and_an_old_one_is_replaced() {
        let current = stored::hash("Verano", &mut Scratch::default()).unwrap();
        assert_eq!(
            verdict("Verano", &current),
            Verdict::Right {
                rehash: None,
                must_change: false
            }
        );
        let Verdict::Right {
            rehash: Some(new), ..
        } = verdict("Verano", &bcrypt::hash("Verano", 4).unwrap())
        else {
            panic!("bcrypt is outdated")
        };
        assert!(
            Stored::read(&new)
                .unwrap()
                .verify("Verano", &mut Scratch::default())
        );
        assert_eq!(verdict("verano", &current), Verdict::Wrong);
    }

    #[test]
    fn case_88_a_hash_made_without_normalization_verifies_as_typed() {
        let typed = "contrasen\u{303}a";
        let old = bcrypt::hash(typed, 4).unwrap();
        assert!(matches!(verdict(typed, &old), Verdict::Right { .. }));
        let new = stored::hash("contrase\u{f1}a", &mut Scratch::default()).unwrap();
        assert!(matches!(verdict(typed, &new), Verdict::Right { .. }));
    }

    #[tokio::test]
    async fn case_98_the_history_is_searched_across_kinds_of_hashes() {
        let pool = HashPool::new(crate::task::Tasks::new());
        let hashes = vec![
            stored::hash("one", &mut Scratch::default()).unwrap(),
            bcrypt::hash("two", 4).unwrap(),
            "unreadable".to_owned(),
        ];
        for (password, known) in [("one", true), ("two", true), ("three", false)] {
            assert_eq!(
                is_any_of(&pool, password, hashes.clone()).await.unwrap(),
                known,
                "{password}"
            );
        }
    }
}
