//! Answers of the PMS as tuples, of which `posada.pms` makes its classes.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use posada::Money;
use posada::pms::{
    Availability, BookedService, Booking, Charge, ChargeKind, ChosenService, Created, Currency, Due, Folio,
    GuestProfile, Hotel, MissingPermission, Occupancy, Offer, Party, Price, Quote, QuotedService, RatePlanId,
    RoomStay, RoomType, Service,
};
use pyo3::prelude::*;
use rust_decimal::Decimal;

use super::Id;
use super::request::Rooms;
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
pub(super) type HotelParts = (String, String, NaiveTime, NaiveTime, String, Option<u32>);

pub(super) fn hotel(hotel: Hotel) -> HotelParts {
    (
        hotel.id.to_string(),
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
pub(super) type RoomTypeParts = (String, String, String, Amount, (u32, u32, u32), u32, Option<u32>);

pub(super) fn room_type(room_type: RoomType) -> RoomTypeParts {
    let limits = room_type.limits;
    (
        room_type.id.to_string(),
        room_type.hotel.to_string(),
        room_type.name,
        amount(room_type.base_price),
        (limits.max_adults, limits.max_children, limits.max_guests),
        room_type.min_nights,
        room_type.max_nights,
    )
}

/// (id, name, price, net_price, per_night, automatic, max_quantity)
pub(super) type ServiceParts = (String, String, Amount, Amount, bool, bool, Option<u32>);

pub(super) fn service(service: Service) -> ServiceParts {
    (
        service.id.to_string(),
        service.name,
        amount(service.price),
        amount(service.net_price),
        service.per_night,
        service.automatic,
        service.max_quantity,
    )
}

/// (service, name, quantity)
pub(super) type BookedServiceParts = (String, String, u32);

fn booked(service: BookedService) -> BookedServiceParts {
    (service.service.to_string(), service.name, service.quantity)
}

/// (name, kind, amount, included, due)
type ChargeParts = (String, String, Amount, bool, String);

/// (payable, net, charges)
type PriceParts = (Amount, Option<Amount>, Vec<ChargeParts>);

fn price(price: Price) -> PriceParts {
    let charges = price.charges.into_iter().map(|charge| {
        let (kind, due) = (charge.kind.as_str().to_owned(), charge.due.as_str().to_owned());
        (charge.name, kind, amount(charge.amount), charge.included, due)
    });
    (amount(price.payable), price.net.map(amount), charges.collect())
}

/// (room_type, rate_plan, name, available, per_night, price, terms)
pub(super) type OfferParts = (
    String,
    String,
    String,
    u32,
    Vec<(NaiveDate, Amount)>,
    PriceParts,
    &'static str,
);

fn offer(offer: Offer) -> OfferParts {
    let nights = offer.per_night.into_iter();
    (
        offer.room_type.to_string(),
        offer.rate_plan.to_string(),
        offer.name,
        offer.available,
        nights.map(|(night, price)| (night, amount(price))).collect(),
        price(offer.price),
        offer.terms.as_str(),
    )
}

/// (hotel, stay, offers, age, potentially_stale)
pub(super) type AvailabilityParts = (String, Dates, Vec<OfferParts>, Duration, bool);

pub(super) fn availability(found: Availability) -> AvailabilityParts {
    (
        found.hotel.to_string(),
        dates(found.stay),
        found.offers.into_iter().map(offer).collect(),
        found.age,
        found.potentially_stale,
    )
}

/// (id, status, room_type, rate_plan, stay, guests, number, price)
pub(super) type RoomParts = (
    String,
    &'static str,
    String,
    String,
    Dates,
    Guests,
    Option<String>,
    Option<Amount>,
);

fn room(room: RoomStay) -> RoomParts {
    (
        room.id.to_string(),
        room.status.as_str(),
        room.room_type.to_string(),
        room.rate_plan.to_string(),
        dates(room.stay),
        guests(&room.occupancy),
        room.number,
        room.price.map(amount),
    )
}

/// (id, first_name, last_name, email, phone)
pub(super) type GuestParts = (String, String, String, String, String);

pub(super) fn guest(guest: GuestProfile) -> GuestParts {
    (
        guest.id.to_string(),
        guest.first_name,
        guest.last_name,
        guest.email,
        guest.phone,
    )
}

/// (name, quantity, net_total, total)
pub(super) type LineParts = (String, u32, Amount, Amount);

/// (number, made_at, net_total, total)
pub(super) type InvoiceParts = (String, DateTime<Utc>, Amount, Amount);

/// (amount, method, transaction, paid_at)
pub(super) type PaymentParts = (Amount, String, Option<String>, DateTime<Utc>);

/// (booking, lines, invoices, payments, total, paid)
pub(super) type FolioParts = (
    String,
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
        folio.booking.to_string(),
        lines.collect(),
        invoices.collect(),
        payments.collect(),
        amount(folio.total),
        amount(folio.paid),
    )
}

/// (id, reference, key, hotel, guest, status, rooms, stay, services, price, created)
pub(super) type BookingParts = (
    String,
    String,
    Option<String>,
    String,
    Option<GuestParts>,
    &'static str,
    Vec<RoomParts>,
    Dates,
    Vec<BookedServiceParts>,
    PriceParts,
    &'static str,
);

pub(super) fn booking(booking: Booking) -> BookingParts {
    let created = match booking.created {
        Created::Created => "created",
        Created::FoundAgain => "found_again",
    };
    (
        booking.id.to_string(),
        booking.reference,
        booking.key.map(|key| key.to_string()),
        booking.hotel.to_string(),
        booking.guest.map(guest),
        booking.status.as_str(),
        booking.rooms.into_iter().map(room).collect(),
        dates(booking.stay),
        booking.services.into_iter().map(booked).collect(),
        price(booking.price),
        created,
    )
}

/// (service, name, quantity, total)
type ItemParts = (String, String, u32, Amount);

/// The same as it is given back, also by a version whose ids were numbers.
type GivenItem = (Id, String, u32, Amount);

/// (hotel, room_type, stay, party, total, services, quoted_at, rate_plan, net, charges, terms)
type QuoteParts = (
    String,
    String,
    Dates,
    Vec<Guests>,
    Amount,
    Vec<ItemParts>,
    DateTime<Utc>,
    String,
    Option<Amount>,
    Vec<ChargeParts>,
    &'static str,
);

/// A price that was quoted. The crate makes them, or puts them together again.
#[pyclass(frozen, module = "posada._native", from_py_object)]
#[derive(Clone)]
pub(crate) struct Quoted(pub(super) Quote);

#[pymethods]
impl Quoted {
    /// From what `parts` returned, in this version or in one without the last three.
    #[new]
    #[pyo3(signature = (hotel, room_type, stay, party, total, services, quoted_at, rate_plan=None, net=None, charges=vec![]))]
    #[allow(clippy::too_many_arguments, reason = "the parts of a value, by their places")]
    fn new(
        hotel: Id,
        room_type: Id,
        stay: Nights,
        party: Parts<Rooms>,
        total: Amount,
        services: Vec<GivenItem>,
        quoted_at: DateTime<Utc>,
        rate_plan: Option<&str>,
        net: Option<Amount>,
        charges: Vec<ChargeParts>,
    ) -> PyResult<Self> {
        let items = services.into_iter().map(|(service, name, quantity, total)| {
            let chosen = ChosenService::new(service.read()?, quantity)?;
            Ok(QuotedService::new(chosen, &name, money(total)?))
        });
        let items = items.collect::<Result<_, Refusal>>()?;
        let mut quote = Quote::new(
            hotel.read()?,
            room_type.read()?,
            stay.0,
            party.0.party()?,
            money(total)?,
            quoted_at,
        );
        if let Some(rate_plan) = rate_plan {
            quote.rate_plan = RatePlanId::parse(rate_plan).map_err(Refusal::from)?;
        }
        quote.price.net = net.map(money).transpose()?;
        for (name, kind, amount, included, due) in charges {
            let mut charge = Charge::new(&name, ChargeKind::named(&kind), money(amount)?);
            charge.included = included;
            charge.due = Due::named(&due);
            quote.price.charges.push(charge);
        }
        Ok(Self(quote.services(items)))
    }

    fn parts(&self) -> QuoteParts {
        let items = self.0.services.iter().map(|item| {
            let (id, total) = (item.service.to_string(), amount(item.total));
            (id, item.name.clone(), item.quantity, total)
        });
        let (_, net, charges) = price(self.0.price.clone());
        (
            self.0.hotel.to_string(),
            self.0.room_type.to_string(),
            dates(self.0.stay),
            rooms(&self.0.party),
            amount(self.0.total),
            items.collect(),
            self.0.quoted_at,
            self.0.rate_plan.to_string(),
            net,
            charges,
            self.0.terms.as_str(),
        )
    }

    /// What a hold keeps for it.
    fn resource(&self) -> String {
        self.0.resource().to_string()
    }

    /// The price of the rooms alone.
    fn rooms_total(&self) -> PyResult<Amount> {
        Ok(amount(self.0.rooms_total().map_err(Refusal::from)?))
    }
}

fn money((amount, currency): Amount) -> Result<Money, Refusal> {
    Ok(Money::new(amount, Currency::parse(&currency)?)?)
}
