//! Answers of the PMS as tuples, of which `posada.pms` makes its classes.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use posada::Money;
use posada::pms::{
    Availability, BookedRoom, BookedService, Booking, ChosenService, Created, Currency, Folio, GuestProfile,
    Hotel, MissingPermission, Occupancy, Offer, Party, Quote, QuotedService, RoomType, Service,
};
use pyo3::prelude::*;
use rust_decimal::Decimal;

use super::request::Rooms;
use super::{hotel_id, room_type_id, service_id};
use crate::arguments::{Nights, Parts, dates};
use crate::errors::Refusal;

/// (amount, currency)
pub(super) type Amount = (Decimal, String);

/// (check_in, check_out)
pub(super) type Dates = (NaiveDate, NaiveDate);

/// (adults, child_ages). The ages are numbers, not bytes.
pub(super) type Guests = (u32, Vec<u32>);

pub(super) fn amount(money: Money) -> Amount {
    (money.amount(), money.currency().to_string())
}

fn guests(occupancy: &Occupancy) -> Guests {
    let ages = occupancy.child_ages().iter().copied().map(u32::from);
    (occupancy.adults(), ages.collect())
}

fn rooms(party: &Party) -> Vec<Guests> {
    party.each_room().iter().map(guests).collect()
}

/// (id, name, check_in, check_out, currency, max_days_ahead)
pub(super) type HotelParts = (u64, String, NaiveTime, NaiveTime, String, Option<u32>);

pub(super) fn hotel(hotel: Hotel) -> HotelParts {
    (
        hotel.id.get(),
        hotel.name,
        hotel.check_in,
        hotel.check_out,
        hotel.currency.to_string(),
        hotel.max_days_ahead,
    )
}

/// (resource, methods, needed_for)
pub(super) fn missing(permission: MissingPermission) -> (String, String, String) {
    (permission.resource, permission.methods, permission.needed_for)
}

/// (id, hotel, name, base_price, (max_adults, max_children, max_guests), min_nights, max_nights)
pub(super) type RoomTypeParts = (u64, u64, String, Amount, (u32, u32, u32), u32, Option<u32>);

pub(super) fn room_type(room_type: RoomType) -> RoomTypeParts {
    let limits = room_type.limits;
    (
        room_type.id.get(),
        room_type.hotel.get(),
        room_type.name,
        amount(room_type.base_price),
        (limits.max_adults, limits.max_children, limits.max_guests),
        room_type.min_nights,
        room_type.max_nights,
    )
}

/// (id, name, price, net_price, per_night, automatic, max_quantity)
pub(super) type ServiceParts = (u64, String, Amount, Amount, bool, bool, Option<u32>);

pub(super) fn service(service: Service) -> ServiceParts {
    (
        service.id.get(),
        service.name,
        amount(service.price),
        amount(service.net_price),
        service.per_night,
        service.automatic,
        service.max_quantity,
    )
}

/// (service, name, quantity)
pub(super) type BookedServiceParts = (u64, String, u32);

fn booked(service: BookedService) -> BookedServiceParts {
    (service.service.get(), service.name, service.quantity)
}

/// (room_type, name, available, per_night, net_total, total)
pub(super) type OfferParts = (u64, String, u32, Vec<(NaiveDate, Amount)>, Amount, Amount);

fn offer(offer: Offer) -> OfferParts {
    let nights = offer.per_night.into_iter();
    (
        offer.room_type.get(),
        offer.name,
        offer.available,
        nights.map(|(night, price)| (night, amount(price))).collect(),
        amount(offer.net_total),
        amount(offer.total),
    )
}

/// (hotel, stay, offers, age, potentially_stale)
pub(super) type AvailabilityParts = (u64, Dates, Vec<OfferParts>, Duration, bool);

pub(super) fn availability(found: Availability) -> AvailabilityParts {
    (
        found.hotel.get(),
        dates(found.stay),
        found.offers.into_iter().map(offer).collect(),
        found.age,
        found.potentially_stale,
    )
}

/// (number, room_type, stay, guests)
pub(super) type RoomParts = (String, u64, Dates, Guests);

fn room(room: BookedRoom) -> RoomParts {
    (
        room.number,
        room.room_type.get(),
        dates(room.stay),
        guests(&room.occupancy),
    )
}

/// (id, first_name, last_name, email, phone)
pub(super) type GuestParts = (u64, String, String, String, String);

pub(super) fn guest(guest: GuestProfile) -> GuestParts {
    (
        guest.id.get(),
        guest.first_name,
        guest.last_name,
        guest.email,
        guest.phone,
    )
}

/// (name, quantity, net_total, total)
pub(super) type LineParts = (String, u32, Amount, Amount);

/// (number, made_at, net_total, total)
pub(super) type InvoiceParts = (u64, DateTime<Utc>, Amount, Amount);

/// (amount, method, transaction, paid_at)
pub(super) type PaymentParts = (Amount, String, Option<String>, DateTime<Utc>);

/// (booking, lines, invoices, payments, total, paid)
pub(super) type FolioParts = (
    u64,
    Vec<LineParts>,
    Vec<InvoiceParts>,
    Vec<PaymentParts>,
    Amount,
    Amount,
);

pub(super) fn folio(folio: Folio) -> FolioParts {
    let lines = folio.lines.into_iter().map(|line| {
        let (net, total) = (amount(line.net_total), amount(line.total));
        (line.name, line.quantity, net, total)
    });
    let invoices = folio.invoices.into_iter().map(|invoice| {
        let (net, total) = (amount(invoice.net_total), amount(invoice.total));
        (invoice.number, invoice.made_at, net, total)
    });
    let payments = folio.payments.into_iter().map(|payment| {
        let paid = amount(payment.amount);
        (paid, payment.method, payment.transaction, payment.paid_at)
    });
    (
        folio.booking.get(),
        lines.collect(),
        invoices.collect(),
        payments.collect(),
        amount(folio.total),
        amount(folio.paid),
    )
}

/// (id, reference, key, hotel, guest, status, rooms, stay, services, total, created)
pub(super) type BookingParts = (
    u64,
    String,
    Option<String>,
    u64,
    Option<GuestParts>,
    &'static str,
    Vec<RoomParts>,
    Dates,
    Vec<BookedServiceParts>,
    Amount,
    &'static str,
);

pub(super) fn booking(booking: Booking) -> BookingParts {
    let created = match booking.created {
        Created::Created => "created",
        Created::FoundAgain => "found_again",
    };
    (
        booking.id.get(),
        booking.reference,
        booking.key.map(|key| key.to_string()),
        booking.hotel.get(),
        booking.guest.map(guest),
        booking.status.as_str(),
        booking.rooms.into_iter().map(room).collect(),
        dates(booking.stay),
        booking.services.into_iter().map(booked).collect(),
        amount(booking.total),
        created,
    )
}

/// (service, name, quantity, total)
type ItemParts = (u64, String, u32, Amount);

/// (hotel, room_type, stay, party, total, services, quoted_at)
type QuoteParts = (
    u64,
    u64,
    Dates,
    Vec<Guests>,
    Amount,
    Vec<ItemParts>,
    DateTime<Utc>,
);

/// A price that was quoted. The crate makes them, or puts them together again.
#[pyclass(frozen, module = "posada._native", from_py_object)]
#[derive(Clone)]
pub(crate) struct Quoted(pub(super) Quote);

#[pymethods]
impl Quoted {
    /// From what `parts` answered.
    #[new]
    fn new(
        hotel: u64,
        room_type: u64,
        stay: Nights,
        party: Parts<Rooms>,
        total: Amount,
        services: Vec<ItemParts>,
        quoted_at: DateTime<Utc>,
    ) -> PyResult<Self> {
        let items = services.into_iter().map(|(service, name, quantity, total)| {
            let chosen = ChosenService::new(service_id(service)?, quantity)?;
            Ok(QuotedService::new(chosen, &name, money(total)?))
        });
        let items = items.collect::<Result<_, Refusal>>()?;
        let quote = Quote::new(
            hotel_id(hotel)?,
            room_type_id(room_type)?,
            stay.0,
            party.0.party()?,
            money(total)?,
            quoted_at,
        );
        Ok(Self(quote.with_services(items)))
    }

    fn parts(&self) -> QuoteParts {
        let items = self.0.services.iter().map(|item| {
            let (id, total) = (item.service.get(), amount(item.total));
            (id, item.name.clone(), item.quantity, total)
        });
        (
            self.0.hotel.get(),
            self.0.room_type.get(),
            dates(self.0.stay),
            rooms(&self.0.party),
            amount(self.0.total),
            items.collect(),
            self.0.quoted_at,
        )
    }

    /// The price of the rooms alone.
    fn rooms_total(&self) -> PyResult<Amount> {
        Ok(amount(self.0.rooms_total().map_err(Refusal::from)?))
    }
}

fn money((amount, currency): Amount) -> Result<Money, Refusal> {
    Ok(Money::new(amount, Currency::parse(&currency)?)?)
}
