//! Rows: one room of one booking, in QloApps a `room_booking`.
//!
//! A row is changed by sending all of it again. The server checks nothing then: not the room, not the state, not
//! whether another guest sleeps there.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};

use super::answer::not_understood;
use super::catalogue::Catalogue;
use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use super::xml::{Xml, is_name};
use crate::error::{Error, Result, codes};
use crate::pms::id::{BookingId, HotelId, RatePlanId, RoomId, RoomTypeId, StayId};
use crate::pms::occupancy::Occupancy;
use crate::pms::record::{Movement, Room, Row, RowChange, RowState};
use crate::stay::Stay;

const CHECKED_IN: u64 = 2;
const CHECKED_OUT: u64 = 3;

/// Reads one row and the hotel that it belongs to.
///
/// # Errors
/// `pms.unexpected_answer`.
pub(super) fn read_row(node: Node<'_>) -> Result<(HotelId, Row)> {
    let stay = Stay::new(
        node.required("date_from", Node::date)?,
        node.required("date_to", Node::date)?,
    );
    let number = node.required("id", Node::id)?;
    let row = Row {
        id: StayId::from(number),
        // The server counts its rows.
        sequence: number,
        booking: BookingId::from(node.required("id_order", Node::id)?),
        room: Some(Room {
            id: RoomId::from(node.required("id_room", Node::id)?),
            number: node.field("room_num").text().unwrap_or_default(),
        }),
        room_type: RoomTypeId::from(node.required("id_product", Node::id)?),
        rate_plan: RatePlanId::default(),
        stay: stay.map_err(|cause| not_understood("a row has no night").caused_by(cause))?,
        occupancy: read_occupancy(node)?,
        state: read_state(node),
        // The server leaves it behind when the booking gets another price.
        price: None,
    };
    Ok((HotelId::from(node.required("id_hotel", Node::id)?), row))
}

fn read_state(node: Node<'_>) -> RowState {
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
pub(super) async fn on_room(http: &HttpClient, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
    let query = Query::full()
        .equal("id_room", room)
        .below("date_from", stay.check_out())
        .above("date_to", stay.check_in())
        .equal("is_refunded", 0)
        .equal("is_back_order", 0);
    read_taking(&http.list("room_bookings", "bookings", query).await?, room, stay)
}

/// Reads the rows that take the room; the server may list others.
pub(super) fn read_taking(rows: &Value, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
    let mut taking = Vec::new();
    for node in Node::new(rows).list() {
        let (_, row) = read_row(node)?;
        if row.state.takes_room()
            && row.room.as_ref().is_some_and(|known| known.id == room)
            && row.stay.overlaps(stay)
        {
            taking.push(row);
        }
    }
    Ok(taking)
}

/// The rows of a hotel that begin, or end, on a day and were neither refunded nor back-ordered: the orders that they
/// are part of, smallest first.
///
/// # Errors
/// Those of the read.
pub(super) async fn orders_moving(
    http: &HttpClient,
    hotel: HotelId,
    movement: Movement,
    day: NaiveDate,
) -> Result<BTreeSet<BookingId>> {
    let field = match movement {
        Movement::Arrival => "date_from",
        Movement::Departure => "date_to",
    };
    let query = Query::full()
        .equal("id_hotel", hotel)
        .between(field, day, format_args!("{day} 23:59:59"))
        .equal("is_refunded", 0)
        .equal("is_back_order", 0);
    read_orders(&http.list("room_bookings", "bookings", query).await?)
}

/// Reads which orders the rows are part of.
pub(super) fn read_orders(rows: &Value) -> Result<BTreeSet<BookingId>> {
    let mut orders = BTreeSet::new();
    for node in Node::new(rows).list() {
        orders.insert(BookingId::from(node.required("id_order", Node::id)?));
    }
    Ok(orders)
}

/// Changes a row.
///
/// # Errors
/// `pms.wrong_state` when the row is gone, belongs to another booking, or is not live: the server was never seen
/// to revive a back-ordered row. Otherwise those of a write.
pub(super) async fn change(
    http: &HttpClient,
    catalogue: &Catalogue,
    booking: BookingId,
    id: StayId,
    change: &RowChange,
) -> Result<()> {
    // What is no number could mean something else in a question.
    id.number().ok_or_else(|| gone(id))?;
    let query = Query::full().equal("id", id);
    let rows = http.list("room_bookings", "bookings", query).await?;
    let body = changed(&rows, catalogue, booking, id, change)?;
    let path = format!("room_bookings/{id}");
    http.replace(&path, "booking", body).await.map(drop)
}

/// Reads all fields of a row and writes all of them again, some changed.
pub(super) fn changed(
    rows: &Value,
    catalogue: &Catalogue,
    booking: BookingId,
    id: StayId,
    change: &RowChange,
) -> Result<String> {
    let mut fields = fields(rows, id)?;
    let now = Value::Object(fields.clone());
    let node = Node::new(&now);
    let theirs = node.field("id_order").id().map(BookingId::from) == Some(booking);
    let state = read_state(node);
    // A departure whose answer was lost may be written again.
    let leaves = matches!(change.moved, Some((Movement::Departure, _)));
    if !theirs || !(state.takes_room() || leaves && state == RowState::CheckedOut) {
        return Err(Error::new(
            codes::PMS_WRONG_STATE,
            "the row is not a live part of this booking",
        )
        .with("booking", booking));
    }
    if let Some(room) = &change.room {
        fields.insert("id_room".into(), room.id.as_str().into());
        fields.insert("room_num".into(), room.number.as_str().into());
    }
    if let Some(stay) = change.stay {
        fields.insert("date_from".into(), format!("{} 00:00:00", stay.check_in()).into());
        fields.insert("date_to".into(), format!("{} 00:00:00", stay.check_out()).into());
        if let Some(leaving) = node.field("check_out_time").time() {
            let planned = stay.check_out().and_time(leaving);
            fields.insert("planned_check_out".into(), moment(planned).into());
        }
    }
    if let Some(occupancy) = &change.occupancy {
        let ages: Vec<String> = occupancy.child_ages().iter().map(u8::to_string).collect();
        fields.insert("adults".into(), occupancy.adults().into());
        fields.insert("children".into(), occupancy.children().into());
        fields.insert("child_ages".into(), Value::from(ages).to_string().into());
    }
    if let Some((movement, at)) = change.moved {
        let (status, field) = match movement {
            Movement::Arrival => (CHECKED_IN, "check_in"),
            Movement::Departure => (CHECKED_OUT, "check_out"),
        };
        fields.insert("id_status".into(), status.into());
        fields.insert(field.into(), moment(catalogue.local(at)).into());
    }
    Ok(body(&fields))
}

fn moment(local: NaiveDateTime) -> String {
    local.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// All fields of a row, as they are now.
fn fields(rows: &Value, id: StayId) -> Result<Map<String, Value>> {
    let row = rows.get(0).and_then(Value::as_object).cloned();
    row.ok_or_else(|| gone(id))
}

fn gone(id: StayId) -> Error {
    Error::new(codes::PMS_WRONG_STATE, "the row is gone").with("row", id)
}

fn body(fields: &Map<String, Value>) -> String {
    Xml::document(|xml| {
        xml.element("booking", |xml| {
            for (name, value) in fields {
                if is_name(name) && name != "associations" {
                    xml.value(name, &Node::new(value).text().unwrap_or_default());
                }
            }
        });
    })
}
