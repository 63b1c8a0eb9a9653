//! Several stays at once: all or none, in one step where that is possible, and nothing left of a caller who goes away.

use std::time::Duration;

use posada::error::codes;
use posada::locks::{Resource, StayHold};
use posada::{Posada, Stay, TenantId};
use posada_tests::{RedisServer, servers, unique};

use crate::lock_cancelling::dropped_after;
use crate::locks::{calls, on};

fn nights() -> Stay {
    Stay::parse("2027-03-10", "2027-03-13").unwrap()
}

/// Rooms of a hotel of their own, which no session wants.
fn rooms(count: usize) -> (TenantId, Vec<StayHold>) {
    let tenant = TenantId::parse(&unique("set")).unwrap();
    let of = |number: usize| {
        let room = Resource::room(&number.to_string()).unwrap();
        StayHold::new(room, nights()).tenant(&tenant)
    };
    let wanted = (0..count).map(of).collect();
    (tenant, wanted)
}

async fn held(posada: &Posada, tenant: &TenantId, count: usize) -> usize {
    let mut held = 0;
    for number in 0..count {
        let room = Resource::room(&number.to_string()).unwrap();
        held += posada
            .locks()
            .holds(Some(tenant), &room, nights())
            .await
            .unwrap()
            .len();
    }
    held
}

#[tokio::test]
async fn one_server_makes_or_refuses_them_in_one_call() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let (tenant, wanted) = rooms(4);
    posada.locks().hold_stays(&wanted).await.unwrap();
    let before = calls(&server, "evalsha");
    let (other, mut wanted) = rooms(4);
    posada.locks().hold_stays(&wanted).await.unwrap();
    wanted.reverse();
    let refused = posada.locks().hold_stays(&wanted).await.unwrap_err();
    assert_eq!(calls(&server, "evalsha") - before, 2);
    assert!(refused.is(codes::LOCKS_NIGHTS_TAKEN), "{refused}");
    assert_eq!(refused.fact("resource"), Some("room:0"));
    assert_eq!(refused.fact("nights"), Some("2027-03-10,2027-03-11,2027-03-12"));
    assert_eq!(held(&posada, &tenant, 4).await, 4);
    assert_eq!(held(&posada, &other, 4).await, 4);
}

#[tokio::test]
async fn a_refusal_in_one_step_restores_what_was_there_before() {
    for url in ["memory:", servers::redis().url()] {
        let posada = on(url);
        let (tenant, wanted) = rooms(3);
        let mine = |number: usize| wanted[number].clone().capacity(5).session_id("ana");
        let before = posada.locks().hold_stay(&mine(0).quantity(3)).await.unwrap();
        posada.locks().hold_stay(&wanted[2]).await.unwrap();
        let more = [mine(0).quantity(5), mine(1), wanted[2].clone()];
        let fewer = [mine(0), mine(1), wanted[2].clone()];
        for set in [more, fewer] {
            let refused = posada.locks().hold_stays(&set).await.unwrap_err();
            assert_eq!(refused.fact("resource"), Some("room:2"));
            let room = Resource::room("0").unwrap();
            let live = posada
                .locks()
                .holds(Some(&tenant), &room, nights())
                .await
                .unwrap();
            assert_eq!((live.len(), live[0].quantity), (1, 3));
            assert_eq!((&*live[0].id, live[0].fence), (before.id(), before.fence()));
            assert_eq!(held(&posada, &tenant, 3).await, 2);
            // The units per night are as before, too: two are left, and not three.
            let two = wanted[0].clone().capacity(5).quantity(2);
            let three = wanted[0].clone().capacity(5).quantity(3);
            assert!(posada.locks().hold_stay(&three).await.is_err());
            posada
                .locks()
                .hold_stay(&two)
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
        }
    }
}

/// Drops a request for four rooms at each poll: afterwards all of them can be had.
async fn every_poll(url: &str) {
    let posada = on(url);
    for polls in 0.. {
        let (tenant, wanted) = rooms(4);
        let outcome = dropped_after(polls, posada.locks().hold_stays(&wanted)).await;
        if let Some(outcome) = outcome {
            assert_eq!(outcome.unwrap().len(), 4);
            assert_eq!(held(&posada, &tenant, 4).await, 4);
            return;
        }
        let all = async {
            while posada.locks().hold_stays(&wanted).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        // They would live twenty minutes.
        tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
        assert_eq!(
            held(&posada, &tenant, 4).await,
            4,
            "something of the first request is left"
        );
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_before_the_answer_comes_leaves_nothing() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let (posada, observer) = (on(url), on(url));
        posada.locks().hold_stays(&rooms(4).1).await.unwrap();
        let (tenant, wanted) = rooms(4);
        let mut request = Box::pin(posada.locks().hold_stays(&wanted));
        // It is sent, takes effect, and is not polled again.
        assert!(futures_util::poll!(&mut request).is_pending());
        while held(&observer, &tenant, 4).await == 0 {}
        drop(request);
        let gone = async { while held(&observer, &tenant, 4).await > 0 {} };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_of_one_redis_may_go_away_at_any_poll_and_leaves_nothing() {
    every_poll(servers::redis().url()).await;
}

#[tokio::test]
async fn a_caller_of_a_cluster_may_go_away_at_any_poll_and_leaves_nothing() {
    every_poll(servers::cluster().url()).await;
}

#[tokio::test]
async fn overlapping_sets_of_many_callers_never_give_a_night_out_twice() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let (one, other) = (on(url), on(url));
        let (tenant, wanted) = rooms(5);
        let callers = (0..20_usize).map(|caller| {
            let posada = if caller % 2 == 0 { &one } else { &other };
            let mut set: Vec<_> = (0..3)
                .map(|step| wanted[(caller + step * 2) % 5].clone())
                .collect();
            if caller % 3 == 0 {
                set.reverse();
            }
            async move {
                match posada.locks().hold_stays(&set).await {
                    Ok(held) => held.len(),
                    Err(error) if error.is(codes::LOCKS_NIGHTS_TAKEN) => 0,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let made: usize = futures_util::future::join_all(callers).await.into_iter().sum();
        // Two sets of three of five rooms always meet, and whoever is refused keeps nothing.
        assert!(made <= 3, "{made} of 5 rooms went to sets of 3");
        assert_eq!(held(&one, &tenant, 5).await, made);
    }
}
