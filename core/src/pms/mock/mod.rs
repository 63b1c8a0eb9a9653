//! A small hotel in memory: the default of the embedded handle, and the executable specification of a provider.
//!
//! It sells, collides and fails as the real system does. Between choosing rooms and writing them it can leave a
//! [gap](MockPms::set_gap), in which other bookings take the same rooms; and it can be [told](MockPms::script) to
//! lose answers. Numbers and references count up, so that the same calls give the same bookings.

mod fault;
mod hotel;
#[cfg(any(test, feature = "testkit"))]
mod lab;
mod life;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::capabilities::{Capabilities, Feature, Guards};
use super::feed::ChangeCursor;
use super::folio::Folio;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey, RoomId, RoomTypeId, StayId};
use super::model::{Hotel, MissingPermission, Offer, RoomType};
use super::money::Money;
use super::occupancy::Party;
use super::port::{BookingSystem, Catalogue, RoomLedger};
use super::price::Price;
use super::record::{ChangePage, Movement, Record, Room, Row, RowChange};
use super::request::BookingRequest;
use super::service::Service;
use crate::clock::SharedClock;
use crate::error::Result;
use crate::stay::Stay;
use crate::sync::lock;
pub use fault::{MockFault, MockOperation};
use fault::{Script, Strike, outcome_unknown};
use hotel::MockHotel;

/// What becomes of a booking whose rooms were taken between choosing and writing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MockCollision {
    /// It is accepted and silently back-ordered.
    #[default]
    BackOrder,
    /// Both bookings have the same room.
    DoubleBook,
}

/// The mock hotel. Clones share it, so a test can keep one to script faults and to look behind the state.
///
/// "The Hotel Prime" has the id 1 and four room types (1 to 4) of five rooms each, for 1000, 1500, 2000 and 2500 USD
/// a night, plus 250 for service and 4 % tax, so the cheapest room is 1300.00 USD. A room takes two adults, two
/// children and four guests. It may have internet (service 6, 250 USD before tax), a shuttle (7, 50), a cab (8, 200)
/// and breakfast (9, 350 a night) once, and dinner (10, 450 a night) up to four times. The hotel's calendar is UTC, and
/// it sells 365 days ahead.
#[derive(Clone)]
pub struct MockPms(Arc<Inner>);

struct Inner {
    clock: SharedClock,
    capabilities: Capabilities,
    state: Mutex<MockState>,
}

struct MockState {
    hotel: MockHotel,
    script: Script,
    gap: usize,
    collision: MockCollision,
    collisions: usize,
    /// Bookings whose answer was lost and that will be written after this number of further look-ups of their key.
    late: Vec<(u32, BookingRequest, Money)>,
    /// Whether every list price doubles before the next booking is written.
    #[cfg(any(test, feature = "testkit"))]
    is_dearer_next: bool,
}

/// The hotel and its moods.
impl MockPms {
    /// An empty hotel whose calendar follows the clock.
    ///
    /// # Errors
    /// None that can happen: the demo data is valid.
    pub fn new(clock: SharedClock) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            clock,
            capabilities: Capabilities::new(Guards::default()).all_of(&Feature::ALL),
            state: Mutex::new(MockState {
                hotel: MockHotel::demo()?,
                script: Script::default(),
                gap: 0,
                collision: MockCollision::default(),
                collisions: 0,
                late: Vec::new(),
                #[cfg(any(test, feature = "testkit"))]
                is_dearer_next: false,
            }),
        })))
    }

    /// Makes the next `times` calls of this kind go wrong. Faults of one kind strike in the order of scripting.
    pub fn script(&self, operation: MockOperation, fault: MockFault, times: usize) {
        self.state().script.add(operation, fault, times);
    }

    /// Forgets the faults that are still to come.
    #[cfg(any(test, feature = "testkit"))]
    pub(super) fn calm(&self) {
        self.state().script = Script::default();
    }

    /// How often a booking yields to other tasks between choosing its rooms and writing them, and a row before it
    /// is moved. With 0, the default, a booking is one step and no collision happens.
    pub fn set_gap(&self, yields: usize) {
        self.state().gap = yields;
    }

    /// What becomes of the loser of a collision.
    pub fn set_collision(&self, collision: MockCollision) {
        self.state().collision = collision;
    }

    /// Changes the list price of a room type, as the hotel may do between a quote and a booking. An unknown room
    /// type is ignored.
    pub fn set_base_price(&self, room_type: RoomTypeId, price: Money) {
        let mut state = self.state();
        if let Some(known) = state
            .hotel
            .room_types
            .iter_mut()
            .find(|known| known.id == room_type)
        {
            known.base_price = price;
        }
    }

    /// Lets the town take a tax of each guest for each night, which is paid at the hotel on top of everything else. It
    /// counts for what is offered and booked from now on.
    ///
    /// # Errors
    /// `money.invalid` for another currency than that of the hotel.
    pub fn set_city_tax(&self, each: Money) -> Result<()> {
        let mut state = self.state();
        Money::zero(state.hotel.hotel.currency).plus(each)?;
        state.hotel.city_tax = Some(each);
        Ok(())
    }

    /// How many rooms collided so far.
    pub fn collisions(&self) -> usize {
        self.state().collisions
    }

    /// How many bookings were ever begun, cancelled ones among them.
    pub fn bookings(&self) -> usize {
        self.state().hotel.bookings.len()
    }

    /// How many room nights two guests have at this moment.
    pub fn double_booked_nights(&self) -> usize {
        self.state().hotel.double_booked()
    }

    fn state(&self) -> MutexGuard<'_, MockState> {
        lock(&self.0.state)
    }

    /// The state, unless a scripted fault strikes this read.
    fn read(&self) -> Result<MutexGuard<'_, MockState>> {
        let mut state = self.state();
        state.script.read()?;
        Ok(state)
    }

    async fn write(&self, request: &BookingRequest, total: Money) -> Result<BookingId> {
        let now = self.0.clock.now();
        let (gap, rooms) = {
            let mut state = self.state();
            let rooms = state.hotel.choose(request)?;
            if state.gap == 0 {
                let id = state.open(request, total, now)?;
                state.fill(id, request, rooms, now);
                return Ok(id);
            }
            (state.gap, rooms)
        };
        pause(gap).await;
        let id = self.state().open(request, total, now)?;
        pause(gap).await;
        self.state().fill(id, request, rooms, self.0.clock.now());
        Ok(id)
    }

    /// Counts a look-up of this key and answers the bookings that were late long enough.
    fn ripe(&self, key: &IdempotencyKey) -> Vec<(BookingRequest, Money)> {
        let mut state = self.state();
        for (lookups, request, _) in &mut state.late {
            if request.key() == key {
                *lookups = lookups.saturating_sub(1);
            }
        }
        let (ripe, late) = std::mem::take(&mut state.late)
            .into_iter()
            .partition(|(lookups, ..)| *lookups == 0);
        state.late = late;
        ripe.into_iter()
            .map(|(_, request, total)| (request, total))
            .collect()
    }
}

impl MockState {
    /// Begins a booking. A total above the hotel's own price is charged as given; a lower one is ignored.
    fn open(&mut self, request: &BookingRequest, total: Money, now: DateTime<Utc>) -> Result<BookingId> {
        #[cfg(any(test, feature = "testkit"))]
        if std::mem::take(&mut self.is_dearer_next) {
            for known in &mut self.hotel.room_types {
                known.base_price = known.base_price.times(2)?;
            }
        }
        let types = &self.hotel.room_types;
        let mut price = match types.iter().find(|known| known.id == request.room_type()) {
            Some(known) => Self::night(known)?
                .1
                .times(request.stay().nights() * request.party().rooms())?
                .plus(self.hotel.price_of_services(request)?)?,
            None => total,
        };
        let (guests, nights) = (request.party().each_room(), request.stay().nights());
        if let Some(charge) = self.hotel.city_tax(guests, nights)? {
            price = price.plus(charge.amount)?;
        }
        let total = if total > price { total } else { price };
        Ok(self.hotel.open(request, total, now))
    }

    fn fill(&mut self, id: BookingId, request: &BookingRequest, rooms: Vec<Room>, now: DateTime<Utc>) {
        let doubles = self.collision == MockCollision::DoubleBook;
        self.collisions += self.hotel.fill(id, request, rooms, doubles, now);
    }

    /// The price of one room and night, without and with tax.
    fn night(room_type: &RoomType) -> Result<(Money, Money)> {
        let service = Money::new(Decimal::from(250), room_type.base_price.currency())?;
        let net = room_type.base_price.plus(service)?;
        Ok((net, net.scaled(MockHotel::TAX)?))
    }
}

async fn pause(yields: usize) {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Catalogue for MockPms {
    fn system(&self) -> &'static str {
        "mock"
    }

    fn is_mock(&self) -> bool {
        true
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        drop(self.read()?);
        Ok(Vec::new())
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        Ok(vec![self.read()?.hotel.hotel.clone()])
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        let state = self.read()?;
        Ok(state
            .hotel
            .room_types
            .iter()
            .filter(|known| known.hotel == hotel)
            .cloned()
            .collect())
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        let state = self.read()?;
        let mut types = state.hotel.room_types.iter();
        let is_sold = types.any(|known| known.hotel == hotel && known.id == room_type);
        Ok(if is_sold {
            state.hotel.services.clone()
        } else {
            Vec::new()
        })
    }

    async fn today(&self, _hotel: HotelId) -> Result<NaiveDate> {
        drop(self.read()?);
        Ok(self.0.clock.now().date_naive())
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        let state = self.read()?;
        let asked = |known: &&RoomType| known.hotel == hotel && room_type.is_none_or(|id| id == known.id);
        let offer = |known: &RoomType| {
            let (net, gross) = MockState::night(known)?;
            let room_nights = stay.nights() * party.rooms();
            let free = state.hotel.free_rooms(known.id, stay).len();
            let available = u32::try_from(free).unwrap_or(u32::MAX);
            let mut price = Price::taxed(net.times(room_nights)?, gross.times(room_nights)?);
            if let Some(charge) = state.hotel.city_tax(party.each_room(), stay.nights())? {
                price.payable = price.payable.plus(charge.amount)?;
                price.charges.push(charge);
            }
            let mut offer = Offer::new(known.id, &known.name, available, price);
            offer.per_night = stay.each_night().map(|night| (night, gross)).collect();
            Ok(offer)
        };
        state.hotel.room_types.iter().filter(asked).map(offer).collect()
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        Ok(self.read()?.hotel.guest(email).cloned())
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        let mut state = self.state();
        let strike = state.script.write(MockOperation::Guest)?;
        state.hotel.add_guest(guest);
        answered(strike)
    }
}

#[async_trait]
impl BookingSystem for MockPms {
    async fn create(&self, request: &BookingRequest, _offer: &Offer, total: Money) -> Result<BookingId> {
        let strike = self.state().script.write(MockOperation::Create)?;
        if let Strike::WriteLater { after_lookups } = strike {
            self.state().late.push((after_lookups, request.clone(), total));
            return Err(outcome_unknown());
        }
        let id = self.write(request, total).await?;
        if strike == Strike::None {
            Ok(id)
        } else {
            Err(outcome_unknown())
        }
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        drop(self.read()?);
        let found = |state: &MockState| {
            let carries = |record: &&Record| record.key.as_ref() == Some(key);
            state.hotel.bookings.values().filter(carries).cloned().collect()
        };
        // What is written during this look-up shows in the next one.
        let records = found(&self.state());
        for (request, total) in self.ripe(key) {
            // A late booking that finds no room leaves nothing behind, as in the real system.
            let _ = self.write(&request, total).await;
        }
        Ok(records)
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        Ok(self.read()?.hotel.bookings.get(&booking).cloned())
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        let (strike, gap) = {
            let mut state = self.state();
            (state.script.write(MockOperation::Place)?, state.gap)
        };
        pause(gap).await;
        let now = self.0.clock.now();
        self.state().hotel.change_row(booking, row, change, now)?;
        answered(strike)
    }

    fn rooms(&self) -> Option<&dyn RoomLedger> {
        Some(self)
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        let mut state = self.state();
        let strike = state.script.write(MockOperation::Price)?;
        state.hotel.set_total(record.id, total, self.0.clock.now());
        answered(strike)
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        let mut state = self.state();
        let strike = state.script.write(MockOperation::Cancel)?;
        state.hotel.cancel(booking, self.0.clock.now())?;
        answered(strike)
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Record>> {
        Ok(self.read()?.hotel.movements(hotel, movement, day))
    }

    async fn folio(&self, record: &Record) -> Result<Folio> {
        self.read()?.hotel.folio(record)
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage> {
        self.read()?.hotel.changes_since(cursor, most)
    }
}

#[async_trait]
impl RoomLedger for MockPms {
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
        Ok(self.read()?.hotel.rows_on(room, stay))
    }

    async fn free_rooms(&self, _hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>> {
        Ok(self.read()?.hotel.free_rooms(room_type, stay))
    }
}

fn answered(strike: Strike) -> Result<()> {
    if strike == Strike::None {
        Ok(())
    } else {
        Err(outcome_unknown())
    }
}

impl fmt::Debug for MockPms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockPms")
            .field("bookings", &self.bookings())
            .finish_non_exhaustive()
    }
}
