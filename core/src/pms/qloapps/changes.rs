//! What changed in the server: orders, and the rows of orders, by the second of their last change.
//!
//! A second is coarse, and a change may be stored a little after the second that it names. So the last seconds are
//! always read again, and what was seen of them is known by a digest. The server's clock goes back once a year; then so
//! do we, and an hour's changes come twice.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use crate::error::Result;
use crate::hex::hex;
use crate::pms::id::BookingId;

/// How late a change may be stored.
const WINDOW: TimeDelta = TimeDelta::seconds(5);

/// A place in the changes of a server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    orders: Stream,
    rows: Stream,
}

/// A place in the changes of one resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stream {
    /// The last second that was read, in the server's own time.
    at: NaiveDateTime,
    /// What was seen of the last seconds: id, second and digest.
    seen: Vec<(u64, NaiveDateTime, String)>,
}

impl Place {
    /// The place before everything that happened at this moment, in the server's own time, or later.
    pub(super) fn since(moment: NaiveDateTime) -> Self {
        let stream = Stream {
            at: moment.checked_add_signed(WINDOW).unwrap_or(moment),
            seen: Vec::new(),
        };
        Self {
            orders: stream.clone(),
            rows: stream,
        }
    }

    /// Takes over what is new in the orders and in the rows of orders.
    pub(super) fn take(
        &mut self,
        orders: &Value,
        rows: &Value,
    ) -> Result<BTreeMap<BookingId, NaiveDateTime>> {
        let mut changed = BTreeMap::new();
        self.orders.take(orders, "id", &mut changed)?;
        self.rows.take(rows, "id_order", &mut changed)?;
        Ok(changed)
    }
}

/// Reads on, up to the server's present. Answers the orders that changed, each with the second of its last change.
///
/// # Errors
/// Those of the reads.
pub(super) async fn read_on(
    place: &mut Place,
    http: &HttpClient,
    now: NaiveDateTime,
    most: usize,
) -> Result<BTreeMap<BookingId, NaiveDateTime>> {
    let (orders, rows) = (place.orders.question(now, most), place.rows.question(now, most));
    let (orders, rows) = tokio::try_join!(
        http.list("orders", "orders", orders),
        http.list("room_bookings", "bookings", rows),
    )?;
    place.take(&orders, &rows)
}

impl Stream {
    fn question(&mut self, now: NaiveDateTime, most: usize) -> Query {
        // Beyond the present lies only what was written before the clock went back.
        self.at = self.at.min(now);
        let from = self.at.checked_sub_signed(WINDOW).unwrap_or(self.at);
        Query::full()
            .dated()
            .between("date_upd", from, now)
            .sorted("[date_upd_ASC,id_ASC]")
            .limited(most + self.seen.len())
    }

    /// Takes over what is new.
    fn take(
        &mut self,
        list: &Value,
        order: &'static str,
        changed: &mut BTreeMap<BookingId, NaiveDateTime>,
    ) -> Result<()> {
        for node in Node::new(list).list() {
            let (id, at) = (
                node.required("id", Node::number)?,
                node.required("date_upd", Node::moment)?,
            );
            let seen = (id, at, digest(node));
            if self.seen.contains(&seen) {
                continue;
            }
            self.seen.push(seen);
            self.at = self.at.max(at);
            let booking = BookingId::from(node.required(order, Node::id)?);
            let known = changed.entry(booking).or_insert(at);
            *known = at.max(*known);
        }
        let from = self.at.checked_sub_signed(WINDOW).unwrap_or(self.at);
        self.seen.retain(|(_, at, _)| *at >= from);
        Ok(())
    }
}

/// What tells two states of an object apart.
fn digest(node: Node<'_>) -> String {
    let mut digits = hex(&Sha1::digest(node.written()));
    digits.truncate(12);
    digits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn second(second: u32) -> NaiveDateTime {
        let day = chrono::NaiveDate::from_ymd_opt(2027, 3, 10).unwrap();
        day.and_hms_opt(12, 0, second).unwrap()
    }

    fn order(id: u64, at: NaiveDateTime, state: u64) -> Value {
        json!({"id": id, "current_state": state, "date_upd": at.format("%Y-%m-%d %H:%M:%S").to_string()})
    }

    fn take(stream: &mut Stream, list: &[Value]) -> Vec<String> {
        let mut changed = BTreeMap::new();
        stream.take(&json!(list), "id", &mut changed).unwrap();
        changed.keys().map(BookingId::to_string).collect()
    }

    #[test]
    fn what_was_seen_comes_again_only_when_it_changed_in_the_same_second() {
        let mut stream = Place::since(second(0)).orders;
        let list = [order(7, second(1), 1), order(8, second(1), 1)];
        assert_eq!(take(&mut stream, &list), ["7", "8"]);
        assert!(take(&mut stream, &list).is_empty());
        assert_eq!(take(&mut stream, &[order(7, second(1), 4)]), ["7"]);
        assert_eq!(take(&mut stream, &[order(6, second(1), 1)]), ["6"], "stored late");
    }

    #[test]
    fn what_is_remembered_does_not_grow() {
        let mut stream = Place::since(second(0)).orders;
        for id in 1..50u32 {
            take(&mut stream, &[order(u64::from(id), second(id), 1)]);
        }
        assert_eq!(stream.seen.len(), 6);
    }

    #[test]
    fn when_the_clock_goes_back_so_does_the_place() {
        let mut stream = Place::since(second(40)).orders;
        let question = stream.question(second(20), 10);
        assert!(
            question.as_str().contains("12%3A00%3A15%2C2027"),
            "{}",
            question.as_str()
        );
        assert_eq!(stream.at, second(20));
    }
}
