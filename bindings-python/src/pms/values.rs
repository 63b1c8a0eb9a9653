//! The values of the PMS by the names of their fields, and quotes on their way back.

use chrono::{DateTime, NaiveDate, Utc};
use posada::pms::{
    Availability, BookedService, Booking, BookingId, BookingStatus, CancellationTerms, Change, Charge,
    ChargeKind, ChosenService, Created, Currency, Due, Folio, FolioLine, GuestId, GuestProfile, Hotel,
    HotelId, Invoice, MissingPermission, Occupancy, OccupancyLimits, Offer, Party, Payment, Price, Quote,
    QuotedService, RatePlanId, RoomStay, RoomType, RoomTypeId, Service, ServiceId, StayId,
};
use posada::{IdempotencyKey, Money, Stay};
use pyo3::prelude::*;
use rust_decimal::Decimal;

use super::Id;
use super::rooms::Rooms;
use crate::arguments::{Nights, Parts, dates};
use crate::errors::Refusal;
use crate::values::{Answer, Value, records};

records! { in "posada.pms";
    Hotel as "Hotel" { id, name, check_in, check_out, currency, max_days_ahead }
    RoomType as "RoomType" { id, hotel, name, base_price, limits, min_nights, max_nights }
    OccupancyLimits as "OccupancyLimits" { max_adults, max_children, max_guests }
    Service as "Service" { id, name, price, net_price, per_night, automatic, max_quantity }
    Charge as "Charge" { name, kind, amount, included, due }
    Price as "Price" { payable, net, charges }
    Offer as "Offer" { room_type, rate_plan, name, available, per_night, price, terms }
    Availability as "Availability" { hotel, stay, offers, age, potentially_stale }
    QuotedService as "QuotedService" { service, name, quantity, total }
    Quote as "Quote" of quote {
        _native = Quoted(quote.clone()),
        hotel = quote.hotel,
        room_type = quote.room_type,
        rate_plan = quote.rate_plan,
        stay = quote.stay,
        party = quote.party,
        price = quote.price,
        services = quote.services,
        terms = quote.terms,
        quoted_at = quote.quoted_at,
    }
    Booking as "Booking" { id, reference, key, hotel, guest, status, rooms, stay, services, price, created }
    RoomStay as "RoomStay" { id, status, room_type, rate_plan, stay, occupancy, number, price }
    BookedService as "BookedService" { service, name, quantity }
    GuestProfile as "GuestProfile" { id, first_name, last_name, email, phone }
    Folio as "Folio" { booking, lines, invoices, payments, total, paid }
    FolioLine as "FolioLine" { name, quantity, net_total, total }
    Invoice as "Invoice" { number, made_at, net_total, total }
    Payment as "Payment" { amount, method, transaction, paid_at }
    Change as "Change" { id, changed_at, booking }
    MissingPermission as "MissingPermission" { resource, methods, needed_for }
    Stay as "Stay" of stay { check_in = stay.check_in(), check_out = stay.check_out() }
    Money as "Money" of money { amount = money.written_amount(), currency = money.currency().to_string() }
    Occupancy as "Occupancy" of room {
        adults = room.adults(),
        // Numbers, not bytes.
        child_ages = room.child_ages().iter().copied().map(u32::from).collect::<Vec<_>>(),
    }
}

/// What Python has a plain type for.
macro_rules! plain {
    ($($kind:ident as $value:ident => $plain:expr;)*) => {$(
        impl Value for $kind {
            fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                let $value = self;
                $plain.object(py)
            }
        }
    )*};
}

plain! {
    HotelId as id => id.to_string();
    RoomTypeId as id => id.to_string();
    RatePlanId as id => id.to_string();
    StayId as id => id.to_string();
    ServiceId as id => id.to_string();
    BookingId as id => id.to_string();
    GuestId as id => id.to_string();
    IdempotencyKey as key => key.to_string();
    Currency as currency => currency.to_string();
    Party as party => party.each_room().to_vec();
    BookingStatus as status => status.as_str();
    CancellationTerms as terms => terms.as_str();
    ChargeKind as kind => kind.as_str().to_owned();
    Due as due => due.as_str().to_owned();
    Created as created => match created {
        Created::Created => "created",
        Created::FoundAgain => "found_again",
    };
}

/// (amount, currency)
type Amount = (Decimal, String);

/// (check_in, check_out)
type Dates = (NaiveDate, NaiveDate);

/// (adults, child_ages)
type Guests = (u32, Vec<u32>);

/// (name, kind, amount, included, due)
type ChargeParts = (String, String, Amount, bool, String);

fn amount(money: Money) -> Amount {
    (money.written_amount(), money.currency().to_string())
}

fn guests(occupancy: &Occupancy) -> Guests {
    let ages = occupancy.child_ages().iter().copied().map(u32::from);
    (occupancy.adults(), ages.collect())
}

fn rooms(party: &Party) -> Vec<Guests> {
    party.each_room().iter().map(guests).collect()
}

fn charge(charge: &Charge) -> ChargeParts {
    let (kind, due) = (charge.kind.as_str().to_owned(), charge.due.as_str().to_owned());
    (
        charge.name.clone(),
        kind,
        amount(charge.amount),
        charge.included,
        due,
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

impl Value for Quoted {
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(Bound::new(py, self)?.into_any())
    }
}

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

    /// The `posada.Quote`.
    fn quote(&self) -> Answer<Quote> {
        Answer(self.0.clone())
    }

    /// What is pickled: by place, as the version before has done it.
    fn parts(&self) -> QuoteParts {
        let items = self.0.services.iter().map(|item| {
            let (id, total) = (item.service.to_string(), amount(item.total));
            (id, item.name.clone(), item.quantity, total)
        });
        let price = &self.0.price;
        (
            self.0.hotel.to_string(),
            self.0.room_type.to_string(),
            dates(self.0.stay),
            rooms(&self.0.party),
            amount(self.0.total),
            items.collect(),
            self.0.quoted_at,
            self.0.rate_plan.to_string(),
            price.net.map(amount),
            price.charges.iter().map(charge).collect(),
            self.0.terms.as_str(),
        )
    }

    /// What a hold keeps for it.
    fn resource(&self) -> String {
        self.0.resource().to_string()
    }

    /// The price of the rooms alone.
    fn rooms_total(&self) -> PyResult<Answer<Money>> {
        Ok(Answer(self.0.rooms_total().map_err(Refusal::from)?))
    }
}

fn money((amount, currency): Amount) -> Result<Money, Refusal> {
    Ok(Money::new(amount, Currency::parse(&currency)?)?)
}
