//! What must hold for whatever bytes are answered instead of a server: one body for the fuzz target and for
//! `make test`.
//!
//! Every answer goes the way that it goes in an operation: [`Answer::read`] decides what it means, and the reader of
//! that operation reads what is in it. What other answers the operation needs are good ones.

use std::sync::LazyLock;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::account::{read_invoices, read_lines, read_payments};
use super::answer::{Answer, Effect};
use super::availability::{read_nights, read_vacancies};
use super::catalogue::{Catalogue, Described};
use super::changes::Place;
use super::customer::first;
use super::order::{Parts, Refusal, created_id, new_state};
use super::permissions::read_missing;
use super::redact::Redactor;
use super::row::{changed, read_orders, read_taking};
use crate::error::{Result, codes};
use crate::pms::id::{BookingId, HotelId, RoomId, StayId};
use crate::pms::money::Currency;
use crate::pms::occupancy::Occupancy;
use crate::pms::record::{Movement, Room, RowChange};
use crate::settings::Secret;
use crate::stay::Stay;

/// The key of the web service in these questions; it must stand in no error.
pub(super) const KEY: &str = "QLOAPPSTESTKEYALLPERMISSIONS0001";

/// What our calls ask for: the root of the answer, and whether the question writes.
const ASKED: [(&str, Effect); 21] = [
    ("", Effect::Read),
    ("bookings", Effect::Read),
    ("configurations", Effect::Read),
    ("currencies", Effect::Read),
    ("customers", Effect::Read),
    ("hotel_ari", Effect::Read),
    ("hotel_aris", Effect::Read),
    ("hotel_room_types", Effect::Read),
    ("hotels", Effect::Read),
    ("order_details", Effect::Read),
    ("order_invoices", Effect::Read),
    ("order_payments", Effect::Read),
    ("orders", Effect::Read),
    ("room_types", Effect::Read),
    ("services", Effect::Read),
    ("tax_rules", Effect::Read),
    ("taxes", Effect::Read),
    ("booking", Effect::Write),
    ("customer", Effect::Write),
    ("order_history", Effect::Write),
    // PUT room_bookings/{id}: only its success counts.
    ("booking", Effect::Read),
];
const STATUSES: [u16; 12] = [200, 201, 204, 302, 400, 401, 404, 405, 429, 500, 502, 503];

static GOOD: LazyLock<Described> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "settings": [{"name": "PS_OS_CANCELED", "value": "4"}, {"name": "PS_TIMEZONE", "value": "America/New_York"},
            {"name": "PS_CURRENCY_DEFAULT", "value": "1"}],
        "currencies": [{"id": 1, "iso_code": "USD"}],
        "hotels": [{"id": 1, "hotel_name": "The Hotel Prime", "active": 1, "id_country": 21}],
        "limits": [{"id_product": 1, "id_hotel": 1, "max_adults": 2, "max_children": 2, "max_guests": 4}],
        "types": [{"id": 1, "name": "General Rooms", "price": "1000.000000", "active": 1,
            "associations": {"services": [{"id": 5, "price": null}]}}],
        "services": [{"id": 5, "price": "250.000000", "active": 1, "auto_add_to_cart": 1, "price_addition_type": 1}],
        "taxes": {"rules": [{"id_tax_rules_group": 1, "id_country": 21, "id_tax": 1}], "taxes": [{"id": 1, "rate": "4.0"}]},
    }))
    .expect("the description has all parts")
});
pub(super) static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::new(&GOOD, now()).expect("the description is a good one"));
static ORDERS: LazyLock<Value> = LazyLock::new(|| {
    json!([{"id": 1, "id_currency": 1, "id_customer": 2, "current_state": 1, "module": "wsorder",
        "reference": "FILCQCAJZ", "source": "agente-400", "total_paid_tax_incl": "2080.000000",
        "date_add": "2026-11-23 21:44:46", "date_upd": "2026-11-23 21:44:46"}])
});
static ROWS: LazyLock<Value> = LazyLock::new(|| {
    json!([{"id": 1, "id_product": 1, "id_hotel": 1, "id_order": 1, "id_room": 1, "room_num": "GR-101",
        "id_status": 1, "date_from": "2027-03-10 00:00:00", "date_to": "2027-03-12 00:00:00", "is_refunded": 0,
        "is_cancelled": 0, "is_back_order": 0, "adults": 2, "children": 1, "child_ages": "[7]",
        "check_out_time": "11:00", "date_upd": "2026-11-23 21:44:46"}])
});
static CUSTOMERS: LazyLock<Value> = LazyLock::new(
    || json!([{"id": 2, "firstname": "Maria", "lastname": "Lopez", "email": "maria@example.com"}]),
);
static LINES: LazyLock<Value> = LazyLock::new(|| {
    json!([{"id": 1, "id_order": 1, "product_id": 1, "product_name": "General Rooms", "product_quantity": 2,
        "is_booking_product": 1, "total_price_tax_excl": "2000.000000", "total_price_tax_incl": "2080.000000"}])
});
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&Secret::new(KEY)));

#[allow(
    clippy::disallowed_methods,
    reason = "nothing depends on when this catalogue was read"
)]
fn now() -> Instant {
    Instant::now()
}

/// Reads bytes as the answer to a question: the first byte says to which, the second with which status, and the
/// others are the body. Panics when a promise is broken.
pub fn read_anything(bytes: &[u8]) {
    let [question, status, body @ ..] = bytes else {
        return;
    };
    let (root, effect) = ASKED[usize::from(*question) % ASKED.len()];
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    read(root, effect, status, body.to_vec());
}

/// Reads the answer about free rooms night by night, as the provider does, and counts the prices: for benchmarks.
pub fn read_prices(body: Vec<u8>) -> usize {
    let answer = Answer {
        status: 200,
        body,
        location: None,
        retry_after: None,
    };
    let read = answer.read("hotel_aris", Effect::Read, &REDACTOR);
    let nights = read
        .and_then(|nights| read_nights(&nights))
        .expect("the answer is a good one");
    nights.values().map(Vec::len).sum()
}

/// Reads an answer, and panics when a promise is broken:
/// * nothing but a status of success is a success;
/// * a question has no unknown outcome and is not refused for what it would do; a write is never misunderstood,
///   because then the caller would think that nothing happened;
/// * no error repeats the key, or more of the answer than a line.
pub(super) fn read(root: &str, effect: Effect, status: u16, body: Vec<u8>) {
    let answer = Answer {
        status,
        body,
        location: Some(format!("http://elsewhere.example/?ws_key={KEY}")),
        retry_after: None,
    };
    let _ = answer.is_from_the_shop(effect);
    let outcome = answer.read(root, effect, &REDACTOR);
    if outcome.is_ok() {
        assert!((200..300).contains(&status), "a {status} is no success");
    }
    let read = outcome.and_then(|value| read_value(root, effect, &value));
    let Err(error) = read else { return };
    let _ = Refusal::of(&error);
    match effect {
        Effect::Read => assert!(
            !error.is(codes::PMS_OUTCOME_UNKNOWN) && !error.is(codes::PMS_REJECTED),
            "a question changes nothing: {error}"
        ),
        Effect::Write => assert!(
            !error.is(codes::PMS_UNEXPECTED_ANSWER),
            "it is not known what was written: {error}"
        ),
    }
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(KEY), "{shown}");
    assert!(shown.len() < 4000, "{shown}");
}

/// Everything that our operations read from a value under this root.
fn read_value(root: &str, effect: Effect, value: &Value) -> Result<()> {
    match (root, effect) {
        ("", _) => drop(read_missing(value)),
        ("bookings", _) => read_rows(value)?,
        ("customers", _) => {
            let found = first(value, "maria@example.com").map(drop);
            let parts = Parts {
                customers: value,
                ..parts()
            };
            parts.read(&CATALOGUE, hotel())?;
            found?;
        }
        ("hotel_ari", _) => drop(read_vacancies(value)?),
        ("hotel_aris", _) => drop(read_nights(value)?),
        ("order_details", _) => {
            let parts = Parts {
                lines: value,
                ..parts()
            };
            parts.read(&CATALOGUE, hotel())?;
            read_lines(value, Currency::parse("USD")?)?;
        }
        ("order_invoices", _) => drop(read_invoices(value, Currency::parse("USD")?, &CATALOGUE)?),
        ("order_payments", _) => drop(read_payments(value, &CATALOGUE)?),
        ("orders", _) => {
            let parts = Parts {
                orders: value,
                ..parts()
            };
            let records = parts.read(&CATALOGUE, hotel());
            place().take(value, &ROWS)?;
            for record in records? {
                let _ = record.booking(crate::pms::Created::FoundAgain);
            }
        }
        ("booking", Effect::Write) => drop(created_id(value)?),
        ("order_history", Effect::Write) => drop(new_state(value)?),
        (
            "configurations" | "currencies" | "hotels" | "hotel_room_types" | "room_types" | "services"
            | "tax_rules" | "taxes",
            _,
        ) => {
            read_catalogue(root, value)?;
        }
        _ => {}
    }
    Ok(())
}

/// The catalogue with one part of it replaced, and what is asked of it later.
fn read_catalogue(part: &str, value: &Value) -> Result<()> {
    let part = match part {
        "configurations" => "settings",
        "hotel_room_types" => "limits",
        "room_types" => "types",
        other => other,
    };
    let mut described = serde_json::to_value(&*GOOD).expect("a description is JSON");
    match part {
        "tax_rules" => described["taxes"]["rules"] = value.clone(),
        "taxes" => described["taxes"]["taxes"] = value.clone(),
        _ => described[part] = value.clone(),
    }
    let described = serde_json::from_value(described).expect("it has all parts");
    let catalogue = Catalogue::new(&described, now())?;
    for room_type in &catalogue.room_types {
        catalogue.services_net(room_type.id, u32::MAX);
        let _ = catalogue.services(room_type.id);
    }
    let _ = catalogue.today(moment());
    let _ = catalogue.moment(catalogue.local(moment()));
    Ok(())
}

fn read_rows(rows: &Value) -> Result<()> {
    let stay = Stay::parse("2027-03-11", "2027-03-14")?;
    let taking = read_taking(rows, RoomId::from(1), stay);
    let orders = read_orders(rows);
    let records = Parts { rows, ..parts() }.read(&CATALOGUE, hotel());
    let moved = place().take(&ORDERS, rows);
    for change in [
        RowChange {
            room: Some(Room {
                id: RoomId::from(2),
                number: "GR-102".into(),
            }),
            stay: Some(stay),
            occupancy: Some(Occupancy::new(1, &[3])?),
            moved: None,
        },
        RowChange {
            moved: Some((Movement::Departure, moment())),
            ..RowChange::default()
        },
    ] {
        let _ = changed(rows, &CATALOGUE, BookingId::from(1), StayId::from(1), &change);
    }
    for record in records? {
        let _ = record.booking(crate::pms::Created::FoundAgain);
    }
    taking.map(drop).and(orders.map(drop)).and(moved.map(drop))
}

fn parts() -> Parts<'static> {
    Parts {
        orders: &ORDERS,
        rows: &ROWS,
        customers: &CUSTOMERS,
        lines: &LINES,
    }
}

fn hotel() -> HotelId {
    HotelId::from(1)
}

fn moment() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000)
}

fn place() -> Place {
    let day = NaiveDate::from_ymd_opt(2026, 11, 1).expect("the day exists");
    Place::since(day.and_time(chrono::NaiveTime::MIN))
}
