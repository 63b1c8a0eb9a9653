//! The server's database: rooms, orders, rows, customers; and how a booking is written into it, step by step.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value, json};

use super::SimulatedCollision;
use super::extras::{Had, Line, WishedService};
use super::life::stay_of;
use crate::Stay;

/// Name, prefix of the door numbers and net price of a night, by room type; five rooms each.
const ROOM_TYPES: [(&str, &str, u32); 4] = [
    ("General Rooms", "GR", 1000),
    ("Delux Rooms", "DR", 1500),
    ("Executive Rooms", "ER", 2000),
    ("Luxury Rooms", "LR", 2500),
];
const ROOMS_EACH: u64 = 5;
/// Net price of the automatic service, per room and night.
const SERVICE: u32 = 250;
const MAINTENANCE: u64 = 5;
/// Tax in percent.
const TAX: u32 = 4;

/// What it sells for, beside the prices of the demo.
#[derive(Default)]
pub(super) struct Prices {
    /// The net price of a night, for every room type.
    pub(super) room: Option<Decimal>,
    /// Net prices of services.
    pub(super) services: BTreeMap<u64, Decimal>,
    /// Tax in percent.
    pub(super) tax: Option<Decimal>,
}

/// The states of an order.
pub(super) const BEING_WRITTEN: u64 = 0;
pub(super) const AWAITING_PAYMENT: u64 = 1;
pub(super) const CANCELLED: u64 = 4;
pub(super) const STATES: std::ops::RangeInclusive<u64> = 1..=12;
pub(super) const NEVER: &str = "0000-00-00 00:00:00";
/// Who says that it made a booking of the hotel's own website. Such orders come from another module.
pub(super) const WEBSITE: &str = "website";

/// A booking that passed the checks: which rooms it will take, although they are not taken yet.
pub(super) struct Chosen {
    pub(super) rooms: Vec<u64>,
    pub(super) wish: Wish,
}

/// A booking as it was asked for.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) room_type: u64,
    pub(super) stay: Stay,
    pub(super) rooms: Vec<WishedRoom>,
    pub(super) source: String,
    pub(super) guest: [String; 4],
    /// What the whole booking shall cost; less than the price is ignored.
    pub(super) total: Decimal,
}

#[derive(Clone)]
pub(super) struct WishedRoom {
    pub(super) adults: i64,
    pub(super) ages: Vec<u64>,
    pub(super) tax: WishedTax,
    pub(super) services: Vec<WishedService>,
}

/// What a request says about the tax of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WishedTax {
    Of(Decimal),
    /// The request lists no rooms, so the server knows better.
    Right,
    /// It books, and then PHP warns.
    Missing,
    /// It books, and then PHP dies.
    Unreadable,
}

impl WishedTax {
    fn on(self, net: Decimal, right: Decimal) -> Decimal {
        match self {
            Self::Of(tax) => tax,
            Self::Right => right - net,
            Self::Missing | Self::Unreadable => Decimal::ZERO,
        }
    }
}

#[derive(Default)]
pub(super) struct Server {
    pub(super) orders: BTreeMap<u64, Map<String, Value>>,
    pub(super) rows: BTreeMap<u64, Map<String, Value>>,
    pub(super) customers: BTreeMap<u64, [String; 4]>,
    pub(super) invoices: Vec<Value>,
    pub(super) payments: Vec<Value>,
    /// The services of each row, and the lines of orders that are no rooms.
    pub(super) had: BTreeMap<u64, Vec<Had>>,
    pub(super) lines: BTreeMap<u64, Line>,
    pub(super) last_line: u64,
    /// What rooms have beside services, such as a cot.
    pub(super) facilities: Vec<Value>,
    /// For which nights each row was made: its services are found by them.
    pub(super) first_stays: BTreeMap<u64, Stay>,
    histories: u64,
    pub(super) collisions: usize,
    /// What every price is multiplied by, in percent; 0 stands for 100.
    pub(super) dearer: u32,
    pub(super) prices: Prices,
}

impl Server {
    pub(super) fn room_name(room: u64) -> String {
        let type_ = Self::type_of(room);
        let (_, prefix, _) = ROOM_TYPES[usize::try_from(type_ - 1).unwrap()];
        format!("{prefix}-{}", 100 + (room - 1) % ROOMS_EACH + 1)
    }

    pub(super) fn type_of(room: u64) -> u64 {
        (room - 1) / ROOMS_EACH + 1
    }

    pub(super) fn type_name(room_type: u64) -> Option<&'static str> {
        let place = usize::try_from(room_type).ok()?.checked_sub(1)?;
        ROOM_TYPES.get(place).map(|(name, ..)| *name)
    }

    pub(super) fn types() -> std::ops::RangeInclusive<u64> {
        1..=ROOM_TYPES.len() as u64
    }

    pub(super) fn rooms_of(room_type: u64) -> std::ops::RangeInclusive<u64> {
        (room_type - 1) * ROOMS_EACH + 1..=room_type * ROOMS_EACH
    }

    /// Net prices of a night: of the room, and of the room with its automatic service.
    pub(super) fn night(&self, room_type: u64) -> (Decimal, Decimal) {
        let (_, _, net) = ROOM_TYPES[usize::try_from(room_type - 1).unwrap()];
        let net = self.prices.room.unwrap_or_else(|| net.into());
        let net = net * Decimal::from(if self.dearer == 0 { 100 } else { self.dearer });
        let net = net / Decimal::from(100);
        (net, net + self.service_net(MAINTENANCE, SERVICE))
    }

    /// The net price of a service that costs so much in the demo.
    pub(super) fn service_net(&self, service: u64, net: u32) -> Decimal {
        let own = self.prices.services.get(&service).copied();
        own.unwrap_or_else(|| net.into())
    }

    /// Tax in percent.
    pub(super) fn tax(&self) -> Decimal {
        self.prices.tax.unwrap_or_else(|| TAX.into())
    }

    pub(super) fn with_tax(&self, net: Decimal) -> Decimal {
        net * (Decimal::ONE_HUNDRED + self.tax()) / Decimal::ONE_HUNDRED
    }

    /// Rows that take a room in some night of the stay.
    fn on_room(&self, room: u64, stay: Stay) -> impl Iterator<Item = u64> {
        let (from, to) = (midnight(stay.check_in()), midnight(stay.check_out()));
        self.rows.iter().filter_map(move |(id, row)| {
            let takes = row["id_room"] == json!(room)
                && row["is_refunded"] == json!(0)
                && row["is_back_order"] == json!(0)
                && row["id_status"] != json!(3)
                && row["date_from"].as_str() < Some(&to)
                && row["date_to"].as_str() > Some(&from);
            takes.then_some(*id)
        })
    }

    pub(super) fn free_rooms(&self, room_type: u64, stay: Stay) -> Vec<u64> {
        Self::rooms_of(room_type)
            .filter(|room| self.on_room(*room, stay).next().is_none())
            .collect()
    }

    /// Room nights that more than one row takes.
    pub(super) fn double_booked_nights(&self) -> usize {
        let mut taken = BTreeMap::new();
        for row in self.rows.values() {
            let live = ["is_refunded", "is_back_order"]
                .iter()
                .all(|flag| row[*flag] == json!(0));
            if !live || row["id_status"] == json!(3) {
                continue;
            }
            for night in stay_of(row).each_night() {
                *taken.entry((row["id_room"].to_string(), night)).or_insert(0) += 1;
            }
        }
        taken.values().filter(|rows| **rows > 1).count()
    }

    pub(super) fn all_orders(&self) -> Vec<Value> {
        self.orders.values().cloned().map(Value::Object).collect()
    }

    pub(super) fn all_rows(&self) -> Vec<Value> {
        self.rows.values().cloned().map(Value::Object).collect()
    }

    pub(super) fn all_customers(&self) -> Vec<Value> {
        let customer = |(id, guest): (&u64, &[String; 4])| {
            json!({"id": id, "firstname": guest[0], "lastname": guest[1], "email": guest[2], "phone": guest[3],
                "passwd": "0".repeat(32), "secure_key": "0".repeat(32)})
        };
        self.customers.iter().map(customer).collect()
    }

    /// Step 1: looks for free rooms, and takes none of them.
    pub(super) fn choose(&self, wish: &Wish) -> Option<Chosen> {
        let mut rooms = self.free_rooms(wish.room_type, wish.stay);
        if rooms.len() < wish.rooms.len() {
            return None;
        }
        rooms.truncate(wish.rooms.len());
        Some(Chosen {
            rooms,
            wish: wish.clone(),
        })
    }

    /// Step 2: the order appears, without a state and without rooms.
    pub(super) fn open(&mut self, wish: &Wish, now: DateTime<Utc>) -> u64 {
        let known = self
            .customers
            .iter()
            .find(|(_, guest)| guest[2].eq_ignore_ascii_case(&wish.guest[2]));
        let customer = known.map_or(self.customers.len() as u64 + 1, |(id, _)| *id);
        self.customers.insert(customer, wish.guest.clone());
        let id = self.orders.len() as u64 + 1;
        let now = local(now);
        let is_website = wish.source == WEBSITE;
        let order = json!({
            "id": id, "id_cart": id, "id_currency": 1, "id_lang": 1, "id_customer": customer,
            "current_state": BEING_WRITTEN, "module": if is_website { "bankwire" } else { "wsorder" }, "valid": 0, "date_add": now, "date_upd": now,
            "secure_key": "0".repeat(32), "payment": "Order from API", "payment_type": 1,
            "total_paid": "0.000000", "total_paid_tax_incl": "0.000000", "total_paid_tax_excl": "0.000000",
            "total_paid_real": "0.000000", "total_discounts": "0.000000", "conversion_rate": "1.000000", "source": wish.source,
            "reference": reference(id),
        });
        self.orders.insert(id, object(&order));
        id
    }

    /// Step 3: the rows appear, on the rooms that were chosen, whoever took them meanwhile; then the state.
    pub(super) fn fill(
        &mut self,
        id: u64,
        chosen: &Chosen,
        collision: SimulatedCollision,
        now: DateTime<Utc>,
    ) {
        let wish = &chosen.wish;
        let nights = Decimal::from(wish.stay.nights());
        let net = self.night(wish.room_type).0 * nights;
        let right = self.with_tax(net);
        let grosses: Vec<Decimal> = wish
            .rooms
            .iter()
            .map(|room| net + room.tax.on(net, right))
            .collect();
        let stay_nights = u64::from(wish.stay.nights());
        let services = wish.rooms.iter();
        let services: Decimal = services
            .map(|room| self.price_of(&room.services, stay_nights))
            .sum();
        let services = self.with_tax(services);
        let gross: Decimal = grosses.iter().map(|gross| cents(*gross)).sum();
        let before = cents(gross + services);
        // What costs less than was asked for is scaled up, room by room; services keep their prices, to all their places.
        let scale = if wish.total > before {
            (wish.total - services) / gross
        } else {
            Decimal::ONE
        };
        let (mut order_net, mut order_gross) = (Decimal::ZERO, before);
        for (room, wished) in chosen.rooms.iter().zip(&wish.rooms) {
            let collides = self.on_room(*room, wish.stay).next().is_some();
            self.collisions += usize::from(collides);
            let lost = u8::from(collides && collision == SimulatedCollision::BackOrder);
            let row_id = self.rows.len() as u64 + 1;
            let own = cents(net + wished.tax.on(net, right));
            let (row_net, row_gross) = (cents(net * scale), cents(own * scale));
            order_net += row_net;
            order_gross += row_gross - own;
            let row = json!({
                "id": row_id, "id_product": wish.room_type, "id_hotel": 1, "id_order": id, "id_order_detail": row_id,
                "id_cart": id, "id_room": room, "id_customer": self.orders[&id]["id_customer"],
                "booking_type": 1, "id_status": 1, "comment": "", "check_in": NEVER, "check_out": NEVER,
                "date_from": midnight(wish.stay.check_in()), "date_to": midnight(wish.stay.check_out()),
                "total_price_tax_excl": amount(row_net), "total_price_tax_incl": amount(row_gross),
                "total_paid_amount": amount(row_gross),
                "is_refunded": lost, "is_cancelled": lost, "is_back_order": lost,
                "room_num": Self::room_name(*room), "room_type_name": Self::type_name(wish.room_type),
                "hotel_name": "The Hotel Prime", "check_in_time": "12:00", "check_out_time": "11:00",
                "planned_check_out": format!("{} 11:00:00", wish.stay.check_out()), "adults": wished.adults, "children": wished.ages.len(),
                "child_ages": serde_json::to_string(&wished.ages).unwrap(),
                "date_add": local(now), "date_upd": local(now),
            });
            self.rows.insert(row_id, object(&row));
            self.first_stays.insert(row_id, wish.stay);
            self.add_services(id, row_id, &wished.services);
            order_net += self.charged(&[row_id]).0;
        }
        let order = self.orders.get_mut(&id).unwrap();
        order["current_state"] = json!(AWAITING_PAYMENT);
        order["total_paid_tax_excl"] = json!(amount(order_net));
        order["total_paid_tax_incl"] = json!(amount(order_gross));
        order["total_paid"] = json!(amount(order_gross));
        order["date_upd"] = json!(local(now));
    }

    /// Gives an order another state; a cancelled one loses its rooms. `None` for what does not exist.
    pub(super) fn set_state(&mut self, order: u64, state: u64, now: DateTime<Utc>) -> Option<Value> {
        let known = self.orders.get_mut(&order).filter(|_| STATES.contains(&state))?;
        known["current_state"] = json!(state);
        known["date_upd"] = json!(local(now));
        if state == CANCELLED {
            let theirs = self
                .rows
                .values_mut()
                .filter(|row| row["id_order"] == json!(order));
            for row in theirs {
                row["is_cancelled"] = json!(1);
                row["is_refunded"] = json!(1);
                row["date_upd"] = json!(local(now));
            }
        }
        self.histories += 1;
        let id = self.histories.to_string();
        Some(
            json!({"order_history": {"id": id, "id_employee": "", "id_order_state": state,
            "id_order": order.to_string(), "date_add": local(now)}}),
        )
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn midnight(date: NaiveDate) -> String {
    format!("{date} 00:00:00")
}

/// A moment as the server writes it.
pub(super) fn local(now: DateTime<Utc>) -> String {
    let moment = jiff::Timestamp::from_second(now.timestamp()).unwrap();
    let zoned = moment.in_tz("America/New_York").unwrap();
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(super) fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// An amount as the database keeps it.
pub(super) fn amount(amount: Decimal) -> String {
    format!("{amount:.6}")
}

fn reference(id: u64) -> String {
    let letter = |place: u32| char::from(b'A' + u8::try_from(id / 26u64.pow(place) % 26).unwrap());
    (0..9).rev().map(letter).collect()
}
