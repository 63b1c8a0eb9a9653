//! Orders: what QloApps calls the head of a booking. Made as `bookings`, read as `orders` and `room_bookings`.
//!
//! `bookings/{id}` is never read: it fails in servers that show prices without tax, and does not tell whether a room
//! was cancelled or back-ordered.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::availability::money;
use super::catalogue::Catalogue;
use super::customer::read_customer;
use super::http::HttpClient;
use super::key;
use super::line;
use super::query::Query;
use super::reader::Node;
use super::remark;
use super::row::read_row;
use crate::error::{Error, Result, codes};
use crate::pms::guest::GuestProfile;
use crate::pms::id::{BookingId, GuestId, HotelId};
use crate::pms::money::Money;
use crate::pms::record::{Record, Row};
use crate::pms::request::BookingRequest;

/// The module that makes the orders of the web service.
const WEB_SERVICE: &str = "wsorder";
/// New, and not paid yet.
const NEW: u8 = 1;
const AWAITING_PAYMENT: u8 = 3;

#[derive(Serialize)]
struct Body<'a> {
    booking: BookingBody<'a>,
}

#[derive(Serialize)]
struct BookingBody<'a> {
    id_property: u64,
    currency: &'a str,
    booking_status: u8,
    payment_status: u8,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    associations: Associations<'a>,
}

#[derive(Serialize)]
struct Associations<'a> {
    customer_detail: Customer<'a>,
    price_details: Price,
    room_types: [RoomTypeBody; 1],
}

#[derive(Serialize)]
pub(super) struct Customer<'a> {
    pub(super) firstname: &'a str,
    pub(super) lastname: &'a str,
    pub(super) email: &'a str,
    pub(super) phone: &'a str,
}

#[derive(Serialize)]
struct Price {
    total_paid: u8,
    total_price_with_tax: Box<RawValue>,
}

#[derive(Serialize)]
struct RoomTypeBody {
    id_room_type: u64,
    checkin_date: String,
    checkout_date: String,
    number_of_rooms: u32,
    rooms: Vec<RoomBody>,
}

#[derive(Serialize)]
struct RoomBody {
    adults: u32,
    /// QloApps 1.6 reads the adults from here.
    adult: u32,
    child: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_ages: Vec<u8>,
    total_tax: Box<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    services: Vec<ServiceBody>,
}

/// A service of a room. The server knows its price.
#[derive(Clone, Serialize)]
pub(super) struct ServiceBody {
    pub(super) id_service: u64,
    pub(super) quantity: u32,
}

/// The body that makes a booking at a total price.
///
/// Left alone, the server would drop its automatic services and charge less than it offers, so the total is named and
/// the server scales the rooms up to it; chosen services keep their prices. Every room needs the tax on its own price,
/// without which the server books and then fails; it is one part of a price that is fixed, so a cent in it changes
/// nothing for the guest. `off` is what the services cost beyond their part of the total, before that was rounded.
///
/// # Errors
/// `pms.invalid_request` for an id that is no number, which the server has none of; for an amount that JSON cannot carry,
/// which no price is.
pub(super) fn create_body(
    request: &BookingRequest,
    (total, off): (Money, Decimal),
    room_tax: Decimal,
) -> Result<String> {
    let currency = total.currency();
    let (guest, stay) = (request.guest(), request.stay());
    let source = key::source(request.key());
    let chosen = request.chosen_services().iter().map(|chosen| {
        Ok(ServiceBody {
            id_service: id("services", chosen.service().number())?,
            quantity: chosen.quantity(),
        })
    });
    let services = chosen.collect::<Result<Vec<_>>>()?;
    let mut rooms = Vec::new();
    for room in request.party().each_room() {
        rooms.push(RoomBody {
            adults: room.adults(),
            adult: room.adults(),
            child: room.children(),
            child_ages: room.child_ages().to_vec(),
            total_tax: number(room_tax)?,
            services: services.clone(),
        });
    }
    let body = Body {
        booking: BookingBody {
            id_property: id("hotel", request.hotel().number())?,
            currency: currency.as_str(),
            booking_status: NEW,
            payment_status: AWAITING_PAYMENT,
            source: &source,
            remark: request.remark_text().map(remark::written),
            associations: Associations {
                customer_detail: Customer {
                    firstname: guest.first_name(),
                    lastname: guest.last_name(),
                    // Without them the guest was refused before.
                    email: guest.email().unwrap_or_default(),
                    phone: guest.phone().unwrap_or_default(),
                },
                price_details: Price {
                    total_paid: 0,
                    total_price_with_tax: number(
                        total.amount().saturating_add(off).round_dp(Money::MAX_DECIMALS),
                    )?,
                },
                room_types: [RoomTypeBody {
                    id_room_type: id("room_type", request.room_type().number())?,
                    checkin_date: stay.check_in().to_string(),
                    checkout_date: stay.check_out().to_string(),
                    number_of_rooms: request.party().rooms(),
                    rooms,
                }],
            },
        },
    };
    serde_json::to_string(&body).map_err(unwritable)
}

/// The number of something in the server, which knows everything by numbers.
///
/// # Errors
/// `pms.invalid_request` naming the field, for an id that is none.
pub(super) fn id(field: &'static str, number: Option<u64>) -> Result<u64> {
    let message = "is not an id of this system, whose ids are whole numbers above zero";
    number.ok_or_else(|| Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message))
}

/// A decimal as a JSON number, never through a float.
pub(super) fn number(amount: Decimal) -> Result<Box<RawValue>> {
    RawValue::from_string(amount.normalize().to_string()).map_err(unwritable)
}

pub(super) fn unwritable(cause: serde_json::Error) -> Error {
    Error::new(codes::POSADA_INTERNAL, "the booking could not be written down").caused_by(cause)
}

/// The tax of one room on its own price: the offer without its services, at the rate of the rules, which the server
/// finds again when it divides the tax by the price. Where the rules are not known, or the prices of the offer say
/// something else, it is the rate of the offer.
pub(super) fn room_tax(
    net: Decimal,
    gross: Decimal,
    (services, rooms): (Decimal, u32),
    rate: Option<Decimal>,
) -> Decimal {
    let offered = gross
        .checked_div(net)
        .map_or(Decimal::ZERO, |ratio| (ratio - Decimal::ONE).max(Decimal::ZERO));
    // Prices of nights are rounded one by one.
    let near = |rate: &Decimal| (*rate - offered).abs() < Decimal::new(1, 2);
    let own = net.checked_div(Decimal::from(rooms)).unwrap_or_default() - services;
    let tax = own
        .max(Decimal::ZERO)
        .saturating_mul(rate.filter(near).unwrap_or(offered));
    tax.round_dp(Money::MAX_DECIMALS)
}

/// The id that the answer to a creation names.
///
/// # Errors
/// `pms.outcome_unknown`: the server has booked and does not say what.
pub(super) fn created_id(answer: &Value) -> Result<BookingId> {
    let id = Node::new(answer).field("id").id();
    id.map(BookingId::from).ok_or_else(|| {
        Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the server booked, and its answer does not say under which number",
        )
    })
}

/// What the server says when no room is left, and everything else that it refuses a booking for. Other languages than
/// English are possible, and then the two cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    SoldOut,
    Other,
    Untold,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        const OURS: [&str; 12] = [
            "Invalid check",
            "Room count",
            "Invalid room type",
            "Please provide",
            "Customer details",
            "Invalid booking",
            "Invalid payment",
            "id is forbidden",
            "Invalid value",
            "Invalid request",
            "Invalid country",
            "State code",
        ];
        let reason = error.fact("reason").unwrap_or_default();
        if reason.starts_with("Requested room(s) not available") {
            Self::SoldOut
        } else if OURS.iter().any(|text| reason.starts_with(text)) {
            Self::Other
        } else {
            Self::Untold
        }
    }
}

/// Reads the bookings behind a question about orders, oldest first.
///
/// # Errors
/// Those of the reads.
pub(super) async fn records(
    http: &HttpClient,
    catalogue: &Catalogue,
    fallback: HotelId,
    orders: Query,
) -> Result<Vec<Record>> {
    let orders = http.list("orders", "orders", orders).await?;
    let heads = Node::new(&orders).list();
    let ids = |name| heads.iter().filter_map(move |order| order.field(name).number());
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Query::full().any_of("id_order", ids("id"));
    let mut customers: Vec<u64> = ids("id_customer").collect();
    customers.sort_unstable();
    customers.dedup();
    let customers = Query::full().any_of("id", customers);
    let lines = Query::full().any_of("id_order", ids("id"));
    let (rows, customers, lines) = tokio::try_join!(
        http.list("room_bookings", "bookings", rows),
        http.list("customers", "customers", customers),
        http.list("order_details", "order_details", lines),
    )?;
    let parts = Parts {
        orders: &orders,
        rows: &rows,
        customers: &customers,
        lines: &lines,
    };
    parts.read(catalogue, fallback)
}

/// The heads, the rows, the guests and the lines of bookings: each a list of its own.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) orders: &'a Value,
    pub(super) rows: &'a Value,
    pub(super) customers: &'a Value,
    pub(super) lines: &'a Value,
}

impl Parts<'_> {
    /// Puts the bookings together, oldest first.
    ///
    /// # Errors
    /// `pms.unexpected_answer`.
    pub(super) fn read(self, catalogue: &Catalogue, fallback: HotelId) -> Result<Vec<Record>> {
        let mut rows_of: HashMap<u64, Vec<(HotelId, Row)>> = HashMap::new();
        for node in Node::new(self.rows).list() {
            let order = node.required("id_order", Node::number)?;
            rows_of.entry(order).or_default().push(read_row(node)?);
        }
        let mut guests = HashMap::new();
        for node in Node::new(self.customers).list() {
            let guest = read_customer(node)?;
            guests.insert(guest.id, guest);
        }
        let mut lines_of = line::by_order(self.lines)?;
        let mut records = Vec::new();
        for order in Node::new(self.orders).list() {
            let id = order.required("id", Node::number)?;
            let rows = rows_of.remove(&id).unwrap_or_default();
            let customer = order.field("id_customer").number();
            let guest = customer.and_then(|id| guests.get(&GuestId::from(id)).cloned());
            let mut record = read_order(order, rows, guest, catalogue, fallback)?;
            let lines = lines_of.remove(&id).unwrap_or_default();
            record.services = line::read_services(lines, &record.rows, catalogue)?;
            records.push(record);
        }
        records.sort_by_key(|record| record.id);
        Ok(records)
    }
}

fn read_order(
    order: Node<'_>,
    mut rows: Vec<(HotelId, Row)>,
    guest: Option<GuestProfile>,
    catalogue: &Catalogue,
    fallback: HotelId,
) -> Result<Record> {
    rows.sort_by_key(|(_, row)| row.sequence);
    let state = order.required("current_state", Node::number)?;
    let total = order.required("total_paid_tax_incl", Node::decimal)?;
    let currency = catalogue.currency(order.required("id_currency", Node::number)?)?;
    let made_at = order.required("date_add", Node::moment)?;
    let ours = order.field("module").text().as_deref() == Some(WEB_SERVICE);
    let source = order.field("source").text().unwrap_or_default();
    Ok(Record {
        id: BookingId::from(order.required("id", Node::id)?),
        reference: order.required("reference", Node::text)?,
        key: if ours { key::key(&source) } else { None },
        hotel: rows.first().map_or(fallback, |(hotel, _)| *hotel),
        guest,
        // Rows come one by one, and the state last: an order without a state is still being written.
        complete: state != 0 && !rows.is_empty(),
        cancelled: catalogue.is_over(state),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        services: Vec::new(),
        total: money(total, currency)?,
        charges: Vec::new(),
        made_at: catalogue.moment(made_at),
        tells_guests: catalogue.tells_guests,
    })
}

/// The error for a booking that the server refused.
pub(super) fn sold_out(cause: Error) -> Error {
    Error::new(
        codes::PMS_SOLD_OUT,
        "the server says that the rooms are not available",
    )
    .caused_by(cause)
}

/// The state that an order has after a change of state, as the answer tells.
///
/// # Errors
/// `pms.outcome_unknown`: it was changed, and the answer does not say how.
pub(super) fn new_state(answer: &Value) -> Result<u64> {
    let state = Node::new(answer).field("id_order_state").number();
    state.ok_or_else(|| {
        Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the server changed the state, and its answer does not say to which",
        )
    })
}
