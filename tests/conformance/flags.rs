//! Feature flags on real servers, and beside a program that knows only the app's hash.

use std::time::Duration;

use posada::flags::{Context, FlagSource};
use posada::testkit::flags::{suite, until};
use posada::{Posada, Settings, TenantId};
use posada_tests::{servers, unique};

async fn on(url: &str) -> Posada {
    let settings = Settings::builder()
        .redis_url(url)
        .flags_poll(Duration::from_secs(1))
        .build()
        .unwrap();
    Posada::connect(settings).await.unwrap()
}

#[tokio::test]
async fn one_redis_keeps_the_promises() {
    let url = servers::redis().url();
    let (one, other) = (on(url).await, on(url).await);
    suite(one.flags(), other.flags(), &unique("flags")).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_promises() {
    let url = servers::cluster().url();
    let (one, other) = (on(url).await, on(url).await);
    suite(one.flags(), other.flags(), &unique("flags")).await;
}

#[tokio::test]
async fn the_hash_holds_what_the_python_app_writes_and_reads() {
    let server = servers::redis();
    let posada = on(server.url()).await;
    let (flag, tenant) = (unique("hash"), TenantId::parse(&unique("hotel")).unwrap());
    let field = |key: &str| server.command::<Option<String>>(&["HGET", key, &flag]);
    posada.flags().set(None, &flag, true).await.unwrap();
    posada.flags().set(&tenant, &flag, false).await.unwrap();
    assert_eq!(field("feature_flags").as_deref(), Some("1"));
    assert_eq!(field(&format!("feature_flags:{tenant}")).as_deref(), Some("0"));
    assert_eq!(server.command::<i64>(&["TTL", "feature_flags"]), -1);
    posada.flags().unset(None, &flag).await.unwrap();
    assert_eq!(field("feature_flags"), None);
}

#[tokio::test]
async fn a_plain_write_by_another_program_is_seen_within_the_poll() {
    let server = servers::redis();
    let posada = on(server.url()).await;
    let (flag, tenant) = (unique("foreign"), TenantId::parse(&unique("hotel")).unwrap());
    server.command::<()>(&["HSET", "feature_flags", &flag, "Yes"]);
    until(posada.flags(), "the poll sees the flag", |flags| {
        flags.is_enabled(&flag, &Context::new())
    })
    .await;
    // A tenant whose overrides nobody announced is looked up when a context names it.
    server.command::<()>(&["HSET", &format!("feature_flags:{tenant}"), &flag, "0"]);
    until(posada.flags(), "the override is seen", |flags| {
        flags.evaluate(&flag, &Context::new().tenant(&tenant)).source == FlagSource::Tenant
    })
    .await;
    assert!(!posada.flags().is_enabled(&flag, &Context::new().tenant(&tenant)));
}

#[tokio::test]
async fn overrides_that_were_set_before_a_start_are_known_at_the_first_request() {
    let url = servers::redis().url();
    let (flag, tenant) = (unique("before"), TenantId::parse(&unique("hotel")).unwrap());
    on(url).await.flags().set(&tenant, &flag, true).await.unwrap();
    let later = on(url).await;
    assert!(later.flags().is_enabled(&flag, &Context::new().tenant(&tenant)));
}

#[tokio::test]
async fn a_foreign_key_of_another_type_costs_its_own_tenant_only() {
    let server = servers::redis();
    let posada = on(server.url()).await;
    let (flag, tenant) = (unique("typed"), TenantId::parse(&unique("hotel")).unwrap());
    server.command::<()>(&[
        "SET",
        &format!("feature_flags:{tenant}"),
        "not a hash",
        "EX",
        "60",
    ]);
    posada.flags().set(None, &flag, true).await.unwrap();
    posada.flags().warm(std::slice::from_ref(&tenant)).await.unwrap();
    assert!(posada.flags().is_enabled(&flag, &Context::new().tenant(&tenant)));
    assert!(posada.flags().set(&tenant, &flag, false).await.is_err());
}
