//! What a guest pays, and of what it consists.

use super::money::Money;

/// What a guest pays, and what is known of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// Everything that the guest pays, also what is paid at the hotel. It binds; its parts may differ from it by
    /// rounding.
    pub payable: Money,
    /// The same without tax; `None` when the system does not tell.
    pub net: Option<Money>,
    /// The taxes and fees that the system names, those inside of the prices of the nights and those on top of them. A
    /// system that names none has an empty list, and that proves nothing.
    pub charges: Vec<Charge>,
}

impl Price {
    /// A price of which nothing else is known.
    pub fn new(payable: Money) -> Self {
        Self {
            payable,
            net: None,
            charges: Vec::new(),
        }
    }

    /// A price that contains tax.
    pub(crate) fn taxed(net: Money, payable: Money) -> Self {
        let tax = payable.minus(net).ok().filter(|tax| !tax.amount().is_zero());
        let tax = tax.map(|amount| Charge {
            name: "tax".to_owned(),
            kind: ChargeKind::Tax,
            amount,
            included: true,
            due: Due::AtBooking,
        });
        Self {
            payable,
            net: Some(net),
            charges: tax.into_iter().collect(),
        }
    }
}

/// A tax or a fee.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// What it is called, in the system's words.
    pub name: String,
    /// What it is.
    pub kind: ChargeKind,
    /// How much, for the whole stay and all rooms.
    pub amount: Money,
    /// Whether the prices of the nights contain it already; otherwise it comes on top of them.
    pub included: bool,
    /// When it is paid.
    pub due: Due,
}

impl Charge {
    /// A charge on top of the prices of the nights that is paid with them.
    pub fn new(name: &str, kind: ChargeKind, amount: Money) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            amount,
            included: false,
            due: Due::AtBooking,
        }
    }
}

/// What a charge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChargeKind {
    /// A tax on the price, such as VAT.
    Tax,
    /// A tax that the town takes from its visitors.
    CityTax,
    /// A fee of the hotel.
    Fee,
    /// Something else.
    Other,
}

impl ChargeKind {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tax => "tax",
            Self::CityTax => "city_tax",
            Self::Fee => "fee",
            Self::Other => "other",
        }
    }

    /// The one with this name; another name is something else.
    pub fn named(name: &str) -> Self {
        let known = [Self::Tax, Self::CityTax, Self::Fee, Self::Other];
        let named = known.into_iter().find(|known| known.as_str() == name);
        named.unwrap_or(Self::Other)
    }
}

/// When a charge is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Due {
    /// With the price of the rooms.
    AtBooking,
    /// By the guest, in the hotel.
    AtHotel,
}

impl Due {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtBooking => "at_booking",
            Self::AtHotel => "at_hotel",
        }
    }

    /// The one with this name; another name is one that is paid with the price.
    pub fn named(name: &str) -> Self {
        let known = [Self::AtBooking, Self::AtHotel];
        let named = known.into_iter().find(|known| known.as_str() == name);
        named.unwrap_or(Self::AtBooking)
    }
}

/// What becomes of the money when a booking is cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CancellationTerms {
    /// The system does not tell.
    #[default]
    Unknown,
}

impl CancellationTerms {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
        }
    }
}
