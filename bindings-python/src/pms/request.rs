//! `posada.BookingRequest`, read from the Python class of that name.

use posada::IdempotencyKey;
use posada::error::codes;
use posada::pms::{BookingChange, BookingRequest, ChosenService, Collision, Guest, Recheck, StayId};
use pyo3::prelude::*;

use super::Id;
use super::rooms::Rooms;
use super::values::Quoted;
use crate::arguments::Nights;
use crate::errors::Refusal;

/// The attributes of `posada.Guest`.
#[derive(FromPyObject)]
pub(super) struct Person {
    first_name: String,
    last_name: String,
    email: Option<String>,
    phone: Option<String>,
}

impl Person {
    pub(super) fn guest(&self) -> Result<Guest, Refusal> {
        Ok(Guest::new(
            &self.first_name,
            &self.last_name,
            self.email.as_deref(),
            self.phone.as_deref(),
        )?)
    }
}

/// The attributes of `posada.ChosenService`.
#[derive(FromPyObject)]
pub(super) struct Choice {
    service: Id,
    quantity: u32,
}

pub(super) fn chosen(choices: &[Choice]) -> Result<Vec<ChosenService>, Refusal> {
    let chosen = choices
        .iter()
        .map(|choice| Ok(ChosenService::new(choice.service.read()?, choice.quantity)?));
    chosen.collect()
}

/// A room of a booking: the number on its door, or a `posada.RoomStay`.
#[derive(FromPyObject)]
enum RoomOfBooking {
    #[pyo3(transparent)]
    Number(String),
    Stay {
        id: String,
    },
}

/// The attributes of `posada.BookingChange`.
#[derive(FromPyObject)]
pub(super) struct ChangeFields {
    stay: Option<Nights>,
    party: Rooms,
    rooms: Vec<(RoomOfBooking, String)>,
    quote: Option<Price>,
}

impl ChangeFields {
    pub(super) fn change(self) -> Result<BookingChange, Refusal> {
        let mut change = BookingChange::new();
        if let Some(stay) = self.stay {
            change = change.stay(stay.0);
        }
        if !self.party.is_empty() {
            change = change.party(self.party.party()?);
        }
        for (from, to) in &self.rooms {
            change = match from {
                RoomOfBooking::Number(number) => change.room_number(number, to),
                RoomOfBooking::Stay { id } => change.room(StayId::parse(id)?, to),
            };
        }
        if let Some(price) = self.quote {
            change = change.quote(price.quoted.0)?;
        }
        Ok(change)
    }
}

/// The attributes of `posada.Quote` that matter here.
#[derive(FromPyObject)]
struct Price {
    #[pyo3(attribute("_native"))]
    quoted: Quoted,
}

/// The attributes of `posada.BookingRequest`.
#[derive(FromPyObject)]
pub(super) struct RequestFields {
    hotel: Id,
    room_type: Id,
    stay: Nights,
    party: Rooms,
    guest: Person,
    idempotency_key: String,
    remark: Option<String>,
    services: Vec<Choice>,
    quote: Option<Price>,
    recheck: String,
    collision: String,
}

impl RequestFields {
    pub(super) fn request(self) -> Result<BookingRequest, Refusal> {
        let guest = self.guest.guest()?;
        let mut request = BookingRequest::new(
            self.hotel.read()?,
            self.room_type.read()?,
            self.stay.0,
            self.party.party()?,
            guest,
            IdempotencyKey::parse(&self.idempotency_key)?,
        )
        .recheck(recheck(&self.recheck)?)
        .collision(collision(&self.collision)?)
        .services(chosen(&self.services)?)?;
        if let Some(remark) = &self.remark {
            request = request.remark(remark)?;
        }
        if let Some(price) = self.quote {
            request = request.quote(price.quoted.0)?;
        }
        Ok(request)
    }
}

fn recheck(name: &str) -> Result<Recheck, Refusal> {
    match name {
        "detached" => Ok(Recheck::Detached),
        "wait" => Ok(Recheck::Wait),
        _ => Err(unknown("recheck", "detached or wait", name)),
    }
}

fn collision(name: &str) -> Result<Collision, Refusal> {
    match name {
        "yield" => Ok(Collision::Yield),
        "keep" => Ok(Collision::Keep),
        _ => Err(unknown("collision", "yield or keep", name)),
    }
}

/// A word that is none of those that there are.
pub(super) fn unknown(field: &str, known: &str, given: &str) -> Refusal {
    Refusal::invalid(
        codes::PMS_INVALID_REQUEST,
        field,
        format!("expected {known}, not {given:?}"),
    )
}
