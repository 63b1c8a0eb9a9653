//! The port to a property management system: few, small steps that any of them can take.
//!
//! A provider translates and nothing more. It keeps no promise about double bookings, because no hotel system that
//! is reached over a network keeps one; the order in which [`booking`](super::booking) takes these steps does.
//!
//! Rules for every provider:
//! * Each call bounds itself by a deadline of its own.
//! * A failed read is `pms.unavailable` or `pms.timeout`. So is a write that surely did not happen.
//! * A write that may have happened is `pms.outcome_unknown`, whatever the answer looked like.
//! * Writes are never repeated inside a provider.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};

use super::Capabilities;
use super::feed::ChangeCursor;
use super::folio::Folio;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RatePlanId, RoomId, RoomTypeId, StayId};
use super::model::{Booking, BookingStatus, Created, Hotel, MissingPermission, Offer, RoomStay, RoomType};
use super::money::Money;
use super::occupancy::{Occupancy, Party};
use super::price::{Charge, Price};
use super::request::BookingRequest;
use super::service::{BookedService, Service};
use crate::error::Result;
use crate::stay::Stay;

/// What posada needs of a property management system.
#[async_trait]
pub(crate) trait PmsProvider: Send + Sync {
    /// Which system this is, in at most 120 bytes; two systems have different names.
    fn name(&self) -> &str;

    /// What it can do. It does not change.
    fn capabilities(&self) -> &Capabilities;

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

    /// What our key may not do, although we need it.
    async fn missing_permissions(&self) -> Result<Vec<MissingPermission>>;

    /// All hotels that we may see.
    async fn hotels(&self) -> Result<Vec<Hotel>>;

    /// The room types of a hotel; empty for an unknown hotel.
    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>>;

    /// What is sold with rooms of this type, in the order of the ids; empty for an unknown one.
    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>>;

    /// Today's date where the hotel stands.
    async fn today(&self, hotel: HotelId) -> Result<NaiveDate>;

    /// What the system offers for the party, not yet checked against any limit. Room types without a free room are
    /// listed too, because their price counts for whoever is in one already.
    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>>;

    /// Whether our key may do all that a booking needs, also looking at it and cancelling it. A system that does not
    /// tell is trusted.
    ///
    /// # Errors
    /// `pms.not_permitted` with the fact `resource`.
    async fn can_book(&self) -> Result<()> {
        Ok(())
    }

    /// Makes a booking with the services of the request, and marks it with its key. `total` is what all of it costs:
    /// the rooms as they were offered, and the services. The answer says only that the system took it: rooms,
    /// services, price and state are read afterwards.
    ///
    /// # Errors
    /// `pms.sold_out` when the system refused; otherwise as every write.
    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId>;

    /// Every booking that carries exactly this key, oldest first, incomplete and cancelled ones among them.
    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>>;

    /// One booking; `None` when there is none.
    async fn record(&self, booking: BookingId) -> Result<Option<Record>>;

    /// The rows of all bookings that take this room in some night of the stay.
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>>;

    /// The rooms of this type that nobody has in any night of the stay.
    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>>;

    /// Changes one row, also one that was back-ordered, and checks nothing: whether the room is free in these nights
    /// is known before, and looked at afterwards. Doing it twice is harmless.
    ///
    /// # Errors
    /// `pms.wrong_state` when the system cannot do that with this row; otherwise as every write.
    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()>;

    /// Makes the booking cost this much in all, with tax, as its rows are now; its services stay. Doing it twice is
    /// harmless.
    async fn set_total(&self, record: &Record, total: Money) -> Result<()>;

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

    /// Cancels a booking and frees its rooms. Cancelling twice is harmless.
    async fn cancel(&self, booking: BookingId) -> Result<()>;

    /// The bookings with a live row in the hotel that begins, or ends, on that day, oldest first.
    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Record>>;

    /// The guest with this address, in any case; the one that was written first, when there are several.
    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>>;

    /// Writes a guest down. The system may take the same guest twice.
    async fn create_guest(&self, guest: &Guest) -> Result<()>;

    /// What the booking costs, in lines, and what was invoiced and paid.
    async fn folio(&self, record: &Record) -> Result<Folio>;

    /// The bookings that changed since the cursor, in the order of their changes, at most about `most`; and the
    /// cursor behind them. Empty when nothing is new.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `cursor`) for a cursor of another system.
    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage>;
}

/// What becomes of a row. `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowChange {
    pub(crate) room: Option<Room>,
    pub(crate) stay: Option<Stay>,
    pub(crate) occupancy: Option<Occupancy>,
    /// The guest arrives, or leaves, at this moment.
    pub(crate) moved: Option<(Movement, DateTime<Utc>)>,
}

impl RowChange {
    pub(crate) fn to_room(room: Room) -> Self {
        Self {
            room: Some(room),
            ..Self::default()
        }
    }
}

/// Coming or going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Movement {
    Arrival,
    Departure,
}

/// A part of all changes.
pub(crate) struct ChangePage {
    /// Each changed booking, and when it changed. `None` for one that is gone, or of which only the head is written.
    pub(crate) changes: Vec<(BookingId, DateTime<Utc>, Option<Record>)>,
    pub(crate) next: ChangeCursor,
}

/// One physical room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    /// The number on the door.
    pub(crate) number: String,
}

/// One room of one booking, as the system stores it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: StayId,
    /// Grows with time: of two rows on one room, the one with the smaller was written first. A number that the system
    /// counts up, or, where it has none, the moment of writing, as fine as its clock is.
    pub(crate) sequence: u64,
    /// The booking that it is part of.
    pub(crate) booking: BookingId,
    pub(crate) room: Room,
    pub(crate) room_type: RoomTypeId,
    pub(crate) stay: Stay,
    pub(crate) occupancy: Occupancy,
    pub(crate) state: RowState,
    /// What it costs of the booking's total, when the system tells.
    pub(crate) price: Option<Money>,
}

/// What a row means for its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowState {
    Reserved,
    CheckedIn,
    CheckedOut,
    BackOrdered,
    Cancelled,
}

impl RowState {
    /// Whether the row keeps others out of its room. A guest who has left does not.
    pub(crate) fn takes_room(self) -> bool {
        matches!(self, Self::Reserved | Self::CheckedIn)
    }
}

/// A booking as the system stores it. Without `Debug`, because it holds an address.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) id: BookingId,
    pub(crate) reference: String,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) hotel: HotelId,
    pub(crate) guest: Option<GuestProfile>,
    /// Its rows, the one that was written first before the others; never empty once `complete`.
    pub(crate) rows: Vec<Row>,
    /// The chosen services, in the order of their ids; not those that are in the price of every room.
    pub(crate) services: Vec<BookedService>,
    pub(crate) total: Money,
    /// The taxes and fees in the total that the system names.
    pub(crate) charges: Vec<Charge>,
    /// When the system began to write it.
    pub(crate) made_at: DateTime<Utc>,
    /// Whether the system has finished writing it.
    pub(crate) complete: bool,
    /// Whether the booking as a whole was cancelled or refunded.
    pub(crate) cancelled: bool,
}

impl Record {
    pub(crate) fn status(&self) -> BookingStatus {
        let any = |state| self.rows.iter().any(|row| row.state == state);
        if self.cancelled {
            BookingStatus::Cancelled
        } else if !self.complete || self.rows.is_empty() {
            BookingStatus::Pending
        } else if any(RowState::BackOrdered) {
            BookingStatus::BackOrdered
        } else if any(RowState::CheckedIn) {
            BookingStatus::CheckedIn
        } else if any(RowState::Reserved) {
            BookingStatus::Confirmed
        } else if any(RowState::CheckedOut) {
            BookingStatus::CheckedOut
        } else {
            BookingStatus::Cancelled
        }
    }

    /// The rows that take a room.
    pub(crate) fn live_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.state.takes_room())
    }

    pub(crate) fn was_back_ordered(&self) -> bool {
        self.rows.iter().any(|row| row.state == RowState::BackOrdered)
    }

    /// The first part of the request that this booking does not answer to, if any.
    pub(crate) fn differs_from(&self, request: &BookingRequest) -> Option<&'static str> {
        let mut occupancies: Vec<_> = self.rows.iter().map(|row| &row.occupancy).collect();
        occupancies.sort_unstable();
        if self.hotel != request.hotel() {
            Some("hotel")
        } else if self.rows.iter().any(|row| row.room_type != request.room_type()) {
            Some("room_type")
        } else if self.rows.iter().any(|row| row.stay != request.stay()) {
            Some("stay")
        } else if occupancies != request.party().sorted() {
            Some("party")
        } else if !self.is_of(request.guest()) {
            Some("guest")
        } else if !request.choice().is(&self.services, request.party().rooms()) {
            Some("services")
        } else {
            None
        }
    }

    fn is_of(&self, guest: &Guest) -> bool {
        self.guest.as_ref().is_some_and(|known| known.is(guest))
    }

    /// The booking as callers see it; `None` while the system has written no row yet.
    pub(crate) fn booking(&self, created: Created) -> Option<Booking> {
        let arrival = self.rows.iter().map(|row| row.stay.check_in()).min()?;
        let departure = self.rows.iter().map(|row| row.stay.check_out()).max()?;
        Some(Booking {
            id: self.id,
            reference: self.reference.clone(),
            key: self.key.clone(),
            hotel: self.hotel,
            guest: self.guest.clone(),
            status: self.status(),
            rooms: self.rows.iter().map(|row| self.room_stay(row)).collect(),
            stay: Stay::new(arrival, departure).ok()?,
            services: self.services.clone(),
            price: Price {
                charges: self.charges.clone(),
                ..Price::new(self.total)
            },
            total: self.total,
            created,
        })
    }

    fn room_stay(&self, row: &Row) -> RoomStay {
        let status = match row.state {
            _ if self.cancelled => BookingStatus::Cancelled,
            _ if !self.complete => BookingStatus::Pending,
            RowState::Reserved => BookingStatus::Confirmed,
            RowState::CheckedIn => BookingStatus::CheckedIn,
            RowState::CheckedOut => BookingStatus::CheckedOut,
            RowState::BackOrdered => BookingStatus::BackOrdered,
            RowState::Cancelled => BookingStatus::Cancelled,
        };
        RoomStay {
            id: row.id,
            status,
            room_type: row.room_type,
            rate_plan: RatePlanId::default(),
            stay: row.stay,
            occupancy: row.occupancy.clone(),
            number: Some(row.room.number.clone()).filter(|number| !number.is_empty()),
            price: row.price,
        }
    }
}

impl Row {
    /// Whether this row was written before the other one. Two that were written in the same moment are told apart by
    /// their ids, so that everybody who looks sees the same order.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.sequence, self.id) < (other.sequence, other.id)
    }
}
