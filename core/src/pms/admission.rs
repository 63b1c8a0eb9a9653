//! What a hotel sells, and to whom: the checks that the system itself leaves out.

use std::sync::Arc;

use chrono::{Days, NaiveDate};

use super::id::{HotelId, RoomTypeId};
use super::model::{Hotel, Offer, RoomType};
use super::money::Money;
use super::occupancy::Party;
use super::port::Catalogue;
use super::service::{Choice, QuotedService, Service, with_services};
use crate::error::{Error, Result, codes};
use crate::stay::Stay;

/// One hotel as it is now.
pub(super) struct HotelSnapshot {
    provider: Arc<dyn Catalogue>,
    hotel: Hotel,
    room_types: Vec<RoomType>,
    today: NaiveDate,
}

/// What a guest can buy now.
pub(super) struct Sale {
    pub(super) offer: Offer,
    pub(super) services: Vec<QuotedService>,
    /// What all of it costs.
    pub(super) total: Money,
}

impl HotelSnapshot {
    /// Reads the hotel, its room types and its date, at once.
    ///
    /// # Errors
    /// `pms.unknown_hotel`, or that of a failed read.
    pub(super) async fn read(provider: &Arc<dyn Catalogue>, id: HotelId) -> Result<Self> {
        let (hotels, room_types, today) =
            tokio::try_join!(provider.hotels(), provider.room_types(id), provider.today(id))?;
        let hotel = hotels
            .into_iter()
            .find(|hotel| hotel.id == id)
            .ok_or_else(|| unknown_hotel(id))?;
        Ok(Self {
            provider: provider.clone(),
            hotel,
            room_types,
            today,
        })
    }

    pub(super) fn into_room_types(self) -> Vec<RoomType> {
        self.room_types
    }

    /// What can be booked now: enough rooms are free, and each takes its guests.
    ///
    /// # Errors
    /// Those of [`admit`](Self::admit), or that of a failed read.
    pub(super) async fn offers(
        &self,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        let admitted = self.admit(stay, party, room_type)?;
        let offers = self
            .provider
            .offers(self.hotel.id, stay, party, room_type)
            .await?;
        Ok(admitted.keep(offers))
    }

    /// Checks the question itself: dates, guests, nights.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `stay`), `pms.unknown_room_type`, `pms.occupancy` when no room type that was
    /// asked about takes the party.
    pub(super) fn admit(&self, stay: Stay, party: &Party, room_type: Option<RoomTypeId>) -> Result<Admitted> {
        self.admit_dates(stay)?;
        let fitting = match room_type {
            Some(id) => {
                let known = self.room_type(id)?;
                known.limits.admit(party)?;
                admit_nights(known, stay)?;
                vec![id]
            }
            None => self.fitting(stay, party)?,
        };
        Ok(Admitted {
            fitting,
            rooms: party.rooms(),
        })
    }

    /// What the stay costs now, whether or not a room is free.
    ///
    /// # Errors
    /// `pms.unknown_room_type`, or that of a failed read.
    pub(super) async fn price(&self, stay: Stay, party: &Party, room_type: RoomTypeId) -> Result<Offer> {
        let offers = self
            .provider
            .offers(self.hotel.id, stay, party, Some(room_type))
            .await?;
        let offer = offers.into_iter().find(|offer| offer.room_type == room_type);
        offer.ok_or_else(|| {
            Error::new(
                codes::PMS_UNKNOWN_ROOM_TYPE,
                "the hotel does not sell this room type",
            )
            .with("hotel", self.hotel.id)
            .with("room_type", room_type)
        })
    }

    /// What is sold with rooms of this type.
    ///
    /// # Errors
    /// `pms.unknown_room_type`, or that of a failed read.
    pub(super) async fn services(&self, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.room_type(room_type)?;
        self.provider.services(self.hotel.id, room_type).await
    }

    /// The chosen services with their prices. Without any, nothing is asked.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`), `pms.unknown_room_type`, or that of a failed read.
    pub(super) async fn price_services(
        &self,
        choice: &Choice,
        room_type: RoomTypeId,
        stay: Stay,
        rooms: u32,
    ) -> Result<Vec<QuotedService>> {
        if choice.as_slice().is_empty() {
            return Ok(Vec::new());
        }
        let sold = self.services(room_type).await?;
        choice.priced(&sold, rooms, stay.nights())
    }

    /// The rooms of a type with what was chosen for them; `None` when not enough rooms are free.
    ///
    /// # Errors
    /// Those of [`price_services`](Self::price_services) and [`offers`](Self::offers).
    pub(super) async fn sale(
        &self,
        room_type: RoomTypeId,
        stay: Stay,
        party: &Party,
        choice: &Choice,
    ) -> Result<Option<Sale>> {
        let services = self
            .price_services(choice, room_type, stay, party.rooms())
            .await?;
        let offers = self.offers(stay, party, Some(room_type)).await?;
        let Some(offer) = offers.into_iter().next() else {
            return Ok(None);
        };
        let total = with_services(offer.total, &services)?;
        Ok(Some(Sale {
            offer,
            services,
            total,
        }))
    }

    /// Whether a room of the type takes these guests.
    ///
    /// # Errors
    /// `pms.unknown_room_type`, `pms.occupancy`.
    pub(super) fn admit_guests(&self, room_type: RoomTypeId, party: &Party) -> Result<()> {
        self.room_type(room_type)?.limits.admit(party)
    }

    /// Whether a booking may have these nights instead of its own. One that has begun may go on from its beginning.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `stay`), `pms.unknown_room_type`.
    pub(super) fn admit_other_stay(&self, room_type: RoomTypeId, stay: Stay, now: Stay) -> Result<()> {
        admit_nights(self.room_type(room_type)?, stay)?;
        if stay.check_in() != now.check_in() {
            return self.admit_dates(stay);
        }
        if stay.check_out() < self.today {
            return Err(stay_invalid(format!("ends before today, {}", self.today)));
        }
        self.admit_end(stay)
    }

    fn room_type(&self, id: RoomTypeId) -> Result<&RoomType> {
        self.room_types
            .iter()
            .find(|known| known.id == id)
            .ok_or_else(|| {
                Error::new(
                    codes::PMS_UNKNOWN_ROOM_TYPE,
                    "the hotel has no such room type; ask `room_types` for those that it has",
                )
                .with("hotel", self.hotel.id)
                .with("room_type", id)
            })
    }

    /// The room types that take the party for this number of nights. When guests fit nowhere, the error says so: an empty
    /// answer would look like a full snapshot.
    fn fitting(&self, stay: Stay, party: &Party) -> Result<Vec<RoomTypeId>> {
        let mut refusal = None;
        let mut fitting = Vec::new();
        for known in &self.room_types {
            match known.limits.admit(party) {
                Ok(()) => fitting.push(known),
                Err(error) => refusal = Some(error),
            }
        }
        if let (true, Some(refusal)) = (fitting.is_empty(), refusal) {
            return Err(refusal);
        }
        fitting.retain(|known| admit_nights(known, stay).is_ok());
        Ok(fitting.into_iter().map(|known| known.id).collect())
    }

    /// The system sells yesterday and the next century; a guest wants neither.
    fn admit_dates(&self, stay: Stay) -> Result<()> {
        if stay.check_in() < self.today {
            let today = self.today;
            return Err(stay_invalid(format!(
                "begins before today, {today}, in the hotel's calendar"
            )));
        }
        let ahead = Days::new(self.hotel.min_days_ahead.into());
        let first = self.today.checked_add_days(ahead).unwrap_or(self.today);
        if stay.check_in() < first {
            return Err(stay_invalid(format!(
                "begins before {first}, the first arrival that the hotel sells"
            )));
        }
        self.admit_end(stay)
    }

    fn admit_end(&self, stay: Stay) -> Result<()> {
        let last = self
            .hotel
            .max_days_ahead
            .and_then(|days| self.today.checked_add_days(Days::new(days.into())));
        match last {
            Some(last) if stay.check_out() > last => Err(stay_invalid(format!(
                "ends after {last}, the last departure that the hotel sells"
            ))),
            _ => Ok(()),
        }
    }
}

/// What a question may be answered with.
pub(super) struct Admitted {
    fitting: Vec<RoomTypeId>,
    rooms: u32,
}

impl Admitted {
    /// The offers that can be booked.
    pub(super) fn keep(&self, mut offers: Vec<Offer>) -> Vec<Offer> {
        offers.retain(|offer| self.fitting.contains(&offer.room_type) && offer.available >= self.rooms);
        offers
    }
}

fn admit_nights(room_type: &RoomType, stay: Stay) -> Result<()> {
    let nights = stay.nights();
    if nights < room_type.min_nights {
        return Err(stay_invalid(format!(
            "has {nights} nights; this room type asks for {}",
            room_type.min_nights
        )));
    }
    match room_type.max_nights {
        Some(most) if nights > most => Err(stay_invalid(format!(
            "has {nights} nights; this room type allows {most}"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn unknown_hotel(id: HotelId) -> Error {
    Error::new(
        codes::PMS_UNKNOWN_HOTEL,
        "no such hotel; ask `hotels` for those that there are",
    )
    .with("hotel", id)
}

pub(super) fn stay_invalid(message: String) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, "stay", message)
}
