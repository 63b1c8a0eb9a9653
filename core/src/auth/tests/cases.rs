//! Adversarial cases that need a look inside: clocks that jump, floods, dependencies that fail in one place only.

use std::pin::pin;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::error::Retry;
use crate::testkit::Dice;

/// A clock whose wall jumps while its ages go on.
#[derive(Debug)]
struct Jumping {
    steady: ManualClock,
    jump: Arc<AtomicI64>,
}

impl Clock for Jumping {
    fn now(&self) -> DateTime<Utc> {
        self.steady.shared().now() + chrono::Duration::seconds(self.jump.load(Ordering::SeqCst))
    }
    fn instant(&self) -> Instant {
        self.steady.shared().instant()
    }
    fn coarse_millis(&self) -> u64 {
        self.steady.shared().coarse_millis()
    }
}

#[tokio::test]
async fn case_83_a_clock_that_jumps_an_hour_ends_tokens_and_no_sessions_and_revives_nothing() {
    for profile in [Profile::Legacy, Profile::Strict] {
        let jump = Arc::new(AtomicI64::new(0));
        let steady = ManualClock::at(Utc.with_ymd_and_hms(2027, 3, 10, 12, 0, 0).unwrap());
        let options = AuthOptions::new().profile(profile);
        let clock: SharedClock = Arc::new(Jumping {
            steady: steady.clone(),
            jump: jump.clone(),
        });
        let lab = Lab::on(options, steady, clock);
        let to = |seconds: i64| jump.store(seconds, Ordering::SeqCst);
        let pair = lab.ana().await;
        let over = lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        lab.auth.logout(&over.access).await.unwrap();
        for seconds in [0, 3600 + 6, 0, -3600, 0] {
            to(seconds);
            let verdict = lab.auth.verify(&pair.access).await;
            match (seconds, profile) {
                (1.., _) => assert!(verdict.unwrap_err().is(codes::AUTH_TOKEN_EXPIRED)),
                // The app's libraries do not mind a token from the future; the strict profile does.
                (0, _) | (_, Profile::Legacy) => drop(verdict.unwrap()),
                (_, Profile::Strict) => assert!(verdict.unwrap_err().is(codes::AUTH_INVALID_TOKEN)),
            }
            assert!(lab.auth.verify(&over.access).await.is_err(), "{seconds}");
            assert!(lab.auth.refresh(&over.refresh).await.is_err(), "{seconds}");
        }
        to(3600);
        let next = lab.auth.refresh(&pair.refresh).await.unwrap();
        lab.auth.verify(&next.access).await.unwrap();
        // Waits are measured by the clock that does not jump.
        while lab
            .auth
            .login(&SignIn::new("ana", "wrong"))
            .await
            .unwrap_err()
            .is(codes::AUTH_BAD_CREDENTIALS)
        {}
        to(7200);
        let error = lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap_err();
        assert!(error.is(codes::AUTH_THROTTLED), "{error}");
    }
}

/// An access token with that session, of that user, signed with our key.
fn forged(lab: &Lab, user: &User, session: &str, tenant: Option<&TenantId>) -> String {
    let new = token::NewToken {
        kind: TokenKind::Access,
        subject: &user.id,
        issued_at: lab.clock.shared().now(),
        life: Duration::from_mins(10),
        id: "j",
        session: Some(session),
        tenant,
        role: None,
        mark: None,
    };
    token::mint(lab.auth.keys().unwrap(), &lab.auth.0.rules, &new).unwrap()
}

#[tokio::test]
async fn cases_79_and_80_a_signed_token_with_anothers_session_or_hotel_is_refused() {
    let lab = Lab::new();
    let hotel = TenantId::parse("hotel-test").unwrap();
    let (ana, bea) = (
        NewUser::new("ana", "ana@example.com", PASSWORD)
            .unwrap()
            .tenant(&hotel),
        NewUser::new("bea", "bea@example.com", PASSWORD)
            .unwrap()
            .tenant(&hotel),
    );
    let ana = lab.auth.create_user(ana).await.unwrap();
    let bea = lab.auth.create_user(bea).await.unwrap();
    let session = lab
        .auth
        .login(&SignIn::new("ana", PASSWORD))
        .await
        .unwrap()
        .session;
    lab.auth
        .verify(&forged(&lab, &ana, &session, Some(&hotel)))
        .await
        .expect("her own");
    let other = TenantId::parse("other").unwrap();
    for (user, session, tenant) in [
        (&bea, session.as_str(), Some(&hotel)),
        (&ana, session.as_str(), Some(&other)),
        (&ana, session.as_str(), None),
        (&ana, "guessed", Some(&hotel)),
    ] {
        for known in [false, true] {
            if known {
                lab.auth
                    .verify(&forged(&lab, &ana, &session_of(&lab, &ana).await, Some(&hotel)))
                    .await
                    .unwrap();
            }
            let error = lab
                .auth
                .verify(&forged(&lab, user, session, tenant))
                .await
                .unwrap_err();
            assert!(error.is(codes::AUTH_SESSION_ENDED), "{tenant:?} {known}: {error}");
        }
    }
}

async fn session_of(lab: &Lab, user: &User) -> String {
    let owner = Owner {
        user: user.id.clone(),
        tenant: user.tenant.clone(),
    };
    let now = lab.clock.shared().now();
    lab.auth.0.store.sessions(&owner, now).await.unwrap()[0]
        .id
        .clone()
}

#[tokio::test]
async fn case_85_a_flood_of_unknown_sessions_leaves_nothing_behind() {
    let lab = Lab::new();
    let ana = without_a_password(&lab).await;
    for number in 0..5000 {
        let token = forged(&lab, &ana, &format!("s{number}"), None);
        assert!(lab.auth.verify(&token).await.is_err());
    }
    assert_eq!(lab.auth.0.live.counts(), (0, 0));
}

#[tokio::test]
async fn what_is_known_of_sessions_is_bounded() {
    let live = LiveSessions::default();
    let lab = Lab::new();
    let pair = lab.ana().await;
    lab.auth.verify(&pair.access).await.unwrap();
    let known = lab.auth.0.live.get(&pair.session, 0).unwrap();
    for number in 0..120_000 {
        live.put(&format!("s{number}"), &known, 0);
    }
    assert!(live.counts().0 <= 50_000, "{:?}", live.counts());
}

#[tokio::test]
async fn case_96_a_hash_that_cannot_be_improved_keeps_nobody_out() {
    let lab = Lab::new();
    let ana = without_a_password(&lab).await;
    let owner = Owner {
        user: ana.id.clone(),
        tenant: None,
    };
    let stored = lab.auth.0.store.user(&owner).await.unwrap().unwrap();
    let old = bcrypt::hash(PASSWORD, 4).unwrap();
    assert!(lab.auth.0.store.rehash(&owner, &stored.hash, &old).await.unwrap());
    lab.postgres.break_only("rehash");
    lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert!(lab.happened(AuthEventKind::Degraded));
    let kept = lab.auth.0.store.user(&owner).await.unwrap().unwrap();
    assert_eq!(kept.hash, old);
    lab.postgres.sort();
    lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let better = lab.auth.0.store.user(&owner).await.unwrap().unwrap();
    assert!(better.hash.starts_with("$argon2id$"));
    assert_eq!(
        better.user.password_changed_at, stored.user.password_changed_at,
        "case 97"
    );
}

#[tokio::test]
async fn case_95_a_better_hash_never_overwrites_a_new_password() {
    let lab = Lab::new();
    let ana = without_a_password(&lab).await;
    let owner = Owner {
        user: ana.id,
        tenant: None,
    };
    let stored = lab.auth.0.store.user(&owner).await.unwrap().unwrap();
    lab.auth
        .set_password(None, &owner.user, SECOND, false)
        .await
        .unwrap();
    // The sign-in that verified the old password comes late.
    assert!(
        !lab.auth
            .0
            .store
            .rehash(&owner, &stored.hash, "better")
            .await
            .unwrap()
    );
    lab.auth.login(&SignIn::new("ana", SECOND)).await.unwrap();
}

#[tokio::test]
async fn case_100_without_the_history_a_change_is_refused() {
    let lab = Lab::new();
    let pair = lab.ana().await;
    lab.postgres.break_only("history");
    let error = lab
        .auth
        .change_password(&pair.access, PASSWORD, SECOND)
        .await
        .unwrap_err();
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    lab.postgres.sort();
    lab.auth
        .verify_privileged(&pair.access)
        .await
        .expect("nothing has changed");
    lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn case_105_a_wait_tells_nothing_about_the_account() {
    let lab = Lab::new();
    lab.ana().await;
    let mut told = Vec::new();
    for name in ["ana", "nobody"] {
        let guess = SignIn::new(name, "wrong");
        told.push(loop {
            let error = lab.auth.login(&guess).await.unwrap_err();
            if error.is(codes::AUTH_THROTTLED) {
                break format!("{error} {error:?}");
            }
        });
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn case_108_after_a_hundred_guesses_a_known_device_or_a_new_password_comes_in() {
    let lab = Lab::new();
    let pair = lab.ana().await;
    let claims = lab.auth.verify(&pair.access).await.unwrap();
    let cookie = lab.auth.device_cookie(&claims).await.unwrap();
    let keys = lab.auth.keys().unwrap();
    let counted = throttle::Counters {
        accounts: vec![keys.derive("account", &["", "ana"])],
        address: None,
    };
    for _ in 0..100 {
        while lab.auth.0.throttling.attempt(&counted).await.unwrap().is_some() {
            lab.clock.advance(Duration::from_mins(15));
        }
    }
    let owner = SignIn::new("ana", PASSWORD);
    lab.clock.advance(Duration::from_hours(23));
    let error = lab.auth.login(&owner).await.unwrap_err();
    assert!(error.is(codes::AUTH_THROTTLED), "{error}");
    assert_eq!(
        error.retry(),
        Retry::After(Duration::from_hours(1)),
        "never for good"
    );
    lab.auth
        .login(&owner.clone().device_cookie(cookie))
        .await
        .expect("a known device");
    let reset = lab
        .auth
        .issue(None, &claims.user_id, TokenKind::ResetPassword)
        .await
        .unwrap();
    lab.auth.reset_password(&reset, SECOND).await.unwrap();
    lab.auth
        .login(&SignIn::new("ana", SECOND))
        .await
        .expect("a new password");
}

#[tokio::test]
async fn case_114_a_user_without_a_hotel_is_of_none() {
    let lab = Lab::new();
    let pair = lab.ana().await;
    let claims = lab.auth.verify(&pair.access).await.unwrap();
    assert_eq!(
        (claims.tenant.as_ref(), claims.narrow(None).unwrap()),
        (None, None)
    );
    for header in ["hotel-test", "", "*", "%"] {
        assert!(
            claims
                .narrow(Some(header))
                .unwrap_err()
                .is(codes::AUTH_WRONG_TENANT),
            "{header}"
        );
    }
    let hotel = TenantId::parse("hotel-test").unwrap();
    let error = lab
        .auth
        .login(&SignIn::new("ana", PASSWORD).tenant(&hotel))
        .await
        .unwrap_err();
    assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
}

/// Polls at most so often and then drops; answers whether it was done by then.
async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> bool {
    let mut work = pin!(work);
    for _ in 0..polls {
        if futures_util::poll!(&mut work).is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn case_251_whoever_goes_away_at_any_moment_takes_nothing_along() {
    let lab = Lab::with(AuthOptions::new().access_life(Duration::from_hours(24)));
    let pair = lab.ana().await;
    lab.postgres.shuffle(&mut Dice::new(11));
    for polls in 0..40 {
        // Long enough that waits are over and what was known is not.
        lab.clock.advance(Duration::from_mins(15));
        dropped_after(polls, lab.auth.login(&SignIn::new("ana", PASSWORD))).await;
        dropped_after(polls, lab.auth.verify(&pair.access)).await;
        dropped_after(polls, lab.auth.change_password(&pair.access, "wrong", SECOND)).await;
    }
    lab.postgres.sort();
    let started = SystemClock.instant();
    while !lab.auth.0.pool.is_idle() {
        assert!(started.elapsed() < Duration::from_secs(30), "a place was lost");
        tokio::task::yield_now().await;
    }
    lab.clock.advance(Duration::from_hours(1));
    lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert_eq!(lab.auth.0.live.counts().1, 0, "no look-up is left open");
}

#[tokio::test]
async fn the_live_sessions_are_counted_for_people_who_watch() {
    let lab = Lab::new();
    assert_eq!(lab.auth.measure().await.unwrap(), 0);
    let pair = lab.ana().await;
    lab.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert_eq!(lab.auth.measure().await.unwrap(), 2);
    lab.auth.logout(&pair.access).await.unwrap();
    assert_eq!(lab.auth.measure().await.unwrap(), 1);
    lab.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(lab.auth.measure().await.unwrap(), 0);
}

#[tokio::test]
async fn a_known_token_of_an_ended_session_is_refused_at_once() {
    let lab = Lab::new();
    let pair = lab.ana().await;
    lab.auth.verify(&pair.access).await.unwrap();
    let hit = lab.auth.verify(&pair.access).await.unwrap();
    assert_eq!(hit.source, ClaimsSource::Local);
    lab.auth.logout(&pair.access).await.unwrap();
    assert!(
        lab.auth
            .verify(&pair.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
}
