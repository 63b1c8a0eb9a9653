//! What is given back while Redis is away is given back as soon as it is there again: no lock and no night stays closed
//! for as long as it would have been held.

use std::time::Duration;

use futures_util::poll;
use posada::error::codes;
use posada::locks::{AcquireOptions, LockGuard, Resource, StayHold};
use posada::testkit::Proxy;
use posada::{Error, Posada, Settings, Stay};
use posada_tests::RedisServer;

/// Longer than any test: a lock that is free before that was given back.
const TTL: Duration = Duration::from_mins(20);
/// What bookings wait at most after an outage.
const BACK: Duration = Duration::from_secs(5);

fn settings(url: &str, deadline: Duration) -> Settings {
    let settings = Settings::builder().redis_url(url);
    settings
        .redis_connect_timeout(deadline)
        .redis_command_timeout(deadline)
        .build()
        .unwrap()
}

fn process(server: &RedisServer) -> Posada {
    Posada::builder()
        .settings(settings(server.url(), Duration::from_millis(300)))
        .build()
        .unwrap()
}

/// A server that remembers everything when it is stopped.
fn server() -> RedisServer {
    RedisServer::start_with(&["--appendonly", "yes"])
}

fn long() -> AcquireOptions {
    AcquireOptions::new().ttl(TTL)
}

async fn is_free(posada: &Posada, name: &str) {
    let waiting = AcquireOptions::new().ttl(TTL).wait(BACK);
    let taken = posada.locks().acquire(name, &waiting).await;
    assert!(taken.is_ok(), "{name} stays closed: {taken:?}");
}

/// Asks until Redis is back and the answer is no conflict any more.
async fn in_time<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let answer = tokio::time::timeout(BACK, async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(
                    error.is(codes::REDIS_UNAVAILABLE)
                        || error.is(codes::REDIS_TIMEOUT)
                        || error.is(codes::LOCKS_NIGHTS_TAKEN),
                    "{error}"
                ),
            }
            tokio::task::yield_now().await;
        }
    });
    answer.await.expect("nothing is back")
}

fn stay() -> Stay {
    Stay::parse("2031-03-10", "2031-03-12").unwrap()
}

fn room_of(number: &str) -> Resource {
    Resource::room(number).unwrap()
}

fn wish(room: &str, session: &str) -> StayHold {
    StayHold::new(room_of(room), stay()).session_id(session)
}

#[tokio::test]
async fn a_lock_that_is_given_back_during_an_outage_is_free_after_it() {
    let mut server = server();
    let (posada, other) = (process(&server), process(&server));
    let dropped = posada.locks().acquire("pms:mock:hotel:1", &long()).await.unwrap();
    let released = posada.locks().acquire("housekeeping:101", &long()).await.unwrap();
    let by_token = other.locks().acquire("night-audit", &long()).await.unwrap();
    let extended = long().auto_extend(true);
    let extended = posada.locks().acquire("cron", &extended).await.unwrap();
    let group = ["{order-7}:invoice", "{order-7}:stock"];
    let several: Vec<LockGuard> = posada.locks().acquire_all(&group, &long()).await.unwrap();
    server.stop();
    drop((dropped, extended, several));
    let refused = released.release().await.unwrap_err();
    assert!(refused.is(codes::REDIS_UNAVAILABLE), "{refused}");
    let refused = posada
        .locks()
        .release(None, "night-audit", by_token.token())
        .await;
    assert!(refused.unwrap_err().is(codes::REDIS_UNAVAILABLE));
    server.start_again();
    for name in [
        "pms:mock:hotel:1",
        "housekeeping:101",
        "night-audit",
        "cron",
        group[0],
        group[1],
    ] {
        is_free(&other, name).await;
    }
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_hold_that_is_given_back_during_an_outage_keeps_nobody_from_its_nights_after_it() {
    let mut server = server();
    let (posada, other) = (process(&server), process(&server));
    let hold = posada
        .locks()
        .hold_stay(&wish("101", "549110000001"))
        .await
        .unwrap();
    server.stop();
    let refused = hold.release().await.unwrap_err();
    assert!(refused.is(codes::REDIS_UNAVAILABLE), "{refused}");
    for gone in [
        hold.confirm(Duration::from_mins(1)).await,
        hold.extend(None).await,
    ] {
        assert!(gone.unwrap_err().is(codes::LOCKS_LOST), "it counts as given back");
    }
    server.start_again();
    in_time(async || other.locks().hold_stay(&wish("101", "549110000002")).await).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn who_asks_anew_for_nights_that_she_gave_back_during_an_outage_keeps_them() {
    let mut server = server();
    let (posada, other) = (process(&server), process(&server));
    let guest = wish("101", "549110000001");
    let before = posada.locks().hold_stay(&guest).await.unwrap();
    server.stop();
    before.release().await.unwrap_err();
    posada.locks().hold_stay(&guest).await.unwrap_err();
    server.start_again();
    let anew = in_time(async || posada.locks().hold_stay(&guest).await).await;
    assert_ne!(anew.id(), before.id(), "the old one has ended");
    // After the end of all that goes on in the background.
    posada.close().await.unwrap();
    let found = other.locks().resume_hold(&anew.ticket()).await.unwrap();
    found.confirm(Duration::from_mins(1)).await.unwrap();
}

#[tokio::test]
async fn a_release_that_its_caller_does_not_wait_for_goes_on() {
    let mut server = server();
    let (posada, other) = (process(&server), process(&server));
    let hold = posada
        .locks()
        .hold_stay(&wish("101", "549110000001"))
        .await
        .unwrap();
    server.freeze();
    assert!(poll!(Box::pin(hold.release())).is_pending());
    server.kill();
    server.start_again();
    in_time(async || other.locks().hold_stay(&wish("101", "549110000002")).await).await;
}

#[tokio::test]
async fn who_gives_up_waiting_during_an_outage_is_in_nobodys_way_after_it() {
    let mut server = server();
    let [holding, waiting, third] = [process(&server), process(&server), process(&server)];
    let patient = AcquireOptions::new().ttl(TTL).wait(TTL);
    let held = holding.locks().acquire("front-desk", &long()).await.unwrap();
    let mut waiters: Vec<_> = (0..3)
        .map(|_| Box::pin(waiting.locks().acquire("front-desk", &patient)))
        .collect();
    while holding
        .locks()
        .inspect(None, "front-desk")
        .await
        .unwrap()
        .unwrap()
        .waiters
        < 3
    {
        for waiter in &mut waiters {
            assert!(poll!(waiter).is_pending());
        }
        tokio::task::yield_now().await;
    }
    server.stop();
    // One that goes on keeps its process alive for the server.
    let goes_on = waiters.pop().unwrap();
    drop(waiters);
    drop(held);
    server.start_again();
    let passed_on = async { goes_on.await.unwrap().release().await };
    let (passed_on, ()) = tokio::join!(passed_on, is_free(&third, "front-desk"));
    passed_on.unwrap();
}

#[tokio::test]
async fn what_was_granted_to_somebody_who_did_not_hear_of_it_is_given_back_after_the_outage() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let posada = Posada::builder()
        .settings(settings(proxy.url(), Duration::from_secs(30)))
        .build()
        .unwrap();
    let other = process(&server);
    // Then the server knows the scripts, and one request is enough.
    is_free(&posada, "another").await;
    let elsewhere = [wish("201", "549110000001"), wish("202", "549110000001")];
    posada.locks().hold_stays(&elsewhere).await.unwrap();
    let wishes = [wish("101", "549110000001"), wish("102", "549110000001")];
    proxy.hold_answers();
    let before = proxy.requests();
    let options = long();
    let mut lock = Box::pin(posada.locks().acquire("front-desk", &options));
    let mut holds = Box::pin(posada.locks().hold_stays(&wishes));
    while other.locks().inspect(None, "front-desk").await.unwrap().is_none()
        || other
            .locks()
            .holds(None, &room_of("102"), stay())
            .await
            .unwrap()
            .is_empty()
    {
        assert!(poll!(&mut lock).is_pending() && poll!(&mut holds).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(proxy.requests() > before);
    proxy.refuse();
    proxy.reset();
    drop((lock, holds));
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.heal();
    is_free(&other, "front-desk").await;
    for room in ["101", "102"] {
        in_time(async || other.locks().hold_stay(&wish(room, "549110000002")).await).await;
    }
}

#[tokio::test]
async fn bookings_are_back_within_seconds_after_each_of_many_short_outages() {
    let mut server = server();
    let [first, second] = [process(&server), process(&server)];
    let name = "pms:mock:hotel:1";
    for _ in 0..4 {
        // Whoever books when the server goes has the turn of the hotel, or waits for it.
        let turn = long().auto_extend(true).wait(BACK);
        let turn = first.locks().acquire(name, &turn).await.unwrap();
        let patient = AcquireOptions::new().ttl(TTL).wait(BACK);
        let mut behind = Box::pin(second.locks().acquire(name, &patient));
        assert!(poll!(&mut behind).is_pending());
        server.stop();
        drop(turn);
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.start_again();
        let taken = behind.await;
        assert!(taken.is_ok(), "the hotel stays closed: {taken:?}");
    }
    is_free(&first, name).await;
    is_free(&second, name).await;
}

#[tokio::test]
async fn an_older_snapshot_brings_back_neither_a_fence_nor_a_night_beyond_the_capacity() {
    let mut server = RedisServer::start();
    let posada = process(&server);
    let short = Duration::from_secs(1);
    let lock = AcquireOptions::new().ttl(short).wait(BACK);
    let before = posada.locks().acquire("register", &lock).await.unwrap();
    let first = wish("101", "549110000001").ttl(short);
    let first = posada.locks().hold_stay(&first).await.unwrap();
    server.command::<()>(&["SAVE"]);

    before.release().await.unwrap();
    first.release().await.unwrap();
    let later = posada.locks().acquire("register", &lock).await.unwrap();
    let seen = later.fence();
    later.release().await.unwrap();
    let forgotten = posada
        .locks()
        .hold_stay(&wish("101", "549110000002"))
        .await
        .unwrap();
    server.kill();
    server.start_again();

    // What the snapshot holds ends by itself; what it does not know is lost, and says so.
    let third = in_time(async || posada.locks().hold_stay(&wish("101", "549110000003")).await).await;
    assert!(third.fence() > forgotten.fence());
    let gone = forgotten.confirm(Duration::from_mins(1)).await.unwrap_err();
    assert!(gone.is(codes::LOCKS_LOST), "{gone}");
    let fourth = posada.locks().hold_stay(&wish("101", "549110000004")).await;
    assert!(fourth.unwrap_err().is(codes::LOCKS_NIGHTS_TAKEN));
    let last = posada.locks().acquire("register", &lock).await.unwrap();
    assert!(last.fence() > seen);
}

#[tokio::test]
async fn a_lock_that_outlives_its_handle_is_given_back_although_the_connections_are_closed() {
    let server = RedisServer::start();
    let (posada, other) = (process(&server), process(&server));
    let lock = posada.locks().acquire("front-desk", &long()).await.unwrap();
    posada.close().await.unwrap();
    drop(lock);
    is_free(&other, "front-desk").await;
}
