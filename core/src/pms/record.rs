//! Bookings as a system stores them: what a [`BookingSystem`](super::port::BookingSystem) translates into.

use std::fmt;

use chrono::{DateTime, Utc};

use super::feed::ChangeCursor;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RatePlanId, RoomId, RoomTypeId, StayId};
use super::model::{Booking, BookingStatus, Created, RoomStay};
use super::money::Money;
use super::occupancy::Occupancy;
use super::price::{Charge, Price};
use super::request::BookingRequest;
use super::service::BookedService;
use crate::stay::Stay;

/// What becomes of a row. `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowChange {
    /// Another room, of the same type.
    pub room: Option<Room>,
    /// Other nights.
    pub stay: Option<Stay>,
    /// Other guests.
    pub occupancy: Option<Occupancy>,
    /// The guest arrives, or leaves, at this moment.
    pub moved: Option<(Movement, DateTime<Utc>)>,
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
pub enum Movement {
    /// The guests come.
    Arrival,
    /// The guests go.
    Departure,
}

/// A part of all changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// Each changed booking, and when it changed. `None` for one that is gone, or of which only the head is written.
    pub changes: Vec<(BookingId, DateTime<Utc>, Option<Record>)>,
    /// The place behind them.
    pub next: ChangeCursor,
}

/// One physical room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// The number on the door.
    pub number: String,
}

/// One room of one booking, as the system stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: StayId,
    /// Grows with time: of two rows on one room, the one with the smaller was written first. A number that the system
    /// counts up, or, where it has none, the moment of writing, as fine as its clock is.
    pub sequence: u64,
    /// The booking that it is part of.
    pub booking: BookingId,
    /// Its room; `None` while the system has given it none.
    pub room: Option<Room>,
    /// The room type.
    pub room_type: RoomTypeId,
    /// The rate plan at which it was booked; `default` in a system that has none.
    pub rate_plan: RatePlanId,
    /// Its nights.
    pub stay: Stay,
    /// Its guests.
    pub occupancy: Occupancy,
    /// What it means for its room.
    pub state: RowState,
    /// What it costs of the booking's total, when the system tells.
    pub price: Option<Money>,
}

/// What a row means for its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// The guest is expected.
    Reserved,
    /// The guest is there.
    CheckedIn,
    /// The guest has left.
    CheckedOut,
    /// The system took it although it had no room for it.
    BackOrdered,
    /// It does not count any more.
    Cancelled,
}

impl RowState {
    /// Whether the row keeps others out of its room. A guest who has left does not.
    pub fn takes_room(self) -> bool {
        matches!(self, Self::Reserved | Self::CheckedIn)
    }
}

/// A booking as the system stores it. `Debug` shows no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: BookingId,
    /// The short text that guests and the front desk use.
    pub reference: String,
    /// The key that it carries; `None` for a booking that was made without posada.
    pub key: Option<IdempotencyKey>,
    /// The hotel.
    pub hotel: HotelId,
    /// Who booked; `None` when the system does not tell.
    pub guest: Option<GuestProfile>,
    /// Its rows, the one that was written first before the others; never empty once `complete`.
    pub rows: Vec<Row>,
    /// The chosen services, in the order of their ids; not those that are in the price of every room.
    pub services: Vec<BookedService>,
    /// What the guest pays for all of it.
    pub total: Money,
    /// The taxes and fees in the total that the system names.
    pub charges: Vec<Charge>,
    /// When the system began to write it.
    pub made_at: DateTime<Utc>,
    /// Whether the system has finished writing it.
    pub complete: bool,
    /// Whether the booking as a whole was cancelled or refunded.
    pub cancelled: bool,
    /// Whether its rows tell for which guests it was asked; some systems write those that a room is made for.
    pub tells_guests: bool,
}

impl fmt::Debug for Record {
    /// No personal data, and not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("hotel", &self.hotel)
            .field("rows", &self.rows)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// A complete booking without rooms, guest, key and services, which are fields to be set.
    pub fn new(id: BookingId, hotel: HotelId, total: Money, made_at: DateTime<Utc>) -> Self {
        Self {
            id,
            reference: id.to_string(),
            key: None,
            hotel,
            guest: None,
            rows: Vec::new(),
            services: Vec::new(),
            total,
            charges: Vec::new(),
            made_at,
            complete: true,
            cancelled: false,
            tells_guests: true,
        }
    }

    /// How far the booking is as a whole, as far as it is written.
    pub fn status(&self) -> BookingStatus {
        let any = |state| self.rows.iter().any(|row| row.state == state);
        if self.cancelled {
            BookingStatus::Cancelled
        } else if self.rows.is_empty() {
            // The system is about to write them.
            BookingStatus::Confirmed
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
    pub fn differs_from(&self, request: &BookingRequest) -> Option<&'static str> {
        let mut occupancies: Vec<_> = self.rows.iter().map(|row| &row.occupancy).collect();
        occupancies.sort_unstable();
        if self.hotel != request.hotel() {
            Some("hotel")
        } else if self.rows.iter().any(|row| row.room_type != request.room_type()) {
            Some("room_type")
        } else if self.rows.iter().any(|row| row.stay != request.stay()) {
            Some("stay")
        } else if occupancies.len() != request.party().each_room().len()
            || self.tells_guests && occupancies != request.party().sorted()
        {
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

    /// The booking as callers see it; `None` while the system is still writing it, because neither its rows nor its price
    /// are known then.
    pub fn booking(&self, created: Created) -> Option<Booking> {
        if !self.complete && !self.cancelled {
            return None;
        }
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
            rate_plan: row.rate_plan,
            stay: row.stay,
            occupancy: row.occupancy.clone(),
            number: row
                .room
                .as_ref()
                .map(|room| room.number.clone())
                .filter(|number| !number.is_empty()),
            price: row.price,
        }
    }
}

impl Row {
    /// A reserved row of a booking at the `default` rate plan, without a room; the other fields can be set.
    pub fn new(
        booking: BookingId,
        id: StayId,
        sequence: u64,
        room_type: RoomTypeId,
        stay: Stay,
        occupancy: Occupancy,
    ) -> Self {
        Self {
            id,
            sequence,
            booking,
            room: None,
            room_type,
            rate_plan: RatePlanId::default(),
            stay,
            occupancy,
            state: RowState::Reserved,
            price: None,
        }
    }

    /// Whether this row was written before the other one. Two that were written in the same moment are told apart by
    /// their ids, so that every process sees the same order.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.sequence, self.id) < (other.sequence, other.id)
    }
}

#[cfg(test)]
mod tests {
    use BookingStatus as Status;
    use RowState as State;

    use super::*;

    fn record(states: &[RowState]) -> Record {
        let (id, hotel) = (BookingId::from(1), HotelId::from(1));
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        let total = Money::parse("2600", "USD").unwrap();
        let mut record = Record::new(id, hotel, total, DateTime::UNIX_EPOCH);
        for (number, state) in (1..).zip(states) {
            let guests = Occupancy::new(1, &[]).unwrap();
            let mut row = Row::new(
                id,
                StayId::from(number),
                number,
                RoomTypeId::from(1),
                stay,
                guests,
            );
            row.state = *state;
            record.rows.push(row);
        }
        record
    }

    #[test]
    fn the_state_of_a_booking_follows_from_those_of_its_rooms() {
        for (rooms, booking) in [
            (&[State::Reserved, State::Reserved][..], Status::Confirmed),
            (&[State::Reserved, State::CheckedIn], Status::CheckedIn),
            (&[State::CheckedOut, State::CheckedIn], Status::CheckedIn),
            (&[State::CheckedOut, State::Reserved], Status::Confirmed),
            (&[State::CheckedOut, State::CheckedOut], Status::CheckedOut),
            (&[State::CheckedIn, State::BackOrdered], Status::BackOrdered),
            (&[State::Cancelled, State::Reserved], Status::Confirmed),
            (&[State::Cancelled, State::CheckedOut], Status::CheckedOut),
            (&[State::Cancelled, State::Cancelled], Status::Cancelled),
        ] {
            assert_eq!(record(rooms).status(), booking, "{rooms:?}");
        }
        assert!(
            Record {
                complete: false,
                ..record(&[])
            }
            .booking(Created::Created)
            .is_none(),
            "no room is written"
        );
    }

    #[test]
    fn each_room_of_a_booking_has_a_state_of_its_own_unless_all_of_it_ended_or_is_being_written() {
        let states = [
            State::Reserved,
            State::CheckedIn,
            State::CheckedOut,
            State::BackOrdered,
            State::Cancelled,
        ];
        let shown = |record: &Record| -> Vec<Status> {
            let booking = record.booking(Created::FoundAgain).unwrap();
            booking.rooms.iter().map(|room| room.status).collect()
        };
        let mut record = record(&states);
        let each = [
            Status::Confirmed,
            Status::CheckedIn,
            Status::CheckedOut,
            Status::BackOrdered,
            Status::Cancelled,
        ];
        assert_eq!(shown(&record), each);
        record.complete = false;
        assert!(
            record.booking(Created::FoundAgain).is_none(),
            "it is still being written"
        );
        record.cancelled = true;
        assert_eq!(shown(&record), [Status::Cancelled; 5]);
    }
}
