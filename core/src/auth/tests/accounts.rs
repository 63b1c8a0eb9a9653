//! What an account tells of itself, to strangers and to the audit.

use std::net::IpAddr;

use super::*;

/// How many hashes are computed for one attempt.
async fn work(fixture: &Fixture, attempt: &SignIn) -> usize {
    // Every attempt finds the quota as it was.
    fixture.clock.advance(Duration::from_hours(48));
    let before = fixture.auth.0.pool.computed();
    let error = fixture.auth.login(attempt).await.unwrap_err();
    assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
    fixture.auth.0.pool.computed() - before
}

/// A fixture with a user, whose row was changed by this afterwards.
async fn with_user(change: impl FnOnce(&mut StoredUser)) -> Fixture {
    let fixture = Fixture::new();
    let ana = without_a_password(&fixture).await;
    let owner = Owner {
        user: ana.id,
        tenant: None,
    };
    let mut stored = fixture.auth.0.store.user(&owner).await.unwrap().unwrap();
    stored.user.username = "bea".to_owned();
    stored.user.email = "bea@example.com".to_owned();
    stored.user.id = "bea".to_owned();
    change(&mut stored);
    fixture
        .auth
        .0
        .store
        .insert(&stored, fixture.auth.now())
        .await
        .unwrap();
    fixture
}

#[tokio::test]
async fn case_103_a_refused_sign_in_computes_as_much_whoever_it_is_for() {
    let decomposed = "contrasen\u{303}a de cobre del loro";
    let composed = "contrase\u{f1}a de cobre del loro";
    let argon = stored_hash(composed).await;
    let argon_as_typed = stored_hash(decomposed).await;
    for (typed, spellings) in [(decomposed, 2), (composed, 1), ("a\0b", 1)] {
        let fixture = Fixture::new();
        let nobody = work(&fixture, &SignIn::new("nobody", typed)).await;
        assert_eq!(nobody, spellings, "{typed:?}");
        for hash in [&argon, &argon_as_typed] {
            for name in ["wrong", "inactive", "locked", "elsewhere", "suspended"] {
                let fixture = with_user(|stored| {
                    stored.hash.clone_from(hash);
                    stored.user.is_active = name != "inactive";
                    stored.tenant_active = name != "suspended";
                    stored.locked_until = (name == "locked").then_some(DateTime::<Utc>::MAX_UTC);
                    if name == "wrong" {
                        stored.hash = argon_of_another();
                    }
                })
                .await;
                let mut attempt = SignIn::new("bea", typed);
                if name == "elsewhere" {
                    attempt = attempt.tenant(&TenantId::parse("another-hotel").unwrap());
                }
                assert_eq!(work(&fixture, &attempt).await, nobody, "{typed:?} {name}");
                if typed == composed && hash == &argon {
                    let told = fixture.events.lock().unwrap().last().unwrap().detail;
                    let expected = match name {
                        "suspended" => "hotel",
                        "inactive" | "locked" => name,
                        _ => "login",
                    };
                    assert_eq!(told, expected, "the audit knows why");
                }
            }
        }
        // A hash that is not as those of today: the right password of somebody who may not sign in is no better than a
        // wrong one, and nothing is improved for it.
        let old = bcrypt::hash(composed, 4).unwrap();
        let fixture = with_user(|stored| {
            stored.hash = old;
            stored.user.is_active = false;
        })
        .await;
        fixture.auth.login(&SignIn::new("nobody", "x")).await.unwrap_err();
        let right = work(&fixture, &SignIn::new("bea", typed)).await;
        let same_form = if spellings == 2 { "n\u{303}" } else { "n" };
        assert_eq!(right, work(&fixture, &SignIn::new("bea", same_form)).await);
    }
}

async fn stored_hash(password: &str) -> String {
    let fixture = Fixture::new();
    let password = password::Password::typed(password).unwrap();
    password::hash(&fixture.auth.0.pool, password).await.unwrap()
}

fn argon_of_another() -> String {
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        .to_owned()
}

#[tokio::test]
async fn case_103_a_process_knows_the_costliest_hash_before_it_refuses_anybody() {
    let fixture = with_user(|stored| stored.hash = bcrypt::hash("x", 5).unwrap()).await;
    assert!(fixture.auth.0.costliest.get().is_none());
    fixture.postgres.break_only("costliest_hash");
    fixture.auth.login(&SignIn::new("nobody", "x")).await.unwrap_err();
    assert!(
        fixture.auth.0.costliest.get().is_none(),
        "and tries again when it could not"
    );
    fixture.postgres.sort();
    fixture.auth.login(&SignIn::new("nobody", "x")).await.unwrap_err();
    assert!(fixture.auth.0.costliest.get().is_some());
}

#[tokio::test]
async fn hostile_passwords_are_refused_with_a_verdict_and_stop_nobody() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    for weak in ["1@".repeat(9), "1@1@1@1@1@1@1@1@1@x".to_owned(), "75".repeat(36)] {
        let new = NewUser::new("bea", "bea@example.com", weak.as_str()).unwrap();
        let error = fixture.auth.create_user(new).await.unwrap_err();
        assert!(error.is(codes::AUTH_WEAK_PASSWORD), "{weak}: {error}");
        let error = fixture
            .auth
            .change_password(&pair.access, PASSWORD, &weak)
            .await
            .unwrap_err();
        assert!(error.is(codes::AUTH_WEAK_PASSWORD), "{weak}: {error}");
    }
    // Judged where hashes are, so a full pool sheds it.
    let (open, waiting) = fill(&fixture.auth).await;
    let new = NewUser::new("cid", "cid@example.com", "1@".repeat(9)).unwrap();
    let error = fixture.auth.create_user(new).await.unwrap_err();
    assert!(error.is(codes::AUTH_HASHING_BUSY), "{error}");
    // What is too long needs no place.
    let new = NewUser::new("cid", "cid@example.com", "x".repeat(10_000_000)).unwrap();
    let error = fixture.auth.create_user(new).await.unwrap_err();
    assert!(error.is(codes::AUTH_INVALID_PASSWORD), "{error}");
    drop((open, waiting));
}

#[tokio::test]
async fn case_108_however_many_cookies_a_user_has_their_quotas_are_few() {
    let fixture = Fixture::new();
    let pair = fixture.ana().await;
    let claims = fixture.auth.verify(&pair.access).await.unwrap();
    let mut guesses = 0;
    for _ in 0..100 {
        let cookie = fixture.auth.device_cookie(&claims).await.unwrap();
        let guess = SignIn::new("ana", "wrong").device_cookie(cookie.as_str());
        while fixture
            .auth
            .login(&guess)
            .await
            .unwrap_err()
            .is(codes::AUTH_BAD_CREDENTIALS)
        {
            guesses += 1;
        }
    }
    assert!((5..=40).contains(&guesses), "{guesses}");
}

#[tokio::test]
async fn case_107_neither_a_hotel_nor_capitals_give_more_guesses() {
    let fixture = Fixture::new();
    fixture.ana().await;
    let hotel = |id: &str| TenantId::parse(id).unwrap();
    while fixture
        .auth
        .login(&SignIn::new("ana", "wrong"))
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {}
    for more in [
        SignIn::new("ana", "wrong").tenant(&hotel("hotel-test")),
        SignIn::new("ana", "wrong").tenant(&hotel("another-hotel")),
        SignIn::new("ANA", "wrong"),
    ] {
        let error = fixture.auth.login(&more).await.unwrap_err();
        assert!(error.is(codes::AUTH_THROTTLED), "{more:?}: {error}");
    }
}

#[tokio::test]
async fn every_kind_of_event_is_raised_and_a_user_has_one_mark() {
    let fixture = Fixture::with(AuthOptions::new().session_limit(2));
    let hotel = TenantId::parse("hotel-test").unwrap();
    let other = TenantId::parse("hotel-norte").unwrap();
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    fixture
        .auth
        .create_user(ana.tenant(&hotel).superuser())
        .await
        .unwrap();
    let address: IpAddr = "::ffff:203.0.113.9".parse().unwrap();
    let from = |password: &str| SignIn::new("ana", password).address(address);
    let first = fixture.auth.login(&from(PASSWORD)).await.unwrap();
    fixture.auth.login(&from("wrong")).await.unwrap_err();
    let second = fixture.auth.login(&from(PASSWORD)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    let third = fixture.auth.login(&from(PASSWORD)).await.unwrap();
    let fourth = fixture.auth.login(&from(PASSWORD)).await.unwrap();
    fixture.auth.verify(&first.access).await.unwrap_err();
    fixture.auth.verify(&second.access).await.unwrap_err();
    let claims = fixture.auth.verify(&fourth.access).await.unwrap();
    claims
        .require_for(&other, &Permission::GUEST_CHECKIN)
        .unwrap_err();
    fixture
        .auth
        .act_across_tenants(&other, &claims, "support")
        .await
        .unwrap();
    fixture.auth.refresh(&third.refresh).await.unwrap();
    fixture.clock.advance(Duration::from_secs(11));
    let error = fixture.auth.refresh(&third.refresh).await.unwrap_err();
    assert!(error.is(codes::AUTH_TOKEN_REUSED), "{error}");
    fixture
        .auth
        .change_password(&fourth.access, PASSWORD, "1@")
        .await
        .unwrap_err();
    let fifth = fixture
        .auth
        .change_password(&fourth.access, PASSWORD, SECOND)
        .await
        .unwrap();
    fixture.redis.set(true);
    fixture.auth.logout(&fifth.access).await.unwrap();
    fixture.redis.set(false);
    while fixture
        .auth
        .login(&from("wrong"))
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {}
    for kind in AuthEventKind::ALL {
        assert!(fixture.happened(kind), "{kind:?} is documented and never raised");
    }

    let events = fixture.events.lock().unwrap().clone();
    let marks = |of: fn(&AuthEvent) -> &Option<String>| {
        let found: std::collections::HashSet<_> = events.iter().filter_map(of_owned(of)).collect();
        found.len()
    };
    assert_eq!(marks(|event| &event.user), 1, "{events:?}");
    assert_eq!(marks(|event| &event.account), 1, "{events:?}");
    for event in &events {
        let is_of_a_sign_in = match event.kind {
            AuthEventKind::LoginSuccess
            | AuthEventKind::LoginFail
            | AuthEventKind::LoginThrottled
            | AuthEventKind::SessionsExceeded => true,
            AuthEventKind::TokenCreated => event.account.is_some(),
            _ => false,
        };
        let shown = event.address.map(|address| address.to_string());
        assert_eq!(
            shown.as_deref(),
            is_of_a_sign_in.then_some("203.0.113.9"),
            "{event:?}"
        );
        let is_anonymous = matches!(
            event.kind,
            AuthEventKind::LoginThrottled | AuthEventKind::Degraded
        );
        assert_eq!(event.user.is_none(), is_anonymous, "{event:?}");
    }
}

fn of_owned<'e>(of: fn(&AuthEvent) -> &Option<String>) -> impl Fn(&'e AuthEvent) -> Option<String> {
    move |event| of(event).clone()
}

#[tokio::test]
async fn a_right_is_one_in_a_hotel() {
    let fixture = Fixture::new();
    let (hotel, other) = (
        TenantId::parse("hotel-a").unwrap(),
        TenantId::parse("hotel-b").unwrap(),
    );
    for (name, tenant, role) in [
        ("admin", Some(&hotel), Role::Admin),
        ("program", Some(&hotel), Role::System),
        ("nobody-s", None, Role::Admin),
        ("nobody-s-program", None, Role::System),
    ] {
        let mut new = NewUser::new(name, &format!("{name}@example.com"), PASSWORD)
            .unwrap()
            .role(role)
            .superuser();
        if let Some(tenant) = tenant {
            new = new.tenant(tenant);
        }
        fixture.auth.create_user(new).await.unwrap();
        let pair = fixture.auth.login(&SignIn::new(name, PASSWORD)).await.unwrap();
        let claims = fixture.auth.verify(&pair.access).await.unwrap();
        let own = Permission::own("manage_numbers").unwrap();
        for permission in [&own, &Permission::MANAGE_RATES] {
            let error = claims.require_for(&other, permission).unwrap_err();
            assert!(error.is(codes::AUTH_WRONG_TENANT), "{name}: {error}");
            assert_eq!(
                claims.require_for(&hotel, permission).is_ok(),
                tenant.is_some(),
                "{name}"
            );
            let acting = fixture
                .auth
                .act_across_tenants(&other, &claims, "support")
                .await
                .unwrap();
            acting.require_for(&other, permission).unwrap();
            assert!(acting.require_for(&hotel, permission).is_err(), "{name}");
        }
    }
}
