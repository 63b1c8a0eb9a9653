//! The mock behind the client: what every system must do, and what only the client does.

use chrono::DateTime;
use futures_util::StreamExt as _;

use super::fixture::{World, hotel, request, room, room_type, stay};
use super::*;
use crate::testkit::pms::Suite;

#[tokio::test]
async fn a_city_tax_comes_on_top_is_due_at_the_hotel_and_is_part_of_what_the_guest_pays() {
    let world = World::new();
    world
        .mock
        .set_city_tax(Money::parse("5", "USD").unwrap())
        .unwrap();
    let euros = world.mock.set_city_tax(Money::parse("5", "EUR").unwrap());
    assert!(euros.unwrap_err().is(codes::MONEY_INVALID));
    let process = world.process();
    let family = Occupancy::new(2, &[7]).unwrap();
    let quote = process.quote(hotel(), room_type(), stay(), family).await.unwrap();
    assert_eq!(quote.total.to_string(), "2630.00 USD");
    assert_eq!(
        (quote.price.payable, quote.price.net.unwrap().to_string()),
        (quote.total, "2500.00 USD".into())
    );
    let charges = |price: &Price| -> Vec<_> {
        let charges = price.charges.iter();
        charges
            .map(|charge| {
                (
                    charge.kind,
                    charge.amount.to_string(),
                    charge.included,
                    charge.due,
                )
            })
            .collect()
    };
    let tax = (ChargeKind::Tax, "100.00 USD".to_owned(), true, Due::AtBooking);
    let city_tax = (ChargeKind::CityTax, "30.00 USD".to_owned(), false, Due::AtHotel);
    assert_eq!(charges(&quote.price), [tax, city_tax.clone()]);
    let template = request("city-tax", stay(), room(2));
    let request = BookingRequest::from_quote(quote.clone(), template.guest().clone(), template.key().clone());
    let booking = process.book(&request, None).await.unwrap();
    assert_eq!(
        (booking.total, charges(&booking.price)),
        (quote.total, vec![city_tax])
    );
    assert_eq!(booking.rooms[0].price, Some(quote.total));
    let longer = BookingChange::new().stay(Stay::parse("2027-03-10", "2027-03-13").unwrap());
    let quote = process.quote_change(booking.id, &longer).await.unwrap();
    let changed = process
        .modify(booking.id, &longer.quote(quote).unwrap())
        .await
        .unwrap();
    assert_eq!(changed.total.to_string(), "3945.00 USD");
    assert_eq!(charges(&changed.price)[0].1, "45.00 USD");
}

#[tokio::test]
async fn changes_come_as_a_stream_that_ends_when_there_is_nothing_new() {
    let world = World::new();
    let process = world.process();
    let booking = process
        .book(&request("streamed", stay(), room(1)), None)
        .await
        .unwrap();
    let mut changes = process.changes_since(ChangeCursor::since(DateTime::UNIX_EPOCH));
    let told: Vec<_> = changes.stream().map(|change| change.unwrap().id).collect().await;
    assert_eq!(told, [booking.id]);
    assert_eq!(changes.stream().count().await, 0, "once");
}

#[tokio::test]
async fn every_room_of_a_booking_has_an_id_a_state_and_a_price_of_its_own() {
    let world = World::new();
    let party = Party::new(vec![room(1), room(2)]).unwrap();
    let booking = world
        .process()
        .book(&request("two", stay(), party), None)
        .await
        .unwrap();
    let [one, other] = booking.rooms.as_slice() else {
        panic!("{booking:?}");
    };
    assert_ne!(one.id, other.id);
    for room in [one, other] {
        assert_eq!((room.status, room.stay), (BookingStatus::Confirmed, stay()));
        assert_eq!(room.rate_plan, RatePlanId::default());
        assert_eq!(room.price.unwrap().times(2).unwrap(), booking.total);
    }
    let cancelled = world.process().cancel(booking.id).await.unwrap();
    assert!(
        cancelled
            .rooms
            .iter()
            .all(|room| room.status == BookingStatus::Cancelled)
    );
}

#[tokio::test]
async fn a_guest_who_has_only_a_telephone_books_and_is_found_again() {
    let world = World::new();
    let process = world.process();
    let guest = |phone| Guest::new("Ana", "Gómez", None, phone).unwrap();
    let quote = process
        .quote(hotel(), room_type(), stay(), room(1))
        .await
        .unwrap();
    let wish = |phone| {
        let key = IdempotencyKey::parse("by-phone").unwrap();
        BookingRequest::from_quote(quote.clone(), guest(phone), key)
    };
    let booking = process.book(&wish("+54 9 11 8765-4321"), None).await.unwrap();
    let again = process.book(&wish("+5491187654321"), None).await.unwrap();
    assert_eq!((again.id, again.created), (booking.id, Created::FoundAgain));
    let error = process.book(&wish("+5491187654322"), None).await.unwrap_err();
    assert_eq!(
        (error.code(), error.fact("differs")),
        ("pms.key_reused", Some("guest"))
    );
    let error = process.create_guest(&guest("+5491187654321")).await.unwrap_err();
    assert_eq!(error.field(), Some("email"));
}

#[tokio::test]
async fn the_mock_keeps_every_promise() {
    let world = World::new();
    let suite = Suite::new(world.process(), "2027-02-01".parse().unwrap(), "mock").await;
    suite.run().await;
    assert_eq!(world.mock.double_booked_nights(), 0);
}

#[tokio::test]
async fn the_mock_keeps_every_promise_with_a_gap() {
    let world = World::new();
    world.mock.set_gap(3);
    Suite::new(world.process(), "2027-02-01".parse().unwrap(), "gap")
        .await
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_mock_keeps_every_promise_on_many_threads() {
    let world = World::new();
    world.mock.set_gap(3);
    Suite::new(world.process(), "2027-02-01".parse().unwrap(), "threads")
        .await
        .run()
        .await;
    assert_eq!(world.mock.double_booked_nights(), 0);
}

#[tokio::test]
async fn a_night_in_the_demo_hotel_has_service_and_tax_in_its_price() {
    let process = World::new().process();
    let answer = process
        .availability(hotel(), stay(), room(2), None)
        .await
        .unwrap();
    let totals: Vec<_> = answer
        .offers
        .iter()
        .map(|offer| offer.total.to_string())
        .collect();
    assert_eq!(
        totals,
        ["2600.00 USD", "3640.00 USD", "4680.00 USD", "5720.00 USD"]
    );
    let net = answer.offers[0].price.net.unwrap();
    assert_eq!(net.to_string(), "2500.00 USD");
    assert_eq!(answer.offers[0].per_night[0].1.to_string(), "1300.00 USD");
    assert_eq!((answer.age, answer.potentially_stale), (Duration::ZERO, false));
}

#[tokio::test]
async fn dates_beyond_what_the_hotel_sells_are_refused() {
    let process = World::new().process();
    let last = Stay::parse("2027-12-31", "2028-01-01").unwrap();
    let beyond = Stay::parse("2027-12-31", "2028-01-02").unwrap();
    assert!(process.availability(hotel(), last, room(2), None).await.is_ok());
    let error = process
        .availability(hotel(), beyond, room(2), Some(room_type()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.field()),
        ("pms.invalid_request", Some("stay"))
    );
}

#[tokio::test]
async fn today_can_be_booked_and_yesterday_cannot() {
    let process = World::new().process();
    let today = Stay::parse("2027-01-01", "2027-01-02").unwrap();
    let yesterday = Stay::parse("2026-12-31", "2027-01-02").unwrap();
    assert!(process.availability(hotel(), today, room(2), None).await.is_ok());
    let error = process
        .availability(hotel(), yesterday, room(2), None)
        .await
        .unwrap_err();
    assert_eq!(error.field(), Some("stay"));
}

#[tokio::test]
async fn a_closed_handle_says_so() {
    let process = World::new().process();
    process.0.tasks.close(Duration::from_secs(5)).await;
    assert!(process.hotels().await.unwrap_err().is(codes::POSADA_CLOSED));
    assert!(
        process
            .cancel(BookingId::from(1))
            .await
            .unwrap_err()
            .is(codes::POSADA_CLOSED)
    );
}
