//! The port to property management systems: how to connect one that posada does not know.
//!
//! A system makes three promises, or does not, and each of them by itself (see [`Guards`]): *once*, no second booking
//! after a lost answer; *stock*, no double booking; *price*, the guest pays what was quoted. Implement
//!
//! * [`BookingSystem`], when at least one of them is missing, as in nearly every system that is reached over a network.
//!   It translates few, small steps, and posada keeps the missing promises around them ([`Guarded`]). Claim nothing
//!   first (`Guards::default()`), and one promise after the other when the suite in `posada::testkit::pms` proves it.
//! * [`Pms`], when the system keeps all three. It books, finds and cancels by itself.
//!
//! Both describe first what the hotel sells: [`Catalogue`]. What a system cannot do is left to the methods' bodies,
//! which refuse it with `pms.unsupported`, and is not named in its [`Capabilities`].
//! Then hand it over: `Posada::builder().pms(Arc::new(mine))`, or `.pms(Guarded::new(Arc::new(mine)))`.
//! `docs/guides/add-a-pms.md` walks through one.
//!
//! Rules for every system:
//! * A failed read is `pms.unavailable` or `pms.timeout`. So is a write that surely did not happen.
//! * A write that may have happened is `pms.outcome_unknown`, whatever the answer looked like.
//! * Writes are never repeated inside of a system. Reads need not be: posada does that, and bounds every call by a
//!   deadline, leaves a system alone that keeps failing, and asks no faster than the settings allow
//!   ([`PmsLimits`](crate::settings::PmsLimits)). A read may be dropped at any moment. A write is not: at its deadline
//!   the caller is told that its outcome is unknown, and it goes on in the background, at most five minutes.
//! * Nothing is asked of a system whose capabilities say that it cannot do it.
//! * No mail to the guest, and nothing personal in an error.
//! * Dates are the hotel's own.
//!
//! What posada does around either, so that no system does: checks of dates, nights and guests against the catalogue,
//! holds, kept answers about free rooms, calls that go on without their caller, metrics.
//!
//! ```
//! use std::sync::Arc;
//!
//! use posada::Posada;
//! use posada::clock::SystemClock;
//! use posada::pms::MockPms;
//! use posada::pms::port::Guarded;
//!
//! # fn main() -> posada::Result<()> {
//! let system = Arc::new(MockPms::new(SystemClock::shared())?);
//! let posada = Posada::builder().pms(Guarded::new(system)).build()?;
//! assert_eq!(posada.pms().system(), "mock");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

#[doc(no_inline)]
pub use async_trait::async_trait;
use chrono::NaiveDate;

use super::BookingChange;
use super::capabilities::unsupported;
pub use super::capabilities::{Capabilities, Feature, Guards, Support};
pub use super::change::RoomOfBooking;
use super::feed::{Change, ChangeCursor};
use super::folio::Folio;
pub use super::guarded::Guarded;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RoomId, RoomTypeId, StayId};
use super::model::{Booking, Hotel, MissingPermission, Offer, Quote, RoomType};
use super::money::Money;
use super::occupancy::Party;
pub use super::record::{ChangePage, Movement, Record, Room, Row, RowChange, RowState};
use super::request::{BookingRequest, HoldProof};
use super::service::Service;
use crate::error::{Code, Error, Result, codes};
use crate::stay::Stay;

/// What is wrong with one field of what was asked, such as `invalid("email", "is needed")`: `pms.invalid_request`. The
/// message never repeats the value.
pub fn invalid(field: &'static str, message: impl Into<String>) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message.into())
}

/// The price of a booking or of a change is not the one that the guest was told: `pms.price_changed`.
pub fn price_changed(quoted: Money, current: Money) -> Error {
    failure(
        codes::PMS_PRICE_CHANGED,
        "the price is not the one that was quoted",
    )
    .with("quoted", quoted)
    .with("current", current)
}

/// The key belongs to a booking that was made for something else: `pms.key_reused`. `differs` is what
/// [`Record::differs_from`] says.
pub fn key_reused(booking: BookingId, differs: &'static str) -> Error {
    failure(
        codes::PMS_KEY_REUSED,
        "this idempotency key belongs to another request",
    )
    .with("booking", booking)
    .with("differs", differs)
}

/// An error of a system, such as `failure(codes::PMS_OUTCOME_UNKNOWN, "the answer was lost")`. Kind and retry advice
/// come with the code.
pub fn failure(code: Code, message: impl Into<String>) -> Error {
    Error::new(code, message)
}

/// What a hotel company's system sells, and to whom.
#[async_trait]
pub trait Catalogue: Send + Sync + 'static {
    /// The stable name of the system, in at most 120 bytes. It is part of what posada remembers and locks, so two
    /// systems have different names, and two accounts of one product too.
    fn system(&self) -> &str;

    /// What the system can do. It does not change while it is connected.
    fn capabilities(&self) -> &Capabilities;

    /// Whether bookings reach no hotel, as in a mock for tests. `doctor` warns of it then, and asks it nothing.
    fn is_mock(&self) -> bool {
        false
    }

    /// Whether questions are sent at all now. Asks nothing.
    ///
    /// # Errors
    /// `pms.unavailable` while the system is left alone because it kept failing.
    fn is_asked(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the system can write this guest down, by rules of its own beside those of every [`Guest`]. Asks nothing.
    ///
    /// # Errors
    /// `pms.invalid_request` naming the field, and never its value.
    fn admit_guest(&self, _guest: &Guest) -> Result<()> {
        Ok(())
    }

    /// What our credentials may not do, although the capabilities need it. `doctor` shows it. Writes nothing.
    ///
    /// # Errors
    /// `pms.refused` for credentials that the system does not take, `pms.wrong_system` for an address where another
    /// system is, and those of a read.
    async fn check(&self) -> Result<Vec<MissingPermission>>;

    /// All hotels that we may see.
    async fn hotels(&self) -> Result<Vec<Hotel>>;

    /// The room types of a hotel; empty for an unknown hotel.
    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>>;

    /// Today's date where the hotel stands.
    async fn today(&self, hotel: HotelId) -> Result<NaiveDate>;

    /// What the system offers for the party, not yet checked against any limit. Room types without a free room are
    /// listed too, because their price counts for a guest who is in one already.
    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>>;

    /// What is sold with rooms of this type, in the order of the ids; empty for an unknown one.
    async fn services(&self, _hotel: HotelId, _room_type: RoomTypeId) -> Result<Vec<Service>> {
        Err(unsupported(Feature::Services, self.system()))
    }

    /// The guest with this address, in any case; the one that was written first, when there are several.
    async fn guest(&self, _email: &str) -> Result<Option<GuestProfile>> {
        Err(unsupported(Feature::Guests, self.system()))
    }

    /// Writes a guest down. The system may take the same guest twice.
    async fn create_guest(&self, _guest: &Guest) -> Result<()> {
        Err(unsupported(Feature::Guests, self.system()))
    }
}

/// What is to be booked, and what must be true for it.
#[derive(Debug, Clone)]
pub struct BookingOrder {
    pub(crate) request: BookingRequest,
    pub(crate) hold: Option<HoldProof>,
    pub(crate) total: Option<Money>,
}

impl BookingOrder {
    /// What is to be booked, for whom, and under which key.
    pub fn request(&self) -> &BookingRequest {
        &self.request
    }

    /// What the guest pays for all of it: what [`offers`](Catalogue::offers) says now, and, when the guest was told a
    /// price, that price. Always there for a system of your own.
    pub fn total(&self) -> Option<Money> {
        self.total
    }
}

/// A property management system that keeps every promise by itself.
#[async_trait]
pub trait Pms: Catalogue {
    /// Books exactly once for each key, at the order's total or not at all, and never a room that is not the guest's.
    /// The same key and request find the booking again, for ever; dates and prices count for a new one only. posada
    /// has checked everything else before.
    ///
    /// # Errors
    /// `pms.sold_out`, `pms.price_changed`, `pms.key_reused` when the key belongs to another request, `pms.wrong_state`
    /// when its booking was cancelled, and those of a write.
    async fn book(&self, order: &BookingOrder) -> Result<Booking>;

    /// One booking; `None` when there is none.
    async fn booking(&self, id: BookingId) -> Result<Option<Booking>>;

    /// The booking with exactly this key: the live one, else the last that was cancelled.
    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>>;

    /// Cancels a booking and frees its rooms. Cancelling twice is harmless. `forced` cancels one whose guest is there.
    ///
    /// # Errors
    /// `pms.unknown_booking`, `pms.wrong_state`, and those of a write.
    async fn cancel(&self, id: BookingId, forced: bool) -> Result<Booking>;

    /// Gives a booking other nights, guests or rooms, all or nothing. Repeating a change is harmless.
    async fn change(&self, _id: BookingId, _change: &BookingChange) -> Result<Booking> {
        Err(unsupported(Feature::Change, self.system()))
    }

    /// What the booking would cost after a change.
    async fn quote_change(&self, _id: BookingId, _change: &BookingChange) -> Result<Quote> {
        Err(unsupported(Feature::QuoteChange, self.system()))
    }

    /// The guests come, or go. Repeating it is harmless.
    async fn move_guests(&self, _id: BookingId, movement: Movement) -> Result<Booking> {
        Err(unsupported(movement.feature(), self.system()))
    }

    /// The bookings with a live stay in the hotel that begins, or ends, on that day, oldest first.
    async fn movements(&self, _hotel: HotelId, _movement: Movement, _day: NaiveDate) -> Result<Vec<Booking>> {
        Err(unsupported(Feature::Movements, self.system()))
    }

    /// What the booking costs, in lines, and what was invoiced and paid.
    ///
    /// # Errors
    /// `pms.unknown_booking`.
    async fn folio(&self, _id: BookingId) -> Result<Folio> {
        Err(unsupported(Feature::Folio, self.system()))
    }

    /// The bookings that changed since the cursor, in the order of their changes, at most about `most`, and the cursor
    /// behind them. Empty when nothing is new.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `cursor`) for a cursor of another system.
    async fn changes(&self, _cursor: &ChangeCursor, _most: usize) -> Result<(Vec<Change>, ChangeCursor)> {
        Err(unsupported(Feature::Changes, self.system()))
    }
}

/// A property management system of which posada keeps the promises that it does not [claim](Guards). It translates and
/// decides nothing.
#[async_trait]
pub trait BookingSystem: Catalogue {
    /// Whether our credentials may do all that a booking needs, also looking at it and cancelling it. A system that does
    /// not tell is trusted.
    ///
    /// # Errors
    /// `pms.not_permitted` with the fact `resource`.
    async fn can_book(&self) -> Result<()> {
        Ok(())
    }

    /// Sends a booking, once, and marks it with the key of the request. `total` is what all of it costs: the rooms as
    /// they were offered, and the services. The answer says only that the system took it: rooms, services, price and
    /// state are read afterwards. A system that claims *once* finds the booking of the same key again here.
    ///
    /// # Errors
    /// `pms.sold_out` when the system refused; `pms.price_changed` where it claims *price*; otherwise as every write.
    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId>;

    /// Every booking that carries exactly this key, oldest first, incomplete and cancelled ones among them.
    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>>;

    /// One booking; `None` when there is none.
    async fn record(&self, booking: BookingId) -> Result<Option<Record>>;

    /// Cancels a booking and frees its rooms. Cancelling twice is harmless.
    async fn cancel(&self, booking: BookingId) -> Result<()>;

    /// Who has which physical room, where rooms are given with the booking.
    fn rooms(&self) -> Option<&dyn RoomLedger> {
        None
    }

    /// How many rooms of a type are sold, where rooms are given later or never.
    fn stock(&self) -> Option<&dyn StockLedger> {
        None
    }

    /// Changes one row, also one that was back-ordered, and checks nothing: whether the room is free in these nights
    /// is known before, and looked at afterwards. Doing it twice is harmless.
    ///
    /// # Errors
    /// `pms.wrong_state` when the system cannot do that with this row; otherwise as every write.
    async fn change_row(&self, _booking: BookingId, _row: StayId, _change: &RowChange) -> Result<()> {
        Err(unsupported(Feature::Change, self.system()))
    }

    /// Makes the booking cost this much in all, with tax, as its rows are now; its services stay. Doing it twice is
    /// harmless.
    async fn set_total(&self, _record: &Record, _total: Money) -> Result<()> {
        Err(unsupported(Feature::Change, self.system()))
    }

    /// Whether [`set_total`](Self::set_total) will be able to, once the rows have these nights, and, when `and_back`,
    /// back again as they are now. Writes nothing.
    ///
    /// # Errors
    /// `pms.wrong_state` when the system would lose something of the booking; otherwise as every read.
    async fn can_set_total(
        &self,
        _record: &Record,
        _stay: Stay,
        _total: Money,
        _and_back: bool,
    ) -> Result<()> {
        Ok(())
    }

    /// The bookings with a live row in the hotel that begins, or ends, on that day, oldest first.
    async fn movements(&self, _hotel: HotelId, _movement: Movement, _day: NaiveDate) -> Result<Vec<Record>> {
        Err(unsupported(Feature::Movements, self.system()))
    }

    /// What the booking costs, in lines, and what was invoiced and paid.
    async fn folio(&self, _record: &Record) -> Result<Folio> {
        Err(unsupported(Feature::Folio, self.system()))
    }

    /// The bookings that changed since the cursor, in the order of their changes, at most about `most`; and the
    /// cursor behind them. Empty when nothing is new.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `cursor`) for a cursor of another system.
    async fn changes(&self, _cursor: &ChangeCursor, _most: usize) -> Result<ChangePage> {
        Err(unsupported(Feature::Changes, self.system()))
    }
}

/// A system for [`PosadaBuilder::pms`](crate::PosadaBuilder::pms): made of a [`Pms`], or of a [`Guarded`] one.
#[derive(Clone)]
pub struct Connection(pub(crate) Connected);

#[derive(Clone)]
pub(crate) enum Connected {
    Guarded(Arc<dyn BookingSystem>),
    Own(Arc<dyn Pms>),
}

impl From<Guarded> for Connection {
    fn from(guarded: Guarded) -> Self {
        Self(Connected::Guarded(guarded.into_system()))
    }
}

impl From<Arc<dyn Pms>> for Connection {
    fn from(pms: Arc<dyn Pms>) -> Self {
        Self(Connected::Own(pms))
    }
}

impl<P: Pms> From<Arc<P>> for Connection {
    fn from(pms: Arc<P>) -> Self {
        Self(Connected::Own(pms))
    }
}

impl Connection {
    /// Whether the system can be connected.
    ///
    /// # Errors
    /// `settings.invalid` (field `pms`) for a name that is empty, longer than 120 bytes or not of visible ASCII, and for a
    /// system that does not keep *stock* and has no ledger by which posada could.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |what: &str| Err(Error::field_invalid(codes::SETTINGS_INVALID, "pms", what));
        let (catalogue, lacks_ledger): (&dyn Catalogue, bool) = match &self.0 {
            Connected::Guarded(system) => {
                let keeps_stock = system.capabilities().guards().stock;
                let has_ledger = system.rooms().is_some() || system.stock().is_some();
                (&**system, !keeps_stock && !has_ledger)
            }
            Connected::Own(pms) => {
                if pms.capabilities().guards() != Guards::ALL {
                    return invalid(
                        "a Pms keeps every promise by itself; implement BookingSystem for one that does not",
                    );
                }
                (&**pms, false)
            }
        };
        let name = catalogue.system();
        if name.is_empty() || name.len() > 120 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid("the name of a system is 1 to 120 visible ASCII characters");
        }
        if lacks_ledger {
            return invalid("the system keeps no stock and has no ledger; implement rooms() or stock()");
        }
        Ok(())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = match &self.0 {
            Connected::Guarded(system) => system.system(),
            Connected::Own(pms) => pms.system(),
        };
        f.debug_tuple("Connection").field(&system).finish()
    }
}

/// Who has which physical room: for systems that give a room with the booking.
#[async_trait]
pub trait RoomLedger: Send + Sync {
    /// The rows of all bookings that take this room in some night of the stay.
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>>;

    /// The rooms of this type that no booking has in any night of the stay.
    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>>;

    /// What keeps rooms of this type from being sold for a stay beside other bookings, such as repairs. Nothing where
    /// the system knows no such thing.
    async fn closures(&self, _hotel: HotelId, _room_type: RoomTypeId, _stay: Stay) -> Result<Closures> {
        Ok(Closures::default())
    }
}

/// Why rooms of a type are not sold for a stay although no booking has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closures {
    /// The rooms that are closed in some night of the stay.
    pub rooms: Vec<RoomId>,
    /// Whether stays of this length are not sold then.
    pub length: bool,
}

/// How many rooms of a type are sold: for systems that sell room types. The promise is then that never more are booked
/// than the hotel sells; which guest gets which room is the hotel's affair.
#[async_trait]
pub trait StockLedger: Send + Sync {
    /// Each night of the stay, in order.
    async fn nights(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<StockNight>>;
}

/// What is sold of a room type in one night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockNight {
    /// The night.
    pub night: NaiveDate,
    /// How many rooms the hotel sells, with its own allowance for overbooking.
    pub sellable: u32,
    /// Every row that takes one, also of bookings that are not confirmed yet.
    pub taken: Vec<Row>,
}

impl Movement {
    pub(crate) fn feature(self) -> Feature {
        match self {
            Self::Arrival => Feature::CheckIn,
            Self::Departure => Feature::CheckOut,
        }
    }
}
