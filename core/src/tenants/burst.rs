//! Many guests at once who are not in the cache yet.

use futures_util::future::join_all;
use futures_util::poll;

use super::tests::Fixture;
use super::*;
use crate::error::codes;

fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("+34600{number:06}")).collect()
}

/// A hotel for each number, behind a store that does not answer yet.
async fn fixture_of(numbers: &[String]) -> (Fixture, TenantResolver) {
    let fixture = Fixture::new().await;
    for (index, number) in numbers.iter().enumerate() {
        fixture.store.add(&format!("hotel-{index}"), number).await;
    }
    fixture.store.set_open(false);
    let resolver = fixture.resolver(TenantOptions::default());
    (fixture, resolver)
}

fn ask<'a>(
    resolver: &'a TenantResolver,
    numbers: &'a [String],
) -> impl Future<Output = Vec<Result<Resolution>>> + use<'a> {
    join_all(numbers.iter().map(|number| resolver.resolve(number, None)))
}

fn tenant(answer: &Result<Resolution>) -> &str {
    answer.as_ref().unwrap().tenant().unwrap().id.as_str()
}

#[tokio::test]
async fn questions_that_come_while_others_are_under_way_share_a_statement() {
    let numbers = numbers(100);
    let (fixture, resolver) = fixture_of(&numbers).await;
    let mut all = std::pin::pin!(ask(&resolver, &numbers));
    assert!(poll!(&mut all).is_pending());
    assert_eq!(fixture.store.finds(), 2);
    fixture.store.set_open(true);
    for (index, answer) in all.await.iter().enumerate() {
        assert_eq!(tenant(answer), format!("hotel-{index}"));
    }
    assert_eq!(fixture.store.finds(), 3);
}

#[tokio::test]
async fn a_statement_that_takes_long_holds_nobody_up() {
    let numbers = numbers(10);
    let (fixture, resolver) = fixture_of(&numbers).await;
    let mut all = std::pin::pin!(ask(&resolver, &numbers));
    assert!(poll!(&mut all).is_pending());
    // The first two are not answered; the others are asked beside them.
    fixture.store.was_asked(3).await;
    fixture.store.set_open(true);
    assert!(all.await.iter().all(Result::is_ok));
    assert_eq!(fixture.store.finds(), 3);
}

#[tokio::test]
async fn a_failure_reaches_everybody_who_shares_it_and_blocks_nobody_after() {
    let numbers = numbers(10);
    let (fixture, resolver) = fixture_of(&numbers).await;
    fixture.store.set_down(true);
    let mut all = std::pin::pin!(ask(&resolver, &numbers));
    assert!(poll!(&mut all).is_pending());
    fixture.store.set_open(true);
    for answer in all.await {
        assert!(answer.unwrap_err().is(codes::POSTGRES_UNAVAILABLE));
    }
    fixture.store.set_down(false);
    for (index, answer) in ask(&resolver, &numbers).await.iter().enumerate() {
        assert_eq!(tenant(answer), format!("hotel-{index}"));
    }
}

#[tokio::test]
async fn callers_who_leave_take_no_answer_from_the_others() {
    let numbers = numbers(10);
    let (fixture, resolver) = fixture_of(&numbers).await;
    let mut leaving = Box::pin(ask(&resolver, &numbers));
    assert!(poll!(&mut leaving).is_pending());
    let mut staying = std::pin::pin!(ask(&resolver, &numbers));
    assert!(poll!(&mut staying).is_pending());
    drop(leaving);
    fixture.store.set_open(true);
    assert!(staying.await.iter().all(Result::is_ok));
    assert_eq!(fixture.store.finds(), 3);
}
