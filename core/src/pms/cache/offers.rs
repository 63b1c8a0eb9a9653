//! Offers as text.

use std::fmt::Write as _;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::error::Result;
use crate::hex::hex;
use crate::pms::id::RoomTypeId;
use crate::pms::model::Offer;
use crate::pms::money::Money;
use crate::pms::occupancy::Party;
use crate::stay::Stay;

/// An offer as it is kept: amounts as texts, never as floats.
#[derive(Serialize, Deserialize)]
pub(in crate::pms) struct KeptOffer {
    room_type: u64,
    name: String,
    available: u32,
    currency: String,
    per_night: Vec<(NaiveDate, String)>,
    net_total: String,
    total: String,
}

impl From<Offer> for KeptOffer {
    fn from(offer: Offer) -> Self {
        let amount = |money: Money| money.amount().to_string();
        Self {
            room_type: offer.room_type.get(),
            name: offer.name,
            available: offer.available,
            currency: offer.total.currency().as_str().to_owned(),
            per_night: offer
                .per_night
                .into_iter()
                .map(|(night, price)| (night, amount(price)))
                .collect(),
            net_total: amount(offer.net_total),
            total: amount(offer.total),
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
        Ok(Offer {
            room_type: RoomTypeId::new(self.room_type)?,
            available: self.available,
            per_night: self
                .per_night
                .iter()
                .map(|(night, price)| Ok((*night, money(price)?)))
                .collect::<Result<_>>()?,
            net_total: money(&self.net_total)?,
            total: money(&self.total)?,
            name: self.name,
        })
    }
}

/// The name of a question about free rooms and prices.
pub(in crate::pms) fn question(stay: Stay, party: &Party, room_type: Option<RoomTypeId>) -> String {
    const LONGEST: usize = 80;
    let mut name = format!("offers:{stay}:");
    match room_type {
        Some(id) => name.push_str(&id.to_string()),
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

    #[test]
    fn an_offer_survives_being_kept() {
        let usd = |amount: &str| Money::parse(amount, "USD").unwrap();
        let offer = Offer {
            room_type: RoomTypeId::new(7).unwrap(),
            name: "Suite".into(),
            available: 3,
            per_night: vec![("2027-03-10".parse().unwrap(), usd("1300.10"))],
            net_total: usd("1250.10"),
            total: usd("1300.10"),
        };
        let text = serde_json::to_string(&KeptOffer::from(offer.clone())).unwrap();
        let kept: KeptOffer = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.offer().unwrap(), offer);
    }

    #[test]
    fn different_questions_have_different_names() {
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        let one = |adults, ages: &[u8]| Party::from(Occupancy::new(adults, ages).unwrap());
        let id = RoomTypeId::new(7).ok();
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
