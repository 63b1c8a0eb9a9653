//! The body of a booking, as a server reads it: it refuses little of what is wrong with it, and dies of the rest.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::extras::{self, WishedService};
use super::http::Response;
use super::server::{Server, Wish, WishedRoom, WishedTax};
use super::service::{HTML, dies, refuses};
use crate::Stay;

/// What no name of a guest contains.
pub(super) const NOT_IN_NAMES: &[char] = &[
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '!', '<', '>', ',', ';', '?', '=', '+', '(', ')', '@',
    '#', '"', '°', '{', '}', '_', '$', '%', ':',
];
/// What its cookie takes in no value: it throws.
const NOT_IN_COOKIES: &[char] = &['|', '¤'];
/// The one facility that exists.
const FACILITY: u64 = 1;

/// Reads a request for rooms of one type.
pub(super) fn read_wish(body: &str) -> Result<Wish, Response> {
    let body: Value = serde_json::from_str(body).map_err(|_| dies())?;
    let booking = body.get("booking").ok_or_else(dies)?;
    let associations = &booking["associations"];
    check_head(booking)?;
    let guest = read_guest(&associations["customer_detail"])?;
    if booking["source"].is_array() {
        return Err(dies());
    }
    let wanted = &associations["room_types"][0];
    if wanted.is_null() {
        return Err(refuses("Requested room(s) not available."));
    }
    let room_type = wanted["id_room_type"].as_u64().unwrap_or(0);
    if Server::type_name(room_type).is_none() {
        return Err(refuses("Invalid room type in the request"));
    }
    let (arrival, departure) = (
        read_date(&wanted["checkin_date"])?,
        read_date(&wanted["checkout_date"])?,
    );
    if arrival == departure {
        return Err(refuses("Requested room(s) not available."));
    }
    let stay = Stay::new(arrival, departure)
        .map_err(|_| refuses("Invalid check in and check out dates in the request"))?;
    Ok(Wish {
        room_type,
        stay,
        rooms: read_rooms(wanted)?,
        source: text(&booking["source"]),
        guest,
        total: decimal(&associations["price_details"]["total_price_with_tax"]),
    })
}

/// What is checked of everything around guest and rooms.
fn check_head(booking: &Value) -> Result<(), Response> {
    let associations = &booking["associations"];
    let refused = |is_wrong: bool, message: &str| if is_wrong { Err(refuses(message)) } else { Ok(()) };
    let one_of = |value: &Value, known: std::ops::RangeInclusive<u64>| {
        value.is_null() || value.as_u64().is_some_and(|value| known.contains(&value))
    };
    refused(
        !booking["id"].is_null(),
        "id is forbidden when adding a new resource",
    )?;
    refused(
        booking["id_property"].as_u64() != Some(1),
        "Please provide a valid id_property.",
    )?;
    let currency = text(&booking["currency"]);
    refused(
        !currency.eq_ignore_ascii_case("USD"),
        "Please provide valid currency.",
    )?;
    refused(
        !one_of(&booking["booking_status"], 1..=4),
        "Invalid booking status.",
    )?;
    refused(
        !one_of(&booking["payment_status"], 1..=3),
        "Invalid payment status.",
    )?;
    let payment = &associations["payment_detail"]["payment_type"];
    let known = ["online", "remote", "pay at hotel"];
    refused(
        !payment.is_null() && !known.contains(&text(payment).as_str()),
        "Invalid payment type.",
    )?;
    let paid = &associations["price_details"]["total_paid"];
    let is_amount = paid.is_null() || paid.as_f64().is_some_and(|paid| paid >= 0.0);
    refused(!is_amount, "Invalid value for total paid.")
}

fn read_guest(customer: &Value) -> Result<[String; 4], Response> {
    if customer.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(refuses("Customer details not found."));
    }
    let guest = ["firstname", "lastname", "email", "phone"].map(|name| text(&customer[name]));
    if customer["id_customer"].as_u64().is_some_and(|id| id > 100) {
        return Err(refuses("Please provide a valid id_customer."));
    }
    for (value, name) in guest
        .iter()
        .zip(["first name", "last name", "email", "phone number"])
    {
        if value.is_empty() {
            return Err(refuses(&format!("Please provide a valid {name}.")));
        }
    }
    let country = &customer["country_code"];
    if !country.is_null() && country != "US" {
        return Err(refuses("Invalid country code."));
    }
    if !country.is_null() && customer["state_code"].is_null() {
        return Err(refuses("State code is required for the given country."));
    }
    if !guest[2]
        .split_once('@')
        .is_some_and(|(_, domain)| domain.contains('.'))
    {
        return Err(Response::new(200, HTML, "Fatal error".into()));
    }
    if guest[2].rsplit('.').next().is_some_and(|end| end.contains('-')) {
        return Err(Response::new(200, HTML, "Fatal error".into()));
    }
    if guest[..3].iter().any(|text| text.contains(NOT_IN_COOKIES)) {
        return Err(dies());
    }
    let is_name = |name: &str| !name.contains(NOT_IN_NAMES) && name.chars().count() <= 32;
    let is_phone =
        |phone: &str| phone.ends_with(|c: char| c.is_ascii_digit()) && !phone.contains(char::is_alphabetic);
    if is_name(&guest[0]) && is_name(&guest[1]) && is_phone(&guest[3]) {
        return Ok(guest);
    }
    Err(dies())
}

fn read_rooms(wanted: &Value) -> Result<Vec<WishedRoom>, Response> {
    // Without a list of rooms each is for as many as it is made for, and rightly taxed.
    let count = wanted["number_of_rooms"].as_u64().unwrap_or(0);
    let usual = json!({"adults": 2, "child_ages": [0, 0], "total_tax": "right"});
    let usual = || vec![usual; usize::try_from(count).unwrap()];
    let rooms = wanted["rooms"].as_array().cloned().unwrap_or_else(usual);
    if rooms.len() as u64 != count {
        return Err(refuses("Room count does not matches with the number of rooms"));
    }
    for room in &rooms {
        let ids = |list: &str, id: &str| -> Vec<u64> {
            let list = room[list].as_array().into_iter().flatten();
            list.filter_map(|one| one[id].as_u64()).collect()
        };
        if ids("services", "id_service")
            .iter()
            .any(|id| !extras::exists(*id))
        {
            return Err(refuses("Invalid request for service."));
        }
        if ids("facilities", "id_facility").iter().any(|id| *id != FACILITY) {
            return Err(refuses("Invalid request for facilities."));
        }
    }
    let room = |room: &Value| WishedRoom {
        adults: room["adults"].as_i64().unwrap_or(2),
        ages: room["child_ages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect(),
        tax: read_tax(room),
        services: read_services(room),
    };
    Ok(rooms.iter().map(room).collect())
}

/// The services of a room that exist already; each once.
pub(super) fn read_services(room: &Value) -> Vec<WishedService> {
    let mut services: Vec<WishedService> = Vec::new();
    for service in room["services"].as_array().into_iter().flatten() {
        let Some(id) = service["id_service"].as_u64() else {
            continue;
        };
        services.retain(|known| known.id != id);
        services.push(WishedService {
            id,
            quantity: service["quantity"].as_u64().unwrap_or(1),
        });
    }
    services
}

fn read_tax(room: &Value) -> WishedTax {
    match &room["total_tax"] {
        Value::Number(tax) if room["id_tax_rules_group"].is_null() => {
            WishedTax::Of(tax.to_string().parse().unwrap_or_default())
        }
        Value::Null | Value::Number(_) => WishedTax::Missing,
        Value::String(text) if text == "right" => WishedTax::Right,
        _ => WishedTax::Unreadable,
    }
}

fn read_date(value: &Value) -> Result<chrono::NaiveDate, Response> {
    let date = text(value).parse();
    date.map_err(|_| refuses("Invalid check in date in the request"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn decimal(value: &Value) -> Decimal {
    value.to_string().parse().unwrap_or_default()
}
