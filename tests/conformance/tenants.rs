//! Tenants on real servers: migrated and as the layouts in the wild are, directly and behind a pooler.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use posada::error::codes;
use posada::settings::PostgresSettings;
use posada::tenants::{BusinessHours, NewTenant, Resolution};
use posada::testkit::postgres::Probe;
use posada::testkit::tenants::{owner, suite};
use posada::{Posada, Settings, TenantId};
use posada_tests::{servers, unique};

const L1: &str = include_str!("../vectors/schema/l1.sql");
const L2: &str = include_str!("../vectors/schema/l2.sql");
const L3: &str = include_str!("../vectors/schema/l3.sql");
const APP_NUMBER: &str = "+5491112345678";

/// A new database with this content; its name.
fn database(content: &str) -> String {
    let name = unique("tenants");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, content);
    name
}

fn direct(database: &str) -> Posada {
    on(Settings::builder().postgres_url(servers::postgres().url_of(database)))
}

fn on(settings: posada::settings::SettingsBuilder) -> Posada {
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

fn id(text: &str) -> TenantId {
    TenantId::parse(text).unwrap()
}

#[tokio::test]
async fn a_migrated_database_keeps_the_promises() {
    suite(direct(&database(&Posada::schema_sql())).tenants()).await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_keeps_the_promises() {
    let url = servers::pgbouncer().url(&database(&Posada::schema_sql()));
    suite(
        on(Settings::builder()
            .postgres_url(url)
            .postgres_pooler(posada::settings::Pooling::Transaction))
        .tenants(),
    )
    .await;
}

#[tokio::test]
async fn the_server_plans_a_look_up_once_and_keeps_the_plan() {
    let database = database(&Posada::schema_sql());
    let rows = "INSERT INTO tenants (tenant_id, name, status, created_at, updated_at) \
                VALUES ('planned', 'Hotel', 'active', now(), now()); \
                INSERT INTO tenant_user_identifiers (tenant_id, identifier, created_at) \
                SELECT id, '+549' || n, now() FROM tenants, generate_series(1, 20000) n; \
                ANALYZE";
    servers::postgres().execute_in(&database, rows);
    let mut settings = PostgresSettings::parse(&servers::postgres().url_of(&database)).unwrap();
    (settings.pool_size, settings.max_overflow) = (1, 0);
    // The server tries five plans for given values before it decides.
    let plans = Probe::new(&settings)
        .unwrap()
        .plans_of_look_ups(20)
        .await
        .unwrap();
    assert_eq!(plans, (15, 5));
}

#[tokio::test]
async fn layouts_in_the_wild_keep_the_promises_as_they_are() {
    for layout in [L1, L2] {
        suite(direct(&database(layout)).tenants()).await;
    }
}

#[tokio::test]
async fn layout_three_keeps_the_promises_once_it_is_migrated() {
    let database = database(L3);
    servers::postgres().execute_in(&database, &Posada::schema_sql());
    suite(direct(&database).tenants()).await;
}

#[tokio::test]
async fn layout_three_resolves_and_grows_unmigrated_but_has_no_business_hours() {
    let posada = direct(&database(L3));
    let tenants = posada.tenants();
    assert_eq!(
        owner(tenants, "541112345678").await.as_deref(),
        Some("hotel-test")
    );
    let new = NewTenant::new("l3-new", "Hotel").unwrap();
    let created = tenants.create(new.clone()).await.unwrap();
    tenants
        .add_identifier(&created.id, "desk@l3.example", None)
        .await
        .unwrap();
    assert_eq!(owner(tenants, "Desk@L3.example").await.as_deref(), Some("l3-new"));
    assert!(!tenants.suspend(&created.id).await.unwrap().is_active());
    let hours = BusinessHours::new(Some(8), None, None).unwrap();
    let other = NewTenant::new("l3-hours", "Hotel").unwrap().business_hours(hours);
    let error = tenants.create(other).await.unwrap_err();
    assert!(error.is(codes::POSTGRES_SCHEMA), "{error}");
}

#[tokio::test]
async fn rows_of_the_app_resolve_in_every_spelling_on_every_layout() {
    for layout in [L1, L2, L3] {
        let posada = direct(&database(layout));
        for spelling in [
            "5491112345678",
            "+54 9 11 1234-5678",
            "00541112345678",
            "541112345678",
        ] {
            assert_eq!(
                owner(posada.tenants(), spelling).await.as_deref(),
                Some("hotel-test"),
                "{spelling}"
            );
        }
        assert_eq!(owner(posada.tenants(), "+5491187654321").await, None);
    }
}

#[tokio::test]
async fn rows_that_people_wrote_by_hand_resolve() {
    let database = database(L1);
    let rows = "INSERT INTO tenant_user_identifiers (tenant_id, identifier) VALUES \
                (1, ' 00 54 (9) 11-000-2222 '), (1, E'+52\\u00a01 (55) 1234.5678'), (1, 'Hotel.Example.')";
    servers::postgres().execute_in(&database, rows);
    let posada = direct(&database);
    for question in [
        "+549110002222",
        "525512345678",
        "HOTEL.example:443",
        "reservas@hotel-test.com",
    ] {
        assert_eq!(
            owner(posada.tenants(), question).await.as_deref(),
            Some("hotel-test"),
            "{question}"
        );
    }
}

#[tokio::test]
async fn a_status_that_the_app_does_not_serve_is_suspended() {
    let database = database(L1);
    let row = "INSERT INTO tenant_user_identifiers (tenant_id, identifier) VALUES (2, '+34600111222')";
    servers::postgres().execute_in(&database, row);
    let resolution = direct(&database)
        .tenants()
        .resolve("34600111222", None)
        .await
        .unwrap();
    assert!(
        matches!(resolution, Resolution::Suspended { .. }),
        "{resolution:?}"
    );
}

#[tokio::test]
async fn two_spellings_of_two_tenants_are_ambiguous_and_neither_can_be_added_again() {
    let database = database(L2);
    let row = "INSERT INTO tenant_user_identifiers (tenant_id, identifier) VALUES (2, '541112345678')";
    servers::postgres().execute_in(&database, row);
    let posada = direct(&database);
    let resolution = posada.tenants().resolve(APP_NUMBER, None).await.unwrap();
    assert!(
        matches!(resolution, Resolution::Ambiguous { .. }),
        "{resolution:?}"
    );
    for tenant in ["hotel-test", "hotel_centro"] {
        let error = posada
            .tenants()
            .add_identifier(&id(tenant), APP_NUMBER, None)
            .await
            .unwrap_err();
        assert!(error.is(codes::TENANTS_IDENTIFIER_TAKEN), "{error}");
    }
}

#[tokio::test]
async fn a_thousand_simultaneous_misses_ask_postgres_once() {
    let posada = direct(&database(L2));
    let answers = join_all((0..1000).map(|_| posada.tenants().resolve(APP_NUMBER, None))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().tenant().is_some())
    );
    assert_eq!(posada.tenants().stats().lookups, 1);
}

#[tokio::test]
async fn a_large_table_is_looked_up_by_its_index() {
    let database = database(&Posada::schema_sql());
    let rows = "INSERT INTO tenants (tenant_id, name, status, created_at, updated_at)
                    VALUES ('large', 'Large', 'active', now(), now());
                INSERT INTO tenant_user_identifiers (tenant_id, identifier, created_at)
                    SELECT 1, '+3460' || lpad(n::text, 7, '0'), now() FROM generate_series(1, 20000) AS n;
                ANALYZE";
    servers::postgres().execute_in(&database, rows);
    let posada = direct(&database);
    assert_eq!(
        owner(posada.tenants(), "0034600012345").await.as_deref(),
        Some("large")
    );
    posada.close().await.unwrap();
    let scans = "SELECT idx_scan > 0 FROM pg_stat_user_indexes \
                 WHERE indexrelname = 'ix_tenant_user_identifiers_spelling'";
    // A session hands in its counts when it ends, and may take a moment for it.
    posada_tests::wait_until("the index was used", || {
        match servers::postgres().execute_in(&database, scans).as_str() {
            "t" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}

#[tokio::test]
async fn two_processes_see_each_others_changes_through_redis_within_a_tenth_of_a_second() {
    for redis in [servers::redis().url(), servers::cluster().url()] {
        let database = database(L2);
        let handle = || {
            let postgres = servers::postgres().url_of(&database);
            on(Settings::builder().postgres_url(postgres).redis_url(redis))
        };
        let (one, other) = (handle(), handle());
        for posada in [&one, &other] {
            assert_eq!(
                owner(posada.tenants(), APP_NUMBER).await.as_deref(),
                Some("hotel-test")
            );
            assert_eq!(owner(posada.tenants(), "+34600111222").await, None);
        }
        // Until its subscription stands, a process hears nothing, and asks everything again when it does.
        let heard = async |what: &str| {
            let changed = Instant::now();
            while other.tenants().cached(what, None).is_some() {
                assert!(
                    changed.elapsed() < Duration::from_secs(20),
                    "{what} was never heard of"
                );
                tokio::task::yield_now().await;
            }
            changed.elapsed()
        };
        heard(APP_NUMBER).await;
        assert_eq!(
            owner(other.tenants(), APP_NUMBER).await.as_deref(),
            Some("hotel-test")
        );
        assert_eq!(owner(other.tenants(), "+34600111222").await, None);

        one.tenants()
            .add_identifier(&id("hotel_centro"), "+34600111222", None)
            .await
            .unwrap();
        assert!(heard("+34600111222").await < Duration::from_millis(100));
        assert_eq!(
            owner(other.tenants(), "+34600111222").await.as_deref(),
            Some("hotel_centro")
        );
        one.tenants().suspend(&id("hotel-test")).await.unwrap();
        assert!(heard(APP_NUMBER).await < Duration::from_millis(100));
        let resolution = other.tenants().resolve(APP_NUMBER, None).await.unwrap();
        assert!(
            matches!(resolution, Resolution::Suspended { .. }),
            "{resolution:?}"
        );
    }
}
