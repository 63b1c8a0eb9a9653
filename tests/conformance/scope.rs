//! A handle of one tenant, and everything that another tenant's ids, values and secrets can be tried on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use posada::auth::{NewUser, Permission, Role, SignIn, TokenKind};
use posada::error::codes;
use posada::flags::{Context, FlagChange, FlagSource, Reason};
use posada::limits::RateLimit;
use posada::locks::{AcquireOptions, Resource, StayHold};
use posada::maintenance::Retention;
use posada::pms::{BookingRequest, Guest, HoldProof, HotelId, Occupancy, RoomTypeId};
use posada::sessions::{Json, Turn};
use posada::tenants::{NewTenant, Resolution, TenantUpdate};
use posada::{IdempotencyKey, Posada, Settings, Stay, TenantId};
use posada_tests::{servers, unique};

use crate::scope_hotel::{GUEST, Hotel, PASSWORD};
use crate::scope_surface::Tried;

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const SECOND: &str = "una llama silba en do menor";
const REPORTS: Permission = Permission::VIEW_REPORTS;

fn stay() -> Stay {
    Stay::parse("2027-03-10", "2027-03-12").unwrap()
}

/// Everything that there is, tried with what belongs to another hotel.
async fn another_hotel_is_out_of_reach(posada: &Posada) {
    let (own, other) = (Hotel::open(posada, 1).await, Hotel::open(posada, 2).await);
    let scope = posada.for_tenant(&own.id).unwrap();
    let mut tried = Tried::default();
    the_handle(posada, &scope, &own, &other, &mut tried).await;
    tenants(&scope, &own, &other, &mut tried).await;
    sessions(posada, &scope, &own, &other, &mut tried).await;
    flags(posada, &scope, &own, &other, &mut tried).await;
    locks(posada, &scope, &own, &other, &mut tried).await;
    limits(posada, &scope, &own, &mut tried).await;
    auth(posada, &scope, &own, &other, &mut tried).await;
    tried.expect_all_tried();
}

async fn the_handle(posada: &Posada, scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    assert_eq!((posada.tenant(), scope.tenant()), (None, Some(&own.id)));
    assert_eq!(scope.for_tenant(&own.id).unwrap().tenant(), Some(&own.id));
    tried.refused("Posada.for_tenant", scope.for_tenant(&other.id));
    let (_, _, theirs) = other.claims(posada).await;
    tried.refused("Posada.for_claims", scope.for_claims(&theirs));
    assert_eq!(posada.for_claims(&theirs).unwrap().tenant(), Some(&other.id));
    tried.refused("Posada.migrate", scope.migrate().await);
    tried.refused("Posada.maintain", scope.maintain(&Retention::new()).await);
    tried.refused("Posada.migration_status", scope.migration_status().await);
    scope.close().await.unwrap();
    drop(scope.clone());
    tried.kept_apart("Posada.close", scope.sessions().count(None).await.is_ok());
    tried.kept_apart("Posada.tenant", !format!("{scope:?}").contains(other.id.as_str()));
    tried.without_tenants([
        "Posada.builder",
        "Posada.embedded",
        "Posada.schema_sql",
        "Posada.from_env",
        "Posada.connect",
        "Posada.settings",
        "Posada.health",
        "Posada.doctor",
        "Posada.tenants",
        "Posada.sessions",
        "Posada.flags",
        "Posada.locks",
        "Posada.pms",
        "Posada.limits",
        "Posada.auth",
    ]);
}

async fn tenants(scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    let tenants = scope.tenants();
    let found = tenants.resolve(&own.number, None).await.unwrap();
    assert_eq!(found.tenant().map(|tenant| &tenant.id), Some(&own.id));
    assert!(tenants.cached(&own.number, None).is_some());
    assert!(tenants.get(&own.id).await.unwrap().is_some());
    let unknown = tenants.resolve("+34600111222", None).await.unwrap();
    assert_eq!(unknown, Resolution::Unknown);
    // Twice: from the server, and from the cache that both handles share.
    for _ in 0..2 {
        tried.refused(
            "TenantResolver.resolve",
            tenants.resolve(&other.number, None).await,
        );
    }
    let cached = tenants.cached(&other.number, None);
    tried.kept_apart("TenantResolver.cached", cached.is_none());
    let remembered = tenants.remembered(&other.number, None);
    tried.kept_apart("TenantResolver.remembered", remembered.is_none());
    let numbers = [other.number.as_str(), own.number.as_str()];
    let mut many = tenants.resolve_many(&numbers, None).await.into_iter();
    tried.refused("TenantResolver.resolve_many", many.next().unwrap());
    assert!(many.next().unwrap().is_ok());
    tried.refused("TenantResolver.get", tenants.get(&other.id).await);
    tried.refused("TenantResolver.list", tenants.list().await);
    let new = NewTenant::new(&unique("scope"), "Hotel Norte").unwrap();
    tried.refused("TenantResolver.create", tenants.create(new).await);
    let update = || TenantUpdate::new().name("Hotel Norte").unwrap();
    tenants.update(&own.id, update()).await.unwrap();
    tried.refused("TenantResolver.update", tenants.update(&other.id, update()).await);
    tried.refused("TenantResolver.suspend", tenants.suspend(&other.id).await);
    let added = tenants.add_identifier(&other.id, "+5491100000000", None).await;
    tried.refused("TenantResolver.add_identifier", added);
    let taken = tenants
        .add_identifier(&own.id, &other.number, None)
        .await
        .unwrap_err();
    assert!(taken.is(codes::TENANTS_IDENTIFIER_TAKEN));
    assert!(!taken.to_string().contains(other.id.as_str()), "{taken}");
    let removed = tenants.remove_identifier(&other.id, &other.number, None).await;
    tried.refused("TenantResolver.remove_identifier", removed);
    tried.refused("TenantResolver.refresh", tenants.refresh().await);
    tried.refused("TenantResolver.warm", tenants.warm(1).await);
    tried.without_tenants(["TenantResolver.stats"]);
}

async fn sessions(posada: &Posada, scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    let (all, sessions, patch) = (
        posada.sessions(),
        scope.sessions(),
        Json::parse(r#"{"context": {"nights": 2}}"#).unwrap(),
    );
    let mut theirs = all.get(&other.id, GUEST).await.unwrap().unwrap();
    let begun = sessions
        .get_or_create(&other.id, "5491100000001", "whatsapp")
        .await;
    tried.refused("SessionManager.get_or_create", begun);
    tried.refused("SessionManager.get", sessions.get(&other.id, GUEST).await);
    tried.refused("SessionManager.save", sessions.save(&mut theirs).await);
    let updated = sessions.update(&other.id, GUEST, &patch).await;
    tried.refused("SessionManager.update", updated);
    let turn = || Turn::new("user", "¿Hay lugar?");
    let appended = sessions.append_turn(&other.id, GUEST, turn()).await;
    tried.refused("SessionManager.append_turn", appended);
    tried.refused("SessionManager.touch", sessions.touch(&other.id, GUEST).await);
    tried.refused("SessionManager.delete", sessions.delete(&other.id, GUEST).await);
    tried.refused("SessionManager.list", sessions.list(&other.id).await);
    tried.refused("SessionManager.count", sessions.count(&other.id).await);
    tried.refused("SessionManager.measure", sessions.measure().await);
    tried.refused(
        "SessionManager.purge_tenant",
        sessions.purge_tenant(&other.id).await,
    );

    // A conversation of no hotel is not the scope's.
    let mut nobodys = all.get_or_create(None, GUEST, "web").await.unwrap();
    tried.refused("SessionManager.save", sessions.save(&mut nobodys).await);

    let mut session = sessions.get(None, GUEST).await.unwrap().unwrap();
    assert_eq!(session.tenant(), Some(&own.id));
    session.document.set(["context", "last_intent"], "book").unwrap();
    sessions.save(&mut session).await.unwrap();
    sessions.update(None, GUEST, &patch).await.unwrap();
    sessions.append_turn(&own.id, GUEST, turn()).await.unwrap();
    assert!(sessions.touch(None, GUEST).await.unwrap());
    assert_eq!(sessions.count(None).await.unwrap(), 1);
    assert_eq!(sessions.list(None).await.unwrap()[0].user, GUEST);
    let begun = sessions
        .get_or_create(None, "5491100000001", "whatsapp")
        .await
        .unwrap();
    assert_eq!(begun.document.tenant_id(), Some(own.id.as_str()));
    assert_eq!(sessions.purge_user("5491100000001").await.unwrap(), 1);
    assert_eq!(sessions.purge_user(GUEST).await.unwrap(), 1);
    assert_eq!(sessions.purge_tenant(&own.id).await.unwrap(), 0);
    let left = (
        all.get(&other.id, GUEST).await.unwrap(),
        all.get(None, GUEST).await.unwrap(),
    );
    tried.kept_apart("SessionManager.purge_user", left.0.is_some() && left.1.is_some());
    all.delete(None, GUEST).await.unwrap();
}

async fn flags(posada: &Posada, scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    let (all, flags) = (posada.flags(), scope.flags());
    let (name, context) = (unique("late.checkout"), Context::new());
    let foreign = Context::new().tenant(&other.id);
    let mut watch = flags.watch();
    tried.refused("FeatureFlags.set", flags.set(&other.id, &name, true).await);
    tried.refused("FeatureFlags.unset", flags.unset(&other.id, &name).await);
    tried.refused("FeatureFlags.list", flags.list(&other.id).await);
    let tenants = [own.id.clone(), other.id.clone()];
    tried.refused("FeatureFlags.warm", flags.warm(&tenants).await);
    flags.warm(&tenants[..1]).await.unwrap();
    tried.kept_apart("FeatureFlags.refresh", flags.refresh().await.is_ok());
    tried.refused("FeatureFlags.adopt", flags.adopt().await);

    all.set(&other.id, &name, true).await.unwrap();
    assert!(all.is_enabled(&name, &foreign));
    let snapshot = flags.snapshot();
    tried.kept_apart("FeatureFlags.snapshot", !snapshot.is_enabled(&name, &context));
    for (class, refused) in [
        ("FeatureFlags", flags.evaluate(&name, &foreign)),
        ("FlagSnapshot", snapshot.evaluate(&name, &foreign)),
    ] {
        let told = refused.error.as_deref().unwrap_or_default();
        let is_refused = !refused.value && refused.reason == Reason::Error;
        let says_why = told.contains("tenants.out_of_scope") && !told.contains(other.id.as_str());
        tried.kept_apart(&format!("{class}.evaluate"), is_refused && says_why);
    }
    tried.kept_apart("FeatureFlags.is_enabled", !flags.is_enabled(&name, &foreign));
    tried.kept_apart("FlagSnapshot.is_enabled", !snapshot.is_enabled(&name, &foreign));
    let by_default = [true, false].map(|default| flags.is_enabled_or(&name, &foreign, default));
    tried.kept_apart("FeatureFlags.is_enabled_or", by_default == [true, false]);
    let by_default = [true, false].map(|default| snapshot.is_enabled_or(&name, &foreign, default));
    tried.kept_apart("FlagSnapshot.is_enabled_or", by_default == [true, false]);
    let by_default = [true, false].map(|default| flags.evaluate_or(&name, &foreign, default).value);
    tried.kept_apart("FeatureFlags.evaluate_or", by_default == [true, false]);
    let by_default = [true, false].map(|default| snapshot.evaluate_or(&name, &foreign, default).value);
    tried.kept_apart("FlagSnapshot.evaluate_or", by_default == [true, false]);
    tried.kept_apart("FeatureFlags.variant", flags.variant(&name, &foreign).is_none());
    tried.kept_apart(
        "FlagSnapshot.variant",
        snapshot.variant(&name, &foreign).is_none(),
    );
    let every = flags.evaluate_all(&foreign);
    let is_apart = |every: &std::collections::BTreeMap<_, posada::flags::Evaluation>| {
        every
            .values()
            .all(|each| each.reason == Reason::Error && !each.value)
    };
    tried.kept_apart(
        "FeatureFlags.evaluate_all",
        !every.contains_key(&name) && is_apart(&every),
    );
    let every = snapshot.evaluate_all(&foreign);
    tried.kept_apart(
        "FlagSnapshot.evaluate_all",
        !every.contains_key(&name) && is_apart(&every),
    );

    flags.set(None, &name, true).await.unwrap();
    let evaluation = flags.evaluate(&name, &context);
    assert_eq!((evaluation.value, evaluation.source), (true, FlagSource::Tenant));
    assert!(!all.is_enabled(&name, &context), "nothing was set for everybody");
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match watch.next().await {
                Some(FlagChange::Changed { flag, tenant }) if *flag == *name => break tenant,
                Some(_) => {}
                None => panic!("the watch has ended"),
            }
        }
    });
    let tenant = told.await.unwrap();
    tried.kept_apart("FlagWatch.next", tenant.as_ref() == Some(&own.id));
    let mut stream = watch.into_stream();
    flags.set(None, &name, false).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match stream.next().await {
                Some(FlagChange::Changed { flag, tenant }) if *flag == *name => break tenant,
                Some(_) => {}
                None => panic!("the stream has ended"),
            }
        }
    });
    let tenant = told.await.unwrap();
    tried.kept_apart("FlagWatch.into_stream", tenant.as_ref() == Some(&own.id));
    let listed = flags.list(None).await.unwrap();
    assert!(
        listed
            .iter()
            .any(|flag| flag.key == name && flag.source == FlagSource::Tenant)
    );
    assert!(flags.unset(None, &name).await.unwrap());
    assert!(
        all.unset(&other.id, &name).await.unwrap(),
        "it was the scope's own that went"
    );
    tried.without_tenants(["FeatureFlags.status", "FeatureFlags.watch"]);
}

async fn locks(posada: &Posada, scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    let (all, locks, name) = (posada.locks(), scope.locks(), unique("night-audit"));
    let (plain, foreign) = (AcquireOptions::new(), AcquireOptions::new().tenant(&other.id));
    let theirs = all.acquire(&name, &foreign).await.unwrap();
    tried.refused("LockManager.acquire", locks.acquire(&name, &foreign).await);
    tried.refused(
        "LockManager.try_acquire",
        locks.try_acquire(&name, &foreign).await,
    );
    let both = [name.as_str(), "invoices"];
    tried.refused(
        "LockManager.acquire_all",
        locks.acquire_all(&both, &foreign).await,
    );
    tried.refused("LockManager.inspect", locks.inspect(&other.id, &name).await);
    tried.refused("LockManager.list", locks.list(&other.id).await);
    let released = locks.release(&other.id, &name, theirs.token()).await;
    tried.refused("LockManager.release", released);
    let forced = locks.force_release(&other.id, &name, "stuck").await;
    tried.refused("LockManager.force_release", forced);
    theirs.ensure_held().unwrap();

    let guard = locks.acquire(&name, &plain).await.unwrap();
    assert!(locks.try_acquire(&name, &plain).await.unwrap().is_none());
    assert!(all.inspect(&own.id, &name).await.unwrap().is_some());
    assert!(all.inspect(None, &name).await.unwrap().is_none());
    // A token of another hotel's lock of the same name opens nothing.
    let stolen = locks.release(None, &name, theirs.token()).await.unwrap_err();
    assert!(stolen.is(codes::LOCKS_NOT_OWNER), "{stolen}");
    assert_eq!(locks.list(None).await.unwrap().len(), 1);
    locks.flush_audit(Duration::from_secs(10)).await.unwrap();
    let rows = locks.audit(&name, 10).await.unwrap();
    let is_own = rows.iter().all(|row| row.tenant.as_ref() == Some(&own.id));
    tried.kept_apart("LockManager.audit", is_own && !rows.is_empty());
    assert!(all.audit(&name, 10).await.unwrap().len() > rows.len());
    guard.release().await.unwrap();

    let fenced = unique("invoice");
    locks.check_fence(&fenced, 7).await.unwrap();
    assert!(
        locks
            .check_fence(&fenced, 6)
            .await
            .unwrap_err()
            .is(codes::LOCKS_STALE_FENCE)
    );
    let elsewhere = posada.for_tenant(&other.id).unwrap();
    let apart = elsewhere.locks().check_fence(&fenced, 1).await.is_ok();
    tried.kept_apart(
        "LockManager.check_fence",
        apart && all.check_fence(&fenced, 1).await.is_ok(),
    );

    let room = Resource::room_type(&HotelId::from(1), &RoomTypeId::from(1));
    let wish = || StayHold::new(room.clone(), stay()).session_id("s-1");
    let hold = all.hold_stay(&wish().tenant(&other.id)).await.unwrap();
    tried.refused(
        "LockManager.hold_stay",
        locks.hold_stay(&wish().tenant(&other.id)).await,
    );
    let several = [wish(), wish().tenant(&other.id)];
    tried.refused("LockManager.hold_stays", locks.hold_stays(&several).await);
    tried.refused("LockManager.resume_hold", locks.resume_hold(&hold.ticket()).await);
    tried.refused("LockManager.holds", locks.holds(&other.id, &room, stay()).await);
    tried.refused("LockManager.sweep", locks.sweep().await);
    tried.refused("LockManager.audit", locks.audit(&hold.audit_key(), 10).await);
    let kept = locks.hold_stay(&wish()).await.unwrap();
    assert_eq!(kept.tenant(), Some(&own.id));
    assert_eq!(locks.holds(None, &room, stay()).await.unwrap().len(), 1);
    locks.audit(&kept.audit_key(), 10).await.unwrap();
    locks.resume_hold(&kept.ticket()).await.unwrap();

    let request = || {
        let guest = Guest::new("Ana", "Pérez", "ana@example.com", "+5491187654321").unwrap();
        let (hotel, room_type) = (HotelId::from(1), RoomTypeId::from(1));
        let key = IdempotencyKey::parse(&unique("wamid")).unwrap();
        BookingRequest::new(
            hotel,
            room_type,
            stay(),
            Occupancy::new(2, &[]).unwrap(),
            guest,
            key,
        )
    };
    let proof = HoldProof::from(&kept);
    let nobodys = HoldProof {
        tenant: None,
        ..proof.clone()
    };
    for foreign in [HoldProof::from(&hold), nobodys] {
        let booked = scope.pms().book(&request(), Some(&foreign)).await;
        tried.refused("PmsClient.book", booked);
    }
    scope.pms().book(&request(), Some(&proof)).await.unwrap();
    for hold in [hold, kept] {
        hold.release().await.unwrap();
    }
    tried.without_tenants(["LockManager.fence_guard_sql", "LockManager.flush_audit"]);
}

async fn limits(posada: &Posada, scope: &Posada, own: &Hotel, tried: &mut Tried) {
    let (all, limits) = (posada.limits(), scope.limits());
    let once = RateLimit::parse("1/hour").unwrap();
    let path = unique("/api/reservations");
    let who = ["203.0.113.9", path.as_str()];
    let pair = [(&once, &who[..])];
    // Outside of the scope the quota is used up; in it nobody has asked yet.
    all.reset(&once, &who).await.unwrap();
    assert!(all.check(&once, &who).await.unwrap().allowed);
    let fresh = limits.peek(&once, &who).await.unwrap().allowed;
    tried.kept_apart("RateLimiter.peek", fresh);
    assert!(limits.check(&once, &who).await.unwrap().allowed);
    tried.kept_apart(
        "RateLimiter.check",
        !limits.check(&once, &who).await.unwrap().allowed,
    );
    limits.reset(&once, &who).await.unwrap();
    let kept = !all.peek(&once, &who).await.unwrap().allowed;
    tried.kept_apart("RateLimiter.reset", kept);
    let policy = limits
        .clone()
        .failure_policy(posada::limits::FailurePolicy::Closed);
    let many = policy.check_many(&pair).await.unwrap();
    tried.kept_apart("RateLimiter.check_many", many[0].allowed);
    let cost = policy.check_cost(&once, &who, 1).await.unwrap();
    tried.kept_apart("RateLimiter.check_cost", !cost.allowed);
    let key = format!("tenant:{}", own.id);
    let same = all.peek(&once, &[&key, who[0], who[1]]).await.unwrap();
    tried.kept_apart("RateLimiter.failure_policy", !same.allowed);
}

async fn auth(posada: &Posada, scope: &Posada, own: &Hotel, other: &Hotel, tried: &mut Tried) {
    let (all, auth) = (posada.auth(), scope.auth());
    let (access, refresh, theirs) = other.claims(posada).await;
    let user = |name: &str| NewUser::new(name, &format!("{name}@example.com"), SECOND).unwrap();
    let foreign = user(&unique("bruno")).tenant(&other.id);
    tried.refused("Authenticator.create_user", auth.create_user(foreign).await);
    let above = user(&unique("carla")).superuser();
    tried.refused("Authenticator.create_user", auth.create_user(above).await);
    let attempt = other.sign_in().tenant(&other.id);
    tried.refused("Authenticator.login", auth.login(&attempt).await);
    let unnamed = auth.login(&other.sign_in()).await.unwrap_err();
    assert!(unnamed.is(codes::AUTH_BAD_CREDENTIALS), "{unnamed}");
    let cookie = all.device_cookie(&theirs).await.unwrap();
    let with_cookie = other.sign_in().device_cookie(cookie);
    tried.refused("Authenticator.login", auth.login(&with_cookie).await);
    tried.refused("Authenticator.device_cookie", auth.device_cookie(&theirs).await);
    tried.refused("Authenticator.verify", auth.verify(&access).await);
    let asked_now = auth.verify_privileged(&access).await;
    tried.refused("Authenticator.verify_privileged", asked_now);
    let may = all.has_permission(&theirs, &REPORTS) && !auth.has_permission(&theirs, &REPORTS);
    tried.kept_apart("Authenticator.has_permission", may);
    tried.refused("Authenticator.refresh", auth.refresh(&refresh).await);
    for token in [&access, &refresh] {
        tried.refused("Authenticator.logout", auth.logout(token).await);
    }
    let session = theirs.session.clone().unwrap();
    tried.refused(
        "Authenticator.logout_session",
        auth.logout_session(&theirs, &session).await,
    );
    let everywhere = auth.logout_everywhere(&theirs, false).await;
    tried.refused("Authenticator.logout_everywhere", everywhere);
    tried.refused("Authenticator.sessions", auth.sessions(&theirs).await);
    tried.refused("Authenticator.measure", auth.measure().await);
    let changed = auth.change_password(&access, PASSWORD, SECOND).await;
    tried.refused("Authenticator.change_password", changed);
    let set = auth.set_password(&other.id, &other.user, SECOND, false).await;
    tried.refused("Authenticator.set_password", set);
    let kind = TokenKind::ResetPassword;
    tried.refused(
        "Authenticator.issue",
        auth.issue(&other.id, &other.user, kind).await,
    );
    let missing = auth.issue(None, &other.user, kind).await.unwrap_err();
    assert!(missing.is(codes::AUTH_USER_NOT_FOUND), "{missing}");
    let reset = all.issue(&other.id, &other.user, kind).await.unwrap();
    tried.refused(
        "Authenticator.reset_password",
        auth.reset_password(&reset, SECOND).await,
    );

    let tokens = auth.login(&own.sign_in()).await.unwrap();
    let claims = auth.verify(&tokens.access).await.unwrap();
    assert!(auth.has_permission(&claims, &REPORTS));
    // The id of somebody else's session ends nothing, whoever's it is.
    assert!(!auth.logout_session(&claims, &session).await.unwrap());
    all.verify(&access).await.unwrap();
    assert_eq!(auth.sessions(&claims).await.unwrap().len(), 1);
    let next = auth.refresh(&tokens.refresh).await.unwrap();
    auth.logout(&next.access).await.unwrap();

    // Somebody of the installation is nobody of the hotel, and acts for it by a handle of all.
    let root = unique("root");
    let new = user(&root).superuser().role(Role::Admin);
    all.create_user(new).await.unwrap();
    let tokens = all.login(&SignIn::new(&root, SECOND)).await.unwrap();
    let above = all.verify(&tokens.access).await.unwrap();
    tried.refused("Authenticator.verify", auth.verify(&tokens.access).await);
    let reason = "support reads a conversation";
    tried.refused(
        "Authenticator.act_across_tenants",
        auth.act_across_tenants(&other.id, &above, reason).await,
    );
    let acting = all.act_across_tenants(&own.id, &above, reason).await.unwrap();
    assert_eq!(posada.for_claims(&acting).unwrap().tenant(), Some(&own.id));
    let homeless = posada.for_claims(&above).unwrap_err();
    assert!(homeless.is(codes::AUTH_WRONG_TENANT), "{homeless}");
}

#[tokio::test]
async fn another_hotel_is_out_of_reach_on_servers() {
    let database = unique("scope");
    let settings = Settings::builder()
        .postgres_url(servers::postgres().create_database(&database))
        .redis_url(servers::redis().url())
        .secret_key(KEY)
        .build()
        .unwrap();
    let posada = Posada::connect(settings).await.unwrap();
    posada.migrate().await.unwrap();
    another_hotel_is_out_of_reach(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn another_hotel_is_out_of_reach_in_memory() {
    another_hotel_is_out_of_reach(&Posada::embedded()).await;
}

/// Servers that are not there would answer late and with another error.
#[tokio::test]
async fn what_an_argument_tells_is_refused_before_any_server_is_asked() {
    let settings = || Settings::builder().secret_key(KEY);
    let there = Posada::builder()
        .settings(settings().build().unwrap())
        .build()
        .unwrap();
    let other = Hotel::open(&there, 3).await;
    let (access, refresh, theirs) = other.claims(&there).await;
    let mut session = there.sessions().get(&other.id, GUEST).await.unwrap().unwrap();
    let nights = StayHold::new(
        Resource::room_type(&HotelId::from(1), &RoomTypeId::from(1)),
        stay(),
    )
    .tenant(&other.id);
    let hold = there.locks().hold_stay(&nights).await.unwrap();
    let kind = TokenKind::ResetPassword;
    let reset = there.auth().issue(&other.id, &other.user, kind).await.unwrap();

    let nowhere = settings()
        .postgres_url("postgres://app:secret@127.0.0.1:1/hotel")
        .redis_url("redis://127.0.0.1:1");
    let away = Posada::builder()
        .settings(nowhere.build().unwrap())
        .build()
        .unwrap();
    let own = TenantId::parse("hotel-costanera").unwrap();
    let scope = away.for_tenant(&own).unwrap();
    let down = scope.sessions().get(None, GUEST).await.unwrap_err();
    assert_eq!(down.kind(), posada::Kind::Unavailable, "{down}");
    let mut tried = Tried::default();
    tried.refused("sessions.get", scope.sessions().get(&other.id, GUEST).await);
    tried.refused("sessions.save", scope.sessions().save(&mut session).await);
    tried.refused(
        "flags.set",
        scope.flags().set(&other.id, "canary.enabled", true).await,
    );
    tried.refused("flags.list", scope.flags().list(&other.id).await);
    let foreign = AcquireOptions::new().tenant(&other.id);
    tried.refused(
        "locks.acquire",
        scope.locks().acquire("night-audit", &foreign).await,
    );
    tried.refused("locks.list", scope.locks().list(&other.id).await);
    tried.refused("locks.hold_stay", scope.locks().hold_stay(&nights).await);
    tried.refused(
        "locks.resume_hold",
        scope.locks().resume_hold(&hold.ticket()).await,
    );
    tried.refused("locks.audit", scope.locks().audit(&hold.audit_key(), 10).await);
    tried.refused("tenants.get", scope.tenants().get(&other.id).await);
    tried.refused("tenants.suspend", scope.tenants().suspend(&other.id).await);
    tried.refused("tenants.list", scope.tenants().list().await);
    tried.refused("migrate", scope.migrate().await);
    let auth = scope.auth();
    tried.refused("auth.login", auth.login(&other.sign_in().tenant(&other.id)).await);
    tried.refused("auth.verify", auth.verify(&access).await);
    tried.refused("auth.verify_privileged", auth.verify_privileged(&access).await);
    tried.refused("auth.refresh", auth.refresh(&refresh).await);
    tried.refused("auth.logout", auth.logout(&refresh).await);
    tried.refused("auth.sessions", auth.sessions(&theirs).await);
    tried.refused("auth.issue", auth.issue(&other.id, &other.user, kind).await);
    tried.refused("auth.reset_password", auth.reset_password(&reset, SECOND).await);
}

#[tokio::test]
async fn a_scope_ends_with_the_handle_that_it_was_made_from_and_not_before() {
    let posada = Posada::embedded();
    let hotel = TenantId::parse("hotel-costanera").unwrap();
    let scope = Arc::new(posada.for_tenant(&hotel).unwrap());
    scope.close().await.unwrap();
    assert!(scope.sessions().get(None, GUEST).await.unwrap().is_none());
    posada.close().await.unwrap();
    let closed = scope.sessions().get(None, GUEST).await.unwrap_err();
    assert!(closed.is(codes::POSADA_CLOSED), "{closed}");
}
