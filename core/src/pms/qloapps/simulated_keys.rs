//! Keys that may not do everything, in a simulated server.

use super::simulated::{World, book};
use crate::error::codes;
use crate::pms::Created;
use crate::pms::fixture::{hotel, room, stay};
use crate::pms::port::BookingSystem as _;
use crate::testkit::qloapps::{SimulatedCall, SimulatedFault};

#[tokio::test]
async fn a_key_that_lacks_something_is_told_what_and_for_what() {
    let world = World::new().await;
    let process = world.process();
    assert_eq!(process.self_test().await.unwrap(), []);
    world.server.hide(&["hotel_ari", "order_histories"]);
    let missing = process.self_test().await.unwrap();
    let names: Vec<_> = missing
        .iter()
        .map(|missing| (missing.resource.as_str(), missing.needed_for.as_str()))
        .collect();
    assert_eq!(
        names,
        [("hotel_ari", "availability"), ("order_histories", "cancelling")]
    );
    let error = process
        .availability(hotel(), stay(), room(2), None)
        .await
        .unwrap_err();
    assert!(error.is(codes::PMS_NOT_PERMITTED), "{error}");
}

/// What the key cannot look at afterwards is not begun: no caller would know that it is booked.
#[tokio::test]
async fn a_key_that_could_not_look_at_a_booking_or_cancel_it_books_nothing_and_says_so_at_once() {
    for hidden in [
        "bookings",
        "customers",
        "order_details",
        "order_histories",
        "room_bookings",
    ] {
        let world = World::new().await;
        let process = world.process();
        world.server.hide(&[hidden]);
        let error = book(&process, "blind").await.unwrap_err();
        assert!(error.is(codes::PMS_NOT_PERMITTED), "{hidden}: {error}");
        assert_eq!(error.fact("resource"), Some(hidden), "{error}");
        assert!(error.message().contains("tick"), "{error}");
        assert_eq!(
            (world.server.writes(), world.server.bookings()),
            (0, 0),
            "{hidden}"
        );
        // Once it is ticked, bookings are made.
        world.server.hide(&[]);
        let booking = book(&process, "blind").await.unwrap();
        assert_eq!(booking.created, Created::Created, "{hidden}");
    }
}

#[tokio::test]
async fn a_shop_that_does_not_say_what_a_key_may_do_takes_bookings() {
    let world = World::new().await;
    // The list of what it sees is itself not to be seen.
    world.server.hide(&[""]);
    let booking = book(&world.process(), "untold").await.unwrap();
    assert_eq!(booking.created, Created::Created);
}

/// What was not answered is not known, and a key that lacks something is found out as soon as the server can be asked.
#[tokio::test]
async fn a_shop_that_could_not_be_asked_what_a_key_may_do_is_asked_again() {
    let world = World::new().await;
    let provider = world.provider(&world.settings(), &World::limits());
    let fault = SimulatedFault::Instead {
        status: 503,
        body: "busy".to_owned(),
    };
    world.server.script(SimulatedCall::Read, &fault, 100);
    provider.can_book().await.unwrap();
    world.server.calm();
    world.server.hide(&["bookings"]);
    let error = provider.can_book().await.unwrap_err();
    assert_eq!(error.fact("resource"), Some("bookings"), "{error}");
    // What was answered is known for some minutes.
    world.server.hide(&[]);
    provider.can_book().await.unwrap();
    let asked = world.server.requests();
    provider.can_book().await.unwrap();
    assert_eq!(world.server.requests(), asked);
}
