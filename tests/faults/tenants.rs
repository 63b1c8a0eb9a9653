//! Tenants while Postgres or Redis are away.

use std::time::{Duration, Instant};

use posada::clock::ManualClock;
use posada::tenants::{NewTenant, Resolution, ResolutionSource};
use posada::testkit::tenants::owner;
use posada::{Error, Posada, Settings, TenantId, TenantResolver};
use posada_tests::{PostgresServer, RedisServer};

const NUMBER: &str = "+5491112345678";
const HOUR: Duration = Duration::from_hours(1);

/// A Postgres of our own with one hotel.
fn hotel() -> PostgresServer {
    let server = PostgresServer::start();
    server.execute(&Posada::schema_sql());
    server.execute(
        "INSERT INTO tenants (tenant_id, name, status, created_at, updated_at)
             VALUES ('hotel', 'Hotel', 'active', now(), now());
         INSERT INTO tenant_user_identifiers (tenant_id, identifier, created_at)
             VALUES (1, '+5491112345678', now())",
    );
    server
}

fn on(settings: posada::settings::SettingsBuilder, clock: &ManualClock) -> Posada {
    let settings = settings.build().unwrap();
    Posada::builder()
        .settings(settings)
        .clock(clock.shared())
        .build()
        .unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(std::time::SystemTime::now().into())
}

async fn found(tenants: &TenantResolver) -> Result<(ResolutionSource, Duration), Error> {
    match tenants.resolve("5491112345678", None).await? {
        Resolution::Found { source, age, .. } => Ok((source, age)),
        other => panic!("{other:?}"),
    }
}

/// Asks again and again until an answer is fresh; fails the test after ten seconds.
async fn until_fresh(tenants: &TenantResolver, clock: &ManualClock) {
    let started = Instant::now();
    loop {
        // Longer than a stale answer is served before somebody waits for Postgres again.
        clock.advance(Duration::from_secs(11));
        if found(tenants).await.unwrap().0 == ResolutionSource::Fresh {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "no fresh answer");
    }
}

#[tokio::test]
async fn while_postgres_is_stopped_the_known_resolve_as_stale_and_strangers_are_errors() {
    let mut server = hotel();
    let clock = clock();
    let posada = on(Settings::builder().postgres_url(server.url()), &clock);
    let tenants = posada.tenants();
    assert_eq!(
        found(tenants).await.unwrap(),
        (ResolutionSource::Fresh, Duration::ZERO)
    );
    server.stop();
    clock.advance(HOUR);
    assert_eq!(found(tenants).await.unwrap(), (ResolutionSource::Stale, HOUR));
    let error = tenants.resolve("+34600111222", None).await.unwrap_err();
    assert_eq!(error.code(), "postgres.unavailable");
    let error = tenants
        .suspend(&TenantId::parse("hotel").unwrap())
        .await
        .unwrap_err();
    assert!(error.code().starts_with("postgres."), "{error}");
    server.start_again();
    until_fresh(tenants, &clock).await;
}

#[tokio::test]
async fn while_postgres_is_frozen_the_known_wait_no_longer_than_the_patience() {
    let mut server = hotel();
    let clock = clock();
    let posada = on(Settings::builder().postgres_url(server.url()), &clock);
    let tenants = posada.tenants();
    found(tenants).await.unwrap();
    server.freeze();
    clock.advance(HOUR);
    let asked = Instant::now();
    assert_eq!(found(tenants).await.unwrap().0, ResolutionSource::Stale);
    // Less than the deadline of a statement, which is what the unknown wait for.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    server.thaw();
    until_fresh(tenants, &clock).await;
}

#[tokio::test]
async fn a_restart_while_postgres_is_stopped_knows_its_hotels_from_the_disk() {
    let mut server = hotel();
    let clock = clock();
    let folder = tempfile::tempdir().unwrap();
    let handle = || {
        on(
            Settings::builder()
                .postgres_url(server.url())
                .snapshot_dir(folder.path()),
            &clock,
        )
    };
    let posada = handle();
    found(posada.tenants()).await.unwrap();
    posada.close().await.unwrap();
    let restarted = handle();
    server.stop();
    clock.advance(HOUR);
    assert_eq!(
        found(restarted.tenants()).await.unwrap(),
        (ResolutionSource::Disk, HOUR)
    );
    server.start_again();
    until_fresh(restarted.tenants(), &clock).await;
}

#[tokio::test]
async fn without_redis_tenants_resolve_and_change_and_the_others_learn_of_it_after_its_return() {
    let (server, mut redis) = (hotel(), RedisServer::start());
    let clock = clock();
    let handle = || {
        on(
            Settings::builder()
                .postgres_url(server.url())
                .redis_url(redis.url()),
            &clock,
        )
    };
    let (one, other) = (handle(), handle());
    found(other.tenants()).await.unwrap();
    redis.stop();
    let id = TenantId::parse("hotel").unwrap();
    assert!(!one.tenants().suspend(&id).await.unwrap().is_active());
    one.tenants()
        .create(NewTenant::new("second", "Second").unwrap())
        .await
        .unwrap();
    let resolution = one.tenants().resolve(NUMBER, None).await.unwrap();
    assert!(
        matches!(resolution, Resolution::Suspended { .. }),
        "{resolution:?}"
    );
    assert_eq!(owner(other.tenants(), "second.example").await, None);
    redis.start_again();
    let started = Instant::now();
    while !matches!(
        other.tenants().resolve(NUMBER, None).await.unwrap(),
        Resolution::Suspended { .. }
    ) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the change was never seen"
        );
        tokio::task::yield_now().await;
    }
}
