//! The Redis backend on a bad day: every call keeps its deadline, says the truth about writes, and recovers, whether
//! tokio carries the connection on or an event loop of another language.

use std::time::{Duration, Instant};

use posada::Error;
use posada::error::codes;
use posada::settings::RedisSettings;
use posada::testkit::Proxy;
use posada::testkit::redis::{Listener, Probe};
use posada_tests::{EventLoop, RedisSentinel, RedisServer, servers, unique};

const DEADLINE: Duration = Duration::from_secs(1);

fn settings(url: &str) -> RedisSettings {
    let mut settings = RedisSettings::parse(url).unwrap();
    settings.command_timeout = DEADLINE;
    settings.connect_timeout = DEADLINE;
    settings
}

/// Who asks.
#[derive(Clone, Copy)]
enum Place {
    Tokio,
    EventLoop,
}

/// A probe at its place.
struct Asker {
    probe: Probe,
    event_loop: Option<EventLoop>,
}

fn probe(url: &str, place: Place) -> Asker {
    Asker {
        probe: Probe::new(&settings(url)).unwrap(),
        event_loop: matches!(place, Place::EventLoop).then(EventLoop::start),
    }
}

impl Asker {
    async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        self.ask(self.probe.get(key)).await
    }

    async fn increment(&self, key: &str) -> Result<i64, Error> {
        self.ask(self.probe.increment(key)).await
    }

    async fn append(&self, key: &str, text: &str) -> Result<usize, Error> {
        self.ask(self.probe.append(key, text)).await
    }

    async fn publish(&self, channel: &str, message: &str) -> Result<(), Error> {
        self.ask(self.probe.publish(channel, message)).await
    }

    fn subscribe(&self, channel: &str) -> Listener {
        self.probe.subscribe(channel)
    }

    async fn ask<T>(&self, question: impl Future<Output = T>) -> T {
        match &self.event_loop {
            Some(event_loop) => event_loop.within(question).await,
            None => question.await,
        }
    }
}

/// Each scenario twice.
macro_rules! at_both_places {
    ($($scenario:ident),+ $(,)?) => {
        mod on_tokio {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Place::Tokio).await;
            })+
        }

        mod in_an_event_loop {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Place::EventLoop).await;
            })+
        }
    };
}

at_both_places! {
    a_stopped_server_is_unavailable_and_a_restarted_one_is_found_without_a_new_handle,
    a_frozen_server_times_out_reads_and_leaves_writes_unknown_and_the_thaw_ends_it,
    a_half_open_connection_is_given_up_after_three_silent_commands,
    a_write_whose_answer_is_lost_is_unknown_and_is_not_sent_again,
    a_read_whose_connection_breaks_is_repeated_on_a_new_one,
    an_idle_connection_that_the_server_closed_costs_no_write,
    a_flushed_script_cache_is_filled_again,
    a_wrong_type_is_named_from_commands_and_from_scripts,
    a_full_server_is_exhausted_and_not_unknown,
    a_wrong_password_is_refused_and_not_shown,
    a_subscription_outlives_a_restart_and_says_that_messages_may_be_missing,
    a_cluster_serves_commands_scripts_and_subscriptions_on_every_node,
    after_a_failover_the_sentinels_lead_to_the_new_primary,
}

/// Repeats an operation until it works; fails the test after ten seconds.
async fn until_it_works<T>(what: &str, mut operation: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let started = Instant::now();
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "{what}: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Runs an operation that must fail, and checks that it failed within its deadline.
async fn fails_in_time<T: std::fmt::Debug>(operation: impl Future<Output = Result<T, Error>>) -> Error {
    let started = Instant::now();
    let error = operation.await.unwrap_err();
    assert!(
        started.elapsed() < DEADLINE * 10,
        "{error} took {:?}",
        started.elapsed()
    );
    error
}

async fn a_stopped_server_is_unavailable_and_a_restarted_one_is_found_without_a_new_handle(place: Place) {
    let mut server = RedisServer::start();
    let probe = probe(server.url(), place);
    assert_eq!(probe.increment("n").await.unwrap(), 1);
    server.stop();
    let place = RedisSettings::parse(server.url()).unwrap().topology.to_string();
    for error in [
        fails_in_time(probe.get("n")).await,
        fails_in_time(probe.increment("n")).await,
    ] {
        assert!(error.is(codes::REDIS_UNAVAILABLE), "{error}");
        assert!(error.message().contains(&format!("Redis ({place}) ")), "{error}");
    }
    server.start_again();
    assert_eq!(
        until_it_works("the first command after the restart", async || probe
            .get("n")
            .await)
        .await,
        None
    );
    assert_eq!(probe.increment("n").await.unwrap(), 1);
}

async fn a_frozen_server_times_out_reads_and_leaves_writes_unknown_and_the_thaw_ends_it(place: Place) {
    let mut server = RedisServer::start();
    let probe = probe(server.url(), place);
    probe.increment("n").await.unwrap();
    server.freeze();
    let read = fails_in_time(probe.get("n")).await;
    assert!(read.is(codes::REDIS_TIMEOUT), "{read}");
    let write = fails_in_time(probe.increment("n")).await;
    assert!(write.is(codes::REDIS_OUTCOME_UNKNOWN), "{write}");
    server.thaw();
    let value = until_it_works("the first read after the thaw", async || probe.get("n").await).await;
    assert_eq!(
        value.as_deref(),
        Some("2"),
        "a write without an answer may well have happened"
    );
}

async fn a_half_open_connection_is_given_up_after_three_silent_commands(place: Place) {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let probe = probe(proxy.url(), place);
    probe.increment("n").await.unwrap();
    assert_eq!(proxy.connections(), 1);
    proxy.black_hole();
    for _ in 0..3 {
        fails_in_time(probe.get("n")).await;
    }
    // The fourth goes on a new connection, which the same black hole swallows: no connection, so nothing was sent.
    let error = fails_in_time(probe.increment("n")).await;
    assert!(error.is(codes::REDIS_UNAVAILABLE), "{error}");
    assert_eq!(proxy.connections(), 2);
    proxy.heal();
    until_it_works("the first read after the network healed", async || {
        probe.get("n").await
    })
    .await;
}

async fn a_write_whose_answer_is_lost_is_unknown_and_is_not_sent_again(place: Place) {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let probe = probe(proxy.url(), place);
    probe.increment("n").await.unwrap();
    let before = proxy.requests();
    proxy.hold_answers();
    let (outcome, ()) = tokio::join!(probe.increment("n"), async {
        proxy.wait_for_requests(before + 1).await;
        proxy.reset();
    });
    assert!(outcome.unwrap_err().is(codes::REDIS_OUTCOME_UNKNOWN));
    proxy.heal();
    assert_eq!(
        server.command::<i64>(&["GET", "n"]),
        2,
        "sent once, neither lost nor repeated"
    );
}

async fn a_read_whose_connection_breaks_is_repeated_on_a_new_one(place: Place) {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let probe = probe(proxy.url(), place);
    probe.increment("n").await.unwrap();
    let before = proxy.requests();
    proxy.hold_answers();
    let (outcome, ()) = tokio::join!(probe.get("n"), async {
        proxy.wait_for_requests(before + 1).await;
        proxy.heal();
        proxy.reset();
    });
    assert_eq!(outcome.unwrap().as_deref(), Some("1"));
    assert_eq!(proxy.connections(), 2);
}

async fn an_idle_connection_that_the_server_closed_costs_no_write(place: Place) {
    let server = RedisServer::start();
    let probe = probe(server.url(), place);
    for expected in 1..=20 {
        assert_eq!(
            until_it_works("a write after an idle close", async || probe.increment("n").await).await,
            expected
        );
        server.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // The close has reached us once the probe's connection answers a read on a new one.
        probe.get("n").await.unwrap();
    }
}

async fn a_flushed_script_cache_is_filled_again(place: Place) {
    let server = RedisServer::start();
    let probe = probe(server.url(), place);
    assert_eq!(probe.append("text", "ab").await.unwrap(), 2);
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(probe.append("text", "c").await.unwrap(), 3);
}

async fn a_wrong_type_is_named_from_commands_and_from_scripts(place: Place) {
    let server = RedisServer::start();
    let probe = probe(server.url(), place);
    server.command::<i64>(&["RPUSH", "list", "x"]);
    assert!(probe.get("list").await.unwrap_err().is(codes::REDIS_WRONG_TYPE));
    assert!(
        probe
            .append("list", "y")
            .await
            .unwrap_err()
            .is(codes::REDIS_WRONG_TYPE)
    );
}

async fn a_full_server_is_exhausted_and_not_unknown(place: Place) {
    let server = RedisServer::start();
    let probe = probe(server.url(), place);
    probe.increment("n").await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(
        probe
            .increment("n")
            .await
            .unwrap_err()
            .is(codes::REDIS_OUT_OF_MEMORY)
    );
    assert!(
        probe
            .append("text", "x")
            .await
            .unwrap_err()
            .is(codes::REDIS_OUT_OF_MEMORY)
    );
}

async fn a_wrong_password_is_refused_and_not_shown(place: Place) {
    let server = RedisServer::start();
    server.command::<()>(&["CONFIG", "SET", "requirepass", "correct-horse"]);
    let address = server.address();
    let wrong = probe(&format!("redis://:battery-staple@{address}/0"), place);
    let error = wrong.get("n").await.unwrap_err();
    assert!(error.is(codes::REDIS_REFUSED), "{error:?}");
    assert!(!format!("{error:?}").contains("battery-staple"));
}

async fn a_subscription_outlives_a_restart_and_says_that_messages_may_be_missing(place: Place) {
    let mut server = RedisServer::start();
    let probe = probe(server.url(), place);
    let mut listener = probe.subscribe("news");
    assert_eq!(listener.next().await, None, "the subscription stands");
    probe.publish("news", "one").await.unwrap();
    assert_eq!(listener.next().await.as_deref(), Some("one".as_bytes()));
    server.stop();
    server.start_again();
    assert_eq!(listener.next().await, None, "it stands again");
    until_it_works("publishing after the restart", async || {
        probe.publish("news", "two").await
    })
    .await;
    assert_eq!(listener.next().await.as_deref(), Some("two".as_bytes()));
}

async fn a_cluster_serves_commands_scripts_and_subscriptions_on_every_node(place: Place) {
    let probe = probe(servers::cluster().url(), place);
    let channel = unique("news");
    let mut listener = probe.subscribe(&channel);
    assert_eq!(listener.next().await, None);
    for number in 0..50 {
        let key = unique(&format!("key{number}"));
        assert_eq!(probe.increment(&key).await.unwrap(), 1);
        assert_eq!(probe.append(&key, "0").await.unwrap(), 2);
        assert_eq!(probe.get(&key).await.unwrap().as_deref(), Some("10"));
    }
    probe.publish(&channel, "hello").await.unwrap();
    assert_eq!(listener.next().await.as_deref(), Some("hello".as_bytes()));
}

async fn after_a_failover_the_sentinels_lead_to_the_new_primary(place: Place) {
    let mut group = RedisSentinel::start();
    let probe = probe(&group.url(), place);
    let mut listener = probe.subscribe("news");
    assert_eq!(listener.next().await, None);
    assert_eq!(probe.increment("n").await.unwrap(), 1);
    group.primary().kill();
    group.fail_over();
    until_it_works("the first write after the failover", async || {
        probe.increment("n").await
    })
    .await;
    assert_eq!(listener.next().await, None, "subscribed to the new primary");
    probe.publish("news", "moved").await.unwrap();
    assert_eq!(listener.next().await.as_deref(), Some("moved".as_bytes()));
}
