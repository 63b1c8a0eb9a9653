//! What a property management system tells us: hotels, room types, offers and bookings.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::guest::GuestProfile;
use super::id::{BookingId, HotelId, IdempotencyKey, RoomTypeId};
use super::money::{Currency, Money};
use super::occupancy::{Occupancy, OccupancyLimits, Party};
use super::service::{BookedService, ChosenService, QuotedService};
use crate::error::Result;
use crate::stay::Stay;

/// A hotel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hotel {
    /// Its id.
    pub id: HotelId,
    /// Its name.
    pub name: String,
    /// From when a room is ready on the day of arrival, in the hotel's own time.
    pub check_in: NaiveTime,
    /// Until when a room must be free on the day of departure, in the hotel's own time.
    pub check_out: NaiveTime,
    /// The currency of its prices.
    pub currency: Currency,
    /// How many days ahead of today a departure may lie; `None` without a limit.
    pub max_days_ahead: Option<u32>,
}

/// A kind of room that a hotel sells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomType {
    /// Its id.
    pub id: RoomTypeId,
    /// The hotel that it belongs to.
    pub hotel: HotelId,
    /// Its name.
    pub name: String,
    /// The list price of a night, without tax and services. What a guest pays is in an [`Offer`].
    pub base_price: Money,
    /// How many guests a room takes.
    pub limits: OccupancyLimits,
    /// Fewest nights of a stay.
    pub min_nights: u32,
    /// Most nights of a stay; `None` without a limit.
    pub max_nights: Option<u32>,
}

/// A room type that can be booked for the stay and the party that was asked about: enough rooms are free and every
/// room takes its guests. What cannot be booked is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// The room type's id.
    pub room_type: RoomTypeId,
    /// The room type's name.
    pub name: String,
    /// Rooms that are free in every night of the stay, at least as many as the party needs.
    pub available: u32,
    /// The price of one room in each night, with tax and with the services that the hotel adds by itself.
    pub per_night: Vec<(NaiveDate, Money)>,
    /// The price of the whole stay for all rooms of the party, without tax.
    pub net_total: Money,
    /// The price of the whole stay for all rooms of the party, with tax: what the guest pays. It binds, and may
    /// differ from the sum of the nights by rounding.
    pub total: Money,
}

/// The answer to a question about free rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Availability {
    /// The hotel that was asked about.
    pub hotel: HotelId,
    /// The stay that was asked about.
    pub stay: Stay,
    /// What can be booked, in the order of the system; empty when nothing can.
    pub offers: Vec<Offer>,
    /// How old the answer is; zero when the system was asked just now.
    pub age: Duration,
    /// Whether the system could not be asked, so that the answer may be outdated. A booking never trusts it.
    pub potentially_stale: bool,
}

/// A price that a guest was told. A booking that carries it is made at this price or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote {
    /// The hotel.
    pub hotel: HotelId,
    /// The room type.
    pub room_type: RoomTypeId,
    /// The nights.
    pub stay: Stay,
    /// The guests of each room.
    pub party: Party,
    /// The price of the whole stay for all rooms, with tax, automatic services and those that were chosen.
    pub total: Money,
    /// The services that were chosen, each with its part of the total; in the order of their ids.
    pub services: Vec<QuotedService>,
    /// When it was quoted.
    pub quoted_at: DateTime<Utc>,
}

impl Quote {
    /// A quote from its parts, for one that was kept somewhere and is made again. Nothing is asked: whether the price
    /// still holds is found out when it is booked.
    pub fn new(
        hotel: HotelId,
        room_type: RoomTypeId,
        stay: Stay,
        party: impl Into<Party>,
        total: Money,
        quoted_at: DateTime<Utc>,
    ) -> Self {
        Self {
            hotel,
            room_type,
            stay,
            party: party.into(),
            total,
            services: Vec::new(),
            quoted_at,
        }
    }

    /// Adds the items of chosen services; the total contains them already.
    #[must_use]
    pub fn with_services(mut self, services: Vec<QuotedService>) -> Self {
        self.services = services;
        self.services.sort_by_key(|item| item.service);
        self
    }

    /// What the rooms alone cost, with tax and automatic services: the total without the chosen services.
    ///
    /// # Errors
    /// `pms.invalid_request` for items in another currency, which no hotel quotes.
    pub fn rooms_total(&self) -> Result<Money> {
        let services = Money::sum(self.total.currency(), self.services.iter().map(|item| item.total))?;
        self.total.minus(services)
    }

    /// The services that were chosen.
    pub(crate) fn chosen(&self) -> Result<Vec<ChosenService>> {
        let chosen = self.services.iter();
        chosen
            .map(|item| ChosenService::new(item.service, item.quantity))
            .collect()
    }
}

/// Something that the key of the property management system must be allowed to do, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingPermission {
    /// The resource, by its name in the system.
    pub resource: String,
    /// The methods that are needed on it, such as `GET, PUT`.
    pub methods: String,
    /// What does not work without it.
    pub needed_for: String,
}

/// How far a booking is. More states may come with newer systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BookingStatus {
    /// The system is still writing it.
    Pending,
    /// The rooms are the guest's.
    Confirmed,
    /// The guest is in the house.
    CheckedIn,
    /// The guest has left.
    CheckedOut,
    /// The system accepted the booking but has no room for it. `book` never answers this.
    BackOrdered,
    /// It was cancelled or refunded.
    Cancelled,
}

impl BookingStatus {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::CheckedIn => "checked_in",
            Self::CheckedOut => "checked_out",
            Self::BackOrdered => "back_ordered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for BookingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether this call made the booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Created {
    /// This call made it.
    Created,
    /// It was there already: made by an earlier call with the same key, or looked up.
    FoundAgain,
}

/// One room of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookedRoom {
    /// The number on the door, such as `GR-101`. The hotel may still move the guest.
    pub number: String,
    /// The room type.
    pub room_type: RoomTypeId,
    /// The nights in this room.
    pub stay: Stay,
    /// The guests in this room.
    pub occupancy: Occupancy,
}

/// A booking as the system has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Booking {
    /// Its id.
    pub id: BookingId,
    /// The short text that guests and the front desk use.
    pub reference: String,
    /// The key with which it was made; `None` when posada did not make it.
    pub key: Option<IdempotencyKey>,
    /// The hotel.
    pub hotel: HotelId,
    /// Who booked; `None` when the system does not tell.
    pub guest: Option<GuestProfile>,
    /// How far it is.
    pub status: BookingStatus,
    /// Its rooms, in the order in which they were written.
    pub rooms: Vec<BookedRoom>,
    /// From the first arrival to the last departure of its rooms.
    pub stay: Stay,
    /// The services that were chosen for it, in the order of their ids.
    pub services: Vec<BookedService>,
    /// What the guest pays, with tax.
    pub total: Money,
    /// Whether this call made it.
    pub created: Created,
}
