//! The hotel's own system.

use chrono::NaiveDate;
use posada::bridge::Work;
use posada::pms::{
    BookingChange, BookingId, BookingRequest, ChosenService, Guest, HoldProof, HotelId, Party, Quote,
    RoomTypeId,
};
use posada::{IdempotencyKey, Stay};
use posada_bindings::Refusal;

use super::{read, write};
use crate::arguments::Arguments;
use crate::kept::gone;
use crate::outcome::{Outcome, json};
use crate::target::Services;

pub(super) fn work(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let pms = services.posada.pms().clone();
    let hotel = || given.value::<HotelId>("hotel");
    let booking = || given.value::<BookingId>("booking");
    Ok(match name {
        "hotels" => read(async move { json(&pms.hotels().await?) }),
        "roomTypes" => {
            let hotel = hotel()?;
            read(async move { json(&pms.room_types(hotel).await?) })
        }
        "services" => {
            let (hotel, room_type) = (hotel()?, given.value::<RoomTypeId>("room_type")?);
            read(async move { json(&pms.services(hotel, room_type).await?) })
        }
        "availability" => {
            let (hotel, stay): (_, Stay) = (hotel()?, given.value("stay")?);
            let (party, room_type): (Party, Option<RoomTypeId>) =
                (given.value("party")?, given.optional("room_type")?);
            read(async move { json(&pms.availability(hotel, stay, party, room_type).await?) })
        }
        "quote" => {
            let (hotel, room_type): (_, RoomTypeId) = (hotel()?, given.value("room_type")?);
            let (stay, party): (Stay, Party) = (given.value("stay")?, given.value("party")?);
            let chosen: Vec<ChosenService> = given.optional("services")?.unwrap_or_default();
            read(async move {
                let quote = pms
                    .quote_with_services(hotel, room_type, stay, party, chosen)
                    .await?;
                json(&quote)
            })
        }
        "book" => {
            let (quote, guest): (Quote, Guest) = (given.value("quote")?, given.value("guest")?);
            let key: IdempotencyKey = given.value("key")?;
            let mut request = BookingRequest::from_quote(quote, guest, key);
            if let Some(remark) = given.optional::<String>("remark")? {
                request = request.remark(&remark)?;
            }
            let (holds, hold) = (services.holds.clone(), given.optional::<u32>("hold")?);
            return write(services, async move {
                let proof = match hold {
                    None => None,
                    Some(number) => Some(HoldProof::from(
                        holds.get(number).await?.as_ref().ok_or_else(gone)?,
                    )),
                };
                json(&pms.book(&request, proof.as_ref()).await?)
            });
        }
        "booking" => {
            let id = booking()?;
            read(async move { json(&pms.booking(id).await?) })
        }
        "findBooking" => {
            let key: IdempotencyKey = given.value("key")?;
            read(async move { json(&pms.find_booking(&key).await?) })
        }
        "cancel" => {
            let id = booking()?;
            return write(services, async move { json(&pms.cancel(id).await?) });
        }
        "modify" | "quoteChange" => {
            let id = booking()?;
            let mut change = BookingChange::new();
            if let Some(stay) = given.optional::<Stay>("stay")? {
                change = change.stay(stay);
            }
            if let Some(party) = given.optional::<Party>("party")? {
                change = change.party(party);
            }
            if name == "quoteChange" {
                read(async move { json(&pms.quote_change(id, &change).await?) })
            } else {
                if let Some(quote) = given.optional::<Quote>("quote")? {
                    change = change.quote(quote)?;
                }
                return write(services, async move { json(&pms.modify(id, &change).await?) });
            }
        }
        "checkIn" => {
            let id = booking()?;
            return write(services, async move { json(&pms.check_in(id).await?) });
        }
        "checkOut" => {
            let id = booking()?;
            return write(services, async move { json(&pms.check_out(id).await?) });
        }
        "arrivals" => {
            let (hotel, day): (_, NaiveDate) = (hotel()?, given.value("day")?);
            read(async move { json(&pms.arrivals(hotel, day).await?) })
        }
        "departures" => {
            let (hotel, day): (_, NaiveDate) = (hotel()?, given.value("day")?);
            read(async move { json(&pms.departures(hotel, day).await?) })
        }
        "capabilities" => read(async move { json(&pms.capabilities()) }),
        _ => None,
    })
}
