//! Rate limits on real servers.

use std::num::NonZeroU32;

use posada::error::codes;
use posada::limits::{FailurePolicy, RateLimit};
use posada::{Error, Posada, Settings};
use posada_tests::{RedisServer, servers, unique};

fn on(url: &str) -> Posada {
    Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn one_redis_keeps_the_promises() {
    let posada = on(servers::redis().url());
    posada::testkit::limits::suite(posada.limits(), &unique("limits")).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_promises() {
    let posada = on(servers::cluster().url());
    posada::testkit::limits::suite(posada.limits(), &unique("limits")).await;
}

#[tokio::test]
async fn the_key_and_its_time_to_live_are_those_of_the_python_app() {
    let server = servers::redis();
    let posada = on(server.url());
    let address = unique("203.0.113.9");
    let limit = RateLimit::parse("30/minute").unwrap();
    posada
        .limits()
        .check(&limit, &[&address, "/admin/dashboard"])
        .await
        .unwrap();
    let key = format!("LIMITS:LIMITER/{address}//admin/dashboard/30/1/minute");
    assert_eq!(server.command::<String>(&["GET", &key]), "1");
    assert_eq!(server.command::<i64>(&["TTL", &key]), 60);
}

#[tokio::test]
async fn a_counter_without_an_end_is_mended() {
    let server = servers::redis();
    let posada = on(server.url());
    let who = unique("immortal");
    let limit = RateLimit::parse("5/minute").unwrap();
    let key = format!("LIMITS:LIMITER/{who}/5/1/minute");
    server.command::<()>(&["SET", &key, "99"]);
    assert!(!posada.limits().check(&limit, &[&who]).await.unwrap().allowed);
    assert_eq!(server.command::<i64>(&["TTL", &key]), 60);
}

#[tokio::test]
async fn the_policy_decides_while_redis_is_down() {
    let mut server = RedisServer::start();
    let posada = on(server.url());
    server.stop();
    let limit = RateLimit::parse("4/hour").unwrap();
    let allowed = async |policy: FailurePolicy| -> Result<usize, Error> {
        let limits = posada.limits().clone().failure_policy(policy);
        let mut allowed = 0;
        for _ in 0..6 {
            let decision = limits.check(&limit, &[&format!("{policy:?}")]).await?;
            assert!(decision.degraded);
            allowed += usize::from(decision.allowed);
        }
        Ok(allowed)
    };
    assert_eq!(allowed(FailurePolicy::Open).await.unwrap(), 6);
    assert_eq!(allowed(FailurePolicy::default()).await.unwrap(), 4);
    let halves = FailurePolicy::LocalShare {
        processes: NonZeroU32::new(2).unwrap(),
    };
    assert_eq!(allowed(halves).await.unwrap(), 2);
    assert!(
        allowed(FailurePolicy::Closed)
            .await
            .unwrap_err()
            .is(codes::REDIS_UNAVAILABLE)
    );
}
