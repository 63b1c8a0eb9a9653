//! What a guest is told and what the simulated server charges, to the cent.

use super::simulated::World;
use crate::pms::fixture::{hotel, request, room, room_type, stay};
use crate::pms::{BookingChange, ChosenService, Party, ServiceId};
use crate::{Stay, error::codes};

const AUTOMATIC: u64 = 5;
const SHUTTLE: u64 = 7;
const BREAKFAST: u64 = 9;

/// Quotes and books; what the server charges then.
async fn charged(world: &World, key: &str, rooms: usize, stay: Stay, services: &[u64]) -> (String, String) {
    let process = world.process();
    let party = Party::new(vec![room(2); rooms]).unwrap();
    let chosen: Vec<_> = services
        .iter()
        .map(|id| ChosenService::from(ServiceId::from(*id)))
        .collect();
    let quote = process
        .quote_with_services(hotel(), room_type(), stay, party.clone(), chosen.clone())
        .await
        .unwrap();
    let quoted = quote.total.to_string();
    let wish = request(key, stay, party)
        .services(chosen)
        .unwrap()
        .quote(quote)
        .unwrap();
    let booking = process.book(&wish, None).await;
    let booking = booking.unwrap_or_else(|error| panic!("{quoted}: {error:?}"));
    (quoted, booking.total.to_string())
}

#[tokio::test]
async fn several_rooms_with_services_are_booked_with_their_own_quote() {
    let world = World::new().await;
    let services = [
        (ServiceId::from(AUTOMATIC), "5"),
        (ServiceId::from(BREAKFAST), "12.95"),
    ];
    world.server.set_prices("129.00", "8.25", &services);
    let (quoted, booked) = charged(&world, "two-rooms", 2, stay(), &[BREAKFAST]).await;
    assert_eq!((quoted.as_str(), booked.as_str()), ("636.31 USD", "636.31 USD"));
}

#[tokio::test]
async fn two_hundred_quotes_of_random_prices_taxes_rooms_nights_and_services_are_booked_to_the_cent() {
    // A generator of Knuth's; the same numbers every time.
    let mut state = 20_270_310_u64;
    let mut below = |most: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    for case in 0..200 {
        let world = World::new().await;
        let mut amount = |most: u64, places: u32| {
            let whole = below(most) + 1;
            let digits = usize::try_from(places).unwrap();
            format!("{whole}.{:0digits$}", below(10_u64.pow(places)))
        };
        let (night, tax) = (amount(400, if case % 3 == 0 { 6 } else { 2 }), amount(24, 3));
        let services = [
            (ServiceId::from(AUTOMATIC), amount(30, 2)),
            (ServiceId::from(SHUTTLE), amount(60, 2)),
            (ServiceId::from(BREAKFAST), amount(40, 6)),
        ];
        let named: Vec<_> = services.iter().map(|(id, net)| (*id, net.as_str())).collect();
        world.server.set_prices(&night, &tax, &named);
        let rooms = usize::try_from(below(5) + 1).unwrap();
        let stay = Stay::parse("2027-03-10", &format!("2027-03-{}", 11 + below(9))).unwrap();
        let chosen: &[u64] = match below(4) {
            0 => &[],
            1 => &[SHUTTLE],
            2 => &[BREAKFAST],
            _ => &[SHUTTLE, BREAKFAST],
        };
        let (quoted, booked) = charged(&world, "random", rooms, stay, chosen).await;
        let what = format!("{night} + {named:?} at {tax} %, {rooms} rooms, {stay}, {chosen:?}");
        assert_eq!(quoted, booked, "{what}");
    }
}

#[tokio::test]
async fn a_guest_whose_room_is_closed_in_the_new_nights_gets_another_one() {
    let world = World::new().await;
    let process = world.process();
    let booking = process
        .book(&request("closed", stay(), room(2)), None)
        .await
        .unwrap();
    let longer = Stay::parse("2027-03-10", "2027-03-14").unwrap();
    world
        .server
        .closes_room(1, Stay::parse("2027-03-13", "2027-03-20").unwrap());
    assert_eq!(booking.rooms[0].number.as_deref(), Some("GR-101"));
    let changed = process
        .modify(booking.id, &BookingChange::new().stay(longer))
        .await
        .unwrap();
    assert_eq!(changed.stay, longer);
    assert_eq!(changed.rooms[0].number.as_deref(), Some("GR-102"));
}

#[tokio::test]
async fn other_nights_keep_the_fewest_nights_of_a_season() {
    let world = World::new().await;
    let process = world.process();
    let booking = process
        .book(&request("season", stay(), room(2)), None)
        .await
        .unwrap();
    world
        .server
        .set_season(Stay::parse("2027-07-01", "2027-08-31").unwrap(), 5);
    for (check_out, is_sold) in [("2027-07-12", false), ("2027-07-15", true)] {
        let change = BookingChange::new().stay(Stay::parse("2027-07-10", check_out).unwrap());
        match process.modify(booking.id, &change).await {
            Ok(_) => assert!(is_sold),
            Err(error) => {
                assert!(!is_sold && error.is(codes::PMS_INVALID_REQUEST), "{error}");
                assert_eq!(error.field(), Some("stay"));
            }
        }
    }
}
