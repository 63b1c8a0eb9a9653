//! Redis whose clock steps: a real server that is told another time. It may end a lock early, or keep it longer. What
//! must not happen is that a fence goes back, or that a holder believes longer than its own clock says.

use std::time::Duration;

use posada::error::codes;
use posada::locks::{AcquireOptions, Resource, StayHold};
use posada::{Posada, Settings, Stay};
use posada_tests::RedisServer;

const HOUR: i64 = 3600;

/// Forwards, backwards, and back to the real time; the last one by nearly as much as a lock is remembered.
const STEPS: [i64; 9] = [
    0,
    -HOUR,
    HOUR,
    -2 * HOUR,
    72 * HOUR,
    -72 * HOUR,
    0,
    84 * HOUR,
    -80 * HOUR,
];

fn on(url: &str) -> Posada {
    Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap()
}

fn options() -> AcquireOptions {
    AcquireOptions::new().ttl(Duration::from_secs(30))
}

fn request(guest: usize) -> StayHold {
    let first = 1 + guest * 2;
    let stay = Stay::parse(
        &format!("2027-03-{first:02}"),
        &format!("2027-03-{:02}", first + 1),
    )
    .unwrap();
    StayHold::new(Resource::room("101").unwrap(), stay)
}

fn seconds(server: &RedisServer) -> i64 {
    let (seconds, _): (i64, i64) = server.command(&["TIME"]);
    seconds
}

#[tokio::test]
async fn no_fence_goes_back_however_the_clock_of_redis_steps() {
    let mut server = RedisServer::start_with_clock();
    let posada = on(server.url());
    let (mut lock_fence, mut hold_fence, mut set_fence) = (0, 0, 0);
    let real = seconds(&server);
    for (number, step) in STEPS.into_iter().enumerate() {
        server.move_clock(step);
        // The server believes it.
        assert!((seconds(&server) - real - step).abs() < 120);
        for _ in 0..3 {
            let lock = posada.locks().acquire("stepped", &options()).await.unwrap();
            assert!(
                lock.fence() > lock_fence,
                "{} after {lock_fence}, step {step}",
                lock.fence()
            );
            lock_fence = lock.fence();
            lock.release().await.unwrap();
            let set = posada.locks().acquire_all(&["a", "b"], &options()).await.unwrap();
            assert!(set.iter().all(|lock| lock.fence() > set_fence), "step {step}");
            set_fence = set.iter().map(posada::locks::LockGuard::fence).max().unwrap();
            for lock in set {
                lock.release().await.unwrap();
            }
        }
        let hold = posada.locks().hold_stay(&request(number)).await.unwrap();
        assert!(
            hold.fence() > hold_fence,
            "{} after {hold_fence}, step {step}",
            hold.fence()
        );
        hold_fence = hold.fence();
    }
}

#[tokio::test]
async fn a_lock_that_a_step_forwards_ended_early_is_known_by_its_fence() {
    let mut server = RedisServer::start_with_clock();
    let posada = on(server.url());
    let old = posada.locks().acquire("early", &options()).await.unwrap();
    server.move_clock(HOUR);
    let new = posada.locks().acquire("early", &options()).await.unwrap();
    assert!(new.fence() > old.fence());
    let refused = old.extend(Duration::from_secs(30)).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_LOST), "{refused}");
    assert!(old.ensure_held().is_err());
    new.ensure_held().unwrap();
    server.move_clock(0);
    new.extend(Duration::from_secs(30)).await.unwrap();
    new.release().await.unwrap();
}

#[tokio::test]
async fn a_step_backwards_keeps_a_lock_on_the_server_and_its_holder_stops_in_time() {
    let mut server = RedisServer::start_with_clock();
    let posada = on(server.url());
    let brief = options().ttl(Duration::from_millis(300));
    let old = posada.locks().acquire("late", &brief).await.unwrap();
    server.move_clock(-HOUR);
    assert_eq!(old.lost().await.as_str(), "expired");
    // Nobody else gets it meanwhile by waiting; an operator takes it away, and then the queue moves on.
    let patient = options().wait(Duration::from_mins(1));
    let force = async {
        while posada
            .locks()
            .inspect(None, "late")
            .await
            .unwrap()
            .unwrap()
            .waiters
            == 0
        {}
        posada
            .locks()
            .force_release(None, "late", "the clock stepped")
            .await
            .unwrap()
    };
    let (next, forced) = tokio::join!(posada.locks().acquire("late", &patient), force);
    assert!(forced.is_some());
    assert!(next.unwrap().fence() > old.fence());
}

#[tokio::test]
async fn waiters_get_their_turn_although_the_clock_steps_while_they_wait() {
    let mut server = RedisServer::start_with_clock();
    let (one, other) = (on(server.url()), on(server.url()));
    let patient = options().wait(Duration::from_mins(5));
    let mut fence = 0;
    for step in STEPS {
        let lock = one.locks().acquire("queued", &patient).await.unwrap();
        assert!(lock.fence() > fence, "step {step}");
        fence = lock.fence();
        let waiting = [&one, &other, &one, &other].map(|posada| {
            let (locks, patient) = (posada.locks(), &patient);
            async move {
                let lock = locks.acquire("queued", patient).await.unwrap();
                let fence = lock.fence();
                lock.release().await.unwrap();
                fence
            }
        });
        let turn = async {
            while one
                .locks()
                .inspect(None, "queued")
                .await
                .unwrap()
                .unwrap()
                .waiters
                < 4
            {}
            server.move_clock(step);
            // By a step forwards it has ended already.
            lock.release().await.unwrap();
        };
        let (fences, ()) = tokio::join!(futures_util::future::join_all(waiting), turn);
        for served in fences {
            assert!(served > fence, "step {step}");
        }
        fence = last_fence(&one, "queued").await;
    }
}

/// The fence of a lock that is taken and released now.
async fn last_fence(posada: &Posada, name: &str) -> u64 {
    let patient = options().wait(Duration::from_mins(1));
    let lock = posada.locks().acquire(name, &patient).await.unwrap();
    let fence = lock.fence();
    lock.release().await.unwrap();
    fence
}

#[tokio::test]
async fn holds_are_never_counted_twice_however_the_clock_steps() {
    let mut server = RedisServer::start_with_clock();
    let posada = on(server.url());
    let of = |session: &str| request(0).session_id(session);
    posada.locks().hold_stay(&of("ana")).await.unwrap();
    server.move_clock(-HOUR);
    assert!(
        posada
            .locks()
            .hold_stay(&of("bea"))
            .await
            .unwrap_err()
            .is(codes::LOCKS_NIGHTS_TAKEN)
    );
    server.move_clock(HOUR);
    let bea = posada.locks().hold_stay(&of("bea")).await.unwrap();
    server.move_clock(0);
    assert!(
        posada
            .locks()
            .hold_stay(&of("ana"))
            .await
            .unwrap_err()
            .is(codes::LOCKS_NIGHTS_TAKEN)
    );
    bea.release().await.unwrap();
    posada.locks().hold_stay(&of("ana")).await.unwrap();
}
