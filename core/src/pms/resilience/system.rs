//! What stands around every call to a system of a caller's own.
//!
//! QloApps is left out: one of its calls is many requests, and these rules stand around each of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDate;
use futures_util::FutureExt as _;

use super::{Attempt, Class, Resilience, too_late};
use crate::error::{Error, Result, codes};
use crate::pms::BookingChange;
use crate::pms::capabilities::Capabilities;
use crate::pms::feed::{Change, ChangeCursor};
use crate::pms::folio::Folio;
use crate::pms::guest::{Guest, GuestProfile};
use crate::pms::id::{BookingId, HotelId, IdempotencyKey, RoomId, RoomTypeId, StayId};
use crate::pms::model::{Booking, Hotel, MissingPermission, Offer, Quote, RoomType};
use crate::pms::money::Money;
use crate::pms::occupancy::Party;
use crate::pms::port::{BookingOrder, BookingSystem, Catalogue, Pms, RoomLedger, StockLedger, StockNight};
use crate::pms::record::{ChangePage, Movement, Record, Room, Row, RowChange};
use crate::pms::request::BookingRequest;
use crate::pms::service::Service;
use crate::stay::Stay;
use crate::task::Tasks;

/// How long a write may go on in the background when its deadline has passed. A system that never ends one would
/// otherwise keep it for ever.
const LONGEST_WRITE: Duration = Duration::from_mins(5);

/// A system, every call to which has a deadline, a breaker, a bulkhead and a pace. Reads are repeated; a write is sent
/// once and ends, whether or not its deadline passes meanwhile.
pub(crate) struct Resilient<S: ?Sized> {
    system: Arc<S>,
    rules: Resilience,
    tasks: Tasks,
}

impl<S: Catalogue + ?Sized> Resilient<S> {
    pub(crate) fn new(system: Arc<S>, rules: Resilience, tasks: Tasks) -> Self {
        Self { system, rules, tasks }
    }

    /// Asks, again while it makes sense.
    async fn read<T, F>(&self, class: Class, mut call: impl FnMut() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        self.rules.run(class, || judged(call())).await
    }

    /// Writes once. The write is a task of its own: at its deadline the caller is told that its outcome is unknown, and
    /// it goes on, because half of it may be done.
    async fn write<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let ended = async move {
            let work = AssertUnwindSafe(call).catch_unwind();
            match tokio::time::timeout(LONGEST_WRITE, work).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_panic)) => Err(Error::new(
                    codes::PMS_OUTCOME_UNKNOWN,
                    "the system panicked in a write; it may have been done",
                )),
                Err(_) => Err(too_late(Class::Write)),
            }
        };
        self.rules.send(judged(self.tasks.detach(ended))).await
    }
}

async fn judged<T>(call: impl Future<Output = Result<T>> + Send) -> Attempt<T> {
    let outcome = call.await;
    Attempt {
        answered: outcome.as_ref().err().is_none_or(is_an_answer),
        outcome,
    }
}

/// Whether the system did its part: a refusal is an answer.
fn is_an_answer(error: &Error) -> bool {
    ![
        codes::PMS_UNAVAILABLE,
        codes::PMS_TIMEOUT,
        codes::PMS_OUTCOME_UNKNOWN,
    ]
    .into_iter()
    .any(|code| error.is(code))
}

#[async_trait]
impl<S: Catalogue + ?Sized> Catalogue for Resilient<S> {
    fn system(&self) -> &str {
        self.system.system()
    }

    fn capabilities(&self) -> &Capabilities {
        self.system.capabilities()
    }

    fn is_mock(&self) -> bool {
        self.system.is_mock()
    }

    fn is_asked(&self) -> Result<()> {
        self.rules.refusal(Class::Read).map_or(Ok(()), Err)?;
        self.system.is_asked()
    }

    fn admit_guest(&self, guest: &Guest) -> Result<()> {
        self.system.admit_guest(guest)
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        self.read(Class::Read, || self.system.check()).await
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.read(Class::Read, || self.system.hotels()).await
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        self.read(Class::Read, || self.system.room_types(hotel)).await
    }

    async fn today(&self, hotel: HotelId) -> Result<NaiveDate> {
        self.read(Class::Read, || self.system.today(hotel)).await
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        let ask = || self.system.offers(hotel, stay, party, room_type);
        self.read(Class::Availability, ask).await
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.read(Class::Read, || self.system.services(hotel, room_type))
            .await
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        self.read(Class::Read, || self.system.guest(email)).await
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        let (system, guest) = (self.system.clone(), guest.clone());
        self.write(async move { system.create_guest(&guest).await }).await
    }
}

#[async_trait]
impl BookingSystem for Resilient<dyn BookingSystem> {
    async fn can_book(&self) -> Result<()> {
        self.read(Class::Read, || self.system.can_book()).await
    }

    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId> {
        let (system, request, offer) = (self.system.clone(), request.clone(), offer.clone());
        let call = async move { system.create(&request, &offer, total).await };
        self.write(Box::pin(call)).await
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        self.read(Class::Read, || self.system.find(key)).await
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        self.read(Class::Read, || self.system.record(booking)).await
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        let system = self.system.clone();
        self.write(async move { system.cancel(booking).await }).await
    }

    fn rooms(&self) -> Option<&dyn RoomLedger> {
        self.system.rooms().map(|_| self as &dyn RoomLedger)
    }

    fn stock(&self) -> Option<&dyn StockLedger> {
        self.system.stock().map(|_| self as &dyn StockLedger)
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        let (system, change) = (self.system.clone(), change.clone());
        self.write(async move { system.change_row(booking, row, &change).await })
            .await
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        let (system, record) = (self.system.clone(), record.clone());
        self.write(async move { system.set_total(&record, total).await })
            .await
    }

    async fn can_set_total(&self, record: &Record, stay: Stay, total: Money, and_back: bool) -> Result<()> {
        let ask = || self.system.can_set_total(record, stay, total, and_back);
        self.read(Class::Read, ask).await
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Record>> {
        self.read(Class::Read, || self.system.movements(hotel, movement, day))
            .await
    }

    async fn folio(&self, record: &Record) -> Result<Folio> {
        self.read(Class::Read, || self.system.folio(record)).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage> {
        self.read(Class::Read, || self.system.changes(cursor, most)).await
    }
}

#[async_trait]
impl RoomLedger for Resilient<dyn BookingSystem> {
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
        match self.system.rooms() {
            Some(rooms) => self.read(Class::Read, || rooms.rows_on(room, stay)).await,
            None => Ok(Vec::new()),
        }
    }

    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>> {
        match self.system.rooms() {
            Some(rooms) => {
                let ask = || rooms.free_rooms(hotel, room_type, stay);
                self.read(Class::Availability, ask).await
            }
            None => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl StockLedger for Resilient<dyn BookingSystem> {
    async fn nights(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<StockNight>> {
        match self.system.stock() {
            Some(stock) => {
                let ask = || stock.nights(hotel, room_type, stay);
                self.read(Class::Availability, ask).await
            }
            None => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl Pms for Resilient<dyn Pms> {
    async fn book(&self, order: &BookingOrder) -> Result<Booking> {
        let (system, order) = (self.system.clone(), order.clone());
        self.write(async move { system.book(&order).await }).await
    }

    async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        self.read(Class::Read, || self.system.booking(id)).await
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        self.read(Class::Read, || self.system.find(key)).await
    }

    async fn cancel(&self, id: BookingId, forced: bool) -> Result<Booking> {
        let system = self.system.clone();
        self.write(async move { system.cancel(id, forced).await }).await
    }

    async fn change(&self, id: BookingId, change: &BookingChange) -> Result<Booking> {
        let (system, change) = (self.system.clone(), change.clone());
        self.write(async move { system.change(id, &change).await }).await
    }

    async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        self.read(Class::Availability, || self.system.quote_change(id, change))
            .await
    }

    async fn move_guests(&self, id: BookingId, movement: Movement) -> Result<Booking> {
        let system = self.system.clone();
        self.write(async move { system.move_guests(id, movement).await })
            .await
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Booking>> {
        self.read(Class::Read, || self.system.movements(hotel, movement, day))
            .await
    }

    async fn folio(&self, id: BookingId) -> Result<Folio> {
        self.read(Class::Read, || self.system.folio(id)).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<(Vec<Change>, ChangeCursor)> {
        self.read(Class::Read, || self.system.changes(cursor, most)).await
    }
}
