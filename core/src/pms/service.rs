//! What a guest may have beside the room: breakfast, a shuttle from the airport.
//!
//! A service is chosen for a booking, and then every room of it has it. What is chosen stands in the quote with its
//! price, so that the guest hears before the booking what it will cost.

use std::fmt;

use rust_decimal::Decimal;

use super::id::ServiceId;
use super::money::{Currency, Money};
use crate::error::{Error, Result, codes};

/// Something that a hotel sells with its rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: String,
    /// The price of one of it for one room, with tax: for each night or for the whole stay, as
    /// [`per_night`](Self::per_night) says.
    pub price: Money,
    /// The same without tax.
    pub net_price: Money,
    /// Whether it is paid for each night, and not once for the stay.
    pub per_night: bool,
    /// Whether every room has it already, and every price of the room contains it: then it cannot be chosen.
    pub automatic: bool,
    /// How many of it a room may have; `None` without a limit.
    pub max_quantity: Option<u32>,
    /// The price with tax as the system computes it before it is rounded, of which sums are made; `None` when it is the
    /// price.
    pub(crate) exact: Option<Decimal>,
}

impl Service {
    /// A service that is paid once for the stay, is chosen by the guest, and that a room may have without a limit; with
    /// its price without and with tax. The fields can be set.
    pub fn new(id: ServiceId, name: &str, net_price: Money, price: Money) -> Self {
        Self {
            id,
            name: name.to_owned(),
            price,
            net_price,
            per_night: false,
            automatic: false,
            max_quantity: None,
            exact: None,
        }
    }

    /// What a quantity of it costs for a number of rooms and nights, with tax.
    ///
    /// # Errors
    /// `money.invalid` for more money than there is.
    pub(crate) fn total(&self, quantity: u32, rooms: u32, nights: u32) -> Result<Money> {
        rounded(self.exact_total(quantity, rooms, nights), self.price.currency())
    }

    /// The same before it is rounded.
    pub(crate) fn exact_total(&self, quantity: u32, rooms: u32, nights: u32) -> Decimal {
        let nights = if self.per_night { nights } else { 1 };
        [quantity, rooms, nights]
            .into_iter()
            .fold(self.exact.unwrap_or(self.price.amount()), |sum, count| {
                sum.saturating_mul(Decimal::from(count))
            })
    }

    /// Whether it may be chosen so often.
    fn admit(&self, quantity: u32) -> Result<()> {
        if self.automatic {
            return Err(invalid(format!(
                "service {} is in the price of every room already; leave it out",
                self.id
            )));
        }
        match self.max_quantity {
            Some(most) if quantity > most => Err(invalid(format!(
                "service {} can be chosen at most {most} times for a room",
                self.id
            ))),
            _ => Ok(()),
        }
    }
}

/// A service that a guest chose, and how many of it each room shall have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChosenService {
    service: ServiceId,
    quantity: u32,
}

impl ChosenService {
    /// Most of one service that a room can have; the hotel usually allows fewer.
    pub const MAX_QUANTITY: u32 = 100;
    /// Most services of one booking.
    pub const MAX_SERVICES: usize = 50;

    /// A quantity of a service for each room.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`) for none of it or more than 100.
    pub fn new(service: ServiceId, quantity: u32) -> Result<Self> {
        if (1..=Self::MAX_QUANTITY).contains(&quantity) {
            return Ok(Self { service, quantity });
        }
        Err(invalid(format!(
            "the quantity of service {service} must be a whole number from 1 to 100; leave out what is not wanted"
        )))
    }

    /// The service.
    pub fn service(self) -> ServiceId {
        self.service
    }

    /// How many of it each room shall have.
    pub fn quantity(self) -> u32 {
        self.quantity
    }
}

impl From<ServiceId> for ChosenService {
    /// One of it for each room.
    fn from(service: ServiceId) -> Self {
        Self { service, quantity: 1 }
    }
}

impl fmt::Debug for ChosenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.quantity, self.service)
    }
}

/// A chosen service in a quote: an item of what the guest pays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotedService {
    /// The service.
    pub service: ServiceId,
    /// Its name.
    pub name: String,
    /// How many of it each room has.
    pub quantity: u32,
    /// What all of them cost, for all rooms and nights, with tax.
    pub total: Money,
}

impl QuotedService {
    /// An item from its parts, for a quote that was kept somewhere and is made again.
    pub fn new(chosen: ChosenService, name: &str, total: Money) -> Self {
        Self {
            service: chosen.service,
            name: name.to_owned(),
            quantity: chosen.quantity,
            total,
        }
    }
}

/// A service of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookedService {
    /// The service.
    pub service: ServiceId,
    /// Its name.
    pub name: String,
    /// How many of it all rooms have together. What is paid for each night counts once.
    pub quantity: u32,
}

impl BookedService {
    /// A service, and how many of it all rooms of the booking have together.
    pub fn new(service: ServiceId, name: &str, quantity: u32) -> Self {
        Self {
            service,
            name: name.to_owned(),
            quantity,
        }
    }

    /// How many of it each of a number of rooms has; `None` when they do not have equally many.
    pub(crate) fn of_each(&self, rooms: u32) -> Option<u32> {
        let quantity = self.quantity.checked_div(rooms)?;
        (quantity.saturating_mul(rooms) == self.quantity).then_some(quantity)
    }
}

/// Services as they were chosen, in the order of their ids, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice(Vec<ChosenService>);

impl Choice {
    /// Checks what can be checked without the hotel.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`) for a service that is chosen twice, or too many services.
    pub(crate) fn new(services: impl IntoIterator<Item = ChosenService>) -> Result<Self> {
        let mut services: Vec<_> = services
            .into_iter()
            .take(ChosenService::MAX_SERVICES + 1)
            .collect();
        if services.len() > ChosenService::MAX_SERVICES {
            return Err(invalid("must be at most 50 services".to_owned()));
        }
        services.sort_unstable();
        let choice = Self(services);
        choice.check()?;
        Ok(choice)
    }

    /// What was chosen in a quote. It is checked when it is priced.
    pub(crate) fn of_quote(items: &[QuotedService]) -> Self {
        let chosen = |item: &QuotedService| ChosenService {
            service: item.service,
            quantity: item.quantity,
        };
        let mut services: Vec<_> = items.iter().map(chosen).collect();
        services.sort_unstable();
        Self(services)
    }

    fn check(&self) -> Result<()> {
        for chosen in &self.0 {
            ChosenService::new(chosen.service, chosen.quantity)?;
        }
        let twice = self.0.windows(2).find_map(|pair| match pair {
            [one, other] if one.service == other.service => Some(one.service),
            _ => None,
        });
        match twice {
            Some(service) => Err(invalid(format!(
                "service {service} is chosen twice; name it once, with its quantity"
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[ChosenService] {
        &self.0
    }

    /// The price of each, from what the hotel sells with the room type.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`) for one that the room type does not have, that is in its price
    /// anyway, or that is not sold so often.
    pub(crate) fn priced(&self, sold: &[Service], rooms: u32, nights: u32) -> Result<Vec<QuotedService>> {
        self.check()?;
        // The sum is rounded, and not its items, so each item is what the sum has grown by.
        let mut exact = Decimal::ZERO;
        let mut told: Option<Money> = None;
        let priced = self.0.iter().map(|chosen| {
            let service = sold.iter().find(|service| service.id == chosen.service);
            let service = service.ok_or_else(|| {
                invalid(format!(
                    "the room type has no service {}; ask `services` for those that it has",
                    chosen.service
                ))
            })?;
            service.admit(chosen.quantity)?;
            exact = exact.saturating_add(service.exact_total(chosen.quantity, rooms, nights));
            let sum = rounded(exact, service.price.currency())?;
            let total = told.map_or(Ok(sum), |told| sum.minus(told))?;
            told = Some(sum);
            Ok(QuotedService::new(*chosen, &service.name, total))
        });
        priced.collect()
    }

    /// Whether a booking of this number of rooms has exactly these.
    pub(crate) fn is(&self, booked: &[BookedService], rooms: u32) -> bool {
        let has = |chosen: &ChosenService| {
            booked.iter().any(|booked| {
                booked.service == chosen.service && booked.quantity == chosen.quantity.saturating_mul(rooms)
            })
        };
        self.0.len() == booked.len() && self.0.iter().all(has)
    }
}

/// What the chosen services cost beyond their rounded sum: less than nothing when that was rounded up.
pub(crate) fn rounded_off(
    choice: &[ChosenService],
    sold: &[Service],
    rooms: u32,
    nights: u32,
) -> Result<Decimal> {
    let mut exact = Decimal::ZERO;
    let mut currency = None;
    for chosen in choice {
        if let Some(service) = sold.iter().find(|service| service.id == chosen.service) {
            exact = exact.saturating_add(service.exact_total(chosen.quantity, rooms, nights));
            currency = Some(service.price.currency());
        }
    }
    match currency {
        Some(currency) => Ok(exact - rounded(exact, currency)?.amount()),
        None => Ok(Decimal::ZERO),
    }
}

/// An amount as a guest pays it.
fn rounded(amount: Decimal, currency: Currency) -> Result<Money> {
    Money::new(Decimal::ONE, currency)?.scaled(amount)
}

/// The price of the rooms and of the services.
///
/// # Errors
/// `pms.invalid_request` for more money than there is.
pub(crate) fn with_services(rooms: Money, services: &[QuotedService]) -> Result<Money> {
    services
        .iter()
        .try_fold(rooms, |total, item| total.plus(item.total))
}

fn invalid(message: String) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, "services", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> ServiceId {
        ServiceId::from(id)
    }

    fn chosen(service: u64, quantity: u32) -> ChosenService {
        ChosenService::new(id(service), quantity).unwrap()
    }

    fn usd(amount: &str) -> Money {
        Money::parse(amount, "USD").unwrap()
    }

    fn sold() -> Vec<Service> {
        let service = |number, name: &str, per_night, automatic, max_quantity| Service {
            id: id(number),
            name: name.into(),
            price: usd("10.40"),
            net_price: usd("10"),
            per_night,
            automatic,
            max_quantity,
            exact: None,
        };
        vec![
            service(5, "Cleaning", true, true, Some(1)),
            service(7, "Shuttle", false, false, Some(1)),
            service(9, "Breakfast", true, false, Some(3)),
            service(10, "Towels", false, false, None),
        ]
    }

    fn refusal(services: &[ChosenService]) -> String {
        let error = Choice::new(services.iter().copied())
            .and_then(|choice| choice.priced(&sold(), 1, 1))
            .unwrap_err();
        assert_eq!(
            (error.code(), error.field()),
            ("pms.invalid_request", Some("services"))
        );
        error.message().to_owned()
    }

    #[test]
    fn what_is_paid_for_each_night_is_multiplied_by_the_nights_and_everything_by_the_rooms() {
        let choice = Choice::new([chosen(9, 2), chosen(7, 1)]).unwrap();
        let priced = choice.priced(&sold(), 2, 3).unwrap();
        let totals: Vec<_> = priced
            .iter()
            .map(|item| (item.name.as_str(), item.quantity, item.total.to_string()))
            .collect();
        assert_eq!(
            totals,
            [
                ("Shuttle", 1, "20.80 USD".to_owned()),
                ("Breakfast", 2, "124.80 USD".to_owned())
            ]
        );
    }

    #[test]
    fn a_sum_is_rounded_and_not_the_prices_that_it_is_made_of() {
        let sold: Vec<_> = sold()
            .into_iter()
            .map(|service| Service {
                // Of a net price of 12.95 and a tax of 8.25 %.
                exact: Some(Decimal::new(14_018_375, 6)),
                price: usd("14.02"),
                ..service
            })
            .collect();
        let totals = |choice: &[ChosenService]| -> Vec<String> {
            let priced = Choice::new(choice.iter().copied())
                .unwrap()
                .priced(&sold, 2, 2)
                .unwrap();
            priced
                .iter()
                .map(|item| item.total.amount().to_string())
                .collect()
        };
        assert_eq!(totals(&[chosen(9, 1)]), ["56.07"]);
        // 28.03675 and 56.0735 are 84.11025 together.
        assert_eq!(totals(&[chosen(7, 1), chosen(9, 1)]), ["28.04", "56.07"]);
        let left = rounded_off(&[chosen(7, 1), chosen(9, 1)], &sold, 2, 2).unwrap();
        assert_eq!(left, Decimal::new(25, 5));
    }

    #[test]
    fn what_cannot_be_chosen_is_refused_with_a_remedy() {
        assert!(refusal(&[chosen(99, 1)]).contains("ask `services`"));
        assert!(refusal(&[chosen(5, 1)]).contains("leave it out"));
        assert!(refusal(&[chosen(9, 4)]).contains("at most 3"));
        assert!(refusal(&[chosen(7, 2)]).contains("at most 1"));
        assert!(refusal(&[chosen(7, 1), chosen(9, 1), chosen(7, 1)]).contains("name it once"));
        for quantity in [0, 101, u32::MAX] {
            let error = ChosenService::new(id(7), quantity).unwrap_err();
            assert_eq!(error.field(), Some("services"), "{quantity}");
        }
        let many = (1..=51).map(|service| chosen(service, 1));
        assert_eq!(Choice::new(many).unwrap_err().field(), Some("services"));
        assert!(
            Choice::new([chosen(10, 100)])
                .unwrap()
                .priced(&sold(), 1, 1)
                .is_ok()
        );
    }

    #[test]
    fn a_booking_has_the_chosen_services_when_every_room_has_them_and_nothing_else() {
        let booked = |service, quantity| BookedService {
            service: id(service),
            name: String::new(),
            quantity,
        };
        let choice = Choice::new([chosen(9, 2), chosen(7, 1)]).unwrap();
        assert!(choice.is(&[booked(7, 2), booked(9, 4)], 2));
        assert!(!choice.is(&[booked(7, 2), booked(9, 2)], 2));
        assert!(!choice.is(&[booked(7, 2)], 2));
        assert!(!choice.is(&[booked(7, 2), booked(9, 4), booked(10, 1)], 2));
        assert!(Choice::default().is(&[], 2));
    }
}
