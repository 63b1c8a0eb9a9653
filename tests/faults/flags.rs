//! Feature flags on a bad day: notices, lost connections, stopped servers, and servers that forgot everything.

use std::time::{Duration, Instant};

use posada::flags::{Context, FlagSource, Reason};
use posada::testkit::Proxy;
use posada::testkit::flags::until;
use posada::{FeatureFlags, Posada, Settings, TenantId};
use posada_tests::RedisServer;

fn built(url: &str, poll: Duration) -> Posada {
    let settings = Settings::builder()
        .redis_url(url)
        .flags_poll(poll)
        .build()
        .unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

/// Connected, with this poll.
async fn on(url: &str, poll: Duration) -> Posada {
    let posada = built(url, poll);
    posada.flags().refresh().await.unwrap();
    posada
}

const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(30);

fn reason(flags: &FeatureFlags, flag: &str) -> Reason {
    flags.evaluate(flag, &Context::new()).reason
}

async fn set_five(flags: &FeatureFlags) {
    for flag in ["a", "b", "c", "d", "e"] {
        flags.set(None, flag, true).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_is_seen_by_another_process_within_a_tenth_of_a_second() {
    let server = RedisServer::start();
    let (one, other) = (on(server.url(), SLOW).await, on(server.url(), SLOW).await);
    // The first notice proves that the subscription stands.
    one.flags().set(None, "warm-up", true).await.unwrap();
    until(other.flags(), "notices arrive", |flags| {
        flags.is_enabled("warm-up", &Context::new())
    })
    .await;
    let mut slowest = Duration::ZERO;
    for turn in 0..20 {
        let value = turn % 2 == 0;
        let started = Instant::now();
        one.flags().set(None, "canary.enabled", value).await.unwrap();
        until(other.flags(), "the change is seen", |flags| {
            flags.is_enabled("canary.enabled", &Context::new()) == value
        })
        .await;
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_millis(100), "{slowest:?}");
}

#[tokio::test]
async fn a_stopped_redis_leaves_the_last_good_values_stale_and_a_restarted_one_makes_them_fresh() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let posada = on(server.url(), QUICK).await;
    let flags = posada.flags();
    // The opposite of the code default, so that a fall-back would show.
    flags.set(None, "tenancy.dynamic.enabled", false).await.unwrap();
    server.stop();
    until(flags, "the outage is noticed", |flags| flags.status().stale).await;
    let evaluation = flags.evaluate("tenancy.dynamic.enabled", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (false, Reason::Stale));
    assert!(evaluation.age.is_some());
    assert!(flags.set(None, "tenancy.dynamic.enabled", true).await.is_err());
    assert!(!flags.is_enabled("tenancy.dynamic.enabled", &Context::new()));
    server.start_again();
    until(flags, "the values are fresh again", |flags| !flags.status().stale).await;
    let evaluation = flags.evaluate("tenancy.dynamic.enabled", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (false, Reason::Static));
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_does_not_turn_everything_off() {
    let mut server = RedisServer::start();
    let posada = on(server.url(), QUICK).await;
    set_five(posada.flags()).await;
    posada.flags().refresh().await.unwrap();
    server.stop();
    server.start_again();
    until(posada.flags(), "the loss is noticed", |flags| {
        flags.status().lost == 5
    })
    .await;
    assert!(posada.flags().is_enabled("a", &Context::new()));
    assert_eq!(reason(posada.flags(), "a"), Reason::Stale);
}

#[tokio::test]
async fn an_emptied_hash_is_not_believed_until_somebody_adopts_it() {
    for command in [&["FLUSHALL"][..], &["DEL", "feature_flags"][..]] {
        let server = RedisServer::start();
        let posada = on(server.url(), QUICK).await;
        let flags = posada.flags();
        set_five(flags).await;
        flags.refresh().await.unwrap();
        server.command::<redis::Value>(command);
        until(flags, "the loss is noticed", |flags| flags.status().lost == 5).await;
        assert!(flags.is_enabled("a", &Context::new()));

        // A switch thrown in the middle of the incident works.
        server.command::<()>(&["HSET", "feature_flags", "a", "0"]);
        until(flags, "the switch is seen", |flags| {
            !flags.is_enabled("a", &Context::new())
        })
        .await;
        assert!(flags.is_enabled("b", &Context::new()));

        flags.adopt().await.unwrap();
        assert!(!flags.is_enabled("b", &Context::new()));
        assert_eq!((flags.status().lost, flags.status().stale), (0, false));
    }
}

#[tokio::test]
async fn one_field_less_is_believed() {
    let server = RedisServer::start();
    let posada = on(server.url(), QUICK).await;
    set_five(posada.flags()).await;
    posada.flags().refresh().await.unwrap();
    server.command::<()>(&["HDEL", "feature_flags", "c"]);
    until(posada.flags(), "the flag is gone", |flags| {
        !flags.is_enabled("c", &Context::new())
    })
    .await;
    assert_eq!(posada.flags().status().lost, 0);
}

#[tokio::test]
async fn what_happened_while_the_connection_was_down_is_seen_when_it_is_back() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (one, other) = (on(server.url(), SLOW).await, on(proxy.url(), SLOW).await);
    one.flags().set(None, "flag", true).await.unwrap();
    until(other.flags(), "notices arrive", |flags| {
        flags.is_enabled("flag", &Context::new())
    })
    .await;
    proxy.refuse();
    proxy.reset();
    one.flags().set(None, "flag", false).await.unwrap();
    proxy.heal();
    until(other.flags(), "the missed change is seen", |flags| {
        !flags.is_enabled("flag", &Context::new())
    })
    .await;
}

#[tokio::test]
async fn a_start_without_redis_serves_defaults_until_it_comes() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    server.command::<()>(&["HSET", "feature_flags", "tenancy.dynamic.enabled", "0"]);
    server.stop();
    let posada = built(server.url(), QUICK);
    let evaluation = posada
        .flags()
        .evaluate("tenancy.dynamic.enabled", &Context::new());
    assert_eq!((evaluation.value, evaluation.reason), (true, Reason::Default));
    assert!(posada.flags().refresh().await.is_err());
    server.start_again();
    until(posada.flags(), "the stored value is seen", |flags| {
        !flags.is_enabled("tenancy.dynamic.enabled", &Context::new())
    })
    .await;
}

#[tokio::test]
async fn a_start_without_redis_serves_the_snapshot_of_the_run_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = RedisServer::start();
    let tenant = TenantId::parse("hotel-test").unwrap();
    let settings = Settings::builder()
        .redis_url(server.url())
        .flags_poll(QUICK)
        .snapshot_dir(folder.path())
        .build()
        .unwrap();
    let before = Posada::connect(settings.clone()).await.unwrap();
    before.flags().set(&tenant, "canary.enabled", true).await.unwrap();
    before.flags().refresh().await.unwrap();
    before.close().await.unwrap();
    server.stop();
    let after = Posada::builder().settings(settings).build().unwrap();
    assert!(after.flags().refresh().await.is_err());
    let evaluation = after
        .flags()
        .evaluate("canary.enabled", &Context::new().tenant(&tenant));
    assert_eq!(
        (evaluation.value, evaluation.reason, evaluation.source),
        (true, Reason::Stale, FlagSource::Tenant)
    );
}
