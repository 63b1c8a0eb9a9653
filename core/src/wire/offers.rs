//! Hotels, what they sell, and quotes. A quote is also read, so that it can be kept in a conversation until the guest
//! says yes; whether its price still holds is found out when it is booked.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};

use crate::pms::{
    Availability, CancellationTerms, Capabilities, Feature, Hotel, HotelId, MissingPermission, Offer, Party,
    Price, Quote, QuotedService, RatePlanId, RoomType, RoomTypeId, Support,
};
use crate::stay::Stay;

members! {
    Availability { hotel, stay, offers, age: super::seconds, potentially_stale }
    Hotel { id, name, check_in, check_out, currency, max_days_ahead }
    MissingPermission { resource, methods, needed_for }
    Offer { room_type, rate_plan, name, available, per_night, price, terms }
    Quote { hotel, room_type, stay, party, price, services, quoted_at, rate_plan, terms }
    RoomType { id, hotel, name, base_price, limits, min_nights, max_nights }
}

// What a version without the last ones has stored is read, too.
#[derive(Deserialize)]
struct Kept {
    hotel: HotelId,
    room_type: RoomTypeId,
    stay: Stay,
    party: Party,
    price: Price,
    #[serde(default)]
    services: Vec<QuotedService>,
    quoted_at: DateTime<Utc>,
    #[serde(default)]
    rate_plan: RatePlanId,
    #[serde(default)]
    terms: CancellationTerms,
}

made_of! {
    Quote: Kept => |given| {
        let total = given.price.payable;
        let mut quote =
            Quote::new(given.hotel, given.room_type, given.stay, given.party, total, given.quoted_at);
        quote.price = given.price;
        quote.rate_plan = given.rate_plan;
        quote.terms = given.terms;
        Ok(quote.services(given.services))
    };
}

names! { Feature }

impl Serialize for Support {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Partly(limit) => limit,
        })
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let guards: std::collections::BTreeMap<_, _> = self.guards().each().into();
        let features: std::collections::BTreeMap<_, _> = Feature::ALL
            .into_iter()
            .map(|feature| (feature.as_str(), self.has(feature)))
            .collect();
        let mut object = serializer.serialize_struct("Capabilities", 2)?;
        object.serialize_field("guards", &guards)?;
        object.serialize_field("features", &features)?;
        object.end()
    }
}
