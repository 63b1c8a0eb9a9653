//! Changes that the simulated server cannot make without losing services: they are refused before anything is written.

use super::simulated::World;
use crate::Stay;
use crate::error::codes;
use crate::pms::fixture::{request, room, stay};
use crate::pms::{Booking, BookingChange, BookingId, ChosenService, Party, PmsClient, ServiceId};

const FEE: u64 = 5;
const SHUTTLE: u64 = 7;
const BREAKFAST: u64 = 9;
/// Paid for each night, and a room may have four.
const DINNER: u64 = 10;

/// A number of nights from the same day on.
fn nights(nights: u32) -> BookingChange {
    let end = format!("2027-03-{}", 10 + nights);
    BookingChange::new().stay(Stay::parse("2027-03-10", &end).unwrap())
}

fn shorter() -> BookingChange {
    BookingChange::new().stay(Stay::parse("2027-03-11", "2027-03-12").unwrap())
}

fn service(id: u64) -> ServiceId {
    ServiceId::from(id)
}

async fn book_with(process: &PmsClient, services: &[u64], rooms: usize) -> Booking {
    let party = Party::new(vec![room(1); rooms]).unwrap();
    let chosen = services.iter().map(|id| ChosenService::from(service(*id)));
    let wish = request("with-services", stay(), party).services(chosen);
    process.book(&wish.unwrap(), None).await.unwrap()
}

/// Both calls refuse the change with the same error and write nothing, and the booking is what it was.
async fn is_refused(
    world: &World,
    process: &PmsClient,
    booking: &Booking,
    change: &BookingChange,
    why: &str,
) {
    let before = process.booking(booking.id).await.unwrap().unwrap();
    let writes = world.server.writes();
    let quoted = process.quote_change(booking.id, change).await.unwrap_err();
    let changed = process.modify(booking.id, change).await.unwrap_err();
    for error in [&quoted, &changed] {
        assert!(error.is(codes::PMS_WRONG_STATE), "{why}: {error}");
        assert!(error.message().contains(why), "{why}: {error}");
        assert!(error.message().contains("itself"), "{why}: {error} has a remedy");
        assert_eq!(error.fact("booking"), Some(booking.id.to_string().as_str()));
    }
    assert_eq!(quoted.message(), changed.message());
    assert_eq!(world.server.writes(), writes, "{why}");
    assert_eq!(
        process.booking(booking.id).await.unwrap().unwrap(),
        before,
        "{why}"
    );
}

#[tokio::test]
async fn other_nights_of_a_booking_with_several_services_are_refused_before_anything_is_written() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[SHUTTLE, BREAKFAST], 1).await;
    for change in [nights(3), shorter()] {
        is_refused(&world, &process, &booking, &change, "several services").await;
    }
}

#[tokio::test]
async fn other_nights_with_a_nightly_service_that_a_room_can_have_twice_are_refused_before_anything_is_written()
 {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[DINNER], 1).await;
    let why = "for each night of which a room can have several";
    for change in [nights(3), shorter()] {
        is_refused(&world, &process, &booking, &change, why).await;
    }
}

#[tokio::test]
async fn other_nights_with_different_services_in_the_rooms_are_refused_before_anything_is_written() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[], 2).await;
    world.server.sells_to_first_room(booking.id, service(SHUTTLE));
    for change in [nights(3), shorter()] {
        is_refused(&world, &process, &booking, &change, "different services").await;
    }
}

#[tokio::test]
async fn other_nights_with_a_service_and_facilities_are_refused_before_anything_is_written() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[BREAKFAST], 1).await;
    world.server.adds_facility(booking.id);
    for change in [nights(3), shorter()] {
        is_refused(&world, &process, &booking, &change, "facilities").await;
    }
}

/// The server finds the price of the rooms by the lines of the services, which leave all nights out but one.
#[tokio::test]
async fn other_nights_of_services_that_cost_more_than_the_rooms_are_refused_before_anything_is_written() {
    let world = World::new().await;
    world.server.set_price_percent(1);
    let process = world.process();
    let booking = book_with(&process, &[BREAKFAST], 1).await;
    let why = "cost more than its rooms";
    is_refused(&world, &process, &booking, &nights(4), why).await;
    let changed = process.modify(booking.id, &nights(3)).await.unwrap();
    assert_eq!(
        changed.total.to_string(),
        "1903.20 USD",
        "what the rooms cost more is enough"
    );
    assert_eq!(changed.services, booking.services);
}

#[tokio::test]
async fn a_change_that_could_not_be_put_back_is_refused_before_anything_is_written() {
    let world = World::new().await;
    world.server.set_price_percent(1);
    let process = world.process();
    let chosen = [ChosenService::from(service(BREAKFAST))];
    let four = Stay::parse("2027-03-10", "2027-03-14").unwrap();
    let wish = request("four", four, room(1)).services(chosen).unwrap();
    let booking = process.book(&wish, None).await.unwrap();
    let why = "cost more than its rooms";
    is_refused(&world, &process, &booking, &nights(2), why).await;
}

/// Without an invoice a lower price is undercut first, which removes whatever is no room.
#[tokio::test]
async fn fewer_nights_of_a_booking_with_lines_that_are_no_rooms_are_refused_before_anything_is_written() {
    for is_undercut in [true, false] {
        let world = World::new().await;
        let process = world.process();
        book_with(&process, &[], 1).await;
        let booking = process.booking(BookingId::from(1)).await.unwrap().unwrap();
        // The server's own fee: it is in every price, and no service that a guest chose.
        world.server.sells_to_first_room(booking.id, service(FEE));
        let now = process.booking(booking.id).await.unwrap().unwrap();
        assert_eq!(now.services, [], "nothing that was chosen");
        if is_undercut {
            is_refused(&world, &process, &booking, &shorter(), "more than rooms").await;
        } else {
            // An invoice gets a discount, and nothing is lost.
            world.server.makes_invoice(booking.id);
            let changed = process.modify(booking.id, &shorter()).await.unwrap();
            assert_eq!(changed.total.to_string(), "1300.00 USD");
        }
    }
}

#[tokio::test]
async fn fewer_nights_are_refused_before_anything_is_written_when_the_key_may_not_see_what_they_need() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[], 1).await;
    world.server.hide(&["order_invoices"]);
    let writes = world.server.writes();
    for error in [
        process.quote_change(booking.id, &shorter()).await.unwrap_err(),
        process.modify(booking.id, &shorter()).await.unwrap_err(),
    ] {
        assert!(error.is(codes::PMS_NOT_PERMITTED), "{error}");
        assert_eq!(error.fact("resource"), Some("order_invoices"));
    }
    assert_eq!(world.server.writes(), writes);
}

/// The server would make another guest of a booking whose guest is not repeated.
#[tokio::test]
async fn other_nights_of_a_guest_whom_the_shop_hides_are_refused_before_anything_is_written() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[], 1).await;
    world.server.hides_guest(booking.id);
    for change in [nights(3), shorter()] {
        is_refused(&world, &process, &booking, &change, "whose booking").await;
    }
    let alone = BookingChange::new().party(room(2));
    let changed = process.modify(booking.id, &alone).await.unwrap();
    assert_eq!((changed.guest, changed.total), (None, booking.total));
}

#[tokio::test]
async fn what_leaves_the_price_alone_is_changed_with_any_services() {
    let world = World::new().await;
    let process = world.process();
    let booking = book_with(&process, &[SHUTTLE, DINNER], 1).await;
    world.server.adds_facility(booking.id);
    let change = BookingChange::new().party(room(2));
    let quote = process.quote_change(booking.id, &change).await.unwrap();
    assert_eq!(quote.total, booking.total);
    let writes = world.server.writes();
    let changed = process.modify(booking.id, &change).await.unwrap();
    assert_eq!(
        (changed.total, &changed.services),
        (booking.total, &booking.services)
    );
    assert_eq!(changed.rooms[0].occupancy, room(2));
    assert!(world.server.writes() > writes, "it was written");
}
