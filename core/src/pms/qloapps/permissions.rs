//! What the key must be allowed to do, and for what we need it.

use serde_json::Value;

use crate::error::Result;
use crate::pms::model::MissingPermission;

use super::query::Query;
use super::reader::Node;
use super::wire::Wire;

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

/// The permissions that the key lacks. The shop tells which resources a key sees, not which methods it has there.
///
/// # Errors
/// Those of the read: a key without any permission is refused.
pub(super) async fn missing(wire: &Wire) -> Result<Vec<MissingPermission>> {
    Ok(read_missing(&wire.list("", "", Query::new()).await?))
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
