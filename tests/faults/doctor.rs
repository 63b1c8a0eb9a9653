//! The doctor when servers are down, silent or in between: it answers in time, and examines the others all the same.

use std::time::{Duration, Instant};

use posada::doctor::{Diagnosis, Severity};
use posada::testkit::Proxy;
use posada::{Posada, Settings};
use posada_tests::{servers, unique};

/// Far more than the deadlines of these tests, and less than what the doctor allows at most.
const PATIENCE: Duration = Duration::from_secs(12);

fn handle(postgres: &str, redis: &str) -> Posada {
    let settings = Settings::builder().postgres_url(postgres).redis_url(redis);
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

fn severity(diagnosis: &Diagnosis, code: &str) -> Option<Severity> {
    diagnosis.finding(code).map(|finding| finding.severity)
}

#[tokio::test]
async fn what_is_down_silent_and_back_is_told_apart() {
    let database = unique("doctor");
    let url = servers::postgres().create_database(&database);
    let postgres = Proxy::in_front_of(&url).await;
    let redis = Proxy::in_front_of(servers::redis().url()).await;
    let through = format!("{}?connect_timeout=1", postgres.url());
    let posada = handle(&through, redis.url());

    for weather in [Proxy::refuse, Proxy::black_hole] {
        weather(&postgres);
        weather(&redis);
        postgres.reset();
        redis.reset();
        let started = Instant::now();
        let diagnosis = posada.doctor().await;
        assert!(started.elapsed() < PATIENCE, "{diagnosis}");
        assert_eq!(
            severity(&diagnosis, "postgres.unreachable"),
            Some(Severity::Error),
            "{diagnosis}"
        );
        assert_eq!(
            severity(&diagnosis, "redis.unreachable"),
            Some(Severity::Error),
            "{diagnosis}"
        );
        assert!(!diagnosis.is_healthy());
        postgres.reset();
        redis.reset();
        postgres.heal();
        redis.heal();
        // An attempt to connect that began in the dark may still be under way.
        let mut attempts = 0;
        while !posada.health().await.is_healthy() {
            attempts += 1;
            assert!(attempts < 100, "the network is back, and nobody is reached");
        }
    }

    let diagnosis = posada.doctor().await;
    assert_eq!(
        severity(&diagnosis, "postgres.connection"),
        Some(Severity::Ok),
        "{diagnosis}"
    );
    assert_eq!(
        severity(&diagnosis, "redis.connection"),
        Some(Severity::Ok),
        "{diagnosis}"
    );
    posada.close().await.unwrap();
    let closed = posada.doctor().await;
    assert_eq!(
        severity(&closed, "posada.closed"),
        Some(Severity::Error),
        "{closed}"
    );
}

#[tokio::test]
async fn one_server_down_hides_nothing_of_the_other() {
    let redis = Proxy::in_front_of(servers::redis().url()).await;
    redis.refuse();
    let posada = handle(servers::postgres().url(), redis.url());
    let diagnosis = posada.doctor().await;
    assert_eq!(
        severity(&diagnosis, "redis.unreachable"),
        Some(Severity::Error),
        "{diagnosis}"
    );
    assert_eq!(
        severity(&diagnosis, "postgres.connection"),
        Some(Severity::Ok),
        "{diagnosis}"
    );
    posada.close().await.unwrap();
}
