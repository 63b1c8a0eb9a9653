//! What the key must be allowed to do, and for what we need it.

use serde_json::Value;

use crate::error::{Error, Result, codes};
use crate::pms::model::MissingPermission;

use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;

/// Resource, methods, purpose.
const NEEDED: [(&str, &str, &str); 18] = [
    ("configurations", "GET", "states, currency and time zone"),
    ("currencies", "GET", "prices"),
    ("hotels", "GET", "hotels"),
    ("hotel_room_types", "GET", "limits of room types"),
    ("room_types", "GET", "names and prices of room types"),
    (
        "services",
        "GET",
        "the price with automatic services, and services",
    ),
    ("tax_rules", "GET", "prices of services"),
    ("taxes", "GET", "prices of services"),
    ("hotel_ari", "POST", "availability"),
    ("bookings", "POST, PUT", "booking, and the price of other nights"),
    ("orders", "GET", "finding bookings"),
    (
        "room_bookings",
        "GET, PUT",
        "looking at bookings again, moving and changing them, arrival and departure",
    ),
    (
        "customers",
        "GET, POST",
        "telling whose booking it is, and guests",
    ),
    ("order_histories", "POST", "cancelling"),
    (
        "order_details",
        "GET",
        "the services of a booking, the lines of its account, and lower prices",
    ),
    (
        "booking_extra_demands",
        "GET",
        "the price of other nights with services",
    ),
    ("order_invoices", "GET", "invoices, and lower prices"),
    ("order_payments", "GET", "payments"),
];

/// The permissions that the key lacks. The server tells which resources a key sees, not which methods it has there.
///
/// # Errors
/// Those of the read: a key without any permission is refused.
pub(super) async fn missing(http: &HttpClient) -> Result<Vec<MissingPermission>> {
    Ok(read_missing(&http.list("", "", Query::new()).await?))
}

/// What a booking needs: without it a booking could not be looked at or given back.
const FOR_BOOKING: [&str; 6] = [
    "bookings",
    "orders",
    "room_bookings",
    "customers",
    "order_details",
    "order_histories",
];

/// What the server said of a key that may, as far as it told, do all that a booking needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// That the key sees everything, or that it may not be told this.
    Yes,
    /// Nothing: the question was not answered, so the next booking should ask it again.
    Nothing,
}

/// Whether the key sees everything that a booking needs. A server that does not answer this is asked the rest.
///
/// # Errors
/// `pms.not_permitted` with the fact `resource`.
pub(super) async fn for_booking(http: &HttpClient) -> Result<Told> {
    let lacking = match missing(http).await {
        Ok(lacking) => lacking,
        Err(refused) if refused.is(codes::PMS_NOT_PERMITTED) => return Ok(Told::Yes),
        Err(_) => return Ok(Told::Nothing),
    };
    let is_needed = |lacks: &&MissingPermission| FOR_BOOKING.contains(&lacks.resource.as_str());
    match lacking.iter().find(is_needed) {
        None => Ok(Told::Yes),
        Some(lacks) => Err(Error::new(
            codes::PMS_NOT_PERMITTED,
            "the key may not do all that a booking needs, so nothing was booked; tick the resource under Web service",
        )
        .with("resource", &lacks.resource)
        .with("methods", &lacks.methods)),
    }
}

/// Reads what a key sees, and answers what is not in it.
pub(super) fn read_missing(seen: &Value) -> Vec<MissingPermission> {
    let seen: Vec<String> = Node::new(seen)
        .list()
        .into_iter()
        .filter_map(Node::text)
        .collect();
    let lacks = |(resource, ..): &&(&str, &str, &str)| !seen.iter().any(|name| name == resource);
    let missing = NEEDED
        .iter()
        .filter(lacks)
        .map(|(resource, methods, purpose)| MissingPermission {
            resource: (*resource).to_owned(),
            methods: (*methods).to_owned(),
            needed_for: (*purpose).to_owned(),
        });
    missing.collect()
}
