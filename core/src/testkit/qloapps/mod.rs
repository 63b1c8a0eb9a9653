//! A QloApps server in a test's hand: a real HTTP server that speaks the protocol which was recorded from one.
//!
//! It sells the demo hotel: four room types of five rooms each. Like the real server it checks and writes without a
//! lock, with a [gap](QloAppsSimulator::set_gap) between the two; it books and answers 500, or fails and answers
//! 200; and it loses answers when it is [told](QloAppsSimulator::script) to.

mod extras;
mod http;
mod lab;
mod life;
#[cfg(test)]
mod likeness;
mod list;
mod server;
mod service;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Stay;
use crate::clock::SharedClock;
use crate::pms::{BookingId, RoomTypeId, ServiceId};
use crate::task::Tasks;
use server::{Chosen, Prices, WEBSITE};
use service::{Service, as_text, booked_id};

pub use crate::pms::anything::{read_anything, read_prices};

/// What becomes of a booking whose rooms were taken between its check and its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SimulatedCollision {
    /// It is accepted and silently back-ordered.
    #[default]
    BackOrder,
    /// Both have the room.
    DoubleBook,
}

/// Which requests a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimulatedCall {
    /// Any list.
    Read,
    /// Free rooms and prices.
    Availability,
    /// Making a booking.
    Create,
    /// Changing a row.
    Move,
    /// Setting the price of a booking.
    Price,
    /// Writing a customer down.
    Guest,
    /// Changing the state of an order.
    Cancel,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimulatedFault {
    /// The connection is reset and nothing happens.
    LostBeforeWork,
    /// The work is done, and then the connection is reset.
    LostAfterWork,
    /// The connection is reset at once, and the work is done afterwards.
    LostDuringWork,
    /// The work is done, and the answer takes so long.
    Slow(Duration),
    /// The work is done, and the answer is a 500 with PHP's warnings.
    Warned,
    /// Nothing is done, and this is the answer. A redirect points to another host.
    Instead {
        /// The HTTP status.
        status: u16,
        /// The body; JSON when it looks like it, otherwise HTML.
        body: String,
    },
}

/// How the server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    /// Prices are shown without tax: every booking is made, and every answer to one is a 500.
    pub tax_excluded: bool,
    /// All numbers are texts, as before PHP 8.1.
    pub numbers_as_text: bool,
    /// Names stand in two languages.
    pub two_languages: bool,
    /// PHP prints a warning before the JSON.
    pub noise: bool,
}

impl Dialect {
    fn write(self, value: Value) -> String {
        let value = if self.numbers_as_text {
            as_text(value)
        } else {
            value
        };
        if self.noise {
            format!("<br />\n<b>Deprecated</b>: something in <b>a.php</b> on line <b>1</b><br />\n{value}")
        } else {
            value.to_string()
        }
    }
}

/// A server on a free loopback port. It ends with the value.
pub struct QloAppsSimulator {
    url: String,
    service: Arc<Service>,
    _open: watch::Sender<()>,
}

impl std::fmt::Debug for QloAppsSimulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QloAppsSimulator")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl QloAppsSimulator {
    /// The only key that it accepts.
    pub const KEY: &'static str = "QLOAPPSTESTKEYALLPERMISSIONS0001";

    /// An empty hotel whose calendar follows the clock, in New York.
    pub async fn start(clock: SharedClock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let service = Arc::new(Service::new(clock));
        let (open, until_dropped) = watch::channel(());
        Tasks::new().in_background(http::serve(listener, service.clone(), until_dropped));
        Self {
            url: format!("http://{address}"),
            service,
            _open: open,
        }
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long a booking waits between its check and its write. A quarter of it passes between the head of a
    /// booking and its rooms, and before a row is changed.
    pub fn set_gap(&self, gap: Duration) {
        self.service.desk().gap = gap;
    }

    /// What becomes of the loser of a collision.
    pub fn set_collision(&self, collision: SimulatedCollision) {
        self.service.desk().collision = collision;
    }

    /// How the server writes from now on.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.service.desk().dialect = dialect;
    }

    /// Makes the next `times` requests of this kind go wrong, in the order of scripting.
    pub fn script(&self, call: SimulatedCall, fault: &SimulatedFault, times: usize) {
        let faults = std::iter::repeat_n((call, fault.clone()), times);
        self.service.desk().script.extend(faults);
    }

    /// Forgets the faults that are still to come.
    pub fn calm(&self) {
        self.service.desk().script.clear();
    }

    /// Takes these resources from the key; an empty name is the list of those that it sees.
    pub fn hide(&self, resources: &[&str]) {
        self.service.desk().hidden = resources.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Sells every room type for so many nights only; zero is no limit. Catalogues that were read before do not know.
    pub fn set_nights(&self, fewest: u32, most: u32) {
        self.service.desk().nights = (fewest, most);
    }

    /// Closes a room in these nights, as for repairs. A guest who has it keeps it.
    pub fn closes_room(&self, room: u64, stay: Stay) {
        self.service.desk().closed.push((room, stay));
    }

    /// Sells stays that begin in these nights for at least `fewest` nights, in every room.
    pub fn set_season(&self, season: Stay, fewest: u32) {
        self.service.desk().season = Some((season, fewest));
    }

    /// Multiplies the price of every room, in percent.
    pub fn set_price_percent(&self, percent: u32) {
        self.service.desk().server.dearer = percent;
    }

    /// Sells every room type for a net price of a night at a tax in percent, and services for other net prices.
    pub fn set_prices(&self, night: &str, tax: &str, services: &[(ServiceId, &str)]) {
        let decimal = |text: &str| text.parse().expect("a test names an amount");
        let services = services
            .iter()
            .map(|(id, net)| (number(id.number()), decimal(net)));
        self.service.desk().server.prices = Prices {
            room: Some(decimal(night)),
            services: services.collect(),
            tax: Some(decimal(tax)),
        };
    }

    /// How many rooms collided so far.
    pub fn collisions(&self) -> usize {
        self.service.desk().server.collisions
    }

    /// How many bookings were ever written, cancelled ones among them.
    pub fn bookings(&self) -> usize {
        self.service.desk().server.orders.len()
    }

    /// How many bookings were asked for, refused ones among them.
    pub fn creates(&self) -> usize {
        self.service.desk().creates
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.service.desk().requests
    }

    /// How many requests came that were to change something, refused ones among them.
    pub fn writes(&self) -> usize {
        self.service.desk().writes
    }

    /// How many requests came with exactly these ids.
    pub fn requests_of(&self, ids: &crate::correlation::Correlation) -> usize {
        let ids = (
            ids.request_id().to_owned(),
            ids.get_traceparent().map(str::to_owned),
        );
        self.service
            .desk()
            .correlated
            .get(&ids)
            .copied()
            .unwrap_or_default()
    }

    /// How many room nights two guests have at this moment.
    pub fn double_booked_nights(&self) -> usize {
        self.service.desk().server.double_booked_nights()
    }

    /// Every booking that is not cancelled.
    pub fn open_bookings(&self) -> Vec<OpenBooking> {
        self.service.desk().server.open_bookings()
    }

    /// How many rooms of the type are free.
    pub fn free(&self, room_type: RoomTypeId, stay: Stay) -> usize {
        self.service
            .desk()
            .server
            .free_rooms(number(room_type.number()), stay)
            .len()
    }

    /// Takes money for a booking, in dollars, as the front desk does.
    pub fn takes_payment(&self, booking: BookingId, dollars: u32) {
        let now = self.service.now();
        self.service
            .desk()
            .server
            .pay(number(booking.number()), dollars.into(), now);
    }

    /// Makes an invoice for a booking, as the front desk does.
    pub fn makes_invoice(&self, booking: BookingId) {
        let now = self.service.now();
        self.service.desk().server.invoice(number(booking.number()), now);
    }

    /// Sells one of a service to the first room of a booking alone, as the front desk does.
    pub fn sells_to_first_room(&self, booking: BookingId, service: ServiceId) {
        let mut desk = self.service.desk();
        desk.server
            .sell_to_first_room(number(booking.number()), number(service.number()));
    }

    /// Gives the first room of a booking a facility, such as a cot, as the front desk does.
    pub fn adds_facility(&self, booking: BookingId) {
        self.service.desk().server.add_facility(number(booking.number()));
    }

    /// Forgets whose booking it is, as a server does for a key of another branch.
    pub fn hides_guest(&self, booking: BookingId) {
        self.service.desk().server.hide_customer(number(booking.number()));
    }

    /// Lets the hotel's own website check for one room, and write when it is told to: whoever books in between is not
    /// seen.
    ///
    /// # Errors
    /// `pms.sold_out`.
    pub fn website_checks(&self, room_type: RoomTypeId, stay: Stay) -> crate::Result<UnwrittenBooking> {
        let chosen = self.service.check(&website_wish(room_type, stay));
        let chosen =
            chosen.map_err(|refused| crate::Error::new(crate::error::codes::PMS_SOLD_OUT, refused.body))?;
        Ok(UnwrittenBooking {
            service: self.service.clone(),
            chosen,
        })
    }

    /// Books one room as the hotel's own website does: without our lock, and without looking again.
    ///
    /// # Errors
    /// `pms.sold_out`.
    pub async fn website_books(&self, room_type: RoomTypeId, stay: Stay) -> crate::Result<BookingId> {
        booked_id(self.service.book(&website_wish(room_type, stay)).await)
    }
}

/// A booking that is not cancelled, as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenBooking {
    /// Its id.
    pub id: BookingId,
    /// Who says that it made it.
    pub source: String,
    /// The numbers on the doors of its rooms; empty while it is being written, and after its rooms were lost.
    pub rooms: Vec<String>,
    /// The nights of each of them.
    pub stays: Vec<Stay>,
    /// What it costs in all, as the server writes it.
    pub total: String,
}

/// A booking of the website that passed its check.
pub struct UnwrittenBooking {
    service: Arc<Service>,
    chosen: Chosen,
}

impl UnwrittenBooking {
    /// Writes it, whoever has the room meanwhile. Returns the id of the booking.
    pub fn write(self) -> BookingId {
        self.service.write(&self.chosen).into()
    }
}

impl std::fmt::Debug for UnwrittenBooking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnwrittenBooking").finish_non_exhaustive()
    }
}

/// The number of what the simulated server knows only by numbers.
fn number(number: Option<u64>) -> u64 {
    number.expect("the simulated server has numbers")
}

fn website_wish(room_type: RoomTypeId, stay: Stay) -> String {
    json!({"booking": {"id_property": 1, "currency": "USD", "source": WEBSITE, "associations": {
            "customer_detail": {"firstname": "Web", "lastname": "Site", "email": "web@example.com", "phone": "1"},
            "room_types": [{"id_room_type": number(room_type.number()), "checkin_date": stay.check_in().to_string(),
                "checkout_date": stay.check_out().to_string(), "number_of_rooms": 1,
                "rooms": [{"adults": 1, "total_tax": 0}]}]}}})
    .to_string()
}
