//! Free rooms and prices: `hotel_ari`.
//!
//! The server checks neither occupancy nor the length of a stay nor its dates there;
//! [`admission`](super::super::admission) does. Prices contain the services that the server adds by itself, and the
//! whole stay of all rooms asked for.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::Value;

use super::answer::not_understood;
use super::http::HttpClient;
use super::reader::Node;
use super::xml::Xml;
use crate::error::Result;
use crate::pms::id::{HotelId, RoomId, RoomTypeId};
use crate::pms::model::Offer;
use crate::pms::money::{Currency, Money};
use crate::pms::occupancy::{Occupancy, Party};
use crate::pms::port::Closures;
use crate::pms::price::Price;
use crate::pms::record::Room;
use crate::stay::Stay;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) hotel: HotelId,
    pub(super) stay: Stay,
    pub(super) rooms: &'a [Occupancy],
    pub(super) room_type: Option<RoomTypeId>,
}

/// Which part of the answer is wanted.
#[derive(Clone, Copy)]
enum Part {
    Free,
    Nights,
    Closed,
}

/// The status of a room that is not sold for this number of nights; all others mean that it is closed.
const LENGTH: u64 = 4;

/// One room type for the whole stay.
pub(super) struct Vacancy {
    pub(super) room_type: RoomTypeId,
    pub(super) name: String,
    /// Without and with tax, for all rooms that were asked for, before they are rounded.
    pub(super) net: Decimal,
    pub(super) gross: Decimal,
    pub(super) currency: Currency,
    /// The rooms that are free in every night, smallest id first.
    pub(super) free: Vec<Room>,
}

/// The price of one room in each night, by room type.
type Nights = HashMap<RoomTypeId, Vec<(NaiveDate, Money)>>;

/// What the server offers; one question more than for [`vacancies`] when there are several nights.
pub(super) async fn offers(
    http: &HttpClient,
    hotel: HotelId,
    stay: Stay,
    party: &Party,
    room_type: Option<RoomTypeId>,
) -> Result<Vec<Offer>> {
    let question = Question {
        hotel,
        stay,
        rooms: party.each_room(),
        room_type,
    };
    let one_room = Question {
        rooms: party.each_room().get(..1).unwrap_or_default(),
        ..question
    };
    let (vacancies, mut nights) = tokio::try_join!(vacancies(http, question), nights(http, one_room))?;
    let offers = vacancies.into_iter().map(|vacancy| {
        let available = u32::try_from(vacancy.free.len()).unwrap_or(u32::MAX);
        // Each room of a booking has a price that can be paid, and all of them the same.
        let rooms = party.rooms();
        let each = vacancy.gross.checked_div(rooms.into()).unwrap_or(vacancy.gross);
        let gross = money(each, vacancy.currency)?.times(rooms)?;
        let price = Price::taxed(money(vacancy.net, vacancy.currency)?, gross);
        let mut offer = Offer::new(vacancy.room_type, &vacancy.name, available, price);
        offer.exact_net = Some(vacancy.net);
        offer.per_night = nights.remove(&vacancy.room_type).unwrap_or_default();
        Ok(offer)
    });
    offers.collect()
}

/// The room types with their free rooms and prices. An unknown hotel or room type has none.
pub(super) async fn vacancies(http: &HttpClient, question: Question<'_>) -> Result<Vec<Vacancy>> {
    let answer = http
        .ask("hotel_ari", "hotel_ari", body(question, Part::Free))
        .await?;
    read_vacancies(&answer)
}

/// Which rooms are closed, and whether the stay is too short or too long.
pub(super) async fn closures(http: &HttpClient, question: Question<'_>) -> Result<Closures> {
    let body = body(question, Part::Closed);
    let answer = http.ask("hotel_ari", "hotel_ari", body).await?;
    read_closures(&answer)
}

/// Reads why rooms are not sold.
pub(super) fn read_closures(answer: &Value) -> Result<Closures> {
    let mut closures = Closures::default();
    for node in Node::new(answer).field("room_types").list() {
        for room in node.field("rooms").field("unavailable").list() {
            let id = RoomId::from(room.required("id_room", Node::id)?);
            for detail in room.field("detail").list() {
                if detail.field("id_status").number() == Some(LENGTH) {
                    closures.length = true;
                } else {
                    closures.rooms.push(id);
                }
            }
        }
    }
    Ok(closures)
}

async fn nights(http: &HttpClient, question: Question<'_>) -> Result<Nights> {
    let answer = http
        .ask("hotel_ari", "hotel_aris", body(question, Part::Nights))
        .await?;
    read_nights(&answer)
}

fn body(question: Question<'_>, part: Part) -> String {
    let stay = question.stay;
    Xml::document(|xml| {
        xml.element("hotel_ari", |xml| {
            xml.value("id_hotel", question.hotel.as_str());
            if let Some(room_type) = question.room_type {
                xml.value("id_room_type", room_type.as_str());
            }
            xml.value("date_from", &stay.check_in().to_string());
            xml.value("date_to", &stay.check_out().to_string());
            match part {
                Part::Free => xml.value("get_available_rooms", "1"),
                Part::Nights => {
                    xml.value("get_available_rooms", "1");
                    xml.value("date_wise_breakdown", "1");
                }
                Part::Closed => xml.value("get_unavailable_rooms", "1"),
            }
            xml.element("associations", |xml| {
                xml.element("room_occupancies", |xml| {
                    for room in question.rooms {
                        xml.element("room_occupancy", |xml| {
                            xml.value("adults", &room.adults().to_string());
                            xml.value("children", &room.children().to_string());
                        });
                    }
                });
            });
        });
    })
}

/// Reads the answer for a whole stay.
pub(super) fn read_vacancies(answer: &Value) -> Result<Vec<Vacancy>> {
    let answer = Node::new(answer);
    let types = answer.field("room_types");
    if types.is_missing() {
        return Ok(Vec::new());
    }
    let currency = currency(answer)?;
    let vacancy = |node: Node<'_>| {
        let mut free = Vec::new();
        for room in node.field("rooms").field("available").list() {
            free.push(Room {
                id: RoomId::from(room.required("id_room", Node::id)?),
                number: match room.field("room_number").text() {
                    // As XML names it.
                    Some(number) => number,
                    None => room.required("room_num", Node::text)?,
                },
            });
        }
        free.sort_by_key(|room| room.id);
        Ok(Vacancy {
            room_type: RoomTypeId::from(node.required("id_room_type", Node::id)?),
            name: node.required("name", Node::text)?,
            net: node.required("total_price", Node::decimal)?,
            gross: node.required("total_price_with_tax", Node::decimal)?,
            currency,
            free,
        })
    };
    types.list().into_iter().map(vacancy).collect()
}

/// Reads the answer that has one part for each night.
pub(super) fn read_nights(answer: &Value) -> Result<Nights> {
    let mut nights = Nights::new();
    for night in Node::new(answer).list() {
        let types = night.field("room_types").list();
        if types.is_empty() {
            continue;
        }
        let (date, currency) = (night.required("date_from", Node::date)?, currency(night)?);
        for node in types {
            let room_type = RoomTypeId::from(node.required("id_room_type", Node::id)?);
            let price = node.required("total_price_with_tax", Node::decimal)?;
            let known = nights.entry(room_type).or_default();
            known.push((date, money(price, currency)?));
        }
    }
    Ok(nights)
}

/// An amount as a guest pays it: the server computes with more decimals than its currency has.
pub(super) fn money(amount: Decimal, currency: Currency) -> Result<Money> {
    Money::new(Decimal::ONE, currency)?.scaled(amount)
}

fn currency(answer: Node<'_>) -> Result<Currency> {
    let code = answer.field("currency").text();
    let code = code.ok_or_else(|| not_understood("the prices have no currency"))?;
    Currency::parse(&code)
}
