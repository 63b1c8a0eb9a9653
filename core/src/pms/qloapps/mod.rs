//! QloApps 1.6.1 and newer, over its web service: the provider for real hotels.
//!
//! Invariants of this folder:
//! * [`http`] sends every request at most once, and says of a write that failed whether it may have happened.
//! * [`answer`] decides what an answer means; no other module looks at a status.
//! * Everything that comes from the server is read by [`reader`], which takes no type for granted.
//! * The key of the web service, customers' digests and guests' data stand in no error and no log.
//!
//! Left out on purpose: `bookings/{id}`, which fails in many servers; deleting, which leaves rooms taken for ever; and
//! making rows by hand, which no check stands before.

mod account;
mod answer;
#[cfg(any(test, feature = "testkit"))]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop, loudly"
)]
pub(crate) mod anything;
mod availability;
mod catalogue;
mod changes;
mod customer;
mod document;
mod extra;
mod http;
mod key;
mod line;
mod order;
mod permissions;
mod price;
mod query;
mod reader;
#[cfg(test)]
mod recorded;
mod redact;
mod remark;
mod row;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulated_interrupted_changes;
#[cfg(test)]
mod simulated_keys;
#[cfg(test)]
mod simulated_life;
#[cfg(test)]
mod simulated_prices;
#[cfg(test)]
mod simulated_refusals;
#[cfg(test)]
mod simulated_services;
mod tax;
mod xml;
mod zone;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use sha1::{Digest, Sha1};
use tokio::sync::Mutex;

use super::cache::{AnswerStore, Cache};
use super::capabilities::{Capabilities, Feature, Guards};
use super::feed::ChangeCursor;
use super::folio::Folio;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RoomId, RoomTypeId, StayId};
use super::model::{Hotel, MissingPermission, Offer, RoomType};
use super::money::Money;
use super::occupancy::Party;
use super::port::{self, BookingSystem, RoomLedger};
use super::record::{ChangePage, Movement, Record, Room, Row, RowChange};
use super::request::BookingRequest;
use super::resilience::Resilience;
use super::service::{Service, rounded_off};
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::hex::hex;
use crate::settings::{PmsLimits, QloAppsSettings};
use crate::stay::Stay;
use crate::task::Tasks;
use availability::{Question, closures, vacancies};
use catalogue::{Catalogue, FRESH, describe};
use changes::{Place, read_on};
use http::HttpClient;
use order::Refusal;
use permissions::Told;
use query::Query;
use xml::Xml;

/// The part of the server under which its catalogue is kept.
const EVERYTHING: &str = "shop";

/// One server. It may have several hotels.
pub(crate) struct QloApps {
    name: String,
    capabilities: Capabilities,
    http: Arc<HttpClient>,
    clock: SharedClock,
    cache: Cache,
    catalogue_fresh: Duration,
    /// The hotel of an order that has no room yet.
    hotel: HotelId,
    /// Held while it is read, so that many who need it ask once.
    catalogue: Mutex<Option<Arc<Catalogue>>>,
    /// When the key was last seen to be permitted what a booking needs.
    may_book: Mutex<Option<Instant>>,
}

impl QloApps {
    /// Prepares the connection; the server is asked at the first call.
    ///
    /// # Errors
    /// `settings.invalid` when no HTTP client can be made.
    pub(crate) fn new(
        settings: &QloAppsSettings,
        limits: &PmsLimits,
        clock: SharedClock,
        tasks: Tasks,
        kept: Arc<dyn AnswerStore>,
        resilience: Resilience,
    ) -> Result<Self> {
        let name = name(&settings.base_url);
        Ok(Self {
            http: Arc::new(HttpClient::new(settings, resilience)?),
            cache: Cache::new(kept, &name, clock.clone(), tasks),
            catalogue_fresh: limits.room_types_fresh,
            name,
            capabilities: Capabilities::new(Guards::default()).all_of(&Feature::ALL),
            clock,
            hotel: HotelId::from(settings.hotel_id),
            catalogue: Mutex::new(None),
            may_book: Mutex::new(None),
        })
    }

    /// The catalogue: this process's own for some minutes, then the one that is kept for all processes. While the
    /// server cannot be read, it serves for a day.
    async fn catalogue(&self) -> Result<Arc<Catalogue>> {
        let mut own = self.catalogue.lock().await;
        let now = self.clock.instant();
        let age = |catalogue: &Arc<Catalogue>| now.saturating_duration_since(catalogue.read_at);
        let fresh_here = self.catalogue_fresh.min(FRESH);
        if let Some(fresh) = own.as_ref().filter(|catalogue| age(catalogue) < fresh_here) {
            return Ok(fresh.clone());
        }
        let http = self.http.clone();
        let load = || async move { describe(&http).await };
        let described = self
            .cache
            .read(EVERYTHING, "catalogue", self.catalogue_fresh, load)
            .await?;
        let catalogue = Arc::new(Catalogue::new(&described.value, now)?);
        Ok(own.insert(catalogue).clone())
    }

    async fn records(&self, orders: Query) -> Result<Vec<Record>> {
        let catalogue = self.catalogue().await?;
        order::records(&self.http, &catalogue, self.hotel, orders).await
    }

    /// The bookings with these ids, a part of them at a time: addresses have a longest length.
    async fn records_of(&self, ids: &BTreeSet<BookingId>) -> Result<Vec<Record>> {
        const PART: usize = 100;
        let ids: Vec<_> = ids.iter().copied().collect();
        let mut records = Vec::with_capacity(ids.len());
        for part in ids.chunks(PART) {
            records.extend(self.records(Query::full().any_of("id", part)).await?);
        }
        Ok(records)
    }

    /// What a refusal of a booking means. In a language that we do not know, the free rooms decide.
    async fn refusal(&self, request: &BookingRequest, error: Error) -> Error {
        let sold_out = match Refusal::of(&error) {
            Refusal::SoldOut => true,
            Refusal::Other => false,
            Refusal::Untold => {
                let free = self
                    .free_rooms(request.hotel(), request.room_type(), request.stay())
                    .await;
                free.is_ok_and(|free| free.len() < request.party().each_room().len())
            }
        };
        if sold_out { order::sold_out(error) } else { error }
    }
}

/// The server by its address, however its protocol is written.
fn name(base_url: &str) -> String {
    const LONGEST: usize = 120;
    let address = base_url
        .split_once("://")
        .map_or(base_url, |(_, address)| address);
    if address.len() <= LONGEST {
        return address.to_ascii_lowercase();
    }
    hex(&Sha1::digest(address.to_ascii_lowercase()))
}

#[async_trait]
impl port::Catalogue for QloApps {
    fn system(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn is_asked(&self) -> Result<()> {
        self.http.is_asked()
    }

    fn admit_guest(&self, guest: &Guest) -> Result<()> {
        customer::admit(guest)
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        permissions::missing(&self.http).await
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        Ok(self.catalogue().await?.hotels.clone())
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        let catalogue = self.catalogue().await?;
        let theirs = catalogue
            .room_types
            .iter()
            .filter(|room_type| room_type.hotel == hotel);
        Ok(theirs.cloned().collect())
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        let catalogue = self.catalogue().await?;
        let mut types = catalogue.room_types.iter();
        if types.any(|known| known.hotel == hotel && known.id == room_type) {
            return catalogue.services(room_type);
        }
        Ok(Vec::new())
    }

    async fn today(&self, _hotel: HotelId) -> Result<NaiveDate> {
        Ok(self.catalogue().await?.today(self.clock.now()))
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        availability::offers(&self.http, hotel, stay, party, room_type).await
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        customer::find(&self.http, email).await
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        customer::create(&self.http, guest).await
    }
}

#[async_trait]
impl BookingSystem for QloApps {
    async fn can_book(&self) -> Result<()> {
        let now = self.clock.instant();
        let mut seen = self.may_book.lock().await;
        if seen.is_none_or(|at| now.saturating_duration_since(at) >= FRESH) {
            let told = permissions::for_booking(&self.http).await?;
            *seen = (told == Told::Yes).then_some(now);
        }
        Ok(())
    }

    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId> {
        let catalogue = self.catalogue().await?;
        let services = catalogue.services_net(request.room_type(), request.stay().nights());
        let rooms = request.party().rooms();
        let net = offer
            .exact_net
            .unwrap_or_else(|| offer.price.net.unwrap_or(offer.total).amount());
        let rate = catalogue.room_rate(request.room_type());
        let tax = order::room_tax(net, offer.total.amount(), (services, rooms), rate);
        let chosen = request.chosen_services();
        // The server takes what services cost before it is rounded from the total, and rounds what is left for the rooms.
        let off = if chosen.is_empty() {
            Decimal::ZERO
        } else {
            let sold = catalogue.services(request.room_type())?;
            rounded_off(chosen, &sold, rooms, request.stay().nights())?
        };
        let body = order::create_body(request, (total, off), tax)?;
        match self.http.create("bookings", "booking", body).await {
            Ok(answer) => order::created_id(&answer),
            Err(error) if error.is(codes::PMS_REJECTED) => Err(self.refusal(request, error).await),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        let mut records = self
            .records(Query::full().equal("source", key::source(key)))
            .await?;
        // The server's database takes upper and lower case for the same.
        let is_it = |found: &IdempotencyKey| found.stored() == key.stored();
        records.retain(|record| record.key.as_ref().is_some_and(is_it));
        for record in &mut records {
            record.key = Some(key.clone());
        }
        Ok(records)
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        // What is no number could mean something else in a question.
        if booking.number().is_none() {
            return Ok(None);
        }
        Ok(self.records(Query::full().equal("id", booking)).await?.pop())
    }

    fn rooms(&self) -> Option<&dyn RoomLedger> {
        Some(self)
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        let catalogue = self.catalogue().await?;
        row::change(&self.http, &catalogue, booking, row, change).await
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        let catalogue = self.catalogue().await?;
        price::set_total(&self.http, &catalogue, record, total).await
    }

    async fn can_set_total(&self, record: &Record, stay: Stay, total: Money, and_back: bool) -> Result<()> {
        let catalogue = self.catalogue().await?;
        price::can_set_total(&self.http, &catalogue, record, (stay, total), and_back).await
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        let booking = order::id("booking", booking.number())?;
        let state = self.catalogue().await?.cancelled_state;
        let body = Xml::document(|xml| {
            xml.element("order_history", |xml| {
                xml.value("id_order", &booking.to_string());
                xml.value("id_order_state", &state.to_string());
            });
        });
        let answer = self.http.create("order_histories", "order_history", body).await?;
        if order::new_state(&answer)? == state {
            return Ok(());
        }
        Err(Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the server gave the booking another state than the one asked for",
        ))
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Record>> {
        let orders = row::orders_moving(&self.http, hotel, movement, day).await?;
        let mut records = self.records_of(&orders).await?;
        records.retain(|record| record.hotel == hotel && !record.cancelled);
        Ok(records)
    }

    async fn folio(&self, record: &Record) -> Result<Folio> {
        let catalogue = self.catalogue().await?;
        account::folio(&self.http, &catalogue, record).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage> {
        let catalogue = self.catalogue().await?;
        let since = cursor
            .beginning()
            .map(|moment| Place::since(catalogue.local(moment)));
        let mut place = since
            .or_else(|| cursor.read())
            .ok_or_else(|| ChangeCursor::invalid("belongs to another system"))?;
        let now = catalogue.local(self.clock.now());
        let moments = read_on(&mut place, &self.http, now, most).await?;
        let ids = moments.keys().copied().collect();
        let records = self.records_of(&ids).await?;
        let mut records: HashMap<_, _> = records.into_iter().map(|record| (record.id, record)).collect();
        let mut changes: Vec<_> = moments
            .into_iter()
            .map(|(id, at)| (id, catalogue.moment(at), records.remove(&id)))
            .collect();
        changes.sort_by_key(|(id, at, _)| (*at, *id));
        Ok(ChangePage {
            changes,
            next: ChangeCursor::write(&place),
        })
    }
}

#[async_trait]
impl RoomLedger for QloApps {
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
        row::on_room(&self.http, room, stay).await
    }

    async fn closures(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<port::Closures> {
        let one_adult = super::occupancy::Occupancy::new(1, &[])?;
        let question = Question {
            hotel,
            stay,
            rooms: &[one_adult],
            room_type: Some(room_type),
        };
        closures(&self.http, question).await
    }

    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>> {
        let one_adult = super::occupancy::Occupancy::new(1, &[])?;
        let question = Question {
            hotel,
            stay,
            rooms: &[one_adult],
            room_type: Some(room_type),
        };
        let vacancies = vacancies(&self.http, question).await?;
        let offer = vacancies.into_iter().find(|offer| offer.room_type == room_type);
        Ok(offer.map(|offer| offer.free).unwrap_or_default())
    }
}
