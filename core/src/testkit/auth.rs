//! What sign-in must do on every store.

use std::time::Duration;

use futures_util::future::join_all;

pub use crate::auth::anything::{golden_tokens, read_anything};
use crate::auth::{Authenticator, Claims, NewUser, Permission, Role, SignIn, TokenKind, TokenPair};
use crate::clock::ManualClock;
use crate::error::{Kind, codes};
use crate::tenants::TenantId;

const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

/// One run: the service with its default options and this clock, names of its own, and the hotel of its users, which
/// must exist where the database asks for it.
pub struct Run<'a> {
    /// The service.
    pub auth: &'a Authenticator,
    /// Its clock.
    pub clock: &'a ManualClock,
    /// What makes the names of this run unlike those of others.
    pub prefix: &'a str,
    /// The hotel.
    pub tenant: &'a TenantId,
    /// Whether the database stores roles.
    pub has_roles: bool,
}

/// Runs the whole suite.
pub async fn suite(run: &Run<'_>) {
    a_sign_in_gives_claims(run).await;
    every_refusal_looks_the_same(run).await;
    names_and_addresses_are_taken_once(run).await;
    case_89_names_and_passwords_of_any_script_sign_in(run).await;
    case_69_a_refresh_token_works_once(run).await;
    case_70_a_second_use_within_the_grace_gives_the_same_pair(run).await;
    case_71_fifty_refreshes_at_once_give_one_lineage(run).await;
    case_72_attacker_first_and_victim_second_are_both_out(run).await;
    case_73_a_refresh_that_races_a_logout_loses(run).await;
    case_74_a_refresh_that_races_a_change_of_the_password_loses(run).await;
    sessions_are_listed_and_ended_one_by_one_or_together(run).await;
    case_81_simultaneous_sign_ins_never_exceed_the_limit(run).await;
    case_82_sessions_end_when_idle_and_at_last(run).await;
    case_98_old_passwords_are_refused_until_they_are_old_enough(run).await;
    case_99_of_two_simultaneous_changes_one_wins(run).await;
    case_102_who_must_change_can_do_nothing_else(run).await;
    case_107_guesses_are_throttled_and_a_known_device_is_not(run).await;
    cases_112_and_115_another_hotel_finds_nothing(run).await;
    case_118_only_superusers_act_for_other_hotels(run).await;
    a_reset_token_works_once(run).await;
}

impl Run<'_> {
    fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.prefix)
    }

    async fn user(&self, what: &str) -> String {
        self.auth.create_user(self.new_user(what)).await.unwrap().id
    }

    fn new_user(&self, what: &str) -> NewUser {
        let name = self.name(what);
        NewUser::new(&name, &format!("{name}@example.com"), PASSWORD)
            .unwrap()
            .role(Role::Receptionist)
            .tenant(self.tenant)
    }

    async fn login(&self, what: &str, password: &str) -> TokenPair {
        let attempt = SignIn::new(&self.name(what), password).tenant(self.tenant);
        self.auth.login(&attempt).await.unwrap()
    }

    async fn claims(&self, pair: &TokenPair) -> Claims {
        self.auth.verify(&pair.access).await.unwrap()
    }

    async fn is_out(&self, pair: &TokenPair) -> bool {
        let access = self.auth.verify(&pair.access).await;
        let refresh = self.auth.refresh(&pair.refresh).await;
        let refused = |kind: Kind| kind == Kind::Unauthenticated;
        access.is_err_and(|error| refused(error.kind())) && refresh.is_err_and(|error| refused(error.kind()))
    }
}

async fn a_sign_in_gives_claims(run: &Run<'_>) {
    let id = run.user("ana").await;
    let pair = run.login("ana", PASSWORD).await;
    let claims = run.claims(&pair).await;
    assert_eq!((&claims.user_id, claims.tenant.as_ref()), (&id, Some(run.tenant)));
    assert_eq!(claims.session.as_deref(), Some(pair.session.as_str()));
    if run.has_roles {
        assert_eq!(claims.role, Role::Receptionist);
        assert!(run.auth.has_permission(&claims, &Permission::GUEST_CHECKIN));
    } else {
        assert_eq!(
            claims.role,
            Role::Guest,
            "a database without roles gives the least one"
        );
    }
    let refused = |tenant, permission| claims.require_for(tenant, permission).unwrap_err().code();
    assert_eq!(refused(run.tenant, &Permission::MANAGE_RATES), "auth.forbidden");
    let other = TenantId::parse("another-hotel").unwrap();
    assert_eq!(refused(&other, &Permission::GUEST_CHECKIN), "auth.wrong_tenant");
    if run.has_roles {
        claims
            .require_for(run.tenant, &Permission::GUEST_CHECKIN)
            .unwrap();
    }
    let privileged = run.auth.verify_privileged(&pair.access).await.unwrap();
    assert_eq!(privileged.user_id, id);
    let error = run.auth.verify(&pair.refresh).await.unwrap_err();
    assert!(
        error.is(codes::AUTH_INVALID_TOKEN),
        "case 60: a refresh token is no access token"
    );
    assert!(
        run.auth
            .refresh(&pair.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_INVALID_TOKEN)
    );
}

async fn every_refusal_looks_the_same(run: &Run<'_>) {
    run.user("bea").await;
    let other = TenantId::parse("another-hotel").unwrap();
    let nobody = SignIn::new(&run.name("nobody"), PASSWORD);
    let wrong = SignIn::new(&run.name("bea"), "wrong");
    let elsewhere = SignIn::new(&run.name("bea"), PASSWORD).tenant(&other);
    let impossible = SignIn::new("a\0b", PASSWORD);
    let mut shown = Vec::new();
    for attempt in [nobody, wrong, elsewhere, impossible] {
        let error = run.auth.login(&attempt).await.unwrap_err();
        assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
        shown.push(format!("{error:?}"));
    }
    shown.dedup();
    assert_eq!(shown.len(), 1, "case 103: {shown:?}");
}

async fn names_and_addresses_are_taken_once(run: &Run<'_>) {
    run.user("cid").await;
    let error = run.auth.create_user(run.new_user("cid")).await.unwrap_err();
    assert!(error.is(codes::AUTH_USER_EXISTS), "{error}");
    let address = format!("{}@EXAMPLE.com", run.name("Cid"));
    let same = NewUser::new(&run.name("cida"), &address, PASSWORD).unwrap();
    let error = run.auth.create_user(same.tenant(run.tenant)).await.unwrap_err();
    assert!(error.is(codes::AUTH_USER_EXISTS), "in whatever case: {error}");
    let weak = NewUser::new(&run.name("weak"), "weak@example.com", "Verano2025!!").unwrap();
    assert!(
        run.auth
            .create_user(weak)
            .await
            .unwrap_err()
            .is(codes::AUTH_WEAK_PASSWORD)
    );
}

async fn case_89_names_and_passwords_of_any_script_sign_in(run: &Run<'_>) {
    for (what, password) in [
        (
            "\u{1f469}\u{200d}\u{1f373}",
            "\u{1f9a4}\u{200d} pinta mapas de cobre \u{1f9a4}",
        ),
        (
            "\u{5d0}\u{5d1}",
            "\u{5de}\u{5e4}\u{5d4} \u{5e9}\u{5dc} \u{5e0}\u{5d7}\u{5d5}\u{5e9}\u{5ea}",
        ),
    ] {
        let name = run.name(what);
        let new = NewUser::new(&name, &format!("{name}@example.com"), password).unwrap();
        run.auth.create_user(new.tenant(run.tenant)).await.unwrap();
        run.login(what, password).await;
        let bare: String = password.chars().filter(|letter| *letter != '\u{200d}').collect();
        if bare != password {
            let other = run
                .auth
                .login(&SignIn::new(&name, bare).tenant(run.tenant))
                .await
                .unwrap_err();
            assert!(
                other.is(codes::AUTH_BAD_CREDENTIALS),
                "an invisible letter counts: {other}"
            );
        }
    }
}

async fn case_69_a_refresh_token_works_once(run: &Run<'_>) {
    run.user("dora").await;
    let first = run.login("dora", PASSWORD).await;
    let second = run.auth.refresh(&first.refresh).await.unwrap();
    assert_ne!(second.refresh, first.refresh);
    assert_eq!(second.session, first.session);
    run.claims(&second).await;
    run.clock.advance(Duration::from_secs(11));
    let error = run.auth.refresh(&first.refresh).await.unwrap_err();
    assert!(error.is(codes::AUTH_TOKEN_REUSED), "{error}");
    assert!(run.is_out(&second).await && run.is_out(&first).await);
}

async fn case_70_a_second_use_within_the_grace_gives_the_same_pair(run: &Run<'_>) {
    run.user("eva").await;
    let first = run.login("eva", PASSWORD).await;
    let second = run.auth.refresh(&first.refresh).await.unwrap();
    run.clock.advance(Duration::from_secs(9));
    let again = run.auth.refresh(&first.refresh).await.unwrap();
    assert_eq!((&again.access, &again.refresh), (&second.access, &second.refresh));
    let third = run.auth.refresh(&again.refresh).await.unwrap();
    run.claims(&third).await;
}

async fn case_71_fifty_refreshes_at_once_give_one_lineage(run: &Run<'_>) {
    run.user("fede").await;
    let first = run.login("fede", PASSWORD).await;
    let refreshes = join_all((0..50).map(|_| run.auth.refresh(&first.refresh))).await;
    let mut tokens: Vec<_> = refreshes.into_iter().map(|pair| pair.unwrap().refresh).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "one lineage");
    run.auth.refresh(&tokens[0]).await.unwrap();
}

async fn case_72_attacker_first_and_victim_second_are_both_out(run: &Run<'_>) {
    run.user("gina").await;
    let stolen = run.login("gina", PASSWORD).await;
    let attacker = run.auth.refresh(&stolen.refresh).await.unwrap();
    let attacker = run.auth.refresh(&attacker.refresh).await.unwrap();
    let victim = run.auth.refresh(&stolen.refresh).await.unwrap_err();
    assert!(
        victim.is(codes::AUTH_TOKEN_REUSED),
        "two generations ago is never grace: {victim}"
    );
    assert!(run.is_out(&attacker).await);
}

async fn case_73_a_refresh_that_races_a_logout_loses(run: &Run<'_>) {
    run.user("hugo").await;
    for _ in 0..20 {
        let pair = run.login("hugo", PASSWORD).await;
        let (refreshed, ended) = tokio::join!(run.auth.refresh(&pair.refresh), run.auth.logout(&pair.access));
        ended.unwrap();
        assert!(run.is_out(&pair).await);
        if let Ok(refreshed) = refreshed {
            assert!(run.is_out(&refreshed).await, "the logout ends the lineage");
        }
    }
}

async fn case_74_a_refresh_that_races_a_change_of_the_password_loses(run: &Run<'_>) {
    run.user("ines").await;
    let pair = run.login("ines", PASSWORD).await;
    let (refreshed, changed) = tokio::join!(
        run.auth.refresh(&pair.refresh),
        run.auth.change_password(&pair.access, PASSWORD, SECOND)
    );
    let changed = changed.unwrap();
    run.claims(&changed).await;
    assert!(run.is_out(&pair).await);
    if let Ok(refreshed) = refreshed {
        assert!(run.is_out(&refreshed).await);
    }
    run.login("ines", SECOND).await;
    let old = SignIn::new(&run.name("ines"), PASSWORD);
    assert!(
        run.auth
            .login(&old)
            .await
            .unwrap_err()
            .is(codes::AUTH_BAD_CREDENTIALS)
    );
}

async fn sessions_are_listed_and_ended_one_by_one_or_together(run: &Run<'_>) {
    run.user("juan").await;
    let attempt = SignIn::new(&run.name("juan"), PASSWORD)
        .user_agent("Browser")
        .address("2001:db8::1".parse().unwrap());
    let one = run.auth.login(&attempt).await.unwrap();
    run.clock.advance(Duration::from_millis(5));
    let two = run.login("juan", PASSWORD).await;
    run.clock.advance(Duration::from_millis(5));
    let three = run.login("juan", PASSWORD).await;
    let claims = run.claims(&three).await;
    let listed = run.auth.sessions(&claims).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(
        ids,
        [three.session.as_str(), &two.session, &one.session],
        "the newest first"
    );
    assert_eq!(listed[2].user_agent.as_deref(), Some("Browser"));
    assert_eq!(listed[2].address.as_deref(), Some("2001:db8::1"));
    run.user("juana").await;
    let stranger = run.login("juana", PASSWORD).await;
    let strange = run.claims(&stranger).await;
    assert!(
        !run.auth.logout_session(&strange, &one.session).await.unwrap(),
        "case 79: not one's own"
    );
    assert!(run.auth.logout_session(&claims, &one.session).await.unwrap());
    assert!(run.is_out(&one).await && !run.auth.logout_session(&claims, &one.session).await.unwrap());
    assert_eq!(run.auth.logout_everywhere(&claims, true).await.unwrap(), 1);
    assert!(run.is_out(&two).await);
    run.claims(&three).await;
    assert_eq!(run.auth.logout_everywhere(&claims, false).await.unwrap(), 1);
    assert!(run.is_out(&three).await);
    run.claims(&stranger).await;
}

async fn case_81_simultaneous_sign_ins_never_exceed_the_limit(run: &Run<'_>) {
    run.user("kiko").await;
    let mut last = run.login("kiko", PASSWORD).await;
    for _ in 0..3 {
        let attempts = (0..4).map(|_| async {
            let attempt = SignIn::new(&run.name("kiko"), PASSWORD);
            // The pool of hashes or the throttle may turn some away; that is their job.
            run.auth.login(&attempt).await
        });
        for pair in join_all(attempts).await.into_iter().flatten() {
            last = pair;
        }
        run.clock.advance(Duration::from_millis(5));
    }
    while run.auth.verify(&last.access).await.is_err() {
        last = run.login("kiko", PASSWORD).await;
    }
    let claims = run.claims(&last).await;
    let live = run.auth.sessions(&claims).await.unwrap().len();
    assert!((4..=10).contains(&live), "{live}");
}

async fn case_82_sessions_end_when_idle_and_at_last(run: &Run<'_>) {
    const DAY: Duration = Duration::from_hours(24);
    const ALMOST_A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600 - 1);
    run.user("luz").await;
    let mut pair = run.login("luz", PASSWORD).await;
    let began = pair.refresh_expires_at;
    run.clock.advance(ALMOST_A_WEEK);
    pair = run.auth.refresh(&pair.refresh).await.unwrap();
    assert!(pair.refresh_expires_at > began, "it slides");
    for _ in 0..3 {
        run.clock.advance(ALMOST_A_WEEK);
        pair = run.auth.refresh(&pair.refresh).await.unwrap();
    }
    assert_eq!(
        pair.refresh_expires_at,
        began + DAY * 23,
        "never beyond thirty days"
    );
    run.clock.advance(DAY * 2 + Duration::from_secs(5));
    assert!(run.is_out(&pair).await);
    let idle = run.login("luz", PASSWORD).await;
    run.clock.advance(DAY * 7 + Duration::from_secs(1));
    assert!(run.is_out(&idle).await);
}

async fn case_98_old_passwords_are_refused_until_they_are_old_enough(run: &Run<'_>) {
    let id = run.user("mara").await;
    let password = |number: u32| format!("la llama {number} silba en do menor");
    let set = async |number| {
        run.auth
            .set_password(Some(run.tenant), &id, &password(number), false)
            .await
    };
    for number in 0..=6 {
        run.clock.advance(Duration::from_secs(1));
        set(number).await.unwrap();
    }
    for number in [6, 5, 1] {
        let error = set(number).await.unwrap_err();
        assert!(error.is(codes::AUTH_PASSWORD_REUSED), "{number}: {error}");
        assert!(!format!("{error:?}").contains("silba"));
    }
    set(0).await.unwrap();
    let pair = run.login("mara", &password(0)).await;
    let wrong = run
        .auth
        .change_password(&pair.access, "wrong", SECOND)
        .await
        .unwrap_err();
    assert!(wrong.is(codes::AUTH_BAD_CREDENTIALS));
    run.claims(&pair).await;
}

async fn case_99_of_two_simultaneous_changes_one_wins(run: &Run<'_>) {
    let id = run.user("nico").await;
    let set = |password| run.auth.set_password(Some(run.tenant), &id, password, false);
    let (one, other) = tokio::join!(set(SECOND), set("tres tigres tocan un tango triste"));
    let winners: Vec<_> = [(one, SECOND), (other, "tres tigres tocan un tango triste")]
        .into_iter()
        .filter_map(|(outcome, password)| match outcome {
            Ok(()) => Some(password),
            Err(error) => {
                let fair = error.is(codes::AUTH_PASSWORD_CONFLICT) || error.is(codes::AUTH_HASHING_BUSY);
                assert!(fair, "{error}");
                None
            }
        })
        .collect();
    run.login("nico", winners.last().unwrap()).await;
}

async fn case_102_who_must_change_can_do_nothing_else(run: &Run<'_>) {
    run.auth
        .create_user(run.new_user("olga").must_change_password())
        .await
        .unwrap();
    let pair = run.login("olga", PASSWORD).await;
    assert!(pair.must_change_password);
    let error = run.auth.verify(&pair.access).await.unwrap_err();
    assert!(error.is(codes::AUTH_PASSWORD_MUST_CHANGE) && error.kind() == Kind::Denied);
    let changed = run
        .auth
        .change_password(&pair.access, PASSWORD, SECOND)
        .await
        .unwrap();
    assert!(!changed.must_change_password);
    run.claims(&changed).await;
}

async fn case_107_guesses_are_throttled_and_a_known_device_is_not(run: &Run<'_>) {
    run.user("pepa").await;
    let pair = run.login("pepa", PASSWORD).await;
    let cookie = run.auth.device_cookie(&run.claims(&pair).await).await.unwrap();
    let guess = SignIn::new(&run.name("pepa"), "wrong");
    let mut guessed = 0;
    let refused = loop {
        let error = run.auth.login(&guess).await.unwrap_err();
        if error.is(codes::AUTH_THROTTLED) {
            break error;
        }
        assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
        guessed += 1;
        assert!(guessed < 10, "the guesses are never stopped");
    };
    assert!(guessed >= 5 && refused.is_retryable(), "{guessed}");
    let owner = SignIn::new(&run.name("pepa"), PASSWORD);
    assert!(
        run.auth
            .login(&owner)
            .await
            .unwrap_err()
            .is(codes::AUTH_THROTTLED),
        "the account waits"
    );
    let named = run.auth.login(&owner.clone().tenant(run.tenant)).await;
    assert!(
        named.unwrap_err().is(codes::AUTH_THROTTLED),
        "naming the hotel gives no more guesses"
    );
    let known = owner.clone().device_cookie(cookie.as_str());
    run.auth
        .login(&known)
        .await
        .expect("case 108: the known device goes on");
    run.auth
        .change_password(&pair.access, PASSWORD, SECOND)
        .await
        .unwrap();
    while run
        .auth
        .login(&guess)
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {}
    let old = SignIn::new(&run.name("pepa"), SECOND).device_cookie(cookie.as_str());
    assert!(
        run.auth.login(&old).await.unwrap_err().is(codes::AUTH_THROTTLED),
        "a cookie dies with the password"
    );
    let stranger = SignIn::new(&run.name("pepa"), PASSWORD).device_cookie("forged");
    assert!(
        run.auth
            .login(&stranger)
            .await
            .unwrap_err()
            .is(codes::AUTH_THROTTLED)
    );
}

async fn cases_112_and_115_another_hotel_finds_nothing(run: &Run<'_>) {
    let id = run.user("quique").await;
    let claims = run.claims(&run.login("quique", PASSWORD).await).await;
    assert_eq!(claims.narrow(None).unwrap(), Some(run.tenant));
    assert_eq!(
        claims.narrow(Some(run.tenant.as_str())).unwrap(),
        Some(run.tenant)
    );
    for header in ["another-hotel", "", "%", " "] {
        assert!(
            claims
                .narrow(Some(header))
                .unwrap_err()
                .is(codes::AUTH_WRONG_TENANT),
            "case 112: {header}"
        );
    }
    let other = TenantId::parse("another-hotel").unwrap();
    for tenant in [None, Some(&other)] {
        let error = run
            .auth
            .set_password(tenant, &id, SECOND, false)
            .await
            .unwrap_err();
        assert!(error.is(codes::AUTH_USER_NOT_FOUND), "case 115: {error}");
        let error = run
            .auth
            .issue(tenant, &id, TokenKind::ResetPassword)
            .await
            .unwrap_err();
        assert!(error.is(codes::AUTH_USER_NOT_FOUND), "case 115: {error}");
    }
    let foreign = Claims {
        tenant: Some(other),
        ..claims.clone()
    };
    assert!(run.auth.sessions(&foreign).await.unwrap().is_empty());
    assert_eq!(run.auth.logout_everywhere(&foreign, false).await.unwrap(), 0);
    assert_eq!(run.auth.sessions(&claims).await.unwrap().len(), 1);
}

async fn case_118_only_superusers_act_for_other_hotels(run: &Run<'_>) {
    let missing = TenantId::parse("another-hotel").unwrap();
    run.user("rosa").await;
    let claims = run.claims(&run.login("rosa", PASSWORD).await).await;
    for tenant in [run.tenant, &missing] {
        let acting = run.auth.act_across_tenants(tenant, &claims, "support").await;
        assert!(acting.unwrap_err().is(codes::AUTH_FORBIDDEN), "whatever there is");
    }
    let name = run.name("sara");
    let sara = NewUser::new(&name, &format!("{name}@example.com"), PASSWORD).unwrap();
    run.auth.create_user(sara.superuser()).await.unwrap();
    let pair = run.auth.login(&SignIn::new(&name, PASSWORD)).await.unwrap();
    let claims = run.claims(&pair).await;
    assert!(
        claims.narrow(Some(run.tenant.as_str())).is_err(),
        "not without the call"
    );
    let acting = run.auth.act_across_tenants(run.tenant, &claims, "support").await;
    assert_eq!(acting.unwrap().narrow(None).unwrap(), Some(run.tenant));
    let error = run
        .auth
        .act_across_tenants(&missing, &claims, "support")
        .await
        .unwrap_err();
    assert!(error.is(codes::TENANTS_NOT_FOUND), "{error}");
}

async fn a_reset_token_works_once(run: &Run<'_>) {
    let id = run.user("teo").await;
    let pair = run.login("teo", PASSWORD).await;
    let reset = run
        .auth
        .issue(Some(run.tenant), &id, TokenKind::ResetPassword)
        .await
        .unwrap();
    assert!(
        run.auth
            .verify(&reset)
            .await
            .unwrap_err()
            .is(codes::AUTH_INVALID_TOKEN),
        "case 60"
    );
    assert!(
        run.auth
            .issue(Some(run.tenant), &id, TokenKind::Access)
            .await
            .is_err()
    );
    run.auth.reset_password(&reset, SECOND).await.unwrap();
    assert!(run.is_out(&pair).await);
    let again = run.auth.reset_password(&reset, PASSWORD).await.unwrap_err();
    assert!(again.is(codes::AUTH_SESSION_ENDED), "{again}");
    run.login("teo", SECOND).await;
}
