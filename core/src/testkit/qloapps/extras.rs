//! Services of the server: what it sells with rooms, and how bookings have it.
//!
//! A booking that is made gets one line for each service, which counts every room and night. A booking that is changed
//! loses the services of every room that is listed, and gets those that are listed there, with lines of another kind:
//! one for each room, which counts one night; and of several services of a room only the last one's line belongs to
//! them, so that the others are left behind by the next change.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::life::stay_of;
use super::server::{Server, amount, cents};

/// Id, name, net price, how it is added and computed, whether by itself, and how many a room may have.
const SERVICES: [(u64, &str, u32, u64, u64, bool, u64); 6] = [
    (5, "Room Maintenance Fees", 250, 1, 2, true, 1),
    (6, "Internet Handling Charges", 250, 2, 1, true, 1),
    (7, "Airport Shuttle", 50, 1, 1, false, 1),
    (8, "Cab on Demand", 200, 1, 1, false, 1),
    (9, "Breakfast", 350, 1, 2, false, 1),
    (10, "Dinner", 450, 1, 2, false, 4),
];

/// A service of a room, as a request wishes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct WishedService {
    pub(super) id: u64,
    pub(super) quantity: u64,
}

/// A service that a row has, what it costs there, and the line that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Had {
    net: Decimal,
    line: u64,
}

/// A line of an order that is no room.
#[derive(Debug, Clone)]
pub(super) struct Line {
    order: u64,
    service: u64,
    quantity: u64,
    net: Decimal,
}

/// Every service, as the web service lists it.
pub(super) fn services(server: &Server) -> Vec<Value> {
    let service =
        |(id, name, net, addition, calculation, auto, most): (u64, &str, u32, u64, u64, bool, u64)| {
            json!({"id": id, "name": name, "price": amount(server.service_net(id, net)), "active": 1,
            "id_tax_rules_group": u64::from(id != 5), "allow_multiple_quantity": u64::from(most > 1),
            "max_quantity": if most > 1 { most } else { 0 }, "available_for_order": 1,
            "show_at_front": u64::from(!auto), "auto_add_to_cart": u64::from(auto),
            "price_addition_type": addition, "price_calculation_method": calculation})
        };
    SERVICES.into_iter().map(service).collect()
}

/// The ids of the services, as every room type has them.
pub(super) fn of_room_type() -> Value {
    let own = |(id, ..): &(u64, &str, u32, u64, u64, bool, u64)| json!({"id": id, "price": null, "id_tax_rules_group": null});
    SERVICES.iter().map(own).collect()
}

pub(super) fn exists(id: u64) -> bool {
    SERVICES.iter().any(|(known, ..)| *known == id)
}

/// The one rule of taxes, and its tax.
pub(super) fn tax_rules() -> Vec<Value> {
    vec![
        json!({"id": 1, "id_tax_rules_group": 1, "id_state": 1, "id_country": 21, "zipcode_from": "0",
        "zipcode_to": "0", "id_tax": 1, "behavior": 1, "description": ""}),
    ]
}

pub(super) fn taxes(server: &Server) -> Vec<Value> {
    vec![
        json!({"id": 1, "rate": format!("{:.3}", server.tax()), "active": 1, "deleted": 0, "name": "Sales-taxes US-AL 4%"}),
    ]
}

impl WishedService {
    /// The net price of one for one night or stay, whether for each night, and how many there really are.
    fn price(self, server: &Server) -> (Decimal, bool, u64) {
        let known = SERVICES.iter().find(|(id, ..)| *id == self.id);
        let (_, _, net, _, calculation, _, most) = known.unwrap();
        (
            server.service_net(self.id, *net),
            *calculation == 2,
            self.quantity.clamp(1, *most),
        )
    }
}

impl Server {
    /// What the services of a wish cost, without tax.
    pub(super) fn price_of(&self, services: &[WishedService], nights: u64) -> Decimal {
        let price = |service: &WishedService| {
            let (net, per_night, quantity) = service.price(self);
            net * Decimal::from(quantity * if per_night { nights } else { 1 })
        };
        services.iter().map(price).sum()
    }

    /// Gives the rows of a new order their services.
    pub(super) fn add_services(&mut self, order: u64, row: u64, services: &[WishedService]) {
        let nights = u64::from(stay_of(&self.rows[&row]).nights());
        for service in services {
            let (_, per_night, quantity) = service.price(self);
            let net = self.price_of(&[*service], nights);
            let counted = quantity * if per_night { nights } else { 1 };
            let known = self
                .lines
                .iter_mut()
                .find(|(_, line)| line.order == order && line.service == service.id);
            let line = match known {
                Some((id, line)) => {
                    line.quantity += counted;
                    line.net += net;
                    *id
                }
                None => self.add_line(order, service.id, counted, net),
            };
            self.had.entry(row).or_default().push(Had { net, line });
        }
    }

    /// Sells one of a service to the first room of an order alone.
    pub(super) fn sell_to_first_room(&mut self, order: u64, service: u64) {
        let rows: Vec<u64> = self.live_rows_of(order).collect();
        let wished = WishedService {
            id: service,
            quantity: 1,
        };
        self.add_services(order, rows[0], &[wished]);
        self.add_up(order, &rows);
    }

    /// Gives the first room of an order a facility that costs nothing.
    pub(super) fn add_facility(&mut self, order: u64) {
        let row = self.live_rows_of(order).next();
        let id = self.facilities.len() + 1;
        self.facilities
            .push(json!({"id": id, "id_htl_booking": row, "name": "Cot",
            "total_price_tax_excl": "0.000000", "total_price_tax_incl": "0.000000"}));
    }

    fn add_line(&mut self, order: u64, service: u64, quantity: u64, net: Decimal) -> u64 {
        self.last_line += 1;
        let line = Line {
            order,
            service,
            quantity,
            net,
        };
        self.lines.insert(self.last_line, line);
        self.last_line
    }

    /// What a change of a booking does to the services of a room that it lists.
    pub(super) fn replace_services(&mut self, order: u64, row: u64, services: &[WishedService]) {
        self.remove_services(row);
        let nights = u64::from(stay_of(&self.rows[&row]).nights());
        let mut last = None;
        for service in services {
            let (net, _, quantity) = service.price(self);
            last = Some(self.add_line(order, service.id, quantity, net * Decimal::from(quantity)));
        }
        for service in services {
            let net = self.price_of(&[*service], nights);
            self.had.entry(row).or_default().push(Had {
                net,
                line: last.unwrap(),
            });
        }
    }

    pub(super) fn remove_services(&mut self, row: u64) {
        let lines: BTreeSet<u64> = self
            .had
            .remove(&row)
            .into_iter()
            .flatten()
            .map(|had| had.line)
            .collect();
        for line in lines {
            self.lines.remove(&line);
        }
    }

    /// What the services of an order really cost, without and with tax.
    pub(super) fn charged(&self, rows: &[u64]) -> (Decimal, Decimal) {
        let had = rows.iter().filter_map(|row| self.had.get(row)).flatten();
        let net: Decimal = had.map(|had| had.net).sum();
        (net, cents(self.with_tax(net)))
    }

    /// What the lines of an order say of its services, with tax.
    pub(super) fn lined(&self, order: u64) -> Decimal {
        let theirs = self.lines.values().filter(|line| line.order == order);
        theirs.map(|line| self.with_tax(line.net)).sum()
    }

    /// The lines of all orders that are no rooms.
    pub(super) fn service_lines(&self) -> Vec<Value> {
        let line = |(id, line): (&u64, &Line)| {
            let known = SERVICES.iter().find(|(known, ..)| *known == line.service);
            let (_, name, _, addition, calculation, auto, most) = known.unwrap();
            json!({"id": 1_000_000 + id, "id_order": line.order, "product_id": line.service, "id_order_invoice": 0,
                "product_name": name, "product_quantity": line.quantity, "is_booking_product": 0,
                "product_auto_add": u64::from(*auto), "product_price_addition_type": addition,
                "product_price_calculation_method": calculation,
                "product_allow_multiple_quantity": u64::from(*most > 1),
                "total_price_tax_incl": amount(self.with_tax(line.net)),
                "total_price_tax_excl": amount(line.net)})
        };
        self.lines.iter().map(line).collect()
    }
}
