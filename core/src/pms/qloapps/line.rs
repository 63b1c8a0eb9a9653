//! Which services a booking has: the lines of its order that are no rooms.
//!
//! A line counts what is paid for each night once for every night. The server's change of a booking leaves lines that
//! count it once, and may leave lines behind that belong to nothing any more; a service that a room has at most once is
//! had by no more than all rooms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::catalogue::Catalogue;
use super::extra::{PER_NIGHT, WITH_THE_ROOM};
use super::reader::Node;
use crate::error::Result;
use crate::pms::id::ServiceId;
use crate::pms::record::Row;
use crate::pms::service::BookedService;

/// The chosen services of each order, in the order of their ids.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn read_services<'a>(
    lines: impl IntoIterator<Item = Node<'a>>,
    rows: &[Row],
    catalogue: &Catalogue,
) -> Result<Vec<BookedService>> {
    let nights = rows.first().map_or(1, |row| row.stay.nights());
    let same_nights = rows.iter().all(|row| row.stay.nights() == nights);
    let live = rows.iter().filter(|row| row.state.takes_room()).count();
    let rooms = if live == 0 { rows.len() } else { live };
    let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
    let mut booked = BTreeMap::<ServiceId, BookedService>::new();
    for line in lines {
        let is_room = line.field("is_booking_product").flag();
        let number = |name: &str| line.field(name).number();
        let is_in_the_price = number("product_auto_add") == Some(1)
            && number("product_price_addition_type") == Some(WITH_THE_ROOM);
        if is_room || is_in_the_price {
            continue;
        }
        let service = ServiceId::from(line.required("product_id", Node::id)?);
        if rows
            .first()
            .is_some_and(|row| catalogue.is_in_the_price(row.room_type, service))
        {
            continue;
        }
        let counted = line.required("product_quantity", Node::count)?;
        let per_night = number("product_price_calculation_method") == Some(PER_NIGHT);
        let quantity = match counted.checked_rem(nights) {
            Some(0) if per_night && same_nights => counted / nights.max(1),
            _ => counted,
        };
        let entry = booked.entry(service).or_insert_with(|| BookedService {
            service,
            name: line.field("product_name").text().unwrap_or_default(),
            quantity: 0,
        });
        entry.quantity = entry.quantity.saturating_add(quantity);
        if !line.field("product_allow_multiple_quantity").flag() {
            entry.quantity = entry.quantity.min(rooms);
        }
    }
    Ok(booked
        .into_values()
        .filter(|booked| booked.quantity > 0)
        .collect())
}

/// The lines by the order that they belong to.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn by_order(lines: &Value) -> Result<BTreeMap<u64, Vec<Node<'_>>>> {
    let mut by_order = BTreeMap::<_, Vec<_>>::new();
    for line in Node::new(lines).list() {
        let order = line.required("id_order", Node::number)?;
        by_order.entry(order).or_default().push(line);
    }
    Ok(by_order)
}
