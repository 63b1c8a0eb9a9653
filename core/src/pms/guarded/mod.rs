//! The promises that a system does not keep by itself, kept around it.

mod booking;
mod front_desk;
pub(crate) mod gate;
#[cfg(test)]
mod interrupted_changes;
mod ledger;
mod memory;
mod modify;
mod recheck;
mod redis;
pub(crate) mod retry;
pub(crate) mod store;
mod verify;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDate;

use super::BookingChange;
use super::capabilities::Capabilities;
use super::events::Recheck;
use super::feed::{Change, ChangeCursor};
use super::folio::Folio;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RoomTypeId};
use super::model::{Booking, BookingStatus, Created, Hotel, MissingPermission, Offer, Quote, RoomType};
use super::occupancy::Party;
use super::port::{BookingOrder, BookingSystem, Catalogue, Pms};
use super::record::Movement;
use super::service::Service;
use crate::error::Result;
use crate::stay::Stay;
use crate::task::Tasks;
pub(in crate::pms) use booking::{BookingService, same_price, sold_out};
pub(crate) use memory::MemoryKeys;
use recheck::Watched;
pub(crate) use redis::RedisKeys;

/// A [`BookingSystem`] for [`PosadaBuilder::pms`](crate::PosadaBuilder::pms), which keeps the promises around it that
/// the system does not claim.
#[derive(Clone)]
pub struct Guarded(Arc<dyn BookingSystem>);

impl Guarded {
    /// Nothing is asked.
    pub fn new(system: Arc<dyn BookingSystem>) -> Self {
        Self(system)
    }

    pub(crate) fn into_system(self) -> Arc<dyn BookingSystem> {
        self.0
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.0.system()).finish()
    }
}

/// A guarded system at work: with locks, with what is remembered of keys, and with rechecks in the background.
pub(in crate::pms) struct GuardedPms {
    pub(in crate::pms) bookings: Arc<BookingService>,
    pub(in crate::pms) tasks: Tasks,
}

impl GuardedPms {
    fn system(&self) -> &dyn BookingSystem {
        &*self.bookings.provider
    }

    /// Whether bookings are looked at again: not where the system keeps *stock*.
    fn rechecks(&self) -> bool {
        !self.bookings.guards().stock && !self.bookings.retry.recheck.is_zero()
    }
}

#[async_trait]
impl Catalogue for GuardedPms {
    fn system(&self) -> &str {
        self.system().system()
    }

    fn capabilities(&self) -> &Capabilities {
        self.system().capabilities()
    }

    fn is_mock(&self) -> bool {
        self.system().is_mock()
    }

    fn is_asked(&self) -> Result<()> {
        self.system().is_asked()
    }

    fn admit_guest(&self, guest: &Guest) -> Result<()> {
        self.system().admit_guest(guest)
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        self.system().check().await
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.system().hotels().await
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        self.system().room_types(hotel).await
    }

    async fn today(&self, hotel: HotelId) -> Result<NaiveDate> {
        self.system().today(hotel).await
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        self.system().offers(hotel, stay, party, room_type).await
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.system().services(hotel, room_type).await
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        self.system().guest(email).await
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        self.system().create_guest(guest).await
    }
}

#[async_trait]
impl Pms for GuardedPms {
    async fn book(&self, order: &BookingOrder) -> Result<Booking> {
        let (bookings, request) = (self.bookings.clone(), order.request());
        let booked = bookings.book(request, order.hold.as_ref()).await?;
        let (Some(made_in), true) = (booked.made_in, self.rechecks()) else {
            return Ok(booked.booking);
        };
        let (pause, id) = (bookings.recheck_pause(made_in), booked.booking.id);
        let (watched, waiting) = (Watched::from(request), self.tasks.clone());
        let look_again = async move {
            // A handle that closes does not wait for the pause; looking a little early is better than never.
            waiting.pause(pause).await;
            bookings.recheck(&watched, id).await
        };
        match request.recheck {
            Recheck::Wait => look_again.await,
            Recheck::Detached => {
                self.tasks.in_background(async move { drop(look_again.await) });
                Ok(booked.booking)
            }
        }
    }

    async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        let record = self.system().record(id).await?;
        record
            .map(|record| booking::answer(&record, Created::FoundAgain))
            .transpose()
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        let records = self.system().find(key).await?;
        let live = records
            .iter()
            .find(|record| record.status() != BookingStatus::Cancelled);
        live.or(records.last())
            .map(|record| booking::answer(record, Created::FoundAgain))
            .transpose()
    }

    async fn cancel(&self, id: BookingId, forced: bool) -> Result<Booking> {
        self.bookings.cancel(id, forced).await
    }

    async fn change(&self, id: BookingId, change: &BookingChange) -> Result<Booking> {
        let bookings = self.bookings.clone();
        let modified = bookings.modify(id, change).await?;
        if let Some((took, watched)) = modified.moved.filter(|_| self.rechecks()) {
            let (pause, waiting) = (bookings.recheck_pause(took), self.tasks.clone());
            self.tasks.in_background(async move {
                waiting.pause(pause).await;
                // What it did is told as an event.
                drop(bookings.recheck(&watched, id).await);
            });
        }
        Ok(modified.booking)
    }

    async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        self.bookings.quote_change(id, change).await
    }

    async fn move_guests(&self, id: BookingId, movement: Movement) -> Result<Booking> {
        self.bookings.move_guests(id, movement).await
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Booking>> {
        let records = self.system().movements(hotel, movement, day).await?;
        let bookings = records
            .iter()
            .filter_map(|record| record.booking(Created::FoundAgain));
        Ok(bookings.collect())
    }

    async fn folio(&self, id: BookingId) -> Result<Folio> {
        let record = self.bookings.existing(id).await?;
        self.system().folio(&record).await
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<(Vec<Change>, ChangeCursor)> {
        let page = self.system().changes(cursor, most).await?;
        let changes = page.changes.into_iter().map(|(id, changed_at, record)| Change {
            id,
            changed_at,
            booking: record.and_then(|record| record.booking(Created::FoundAgain)),
        });
        Ok((changes.collect(), page.next))
    }
}
