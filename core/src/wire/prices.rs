//! Money, the guests of rooms, and prices. Amounts are texts: `{"amount": "1300.00", "currency": "USD"}`, with as many
//! decimals as people write in the currency, and more only where the amount has them. A number is refused, because most
//! readers make a float of it.

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pms::{
    BookedService, CancellationTerms, Charge, ChargeKind, ChosenService, Due, Money, Occupancy,
    OccupancyLimits, Party, Price, QuotedService, Service, ServiceId,
};

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Money", 2)?;
        object.serialize_field("amount", &self.written_amount().to_string())?;
        object.serialize_field("currency", &self.currency())?;
        object.end()
    }
}

impl Serialize for Occupancy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Occupancy", 2)?;
        object.serialize_field("adults", &self.adults())?;
        object.serialize_field("child_ages", self.child_ages())?;
        object.end()
    }
}

impl Serialize for Party {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.each_room().serialize(serializer)
    }
}

impl Serialize for ChosenService {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ChosenService", 2)?;
        object.serialize_field("service", &self.service())?;
        object.serialize_field("quantity", &self.quantity())?;
        object.end()
    }
}

#[derive(Deserialize)]
struct Amount {
    amount: String,
    currency: String,
}

// A misspelled `child_ages` would be a room without its children.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sleepers {
    adults: u32,
    #[serde(default)]
    child_ages: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    service: ServiceId,
    #[serde(default = "one")]
    quantity: u32,
}

fn one() -> u32 {
    1
}

// What was stored may have been written by a newer version, which knows more of it.
#[derive(Deserialize)]
struct Item {
    service: ServiceId,
    name: String,
    quantity: u32,
    total: Money,
}

#[derive(Deserialize)]
struct Priced {
    payable: Money,
    #[serde(default)]
    net: Option<Money>,
    #[serde(default)]
    charges: Vec<Charge>,
}

#[derive(Deserialize)]
struct Charged {
    name: String,
    kind: ChargeKind,
    amount: Money,
    included: bool,
    due: Due,
}

made_of! {
    Money: Amount => |given| Money::parse(&given.amount, &given.currency);
    Occupancy: Sleepers => |given| Occupancy::new(given.adults, &given.child_ages);
    Party: Vec<Occupancy> => Party::new;
    ChosenService: Choice => |given| ChosenService::new(given.service, given.quantity);
    QuotedService: Item => |given| Ok(QuotedService {
        service: given.service,
        name: given.name,
        quantity: given.quantity,
        total: given.total,
    });
    Price: Priced => |given| Ok(Price { payable: given.payable, net: given.net, charges: given.charges });
    Charge: Charged => |given| Ok(Charge {
        name: given.name,
        kind: given.kind,
        amount: given.amount,
        included: given.included,
        due: given.due,
    });
    ChargeKind: String => |name| Ok(ChargeKind::named(&name));
    Due: String => |name| Ok(Due::named(&name));
}

impl<'de> Deserialize<'de> for CancellationTerms {
    /// Terms that a newer version has written are unknown to this one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Ok(Self::Unknown)
    }
}

names! { CancellationTerms, ChargeKind, Due }

members! {
    BookedService { service, name, quantity }
    Charge { name, kind, amount, included, due }
    OccupancyLimits { max_adults, max_children, max_guests }
    Price { payable, net, charges }
    QuotedService { service, name, quantity, total }
    Service { id, name, price, net_price, per_night, automatic, max_quantity }
}
