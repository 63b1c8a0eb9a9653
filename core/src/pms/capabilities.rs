//! What a property management system can do, in one table that is asked before anything else is.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result, codes};

/// Something that not every system can do. More may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// Services beside the rooms, such as breakfast: [`services`](crate::PmsClient::services) and requests with some.
    Services,
    /// Other nights or guests for a booking: [`modify`](crate::PmsClient::modify).
    Change,
    /// The price of a change before it is made: [`quote_change`](crate::PmsClient::quote_change).
    QuoteChange,
    /// Another room for a booking, by the number on the door.
    ChooseRoom,
    /// [`check_in`](crate::PmsClient::check_in).
    CheckIn,
    /// [`check_out`](crate::PmsClient::check_out).
    CheckOut,
    /// Bookings by the day on which they begin or end: [`arrivals`](crate::PmsClient::arrivals) and
    /// [`departures`](crate::PmsClient::departures).
    Movements,
    /// Guests apart from their bookings: [`guest`](crate::PmsClient::guest) and
    /// [`create_guest`](crate::PmsClient::create_guest).
    Guests,
    /// The account of a booking: [`invoices`](crate::PmsClient::invoices).
    Folio,
    /// What changed since a moment: [`changes_since`](crate::PmsClient::changes_since).
    Changes,
}

impl Feature {
    /// All features.
    pub const ALL: [Self; 10] = [
        Self::Services,
        Self::Change,
        Self::QuoteChange,
        Self::ChooseRoom,
        Self::CheckIn,
        Self::CheckOut,
        Self::Movements,
        Self::Guests,
        Self::Folio,
        Self::Changes,
    ];

    /// The stable name that every language shows, such as `bookings.change`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Change => "bookings.change",
            Self::QuoteChange => "bookings.quote_change",
            Self::ChooseRoom => "rooms.choose",
            Self::CheckIn => "guests.check_in",
            Self::CheckOut => "guests.check_out",
            Self::Movements => "bookings.by_day",
            Self::Guests => "guests",
            Self::Folio => "bookings.folio",
            Self::Changes => "changes",
        }
    }

    /// What a caller can do where a system has it not, if there is something.
    const fn instead(self) -> Option<&'static str> {
        match self {
            Self::Change | Self::QuoteChange => {
                Some("cancel the booking and make another one, with a new key")
            }
            Self::ChooseRoom => Some("leave the choice of the room to the hotel"),
            Self::Guests => Some("book: the guest is written down with the booking"),
            Self::Changes => Some("ask for the bookings that are of interest"),
            Self::Services | Self::CheckIn | Self::CheckOut | Self::Movements | Self::Folio => None,
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a system has a [`Feature`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has.
    Yes,
    /// It has not: a caller is refused with `pms.unsupported`, and the system is asked nothing.
    No,
    /// It has, up to a limit, which is said in words. A request beyond it is refused, never carried out in part.
    Partly(&'static str),
}

/// The promises that a system keeps by itself. posada keeps the others for a
/// [`BookingSystem`](super::port::BookingSystem); a [`Pms`](super::port::Pms) keeps all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guards {
    /// The same key books once, however often and from wherever it is sent, for as long as it may be sent again.
    pub once: bool,
    /// No room, or no more rooms of a type than the hotel sells, for two guests at once; also when a booking is
    /// changed, and when a program books beside posada.
    pub stock: bool,
    /// A booking is made at exactly the price that it was sent with, or refused with `pms.price_changed`.
    pub price: bool,
}

impl Guards {
    /// The system keeps every promise.
    pub const ALL: Self = Self {
        once: true,
        stock: true,
        price: true,
    };

    /// The names of the promises, and which the system keeps.
    pub const fn each(self) -> [(&'static str, bool); 3] {
        [("once", self.once), ("stock", self.stock), ("price", self.price)]
    }
}

/// What a system can do with the credentials that it was given. It does not change while it is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    guards: Guards,
    features: BTreeMap<Feature, Support>,
}

impl Capabilities {
    /// A system that keeps these promises, and offers, books, finds and cancels, and nothing else.
    pub fn new(guards: Guards) -> Self {
        Self {
            guards,
            features: BTreeMap::new(),
        }
    }

    /// Adds features that the system has.
    #[must_use]
    pub fn all_of(mut self, features: &[Feature]) -> Self {
        self.features
            .extend(features.iter().map(|feature| (*feature, Support::Yes)));
        self
    }

    /// Says how far the system has one feature.
    #[must_use]
    pub fn feature(mut self, feature: Feature, support: Support) -> Self {
        self.features.insert(feature, support);
        self
    }

    /// The promises that the system keeps by itself.
    pub fn guards(&self) -> Guards {
        self.guards
    }

    /// Whether the system has the feature. What was not named it has not.
    pub fn has(&self, feature: Feature) -> Support {
        self.features.get(&feature).copied().unwrap_or(Support::No)
    }

    /// Refuses what the system has not.
    pub(crate) fn require(&self, feature: Feature, system: &str) -> Result<()> {
        match self.has(feature) {
            Support::Yes | Support::Partly(_) => Ok(()),
            Support::No => Err(unsupported(feature, system)),
        }
    }
}

/// The error of what a system cannot do.
pub(crate) fn unsupported(feature: Feature, system: &str) -> Error {
    let error = Error::new(
        codes::PMS_UNSUPPORTED,
        "the hotel's system cannot do this; nothing was asked of it",
    )
    .with("feature", feature)
    .with("system", system);
    match feature.instead() {
        Some(instead) => error.with("instead", instead),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Kind;

    #[test]
    fn a_system_has_what_it_names_and_nothing_else() {
        let some = Capabilities::new(Guards::default())
            .all_of(&[Feature::Folio])
            .feature(Feature::Change, Support::Partly("nights only"));
        for feature in Feature::ALL {
            let named = matches!(feature, Feature::Folio | Feature::Change);
            assert_eq!(some.require(feature, "small").is_ok(), named, "{feature}");
        }
        let error = some.require(Feature::Guests, "small").unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (Kind::Unsupported, "pms.unsupported")
        );
        assert_eq!(error.fact("feature"), Some("guests"));
        assert_eq!(error.fact("system"), Some("small"));
        assert!(error.fact("instead").is_some() && !error.is_retryable());
    }

    #[test]
    fn features_have_names_of_their_own() {
        let names: BTreeSet<_> = Feature::ALL.iter().map(|feature| feature.as_str()).collect();
        assert_eq!(names.len(), Feature::ALL.len());
    }
}
