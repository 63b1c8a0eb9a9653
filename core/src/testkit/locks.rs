//! What every store of named locks must do.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::codes;
use crate::locks::{AcquireOptions, AuditEvent, LockGuard, LockManager, LossCause, Release};
use crate::tenants::TenantId;

/// A time to live that ends within the test.
const SHORT: Duration = Duration::from_millis(150);
/// A lease that outlasts a stall of a busy machine, where a test needs the lock to be there still.
const MEDIUM: Duration = Duration::from_secs(2);
/// A wait that never ends within the test.
const LONG: Duration = Duration::from_secs(20);

/// Runs the whole suite. `prefix` makes the names of this run unlike those of others.
pub async fn suite(locks: &LockManager, prefix: &str) {
    one_holder_at_a_time_and_fences_grow(locks, &format!("{prefix}-one")).await;
    only_the_owner_releases_and_a_release_may_be_repeated(locks, &format!("{prefix}-owner")).await;
    locks_of_two_tenants_do_not_meet(locks, &format!("{prefix}-tenants")).await;
    an_ended_lock_is_free_and_its_holder_is_told(locks, &format!("{prefix}-ended")).await;
    an_extension_prolongs_and_never_shortens(locks, &format!("{prefix}-extend")).await;
    automatic_extension_keeps_a_lock_until_its_longest_hold(locks, &format!("{prefix}-auto")).await;
    waiters_are_served_in_the_order_of_arrival(locks, &format!("{prefix}-order")).await;
    a_newcomer_does_not_overtake_a_waiter(locks, &format!("{prefix}-barge")).await;
    a_waiter_takes_over_when_the_holder_vanishes(locks, &format!("{prefix}-vanish")).await;
    a_wait_ends_in_time_and_leaves_the_queue(locks, &format!("{prefix}-wait")).await;
    a_cancelled_acquire_leaves_nothing(locks, &format!("{prefix}-cancel")).await;
    a_dropped_guard_releases(locks, &format!("{prefix}-drop")).await;
    many_callers_are_never_inside_together(locks, &format!("{prefix}-many")).await;
    everything_is_audited_in_order(locks, &format!("{prefix}-audit")).await;
    extensions_by_themselves_and_misses_are_not_audited(locks, &format!("{prefix}-quiet")).await;
    its_owner_may_enter_again(locks, &format!("{prefix}-again")).await;
    a_forced_release_tells_the_holder_and_serves_the_next(locks, &format!("{prefix}-force")).await;
    several_locks_are_taken_together_or_not_at_all(locks, &format!("{prefix}-all")).await;
    a_fence_is_never_accepted_after_a_higher_one(locks, &format!("{prefix}-fence")).await;
    held_locks_are_listed_by_tenant(locks, prefix).await;
    a_place_in_the_queue_is_told(locks, &format!("{prefix}-place")).await;
    a_lock_without_enough_replicas_is_given_back(locks, &format!("{prefix}-replicas")).await;
    bad_requests_name_their_field(locks).await;
}

fn options() -> AcquireOptions {
    AcquireOptions::new().ttl(LONG)
}

async fn take(locks: &LockManager, name: &str) -> LockGuard {
    locks.acquire(name, &options()).await.unwrap()
}

/// Waits for a condition that another task brings about.
pub(super) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = SystemClock.instant();
    while !holds().await {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "never happened: {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn waiters(locks: &LockManager, name: &str) -> usize {
    locks
        .inspect(None, name)
        .await
        .unwrap()
        .map_or(0, |state| state.waiters)
}

async fn one_holder_at_a_time_and_fences_grow(locks: &LockManager, name: &str) {
    let mut last = 0;
    for owner in ["ana", "bea", "eva"] {
        let guard = locks.acquire(name, &options().owner(owner)).await.unwrap();
        assert!(guard.fence() > last, "fence {} after {last}", guard.fence());
        last = guard.fence();
        guard.ensure_held().unwrap();
        assert!(guard.remaining() > LONG / 2 && guard.remaining() < LONG);
        let state = locks.inspect(None, name).await.unwrap().unwrap();
        assert_eq!((state.owner.as_str(), state.fence), (owner, last));
        let refused = locks.acquire(name, &options()).await.unwrap_err();
        assert!(refused.is(codes::LOCKS_CONTENDED) && refused.is_retryable());
        assert_eq!(refused.fact("holder"), Some(owner));
        assert!(locks.try_acquire(name, &options()).await.unwrap().is_none());
        assert_eq!(guard.release().await.unwrap(), Release::Released);
        assert_eq!(locks.inspect(None, name).await.unwrap(), None);
    }
}

async fn only_the_owner_releases_and_a_release_may_be_repeated(locks: &LockManager, name: &str) {
    let guard = take(locks, name).await;
    let stranger = "0123456789abcdef0123456789abcdef";
    let refused = locks.release(None, name, stranger).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NOT_OWNER));
    guard.ensure_held().unwrap();
    let token = guard.token().to_owned();
    assert_eq!(
        locks.release(None, name, &token).await.unwrap(),
        Release::Released
    );
    assert_eq!(
        locks.release(None, name, &token).await.unwrap(),
        Release::AlreadyReleased
    );
    assert_eq!(guard.release().await.unwrap(), Release::AlreadyReleased);
}

async fn locks_of_two_tenants_do_not_meet(locks: &LockManager, name: &str) {
    let (one, other) = (
        TenantId::parse("hotel-a").unwrap(),
        TenantId::parse("hotel-b").unwrap(),
    );
    let _first = locks.acquire(name, &options().tenant(&one)).await.unwrap();
    let _second = locks.acquire(name, &options().tenant(&other)).await.unwrap();
    let _third = take(locks, name).await;
    assert!(
        locks
            .try_acquire(name, &options().tenant(&one))
            .await
            .unwrap()
            .is_none()
    );
}

async fn an_ended_lock_is_free_and_its_holder_is_told(locks: &LockManager, name: &str) {
    let guard = locks.acquire(name, &options().ttl(SHORT)).await.unwrap();
    assert_eq!(guard.lost().await, LossCause::Expired);
    let error = guard.ensure_held().unwrap_err();
    assert!(error.is(codes::LOCKS_LOST));
    assert_eq!(
        (error.fact("cause"), guard.remaining()),
        (Some("expired"), Duration::ZERO)
    );
    let next = locks.acquire(name, &options().wait(LONG)).await.unwrap();
    assert!(next.fence() > guard.fence());
    assert!(guard.extend(LONG).await.unwrap_err().is(codes::LOCKS_LOST));
    assert_eq!(guard.release().await.unwrap(), Release::Expired);
    next.ensure_held().unwrap();
    assert_eq!(next.release().await.unwrap(), Release::Released);
}

async fn an_extension_prolongs_and_never_shortens(locks: &LockManager, name: &str) {
    let guard = locks.acquire(name, &options().ttl(MEDIUM)).await.unwrap();
    guard.extend(LONG).await.unwrap();
    let end = guard.expires_at();
    assert!(guard.remaining() > LONG / 2);
    guard.extend(SHORT).await.unwrap();
    assert_eq!(guard.expires_at(), end);
    tokio::time::sleep(SHORT).await;
    guard.ensure_held().unwrap();
    assert_eq!(guard.release().await.unwrap(), Release::Released);
}

async fn automatic_extension_keeps_a_lock_until_its_longest_hold(locks: &LockManager, name: &str) {
    let kept = locks
        .acquire(name, &options().ttl(MEDIUM).auto_extend(true))
        .await
        .unwrap();
    let limited = options().ttl(MEDIUM).auto_extend(true).max_hold(MEDIUM * 3 / 2);
    let begun = SystemClock.instant();
    let ending = locks.acquire(&format!("{name}-limited"), &limited).await.unwrap();
    assert_eq!(ending.lost().await, LossCause::MaxHold);
    assert!(begun.elapsed() > MEDIUM, "ended after {:?}", begun.elapsed());
    kept.ensure_held().unwrap();
    assert!(locks.try_acquire(name, &options()).await.unwrap().is_none());
    assert_eq!(kept.release().await.unwrap(), Release::Released);
}

async fn waiters_are_served_in_the_order_of_arrival(locks: &LockManager, name: &str) {
    let guard = take(locks, name).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (locks, name, order) = (locks.clone(), name.to_owned(), order.clone());
        let arrived = locks.clone();
        let place = name.clone();
        waiting.push(Box::pin(async move {
            let guard = locks.acquire(&name, &options().wait(LONG)).await.unwrap();
            order.lock().unwrap().push(number);
            guard.release().await.unwrap();
        }));
        let everybody = futures_util::future::join_all(waiting.iter_mut());
        tokio::select! {
            _ = everybody => panic!("a waiter got a lock that is held"),
            () = eventually("the waiter queues", async || waiters(&arrived, &place).await == number + 1) => {}
        }
    }
    let begun = SystemClock.instant();
    tokio::join!(guard.release(), futures_util::future::join_all(waiting))
        .0
        .unwrap();
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    // They were woken: a waiter that nothing wakes looks again after 20 seconds.
    assert!(begun.elapsed() < LONG / 2, "took {:?}", begun.elapsed());
}

async fn a_newcomer_does_not_overtake_a_waiter(locks: &LockManager, name: &str) {
    let guard = take(locks, name).await;
    let patient = options().wait(LONG);
    let mut waiter = pin!(locks.acquire(name, &patient));
    tokio::select! {
        _ = &mut waiter => panic!("the lock is held"),
        () = eventually("the waiter queues", async || waiters(locks, name).await == 1) => {}
    }
    guard.release().await.unwrap();
    assert!(locks.try_acquire(name, &options()).await.unwrap().is_none());
    waiter.await.unwrap().release().await.unwrap();
    assert!(locks.try_acquire(name, &options()).await.unwrap().is_some());
}

async fn a_waiter_takes_over_when_the_holder_vanishes(locks: &LockManager, name: &str) {
    let vanished = locks.acquire(name, &options().ttl(SHORT)).await.unwrap();
    let fence = vanished.fence();
    std::mem::forget(vanished);
    let begun = SystemClock.instant();
    let guard = locks.acquire(name, &options().wait(LONG)).await.unwrap();
    assert!(guard.fence() > fence);
    assert!(begun.elapsed() < LONG / 2, "took {:?}", begun.elapsed());
}

async fn a_wait_ends_in_time_and_leaves_the_queue(locks: &LockManager, name: &str) {
    let _guard = take(locks, name).await;
    let begun = SystemClock.instant();
    let error = locks.acquire(name, &options().wait(SHORT)).await.unwrap_err();
    assert!(error.is(codes::LOCKS_CONTENDED));
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG);
    eventually("the queue is empty", async || waiters(locks, name).await == 0).await;
}

/// Drops the future of an acquire after each number of polls, whatever it has reached by then.
async fn a_cancelled_acquire_leaves_nothing(locks: &LockManager, name: &str) {
    for polls in 1..8 {
        let name = format!("{name}-{polls}");
        let guard = if polls % 2 == 0 {
            Some(take(locks, &name).await)
        } else {
            None
        };
        {
            let patient = options().wait(LONG);
            let mut claim = Box::pin(locks.acquire(&name, &patient));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if let Poll::Ready(outcome) = claim.as_mut().poll(&mut context) {
                    drop(outcome);
                    break;
                }
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if let Some(guard) = guard {
            eventually("the queue is empty", async || waiters(locks, &name).await == 0).await;
            guard.release().await.unwrap();
        }
        eventually("the lock is free", async || {
            locks.try_acquire(&name, &options()).await.unwrap().is_some()
        })
        .await;
    }
}

async fn a_dropped_guard_releases(locks: &LockManager, name: &str) {
    drop(take(locks, name).await);
    eventually("the lock is free", async || {
        locks.inspect(None, name).await.unwrap().is_none()
    })
    .await;
}

async fn many_callers_are_never_inside_together(locks: &LockManager, name: &str) {
    let (inside, visits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let callers = (0..20).map(async |_| {
        for _ in 0..5 {
            let guard = locks.acquire(name, &options().wait(LONG)).await.unwrap();
            assert!(!inside.swap(true, Ordering::SeqCst), "two inside");
            tokio::task::yield_now().await;
            visits.fetch_add(1, Ordering::SeqCst);
            inside.store(false, Ordering::SeqCst);
            guard.release().await.unwrap();
        }
    });
    futures_util::future::join_all(callers).await;
    assert_eq!(visits.into_inner(), 100);
}

async fn everything_is_audited_in_order(locks: &LockManager, name: &str) {
    use AuditEvent::{Acquired, Conflict, Expired, Extended, Released};

    let guard = locks
        .acquire(name, &options().ttl(MEDIUM).owner("ana"))
        .await
        .unwrap();
    let (fence, token) = (guard.fence(), guard.token().to_owned());
    assert!(locks.acquire(name, &options().owner("bea")).await.is_err());
    guard.extend(MEDIUM).await.unwrap();
    guard.lost().await;
    let next = locks.acquire(name, &options().wait(LONG)).await.unwrap();
    next.release().await.unwrap();
    guard.release().await.unwrap();
    locks.flush_audit(Duration::from_secs(5)).await.unwrap();
    let mut rows = locks.audit(name, 20).await.unwrap();
    rows.reverse();
    let events: Vec<_> = rows.iter().map(|row| row.event).collect();
    assert_eq!(
        events,
        [Acquired, Conflict, Extended, Expired, Acquired, Released]
    );
    assert_eq!(rows[0].details["user_id"], "ana");
    assert_eq!(rows[0].details["fence"], fence);
    assert_eq!(rows[1].details["user_id"], "bea");
    assert_eq!(rows[3].details["fence"], fence);
    assert!(rows.iter().all(|row| !row.details.to_string().contains(&token)));
}

async fn extensions_by_themselves_and_misses_are_not_audited(locks: &LockManager, name: &str) {
    use AuditEvent::{Acquired, Conflict, Released};

    let guard = locks
        .acquire(name, &options().ttl(MEDIUM).auto_extend(true))
        .await
        .unwrap();
    let end = guard.expires_at();
    eventually("the lock extends itself", async || guard.expires_at() > end).await;
    assert!(locks.try_acquire(name, &options()).await.unwrap().is_none());
    let asked = options().audit_misses(true);
    assert!(locks.try_acquire(name, &asked).await.unwrap().is_none());
    guard.release().await.unwrap();
    locks.flush_audit(Duration::from_secs(5)).await.unwrap();
    let rows = locks.audit(name, 20).await.unwrap();
    let events: Vec<_> = rows.iter().rev().map(|row| row.event).collect();
    assert_eq!(events, [Acquired, Conflict, Released]);
}

async fn its_owner_may_enter_again(locks: &LockManager, name: &str) {
    let ana = options().owner("ana").reentrant(true);
    let outer = locks.acquire(name, &ana).await.unwrap();
    let inner = locks.acquire(name, &ana).await.unwrap();
    assert_eq!(inner.fence(), outer.fence());
    assert_ne!(inner.token(), outer.token());
    for stranger in [
        options().owner("bea").reentrant(true),
        options().owner("ana"),
        options(),
    ] {
        assert!(locks.try_acquire(name, &stranger).await.unwrap().is_none());
    }
    assert_eq!(outer.release().await.unwrap(), Release::Released);
    inner.extend(LONG).await.unwrap();
    assert!(locks.try_acquire(name, &options()).await.unwrap().is_none());
    let fence = inner.fence();
    assert_eq!(inner.release().await.unwrap(), Release::Released);
    let plain = locks.acquire(name, &options().owner("ana")).await.unwrap();
    assert!(plain.fence() > fence);
    assert!(
        locks.try_acquire(name, &ana).await.unwrap().is_none(),
        "entered a lock that does not allow it"
    );
}

async fn a_forced_release_tells_the_holder_and_serves_the_next(locks: &LockManager, name: &str) {
    assert_eq!(locks.force_release(None, name, "nobody").await.unwrap(), None);
    let stuck = locks.acquire(name, &options().owner("ana")).await.unwrap();
    let patient = options().wait(LONG);
    let mut waiter = pin!(locks.acquire(name, &patient));
    tokio::select! {
        _ = &mut waiter => panic!("the lock is held"),
        () = eventually("the waiter queues", async || waiters(locks, name).await == 1) => {}
    }
    let forced = locks.force_release(None, name, "stuck since noon").await.unwrap();
    assert_eq!(forced.as_deref(), Some("ana"));
    assert_eq!(stuck.lost().await, LossCause::Forced);
    let next = waiter.await.unwrap();
    assert!(next.fence() > stuck.fence());
    assert_eq!(stuck.release().await.unwrap(), Release::Expired);
    next.ensure_held().unwrap();
    next.release().await.unwrap();
    locks.flush_audit(Duration::from_secs(5)).await.unwrap();
    let rows = locks.audit(name, 20).await.unwrap();
    assert_eq!(
        rows.iter()
            .filter(|row| row.details["reason"] == "stuck since noon")
            .count(),
        1
    );
    let refused = locks.force_release(None, name, "").await.unwrap_err();
    assert_eq!(refused.field(), Some("reason"));
}

async fn several_locks_are_taken_together_or_not_at_all(locks: &LockManager, name: &str) {
    let names: Vec<_> = ["c", "a", "b"].map(|part| format!("{name}-{part}")).into();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let guards = locks.acquire_all(&names, &options()).await.unwrap();
    for (guard, name) in guards.into_iter().zip(&names) {
        locks.release(None, name, guard.token()).await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Release::AlreadyReleased);
    }
    let taken = take(locks, names[0]).await;
    let refused = locks
        .acquire_all(&names, &options().wait(SHORT))
        .await
        .unwrap_err();
    assert_eq!(refused.fact("lock"), Some(names[0]));
    eventually("the others are free again", async || {
        locks.inspect(None, names[1]).await.unwrap().is_none()
            && locks.inspect(None, names[2]).await.unwrap().is_none()
    })
    .await;
    taken.release().await.unwrap();
    let twice = locks.acquire_all(&[name, name], &options()).await.unwrap_err();
    assert_eq!(twice.field(), Some("names"));
    let too_many = vec![name; 101];
    let refused = locks.acquire_all(&too_many, &options()).await.unwrap_err();
    assert_eq!(refused.field(), Some("names"));
    assert!(locks.acquire_all(&[], &options()).await.unwrap().is_empty());
    // Two who want the same in another order do not wait for each other.
    let patient = options().wait(LONG);
    let mut reversed = names.clone();
    reversed.reverse();
    for _ in 0..10 {
        let (one, other) = tokio::join!(
            async { locks.acquire_all(&names, &patient).await.map(drop) },
            async { locks.acquire_all(&reversed, &patient).await.map(drop) },
        );
        one.and(other).unwrap();
    }
}

async fn a_fence_is_never_accepted_after_a_higher_one(locks: &LockManager, name: &str) {
    let first = take(locks, name).await;
    let old = first.fence();
    first.release().await.unwrap();
    let new = take(locks, name).await.fence();
    locks.check_fence(name, old).await.unwrap();
    locks.check_fence(name, new).await.unwrap();
    locks.check_fence(name, new).await.unwrap();
    let stale = locks.check_fence(name, old).await.unwrap_err();
    assert!(stale.is(codes::LOCKS_STALE_FENCE), "{stale}");
    for (resource, fence, field) in [("", 1, "resource"), (name, u64::MAX, "fence")] {
        let refused = locks.check_fence(resource, fence).await.unwrap_err();
        assert_eq!(refused.field(), Some(field));
    }
}

async fn held_locks_are_listed_by_tenant(locks: &LockManager, prefix: &str) {
    let tenant = |name: &str| TenantId::parse(&format!("{prefix}-{name}")).unwrap();
    let (here, there) = (tenant("here"), tenant("there"));
    let names = async || -> Vec<String> {
        let listed = locks.list(Some(&here)).await.unwrap();
        listed.iter().map(|(name, _)| name.to_string()).collect()
    };
    assert!(names().await.is_empty());
    let kept = options().tenant(&here).owner("ana");
    let b = locks.acquire("b", &kept).await.unwrap();
    let _a = locks.acquire("a", &kept).await.unwrap();
    let _c = locks.acquire("c", &options().tenant(&there)).await.unwrap();
    assert_eq!(names().await, ["a", "b"]);
    let listed = locks.list(Some(&here)).await.unwrap();
    assert_eq!(
        (listed[1].1.owner.as_str(), listed[1].1.fence),
        ("ana", b.fence())
    );
    b.release().await.unwrap();
    assert_eq!(names().await, ["a"]);
}

async fn a_place_in_the_queue_is_told(locks: &LockManager, name: &str) {
    let _guard = take(locks, name).await;
    let patient = options().wait(LONG);
    let mut waiter = pin!(locks.acquire(name, &patient));
    tokio::select! {
        _ = &mut waiter => panic!("the lock is held"),
        () = eventually("the waiter queues", async || waiters(locks, name).await == 1) => {}
    }
    let refused = locks.acquire(name, &options().wait(SHORT)).await.unwrap_err();
    assert_eq!(refused.fact("position"), Some("2"));
    assert!(refused.fact("remaining_ms").is_some());
}

/// Neither memory nor the servers of these suites have a thousand replicas.
async fn a_lock_without_enough_replicas_is_given_back(locks: &LockManager, name: &str) {
    let safe = options().replicas(1000).replicas_within(Duration::from_millis(1));
    let refused = locks.acquire(name, &safe).await.unwrap_err();
    assert!(
        refused.is(codes::LOCKS_NOT_REPLICATED) && refused.is_retryable(),
        "{refused}"
    );
    assert_eq!(refused.fact("wanted"), Some("1000"));
    assert_eq!(locks.inspect(None, name).await.unwrap(), None);
    let pair = [&*format!("{{{name}}}a"), &*format!("{{{name}}}b")];
    let refused = locks.acquire_all(&pair, &safe).await.unwrap_err();
    assert!(refused.is(codes::LOCKS_NOT_REPLICATED), "{refused}");
    for name in pair {
        assert_eq!(locks.inspect(None, name).await.unwrap(), None);
    }
}

async fn bad_requests_name_their_field(locks: &LockManager) {
    for (name, options, field) in [
        ("", options(), "name"),
        ("a\nb", options(), "name"),
        ("ok", options().ttl(Duration::ZERO), "ttl"),
        ("ok", options().owner(""), "owner"),
    ] {
        let error = locks.acquire(name, &options).await.unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
    }
}
