//! What the server does with bookings that exist: rows are overwritten, prices are set, guests and accounts are kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::OpenBooking;
use super::http::Response;
use super::server::{CANCELLED, NEVER, Server, amount, cents, local};
use super::service::{dies, errors, refuses};
use super::wish::{NOT_IN_NAMES, read_services};
use crate::Stay;

impl Server {
    /// Overwrites a row, without any check. An unknown one is `None`.
    pub(super) fn overwrite(
        &mut self,
        id: u64,
        fields: impl IntoIterator<Item = (String, String)>,
        now: DateTime<Utc>,
    ) -> Option<Value> {
        let row = self.rows.get_mut(&id)?;
        for (name, text) in fields {
            let Some(value) = row.get_mut(&name) else { continue };
            *value = match value {
                Value::Number(_) => json!(text.parse::<u64>().unwrap_or(0)),
                _ => json!(text),
            };
        }
        row["date_upd"] = json!(local(now));
        Some(Value::Object(row.clone()))
    }

    /// `PUT bookings/{id}` with the rooms as they are: only the price changes, of the rooms that are listed or of
    /// everything. Other rooms are refused here as in a full house, because nothing but the price is asked for.
    pub(super) fn reprice(&mut self, path: &str, body: &str, now: DateTime<Utc>) -> Result<Value, Response> {
        let body: Value = serde_json::from_str(body).map_err(|_| dies())?;
        let booking = body.get("booking").ok_or_else(dies)?;
        let associations = &booking["associations"];
        let id = booking["id"]
            .as_u64()
            .ok_or_else(|| refuses("id is required with PUT requests."))?;
        if path.parse() != Ok(id) || !self.orders.contains_key(&id) {
            return Err(refuses("Booking not found."));
        }
        let asked = associations["room_types"].as_array().cloned().unwrap_or_default();
        if asked.is_empty() {
            return Err(refuses("Rooms not found in the request."));
        }
        let email = associations["customer_detail"]["email"]
            .as_str()
            .unwrap_or_default();
        if email.is_empty() {
            return Err(refuses("Customer not found."));
        }
        let mut wanted = BTreeMap::new();
        for rooms in &asked {
            let date = |name: &str| rooms[name].as_str().unwrap_or_default().to_owned();
            let stay = Stay::parse(&date("checkin_date"), &date("checkout_date"))
                .map_err(|_| refuses("Invalid check in and check out dates in the request"))?;
            let key = (rooms["id_room_type"].as_u64(), stay.check_in(), stay.check_out());
            *wanted.entry(key).or_insert(0) += rooms["number_of_rooms"].as_u64().unwrap_or(0);
        }
        let theirs: Vec<u64> = self.live_rows_of(id).collect();
        let mut rooms = BTreeMap::new();
        for row in &theirs {
            let row = &self.rows[row];
            let stay = stay_of(row);
            let key = (row["id_product"].as_u64(), stay.check_in(), stay.check_out());
            *rooms.entry(key).or_insert(0) += 1;
        }
        if wanted != rooms {
            return Err(refuses("Requested room(s) not available"));
        }
        self.overwrite_customer(&associations["customer_detail"]);
        let listed = asked
            .iter()
            .flat_map(|rooms| rooms["rooms"].as_array().cloned().unwrap_or_default());
        let listed: Vec<Value> = listed.collect();
        for room in &listed {
            self.set_price(id, &theirs, room);
        }
        let warned = self.change_services(id, &theirs, &listed);
        let total = &associations["price_details"]["total_price_with_tax"];
        let total: Decimal = total.to_string().parse().unwrap_or_default();
        if total >= Decimal::ONE {
            self.set_total(id, &theirs, total);
        }
        if listed.iter().any(|room| !room["total_tax"].is_number()) {
            return Err(errors(
                500,
                3,
                "[PHP Warning #2] Undefined array key \"total_tax\"",
            ));
        }
        self.orders.get_mut(&id).unwrap()["date_upd"] = json!(local(now));
        if warned {
            // The room of the request is not found in the cart any more.
            return Ok(json!({"warned": true}));
        }
        Ok(json!({"booking": {"id": id, "id_property": 1, "currency": "USD", "id_language": 1}}))
    }

    /// Gives listed rooms the services that are listed with them; without a list, the first room loses its own. Answers
    /// whether PHP warns of that.
    fn change_services(&mut self, order: u64, rows: &[u64], listed: &[Value]) -> bool {
        if listed.is_empty() {
            rows.iter().take(1).for_each(|row| self.remove_services(*row));
        }
        // Discounts are taken back before the price is set again.
        self.orders.get_mut(&order).unwrap()["total_discounts"] = json!(amount(Decimal::ZERO));
        let mut warned = false;
        for room in listed {
            let is_it = |row: &&u64| self.rows[*row]["id_room"].as_u64() == room["id_room"].as_u64();
            let Some(row) = rows.iter().find(is_it).copied() else {
                continue;
            };
            let services = read_services(room);
            warned |= !services.is_empty() && self.first_stays[&row] != stay_of(&self.rows[&row]);
            self.replace_services(order, row, &services);
        }
        self.add_up(order, rows);
        warned
    }

    /// What an order costs: its rooms and its services.
    pub(super) fn add_up(&mut self, order: u64, rows: &[u64]) {
        let sum = |name: &str| -> Decimal { rows.iter().map(|row| decimal(&self.rows[row][name])).sum() };
        let (services_net, services_gross) = self.charged(rows);
        let (net, gross) = (
            sum("total_price_tax_excl") + services_net,
            sum("total_price_tax_incl") + services_gross,
        );
        let order = self.orders.get_mut(&order).unwrap();
        order["total_paid_tax_excl"] = json!(amount(net));
        for name in ["total_paid_tax_incl", "total_paid"] {
            order[name] = json!(amount(gross - decimal(&order["total_discounts"])));
        }
    }

    /// A room of its own price. What is meant for each night is wrong for all but two.
    fn set_price(&mut self, order: u64, rows: &[u64], room: &Value) {
        let is_it = |row: &&u64| self.rows[*row]["id_room"].as_u64() == room["id_room"].as_u64();
        let (Some(row), Ok(unit)) = (
            rows.iter().find(is_it),
            room["unit_price_without_tax"].to_string().parse::<Decimal>(),
        ) else {
            return;
        };
        let row = self.rows.get_mut(row).unwrap();
        let nights = Decimal::from(stay_of(row).nights());
        let net = unit * nights / (nights - Decimal::ONE).max(Decimal::ONE);
        let rate = decimal(&row["total_price_tax_incl"]) / decimal(&row["total_price_tax_excl"]);
        row["total_price_tax_excl"] = json!(amount(cents(net)));
        row["total_price_tax_incl"] = json!(amount(cents(net * rate)));
        self.add_up(order, rows);
    }

    /// A higher price scales the rooms up, to what is left of it when the lines of the services are paid. A lower one
    /// is a discount on the invoice, and without one it is ignored.
    fn set_total(&mut self, id: u64, rows: &[u64], total: Decimal) {
        let has_invoice = self
            .invoices
            .iter()
            .any(|invoice| invoice["id_order"] == json!(id));
        if total < decimal(&self.orders[&id]["total_paid_tax_incl"]) && !has_invoice {
            return;
        }
        let sum = |server: &Self, name: &str| -> Decimal {
            rows.iter().map(|row| decimal(&server.rows[row][name])).sum()
        };
        let services = self.lined(id);
        if services > Decimal::ZERO && total > decimal(&self.orders[&id]["total_paid_tax_incl"]) {
            let scale = (total - services) / sum(self, "total_price_tax_incl");
            for row in rows {
                let row = self.rows.get_mut(row).unwrap();
                for name in ["total_price_tax_excl", "total_price_tax_incl"] {
                    row[name] = json!(amount(cents(decimal(&row[name]) * scale)));
                }
            }
            self.add_up(id, rows);
            return;
        }
        let before = sum(self, "total_price_tax_incl");
        if total > before {
            let scale = total / before;
            for row in rows {
                let row = self.rows.get_mut(row).unwrap();
                for name in ["total_price_tax_excl", "total_price_tax_incl"] {
                    row[name] = json!(amount(cents(decimal(&row[name]) * scale)));
                }
            }
        }
        let discount = (before - total).max(Decimal::ZERO);
        let net = sum(self, "total_price_tax_excl");
        let order = self.orders.get_mut(&id).unwrap();
        order["total_paid_tax_excl"] = json!(amount(net));
        order["total_discounts"] = json!(amount(discount));
        for name in ["total_paid_tax_incl", "total_paid"] {
            order[name] = json!(amount(total));
        }
    }

    pub(super) fn open_bookings(&self) -> Vec<OpenBooking> {
        let is_open =
            |(_, order): &(&u64, &serde_json::Map<String, Value>)| order["current_state"] != json!(CANCELLED);
        let open = |(id, order): (&u64, &serde_json::Map<String, Value>)| OpenBooking {
            id: (*id).into(),
            source: order["source"].as_str().unwrap_or_default().to_owned(),
            rooms: self
                .live_rows_of(*id)
                .map(|row| {
                    self.rows[&row]["room_num"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect(),
            stays: self
                .live_rows_of(*id)
                .map(|row| stay_of(&self.rows[&row]))
                .collect(),
            total: order["total_paid_tax_incl"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        };
        self.orders.iter().filter(is_open).map(open).collect()
    }

    pub(super) fn live_rows_of(&self, order: u64) -> impl Iterator<Item = u64> {
        let theirs = move |row: &serde_json::Map<String, Value>| {
            row["id_order"] == json!(order)
                && row["is_refunded"] == json!(0)
                && row["is_back_order"] == json!(0)
        };
        self.rows
            .iter()
            .filter(move |(_, row)| theirs(row))
            .map(|(id, _)| *id)
    }

    fn overwrite_customer(&mut self, detail: &Value) {
        let guest = ["firstname", "lastname", "email", "phone"]
            .map(|name| detail[name].as_str().unwrap_or_default().to_owned());
        let known = self
            .customers
            .iter_mut()
            .find(|(_, known)| known[2].eq_ignore_ascii_case(&guest[2]));
        if let Some((_, known)) = known {
            *known = guest;
        }
    }

    /// `POST customers`. The same address is accepted again and again.
    pub(super) fn add_customer(
        &mut self,
        fields: &std::collections::HashMap<String, String>,
    ) -> Result<Value, Response> {
        let required = |name: &str| {
            fields
                .get(name)
                .filter(|text| !text.is_empty())
                .cloned()
                .ok_or_else(|| errors(400, 41, &format!("parameter \"{name}\" required")))
        };
        required("passwd")?;
        let guest = [
            required("firstname")?,
            required("lastname")?,
            required("email")?,
            fields.get("phone").cloned().unwrap_or_default(),
        ];
        let invalid = |message: &str| errors(400, 85, &format!("Validation error: \"{message}\""));
        if guest[3].is_empty() {
            return Err(invalid("Phone is required field."));
        }
        if fields.get("id").is_some_and(|id| !id.is_empty()) {
            return Err(errors(400, 91, "id is forbidden when adding a new resource"));
        }
        if guest[0].contains(NOT_IN_NAMES) || guest[1].contains(NOT_IN_NAMES) {
            return Err(invalid("Property Customer->firstname is not valid"));
        }
        if !guest[2].contains('@') {
            return Err(invalid("Property Customer->email is not valid"));
        }
        let id = self.customers.len() as u64 + 1;
        self.customers.insert(id, guest.clone());
        Ok(
            json!({"customer": {"id": id.to_string(), "firstname": guest[0], "lastname": guest[1],
            "email": guest[2], "phone": guest[3], "passwd": "0".repeat(32), "secure_key": "0".repeat(32)}}),
        )
    }

    /// One line for each row, with the price that the row had when it was last priced.
    pub(super) fn order_details(&self) -> Vec<Value> {
        let line = |(id, row): (&u64, &serde_json::Map<String, Value>)| {
            let nights = stay_of(row).nights();
            json!({"id": id, "id_order": row["id_order"], "product_id": row["id_product"], "id_order_invoice": 0,
                "product_name": row["room_type_name"], "product_quantity": nights, "is_booking_product": 1,
                "product_auto_add": 0, "product_price_addition_type": 0, "product_price_calculation_method": 0,
                "product_allow_multiple_quantity": 0,
                "total_price_tax_incl": row["total_price_tax_incl"],
                "total_price_tax_excl": row["total_price_tax_excl"]})
        };
        let rooms = self.rows.iter().map(line);
        rooms.chain(self.service_lines()).collect()
    }

    /// The hotel takes money, as the front desk does.
    pub(super) fn pay(&mut self, order: u64, sum: Decimal, now: DateTime<Utc>) {
        let id = self.payments.len() as u64 + 1;
        let reference = self.orders[&order]["reference"].clone();
        self.payments.push(
            json!({"id": id, "order_reference": reference, "id_currency": 1, "amount": amount(sum),
            "payment_method": "Card", "payment_type": 2, "conversion_rate": "1.000000",
            "transaction_id": format!("pi_{id}"), "date_add": local(now)}),
        );
    }

    /// Takes the customer of an order away.
    pub(super) fn hide_customer(&mut self, order: u64) {
        let customer = self.orders[&order]["id_customer"].as_u64().unwrap();
        self.customers.remove(&customer);
    }

    /// The hotel makes an invoice over everything.
    pub(super) fn invoice(&mut self, order: u64, now: DateTime<Utc>) {
        let id = self.invoices.len() as u64 + 1;
        let of = &self.orders[&order];
        self.invoices.push(
            json!({"id": id, "id_order": order, "number": id, "delivery_number": 0,
            "delivery_date": NEVER, "total_paid_tax_excl": of["total_paid_tax_excl"],
            "total_paid_tax_incl": of["total_paid_tax_incl"], "date_add": local(now)}),
        );
    }
}

/// The nights of a row.
pub(super) fn stay_of(row: &serde_json::Map<String, Value>) -> Stay {
    let date = |name: &str| row[name].as_str().unwrap()[..10].to_owned();
    Stay::parse(&date("date_from"), &date("date_to")).unwrap()
}

fn decimal(value: &Value) -> Decimal {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
