//! Setting what an existing booking costs.
//!
//! The server does that as part of its change of a whole booking (`PUT bookings/{id}`): it compares the rooms of the
//! request with those of the order, and when they are the same, only the price is left to do. A higher one scales the
//! rooms up. A lower one becomes a discount on the invoice, and without an invoice nothing at all. So the rows are
//! changed first, each by itself, and described here as they are then; and a price that no invoice can lower is
//! undercut by prices of the rooms, and then raised.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::account;
use super::catalogue::Catalogue;
use super::http::HttpClient;
use super::order::{self, Customer, ServiceBody, number, unwritable};
use super::query::Query;
use super::reader::Node;
use crate::error::{Error, Result, codes};
use crate::pms::guarded::retry::is_lost;
use crate::pms::guest::GuestProfile;
use crate::pms::id::RoomId;
use crate::pms::money::Money;
use crate::pms::record::Record;
use crate::pms::service::Service;
use crate::stay::Stay;

/// Rooms are priced at this part of the new price before it is raised. The server means a price for each night and
/// computes up to twice as much for the stay, and tax is added; the less that is lost to rounding, the better the tax.
const UNDERCUT: u32 = 4;

#[derive(Serialize)]
struct Body<'a> {
    booking: BookingBody<'a>,
}

#[derive(Serialize)]
struct BookingBody<'a> {
    id: u64,
    id_property: u64,
    currency: &'a str,
    associations: Associations<'a>,
}

#[derive(Serialize)]
struct Associations<'a> {
    customer_detail: Customer<'a>,
    /// Without `total_paid`, which would be taken for a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_details: Option<Price>,
    room_types: Vec<RoomTypeBody>,
}

#[derive(Serialize)]
struct Price {
    total_price_with_tax: Box<RawValue>,
}

/// Rooms of one type and stay. Without their list, the server leaves them as they are.
#[derive(Serialize)]
struct RoomTypeBody {
    id_room_type: u64,
    checkin_date: String,
    checkout_date: String,
    number_of_rooms: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<RoomBody>,
}

/// One room with its services, and maybe with a price of its own.
#[derive(Serialize)]
struct RoomBody {
    id_room: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price_without_tax: Option<Box<RawValue>>,
    /// Those that are not repeated are removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    services: Vec<ServiceBody>,
    /// The tax stays as it is, but without a number here the server fails after it has done its work.
    total_tax: u32,
}

/// What the rooms are to cost.
#[derive(Clone, Copy)]
enum Cost {
    /// The booking as a whole.
    Total(Money),
    /// Each room, for what the server takes for a night.
    Each(Decimal),
}

/// Makes the booking cost `total`; `record` says what it costs now.
///
/// # Errors
/// `pms.wrong_state` when the server does not tell whose booking it is: it would make another customer then; and when
/// the price is to be lowered of a booking without an invoice that has more than rooms, because the server would remove
/// the rest. Otherwise those of a write. In servers that show prices without tax the outcome is unknown every time.
pub(super) async fn set_total(
    http: &HttpClient,
    catalogue: &Catalogue,
    record: &Record,
    total: Money,
) -> Result<()> {
    if !record.services.is_empty() {
        return with_services(http, catalogue, record, total).await;
    }
    if total.amount() < record.total.amount() && !has_invoice(http, record).await? {
        match undercut(http, record, total).await {
            // Whether it worked shows in the price afterwards.
            Err(error) if is_lost(&error) => {}
            outcome => outcome?,
        }
    }
    write(http, record, Cost::Total(total), &[]).await
}

/// Makes a booking with a service cost `total`.
///
/// The server removes services that are not repeated, and charges for those that are. Its sum of what they cost, by
/// which it finds the price of the rooms, is of their lines, and a line that it writes then counts one night only. So
/// the rooms are made cheap first, with the services repeated; then it is read what the server charges for the
/// services, and what their lines say; and the total that is asked for is lower by the difference.
///
/// # Errors
/// `pms.wrong_state` for what the server cannot do without losing something: see [`repeatable`]; and for facilities of
/// the rooms, which cannot be repeated.
async fn with_services(
    http: &HttpClient,
    catalogue: &Catalogue,
    record: &Record,
    total: Money,
) -> Result<()> {
    let service = repeatable(catalogue, record)?;
    has_no_facilities(http, record).await?;
    let nights = record.live_rows().next().map_or(1, |row| row.stay.nights());
    let most = room_for_raising(record, &service, nights, total)?;
    let services = [service.body];
    let currency = record.total.currency();
    // The services may cost more than the rooms, which then must be cheaper still.
    let cheap = cheap_room(record, total.amount().min(most), Decimal::ONE_HUNDRED);
    match write(http, record, Cost::Each(cheap), &services).await {
        Err(error) if is_lost(&error) => {}
        outcome => outcome?,
    }
    let of_order = || Query::full().equal("id_order", record.id);
    let (orders, rows, lines) = tokio::try_join!(
        http.list("orders", "orders", Query::full().equal("id", record.id)),
        http.list("room_bookings", "bookings", of_order()),
        http.list("order_details", "order_details", of_order()),
    )?;
    let charged = sum(&orders, "total_paid_tax_incl", |_| true)?;
    let rooms = sum(&rows, "total_price_tax_incl", |row| {
        !row.field("is_cancelled").flag() && !row.field("is_back_order").flag()
    })?;
    let lines = sum(&lines, "total_price_tax_incl", |line| {
        !line.field("is_booking_product").flag()
    })?;
    let asked = total.amount() - (charged - rooms) + lines;
    if asked <= charged {
        return Err(dearer_than_rooms(record));
    }
    let asked = Money::new(asked, currency)?.scaled(Decimal::ONE)?;
    write(http, record, Cost::Total(asked), &services).await
}

/// Whether [`set_total`] will be able to once the booking has these nights, and keep its services; and, when
/// `and_back`, also when it has its own again.
///
/// # Errors
/// The `pms.wrong_state` of [`set_total`]; otherwise those of a read.
pub(super) async fn can_set_total(
    http: &HttpClient,
    catalogue: &Catalogue,
    record: &Record,
    (stay, total): (Stay, Money),
    and_back: bool,
) -> Result<()> {
    booker(record)?;
    if record.services.is_empty() {
        if total.amount() < record.total.amount() && !has_invoice(http, record).await? {
            has_only_rooms(http, record).await?;
        }
        return Ok(());
    }
    let service = repeatable(catalogue, record)?;
    room_for_raising(record, &service, stay.nights(), total)?;
    if let Some(row) = record.live_rows().next().filter(|_| and_back) {
        // What cannot be put back is not begun.
        room_for_raising(record, &service, row.stay.nights(), record.total)?;
    }
    has_no_facilities(http, record).await
}

/// By how much the rooms can be raised to this total, when they are cheap for these nights.
///
/// The server takes what the services' lines say from the total that is asked for, and refuses a lower total than the
/// booking has; and of what is paid for each night, a line that it writes has one night. So the rooms must cost more
/// than the nights that the lines leave out.
///
/// # Errors
/// `pms.wrong_state` when they do not.
fn room_for_raising(record: &Record, service: &Repeatable, nights: u32, total: Money) -> Result<Decimal> {
    let (rooms, quantity) = (rows_of(record), service.body.quantity);
    let charged = service.sold.total(quantity, rooms, nights)?;
    let lined = service.sold.total(quantity, rooms, 1)?;
    let left = total.amount() - charged.amount() - (charged.amount() - lined.amount());
    if left > Decimal::ZERO {
        Ok(left)
    } else {
        Err(dearer_than_rooms(record))
    }
}

async fn has_no_facilities(http: &HttpClient, record: &Record) -> Result<()> {
    let rows: Vec<_> = record.live_rows().map(|row| row.id).collect();
    let further = Query::full().any_of("id_htl_booking", rows);
    let further = http
        .list("booking_extra_demands", "extra_demands", further)
        .await?;
    if Node::new(&further).list().is_empty() {
        Ok(())
    } else {
        Err(too_much(record, "has facilities that another price would remove"))
    }
}

/// The sum of an amount over some entries of a list.
fn sum(list: &Value, name: &'static str, counts: impl Fn(Node<'_>) -> bool) -> Result<Decimal> {
    let entries = Node::new(list).list().into_iter();
    entries
        .filter(|entry| counts(*entry))
        .try_fold(Decimal::ZERO, |sum, entry| {
            let amount = entry.required(name, Node::decimal)?;
            Ok(sum.saturating_add(amount))
        })
}

/// The service of each room, as it is repeated and as it is sold.
struct Repeatable {
    body: ServiceBody,
    sold: Service,
}

/// The service of each room, when the server can repeat it.
///
/// # Errors
/// `pms.wrong_state` for several services, whose lines the server mixes up; for one that the hotel sells no more, or
/// that not every room has; and for one that is paid for each night and that a room can have several times, because
/// it could not be told afterwards how many there are.
fn repeatable(catalogue: &Catalogue, record: &Record) -> Result<Repeatable> {
    let [booked] = record.services.as_slice() else {
        return Err(too_much(
            record,
            "has several services, which the server mixes up",
        ));
    };
    let each = booked.of_each(rows_of(record)).filter(|quantity| *quantity > 0);
    let quantity = each.ok_or_else(|| too_much(record, "has different services in its rooms"))?;
    let room_type = record.live_rows().next().map(|row| row.room_type);
    let sold = match room_type {
        Some(room_type) => catalogue.services(room_type)?,
        None => Vec::new(),
    };
    match sold.into_iter().find(|service| service.id == booked.service) {
        None => Err(too_much(
            record,
            "has a service that the hotel does not sell any more",
        )),
        Some(service) if service.per_night && service.max_quantity != Some(1) => Err(too_much(
            record,
            "has a service for each night of which a room can have several",
        )),
        Some(sold) => Ok(Repeatable {
            body: ServiceBody {
                id_service: order::id("services", booked.service.number())?,
                quantity,
            },
            sold,
        }),
    }
}

fn dearer_than_rooms(record: &Record) -> Error {
    too_much(record, "has services that cost more than its rooms")
}

fn too_much(record: &Record, what: &'static str) -> Error {
    Error::new(
        codes::PMS_WRONG_STATE,
        format!("the booking {what}; change its nights in the server itself"),
    )
    .with("booking", record.id)
}

fn rows_of(record: &Record) -> u32 {
    u32::try_from(record.live_rows().count()).unwrap_or(u32::MAX)
}

async fn has_invoice(http: &HttpClient, record: &Record) -> Result<bool> {
    let query = Query::full().equal("id_order", record.id);
    let invoices = http.list("order_invoices", "order_invoices", query).await?;
    Ok(!Node::new(&invoices).list().is_empty())
}

/// Makes the rooms so cheap that the price is to be raised.
async fn undercut(http: &HttpClient, record: &Record, total: Money) -> Result<()> {
    has_only_rooms(http, record).await?;
    let each = cheap_room(record, total.amount(), Decimal::MAX);
    write(http, record, Cost::Each(each), &[]).await
}

/// Whether nothing would be removed when the rooms get prices of their own.
///
/// # Errors
/// `pms.wrong_state` when something would.
async fn has_only_rooms(http: &HttpClient, record: &Record) -> Result<()> {
    let query = Query::full().equal("id_order", record.id);
    let lines = http.list("order_details", "order_details", query).await?;
    let is_room = |line: Node<'_>| line.field("is_booking_product").flag();
    let currency = record.total.currency();
    let sum = account::read_lines(&lines, currency)?
        .into_iter()
        .map(|line| line.total);
    if !Node::new(&lines).list().into_iter().all(is_room) || Money::sum(currency, sum)? != record.total {
        return Err(Error::new(
            codes::PMS_WRONG_STATE,
            "the booking has more than rooms, which a lower price would remove; lower it in the server itself",
        )
        .with("booking", record.id));
    }
    Ok(())
}

/// A price for each room and night, not above `most`, with which the rooms together stay far below this amount.
fn cheap_room(record: &Record, amount: Decimal, most: Decimal) -> Decimal {
    let decimals = record.total.currency().decimals();
    let share = amount.checked_div(Decimal::from(rows_of(record)) * Decimal::from(UNDERCUT));
    share
        .unwrap_or_default()
        .min(most)
        .round_dp(decimals)
        .max(Decimal::new(1, decimals))
}

async fn write(http: &HttpClient, record: &Record, cost: Cost, services: &[ServiceBody]) -> Result<()> {
    let body = body(record, cost, services)?;
    let path = format!("bookings/{}", record.id);
    http.replace(&path, "booking", body).await.map(drop)
}

/// The guest, who must be repeated with every price.
///
/// # Errors
/// `pms.wrong_state` when the server does not tell.
fn booker(record: &Record) -> Result<&GuestProfile> {
    record.guest.as_ref().ok_or_else(|| {
        Error::new(
            codes::PMS_WRONG_STATE,
            "the server does not tell whose booking this is; change its nights in the server itself",
        )
        .with("booking", record.id)
    })
}

fn body(record: &Record, cost: Cost, services: &[ServiceBody]) -> Result<String> {
    let guest = booker(record)?;
    let mut rooms = BTreeMap::<_, Vec<_>>::new();
    for row in record.live_rows() {
        let stay = (row.stay.check_in(), row.stay.check_out());
        let room = row.room.iter().map(|room| room.id);
        rooms.entry((row.room_type, stay)).or_default().extend(room);
    }
    let listed = |rooms: &[RoomId]| -> Result<Vec<RoomBody>> {
        let price = match cost {
            Cost::Total(_) if services.is_empty() => return Ok(Vec::new()),
            Cost::Total(_) => None,
            Cost::Each(price) => Some(price),
        };
        let room = |room: &RoomId| {
            Ok(RoomBody {
                id_room: order::id("room", room.number())?,
                unit_price_without_tax: price.map(number).transpose()?,
                services: services.to_vec(),
                total_tax: 0,
            })
        };
        rooms.iter().map(room).collect()
    };
    let price_details = match cost {
        Cost::Total(total) => Some(Price {
            total_price_with_tax: number(total.amount())?,
        }),
        Cost::Each(_) => None,
    };
    let currency = record.total.currency();
    let body = Body {
        booking: BookingBody {
            id: order::id("booking", record.id.number())?,
            id_property: order::id("hotel", record.hotel.number())?,
            currency: currency.as_str(),
            associations: Associations {
                // As the server has them, because it overwrites what it has.
                customer_detail: Customer {
                    firstname: &guest.first_name,
                    lastname: &guest.last_name,
                    email: &guest.email,
                    phone: &guest.phone,
                },
                price_details,
                room_types: rooms
                    .into_iter()
                    .map(|((room_type, (from, to)), rooms)| {
                        Ok(RoomTypeBody {
                            id_room_type: order::id("room_type", room_type.number())?,
                            checkin_date: from.to_string(),
                            checkout_date: to.to_string(),
                            number_of_rooms: rooms.len(),
                            rooms: listed(&rooms)?,
                        })
                    })
                    .collect::<Result<_>>()?,
            },
        },
    };
    serde_json::to_string(&body).map_err(unwritable)
}
