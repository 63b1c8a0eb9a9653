//! Tokens whose signature and claims this process has checked before.
//!
//! Checking a signature and reading claims takes microseconds, and a client sends the same token with every request.
//! So what a good token says is kept, under the SHA-256 of the whole token. Why that is as strict as reading it anew:
//! * Only a token that passed every check is kept, and a digest stands for one spelling of one token. One changed
//!   byte is another digest, and is read in full.
//! * What depends on the time is looked at again on every hit: an entry holds from the second in which it was
//!   checked until the token ends or its key retires, whichever is first. A clock that went back does not hit.
//! * How old a token can be at most is settled when it is first seen, so one that was seen before the moment at which
//!   it says it was made stays older than that moment.
//! * It says nothing about sessions. Whether the session is alive is asked after a hit exactly as after a miss, so a
//!   revocation keeps its promise.
//! * Refusals are not kept, so an attacker without the key cannot fill it. It is bounded, and holds no token that could
//!   be stolen from the memory.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use ring::digest;

use super::claims::TokenClaims;

/// Most tokens that are kept.
const MOST: usize = 20_000;

type Digest = [u8; 32];

/// What a token says, and when that may be believed without another look, in seconds since 1970.
#[derive(Clone)]
struct Entry {
    claims: Arc<TokenClaims>,
    from: i64,
    until: i64,
}

/// The tokens.
#[derive(Default)]
pub(crate) struct VerifiedTokens(papaya::HashMap<Digest, Entry, foldhash::quality::RandomState>);

impl VerifiedTokens {
    /// What the token says, if it was checked before and nothing has changed since but the time, which is
    /// looked at here.
    pub(super) fn get(&self, token: Key, now: DateTime<Utc>) -> Option<Arc<TokenClaims>> {
        let known = self.0.pin();
        let entry = known.get(&token.0)?;
        let now = now.timestamp();
        (entry.from <= now && now < entry.until).then(|| entry.claims.clone())
    }

    /// Keeps what a token says that passed every check at `now` and may pass until `until`.
    pub(super) fn put(&self, token: Key, claims: Arc<TokenClaims>, now: DateTime<Utc>, until: i64) {
        let (known, from) = (self.0.pin(), now.timestamp());
        if known.len() >= MOST {
            known.retain(|_, entry| from < entry.until);
            // The next walk is at least half a table away, so that a full one does not walk with every token.
            if known.len() > MOST / 2 {
                known.clear();
            }
        }
        known.insert(token.0, Entry { claims, from, until });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.pin().len()
    }
}

/// What stands for a token.
#[derive(Clone, Copy)]
pub(super) struct Key(Digest);

impl Key {
    pub(super) fn of(token: &str) -> Option<Self> {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        digest.as_ref().try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::super::{NewToken, Profile, TokenKind, TokenRules, mint, read, read_known};
    use super::*;
    use crate::auth::token::KeyRing;
    use crate::error::codes;
    use crate::settings::Secret;
    use crate::testkit::Dice;

    const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
    const OLD_KEY: &str = "0ther5ecret0123456789abcdef0123456789abcdef00";
    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(seconds, 0).unwrap()
    }

    fn ring(secret: &str) -> KeyRing {
        KeyRing::new(&Secret::new(secret)).unwrap()
    }

    fn rules(profile: Profile) -> TokenRules {
        TokenRules {
            issues: profile,
            ..TokenRules::default()
        }
    }

    fn token(keys: &KeyRing, profile: Profile, number: usize) -> String {
        let new = NewToken {
            kind: TokenKind::Access,
            subject: "ana",
            issued_at: at(NOW),
            life: std::time::Duration::from_mins(10),
            id: &format!("j{number}"),
            session: Some("s"),
            tenant: None,
            role: None,
            mark: None,
        };
        mint(keys, &rules(profile), &new).unwrap()
    }

    #[test]
    fn a_known_token_is_judged_like_a_new_one_in_every_second_of_its_life_and_after() {
        let keys = ring(KEY);
        for profile in [Profile::Legacy, Profile::Strict] {
            let (known, token) = (VerifiedTokens::default(), token(&keys, profile, 1));
            read_known(&keys, &rules(profile), &known, &token, at(NOW)).unwrap();
            for seconds in [-7, -6, -5, -1, 0, 1, 599, 600, 601, 604, 605, 606, 10_000] {
                let now = at(NOW + seconds);
                let fresh = read(&keys, &rules(profile), TokenKind::Access, &token, now);
                let hit = read_known(&keys, &rules(profile), &known, &token, now);
                // What was seen before its time stays as old as it was taken to be then.
                let hit = hit.map(|claims| TokenClaims {
                    earliest_issue: NOW,
                    ..(*claims).clone()
                });
                let fresh = fresh.map(|claims| TokenClaims {
                    earliest_issue: NOW,
                    ..claims
                });
                assert_eq!(
                    hit.map_err(|error| error.code()),
                    fresh.map_err(|error| error.code()),
                    "{profile:?}, {seconds} seconds"
                );
            }
        }
    }

    #[test]
    fn a_token_that_was_seen_before_its_time_stays_older_than_it_says() {
        let (keys, known) = (ring(KEY), VerifiedTokens::default());
        let token = token(&keys, Profile::Legacy, 1);
        let issue = |seconds| {
            let read = read_known(&keys, &rules(Profile::Legacy), &known, &token, at(NOW + seconds));
            read.unwrap().earliest_issue
        };
        assert_eq!(
            (issue(-60), issue(-1), issue(0), issue(60)),
            (NOW - 300, NOW - 300, NOW - 300, NOW - 300)
        );
    }

    #[test]
    fn case_34_a_known_token_dies_with_its_key() {
        let (old, until) = (ring(OLD_KEY), at(NOW + 60));
        let keys = ring(KEY).with_previous(&Secret::new(OLD_KEY), until).unwrap();
        let (known, token) = (VerifiedTokens::default(), token(&old, Profile::Legacy, 1));
        let verify = |seconds| read_known(&keys, &rules(Profile::Legacy), &known, &token, at(NOW + seconds));
        assert!(verify(0).is_ok() && verify(59).is_ok());
        assert!(verify(60).unwrap_err().is(codes::AUTH_INVALID_TOKEN));
    }

    #[test]
    fn a_changed_token_never_hits_and_a_refused_one_is_not_kept() {
        let (keys, known) = (ring(KEY), VerifiedTokens::default());
        let good = token(&keys, Profile::Legacy, 1);
        let verify = |token: &str| read_known(&keys, &rules(Profile::Legacy), &known, token, at(NOW));
        verify(&good).unwrap();
        for index in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed).is_err(), "byte {index}");
        }
        assert!(verify(&format!("{good} ")).is_err());
        let refresh = NewToken {
            kind: TokenKind::Refresh,
            subject: "ana",
            issued_at: at(NOW),
            life: std::time::Duration::from_mins(10),
            id: "r",
            session: Some("s"),
            tenant: None,
            role: None,
            mark: None,
        };
        let refresh = mint(&keys, &rules(Profile::Legacy), &refresh).unwrap();
        assert!(verify(&refresh).is_err(), "a refresh token opens nothing");
        assert_eq!(known.len(), 1);
    }

    /// What a good token says.
    fn claims(keys: &KeyRing) -> Arc<TokenClaims> {
        let token = token(keys, Profile::Legacy, 1);
        let read = read(keys, &rules(Profile::Legacy), TokenKind::Access, &token, at(NOW));
        Arc::new(read.unwrap())
    }

    #[test]
    fn a_full_table_makes_room_for_many_at_once() {
        let known = VerifiedTokens::default();
        let claims = claims(&ring(KEY));
        // One of ten has ended when the table is full.
        for number in 0..=MOST {
            let key = Key::of(&format!("token {number}")).unwrap();
            let until = if number % 10 == 0 { NOW } else { NOW + 600 };
            known.put(key, claims.clone(), at(NOW), until);
        }
        assert!(known.len() <= MOST / 2, "{}", known.len());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let known = VerifiedTokens::default();
        let mut dice = Dice::new(7);
        let claims = claims(&ring(KEY));
        for number in 0..2 * MOST {
            let key = Key::of(&format!("token {number}")).unwrap();
            let life = i64::try_from(dice.below(3)).unwrap() * 600;
            known.put(key, claims.clone(), at(NOW), NOW + life);
        }
        assert!(known.len() <= MOST, "{}", known.len());
    }
}
