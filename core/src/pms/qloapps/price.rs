//! Setting what an existing booking costs.
//!
//! The shop does that as part of its change of a whole booking (`PUT bookings/{id}`): it compares the rooms of the
//! request with those of the order, and when they are the same, only the price is left to do. A higher one scales the
//! rooms up, a lower one becomes a discount. So the rows are changed first, each by itself, and described here as they
//! are then.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::order::{Customer, number, unwritable};
use super::wire::Wire;
use crate::error::{Error, Result, codes};
use crate::pms::money::Money;
use crate::pms::provider::Record;

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
    price_details: Price,
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
    number_of_rooms: u32,
}

/// Makes the booking cost `total`.
///
/// # Errors
/// `pms.wrong_state` when the shop does not tell whose booking it is: it would make another customer then. Otherwise
/// those of a write. In shops that show prices without tax the outcome is unknown every time.
pub(super) async fn set_total(wire: &Wire, record: &Record, total: Money) -> Result<()> {
    let body = body(record, total)?;
    let path = format!("bookings/{}", record.id);
    wire.replace(&path, "booking", body).await.map(drop)
}

fn body(record: &Record, total: Money) -> Result<String> {
    let guest = record.guest.as_ref().ok_or_else(|| {
        Error::new(
            codes::PMS_WRONG_STATE,
            "the shop does not know whose booking this is",
        )
        .with("booking", record.id)
    })?;
    let mut rooms = BTreeMap::new();
    for row in record.rows.iter().filter(|row| row.state.takes_room()) {
        let stay = (row.stay.check_in(), row.stay.check_out());
        *rooms.entry((row.room_type, stay)).or_insert(0) += 1;
    }
    let currency = total.currency();
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
                price_details: Price {
                    total_price_with_tax: number(total.amount())?,
                },
                room_types: rooms
                    .into_iter()
                    .map(|((room_type, (from, to)), count)| RoomTypeBody {
                        id_room_type: room_type.get(),
                        checkin_date: from.to_string(),
                        checkout_date: to.to_string(),
                        number_of_rooms: count,
                    })
                    .collect(),
            },
        },
    };
    serde_json::to_string(&body).map_err(unwritable)
}
