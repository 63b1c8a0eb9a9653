//! What is to become of a booking that exists.

use super::model::Quote;
use super::occupancy::Party;
use crate::error::{Error, Result, codes};
use crate::stay::Stay;

/// Other nights, other guests, or other rooms for a booking. What is not named stays as it is.
///
/// ```
/// use posada::Stay;
/// use posada::pms::{BookingChange, Occupancy};
/// let longer = BookingChange::new().with_stay(Stay::parse("2027-03-10", "2027-03-14")?);
/// let baby = BookingChange::new().with_party(Occupancy::new(2, &[0])?);
/// let quieter = BookingChange::new().with_room("GR-101", "GR-105");
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookingChange {
    pub(super) stay: Option<Stay>,
    pub(super) party: Option<Party>,
    pub(super) rooms: Vec<(String, String)>,
    pub(super) quote: Option<Quote>,
}

impl BookingChange {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other nights, for all rooms of the booking. They cost what they cost now.
    #[must_use]
    pub fn with_stay(mut self, stay: Stay) -> Self {
        self.stay = Some(stay);
        self
    }

    /// Other guests in each room, in the order of the booking's rooms; one [`Occupancy`](crate::pms::Occupancy) for a
    /// booking of one room. The number of rooms stays.
    #[must_use]
    pub fn with_party(mut self, party: impl Into<Party>) -> Self {
        self.party = Some(party.into());
        self
    }

    /// Another room of the same type, both by the number on the door.
    #[must_use]
    pub fn with_room(mut self, from: &str, to: &str) -> Self {
        self.rooms.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Binds the change to the price that the guest was told: the one that
    /// [`quote_change`](crate::PmsClient::quote_change) answered.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `quote`) when the quote is for other nights.
    pub fn with_quote(mut self, quote: Quote) -> Result<Self> {
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

    /// The door number to which the room with this one shall be changed.
    pub(super) fn room_for(&self, number: &str) -> Option<&str> {
        let mut rooms = self.rooms.iter();
        rooms.find(|(from, _)| from == number).map(|(_, to)| to.as_str())
    }
}
