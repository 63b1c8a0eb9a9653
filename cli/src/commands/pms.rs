//! The hotel's own system.

use posada::pms::{Booking, HotelId, Money, Occupancy, Party};
use posada::settings::PmsSettings;
use posada::{Posada, Stay};
use serde_json::{Value, json};

use crate::arguments::{AtHotel, Pms};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::Report;
use crate::table::{or_dash, table};

pub(super) async fn run(what: Pms) -> Outcome<Report> {
    with(Needs::Nothing, async |posada| {
        let pms = posada.pms();
        match what {
            Pms::Hotels => hotels(posada).await,
            Pms::RoomTypes { at } => room_types(posada, hotel(posada, &at)).await,
            Pms::Availability {
                check_in,
                check_out,
                adults,
                child,
                at,
            } => {
                let party = Party::from(Occupancy::new(adults, &child)?);
                availability(posada, hotel(posada, &at), Stay::new(check_in, check_out)?, party).await
            }
            Pms::Booking { id } => {
                let found = pms.booking(id).await?;
                let booking = found.ok_or_else(|| Failure::not_found(format!("there is no booking {id}")))?;
                Ok(bookings(&[booking]))
            }
            Pms::Arrivals { day, at } => Ok(bookings(&pms.arrivals(hotel(posada, &at), day).await?)),
            Pms::Departures { day, at } => Ok(bookings(&pms.departures(hotel(posada, &at), day).await?)),
            Pms::SelfTest => self_test(posada).await,
        }
    })
    .await
}

/// The hotel that is meant when none is named.
fn hotel(posada: &Posada, at: &AtHotel) -> HotelId {
    at.hotel.unwrap_or_else(|| match posada.settings().pms() {
        PmsSettings::QloApps(server) => HotelId::from(server.hotel_id),
        _ => HotelId::from(1),
    })
}

async fn hotels(posada: &Posada) -> Outcome<Report> {
    let hotels = posada.pms().hotels().await?;
    let rows = hotels.iter().map(|hotel| {
        [
            hotel.id.to_string(),
            hotel.name.clone(),
            hotel.currency.to_string(),
            hotel.check_in.format("%H:%M").to_string(),
            hotel.check_out.format("%H:%M").to_string(),
        ]
    });
    let text = table(
        ["hotel", "name", "currency", "check-in", "check-out"],
        rows,
        "There are no hotels.",
    );
    let data = hotels.iter().map(
        |hotel| json!({"id": hotel.id.as_str(), "name": hotel.name, "currency": hotel.currency.to_string()}),
    );
    Ok(Report::new(Value::Array(data.collect()), text))
}

async fn room_types(posada: &Posada, hotel: HotelId) -> Outcome<Report> {
    let types = posada.pms().room_types(hotel).await?;
    let rows = types.iter().map(|one| {
        [
            one.id.to_string(),
            one.name.clone(),
            one.base_price.to_string(),
            one.min_nights.to_string(),
        ]
    });
    let text = table(
        ["room type", "name", "from", "least nights"],
        rows,
        "There are no room types.",
    );
    let data = types.iter().map(|one| {
        json!({
            "id": one.id.as_str(), "name": one.name, "base_price": money(one.base_price), "min_nights": one.min_nights,
        })
    });
    Ok(Report::new(Value::Array(data.collect()), text))
}

async fn availability(posada: &Posada, hotel: HotelId, stay: Stay, party: Party) -> Outcome<Report> {
    let found = posada.pms().availability(hotel, stay, party, None).await?;
    let rows = found.offers.iter().map(|offer| {
        [
            offer.room_type.to_string(),
            offer.name.clone(),
            offer.available.to_string(),
            offer.total.to_string(),
        ]
    });
    let mut text = table(["room type", "name", "free", "total"], rows, "The hotel is full.");
    if found.potentially_stale {
        text.push_str("\nThe system does not answer; this is what it said last.");
    }
    let offers = found.offers.iter().map(|offer| {
        json!({
            "room_type": offer.room_type.as_str(), "name": offer.name, "available": offer.available,
            "total": money(offer.total),
        })
    });
    let data = json!({
        "hotel": hotel.as_str(), "stay": dates(stay), "offers": offers.collect::<Vec<_>>(),
        "potentially_stale": found.potentially_stale,
    });
    Ok(Report::new(data, text))
}

async fn self_test(posada: &Posada) -> Outcome<Report> {
    let missing = posada.pms().self_test().await?;
    let rows = missing
        .iter()
        .map(|one| [one.resource.clone(), one.methods.clone(), one.needed_for.clone()]);
    let text = table(
        ["resource", "methods", "needed for"],
        rows,
        "The credentials may do what posada needs.",
    );
    let exit = if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Unclean
    };
    let data = missing
        .iter()
        .map(|one| json!({"resource": one.resource, "methods": one.methods, "needed_for": one.needed_for}));
    Ok(Report::new(Value::Array(data.collect()), text).ending(exit))
}

/// Who booked stays in the hotel's system: a terminal is no place for a guest's address.
fn bookings(bookings: &[Booking]) -> Report {
    let rows = bookings.iter().map(|booking| {
        let rooms: Vec<_> = booking
            .rooms
            .iter()
            .map(|room| or_dash(room.number.as_ref()))
            .collect();
        [
            booking.id.to_string(),
            booking.reference.clone(),
            booking.status.to_string(),
            booking.stay.to_string(),
            rooms.join(", "),
            booking.total.to_string(),
        ]
    });
    let text = table(
        ["booking", "reference", "status", "nights", "rooms", "total"],
        rows,
        "There are no bookings.",
    );
    let data = bookings.iter().map(|booking| {
        json!({
            "id": booking.id.as_str(),
            "reference": booking.reference,
            "status": booking.status.as_str(),
            "stay": dates(booking.stay),
            "rooms": booking.rooms.iter().map(|room| json!({
                "id": room.id.as_str(), "status": room.status.as_str(), "room_type": room.room_type.as_str(),
                "number": room.number,
            })).collect::<Vec<_>>(),
            "total": money(booking.total),
        })
    });
    Report::new(Value::Array(data.collect()), text)
}

fn dates(stay: Stay) -> Value {
    json!({"check_in": stay.check_in().to_string(), "check_out": stay.check_out().to_string()})
}

fn money(money: Money) -> Value {
    json!({"amount": money.amount().to_string(), "currency": money.currency().to_string()})
}
