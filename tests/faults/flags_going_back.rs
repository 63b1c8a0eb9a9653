//! Redis servers that come back with flags of an earlier moment.

use std::time::Duration;

use posada::flags::{Context, Reason};
use posada::testkit::flags::until;
use posada::{Posada, Settings, TenantId};
use posada_tests::RedisServer;

fn on(url: &str) -> Posada {
    let settings = Settings::builder()
        .redis_url(url)
        .flags_poll(Duration::from_secs(1))
        .build()
        .unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

const STOP: &str = "booking.stop";

async fn set_before_the_snapshot(posada: &Posada) {
    for flag in [
        "canary.enabled",
        "reservation.qr.enabled",
        "humanize.delay.enabled",
    ] {
        posada.flags().set(None, flag, true).await.unwrap();
    }
}

#[tokio::test]
async fn a_restart_from_an_older_snapshot_loses_no_flag_that_was_set_since() {
    let mut server = RedisServer::start_with(&["--dbfilename", "older.rdb"]);
    let (one, other) = (on(server.url()), on(server.url()));
    let hotel = TenantId::parse("hotel-centro").unwrap();
    set_before_the_snapshot(&one).await;
    server.command::<()>(&["SAVE"]);
    one.flags().set(None, STOP, true).await.unwrap();
    one.flags().set(&hotel, STOP, true).await.unwrap();
    one.flags().set(None, "canary.enabled", false).await.unwrap();
    other.flags().refresh().await.unwrap();
    server.kill();
    server.start_again();
    assert!(!server.command::<bool>(&["HEXISTS", "feature_flags", STOP]));
    for flags in [one.flags(), other.flags()] {
        until(flags, "the loss is noticed", |flags| flags.status().lost == 3).await;
        for context in [Context::new(), Context::new().tenant(&hotel)] {
            let stop = flags.evaluate(STOP, &context);
            assert_eq!((stop.value, stop.reason), (true, Reason::Stale));
        }
        let canary = flags.evaluate("canary.enabled", &Context::new());
        assert_eq!((canary.value, canary.reason), (false, Reason::Stale));
    }
    // Written once more, it is what it says, in both processes.
    one.flags().set(None, STOP, false).await.unwrap();
    one.flags().set(&hotel, STOP, true).await.unwrap();
    one.flags().set(None, "canary.enabled", false).await.unwrap();
    for flags in [one.flags(), other.flags()] {
        until(flags, "all is well again", |flags| !flags.status().stale).await;
        assert!(!flags.is_enabled(STOP, &Context::new()));
        assert!(flags.is_enabled(STOP, &Context::new().tenant(&hotel)));
    }
}

#[tokio::test]
async fn a_restart_from_an_older_snapshot_is_noticed_although_others_wrote_since() {
    let mut server = RedisServer::start_with(&["--dbfilename", "older.rdb"]);
    let (one, other) = (on(server.url()), on(server.url()));
    set_before_the_snapshot(&one).await;
    server.command::<()>(&["SAVE"]);
    one.flags().set(None, STOP, true).await.unwrap();
    one.flags().refresh().await.unwrap();
    server.kill();
    // As long as one process cannot reach it, another one writes.
    server.start_again();
    other
        .flags()
        .set(None, "nlp.fallback.enhanced", false)
        .await
        .unwrap();
    other.flags().set(None, "canary.enabled", false).await.unwrap();
    until(one.flags(), "the loss is noticed", |flags| {
        flags.status().lost == 1
    })
    .await;
    assert!(one.flags().is_enabled(STOP, &Context::new()));
    assert!(!one.flags().is_enabled("canary.enabled", &Context::new()));
}
