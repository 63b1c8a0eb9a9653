//! What cannot be booked, in a simulated server that would take most of it: refused with its own error and a remedy, and
//! nothing is written.

use super::simulated::World;
use crate::Stay;
use crate::error::codes;
use crate::pms::fixture::{hotel, request, room, room_type, stay};
use crate::pms::{BookingRequest, Guest, HotelId, IdempotencyKey, Occupancy, Party, RoomTypeId};

fn wish(of: (u64, u64), stay: (&str, &str), party: impl Into<Party>) -> BookingRequest {
    let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
    let (hotel, room_type) = (HotelId::from(of.0), RoomTypeId::from(of.1));
    let stay = Stay::parse(stay.0, stay.1).unwrap();
    let key = IdempotencyKey::parse("refused").unwrap();
    BookingRequest::new(hotel, room_type, stay, party, guest, key)
}

#[tokio::test]
async fn what_cannot_be_booked_is_refused_with_its_own_error_and_a_remedy_and_nothing_is_written() {
    let world = World::new().await;
    world.server.set_nights(2, 4);
    let process = world.process();
    let (ours, march) = ((1, 1), ("2027-03-10", "2027-03-12"));
    let crowd = Occupancy::new(3, &[]).unwrap();
    for (wish, code, field, remedy) in [
        (
            wish((9, 1), march, room(2)),
            "pms.unknown_hotel",
            None,
            "ask `hotels`",
        ),
        (
            wish((1, 99), march, room(2)),
            "pms.unknown_room_type",
            None,
            "ask `room_types`",
        ),
        (wish(ours, march, crowd), "pms.occupancy", None, "more rooms"),
        (
            wish(ours, ("2026-12-30", "2027-01-02"), room(2)),
            "pms.invalid_request",
            Some("stay"),
            "before today, 2027-01-01",
        ),
        (
            wish(ours, ("2027-12-30", "2028-01-02"), room(2)),
            "pms.invalid_request",
            Some("stay"),
            "2028-01-01, the last departure",
        ),
        (
            wish(ours, ("2027-03-10", "2027-03-11"), room(2)),
            "pms.invalid_request",
            Some("stay"),
            "asks for 2",
        ),
        (
            wish(ours, ("2027-03-10", "2027-03-15"), room(2)),
            "pms.invalid_request",
            Some("stay"),
            "allows 4",
        ),
    ] {
        let (hotel, room_type, stay) = (wish.hotel(), wish.room_type(), wish.stay());
        let party = wish.party().clone();
        for error in [
            process.quote(hotel, room_type, stay, party).await.unwrap_err(),
            process.book(&wish, None).await.unwrap_err(),
        ] {
            assert_eq!((error.code(), error.field()), (code, field), "{error}");
            assert!(error.message().contains(remedy), "{error}");
        }
    }
    assert_eq!((world.server.writes(), world.server.bookings()), (0, 0));
}

#[tokio::test]
async fn the_fewest_and_the_most_nights_that_are_sold_can_be_booked() {
    let world = World::new().await;
    world.server.set_nights(2, 4);
    let process = world.process();
    for (key, end) in [("fewest", "2027-03-12"), ("most", "2027-03-14")] {
        let stay = Stay::parse("2027-03-10", end).unwrap();
        let booked = process.book(&request(key, stay, room(2)), None).await;
        assert_eq!(booked.unwrap().stay, stay);
    }
    // A question about all room types returns none that is not sold for this number of nights.
    let long = Stay::parse("2027-03-10", "2027-03-15").unwrap();
    let answer = process.availability(hotel(), long, room(2), None).await;
    assert_eq!(answer.unwrap().offers, []);
    let one = process
        .availability(hotel(), long, room(2), Some(room_type()))
        .await;
    assert_eq!(one.unwrap_err().field(), Some("stay"));
}

/// Nothing that a guest can write reaches a server that throws over it, and nothing keeps the hotel closed.
#[tokio::test]
async fn texts_over_which_the_server_throws_are_refused_before_anything_is_sent() {
    let world = World::new().await;
    let process = world.process();
    for (first, last, email) in [
        ("Ana|Eva", "Gómez", "ana@example.com"),
        ("Ana", "Gó¤mez", "ana@example.com"),
        ("Ana", "Gómez", "ana|eva@example.com"),
        ("Ana", "Gómez", "ana@example.xn--p1ai"),
    ] {
        let guest = Guest::new(first, last, email, "5551234567").unwrap();
        let key = IdempotencyKey::parse("thrown").unwrap();
        let wish = BookingRequest::new(hotel(), room_type(), stay(), room(2), guest, key);
        let error = process.book(&wish, None).await.unwrap_err();
        assert!(error.is(codes::PMS_INVALID_REQUEST), "{error}");
    }
    assert_eq!((world.server.creates(), world.server.writes()), (0, 0));
}
