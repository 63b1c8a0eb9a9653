//! What the receptionist answers: the main job of posada, from a message to a booking.

use std::time::Duration;

use posada::error::codes;
use posada::flags::Context;
use posada::locks::{AcquireOptions, StayHold};
use posada::pms::{Booking, BookingRequest, BookingStatus, Guest, HoldProof, HotelId, Occupancy, Offer};
use posada::sessions::{Document, Json, JsonText, Session, Turn};
use posada::tenants::{Channel, Resolution};
use posada::{IdempotencyKey, Posada, Result, Stay};

/// Whether the receptionist of a hotel may book.
pub const BOOKING_FLAG: &str = "booking.enabled";
/// To whom the number belongs is not known.
pub const NO_HOTEL: &str = "This number belongs to no hotel.";
/// What was written is no wish to book.
pub const HOW_TO_ASK: &str = "Write for instance: book 2027-03-10 2027-03-12 for 2";
/// The flag is off.
pub const A_COLLEAGUE: &str = "A colleague will answer you soon.";
/// The nights are none, or the hotel does not sell them.
pub const NO_SUCH_NIGHTS: &str = "I cannot sell these nights.";
/// The hotel is full.
pub const SOLD_OUT: &str = "There is no room for these nights.";
/// The last room went to another guest meanwhile.
pub const JUST_TAKEN: &str = "Another guest was faster; please ask again.";
/// The booking of this message was cancelled since.
pub const CANCELLED: &str = "This booking was cancelled; please ask again.";

/// What a guest wrote to a hotel.
#[derive(Debug, Clone)]
pub struct Message {
    /// The id that WhatsApp gave it.
    pub id: String,
    /// The guest's number.
    pub guest: String,
    /// The hotel's number.
    pub number: String,
    /// The words.
    pub text: JsonText,
}

/// A wish to book, as it was written.
struct Wish<'a> {
    check_in: &'a str,
    check_out: &'a str,
    adults: u32,
}

/// Answers a message. The same message may come again, also at the same time: it is remembered once, decided once, and
/// books once.
///
/// # Errors
/// Those of the services. While it is not known whether it is booked, `pms.outcome_unknown` goes to WhatsApp, which sends
/// the message again: the guest is told when it is.
pub async fn reply_to(posada: &Posada, message: &Message) -> Result<String> {
    let found = posada
        .tenants()
        .resolve(&message.number, Channel::WhatsApp)
        .await?;
    let Resolution::Found { tenant, .. } = found else {
        return Ok(NO_HOTEL.to_owned());
    };
    // From here on nothing of another hotel can be touched, and no call has to name this one.
    let hotel = posada.for_tenant(&tenant.id)?;
    let sessions = hotel.sessions();
    let session = sessions
        .get_or_create(None, &message.guest, Channel::WhatsApp)
        .await?;
    let turn = Turn::new("user", message.text.clone()).id(&message.id);
    sessions.append_turn(None, &message.guest, turn).await?;
    let words = message.text.to_lossy();
    let Some(wish) = wish(&words) else {
        return say(&hotel, message, HOW_TO_ASK.to_owned()).await;
    };
    let who = Context::new().user(&message.guest).session(session.id());
    if !hotel.flags().is_enabled(BOOKING_FLAG, &who) {
        return say(&hotel, message, A_COLLEAGUE.to_owned()).await;
    }
    // A second delivery waits for what the first one makes of it.
    let key = key(message)?;
    let alone = AcquireOptions::new()
        .wait(Duration::from_mins(1))
        .auto_extend(true);
    let lock = hotel.locks().acquire(&format!("message:{key}"), &alone).await?;
    let reply = decide(&hotel, message, &key, &wish).await?;
    let said = say(&hotel, message, reply).await?;
    lock.release().await?;
    Ok(said)
}

/// Reads `book <arrival> <departure> for <adults>`.
fn wish(words: &str) -> Option<Wish<'_>> {
    let parts: Vec<&str> = words.split_whitespace().collect();
    let [book, check_in, check_out, "for", adults] = *parts else {
        return None;
    };
    let adults = adults.parse().ok().filter(|adults| (1..=9).contains(adults))?;
    book.eq_ignore_ascii_case("book").then_some(Wish {
        check_in,
        check_out,
        adults,
    })
}

async fn say(hotel: &Posada, message: &Message, reply: String) -> Result<String> {
    let turn = Turn::new("assistant", reply.as_str()).id(reply_id(message));
    hotel.sessions().append_turn(None, &message.guest, turn).await?;
    Ok(reply)
}

fn reply_id(message: &Message) -> String {
    format!("{}:reply", message.id)
}

async fn decide(hotel: &Posada, message: &Message, key: &IdempotencyKey, wish: &Wish<'_>) -> Result<String> {
    if let Some(earlier) = hotel.pms().find_booking(key).await? {
        return Ok(told(&earlier));
    }
    let sessions = hotel.sessions();
    let session = sessions
        .get_or_create(None, &message.guest, Channel::WhatsApp)
        .await?;
    if let Some(said) = said_before(&session.document, &reply_id(message)) {
        return Ok(said);
    }
    let refusal = match book(hotel, &session, message, key, wish).await {
        Ok(reply) => return Ok(reply),
        Err(refusal) => refusal,
    };
    if refusal.is(codes::PMS_SOLD_OUT) || refusal.is(codes::LOCKS_NIGHTS_TAKEN) {
        // Perhaps by an earlier delivery of this very message.
        let earlier = hotel.pms().find_booking(key).await?;
        let earlier = earlier.filter(|earlier| earlier.status != BookingStatus::Cancelled);
        return Ok(earlier.as_ref().map_or_else(|| JUST_TAKEN.to_owned(), told));
    }
    if refusal.is(codes::STAY_INVALID) || refusal.is(codes::PMS_OCCUPANCY) || refusal.field() == Some("stay")
    {
        return Ok(NO_SUCH_NIGHTS.to_owned());
    }
    Err(refusal)
}

/// What the conversation says was answered already.
fn said_before(document: &Document, id: &str) -> Option<String> {
    let history = document.history().unwrap_or_default().iter();
    let mut same = history.filter(|turn| turn.at(["id"]).and_then(Json::as_str) == Some(id));
    let said = same.next()?.at(["content"])?.as_str()?;
    Some(said.to_owned())
}

async fn book(
    hotel: &Posada,
    session: &Session,
    message: &Message,
    key: &IdempotencyKey,
    wish: &Wish<'_>,
) -> Result<String> {
    let (house, stay) = (HotelId::from(1), Stay::parse(wish.check_in, wish.check_out)?);
    let party = Occupancy::new(wish.adults, &[])?;
    let free = hotel.pms().availability(house, stay, party.clone(), None).await?;
    let Some(cheapest) = free
        .offers
        .iter()
        .min_by_key(|offer: &&Offer| offer.total.amount())
    else {
        return Ok(SOLD_OUT.to_owned());
    };
    let quote = hotel.pms().quote(house, cheapest.room_type, stay, party).await?;
    let nights = StayHold::new(quote.resource(), stay)
        .capacity(cheapest.available)
        .session_id(session.id())
        .user_id(&message.guest);
    let hold = hotel.locks().hold_stay(&nights).await?;
    let (email, phone) = (
        format!("{}@whatsapp.example.com", message.guest),
        format!("+{}", message.guest),
    );
    let guest = Guest::new("WhatsApp", "Guest", email.as_str(), phone.as_str())?;
    let request = BookingRequest::from_quote(quote, guest, key.clone());
    // Where this ends early, the hold is given back as it is dropped.
    let booking = hotel.pms().book(&request, &HoldProof::from(&hold)).await?;
    hold.release().await?;
    Ok(told(&booking))
}

/// The key under which a message books: a hash, so that no number of a guest stands beside the booking.
fn key(message: &Message) -> Result<IdempotencyKey> {
    IdempotencyKey::of("whatsapp", &message.id)
}

fn told(booking: &Booking) -> String {
    if booking.status == BookingStatus::Cancelled {
        return CANCELLED.to_owned();
    }
    format!(
        "Booked: {} for {}, reference {}",
        booking.stay, booking.total, booking.reference
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_has_two_dates_and_a_number() {
        let read = wish("  Book 2027-03-10 2027-03-12 for 2 ").unwrap();
        assert_eq!(
            (read.check_in, read.check_out, read.adults),
            ("2027-03-10", "2027-03-12", 2)
        );
        for other in [
            "book",
            "book 2027-03-10 2027-03-12 for 0",
            "book a b for two",
            "book a b for 2 please",
        ] {
            assert!(wish(other).is_none(), "{other}");
        }
    }
}
