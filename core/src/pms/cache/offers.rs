//! Offers as text.

use std::fmt::Write as _;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::error::Result;
use crate::hex::hex;
use crate::pms::id::{RoomTypeId, StoredId};
use crate::pms::model::Offer;
use crate::pms::money::Money;
use crate::pms::occupancy::Party;
use crate::pms::price::{Charge, ChargeKind, Due, Price};
use crate::stay::Stay;

/// An offer as it is kept: amounts as texts, never as floats.
#[derive(Serialize, Deserialize)]
pub(in crate::pms) struct KeptOffer {
    room_type: StoredId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_plan: Option<StoredId>,
    name: String,
    available: u32,
    currency: String,
    per_night: Vec<(NaiveDate, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    net_total: Option<String>,
    total: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    charges: Vec<KeptCharge>,
}

#[derive(Serialize, Deserialize)]
struct KeptCharge {
    name: String,
    kind: String,
    amount: String,
    included: bool,
    due: String,
}

impl From<Offer> for KeptOffer {
    fn from(offer: Offer) -> Self {
        let amount = |money: Money| money.amount().to_string();
        Self {
            room_type: offer.room_type.into(),
            rate_plan: Some(offer.rate_plan.into()),
            name: offer.name,
            available: offer.available,
            currency: offer.total.currency().as_str().to_owned(),
            per_night: offer
                .per_night
                .into_iter()
                .map(|(night, price)| (night, amount(price)))
                .collect(),
            net_total: offer.price.net.map(amount),
            total: amount(offer.total),
            charges: offer.price.charges.into_iter().map(KeptCharge::from).collect(),
        }
    }
}

impl From<Charge> for KeptCharge {
    fn from(charge: Charge) -> Self {
        Self {
            name: charge.name,
            kind: charge.kind.as_str().to_owned(),
            amount: charge.amount.amount().to_string(),
            included: charge.included,
            due: charge.due.as_str().to_owned(),
        }
    }
}

impl KeptOffer {
    /// The offer again.
    ///
    /// # Errors
    /// None for what was kept here.
    pub(in crate::pms) fn offer(self) -> Result<Offer> {
        let money = |amount: &str| Money::parse(amount, &self.currency);
        let mut price = Price::new(money(&self.total)?);
        price.net = self.net_total.as_deref().map(money).transpose()?;
        for kept in &self.charges {
            let mut charge = Charge::new(&kept.name, ChargeKind::named(&kept.kind), money(&kept.amount)?);
            charge.included = kept.included;
            charge.due = Due::named(&kept.due);
            price.charges.push(charge);
        }
        let mut offer = Offer::new(self.room_type.read()?, &self.name, self.available, price);
        if let Some(rate_plan) = &self.rate_plan {
            offer.rate_plan = rate_plan.read()?;
        }
        for (night, price) in &self.per_night {
            offer.per_night.push((*night, money(price)?));
        }
        Ok(offer)
    }
}

/// The name of a question about free rooms and prices.
pub(in crate::pms) fn question(stay: Stay, party: &Party, room_type: Option<RoomTypeId>) -> String {
    const LONGEST: usize = 80;
    let mut name = format!("offers:{stay}:");
    match room_type {
        Some(id) => name.push_str(id.as_str()),
        None => name.push_str("any"),
    }
    let mut guests = String::new();
    for room in party.sorted() {
        let _ = write!(guests, ":{}", room.adults());
        for age in room.child_ages() {
            let _ = write!(guests, "+{age}");
        }
    }
    if guests.len() > LONGEST {
        let digest = Sha1::digest(&guests);
        guests = format!(":{}", hex(&digest));
    }
    name + &guests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pms::Occupancy;
    use crate::pms::id::RatePlanId;

    #[test]
    fn an_offer_survives_being_kept() {
        let usd = |amount: &str| Money::parse(amount, "USD").unwrap();
        let mut price = Price::taxed(usd("1250.10"), usd("1300.10"));
        let mut city_tax = Charge::new("Ecotasa", ChargeKind::CityTax, usd("8"));
        city_tax.due = Due::AtHotel;
        price.charges.push(city_tax);
        let mut offer = Offer::new(RoomTypeId::from(7), "Suite", 3, price);
        offer.rate_plan = RatePlanId::parse("MUC-NONREF-FAMILY").unwrap();
        offer.per_night = vec![("2027-03-10".parse().unwrap(), usd("1300.10"))];
        let text = serde_json::to_string(&KeptOffer::from(offer.clone())).unwrap();
        let kept: KeptOffer = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.offer().unwrap(), offer);
    }

    #[test]
    fn an_offer_that_was_kept_before_charges_and_text_ids_is_read() {
        let text = r#"{"room_type":7,"name":"Suite","available":3,"currency":"USD",
            "per_night":[["2027-03-10","1300.1"]],"net_total":"1250.1","total":"1300.1"}"#;
        let offer = serde_json::from_str::<KeptOffer>(text).unwrap().offer().unwrap();
        assert_eq!(offer.room_type, RoomTypeId::from(7));
        assert_eq!(offer.rate_plan, RatePlanId::default());
        assert_eq!(
            (offer.total.to_string(), offer.price.charges.len()),
            ("1300.10 USD".into(), 0)
        );
    }

    #[test]
    fn different_questions_have_different_names() {
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        let one = |adults, ages: &[u8]| Party::from(Occupancy::new(adults, ages).unwrap());
        let id = Some(RoomTypeId::from(7));
        assert_eq!(
            question(stay, &one(2, &[4, 7]), id),
            "offers:2027-03-10..2027-03-12:7:2+4+7"
        );
        let crowd = |last| {
            let mut rooms = vec![Occupancy::new(1, &[17; 20]).unwrap(); 19];
            rooms.push(Occupancy::new(last, &[]).unwrap());
            question(stay, &Party::new(rooms).unwrap(), None)
        };
        assert_ne!(crowd(1), crowd(2));
        assert!(crowd(1).len() < 120);
    }
}
