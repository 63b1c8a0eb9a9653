//! Bookings whose answers are lost, which die half-way, or which another program makes too.

use futures_util::future::join;

use super::*;
use crate::pms::fixture::{World, hotel, request, room, room_type, stay};
use crate::pms::{MockFault, MockOperation, MockPms, PmsClient};

async fn book(process: &PmsClient, key: &str) -> Result<Booking> {
    process.book(&request(key, stay(), room(2)), None).await
}

fn lose(mock: &MockPms, fault: MockFault) {
    mock.script(MockOperation::Create, fault, 1);
}

#[tokio::test]
async fn a_booking_whose_answer_was_lost_is_found_and_not_made_again() {
    let world = World::new();
    lose(&world.mock, MockFault::TimeoutAfterWrite);
    let booking = book(&world.process(), "lost").await.unwrap();
    assert_eq!(booking.created, Created::Created);
    let again = book(&world.process(), "lost").await.unwrap();
    assert_eq!((again.id, again.created), (booking.id, Created::FoundAgain));
    assert_eq!(world.mock.bookings(), 1);
}

#[tokio::test]
async fn a_booking_that_shows_late_is_waited_for() {
    let world = World::new();
    lose(&world.mock, MockFault::TimeoutThenWrite { after_lookups: 4 });
    let booking = book(&world.process(), "late").await.unwrap();
    assert_eq!((booking.created, world.mock.bookings()), (Created::Created, 1));
}

#[tokio::test]
async fn a_request_that_never_arrived_is_unknown_and_the_same_key_books_later() {
    let world = World::new();
    lose(&world.mock, MockFault::TimeoutBeforeWrite);
    let error = book(&world.process(), "nowhere").await.unwrap_err();
    assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
    assert_eq!(world.mock.bookings(), 0);
    let booking = book(&world.process(), "nowhere").await.unwrap();
    assert_eq!((booking.created, world.mock.bookings()), (Created::Created, 1));
}

#[tokio::test]
async fn a_booking_that_was_sent_just_now_is_waited_for_by_every_process() {
    let world = World::new();
    lose(&world.mock, MockFault::TimeoutThenWrite { after_lookups: 14 });
    let first = book(&world.process(), "sent").await;
    assert!(first.unwrap_err().is(codes::PMS_OUTCOME_UNKNOWN));
    let booking = book(&world.process(), "sent").await.unwrap();
    assert_eq!((booking.created, world.mock.bookings()), (Created::FoundAgain, 1));
}

#[tokio::test]
async fn a_booking_that_was_sent_long_ago_is_made_again_at_once() {
    let world = World::new();
    lose(&world.mock, MockFault::TimeoutBeforeWrite);
    book(&world.process(), "long-ago").await.unwrap_err();
    world.clock.advance(std::time::Duration::from_mins(1));
    let booking = book(&world.process(), "long-ago").await.unwrap();
    assert_eq!((booking.created, world.mock.bookings()), (Created::Created, 1));
}

#[tokio::test]
async fn a_lost_booking_that_shows_after_a_second_try_leaves_one_booking() {
    let world = World::new();
    // The first call gives up after eleven look-ups, and the rechecks ten times before it makes its own; the
    // late booking shows after that.
    lose(&world.mock, MockFault::TimeoutThenWrite { after_lookups: 23 });
    let process = world.process();
    let first = book(&process, "slow").await;
    assert!(first.unwrap_err().is(codes::PMS_OUTCOME_UNKNOWN));
    let mut live = Vec::new();
    for _ in 0..6 {
        live.push(book(&process, "slow").await.unwrap().id);
    }
    assert_eq!(world.mock.bookings(), 2, "both tries were written");
    assert_eq!(world.free(stay()).await, 4, "and one of them was cancelled");
    let (last, before) = live.split_last().unwrap();
    assert_eq!(before.last(), Some(last), "after that the answer stays the same");
}

#[tokio::test]
async fn nothing_is_sent_to_a_system_that_is_down() {
    let world = World::new();
    world.mock.script(MockOperation::Read, MockFault::Unavailable, 1);
    assert!(
        book(&world.process(), "down")
            .await
            .unwrap_err()
            .is(codes::PMS_UNAVAILABLE)
    );
    lose(&world.mock, MockFault::Unavailable);
    assert!(
        book(&world.process(), "down")
            .await
            .unwrap_err()
            .is(codes::PMS_UNAVAILABLE)
    );
    assert_eq!(world.mock.bookings(), 0);
}

#[tokio::test]
async fn reads_that_fail_after_the_booking_was_made_are_repeated() {
    let world = World::new();
    world.mock.set_gap(100);
    let process = world.process();
    let (booking, ()) = join(book(&process, "patient"), async {
        for _ in 0..60 {
            tokio::task::yield_now().await;
        }
        world.mock.script(MockOperation::Read, MockFault::Unavailable, 4);
    })
    .await;
    assert_eq!(booking.unwrap().status, BookingStatus::Confirmed);
    assert_eq!(world.mock.bookings(), 1);
}

#[tokio::test]
async fn a_price_that_rises_while_the_booking_is_made_cancels_it() {
    let world = World::new();
    let process = world.process();
    let quote = process
        .quote(hotel(), room_type(), stay(), room(2))
        .await
        .unwrap();
    let quoted = request("dearer", stay(), room(2)).quote(quote.clone()).unwrap();
    world.mock.set_gap(200);
    let (answer, ()) = join(process.book(&quoted, None), async {
        for _ in 0..60 {
            tokio::task::yield_now().await;
        }
        world
            .mock
            .set_base_price(room_type(), Money::parse("1100", "USD").unwrap());
    })
    .await;
    let error = answer.unwrap_err();
    assert!(error.is(codes::PMS_PRICE_CHANGED), "{error}");
    assert_eq!(error.fact("quoted"), Some("2600.00 USD"));
    assert_eq!(error.fact("current"), Some("2808.00 USD"));
    assert!(error.fact("cancelled_booking").is_some());
    assert_eq!(world.free(stay()).await, 5);
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_only_the_answer() {
    let world = World::new();
    world.mock.set_gap(20);
    let process = world.process();
    let asked = request("impatient", stay(), room(2));
    let mut call = Box::pin(process.book(&asked, None));
    tokio::select! {
        biased;
        answer = &mut call => panic!("the gap is wide: {answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(call);
    let booking = loop {
        match process.find_booking(asked.key()).await {
            Ok(Some(booking)) if booking.status == BookingStatus::Confirmed => break booking,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(process.book(&asked, None).await.unwrap().id, booking.id);
}

#[tokio::test]
async fn a_cancellation_whose_answer_was_lost_is_tried_again() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, "ended").await.unwrap();
    world
        .mock
        .script(MockOperation::Cancel, MockFault::TimeoutBeforeWrite, 1);
    world
        .mock
        .script(MockOperation::Cancel, MockFault::TimeoutAfterWrite, 1);
    assert_eq!(
        process.cancel(booking.id).await.unwrap().status,
        BookingStatus::Cancelled
    );
    assert_eq!(world.free(stay()).await, 5);
}

#[tokio::test]
async fn a_guest_in_the_house_cannot_be_cancelled() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, "arrived").await.unwrap();
    process.check_in(booking.id).await.unwrap();
    let error = process.cancel(booking.id).await.unwrap_err();
    assert!(error.is(codes::PMS_WRONG_STATE));
    assert_eq!(error.fact("status"), Some("checked_in"));
    process.check_out(booking.id).await.unwrap();
    assert_eq!(
        process.booking(booking.id).await.unwrap().unwrap().status,
        BookingStatus::CheckedOut
    );
    assert_eq!(world.free(stay()).await, 5, "a guest who has left takes no room");
}

/// What a definite refusal leaves must not make the next call wait, nor other guests of the hotel.
#[tokio::test]
async fn a_booking_that_was_refused_is_sent_again_at_once_by_the_same_key() {
    let world = World::new();
    lose(&world.mock, MockFault::Unavailable);
    let refused = book(&world.process(), "k-1").await.unwrap_err();
    assert!(refused.is(codes::PMS_UNAVAILABLE), "{refused}");
    let key = IdempotencyKey::parse("k-1").unwrap();
    assert_eq!(world.keys.read("mock", &key).await.unwrap(), KeyRecord::default());
    assert_eq!(world.keys.unsettled("mock", &key).await.unwrap(), None);
    let booking = book(&world.process(), "k-1").await.unwrap();
    assert_eq!((booking.created, world.mock.bookings()), (Created::Created, 1));
}

#[tokio::test]
async fn an_answer_that_is_waited_for_keeps_no_other_guest_waiting() {
    let world = World::new();
    let patient = RetryPolicy {
        total: Duration::from_hours(1),
        limit: Duration::from_hours(1),
        ..World::retry()
    };
    let process = world.client(Arc::new(world.mock.clone()), world.keys.clone(), patient);
    // It never shows, so its call waits as long as it may.
    lose(&world.mock, MockFault::TimeoutBeforeWrite);
    let lost = request("lost", stay(), room(2));
    let other = request("other", stay(), room(2));
    tokio::select! {
        biased;
        answer = process.book(&lost, None) => panic!("its booking never shows: {answer:?}"),
        booking = async {
            while !world.keys.read("mock", lost.key()).await.unwrap().was_sent() {
                tokio::task::yield_now().await;
            }
            process.book(&other, None).await
        } => assert_eq!(booking.unwrap().status, BookingStatus::Confirmed),
    }
}
