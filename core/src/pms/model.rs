//! What a property management system tells us: hotels, room types, offers and bookings.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;

use super::guest::GuestProfile;
use super::id::{BookingId, HotelId, IdempotencyKey, RatePlanId, RoomTypeId, StayId};
use super::money::{Currency, Money};
use super::occupancy::{Occupancy, OccupancyLimits, Party};
use super::price::{CancellationTerms, Price};
use super::service::{BookedService, QuotedService, with_services};
use crate::error::Result;
use crate::locks::Resource;
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
    /// How many days before the arrival a guest must book; zero for none.
    pub(crate) min_days_ahead: u32,
}

impl Hotel {
    /// A hotel that sells as far ahead as it is asked.
    pub fn new(
        id: HotelId,
        name: &str,
        currency: Currency,
        check_in: NaiveTime,
        check_out: NaiveTime,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            check_in,
            check_out,
            currency,
            max_days_ahead: None,
            min_days_ahead: 0,
        }
    }
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

impl RoomType {
    /// A room type for stays of any length.
    pub fn new(
        hotel: HotelId,
        id: RoomTypeId,
        name: &str,
        base_price: Money,
        limits: OccupancyLimits,
    ) -> Self {
        Self {
            id,
            hotel,
            name: name.to_owned(),
            base_price,
            limits,
            min_nights: 1,
            max_nights: None,
        }
    }
}

/// A room type that can be booked for the stay and the party that was asked about: enough rooms are free and every
/// room takes its guests. What cannot be booked is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// The room type's id.
    pub room_type: RoomTypeId,
    /// The rate plan at which it is offered.
    pub rate_plan: RatePlanId,
    /// The room type's name.
    pub name: String,
    /// Rooms that are free in every night of the stay, at least as many as the party needs.
    pub available: u32,
    /// The price of one room in each night, with tax and with the services that the hotel adds by itself.
    pub per_night: Vec<(NaiveDate, Money)>,
    /// The price of the whole stay for all rooms of the party. It may differ from the sum of the nights by rounding.
    pub price: Price,
    /// What the guest pays: the short way to [`payable`](Price::payable) of the price.
    pub total: Money,
    /// What becomes of the money when it is cancelled.
    pub terms: CancellationTerms,
    /// The price without tax as the system computes it, before it is rounded.
    pub(crate) exact_net: Option<Decimal>,
}

impl Offer {
    /// An offer of a room type at the `default` rate plan, without prices of its nights and under unknown terms.
    pub fn new(room_type: RoomTypeId, name: &str, available: u32, price: Price) -> Self {
        Self {
            room_type,
            rate_plan: RatePlanId::default(),
            name: name.to_owned(),
            available,
            per_night: Vec::new(),
            total: price.payable,
            price,
            terms: CancellationTerms::default(),
            exact_net: None,
        }
    }
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
    /// The rate plan.
    pub rate_plan: RatePlanId,
    /// The price of the whole stay for all rooms, with tax, automatic services and those that were chosen.
    pub price: Price,
    /// What the guest pays: the short way to [`payable`](Price::payable) of the price. It binds.
    pub total: Money,
    /// What becomes of the money when it is cancelled.
    pub terms: CancellationTerms,
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
            rate_plan: RatePlanId::default(),
            price: Price::new(total),
            total,
            terms: CancellationTerms::default(),
            services: Vec::new(),
            quoted_at,
        }
    }

    /// A quote for an offer, with its price, rate plan and terms, and with what was chosen beside it.
    ///
    /// # Errors
    /// `money.invalid` for services in another currency, which no hotel sells.
    pub(crate) fn of_offer(
        hotel: HotelId,
        stay: Stay,
        party: Party,
        offer: &Offer,
        services: Vec<QuotedService>,
        quoted_at: DateTime<Utc>,
    ) -> Result<Self> {
        let total = with_services(offer.total, &services)?;
        let mut quote = Self::new(hotel, offer.room_type, stay, party, total, quoted_at);
        quote.rate_plan = offer.rate_plan;
        quote.terms = offer.terms.clone();
        quote.price = Price {
            payable: total,
            // What the services cost without tax is not known here.
            net: offer.price.net.filter(|_| services.is_empty()),
            charges: offer.price.charges.clone(),
        };
        Ok(quote.services(services))
    }

    /// Adds the items of chosen services; the total contains them already.
    #[must_use]
    pub fn services(mut self, services: Vec<QuotedService>) -> Self {
        self.services = services;
        self.services.sort_by_key(|item| item.service);
        self
    }

    /// What a hold keeps for this quote: the rooms of its type in its hotel.
    pub fn resource(&self) -> Resource {
        Resource::room_type(&self.hotel, &self.room_type)
    }

    /// What the rooms alone cost, with tax and automatic services: the total without the chosen services.
    ///
    /// # Errors
    /// `pms.invalid_request` for items in another currency, which no hotel quotes.
    pub fn rooms_total(&self) -> Result<Money> {
        let services = Money::sum(self.total.currency(), self.services.iter().map(|item| item.total))?;
        self.total.minus(services)
    }
}

/// Something that our credentials at the property management system must be allowed to do, and are not.
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

impl MissingPermission {
    /// Methods of a resource that the credentials lack, and what does not work without them.
    pub fn new(resource: &str, methods: &str, needed_for: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            methods: methods.to_owned(),
            needed_for: needed_for.to_owned(),
        }
    }
}

/// How far a booking is. More states may come with newer systems. What a system is still writing, or what is not
/// settled, has none: asking for it answers `pms.outcome_unknown`, never a [`Booking`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BookingStatus {
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

/// One room of a booking: it has a state, nights and guests of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomStay {
    /// Its id.
    pub id: StayId,
    /// How far it is.
    pub status: BookingStatus,
    /// The room type.
    pub room_type: RoomTypeId,
    /// The rate plan.
    pub rate_plan: RatePlanId,
    /// Its nights.
    pub stay: Stay,
    /// Its guests.
    pub occupancy: Occupancy,
    /// The number on the door, such as `GR-101`. The hotel may still move the guest. `None` while the system has given
    /// the stay no room, which many do only on the day of arrival.
    pub number: Option<String>,
    /// What it costs of the booking's total; `None` when the system tells the price of the whole booking only.
    pub price: Option<Money>,
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
    pub rooms: Vec<RoomStay>,
    /// From the first arrival to the last departure of its rooms.
    pub stay: Stay,
    /// The services that were chosen for it, in the order of their ids.
    pub services: Vec<BookedService>,
    /// What all of it costs.
    pub price: Price,
    /// What the guest pays: the short way to [`payable`](Price::payable) of the price.
    pub total: Money,
    /// Whether this call made it.
    pub created: Created,
}
