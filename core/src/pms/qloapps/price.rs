//! Setting what an existing booking costs.
//!
//! The shop does that as part of its change of a whole booking (`PUT bookings/{id}`): it compares the rooms of the
//! request with those of the order, and when they are the same, only the price is left to do. A higher one scales the
//! rooms up. A lower one becomes a discount on the invoice, and without an invoice nothing at all. So the rows are
//! changed first, each by itself, and described here as they are then; and a price that no invoice can lower is
//! undercut by prices of the rooms, and then raised.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::account;
use super::order::{Customer, number, unwritable};
use super::query::Query;
use super::reader::Node;
use super::wire::Wire;
use crate::error::{Error, Result, codes};
use crate::pms::id::RoomId;
use crate::pms::money::Money;
use crate::pms::patience::is_lost;
use crate::pms::provider::Record;

/// Rooms are priced at this part of the new price before it is raised. The shop means a price for each night and
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

/// Rooms of one type and stay. Without their list, the shop leaves them as they are.
#[derive(Serialize)]
struct RoomTypeBody {
    id_room_type: u64,
    checkin_date: String,
    checkout_date: String,
    number_of_rooms: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<RoomBody>,
}

/// One room with a price of its own.
#[derive(Serialize)]
struct RoomBody {
    id_room: u64,
    unit_price_without_tax: Box<RawValue>,
    /// The tax stays as it is, but without a number here the shop fails after it has done its work.
    total_tax: u32,
}

/// What the rooms are to cost.
#[derive(Clone, Copy)]
enum Cost {
    /// The booking as a whole.
    Total(Money),
    /// Each room, for what the shop takes for a night.
    Each(Decimal),
}

/// Makes the booking cost `total`; `record` says what it costs now.
///
/// # Errors
/// `pms.wrong_state` when the shop does not tell whose booking it is: it would make another customer then; and when the
/// price is to be lowered of a booking without an invoice that has more than rooms, because the shop would remove the
/// rest. Otherwise those of a write. In shops that show prices without tax the outcome is unknown every time.
pub(super) async fn set_total(wire: &Wire, record: &Record, total: Money) -> Result<()> {
    if total.amount() < record.total.amount() && !has_invoice(wire, record).await? {
        match undercut(wire, record, total).await {
            // Whether it worked shows in the price afterwards.
            Err(error) if is_lost(&error) => {}
            outcome => outcome?,
        }
    }
    write(wire, record, Cost::Total(total)).await
}

async fn has_invoice(wire: &Wire, record: &Record) -> Result<bool> {
    let query = Query::full().equal("id_order", record.id);
    let invoices = wire.list("order_invoices", "order_invoices", query).await?;
    Ok(!Node::new(&invoices).list().is_empty())
}

/// Makes the rooms so cheap that the price is to be raised.
async fn undercut(wire: &Wire, record: &Record, total: Money) -> Result<()> {
    let query = Query::full().equal("id_order", record.id);
    let lines = wire.list("order_details", "order_details", query).await?;
    let is_room = |line: Node<'_>| line.field("is_booking_product").flag();
    let currency = record.total.currency();
    let sum = account::read_lines(&lines, currency)?
        .into_iter()
        .map(|line| line.total);
    if !Node::new(&lines).list().into_iter().all(is_room) || Money::sum(currency, sum)? != record.total {
        return Err(Error::new(
            codes::PMS_WRONG_STATE,
            "the booking has more than rooms, which a lower price would remove; lower it in the shop itself",
        )
        .with("booking", record.id));
    }
    let rooms = record.rows.iter().filter(|row| row.state.takes_room()).count();
    let share = total
        .amount()
        .checked_div(Decimal::from(rooms) * Decimal::from(UNDERCUT));
    let least = Decimal::new(1, currency.decimals());
    let each = share.unwrap_or_default().round_dp(currency.decimals()).max(least);
    write(wire, record, Cost::Each(each)).await
}

async fn write(wire: &Wire, record: &Record, cost: Cost) -> Result<()> {
    let body = body(record, cost)?;
    let path = format!("bookings/{}", record.id);
    wire.replace(&path, "booking", body).await.map(drop)
}

fn body(record: &Record, cost: Cost) -> Result<String> {
    let guest = record.guest.as_ref().ok_or_else(|| {
        Error::new(
            codes::PMS_WRONG_STATE,
            "the shop does not know whose booking this is",
        )
        .with("booking", record.id)
    })?;
    let mut rooms = BTreeMap::<_, Vec<_>>::new();
    for row in record.rows.iter().filter(|row| row.state.takes_room()) {
        let stay = (row.stay.check_in(), row.stay.check_out());
        rooms.entry((row.room_type, stay)).or_default().push(row.room.id);
    }
    let priced = |rooms: &[RoomId]| match cost {
        Cost::Total(_) => Ok(Vec::new()),
        Cost::Each(price) => rooms
            .iter()
            .map(|room| {
                Ok(RoomBody {
                    id_room: room.get(),
                    unit_price_without_tax: number(price)?,
                    total_tax: 0,
                })
            })
            .collect::<Result<_>>(),
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
            id: record.id.get(),
            id_property: record.hotel.get(),
            currency: currency.as_str(),
            associations: Associations {
                // As the shop has them, because it overwrites what it has.
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
                            id_room_type: room_type.get(),
                            checkin_date: from.to_string(),
                            checkout_date: to.to_string(),
                            number_of_rooms: rooms.len(),
                            rooms: priced(&rooms)?,
                        })
                    })
                    .collect::<Result<_>>()?,
            },
        },
    };
    serde_json::to_string(&body).map_err(unwritable)
}
