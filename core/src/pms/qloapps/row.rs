//! Rows: one room of one booking, in QloApps a `room_booking`.
//!
//! A row is changed by sending all of it again. The shop checks nothing then: not the room, not the state, not
//! whether somebody else sleeps there.

use serde_json::{Map, Value};

use super::answer::not_understood;
use super::query::Query;
use super::reader::Node;
use super::wire::Wire;
use super::xml::{Xml, is_name};
use crate::error::{Error, Result, codes};
use crate::pms::id::{BookingId, HotelId, RoomId, RoomTypeId};
use crate::pms::occupancy::Occupancy;
use crate::pms::provider::{Room, Row, RowState};
use crate::stay::Stay;

/// Reads one row and the hotel that it belongs to.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn read_row(node: Node<'_>) -> Result<(HotelId, Row)> {
    let stay = Stay::new(
        node.required("date_from", Node::date)?,
        node.required("date_to", Node::date)?,
    );
    let row = Row {
        id: node.required("id", Node::number)?,
        booking: BookingId::new(node.required("id_order", Node::number)?)?,
        room: Room {
            id: RoomId::new(node.required("id_room", Node::number)?)?,
            number: node.field("room_num").text().unwrap_or_default(),
        },
        room_type: RoomTypeId::new(node.required("id_product", Node::number)?)?,
        stay: stay.map_err(|cause| not_understood("a row has no night").caused_by(cause))?,
        occupancy: read_occupancy(node)?,
        state: read_state(node),
    };
    Ok((HotelId::new(node.required("id_hotel", Node::number)?)?, row))
}

fn read_state(node: Node<'_>) -> RowState {
    const CHECKED_IN: u64 = 2;
    const CHECKED_OUT: u64 = 3;
    if node.field("is_back_order").flag() {
        RowState::BackOrdered
    } else if node.field("is_cancelled").flag() || node.field("is_refunded").flag() {
        RowState::Cancelled
    } else {
        match node.field("id_status").number() {
            Some(CHECKED_IN) => RowState::CheckedIn,
            Some(CHECKED_OUT) => RowState::CheckedOut,
            // States of newer versions keep the room.
            _ => RowState::Reserved,
        }
    }
}

/// The guests of a row. The front desk may book what we would not: such a row is read as close as it gets, and a
/// child without an age counts as a baby.
fn read_occupancy(node: Node<'_>) -> Result<Occupancy> {
    let most = u32::try_from(Occupancy::MAX_EACH).unwrap_or(u32::MAX);
    let adults = node.field("adults").count().unwrap_or(1).clamp(1, most);
    let children = node.field("children").count().unwrap_or(0).min(most);
    let written = node.field("child_ages").text().unwrap_or_default();
    let written: Value = serde_json::from_str(&written).unwrap_or_default();
    let age = |node: Node<'_>| {
        let age = node.number().and_then(|age| u8::try_from(age).ok());
        age.unwrap_or(Occupancy::MAX_CHILD_AGE)
            .min(Occupancy::MAX_CHILD_AGE)
    };
    let mut ages: Vec<u8> = Node::new(&written).list().into_iter().map(age).collect();
    ages.resize(usize::try_from(children).unwrap_or(0), 0);
    Occupancy::new(adults, &ages)
}

/// The rows that take a room in some night of a stay.
///
/// # Errors
/// Those of the read.
pub(super) async fn on_room(wire: &Wire, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
    let query = Query::full()
        .equal("id_room", room)
        .below("date_from", stay.check_out())
        .above("date_to", stay.check_in())
        .equal("is_refunded", 0)
        .equal("is_back_order", 0);
    let rows = wire.list("room_bookings", "bookings", query).await?;
    let mut taking = Vec::new();
    for node in Node::new(&rows).list() {
        let (_, row) = read_row(node)?;
        if row.state.takes_room() && row.room.id == room && row.stay.overlaps(stay) {
            taking.push(row);
        }
    }
    Ok(taking)
}

/// Moves a row to another room.
///
/// # Errors
/// `pms.wrong_state` when the row is gone, belongs to another booking, or is not live: nobody has seen the shop
/// revive a back-ordered row. Otherwise those of a write.
pub(super) async fn place(wire: &Wire, booking: BookingId, id: u64, room: &Room) -> Result<()> {
    let mut fields = fields(wire, id).await?;
    let now = Value::Object(fields.clone());
    let node = Node::new(&now);
    let theirs = node.field("id_order").number() == Some(booking.get());
    if !theirs || !read_state(node).takes_room() {
        return Err(Error::new(
            codes::PMS_WRONG_STATE,
            "the row is not a live part of this booking",
        )
        .with("booking", booking));
    }
    fields.insert("id_room".into(), room.id.get().into());
    fields.insert("room_num".into(), room.number.as_str().into());
    save(wire, id, &fields).await
}

/// All fields of a row, as they are now.
async fn fields(wire: &Wire, id: u64) -> Result<Map<String, Value>> {
    let rows = wire
        .list("room_bookings", "bookings", Query::full().equal("id", id))
        .await?;
    let row = rows.get(0).and_then(Value::as_object).cloned();
    row.ok_or_else(|| Error::new(codes::PMS_WRONG_STATE, "the row is gone").with("row", id))
}

/// Writes all fields of a row.
async fn save(wire: &Wire, id: u64, fields: &Map<String, Value>) -> Result<()> {
    let body = Xml::document(|xml| {
        xml.element("booking", |xml| {
            for (name, value) in fields {
                if is_name(name) && name != "associations" {
                    xml.value(name, &Node::new(value).text().unwrap_or_default());
                }
            }
        });
    });
    let path = format!("room_bookings/{id}");
    wire.replace(&path, "booking", body).await.map(drop)
}
