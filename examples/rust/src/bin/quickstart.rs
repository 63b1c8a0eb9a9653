//! The main job, step by step: a guest's message becomes a booked room.
//!
//! `quickstart` keeps everything in memory and needs no server. `quickstart live` does the same on the Postgres and
//! Redis that `DATABASE_URL` and `REDIS_URL` name.

use std::process::ExitCode;

use posada::clock::{Clock, SystemClock};
use posada::error::codes;
use posada::flags::Context;
use posada::locks::{Hold, Resource, StayHold};
use posada::pms::{BookingRequest, Guest, HoldProof, HotelId, Occupancy, Offer};
use posada::sessions::{Json, Session};
use posada::tenants::{Channel, NewTenant, Resolution, Tenant};
use posada::{Error, IdempotencyKey, Posada, Settings, Stay, TenantId};

const HOTEL_NUMBER: &str = "+5491112345678";
const GUEST: &str = "5491187654321";
/// The id of her message, as WhatsApp makes them: it holds her number in base64.
const MESSAGE: &str = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";

#[tokio::main]
async fn main() -> ExitCode {
    match receive_a_guest().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn receive_a_guest() -> Result<(), Error> {
    let live = std::env::args().nth(1).as_deref() == Some("live");
    let posada = if live {
        Posada::connect(Settings::from_env()?).await?
    } else {
        Posada::embedded()
    };
    println!(
        "posada {}",
        if live {
            "on real servers"
        } else {
            "in memory, no server needed"
        }
    );

    if live {
        let applied = posada.migrate().await?;
        println!("      migrations applied now: {}", applied.migrations.len());
    }
    set_up_a_hotel(&posada).await?;

    let tenant = which_hotel(&posada).await?;
    // The same handle, which cannot touch another hotel.
    let hotel = posada.for_tenant(&tenant.id)?;
    let session = what_was_said(&hotel).await?;
    may_the_agent_book(&hotel);
    let stay = Stay::parse("2027-03-10", "2027-03-12")?;
    let Some(offer) = what_is_free(&hotel, stay).await? else {
        println!("the hotel is full for {stay}");
        return posada.close().await;
    };
    let hold = keep_the_nights(&hotel, &session, &offer, stay).await?;
    book(&hotel, &hold, &offer, stay).await?;

    hold.release().await?;
    step(7, "release", "the booking has the room now; the hold is released");
    show_the_audit(&hotel, &hold).await?;
    println!("\nhealth  {}", posada.health().await.to_json());
    posada.close().await
}

/// What an administrator does once per hotel.
async fn set_up_a_hotel(posada: &Posada) -> Result<(), Error> {
    let created = posada
        .tenants()
        .create(NewTenant::new("hotel-test", "Hotel Test")?)
        .await;
    match created {
        Err(error) if error.is(codes::TENANTS_EXISTS) => {}
        other => drop(other?),
    }
    let tenant = TenantId::parse("hotel-test")?;
    let added = posada
        .tenants()
        .add_identifier(&tenant, HOTEL_NUMBER, Some(Channel::WhatsApp))
        .await;
    match added {
        Err(error) if error.is(codes::TENANTS_IDENTIFIER_TAKEN) => {}
        other => drop(other?),
    }
    println!("      hotel-test is set up; its guests write to {HOTEL_NUMBER}\n");
    Ok(())
}

async fn which_hotel(posada: &Posada) -> Result<std::sync::Arc<Tenant>, Error> {
    let (clock, number) = (SystemClock, HOTEL_NUMBER.trim_start_matches('+'));
    let started = clock.instant();
    let found = posada.tenants().resolve(number, Some(Channel::WhatsApp)).await?;
    let first = clock.instant() - started;
    let Resolution::Found { tenant, source, .. } = found else {
        unreachable!("the hotel was set up above: {}", found.as_str());
    };
    let started = clock.instant();
    posada.tenants().resolve(number, Some(Channel::WhatsApp)).await?;
    let again = clock.instant() - started;
    step(
        1,
        "tenant",
        &format!(
            "{number} is {} ({}, {first:.1?}; again {again:.1?})",
            tenant.id,
            source.as_str()
        ),
    );
    let stranger = posada
        .tenants()
        .resolve("+5491100000000", Some(Channel::WhatsApp))
        .await?;
    more(&format!(
        "a number that was not registered is {}, not a default hotel's",
        stranger.as_str()
    ));
    Ok(tenant)
}

async fn what_was_said(hotel: &Posada) -> Result<Session, Error> {
    let mut mine = hotel.sessions().get_or_create(None, GUEST, "whatsapp").await?;
    let mut theirs = hotel.sessions().get_or_create(None, GUEST, "whatsapp").await?;
    mine.document.set(["context", "last_intent"], "book")?;
    hotel.sessions().save(&mut mine).await?;
    step(2, "session", &format!("conversation {} saved", mine.id()));

    theirs.document.set(["context", "nights"], 2)?;
    let conflict = hotel.sessions().save(&mut theirs).await.err();
    more(&format!(
        "a second worker with the old copy is stopped: {}",
        code(conflict.as_ref())
    ));
    let patch = Json::parse(r#"{"context": {"nights": 2}}"#)?;
    let both = hotel.sessions().update(None, GUEST, &patch).await?;
    let context = both
        .document
        .at(["context"])
        .map(Json::to_text)
        .unwrap_or_default();
    more(&format!(
        "its update is merged instead, and nothing is lost: {context}"
    ));
    Ok(both)
}

fn may_the_agent_book(hotel: &Posada) {
    let answer = hotel.flags().evaluate("canary.enabled", &Context::new());
    step(
        3,
        "flag",
        &format!("canary.enabled is {} ({:?})", answer.value, answer.reason),
    );
}

async fn what_is_free(hotel: &Posada, stay: Stay) -> Result<Option<Offer>, Error> {
    let offers = hotel
        .pms()
        .availability(HotelId::from(1), stay, Occupancy::new(2, &[])?, None)
        .await?
        .offers;
    let offer = offers.into_iter().next();
    if let Some(offer) = &offer {
        step(
            4,
            "offer",
            &format!(
                "{stay}: {} for {}, {} left",
                offer.name, offer.total, offer.available
            ),
        );
    }
    Ok(offer)
}

async fn keep_the_nights(
    hotel: &Posada,
    session: &Session,
    offer: &Offer,
    stay: Stay,
) -> Result<Hold, Error> {
    let nights = StayHold::new(Resource::room_type(&HotelId::from(1), &offer.room_type), stay).user_id(GUEST);
    let nights = nights.capacity(offer.available);
    let hold = hotel
        .locks()
        .hold_stay(&nights.clone().session_id(session.id()))
        .await?;
    let minutes = hold.remaining().as_secs_f64() / 60.0;
    step(
        5,
        "hold",
        &format!(
            "one of {} kept for {minutes:.0} minutes, fence {}",
            offer.available,
            hold.fence()
        ),
    );
    let greedy = nights.session_id("another guest").quantity(offer.available);
    let refused = hotel.locks().hold_stay(&greedy).await.err();
    more(&format!(
        "another guest who wants all {}: {}",
        offer.available,
        code(refused.as_ref())
    ));
    Ok(hold)
}

async fn book(hotel: &Posada, hold: &Hold, offer: &Offer, stay: Stay) -> Result<(), Error> {
    let two = Occupancy::new(2, &[])?;
    let quote = hotel
        .pms()
        .quote(HotelId::from(1), offer.room_type, stay, two)
        .await?;
    let guest = Guest::new("Ana", "Pérez", "ana@example.com", "+5491187654321")?;
    let request = BookingRequest::from_quote(quote, guest, IdempotencyKey::of("whatsapp", MESSAGE)?);
    let proof = HoldProof::from(hold);
    let booking = hotel.pms().book(&request, Some(&proof)).await?;
    let rooms: Vec<_> = booking
        .rooms
        .iter()
        .filter_map(|room| room.number.as_deref())
        .collect();
    step(
        6,
        "booking",
        &format!(
            "{} in room {} for {}",
            booking.reference,
            rooms.join(", "),
            booking.total
        ),
    );
    let again = hotel.pms().book(&request, Some(&proof)).await?;
    more(&format!(
        "the same message delivered twice: {} {:?}",
        again.reference, again.created
    ));
    Ok(())
}

async fn show_the_audit(hotel: &Posada, hold: &Hold) -> Result<(), Error> {
    hotel
        .locks()
        .flush_audit(std::time::Duration::from_secs(5))
        .await?;
    let rows = hotel.locks().audit(&hold.audit_key(), 10).await?;
    let events: Vec<_> = rows.iter().rev().map(|row| row.event.as_str()).collect();
    step(8, "audit", &format!("lock_audit has: {}", events.join(", ")));
    Ok(())
}

fn step(number: u32, what: &str, message: &str) {
    println!("{number}. {what:<8} {message}");
}

fn more(message: &str) {
    println!("            {message}");
}

fn code(error: Option<&Error>) -> &str {
    error.map_or("nothing stopped it", Error::code)
}
