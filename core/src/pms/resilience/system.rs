//! What stands around every call to a system of a caller's own.
//!
//! QloApps is left out: one of its calls is many requests, and these rules stand around each of them.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;

use super::{Attempt, Class, Resilience};
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

/// A system, every call to which has a deadline, a breaker, a bulkhead and a pace; reads are repeated.
pub(crate) struct Resilient<S: ?Sized> {
    system: Arc<S>,
    rules: Resilience,
}

impl<S: Catalogue + ?Sized> Resilient<S> {
    pub(crate) fn new(system: Arc<S>, rules: Resilience) -> Self {
        Self { system, rules }
    }

    async fn run<T, F>(&self, class: Class, mut call: impl FnMut() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let attempt = || {
            let answer = call();
            async {
                let outcome = answer.await;
                Attempt {
                    answered: outcome.as_ref().err().is_none_or(is_an_answer),
                    outcome,
                }
            }
        };
        self.rules.run(class, attempt).await
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

    fn is_asked(&self) -> Result<()> {
        self.rules.refusal(Class::Read).map_or(Ok(()), Err)?;
        self.system.is_asked()
    }

    fn admit_guest(&self, guest: &Guest) -> Result<()> {
        self.system.admit_guest(guest)
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        self.run(Class::Read, || self.system.check()).await
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.run(Class::Read, || self.system.hotels()).await
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        self.run(Class::Read, || self.system.room_types(hotel)).await
    }

    async fn today(&self, hotel: HotelId) -> Result<NaiveDate> {
        self.run(Class::Read, || self.system.today(hotel)).await
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        let ask = || self.system.offers(hotel, stay, party, room_type);
        self.run(Class::Availability, ask).await
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.run(Class::Read, || self.system.services(hotel, room_type))
            .await
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        self.run(Class::Read, || self.system.guest(email)).await
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        self.run(Class::Write, || self.system.create_guest(guest)).await
    }
}

#[async_trait]
impl BookingSystem for Resilient<dyn BookingSystem> {
    async fn can_book(&self) -> Result<()> {
        self.run(Class::Read, || self.system.can_book()).await
    }

    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId> {
        self.run(Class::Write, || self.system.create(request, offer, total))
            .await
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        self.run(Class::Read, || self.system.find(key)).await
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        self.run(Class::Read, || self.system.record(booking)).await
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        self.run(Class::Write, || self.system.cancel(booking)).await
    }

    fn rooms(&self) -> Option<&dyn RoomLedger> {
        self.system.rooms().map(|_| self as &dyn RoomLedger)
    }

    fn stock(&self) -> Option<&dyn StockLedger> {
        self.system.stock().map(|_| self as &dyn StockLedger)
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        self.run(Class::Write, || self.system.change_row(booking, row, change))
            .await
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        self.run(Class::Write, || self.system.set_total(record, total))
            .await
    }

    async fn can_set_total(&self, record: &Record, stay: Stay, total: Money, and_back: bool) -> Result<()> {
        let ask = || self.system.can_set_total(record, stay, total, and_back);
        self.run(Class::Read, ask).await
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Record>> {
        self.run(Class::Read, || self.system.movements(hotel, movement, day))
            .await
    }

    async fn folio(&self, record: &Record) -> Result<Folio> {
        self.run(Class::Read, || self.system.folio(record)).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage> {
        self.run(Class::Read, || self.system.changes(cursor, most)).await
    }
}

#[async_trait]
impl RoomLedger for Resilient<dyn BookingSystem> {
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
        match self.system.rooms() {
            Some(rooms) => self.run(Class::Read, || rooms.rows_on(room, stay)).await,
            None => Ok(Vec::new()),
        }
    }

    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>> {
        match self.system.rooms() {
            Some(rooms) => {
                let ask = || rooms.free_rooms(hotel, room_type, stay);
                self.run(Class::Availability, ask).await
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
                self.run(Class::Availability, ask).await
            }
            None => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl Pms for Resilient<dyn Pms> {
    async fn book(&self, order: &BookingOrder) -> Result<Booking> {
        self.run(Class::Write, || self.system.book(order)).await
    }

    async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        self.run(Class::Read, || self.system.booking(id)).await
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        self.run(Class::Read, || self.system.find(key)).await
    }

    async fn cancel(&self, id: BookingId, forced: bool) -> Result<Booking> {
        self.run(Class::Write, || self.system.cancel(id, forced)).await
    }

    async fn change(&self, id: BookingId, change: &BookingChange) -> Result<Booking> {
        self.run(Class::Write, || self.system.change(id, change)).await
    }

    async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        self.run(Class::Availability, || self.system.quote_change(id, change))
            .await
    }

    async fn move_guests(&self, id: BookingId, movement: Movement) -> Result<Booking> {
        self.run(Class::Write, || self.system.move_guests(id, movement))
            .await
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Booking>> {
        self.run(Class::Read, || self.system.movements(hotel, movement, day))
            .await
    }

    async fn folio(&self, id: BookingId) -> Result<Folio> {
        self.run(Class::Read, || self.system.folio(id)).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<(Vec<Change>, ChangeCursor)> {
        self.run(Class::Read, || self.system.changes(cursor, most)).await
    }
}
