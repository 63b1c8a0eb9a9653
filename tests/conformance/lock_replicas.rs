//! Locks that outlive a failover: a grant that waits until a replica has it.

use std::time::{Duration, Instant};

use posada::error::codes;
use posada::locks::AcquireOptions;
use posada_tests::{RedisSentinel, RedisServer, unique, wait_until};

use crate::lock_cancelling::dropped_after;
use crate::locks::on;

fn safe() -> AcquireOptions {
    AcquireOptions::new()
        .ttl(Duration::from_mins(1))
        .replicas(1)
        .replicas_within(Duration::from_secs(10))
}

/// The lease that a server knows.
fn lease(server: &RedisServer, name: &str) -> Option<String> {
    server.command(&["GET", &format!("posada:{{lock:{name}}}:lease")])
}

#[tokio::test]
async fn a_granted_lock_is_on_the_replica_already() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    for _ in 0..20 {
        let name = unique("replicated");
        let guard = posada.locks().acquire(&name, &safe()).await.unwrap();
        let lease = lease(group.replica(), &name).unwrap();
        assert!(lease.contains(&guard.fence().to_string()), "{lease}");
        guard.ensure_held().unwrap();
    }
    let pair = [unique("pair"), unique("pair")];
    let names: Vec<_> = pair.iter().map(String::as_str).collect();
    let _guards = posada.locks().acquire_all(&names, &safe()).await.unwrap();
    for name in names {
        assert!(lease(group.replica(), name).is_some());
    }
}

#[tokio::test]
async fn a_lock_that_was_handed_over_waits_for_the_replica_too() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    let first = posada.locks().acquire("handed", &safe()).await.unwrap();
    let patient = safe().wait(Duration::from_secs(20));
    let release = async {
        while posada
            .locks()
            .inspect(None, "handed")
            .await
            .unwrap()
            .unwrap()
            .waiters
            == 0
        {}
        first.release().await.unwrap();
    };
    let (second, ()) = tokio::join!(posada.locks().acquire("handed", &patient), release);
    let fence = second.unwrap().fence().to_string();
    assert!(lease(group.replica(), "handed").unwrap().contains(&fence));
}

#[tokio::test]
async fn a_lock_without_its_replica_is_given_back_and_others_are_not_held_up() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    // Whoever waits for the silent replica waits alone: this connection is known to work.
    posada.locks().acquire("before", &safe()).await.unwrap();
    group.replica().freeze();
    let slow = AcquireOptions::new()
        .replicas(1)
        .replicas_within(Duration::from_secs(2));
    let begun = Instant::now();
    let plain = async {
        for number in 0..20 {
            let name = format!("plain {number}");
            let guard = posada
                .locks()
                .acquire(&name, &AcquireOptions::new())
                .await
                .unwrap();
            guard.release().await.unwrap();
        }
        begun.elapsed()
    };
    let waits = (0..6).map(|number| {
        let (slow, name, locks) = (slow.clone(), format!("lonely {number}"), posada.locks());
        async move { locks.acquire(&name, &slow).await.unwrap_err() }
    });
    let (refused, others) = tokio::join!(futures_util::future::join_all(waits), plain);
    let all = begun.elapsed();
    group.replica().thaw();
    for error in refused {
        assert!(error.is(codes::LOCKS_NOT_REPLICATED), "{error}");
        assert_eq!(
            (error.fact("wanted"), error.fact("reached")),
            (Some("1"), Some("0"))
        );
    }
    assert!(others < all, "the plain locks had to wait for the others");
    for number in 0..6 {
        let name = format!("lonely {number}");
        assert_eq!(posada.locks().inspect(None, &name).await.unwrap(), None, "{name}");
    }
    // The replica has caught up, and so has whoever asks now.
    posada.locks().acquire("lonely 0", &safe()).await.unwrap();
}

#[tokio::test]
async fn without_any_replica_the_refusal_leaves_nothing_behind() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    group.replica().stop();
    wait_until("the primary misses its replica", || {
        let state: String = group.primary().command(&["INFO", "replication"]);
        if state.contains("connected_slaves:0") {
            Ok(())
        } else {
            Err(state)
        }
    });
    let brief = safe().replicas_within(Duration::from_millis(50));
    let refused = posada.locks().acquire("alone", &brief).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NOT_REPLICATED), "{refused}");
    assert_eq!(posada.locks().inspect(None, "alone").await.unwrap(), None);
    let next = posada
        .locks()
        .acquire("alone", &AcquireOptions::new())
        .await
        .unwrap();
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_replicated_lock_outlives_the_failover() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    let guard = posada.locks().acquire("kept", &safe()).await.unwrap();
    group.primary().kill();
    group.fail_over();
    let survivor = on(group.replica().url());
    let state = survivor.locks().inspect(None, "kept").await.unwrap().unwrap();
    assert_eq!(state.fence, guard.fence());
}

#[tokio::test]
async fn a_caller_who_waits_for_a_replica_may_go_away_at_any_poll() {
    let mut group = RedisSentinel::start();
    let posada = on(&group.url());
    group.replica().freeze();
    let brief = safe().replicas_within(Duration::from_millis(100));
    let soon = AcquireOptions::new().wait(Duration::from_secs(20));
    for polls in 0.. {
        let name = unique("gone");
        let outcome = dropped_after(polls, posada.locks().acquire(&name, &brief)).await;
        let next = posada.locks().acquire(&name, &soon).await.unwrap();
        next.release().await.unwrap();
        if let Some(outcome) = outcome {
            assert!(outcome.unwrap_err().is(codes::LOCKS_NOT_REPLICATED));
            group.replica().thaw();
            return;
        }
    }
}
