//! Tests of changes that died between their rows and their price, on the mock.

use super::store::KeyStore as _;
use crate::error::codes;
use crate::pms::change::BookingChange;
use crate::pms::fixture::{World, request, room, room_type, stay};
use crate::pms::port::BookingSystem as _;
use crate::pms::record::{Room, RowChange};
use crate::pms::{
    Booking, BookingId, BookingStatus, IdempotencyKey, MockFault, MockOperation, Money, Party, PmsClient,
    RoomId, StayId,
};
use crate::stay::Stay;

fn nights(check_in: &str, check_out: &str) -> BookingChange {
    BookingChange::new().stay(Stay::parse(check_in, check_out).unwrap())
}

fn longer() -> BookingChange {
    nights("2027-03-10", "2027-03-13")
}

async fn book(process: &PmsClient, rooms: usize) -> Booking {
    let party = Party::new(vec![room(2); rooms]).unwrap();
    let request = request("incomplete", stay(), party);
    process.book(&request, None).await.unwrap()
}

async fn now(world: &World, id: BookingId) -> Booking {
    world.process().booking(id).await.unwrap().unwrap()
}

fn dollars(booking: &Booking) -> String {
    booking.total.to_string()
}

/// A process begins a change and dies after a number of rooms have their new nights; none has its price then.
async fn dies_after(world: &World, id: BookingId, change: &BookingChange, rooms: usize) {
    let before = now(world, id).await;
    let process = world.process();
    // Each row is written after a number of turns of the others, who see every state in between.
    world.mock.set_gap(20);
    world
        .mock
        .script(MockOperation::Price, MockFault::TimeoutBeforeWrite, 1);
    let dying = process.0.pms.change(id, change);
    let looking = async {
        loop {
            let seen = now(world, id).await;
            let moved = before.rooms.iter().zip(&seen.rooms);
            if moved.filter(|(before, seen)| before.stay != seen.stay).count() == rooms {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = dying => panic!("its price cannot be set: {:?}", answer),
        () = looking => {}
    }
    world.mock.set_gap(0);
    world.mock.calm();
    assert_eq!(
        now(world, id).await.total,
        before.total,
        "the price is the old one"
    );
}

fn dearer(world: &World) {
    world
        .mock
        .set_base_price(room_type(), Money::parse("2000", "USD").unwrap());
}

#[tokio::test]
async fn a_change_that_died_before_its_price_is_finished_by_the_next_call_at_the_price_that_was_agreed() {
    let world = World::new();
    let booking = book(&world.process(), 1).await;
    let agreed = world.process().quote_change(booking.id, &longer()).await.unwrap();
    let change = longer().quote(agreed).unwrap();
    dies_after(&world, booking.id, &change, 1).await;
    dearer(&world);
    let other = world.process();
    let quote = other.quote_change(booking.id, &longer()).await.unwrap();
    assert_eq!(quote.total.to_string(), "3900.00 USD");
    let changed = other.modify(booking.id, &change).await.unwrap();
    assert_eq!(
        (changed.stay.nights(), dollars(&changed)),
        (3, "3900.00 USD".into())
    );
    // It is over now, and the same nights keep the price that they have.
    let again = other.modify(booking.id, &longer()).await.unwrap();
    assert_eq!(dollars(&again), "3900.00 USD");
    let longest = other
        .modify(booking.id, &nights("2027-03-10", "2027-03-14"))
        .await
        .unwrap();
    assert_eq!(
        dollars(&longest),
        "9360.00 USD",
        "other nights cost what they cost now"
    );
}

#[tokio::test]
async fn of_a_change_that_died_between_two_rooms_both_have_the_new_nights_after_the_next_call() {
    let world = World::new();
    let booking = book(&world.process(), 2).await;
    dies_after(&world, booking.id, &longer(), 1).await;
    let changed = world.process().modify(booking.id, &longer()).await.unwrap();
    assert!(
        changed.rooms.iter().all(|room| room.stay.nights() == 3),
        "{changed:?}"
    );
    assert_eq!(dollars(&changed), "7800.00 USD");
    let free = Stay::parse("2027-03-12", "2027-03-13").unwrap();
    assert_eq!(world.free(free).await, 3);
}

#[tokio::test]
async fn another_change_after_one_that_died_has_its_own_price() {
    for (check_in, check_out, total) in [
        ("2027-03-10", "2027-03-14", "9360.00 USD"),
        // Also back to the nights that it had.
        ("2027-03-10", "2027-03-12", "4680.00 USD"),
        ("2027-04-01", "2027-04-02", "2340.00 USD"),
    ] {
        for rooms in [1, 2] {
            let world = World::new();
            let booking = book(&world.process(), rooms).await;
            dies_after(&world, booking.id, &longer(), 1).await;
            dearer(&world);
            let other = nights(check_in, check_out);
            let changed = world.process().modify(booking.id, &other).await.unwrap();
            let total = Money::parse(total.trim_end_matches(" USD"), "USD").unwrap();
            let rooms = u32::try_from(rooms).unwrap();
            assert_eq!(
                changed.total,
                total.times(rooms).unwrap(),
                "{check_in} {check_out}"
            );
            assert_eq!(changed.stay, Stay::parse(check_in, check_out).unwrap());
            // And the first one is forgotten.
            let again = world.process().modify(booking.id, &longer()).await.unwrap();
            assert_eq!(
                again.total,
                Money::parse("7020", "USD").unwrap().times(rooms).unwrap()
            );
        }
    }
}

#[tokio::test]
async fn another_change_that_fails_after_one_that_died_leaves_the_first_to_be_finished() {
    let world = World::new();
    let booking = book(&world.process(), 1).await;
    dies_after(&world, booking.id, &longer(), 1).await;
    dearer(&world);
    let process = world.process();
    world.mock.script(MockOperation::Price, MockFault::Unavailable, 1);
    let shorter = nights("2027-03-10", "2027-03-11");
    let error = process.modify(booking.id, &shorter).await.unwrap_err();
    assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
    assert_eq!(
        now(&world, booking.id).await.stay.nights(),
        3,
        "its rows are put back"
    );
    let changed = process.modify(booking.id, &longer()).await.unwrap();
    assert_eq!(dollars(&changed), "3900.00 USD");
}

#[tokio::test]
async fn a_change_that_was_taken_back_is_priced_anew() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, 1).await;
    world.mock.script(MockOperation::Price, MockFault::Unavailable, 1);
    let error = process.modify(booking.id, &longer()).await.unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
    dearer(&world);
    let changed = process.modify(booking.id, &longer()).await.unwrap();
    assert_eq!(dollars(&changed), "7020.00 USD");
}

#[tokio::test]
async fn a_change_that_died_before_its_first_row_is_priced_anew() {
    let world = World::new();
    let booking = book(&world.process(), 1).await;
    dies_after(&world, booking.id, &longer(), 0).await;
    dearer(&world);
    let changed = world.process().modify(booking.id, &longer()).await.unwrap();
    assert_eq!(dollars(&changed), "7020.00 USD");
}

#[tokio::test]
async fn other_guests_alone_leave_a_change_that_died_to_be_finished() {
    let world = World::new();
    let booking = book(&world.process(), 1).await;
    dies_after(&world, booking.id, &longer(), 1).await;
    dearer(&world);
    let process = world.process();
    let alone = BookingChange::new().party(room(1));
    process.modify(booking.id, &alone).await.unwrap();
    let changed = process.modify(booking.id, &longer()).await.unwrap();
    assert_eq!(dollars(&changed), "3900.00 USD");
    assert_eq!(changed.rooms[0].occupancy, room(1));
}

#[tokio::test]
async fn a_booking_whose_change_died_can_be_cancelled() {
    let world = World::new();
    let booking = book(&world.process(), 2).await;
    dies_after(&world, booking.id, &longer(), 1).await;
    let process = world.process();
    let cancelled = process.cancel(booking.id).await.unwrap();
    assert_eq!(cancelled.status, BookingStatus::Cancelled);
    let nights = Stay::parse("2027-03-10", "2027-03-13").unwrap();
    assert_eq!(world.free(nights).await, 5);
    let error = process.modify(booking.id, &longer()).await.unwrap_err();
    assert!(error.is(codes::PMS_WRONG_STATE), "{error}");
}

/// The process that died had not looked whether another booking came into the new nights at the same time.
#[tokio::test]
async fn whoever_finishes_a_change_looks_for_somebody_in_its_new_nights() {
    for is_full in [false, true] {
        let world = World::new();
        let booking = book(&world.process(), 1).await;
        dies_after(&world, booking.id, &longer(), 1).await;
        let last_night = Stay::parse("2027-03-12", "2027-03-13").unwrap();
        world.occupy(last_night, 4).await;
        // One of them had checked before our row was written, and has our room.
        let ours = Room {
            id: RoomId::from(1),
            number: "GR-101".into(),
        };
        let key = IdempotencyKey::parse("occupied").unwrap();
        let others = world.process().find_booking(&key).await.unwrap().unwrap();
        world
            .mock
            .change_row(others.id, StayId::from(2), &RowChange::to_room(ours))
            .await
            .unwrap();
        assert_eq!(world.mock.double_booked_nights(), 1);
        let process = world.process();
        if !is_full {
            let changed = process.modify(booking.id, &longer()).await.unwrap();
            assert_eq!(
                changed.rooms[0].number.as_deref(),
                Some("GR-102"),
                "which the other one left"
            );
            assert_eq!(dollars(&changed), "3900.00 USD");
            assert_eq!(world.mock.double_booked_nights(), 0);
            continue;
        }
        let last = request("last", last_night, room(1));
        process.book(&last, None).await.unwrap();
        let error = process.modify(booking.id, &longer()).await.unwrap_err();
        assert!(error.is(codes::PMS_SOLD_OUT), "{error}");
        let back = nights("2027-03-10", "2027-03-12");
        let changed = process.modify(booking.id, &back).await.unwrap();
        assert_eq!(dollars(&changed), "2600.00 USD");
        assert_eq!(world.mock.double_booked_nights(), 0);
    }
}

#[tokio::test]
async fn what_is_remembered_of_a_change_ends_with_it() {
    let world = World::new();
    let process = world.process();
    let booking = book(&process, 1).await;
    let key = booking.key.clone().unwrap();
    process.modify(booking.id, &longer()).await.unwrap();
    let known = world.keys.read("mock", &key).await.unwrap();
    assert_eq!(known.begun(), None);
}
