//! The life of a booking in a simulated server: what the suite for every provider cannot ask for.

use super::simulated::{World, book, end, heard, world_with_recheck};
use crate::error::codes;
use crate::pms::fixture::room_type;
use crate::pms::{BookingChange, BookingStatus, Guest, PmsEvent};
use crate::testkit::qloapps::{SimulatedCall, SimulatedCollision, SimulatedFault};
use crate::{Money, Stay};

fn longer() -> BookingChange {
    BookingChange::new().stay(Stay::parse("2027-03-10", "2027-03-13").unwrap())
}

#[tokio::test]
async fn an_account_holds_invoices_and_payments() {
    let world = World::new().await;
    let process = world.process();
    let booking = book(&process, "account").await.unwrap();
    world.server.takes_payment(booking.id, 500);
    world.server.takes_payment(booking.id, 100);
    world.server.makes_invoice(booking.id);
    let folio = process.invoices(booking.id).await.unwrap();
    assert_eq!(folio.paid, Money::parse("600", "USD").unwrap());
    let payments: Vec<_> = folio
        .payments
        .iter()
        .map(|payment| (payment.amount.to_string(), payment.transaction.clone()))
        .collect();
    assert_eq!(
        payments,
        [
            ("500.00 USD".into(), Some("pi_1".into())),
            ("100.00 USD".into(), Some("pi_2".into()))
        ]
    );
    assert_eq!(
        folio.payments[0].paid_at.to_rfc3339(),
        "2027-01-01T09:00:00+00:00"
    );
    assert_eq!(
        (folio.invoices.len(), folio.invoices[0].total),
        (1, booking.total)
    );
    let line = &folio.lines[0];
    assert_eq!((line.name.as_str(), line.quantity), ("General Rooms", 2));
}

#[tokio::test]
async fn of_guests_with_one_address_the_first_counts() {
    let world = World::new().await;
    let process = world.process();
    let guest = |name: &str| Guest::new(name, "Ruiz", "eva@example.com", "5550001111").unwrap();
    let first = process.create_guest(&guest("Eva")).await.unwrap();
    world
        .server
        .script(SimulatedCall::Guest, &SimulatedFault::LostAfterWork, 1);
    let other = Guest::new("Ina", "Ruiz", "ina@example.com", "5550001111").unwrap();
    let found = process.create_guest(&other).await.unwrap();
    assert_eq!(
        found.first_name, "Ina",
        "an answer that was lost is looked for, and no guest is written twice"
    );
    let again = process.create_guest(&guest("Evita")).await.unwrap();
    assert_eq!((again.id, again.first_name.as_str()), (first.id, "Eva"));
}

#[tokio::test]
async fn a_change_whose_answers_were_lost_is_made_once_and_whole() {
    for fault in [
        SimulatedFault::LostBeforeWork,
        SimulatedFault::LostAfterWork,
        SimulatedFault::Warned,
    ] {
        let world = World::new().await;
        let process = world.process();
        let booking = book(&process, "lost").await.unwrap();
        world.server.script(SimulatedCall::Move, &fault, 1);
        world.server.script(SimulatedCall::Price, &fault, 1);
        let changed = process.modify(booking.id, &longer()).await.unwrap();
        assert_eq!(
            (changed.stay.nights(), changed.total.to_string()),
            (3, "3900.00 USD".into()),
            "{fault:?}"
        );
        assert_eq!((world.server.bookings(), world.free()), (1, 4));
    }
}

#[tokio::test]
async fn a_key_that_may_not_set_prices_changes_no_nights() {
    let world = World::new().await;
    let process = world.process();
    let booking = book(&process, "priceless").await.unwrap();
    let refusal = SimulatedFault::Instead {
        status: 405,
        body: "{\"errors\":[{\"code\":25,\"message\":\"no\"}]}".into(),
    };
    world.server.script(SimulatedCall::Price, &refusal, 1);
    let error = process.modify(booking.id, &longer()).await.unwrap_err();
    assert!(error.is(codes::PMS_NOT_PERMITTED), "{error}");
    let now = process.booking(booking.id).await.unwrap().unwrap();
    assert_eq!((now.stay, now.total), (booking.stay, booking.total));
}

#[tokio::test]
async fn a_shorter_stay_costs_less_although_the_shop_only_scales_up() {
    let faults = [None].into_iter().chain(
        [
            SimulatedFault::LostBeforeWork,
            SimulatedFault::LostAfterWork,
            SimulatedFault::Warned,
        ]
        .map(Some),
    );
    for (fault, invoiced) in faults.flat_map(|fault| [(fault.clone(), false), (fault, true)]) {
        let world = World::new().await;
        let process = world.process();
        let booking = book(&process, "shorter").await.unwrap();
        if invoiced {
            world.server.makes_invoice(booking.id);
        }
        if let Some(fault) = &fault {
            world.server.script(SimulatedCall::Price, fault, 2);
        }
        let shorter = BookingChange::new().stay(Stay::parse("2027-03-11", "2027-03-12").unwrap());
        let changed = process.modify(booking.id, &shorter).await.unwrap();
        assert_eq!(changed.total.to_string(), "1300.00 USD", "{fault:?} {invoiced}");
    }
}

#[tokio::test]
async fn the_website_in_the_new_nights_is_seen_by_the_second_look_and_the_booking_stays() {
    let world = world_with_recheck().await;
    let first = world.process();
    let booking = book(&first, "both").await.unwrap();
    end(&first).await;
    let process = world.process();
    let mut events = process.events();
    let night = Stay::parse("2027-03-12", "2027-03-13").unwrap();
    for _ in 0..4 {
        let taken = world.server.website_books(room_type(), night).await;
        taken.unwrap();
    }
    world.server.set_collision(SimulatedCollision::DoubleBook);
    let unwritten = world.server.website_checks(room_type(), night).unwrap();
    let changed = process.modify(booking.id, &longer()).await.unwrap();
    let theirs = unwritten.write();
    end(&process).await;
    assert_eq!(changed.stay.nights(), 3);
    match heard(&mut events).await {
        Some(PmsEvent::Kept {
            booking: ours, other, ..
        }) => assert_eq!((ours, other), (booking.id, theirs)),
        event => panic!("{event:?}"),
    }
    let now = world.process().booking(booking.id).await.unwrap().unwrap();
    assert_eq!(now.status, BookingStatus::Confirmed);
}
