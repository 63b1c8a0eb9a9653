//! The promises that a system does not keep by itself, kept around it.

mod booking;
#[cfg(test)]
mod deaths;
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
mod settle;
pub(crate) mod store;
mod verify;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
use super::record::{Movement, Record};
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
    /// Whether this process looks for what others left unfinished.
    pub(in crate::pms) sweeps: OnceLock<()>,
}

impl GuardedPms {
    fn system(&self) -> &dyn BookingSystem {
        &*self.bookings.provider
    }

    /// Begins to finish what other processes left, once.
    fn sweep(&self) {
        self.sweeps.get_or_init(|| {
            let bookings = self.bookings.clone();
            self.tasks.run_until_closed(async move {
                loop {
                    bookings.sweep().await;
                    tokio::time::sleep(BookingService::EVERY).await;
                }
            });
        });
    }

    /// Looks again in the background after a pause.
    fn look_later(&self, pause: Duration, watched: Watched, id: BookingId) {
        let look_again = look_again(self.bookings.clone(), self.tasks.clone(), pause, watched, id);
        // What it did is told as an event.
        self.tasks.in_background(async move { drop(look_again.await) });
    }
}

/// A handle that closes does not wait for the pause. Looking a little early is better than never, and leaves the look in
/// time to another process.
async fn look_again(
    bookings: Arc<BookingService>,
    waiting: Tasks,
    pause: Duration,
    watched: Watched,
    id: BookingId,
) -> Result<Booking> {
    waiting.pause(pause).await;
    bookings.recheck(&watched, id, !waiting.is_closed()).await
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
        self.sweep();
        let booked = bookings.book(request, order.hold.as_ref()).await?;
        let Some(pause) = booked.recheck else {
            return Ok(booked.booking);
        };
        let (watched, id) = (Watched::from(request), booked.booking.id);
        match request.recheck {
            Recheck::Wait => look_again(bookings, self.tasks.clone(), pause, watched, id).await,
            Recheck::Detached => {
                self.look_later(pause, watched, id);
                Ok(booked.booking)
            }
        }
    }

    async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        self.sweep();
        let Some(record) = self.system().record(id).await? else {
            return Ok(None);
        };
        let Some(key) = record.key.as_ref().filter(|_| !record.cancelled) else {
            return booking::answer(&record, Created::FoundAgain).map(Some);
        };
        if !self.bookings.settled(key).await? {
            return booking::answer(&record, Created::FoundAgain).map(Some);
        }
        let record = self.system().record(id).await?;
        record
            .map(|record| booking::answer(&record, Created::FoundAgain))
            .transpose()
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        self.sweep();
        self.bookings.settled(key).await?;
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
        if let Some((took, watched)) = modified.moved.filter(|_| self.bookings.rechecks()) {
            self.look_later(bookings.recheck_pause(took), watched, id);
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
        // Who has come and gone is no arrival any more.
        let comes = |record: &Record| {
            let mut rows = record.live_rows();
            rows.any(|row| row.stay.check_in() == day)
        };
        let bookings = records
            .iter()
            .filter(|record| movement == Movement::Departure || comes(record))
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
