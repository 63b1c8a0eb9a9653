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
struct JumpingClock {
    steady: ManualClock,
    jump: Arc<AtomicI64>,
}

impl Clock for JumpingClock {
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
        let clock: SharedClock = Arc::new(JumpingClock {
            steady: steady.clone(),
            jump: jump.clone(),
        });
        let fixture = Fixture::on(options, steady, clock);
        let to = |seconds: i64| jump.store(seconds, Ordering::SeqCst);
        let pair = fixture.ana().await;
        let over = fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        fixture.auth.logout(&over.access).await.unwrap();
        for seconds in [0, 3600 + 6, 0, -3600, 0] {
            to(seconds);
            let verdict = fixture.auth.verify(&pair.access).await;
            match (seconds, profile) {
                (1.., _) => assert!(verdict.unwrap_err().is(codes::AUTH_TOKEN_EXPIRED)),
                // The app's libraries do not mind a token from the future; the strict profile does.
                (0, _) | (_, Profile::Legacy) => drop(verdict.unwrap()),
                (_, Profile::Strict) => assert!(verdict.unwrap_err().is(codes::AUTH_INVALID_TOKEN)),
            }
            assert!(fixture.auth.verify(&over.access).await.is_err(), "{seconds}");
            assert!(fixture.auth.refresh(&over.refresh).await.is_err(), "{seconds}");
        }
        to(3600);
        let next = fixture.auth.refresh(&pair.refresh).await.unwrap();
        fixture.auth.verify(&next.access).await.unwrap();
        // Waits are measured by the clock that does not jump.
        while fixture
            .auth
            .login(&SignIn::new("ana", "wrong"))
            .await
            .unwrap_err()
            .is(codes::AUTH_BAD_CREDENTIALS)
        {}
        to(7200);
        let error = fixture
            .auth
            .login(&SignIn::new("ana", PASSWORD))
            .await
            .unwrap_err();
        assert!(error.is(codes::AUTH_THROTTLED), "{error}");
    }
}

/// An access token with that session, of that user, signed with our key.
fn forged(fixture: &Fixture, user: &User, session: &str, tenant: Option<&TenantId>) -> String {
    let new = token::NewToken {
        kind: TokenKind::Access,
        subject: &user.id,
        issued_at: fixture.clock.shared().now(),
        life: Duration::from_mins(10),
        id: "j",
        session: Some(session),
        tenant,
        role: None,
        mark: None,
    };
    token::mint(fixture.auth.keys().unwrap(), &fixture.auth.0.rules, &new).unwrap()
}

#[tokio::test]
async fn cases_79_and_80_a_signed_token_with_anothers_session_or_hotel_is_refused() {
    let fixture = Fixture::new();
    let hotel = TenantId::parse("hotel-test").unwrap();
    let (ana, bea) = (
        NewUser::new("ana", "ana@example.com", PASSWORD)
            .unwrap()
            .tenant(&hotel),
        NewUser::new("bea", "bea@example.com", PASSWORD)
            .unwrap()
            .tenant(&hotel),
    );
    let ana = fixture.auth.create_user(ana).await.unwrap();
    let bea = fixture.auth.create_user(bea).await.unwrap();
    let session = fixture
        .auth
        .login(&SignIn::new("ana", PASSWORD))
        .await
        .unwrap()
        .session;
    fixture
        .auth
        .verify(&forged(&fixture, &ana, &session, Some(&hotel)))
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
                fixture
                    .auth
                    .verify(&forged(
                        &fixture,
                        &ana,
                        &session_of(&fixture, &ana).await,
                        Some(&hotel),
                    ))
                    .await
                    .unwrap();
            }
            let error = fixture
                .auth
                .verify(&forged(&fixture, user, session, tenant))
                .await
                .unwrap_err();
            assert!(error.is(codes::AUTH_SESSION_ENDED), "{tenant:?} {known}: {error}");
        }
    }
}

async fn session_of(fixture: &Fixture, user: &User) -> String {
    let owner = Owner {
        user: user.id.clone(),
        tenant: user.tenant.clone(),
    };
    let now = fixture.clock.shared().now();
    fixture.auth.0.store.sessions(&owner, now).await.unwrap()[0]
        .id
        .clone()
}

#[tokio::test]
async fn case_85_a_flood_of_unknown_sessions_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let ana = without_a_password(&fixture).await;
    for number in 0..5000 {
        let token = forged(&fixture, &ana, &format!("s{number}"), None);
        assert!(fixture.auth.verify(&token).await.is_err());
    }
    assert_eq!(fixture.auth.0.live.counts(), (0, 0));
}

#[tokio::test]
async fn what_is_known_of_sessions_is_bounded() {
    let live = LiveSessions::default();
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    fixture.auth.verify(&pair.access).await.unwrap();
    let known = fixture.auth.0.live.get(&pair.session, 0).unwrap();
    for number in 0..120_000 {
        live.put(&format!("s{number}"), &known, 0);
    }
    assert!(live.counts().0 <= 50_000, "{:?}", live.counts());
}

#[tokio::test]
async fn case_96_a_hash_that_cannot_be_improved_keeps_nobody_out() {
    let fixture = Fixture::new();
    let ana = without_a_password(&fixture).await;
    let owner = Owner {
        user: ana.id.clone(),
        tenant: None,
    };
    let stored = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
    let old = bcrypt::hash(PASSWORD, 4).unwrap();
    assert!(
        fixture
            .auth
            .0
            .store
            .rehash(&owner, &stored.hash, &old)
            .await
            .unwrap()
    );
    fixture.postgres.break_only("rehash");
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert!(fixture.happened(AuthEventKind::Degraded));
    let kept = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
    assert_eq!(kept.hash, old);
    fixture.postgres.sort();
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let better = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
    assert!(better.hash.starts_with("$argon2id$"));
    assert_eq!(
        better.user.password_changed_at, stored.user.password_changed_at,
        "case 97"
    );
}

#[tokio::test]
async fn case_95_a_better_hash_never_overwrites_a_new_password() {
    let fixture = Fixture::new();
    let ana = without_a_password(&fixture).await;
    let owner = Owner {
        user: ana.id,
        tenant: None,
    };
    let stored = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
    fixture
        .auth
        .set_password(None, &owner.user, SECOND, false)
        .await
        .unwrap();
    // The sign-in that verified the old password comes late.
    assert!(
        !fixture
            .auth
            .0
            .store
            .rehash(&owner, &stored.hash, "better")
            .await
            .unwrap()
    );
    fixture.auth.login(&SignIn::new("ana", SECOND)).await.unwrap();
}

#[tokio::test]
async fn case_100_without_the_history_a_change_is_refused() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    fixture.postgres.break_only("history");
    let error = fixture
        .auth
        .change_password(&pair.access, PASSWORD, SECOND)
        .await
        .unwrap_err();
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    fixture.postgres.sort();
    fixture
        .auth
        .verify_privileged(&pair.access)
        .await
        .expect("nothing has changed");
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn case_105_a_wait_tells_nothing_about_the_account() {
    let fixture = Fixture::new();
    fixture.ana().await;
    let mut told = Vec::new();
    for name in ["ana", "nobody"] {
        let guess = SignIn::new(name, "wrong");
        told.push(loop {
            let error = fixture.auth.login(&guess).await.unwrap_err();
            if error.is(codes::AUTH_THROTTLED) {
                break format!("{error} {error:?}");
            }
        });
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn case_108_after_a_hundred_guesses_a_known_device_or_a_new_password_comes_in() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    let claims = fixture.auth.verify(&pair.access).await.unwrap();
    let cookie = fixture.auth.device_cookie(&claims).await.unwrap();
    let keys = fixture.auth.keys().unwrap();
    let counted = throttle::Counters {
        accounts: vec![keys.derive("account", &["", "ana"])],
        address: None,
    };
    for _ in 0..100 {
        while fixture
            .auth
            .0
            .throttling
            .attempt(&counted)
            .await
            .unwrap()
            .is_some()
        {
            fixture.clock.advance(Duration::from_mins(15));
        }
    }
    let owner = SignIn::new("ana", PASSWORD);
    fixture.clock.advance(Duration::from_hours(23));
    let error = fixture.auth.login(&owner).await.unwrap_err();
    assert!(error.is(codes::AUTH_THROTTLED), "{error}");
    assert_eq!(
        error.retry(),
        Retry::After(Duration::from_hours(1)),
        "never for good"
    );
    fixture
        .auth
        .login(&owner.clone().device_cookie(cookie))
        .await
        .expect("a known device");
    let reset = fixture
        .auth
        .issue(None, &claims.user_id, TokenKind::ResetPassword)
        .await
        .unwrap();
    fixture.auth.reset_password(&reset, SECOND).await.unwrap();
    fixture
        .auth
        .login(&SignIn::new("ana", SECOND))
        .await
        .expect("a new password");
}

#[tokio::test]
async fn case_114_a_user_without_a_hotel_is_of_none() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    let claims = fixture.auth.verify(&pair.access).await.unwrap();
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
    let error = fixture
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
    let fixture = Fixture::with(AuthOptions::new().access_life(Duration::from_hours(24)));
    let pair = fixture.ana().await;
    fixture.postgres.shuffle(&mut Dice::new(11));
    for polls in 0..40 {
        // Long enough that waits are over and what was known is not.
        fixture.clock.advance(Duration::from_mins(15));
        dropped_after(polls, fixture.auth.login(&SignIn::new("ana", PASSWORD))).await;
        dropped_after(polls, fixture.auth.verify(&pair.access)).await;
        dropped_after(polls, fixture.auth.change_password(&pair.access, "wrong", SECOND)).await;
    }
    fixture.postgres.sort();
    let started = SystemClock.instant();
    while !fixture.auth.0.pool.is_idle() {
        assert!(started.elapsed() < Duration::from_secs(30), "a place was lost");
        tokio::task::yield_now().await;
    }
    fixture.clock.advance(Duration::from_hours(1));
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert_eq!(fixture.auth.0.live.counts().1, 0, "no look-up is left open");
}

#[tokio::test]
async fn the_live_sessions_are_counted_for_people_who_watch() {
    let fixture = Fixture::new();
    assert_eq!(fixture.auth.measure().await.unwrap(), 0);
    let pair = fixture.ana().await;
    fixture.auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    assert_eq!(fixture.auth.measure().await.unwrap(), 2);
    fixture.auth.logout(&pair.access).await.unwrap();
    assert_eq!(fixture.auth.measure().await.unwrap(), 1);
    fixture.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(fixture.auth.measure().await.unwrap(), 0);
}

#[tokio::test]
async fn a_known_token_of_an_ended_session_is_refused_at_once() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    fixture.auth.verify(&pair.access).await.unwrap();
    let hit = fixture.auth.verify(&pair.access).await.unwrap();
    assert_eq!(hit.source, ClaimsSource::Local);
    fixture.auth.logout(&pair.access).await.unwrap();
    assert!(
        fixture
            .auth
            .verify(&pair.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
}
