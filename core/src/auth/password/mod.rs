//! Passwords: made into argon2id hashes, verified against those and the app's bcrypt ones, judged by a policy.

mod bcrypt_hash;
mod estimate;
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

use self::bcrypt_hash::BCRYPT_READS;
use self::stored::{Scratch, Stored};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};

/// What a password is to a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right {
        /// The stored hash is weaker than those that are made today.
        is_outdated: bool,
        /// bcrypt saw only the first 72 bytes, so any ending would have been right: a new one must be set.
        must_change: bool,
    },
}

/// A verdict, and how long its computation took: without the wait for a core.
pub(crate) struct Verification {
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    /// Whether this stored hash takes another time than those that are made today.
    pub(crate) is_unusual: bool,
}

/// Verifies. How much is computed depends on the password that was typed and on the stored hash alone, never on the
/// verdict; and where there is no hash, or one that cannot be computed, as much as for one of today.
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
        let stored = hash.as_deref().and_then(Stored::read);
        Verification {
            verdict,
            took: clock.instant().saturating_duration_since(begun),
            is_unusual: stored.is_some_and(|stored| !stored.costs_as_today()),
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

/// Judges a new password by a policy: in the pool, because an estimate takes a core too.
///
/// # Errors
/// `auth.weak_password`, with the violations in its facts; `auth.hashing_busy`.
pub(crate) async fn judge(
    pool: &HashPool,
    policy: PasswordPolicy,
    typed: &str,
    context: [&str; 3],
) -> Result<()> {
    let (typed, context) = (typed.to_owned(), context.map(str::to_owned));
    pool.run(move |_| policy.check(&typed, &context.each_ref().map(String::as_str)))
        .await?
}

/// Whether the password is one of those behind these hashes. One hash at a time, so that others get their turn.
///
/// # Errors
/// `auth.hashing_busy`.
pub(crate) async fn is_any_of(pool: &HashPool, password: &str, hashes: Vec<String>) -> Result<bool> {
    for hash in hashes {
        let password = Password::typed(password)?;
        let same = pool
            .run(move |scratch| Stored::read(&hash).is_some_and(|stored| stored.is_of(&password, scratch)))
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
        same_work(password, scratch);
        return Verdict::Wrong;
    };
    if !stored.costs_as_today() {
        // A hash that is cheaper than those of today would tell by its haste that it exists. For one that is dearer,
        // refusals are held back; see `Floor`.
        same_work(password, scratch);
    }
    if !stored.is_of(password, scratch) {
        return Verdict::Wrong;
    }
    let is_cut = stored.is_bcrypt() && password.normal.len() > BCRYPT_READS;
    Verdict::Right {
        is_outdated: stored.is_outdated() && !is_cut,
        must_change: is_cut,
    }
}

/// What the verification against a hash of today takes.
fn same_work(password: &Password, scratch: &mut Scratch) {
    for spelling in password.spellings() {
        let _for_nothing = stored::hash(spelling, scratch);
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
            let expected = Verdict::Right {
                is_outdated: !must_change,
                must_change,
            };
            assert_eq!(verdict(&"x".repeat(length), &hash), expected, "{length}");
        }
    }

    #[test]
    fn a_current_hash_is_kept_and_an_old_one_is_replaced() {
        let right = |is_outdated| Verdict::Right {
            is_outdated,
            must_change: false,
        };
        let current = stored::hash("Verano", &mut Scratch::default()).unwrap();
        assert_eq!(verdict("Verano", &current), right(false));
        assert_eq!(verdict("verano", &current), Verdict::Wrong);
        let old = bcrypt::hash("Verano", 4).unwrap();
        assert_eq!(verdict("Verano", &old), right(true), "bcrypt is outdated");
    }

    #[test]
    fn case_103_the_work_depends_on_what_was_typed_and_not_on_what_is_right() {
        let scratch = &mut Scratch::default();
        let (composed, decomposed) = ("contrase\u{f1}a", "contrasen\u{303}a");
        let current = stored::hash(composed, scratch).unwrap();
        let current_as_typed = stored::hash(decomposed, scratch).unwrap();
        let (old, old_as_typed) = (
            bcrypt::hash(composed, 4).unwrap(),
            bcrypt::hash(decomposed, 4).unwrap(),
        );
        let weak =
            "$argon2id$v=19$m=64,t=1,p=2$gRAi5LwXojQGoLQWIuQcgw$hQwXsl66cApCTb+O9aKB2xQSDqfttTb8nHheOT2daTg";
        let long = "x".repeat(4096);
        for (typed, spellings) in [
            (composed, 1),
            (decomposed, 2),
            ("other", 1),
            ("n\u{303}o", 2),
            ("", 1),
            ("a\0b", 1),
            ("n\u{303}\0", 2),
            (&long, 1),
        ] {
            let password = Password::typed(typed).unwrap();
            let mut work = |hash: Option<&str>| {
                let before = scratch.computed;
                let _verdict = verify_now(&password, hash, scratch);
                scratch.computed - before
            };
            for hash in [
                None,
                Some("unreadable"),
                Some("$2x$12$"),
                Some(&current),
                Some(&current_as_typed),
            ] {
                assert_eq!(work(hash), spellings, "{typed:?} {hash:?}");
            }
            // The work for a hash of today, and that for this one.
            for hash in [&old, &old_as_typed, weak] {
                assert_eq!(work(Some(hash)), spellings * 2, "{typed:?} {hash}");
            }
        }
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
