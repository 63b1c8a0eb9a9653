//! What is to become of a booking that exists.

use super::id::StayId;
use super::model::Quote;
use super::occupancy::Party;
use super::record::Row;
use crate::error::{Error, Result, codes};
use crate::stay::Stay;

/// Other nights, other guests, or other rooms for a booking. What is not named stays as it is.
///
/// ```
/// use posada::Stay;
/// use posada::pms::{BookingChange, Occupancy};
/// let longer = BookingChange::new().stay(Stay::parse("2027-03-10", "2027-03-14")?);
/// let baby = BookingChange::new().party(Occupancy::new(2, &[0])?);
/// let quieter = BookingChange::new().room_number("GR-101", "GR-105");
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookingChange {
    pub(super) stay: Option<Stay>,
    pub(super) party: Option<Party>,
    pub(super) rooms: Vec<(RoomOfBooking, String)>,
    pub(super) quote: Option<Quote>,
}

impl BookingChange {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other nights, for all rooms of the booking. They cost what they cost now.
    #[must_use]
    pub fn stay(mut self, stay: Stay) -> Self {
        self.stay = Some(stay);
        self
    }

    /// Other guests in each room, in the order of the booking's rooms; one [`Occupancy`](crate::pms::Occupancy) for a
    /// booking of one room. The number of rooms stays.
    #[must_use]
    pub fn party(mut self, party: impl Into<Party>) -> Self {
        self.party = Some(party.into());
        self
    }

    /// Another room of the same type for one room of the booking, by the [id](crate::pms::RoomStay::id) of that room
    /// and the number on the door of the other.
    #[must_use]
    pub fn room(mut self, stay: StayId, to: &str) -> Self {
        self.rooms.push((RoomOfBooking::Stay(stay), to.to_owned()));
        self
    }

    /// The same, by the numbers on both doors: for the front desk, which knows rooms by them.
    #[must_use]
    pub fn room_number(mut self, from: &str, to: &str) -> Self {
        self.rooms
            .push((RoomOfBooking::Number(from.to_owned()), to.to_owned()));
        self
    }

    /// Binds the change to the price that the guest was told: the one that
    /// [`quote_change`](crate::PmsClient::quote_change) answered.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `quote`) when the quote is for other nights.
    pub fn quote(mut self, quote: Quote) -> Result<Self> {
        if self.stay.is_some_and(|stay| stay != quote.stay) {
            return Err(Error::field_invalid(
                codes::PMS_INVALID_REQUEST,
                "quote",
                "is for other nights",
            ));
        }
        self.quote = Some(quote);
        Ok(self)
    }

    /// The nights that all rooms of the booking shall have; `None` when they stay.
    pub fn wanted_stay(&self) -> Option<Stay> {
        self.stay
    }

    /// The guests that its rooms shall have, in their order; `None` when they stay.
    pub fn wanted_party(&self) -> Option<&Party> {
        self.party.as_ref()
    }

    /// Each room of the booking that shall become another one, with the number on the door of the other.
    pub fn wanted_rooms(&self) -> impl Iterator<Item = (&RoomOfBooking, &str)> {
        self.rooms.iter().map(|(from, to)| (from, to.as_str()))
    }

    /// The price that the guest was told. The change is made at this price or not at all.
    pub fn agreed(&self) -> Option<&Quote> {
        self.quote.as_ref()
    }

    /// Whether it is about which room the guest has.
    pub(super) fn names_rooms(&self) -> bool {
        !self.rooms.is_empty()
    }

    /// The door number of the room that this row shall get.
    pub(super) fn room_for(&self, row: &Row) -> Option<&str> {
        let mut rooms = self.rooms.iter();
        rooms.find(|(from, _)| from.is(row)).map(|(_, to)| to.as_str())
    }
}

/// Which room of a booking a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomOfBooking {
    /// By its id in the booking.
    Stay(StayId),
    /// By the number on its door.
    Number(String),
}

impl RoomOfBooking {
    /// Whether it is this one.
    pub fn is(&self, row: &Row) -> bool {
        match self {
            Self::Stay(id) => *id == row.id,
            Self::Number(number) => row.room.as_ref().is_some_and(|room| room.number == *number),
        }
    }
}
