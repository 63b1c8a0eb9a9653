//! Several locks at once: all or none, in one step where that is possible, and never in a circle.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use posada::Posada;
use posada::error::codes;
use posada::locks::AcquireOptions;
use posada::testkit::Dice;
use posada_tests::{RedisServer, servers, unique};

use crate::lock_cancelling::dropped_after;
use crate::locks::{calls, on};

fn options() -> AcquireOptions {
    AcquireOptions::new().ttl(Duration::from_mins(1))
}

/// Names of one group, so that they share a slot on a cluster.
fn grouped(count: usize) -> Vec<String> {
    let group = unique("set");
    (0..count).map(|number| format!("{{{group}}}:{number}")).collect()
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

async fn is_free(posada: &Posada, name: &str) -> bool {
    posada.locks().inspect(None, name).await.unwrap().is_none()
}

/// Waits until nobody holds any of them, and nobody waits: each can be had at once.
async fn are_free_soon(posada: &Posada, names: &[String]) {
    let soon = options().wait(Duration::from_secs(20));
    for name in names {
        let guard = posada.locks().acquire(name, &soon).await.unwrap();
        let state = posada.locks().inspect(None, name).await.unwrap().unwrap();
        assert_eq!(state.waiters, 0, "{name}");
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn free_locks_are_taken_in_one_call_and_refused_in_one() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let names = ["c", "a", "d", "b"];
    posada.locks().acquire_all(&names, &options()).await.unwrap();
    for name in names {
        while !is_free(&posada, name).await {}
    }
    let held = posada.locks().acquire("c", &options()).await.unwrap();
    let before = calls(&server, "evalsha");
    let refused = posada.locks().acquire_all(&names, &options()).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_CONTENDED), "{refused}");
    assert_eq!(refused.fact("lock"), Some("c"));
    assert_eq!(calls(&server, "evalsha") - before, 1);
    // Not given back later, but never taken: nothing is to be waited for.
    for name in ["a", "b", "d"] {
        assert!(is_free(&posada, name).await, "{name}");
    }
    held.release().await.unwrap();
    let before = calls(&server, "evalsha");
    let guards = posada.locks().acquire_all(&names, &options()).await.unwrap();
    assert_eq!(calls(&server, "evalsha") - before, 1);
    for (guard, name) in guards.iter().zip(names) {
        let state = posada.locks().inspect(None, name).await.unwrap().unwrap();
        assert_eq!(state.fence, guard.fence(), "{name}");
    }
}

#[tokio::test]
async fn on_a_cluster_a_group_is_taken_in_one_step_and_other_names_in_their_order() {
    let posada = on(servers::cluster().url());
    let strangers: Vec<_> = (0..5).map(|_| unique("stranger")).collect();
    for names in [grouped(5), strangers] {
        let held = posada.locks().acquire(&names[3], &options()).await.unwrap();
        let refused = posada
            .locks()
            .acquire_all(&texts(&names), &options())
            .await
            .unwrap_err();
        assert_eq!(refused.fact("lock"), Some(names[3].as_str()));
        if names[0].starts_with('{') {
            assert!(is_free(&posada, &names[0]).await);
        }
        held.release().await.unwrap();
        let soon = options().wait(Duration::from_secs(20));
        let guards = posada.locks().acquire_all(&texts(&names), &soon).await.unwrap();
        for (guard, name) in guards.iter().zip(&names) {
            let state = posada.locks().inspect(None, name).await.unwrap().unwrap();
            assert_eq!(state.fence, guard.fence(), "{name}");
        }
        drop(guards);
        are_free_soon(&posada, &names).await;
    }
}

#[tokio::test]
async fn what_is_taken_already_stays_alive_while_another_is_waited_for() {
    let posada = on(servers::redis().url());
    let names = grouped(3);
    let last = posada.locks().acquire(&names[2], &options()).await.unwrap();
    let ttl = Duration::from_secs(2);
    let brief = AcquireOptions::new().ttl(ttl).wait(Duration::from_secs(20));
    let names = texts(&names);
    let release = async {
        let begun = std::time::Instant::now();
        while begun.elapsed() < ttl * 2 {
            let held = posada.locks().inspect(None, names[0]).await.unwrap();
            assert!(held.is_some() || begun.elapsed() < ttl, "it ended meanwhile");
        }
        last.release().await.unwrap();
    };
    let (guards, ()) = tokio::join!(posada.locks().acquire_all(&names, &brief), release);
    for guard in guards.unwrap() {
        guard.ensure_held().unwrap();
    }
}

#[tokio::test]
async fn a_lock_that_is_forced_away_meanwhile_ends_the_wait_for_the_others() {
    let posada = on(servers::redis().url());
    let names = grouped(3);
    let _last = posada.locks().acquire(&names[2], &options()).await.unwrap();
    let brief = AcquireOptions::new()
        .ttl(Duration::from_millis(300))
        .wait(Duration::from_mins(1));
    let texts = texts(&names);
    let force = async {
        while posada
            .locks()
            .force_release(None, &names[1], "a test")
            .await
            .unwrap()
            .is_none()
        {}
    };
    let (outcome, ()) = tokio::join!(posada.locks().acquire_all(&texts, &brief), force);
    assert!(outcome.unwrap_err().is(codes::LOCKS_LOST));
    are_free_soon(&posada, &names[..2]).await;
}

/// Callers of several processes who want overlapping sets in all kinds of orders, some of whom go away.
async fn crowd(url: &str, names: &[String]) {
    let inside: Vec<_> = names.iter().map(|_| AtomicU32::new(0)).collect();
    let processes = [on(url), on(url), on(url)];
    let patient = options().wait(Duration::from_mins(2));
    let served = AtomicU32::new(0);
    let callers = (0..12_u64).map(|caller| {
        let (inside, processes, patient, served) = (&inside, &processes, &patient, &served);
        async move {
            let mut dice = Dice::new(caller * 2 + 1);
            for _ in 0..15 {
                let mut left: Vec<usize> = (0..names.len()).collect();
                let count = 2 + dice.index(3);
                let wanted: Vec<_> = (0..count)
                    .map(|_| left.swap_remove(dice.index(left.len())))
                    .collect();
                let set: Vec<_> = wanted.iter().map(|&number| names[number].as_str()).collect();
                let locks = processes[dice.index(3)].locks();
                let polls = if dice.below(4) == 0 {
                    dice.index(12)
                } else {
                    usize::MAX
                };
                let Some(guards) = dropped_after(polls, locks.acquire_all(&set, patient)).await else {
                    continue;
                };
                let guards = guards.unwrap();
                assert_eq!(guards.len(), wanted.len());
                for &number in &wanted {
                    assert_eq!(inside[number].fetch_add(1, Ordering::SeqCst), 0, "two inside");
                }
                tokio::task::yield_now().await;
                for (guard, &number) in guards.into_iter().zip(&wanted) {
                    guard.ensure_held().unwrap();
                    inside[number].fetch_sub(1, Ordering::SeqCst);
                    guard.release().await.unwrap();
                }
                served.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    futures_util::future::join_all(callers).await;
    assert!(served.into_inner() > 100);
    for process in &processes {
        // Ends what runs in the background: from then on nothing may be left.
        process.close().await.unwrap();
    }
    let observer = on(url);
    for name in names {
        assert!(is_free(&observer, name).await, "{name} is held");
    }
    are_free_soon(&observer, names).await;
}

#[tokio::test]
async fn overlapping_sets_in_any_order_neither_meet_nor_block_each_other_on_one_redis() {
    crowd(servers::redis().url(), &grouped(6)).await;
}

#[tokio::test]
async fn overlapping_sets_in_any_order_neither_meet_nor_block_each_other_on_a_cluster() {
    crowd(servers::cluster().url(), &grouped(6)).await;
    let strangers: Vec<_> = (0..6).map(|_| unique("stranger")).collect();
    crowd(servers::cluster().url(), &strangers).await;
}

/// Drops a request for three locks at each poll, while one of them is held and when all are free.
#[tokio::test]
async fn a_caller_who_wants_several_may_go_away_at_any_poll() {
    let posada = on(servers::redis().url());
    let patient = options().wait(Duration::from_mins(1));
    for polls in 0.. {
        let names = grouped(3);
        let set = texts(&names);
        let free = dropped_after(polls, posada.locks().acquire_all(&set, &options())).await;
        let was_granted = free.is_some();
        drop(free);
        are_free_soon(&posada, &names).await;
        let held = posada.locks().acquire(&names[1], &options()).await.unwrap();
        let waiting = dropped_after(polls, posada.locks().acquire_all(&set, &patient));
        let release = async {
            tokio::task::yield_now().await;
            held.release().await.unwrap();
        };
        let (waited, ()) = tokio::join!(waiting, release);
        let had_its_turn = waited.is_some();
        drop(waited);
        are_free_soon(&posada, &names).await;
        if was_granted && had_its_turn {
            return;
        }
    }
}
