//! What a load balancer is told: within a second, and what is true of the guests.

use std::time::{Duration, Instant};

use posada::health::{Check, Health};
use posada::locks::AcquireOptions;
use posada::tenants::NewTenant;
use posada::{Posada, Settings};
use posada_tests::{PostgresServer, RedisServer, servers, unique};

/// More than the second that a probe has, for a busy machine; less than the five that a look without a deadline of its
/// own would wait for Postgres.
const PROBE: Duration = Duration::from_secs(4);

fn on(postgres: &str, redis: &str) -> Posada {
    let settings = Settings::builder().postgres_url(postgres).redis_url(redis);
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

async fn probe(posada: &Posada) -> Health {
    let started = Instant::now();
    let health = posada.health().await;
    assert!(
        started.elapsed() < PROBE,
        "{health:?} took {:?}",
        started.elapsed()
    );
    health
}

async fn until_healthy(posada: &Posada) {
    let started = Instant::now();
    while !posada.health().await.is_healthy() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it is not noticed that all is well"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_postgres_a_process_that_knows_its_hotels_is_ready_and_one_that_does_not_is_not() {
    let mut server = PostgresServer::start();
    let posada = on(server.url(), servers::redis().url());
    posada.migrate().await.unwrap();
    let hotel = posada
        .tenants()
        .create(NewTenant::new(&unique("hotel"), "Hotel Test").unwrap())
        .await
        .unwrap();
    posada
        .tenants()
        .add_identifier(&hotel.id, "ana@hotel.example", None)
        .await
        .unwrap();
    posada.tenants().resolve("ana@hotel.example", None).await.unwrap();
    let stranger = on(server.url(), servers::redis().url());
    until_healthy(&posada).await;
    until_healthy(&stranger).await;

    server.freeze();
    for _ in 0..2 {
        let health = probe(&posada).await;
        assert!(matches!(health.postgres, Check::Error(_)), "{health:?}");
        assert!(health.is_ready(), "{health:?}");
        assert_eq!(health.status(), "degraded");
        let json = health.to_readiness_json();
        assert!(
            json.contains(r#""serves":{"guests":true,"sign_in":false}"#),
            "{json}"
        );
    }
    assert!(!probe(&stranger).await.is_ready());
    // It is true: a guest of that hotel is served.
    let resolved = posada.tenants().resolve("ana@hotel.example", None).await.unwrap();
    assert_eq!(resolved.tenant().map(|tenant| &tenant.id), Some(&hotel.id));
    server.thaw();
    until_healthy(&posada).await;

    server.stop();
    let health = probe(&posada).await;
    assert!(health.is_ready() && !health.is_healthy(), "{health:?}");
    posada.close().await.unwrap();
    stranger.close().await.unwrap();
}

#[tokio::test]
async fn a_frozen_redis_is_not_ready_and_said_so_in_time() {
    let mut server = RedisServer::start();
    let posada = on("memory:", server.url());
    until_healthy(&posada).await;
    server.freeze();
    for _ in 0..3 {
        let health = probe(&posada).await;
        assert!(
            matches!(health.redis, Check::Error(_)) && !health.is_ready(),
            "{health:?}"
        );
    }
    server.thaw();
    until_healthy(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_question_about_writes_writes_nothing_on_one_server_and_on_a_cluster() {
    let server = RedisServer::start();
    let posada = on("memory:", server.url());
    assert!(probe(&posada).await.is_healthy());
    assert_eq!(server.command::<i64>(&["DBSIZE"]), 0);
    posada.close().await.unwrap();
    let posada = on("memory:", servers::cluster().url());
    until_healthy(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn closing_while_every_server_is_silent_ends_in_time_and_without_an_error() {
    let (mut postgres, mut redis) = (PostgresServer::start(), RedisServer::start());
    let second = Duration::from_secs(1);
    let settings = Settings::builder()
        .postgres_url(format!("{}?connect_timeout=1", postgres.url()))
        .redis_url(redis.url())
        .postgres_acquire_timeout(second)
        .postgres_statement_timeout(second)
        .close_deadline(4 * second);
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    posada.migrate().await.unwrap();
    let options = AcquireOptions::new();
    let guard = posada
        .locks()
        .acquire("pms:mock:hotel:1", &options)
        .await
        .unwrap();
    postgres.freeze();
    redis.freeze();
    // A lock to let go, an audit to write, questions that are under way.
    drop(guard);
    posada.health().await;
    posada
        .locks()
        .acquire("pms:mock:hotel:2", &options)
        .await
        .unwrap_err();
    posada.close().await.unwrap();
}
