//! Whose users are those of a hotel that is gone, suspended, half written, or back under its old id?

use std::time::Duration;

use posada::auth::{NewUser, SignIn, TokenKind};
use posada::clock::ManualClock;
use posada::error::codes;
use posada::tenants::{NewTenant, TenantStatus, TenantUpdate};
use posada::{Posada, Settings, TenantId};
use posada_tests::{servers, unique};

const L2: &str = include_str!("../vectors/schema/l2.sql");
const L3: &str = include_str!("../vectors/schema/l3.sql");
const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

struct Hotel {
    database: String,
    posada: Posada,
    clock: ManualClock,
    id: TenantId,
}

impl Hotel {
    /// A hotel with the user `anabel`, on a database of this layout.
    async fn open(layout: &str) -> Self {
        let database = unique("gone");
        servers::postgres().create_database(&database);
        servers::postgres().execute_in(&database, layout);
        let settings = Settings::builder()
            .postgres_url(servers::postgres().url_of(&database))
            .secret_key(KEY)
            .build()
            .unwrap();
        let clock = ManualClock::at(std::time::SystemTime::now().into());
        let posada = Posada::builder()
            .settings(settings)
            .clock(clock.shared())
            .build()
            .unwrap();
        let hotel = Self {
            database,
            posada,
            clock,
            id: TenantId::parse("hotel-costanera").unwrap(),
        };
        hotel.create().await;
        hotel
            .posada
            .auth()
            .create_user(hotel.user("anabel"))
            .await
            .unwrap();
        hotel
    }

    async fn create(&self) {
        let new = NewTenant::new(self.id.as_str(), "Hotel Costanera").unwrap();
        self.posada.tenants().create(new).await.unwrap();
    }

    fn user(&self, name: &str) -> NewUser {
        NewUser::new(name, &format!("{name}@example.com"), PASSWORD)
            .unwrap()
            .tenant(&self.id)
    }

    fn sql(&self, sql: &str) -> String {
        servers::postgres().execute_in(&self.database, sql)
    }

    async fn login(&self, password: &str) -> posada::Result<posada::auth::TokenPair> {
        self.posada.auth().login(&SignIn::new("anabel", password)).await
    }

    async fn reset_token(&self) -> String {
        let ana = self.sql("SELECT id FROM users WHERE username = 'anabel'");
        let kind = TokenKind::ResetPassword;
        self.posada.auth().issue(&self.id, &ana, kind).await.unwrap()
    }

    /// Nothing that `anabel` has opens anything.
    async fn is_closed(&self, pair: &posada::auth::TokenPair, reset: &str, why: &str) {
        let auth = self.posada.auth();
        self.clock.advance(Duration::from_secs(6));
        let error = self.login(PASSWORD).await.unwrap_err();
        assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{why}: {error}");
        let named = SignIn::new("anabel", PASSWORD).tenant(&self.id);
        let error = auth.login(&named).await.unwrap_err();
        assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{why}: {error}");
        for outcome in [
            auth.verify(&pair.access).await.map(drop),
            auth.verify_privileged(&pair.access).await.map(drop),
            auth.refresh(&pair.refresh).await.map(drop),
            auth.change_password(&pair.access, PASSWORD, SECOND)
                .await
                .map(drop),
            auth.reset_password(reset, SECOND).await,
        ] {
            let error = outcome.expect_err(why);
            assert!(error.is(codes::AUTH_SESSION_ENDED), "{why}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_for_a_hotel_that_is_gone_suspended_or_without_a_status() {
    for layout in [&Posada::schema_sql(), L2, L3] {
        let hotel = Hotel::open(layout).await;
        hotel.sql("ALTER TABLE tenants ALTER COLUMN status DROP NOT NULL");
        let auth = hotel.posada.auth();
        let central = NewUser::new("central", "central@example.com", PASSWORD).unwrap();
        auth.create_user(central.superuser()).await.unwrap();
        let superuser = auth.login(&SignIn::new("central", PASSWORD)).await.unwrap();
        let superuser = auth.verify(&superuser.access).await.unwrap();
        let ordinary = auth
            .verify(&hotel.login(PASSWORD).await.unwrap().access)
            .await
            .unwrap();
        let acting = auth
            .act_across_tenants(&hotel.id, &superuser, "support")
            .await
            .unwrap();
        assert_eq!(acting.tenant.as_ref(), Some(&hotel.id));
        for (change, code) in [
            ("UPDATE tenants SET status = 'suspended'", codes::TENANTS_INACTIVE),
            ("UPDATE tenants SET status = NULL", codes::TENANTS_INACTIVE),
            (
                "DELETE FROM tenant_user_identifiers; UPDATE users SET tenant_id = NULL; DELETE FROM tenants",
                codes::TENANTS_NOT_FOUND,
            ),
        ] {
            hotel.sql(change);
            let refused = auth.act_across_tenants(&hotel.id, &superuser, "support").await;
            let error = refused.expect_err(change);
            assert!(error.is(code), "{change}: {error}");
            let refused = auth.act_across_tenants(&hotel.id, &ordinary, "support").await;
            let error = refused.expect_err(change);
            assert!(error.is(codes::AUTH_FORBIDDEN), "{change}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_is_gone_suspended_or_without_a_status_lets_nobody_in_and_uses_nothing_up() {
    for layout in [&Posada::schema_sql(), L2, L3] {
        let hotel = Hotel::open(layout).await;
        let (pair, reset) = (hotel.login(PASSWORD).await.unwrap(), hotel.reset_token().await);
        hotel.sql("ALTER TABLE tenants ALTER COLUMN status DROP NOT NULL");
        for status in ["'suspended'", "'inactive'", "'Active'", "''", "NULL"] {
            hotel.sql(&format!("UPDATE tenants SET status = {status}"));
            hotel.is_closed(&pair, &reset, status).await;
            hotel.sql("UPDATE tenants SET status = 'active'");
            hotel.login(PASSWORD).await.expect(status);
        }
        let next = hotel.posada.auth().refresh(&pair.refresh).await.unwrap();
        let reset = hotel.reset_token().await;
        // Where there is a foreign key, the hotel of a user cannot be deleted in the first place.
        hotel.sql("ALTER TABLE users DROP CONSTRAINT IF EXISTS fk_users_tenant; DELETE FROM tenants");
        hotel.is_closed(&next, &reset, "deleted").await;
        let error = hotel
            .posada
            .auth()
            .create_user(hotel.user("bea"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.field()),
            ("auth.invalid_user", Some("tenant"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_hotel_of_the_same_id_does_not_inherit_the_users_of_the_old_one() {
    let hotel = Hotel::open(&Posada::schema_sql()).await;
    let (pair, reset) = (hotel.login(PASSWORD).await.unwrap(), hotel.reset_token().await);
    hotel.sql("DELETE FROM tenants");
    hotel.create().await;
    hotel.is_closed(&pair, &reset, "another hotel").await;
    hotel.posada.auth().create_user(hotel.user("bea")).await.unwrap();
    hotel
        .posada
        .auth()
        .login(&SignIn::new("bea", PASSWORD))
        .await
        .unwrap();
    // Who was moved is a user of the hotel of that id, as somebody decided.
    hotel.sql(
        "INSERT INTO tenants (tenant_id, name, status) VALUES ('hotel-b', 'B', 'active');
         UPDATE users SET tenant_id = 'hotel-b' WHERE username = 'anabel'",
    );
    hotel.login(PASSWORD).await.unwrap();
    hotel.sql("UPDATE users SET tenant_id = 'hotel-costanera' WHERE username = 'anabel'");
    hotel.login(PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_from_before_the_migration_belong_to_the_hotels_that_it_found() {
    let hotel = Hotel::open(L2).await;
    let pair = hotel.login(PASSWORD).await.unwrap();
    hotel.posada.migrate().await.unwrap();
    hotel.posada.auth().refresh(&pair.refresh).await.unwrap();
    hotel.sql("DELETE FROM tenants");
    hotel.create().await;
    let error = hotel.login(PASSWORD).await.unwrap_err();
    assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_an_impossible_hotel_is_nobodys() {
    let hotel = Hotel::open(&Posada::schema_sql()).await;
    for tenant in ["''", "'Hotel!'", "' '"] {
        hotel.sql(&format!("UPDATE users SET tenant_id = {tenant}"));
        let error = hotel.login(PASSWORD).await.unwrap_err();
        assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{tenant}: {error}");
        hotel.clock.advance(Duration::from_hours(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_users_with_one_address_in_ten_cases_one_is_made() {
    let hotel = Hotel::open(&Posada::schema_sql()).await;
    let (auth, id) = (hotel.posada.auth(), &hotel.id);
    let attempts = (0..10).map(|number| {
        let address: String = "bea.luz@example.com"
            .chars()
            .enumerate()
            .map(|(place, letter)| {
                if place == number {
                    letter.to_ascii_uppercase()
                } else {
                    letter
                }
            })
            .collect();
        let new = NewUser::new(&format!("bea{number}"), &address, PASSWORD).unwrap();
        async move {
            loop {
                match auth.create_user(new.clone().tenant(id)).await {
                    Err(error) if error.is(codes::AUTH_HASHING_BUSY) => tokio::task::yield_now().await,
                    outcome => return outcome,
                }
            }
        }
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(error.is(codes::AUTH_USER_EXISTS), "{error}");
    }
    // Users of the app whose addresses differ in case only stay what they are.
    let made = hotel.sql("SELECT count(*) FROM users WHERE lower(email) = 'bea.luz@example.com'");
    assert_eq!(made, "1");
    hotel.sql(
        "INSERT INTO users (id, username, email, hashed_password, tenant_id) \
         SELECT 'twin', 'twin', upper(email), hashed_password, tenant_id FROM users WHERE username = 'anabel'",
    );
    for name in ["anabel", "twin"] {
        auth.login(&SignIn::new(name, PASSWORD)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_hotels_that_do_not_exist_or_are_suspended_have_no_users() {
    let posada = Posada::embedded();
    let hotel = TenantId::parse("hotel-a").unwrap();
    let ana = || {
        NewUser::new("ana", "ana@example.com", PASSWORD)
            .unwrap()
            .tenant(&hotel)
    };
    let error = posada.auth().create_user(ana()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.field()),
        ("auth.invalid_user", Some("tenant"))
    );
    posada
        .tenants()
        .create(NewTenant::new(hotel.as_str(), "Hotel A").unwrap())
        .await
        .unwrap();
    posada.auth().create_user(ana()).await.unwrap();
    let attempt = SignIn::new("ana", PASSWORD);
    let pair = posada.auth().login(&attempt).await.unwrap();
    posada.tenants().suspend(&hotel).await.unwrap();
    assert!(
        posada
            .auth()
            .login(&attempt)
            .await
            .unwrap_err()
            .is(codes::AUTH_BAD_CREDENTIALS)
    );
    assert!(
        posada
            .auth()
            .refresh(&pair.refresh)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    assert!(
        posada
            .auth()
            .verify_privileged(&pair.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    let active = TenantUpdate::new().status(TenantStatus::Active);
    posada.tenants().update(&hotel, active).await.unwrap();
    posada
        .auth()
        .refresh(&pair.refresh)
        .await
        .expect("nothing was used up");
}
