//! Changes whose answers are lost, or that another guest prevents.

use futures_util::future::join;

use super::*;
use crate::pms::fixture::{World, request, room, stay};
use crate::pms::{MockCollision, MockFault, MockOperation, PmsClient};

fn longer() -> (Stay, BookingChange) {
    let stay = Stay::parse("2027-03-10", "2027-03-13").unwrap();
    (stay, BookingChange::new().stay(stay))
}

async fn book(process: &PmsClient, key: &str) -> Booking {
    let request = request(key, stay(), room(2));
    process.book(&request, None).await.unwrap()
}

#[tokio::test]
async fn a_change_whose_answers_were_lost_is_made_once_and_whole() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, "lost").await;
    for fault in [MockFault::TimeoutBeforeWrite, MockFault::TimeoutAfterWrite] {
        world.mock.script(MockOperation::Place, fault, 1);
        world.mock.script(MockOperation::Price, fault, 1);
    }
    let (stay, change) = longer();
    let changed = process.modify(booking.id, &change).await.unwrap();
    assert_eq!(
        (changed.stay, changed.total.to_string()),
        (stay, "3900.00 USD".into())
    );
}

#[tokio::test]
async fn a_change_whose_price_cannot_be_set_is_taken_back() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, "priceless").await;
    world.mock.script(MockOperation::Price, MockFault::Unavailable, 1);
    let error = process.modify(booking.id, &longer().1).await.unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
    let now = process.booking(booking.id).await.unwrap().unwrap();
    assert_eq!((now.stay, now.total), (booking.stay, booking.total));
}

#[tokio::test]
async fn a_change_that_cannot_be_taken_back_either_is_unknown() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, "half").await;
    world.mock.script(MockOperation::Price, MockFault::Unavailable, 1);
    let (change, price) = (longer().1, world.mock.clone());
    world.mock.set_gap(50);
    let (answer, ()) = join(process.modify(booking.id, &change), async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        // The row is being written now; whatever is written after it fails.
        price.script(MockOperation::Place, MockFault::Unavailable, 100);
    })
    .await;
    let error = answer.unwrap_err();
    assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
    assert_eq!(error.fact("booking"), Some(booking.id.to_string().as_str()));
}

#[tokio::test]
async fn a_change_into_a_night_that_somebody_takes_meanwhile_leaves_no_room_to_two() {
    for collision in [MockCollision::BackOrder, MockCollision::DoubleBook] {
        let world = World::new();
        let (first, second) = (world.process(), world.process());
        let booking = book(&first, "first").await;
        world
            .occupy(Stay::parse("2027-03-12", "2027-03-13").unwrap(), 4)
            .await;
        world.mock.set_collision(collision);
        world.mock.set_gap(200);
        let last_room = request("last", Stay::parse("2027-03-12", "2027-03-13").unwrap(), room(1));
        let change = longer().1;
        let (changed, booked) = join(first.modify(booking.id, &change), second.book(&last_room, None)).await;
        assert!(changed.is_err() || booked.is_err(), "{changed:?} {booked:?}");
        assert_eq!(world.mock.double_booked_nights(), 0, "{collision:?}");
        let now = first.booking(booking.id).await.unwrap().unwrap();
        match changed {
            Ok(changed) => assert_eq!(now, changed),
            Err(error) => {
                assert!(error.is(codes::PMS_SOLD_OUT), "{error}");
                assert_eq!((now.stay, now.total), (booking.stay, booking.total));
            }
        }
    }
}
