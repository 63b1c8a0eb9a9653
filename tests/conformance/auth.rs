//! Sign-in on real servers: migrated and as the layouts in the wild are, directly, behind a pooler, and with Redis.

use std::time::Duration;

use futures_util::future::join_all;
use posada::auth::{ClaimsSource, NewUser, Role, SignIn};
use posada::clock::ManualClock;
use posada::error::codes;
use posada::settings::{Pooling, SettingsBuilder};
use posada::testkit::auth::{Run, suite};
use posada::{Posada, Settings, TenantId};
use posada_tests::{RedisServer, servers, unique};

const L1: &str = include_str!("../vectors/schema/l1.sql");
const L2: &str = include_str!("../vectors/schema/l2.sql");
const L3: &str = include_str!("../vectors/schema/l3.sql");
const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";

/// A new database with this content and two hotels; its name.
fn database(content: &str) -> String {
    let name = unique("auth");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, content);
    servers::postgres().execute_in(
        &name,
        "INSERT INTO tenants (tenant_id, name, status, created_at, updated_at) VALUES
             ('hotel-test', 'Hotel', 'active', now(), now()), ('closed', 'Closed', 'suspended', now(), now())
         ON CONFLICT (tenant_id) DO NOTHING",
    );
    name
}

fn direct(database: &str) -> SettingsBuilder {
    Settings::builder()
        .postgres_url(servers::postgres().url_of(database))
        .secret_key(KEY)
}

fn clock() -> ManualClock {
    ManualClock::at(std::time::SystemTime::now().into())
}

fn on(settings: SettingsBuilder, clock: &ManualClock) -> Posada {
    Posada::builder()
        .settings(settings.build().unwrap())
        .clock(clock.shared())
        .build()
        .unwrap()
}

async fn keeps_the_promises(settings: SettingsBuilder, has_roles: bool) {
    let clock = clock();
    let posada = on(settings, &clock);
    let run = Run {
        auth: posada.auth(),
        clock: &clock,
        prefix: &unique("run"),
        tenant: &hotel(),
        has_roles,
    };
    suite(&run).await;
}

fn hotel() -> TenantId {
    TenantId::parse("hotel-test").unwrap()
}

fn new_user(name: &str, tenant: &str) -> NewUser {
    NewUser::new(name, &format!("{name}@example.com"), PASSWORD)
        .unwrap()
        .role(Role::Manager)
        .tenant(&TenantId::parse(tenant).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrated_database_with_redis_keeps_the_promises() {
    keeps_the_promises(
        direct(&database(&Posada::schema_sql())).redis_url(servers::redis().url()),
        true,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_and_a_cluster_keep_the_promises() {
    let settings = Settings::builder()
        .postgres_url(servers::pgbouncer().url(&database(&Posada::schema_sql())))
        .postgres_pooler(Pooling::Transaction)
        .redis_url(servers::cluster().url())
        .secret_key(KEY);
    keeps_the_promises(settings, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_the_orm_keeps_the_promises() {
    keeps_the_promises(direct(&database(L1)), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_the_guide_keeps_the_promises_without_roles() {
    keeps_the_promises(direct(&database(L2)), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_alembic_keeps_the_promises() {
    keeps_the_promises(direct(&database(L3)), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_app_signs_in_with_bcrypt_and_gets_a_better_hash() {
    // Made by passlib for "Verano2025!!"; see tests/vectors/auth/generate.py.
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/auth/passwords.json")).unwrap();
    let hash = vectors.as_array().unwrap().last().unwrap()["hash"]
        .as_str()
        .unwrap();
    for (layout, label) in [(L1, "ADMIN"), (L3, "admin")] {
        let database = database(layout);
        let insert = format!(
            "INSERT INTO users (id, username, email, hashed_password, role, is_active, is_superuser, is_verified, \
             failed_login_attempts, password_last_changed, password_must_change, created_at, updated_at {}) \
             VALUES ('of-the-app', 'of-the-app', 'of-the-app@example.com', '{hash}', '{label}', TRUE, FALSE, TRUE, 3, \
             '2026-01-02 03:04:05.678901', FALSE, now(), now() {})",
            if layout == L1 { ", mfa_enabled" } else { "" },
            if layout == L1 { ", FALSE" } else { "" },
        );
        servers::postgres().execute_in(&database, &insert);
        let posada = on(direct(&database), &clock());
        let attempt = SignIn::new("of-the-app", "Verano2025!!");
        let pair = posada.auth().login(&attempt).await.unwrap();
        assert_eq!(
            posada.auth().verify(&pair.access).await.unwrap().role,
            Role::Admin
        );
        let row = servers::postgres().execute_in(
            &database,
            "SELECT left(hashed_password, 10), password_last_changed, failed_login_attempts, last_login IS NULL FROM users \
             WHERE id = 'of-the-app'",
        );
        assert_eq!(row, "$argon2id$|2026-01-02 03:04:05.678901|0|f", "case 97");
        posada.auth().login(&attempt).await.unwrap();
        posada
            .auth()
            .verify(&pair.access)
            .await
            .expect("case 97: a better hash ends no session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_64_users_and_hotels_that_are_not_active_are_out() {
    let database = database(&Posada::schema_sql());
    let clock = clock();
    let posada = on(direct(&database), &clock);
    let auth = posada.auth();
    auth.create_user(new_user("closed", "closed")).await.unwrap();
    auth.create_user(new_user("ana", "hotel-test")).await.unwrap();
    auth.create_user(new_user("bea", "hotel-test")).await.unwrap();
    let error = auth.login(&SignIn::new("closed", PASSWORD)).await.unwrap_err();
    assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
    let ana = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let bea = auth.login(&SignIn::new("bea", PASSWORD)).await.unwrap();
    let sql = |sql| servers::postgres().execute_in(&database, sql);
    sql("UPDATE users SET is_active = FALSE WHERE username = 'ana'");
    assert!(
        auth.verify_privileged(&ana.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    assert!(
        auth.refresh(&ana.refresh)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    auth.verify(&bea.access).await.unwrap();
    sql("UPDATE tenants SET status = 'suspended' WHERE tenant_id = 'hotel-test'");
    auth.verify(&bea.access).await.expect("known for five seconds");
    clock.advance(Duration::from_secs(5));
    assert!(
        auth.verify(&bea.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    sql("UPDATE tenants SET status = 'active' WHERE tenant_id = 'hotel-test'");
    sql("UPDATE users SET mfa_enabled = TRUE WHERE username = 'bea'");
    let error = auth.login(&SignIn::new("bea", PASSWORD)).await.unwrap_err();
    assert!(error.is(codes::AUTH_SECOND_FACTOR_REQUIRED), "{error}");
    sql("UPDATE users SET mfa_enabled = FALSE, account_locked_until = now() + interval '2 days'");
    let error = auth.login(&SignIn::new("bea", PASSWORD)).await.unwrap_err();
    assert!(
        error.is(codes::AUTH_BAD_CREDENTIALS),
        "locked by the app: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_learn_of_a_revocation_through_redis_and_survive_its_amnesia() {
    let redis = RedisServer::start();
    let database = database(&Posada::schema_sql());
    let settings = || direct(&database).redis_url(redis.url());
    let clock = clock();
    let (one, other, third) = (
        on(settings(), &clock),
        on(settings(), &clock),
        on(settings(), &clock),
    );
    one.auth()
        .create_user(new_user("ana", "hotel-test"))
        .await
        .unwrap();
    let pair = one.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let first = one.auth().verify(&pair.access).await.unwrap();
    assert_eq!(first.source, ClaimsSource::Store);
    let second = other.auth().verify(&pair.access).await.unwrap();
    assert_eq!(
        second.source,
        ClaimsSource::Redis,
        "one process asked Postgres for all"
    );
    one.auth().logout(&pair.access).await.unwrap();
    let told = third.auth().verify(&pair.access).await.unwrap_err();
    assert!(told.is(codes::AUTH_SESSION_ENDED), "{told}");
    redis.command::<()>(&["FLUSHALL"]);
    clock.advance(Duration::from_secs(5));
    for posada in [&one, &other, &third] {
        let error = posada.auth().verify(&pair.access).await.unwrap_err();
        assert!(error.is(codes::AUTH_SESSION_ENDED), "case 78: {error}");
    }
    for key in redis.command::<Vec<String>>(&["KEYS", "*"]) {
        assert!(!key.contains("ana"), "no name in a key: {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_107_a_hundred_guesses_at_once_through_redis_get_no_more_than_five() {
    let posada = on(
        direct(&database(&Posada::schema_sql())).redis_url(servers::redis().url()),
        &clock(),
    );
    let name = unique("guessed");
    let auth = posada.auth();
    let attempts = (0..100).map(|_| {
        let attempt = SignIn::new(&name, "wrong");
        async move { auth.login(&attempt).await.unwrap_err() }
    });
    let errors = join_all(attempts).await;
    let judged = errors
        .iter()
        .filter(|error| !error.is(codes::AUTH_THROTTLED))
        .count();
    // An attempt that found the pool full is given back, and then the next one may come.
    let shed = errors
        .iter()
        .filter(|error| error.is(codes::AUTH_HASHING_BUSY))
        .count();
    assert!(
        judged - shed <= 5,
        "{judged} were judged, {shed} of them turned away"
    );
    assert!(judged >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_from_two_processes_give_one_lineage() {
    let database = database(&Posada::schema_sql());
    let clock = clock();
    let (one, other) = (on(direct(&database), &clock), on(direct(&database), &clock));
    one.auth()
        .create_user(new_user("ana", "hotel-test"))
        .await
        .unwrap();
    let pair = one.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let refreshes = (0..50).map(|number| {
        let posada = if number % 2 == 0 { &one } else { &other };
        posada.auth().refresh(&pair.refresh)
    });
    let mut next: Vec<_> = join_all(refreshes)
        .await
        .into_iter()
        .map(|pair| pair.unwrap().refresh)
        .collect();
    next.dedup();
    assert_eq!(next.len(), 1);
    let rows = servers::postgres().execute_in(
        &database,
        "SELECT count(*), bool_or(is_revoked) FROM user_sessions",
    );
    assert_eq!(rows, "1|f");
}
