//! Everything that a system of a program's own can have beside bookings, made with what is public.

use std::sync::Arc;

use posada::error::codes;
use posada::pms::port::Guarded;
use posada::pms::{
    Booking, BookingChange, BookingRequest, BookingStatus, ChangeCursor, Charge, ChargeKind, ChosenService,
    Feature, Guards, Guest, HotelId, Occupancy, Party, RoomTypeId, Support,
};
use posada::{IdempotencyKey, Posada, Stay};

use super::first_day;
use super::two_rooms::TwoRooms;
use super::type_hotel::TypeHotel;

fn own() -> Posada {
    Posada::builder().pms(Arc::new(TwoRooms::new())).build().unwrap()
}

fn hotel() -> HotelId {
    HotelId::from(1)
}

fn stay(day: u64, nights: u64) -> Stay {
    let check_in = first_day() + chrono::Days::new(day);
    Stay::new(check_in, check_in + chrono::Days::new(nights)).unwrap()
}

fn guest() -> Guest {
    Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap()
}

async fn book(posada: &Posada, key: &str) -> Booking {
    let (key, couple) = (
        IdempotencyKey::parse(key).unwrap(),
        Occupancy::new(2, &[]).unwrap(),
    );
    let request = BookingRequest::new(hotel(), RoomTypeId::from(1), stay(0, 2), couple, guest(), key);
    posada.pms().book(&request, None).await.unwrap()
}

#[tokio::test]
async fn services_are_sold_with_the_rooms() {
    let posada = own();
    let couple = Occupancy::new(2, &[]).unwrap();
    let room_type = RoomTypeId::from(1);
    let breakfast = posada.pms().services(hotel(), room_type).await.unwrap().remove(0);
    assert!(breakfast.per_night && breakfast.max_quantity == Some(2));
    let two = ChosenService::new(breakfast.id, 2).unwrap();
    let quote = posada
        .pms()
        .quote_with_services(hotel(), room_type, stay(0, 2), couple, [two]);
    let quote = quote.await.unwrap();
    assert_eq!(quote.total.to_string(), "30600 JPY");
    let cleaning = |charges: &[Charge]| {
        charges
            .first()
            .map(|it| (it.kind, it.included, it.amount.to_string()))
    };
    let fee = Some((ChargeKind::Fee, true, "1000 JPY".to_owned()));
    assert_eq!(cleaning(&quote.price.charges), fee);
    let request = BookingRequest::from_quote(quote, guest(), IdempotencyKey::parse("breakfast").unwrap());
    let booking = posada.pms().book(&request, None).await.unwrap();
    assert_eq!(booking.total.to_string(), "30600 JPY");
    assert_eq!(cleaning(&booking.price.charges), fee);
    assert_eq!(
        (booking.services[0].service, booking.services[0].quantity),
        (breakfast.id, 2)
    );
    assert_eq!(posada.pms().book(&request, None).await.unwrap().id, booking.id);
}

#[tokio::test]
async fn a_change_is_quoted_and_made_at_that_price() {
    let posada = own();
    let booking = book(&posada, "changes").await;
    let longer = BookingChange::new().stay(stay(0, 3));
    let quote = posada.pms().quote_change(booking.id, &longer).await.unwrap();
    assert_eq!(quote.total.to_string(), "36000 JPY");
    let mut wrong = quote.clone();
    wrong.total = booking.total;
    let refused = posada
        .pms()
        .modify(booking.id, &longer.clone().quote(wrong).unwrap())
        .await
        .unwrap_err();
    assert!(refused.is(codes::PMS_PRICE_CHANGED), "{refused}");
    assert_eq!(
        (refused.fact("quoted"), refused.fact("current")),
        (Some("24000 JPY"), Some("36000 JPY"))
    );
    let changed = posada
        .pms()
        .modify(booking.id, &longer.quote(quote).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (changed.stay, changed.total.to_string().as_str()),
        (stay(0, 3), "36000 JPY")
    );
    let alone = BookingChange::new().party(Occupancy::new(1, &[4]).unwrap());
    let changed = posada.pms().modify(booking.id, &alone).await.unwrap();
    assert_eq!(changed.rooms[0].occupancy.guests(), 2);
    let crowd = BookingChange::new().party(Party::new(vec![Occupancy::new(1, &[]).unwrap(); 2]).unwrap());
    let refused = posada.pms().modify(booking.id, &crowd).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.field()),
        ("pms.invalid_request", Some("party"))
    );
}

#[tokio::test]
async fn a_guest_gets_another_room_by_its_id_and_by_the_number_on_the_door() {
    let posada = own();
    let booking = book(&posada, "rooms").await;
    let first = booking.rooms[0].clone();
    assert_eq!(first.number.as_deref(), Some("1"));
    let moved = posada
        .pms()
        .modify(booking.id, &BookingChange::new().room(first.id, "2"))
        .await
        .unwrap();
    assert_eq!(moved.rooms[0].number.as_deref(), Some("2"));
    let back = BookingChange::new().room_number("2", "1");
    let moved = posada.pms().modify(booking.id, &back).await.unwrap();
    assert_eq!(moved.rooms[0].number.as_deref(), Some("1"));
    let refused = posada.pms().modify(booking.id, &back).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.field()),
        ("pms.invalid_request", Some("room"))
    );
}

#[tokio::test]
async fn guests_come_and_go() {
    let posada = own();
    let booking = book(&posada, "moves").await;
    let arrivals = posada
        .pms()
        .arrivals(hotel(), booking.stay.check_in())
        .await
        .unwrap();
    let departures = posada
        .pms()
        .departures(hotel(), booking.stay.check_out())
        .await
        .unwrap();
    assert_eq!(
        (arrivals.len(), departures.len(), arrivals[0].id),
        (1, 1, booking.id)
    );
    assert!(
        posada
            .pms()
            .arrivals(hotel(), booking.stay.check_out())
            .await
            .unwrap()
            .is_empty()
    );
    let refused = posada.pms().check_out(booking.id).await.unwrap_err();
    assert!(refused.is(codes::PMS_WRONG_STATE), "{refused}");
    for _ in 0..2 {
        let arrived = posada.pms().check_in(booking.id).await.unwrap();
        assert_eq!(arrived.status, BookingStatus::CheckedIn);
    }
    let left = posada.pms().check_out(booking.id).await.unwrap();
    assert_eq!(
        (left.status, left.rooms[0].status),
        (BookingStatus::CheckedOut, BookingStatus::CheckedOut)
    );
}

#[tokio::test]
async fn guests_and_accounts_are_read() {
    let posada = own();
    assert_eq!(posada.pms().guest("ana@example.com").await.unwrap(), None);
    let known = posada.pms().create_guest(&guest()).await.unwrap();
    assert_eq!(posada.pms().create_guest(&guest()).await.unwrap().id, known.id);
    assert_eq!(
        posada
            .pms()
            .guest("ANA@example.com")
            .await
            .unwrap()
            .unwrap()
            .last_name,
        "Gómez"
    );
    let booking = book(&posada, "folio").await;
    let folio = posada.pms().invoices(booking.id).await.unwrap();
    assert_eq!(
        (folio.booking, folio.total, folio.paid),
        (booking.id, booking.total, booking.total)
    );
    assert_eq!(
        (folio.lines[0].quantity, folio.lines[0].total),
        (2, booking.total)
    );
    assert_eq!(
        (
            folio.invoices[0].number.as_str(),
            folio.payments[0].method.as_str()
        ),
        ("2027/0001", "cash")
    );
}

#[tokio::test]
async fn changes_are_followed_from_a_cursor_that_is_kept() {
    let posada = own();
    let (first, second) = (book(&posada, "first").await, book(&posada, "second").await);
    let mut changes = posada
        .pms()
        .changes_since(ChangeCursor::since(chrono::DateTime::UNIX_EPOCH));
    let mut seen = Vec::new();
    while let Some(change) = changes.next().await.unwrap() {
        seen.push(change.id);
    }
    assert_eq!(seen, [first.id, second.id]);
    let kept = changes.cursor().to_string();
    posada.pms().cancel(first.id).await.unwrap();
    let mut changes = posada.pms().changes_since(kept.parse().unwrap());
    let change = changes.next().await.unwrap().unwrap();
    assert_eq!(
        (change.id, change.booking.unwrap().status),
        (first.id, BookingStatus::Cancelled)
    );
    assert!(changes.next().await.unwrap().is_none());
    let foreign = ChangeCursor::write(&("orders", 7));
    let refused = posada.pms().changes_since(foreign).next().await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.field()),
        ("pms.invalid_request", Some("cursor"))
    );
}

#[tokio::test]
async fn the_rate_plan_of_the_offer_is_that_of_the_booking() {
    let hotel = Arc::new(TypeHotel::new(Guards::default(), Guards::default()));
    let posada = Posada::builder().pms(Guarded::new(hotel)).build().unwrap();
    let hotel = posada.pms().hotels().await.unwrap()[0].id;
    let room_type = posada.pms().room_types(hotel).await.unwrap()[0].id;
    let couple = Occupancy::new(2, &[]).unwrap();
    let quote = posada
        .pms()
        .quote(hotel, room_type, stay(0, 2), couple)
        .await
        .unwrap();
    assert_eq!(quote.rate_plan.as_str(), "MUC-NONREF");
    let request = BookingRequest::from_quote(quote, guest(), IdempotencyKey::parse("rate").unwrap());
    let booking = posada.pms().book(&request, None).await.unwrap();
    assert_eq!(booking.rooms[0].rate_plan.as_str(), "MUC-NONREF");
}

#[tokio::test]
async fn what_a_system_of_room_types_has_not_is_refused_with_another_way() {
    let hotel = Arc::new(TypeHotel::new(Guards::default(), Guards::default()));
    let posada = Posada::builder().pms(Guarded::new(hotel)).build().unwrap();
    assert_eq!(posada.pms().capabilities().has(Feature::Guests), Support::No);
    let refused = posada.pms().guest("ana@example.com").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.fact("feature")),
        ("pms.unsupported", Some("guests"))
    );
    assert!(refused.fact("instead").is_some());
}
