//! Changes that died between their rows and their price, in a simulated server: another process repeats them.

use std::time::Duration;

use super::simulated::World;
use crate::Stay;
use crate::pms::fixture::{request, room, room_type, stay};
use crate::pms::{BookingChange, BookingId, ChosenService, PmsClient, ServiceId};
use crate::testkit::qloapps::{OpenBooking, SimulatedCall, SimulatedFault};

fn nights(check_in: &str, check_out: &str) -> BookingChange {
    BookingChange::new().stay(Stay::parse(check_in, check_out).unwrap())
}

/// The booking in the server's own tables.
fn in_the_shop(world: &World, id: BookingId) -> OpenBooking {
    let mut open = world.server.open_bookings().into_iter();
    open.find(|open| open.id == id).unwrap()
}

/// A process begins a change and dies after its row and a number of the requests for its price were answered.
async fn dies(world: &World, process: &PmsClient, id: BookingId, change: &BookingChange, prices: usize) {
    let before = world.server.writes();
    let at_once = SimulatedFault::Slow(Duration::ZERO);
    world.server.script(SimulatedCall::Price, &at_once, prices);
    let lost = SimulatedFault::LostBeforeWork;
    world.server.script(SimulatedCall::Price, &lost, 1000);
    let dying = process.0.pms.change(id, change);
    let looking = async {
        while world.server.writes() < before + 1 + prices + 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = dying => panic!("its price cannot be set: {:?}", answer),
        () = looking => {}
    }
    world.server.calm();
}

/// With one night less, a price is undercut before it is set, and so it is with a service.
#[tokio::test]
async fn a_change_that_died_before_its_price_gets_the_agreed_one_from_another_process() {
    let breakfast = ServiceId::from(9);
    let (longer, shorter) = (
        nights("2027-03-10", "2027-03-13"),
        nights("2027-03-11", "2027-03-12"),
    );
    for (change, services, prices) in [
        (&longer, vec![], 0),
        (&shorter, vec![], 0),
        (&shorter, vec![], 1),
        (&longer, vec![breakfast], 0),
        (&longer, vec![breakfast], 1),
        (&shorter, vec![breakfast], 1),
    ] {
        let world = World::new().await;
        let process = world.process();
        let wish =
            request("half", stay(), room(2)).services(services.iter().copied().map(ChosenService::from));
        let booking = process.book(&wish.unwrap(), None).await.unwrap();
        let quote = process.quote_change(booking.id, change).await.unwrap();
        let agreed = quote.total;
        let change = change.clone().quote(quote).unwrap();
        dies(&world, &process, booking.id, &change, prices).await;
        let half = in_the_shop(&world, booking.id);
        assert_ne!(half.stays, [stay()], "its row is written");
        assert_ne!(
            half.total,
            format!("{:.6}", agreed.amount()),
            "and its price is not"
        );
        world.server.set_price_percent(150);
        let changed = world.process().modify(booking.id, &change).await.unwrap();
        let whole = in_the_shop(&world, booking.id);
        let case = format!("{change:?} {services:?} {prices}");
        assert_eq!(
            (changed.total, &changed.services),
            (agreed, &booking.services),
            "{case}"
        );
        assert_eq!(whole.total, format!("{:.6}", agreed.amount()), "{case}");
        assert_eq!(whole.stays, half.stays, "{case}");
        assert_eq!(whole.rooms, half.rooms, "{case}");
        assert_eq!(world.server.double_booked_nights(), 0, "{case}");
    }
}

#[tokio::test]
async fn a_change_of_the_website_s_booking_that_died_is_finished_too() {
    let world = World::new().await;
    let id = world.server.website_books(room_type(), stay()).await.unwrap();
    let process = world.process();
    let longer = nights("2027-03-10", "2027-03-13");
    let agreed = process.quote_change(id, &longer).await.unwrap().total;
    dies(&world, &process, id, &longer, 0).await;
    world.server.set_price_percent(150);
    let changed = world.process().modify(id, &longer).await.unwrap();
    assert_eq!((changed.total, changed.key), (agreed, None));
    assert_eq!(
        in_the_shop(&world, id).total,
        format!("{:.6}", agreed.amount()),
        "and not the price of today"
    );
}
