//! Plays the table at the head of [`booking`](super::booking): a process dies before and after each of its questions and
//! writes, one after the other, and the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::Notify;

use super::recheck::Watched;
use super::store::{KeyRecord, KeyStore};
use super::{BookingService, MemoryKeys};
use crate::error::{Result, codes};
use crate::pms::capabilities::Capabilities;
use crate::pms::fixture::{World, request, room, room_type, stay};
use crate::pms::port::{BookingSystem, Catalogue, RoomLedger};
use crate::pms::record::{Record, Room, Row, RowChange};
use crate::pms::{
    Booking, BookingId, BookingRequest, BookingStatus, Hotel, HotelId, IdempotencyKey, MissingPermission,
    MockFault, MockOperation, MockPms, Money, Offer, Party, RoomId, RoomType, RoomTypeId, Service, StayId,
};
use crate::stay::Stay;

/// Ends a process after a number of steps: what it does then never comes back.
#[derive(Default)]
struct Fuse {
    left: AtomicI64,
    blown: Notify,
}

impl Fuse {
    async fn step(&self) {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left == 0 {
            self.blown.notify_one();
        }
        if left <= 0 {
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        self.step().await;
        let outcome = work.await;
        self.step().await;
        outcome
    }
}

/// What befalls a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Plain,
    /// Its answer is lost.
    Lost,
    /// It is given a room that an earlier booking has, and others are free.
    Shared,
    /// The same, in a full hotel.
    SharedAndFull,
    /// It costs more than was agreed.
    Dearer,
    /// The website, which checked before, writes into its room once the process has died; the hotel is full then.
    Website,
}

/// The mock of a process that may die.
struct Mortal {
    mock: MockPms,
    fuse: Arc<Fuse>,
    mishap: Mishap,
}

impl Mortal {
    /// An earlier booking gets into the room of a new one.
    async fn share(&self, id: BookingId) -> Result<()> {
        let earlier = IdempotencyKey::parse("earlier")?;
        let ours = self.mock.record(id).await?.unwrap();
        let earlier = self.mock.find(&earlier).await?.pop().unwrap();
        let place = ours.rows[0].room.clone().unwrap();
        let change = RowChange {
            stay: Some(stay()),
            ..RowChange::to_room(place)
        };
        self.mock
            .change_row(earlier.id, earlier.rows[0].id, &change)
            .await
    }
}

#[async_trait]
impl Catalogue for Mortal {
    fn system(&self) -> &str {
        self.mock.system()
    }

    fn capabilities(&self) -> &Capabilities {
        self.mock.capabilities()
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        self.mock.check().await
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.mock.hotels().await
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        self.mock.room_types(hotel).await
    }

    async fn today(&self, hotel: HotelId) -> Result<NaiveDate> {
        self.mock.today(hotel).await
    }

    async fn offers(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: &Party,
        room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        self.fuse
            .around(self.mock.offers(hotel, stay, party, room_type))
            .await
    }

    async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.mock.services(hotel, room_type).await
    }
}

#[async_trait]
impl BookingSystem for Mortal {
    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId> {
        let create = async {
            if self.mishap == Mishap::Dearer {
                let dearer = Money::parse("2000", "USD")?;
                self.mock.set_base_price(room_type(), dearer);
            }
            let made = self.mock.create(request, offer, total).await;
            if let (Ok(id), Mishap::Shared | Mishap::SharedAndFull) = (&made, self.mishap) {
                self.share(*id).await?;
            }
            made
        };
        self.fuse.around(create).await
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        self.fuse.around(self.mock.find(key)).await
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        self.fuse.around(self.mock.record(booking)).await
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        self.fuse.around(BookingSystem::cancel(&self.mock, booking)).await
    }

    fn rooms(&self) -> Option<&dyn RoomLedger> {
        Some(self)
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        self.fuse.around(self.mock.change_row(booking, row, change)).await
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        self.fuse.around(self.mock.set_total(record, total)).await
    }
}

#[async_trait]
impl RoomLedger for Mortal {
    async fn rows_on(&self, room: RoomId, stay: Stay) -> Result<Vec<Row>> {
        self.fuse.around(self.mock.rows_on(room, stay)).await
    }

    async fn free_rooms(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Vec<Room>> {
        self.fuse
            .around(self.mock.free_rooms(hotel, room_type, stay))
            .await
    }
}

struct MortalKeys {
    keys: Arc<MemoryKeys>,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl KeyStore for MortalKeys {
    async fn read(&self, system: &str, key: &IdempotencyKey) -> Result<KeyRecord> {
        self.fuse.around(self.keys.read(system, key)).await
    }

    async fn write(&self, system: &str, key: &IdempotencyKey, record: &KeyRecord) -> Result<()> {
        self.fuse.around(self.keys.write(system, key, record)).await
    }

    async fn unsettle(&self, system: &str, key: &IdempotencyKey, due: DateTime<Utc>) -> Result<()> {
        self.fuse.around(self.keys.unsettle(system, key, due)).await
    }

    async fn settle(&self, system: &str, key: &IdempotencyKey) -> Result<()> {
        self.fuse.around(self.keys.settle(system, key)).await
    }

    async fn unsettled(&self, system: &str, key: &IdempotencyKey) -> Result<Option<DateTime<Utc>>> {
        self.fuse.around(self.keys.unsettled(system, key)).await
    }

    async fn overdue(&self, system: &str, now: DateTime<Utc>) -> Result<Vec<IdempotencyKey>> {
        self.fuse.around(self.keys.overdue(system, now)).await
    }
}

/// A process that lives for `steps` steps.
fn process(world: &World, mishap: Mishap, steps: i64) -> (Arc<BookingService>, Arc<Fuse>) {
    let fuse = Arc::new(Fuse {
        left: AtomicI64::new(steps),
        blown: Notify::new(),
    });
    let provider = Arc::new(Mortal {
        mock: world.mock.clone(),
        fuse: fuse.clone(),
        mishap,
    });
    let keys = Arc::new(MortalKeys {
        keys: world.keys.clone(),
        fuse: fuse.clone(),
    });
    (world.bookings(provider, keys), fuse)
}

/// One that does not die.
fn other(world: &World) -> Arc<BookingService> {
    process(world, Mishap::Plain, i64::MAX).0
}

fn mine() -> IdempotencyKey {
    IdempotencyKey::parse("mine").unwrap()
}

/// Books, and looks again.
async fn live(bookings: Arc<BookingService>, request: &BookingRequest) -> Result<Booking> {
    let booked = bookings.book(request, None).await?;
    match booked.recheck {
        Some(_) => {
            let watched = Watched::from(request);
            bookings.recheck(&watched, booked.booking.id, true).await
        }
        None => Ok(booked.booking),
    }
}

/// A booking in other nights, and a price that was agreed.
async fn prepare(world: &World, mishap: Mishap) -> BookingRequest {
    let others = match mishap {
        Mishap::SharedAndFull | Mishap::Website => 4,
        _ => 0,
    };
    if others > 0 {
        world.occupy(stay(), others).await;
    }
    let elsewhere = Stay::parse("2027-05-01", "2027-05-03").unwrap();
    let earlier = request("earlier", elsewhere, room(1));
    world.process().book(&earlier, None).await.unwrap();
    let quote = world
        .process()
        .quote(
            request("mine", stay(), room(2)).hotel(),
            room_type(),
            stay(),
            room(2),
        )
        .await
        .unwrap();
    if mishap == Mishap::Lost {
        world
            .mock
            .script(MockOperation::Create, MockFault::TimeoutAfterWrite, 1);
    }
    request("mine", stay(), room(2)).quote(quote).unwrap()
}

/// The website writes into the room of our booking, if there is one whose recheck has not ended: it does not take longer.
async fn website_writes(world: &World) {
    if world.keys.unsettled("mock", &mine()).await.unwrap().is_none() {
        return;
    }
    let ours = world.mock.find(&mine()).await.unwrap();
    let Some(ours) = ours.into_iter().find(|record| !record.cancelled) else {
        return;
    };
    let later = request(
        "website",
        Stay::parse("2027-06-01", "2027-06-03").unwrap(),
        room(1),
    );
    let offer = Offer::new(
        room_type(),
        "General Rooms",
        1,
        crate::pms::Price::new(ours.total),
    );
    let id = world.mock.create(&later, &offer, ours.total).await.unwrap();
    let theirs = world.mock.record(id).await.unwrap().unwrap();
    let change = RowChange {
        stay: Some(stay()),
        ..RowChange::to_room(ours.rows[0].room.clone().unwrap())
    };
    world
        .mock
        .change_row(id, theirs.rows[0].id, &change)
        .await
        .unwrap();
}

/// What must be so once the others have gone on.
async fn assert_sound(world: &World, what: &str) -> usize {
    assert_eq!(world.mock.double_booked_nights(), 0, "{what}: a room for two");
    let ours = world.mock.find(&mine()).await.unwrap();
    let live: Vec<_> = ours.iter().filter(|record| !record.cancelled).collect();
    assert!(live.len() <= 1, "{what}: {} bookings", live.len());
    for record in &live {
        assert_eq!(record.status(), BookingStatus::Confirmed, "{what}");
    }
    let unsettled = world.keys.unsettled("mock", &mine()).await.unwrap();
    assert_eq!(unsettled, None, "{what}: unsettled");
    live.len()
}

/// Dies after `steps` steps; whether it died before its end.
async fn dies(world: &World, mishap: Mishap, request: &BookingRequest, steps: i64) -> bool {
    let (bookings, fuse) = process(world, mishap, steps);
    tokio::select! {
        biased;
        () = fuse.blown.notified() => true,
        _ = live(bookings, request) => false,
    }
}

#[tokio::test]
async fn wherever_a_process_dies_the_same_key_finishes_its_booking() {
    for mishap in [
        Mishap::Plain,
        Mishap::Lost,
        Mishap::Shared,
        Mishap::SharedAndFull,
        Mishap::Dearer,
        Mishap::Website,
    ] {
        let mut steps = 0;
        loop {
            let world = World::new();
            let request = prepare(&world, mishap).await;
            let died = dies(&world, mishap, &request, steps).await;
            if mishap == Mishap::Website && died {
                website_writes(&world).await;
            }
            world.mock.calm();
            let what = format!("{mishap:?} after {steps} steps");
            let again = live(other(&world), &request).await;
            let left = assert_sound(&world, &what).await;
            match &again {
                Ok(booking) => {
                    assert_eq!((booking.status, left), (BookingStatus::Confirmed, 1), "{what}");
                    let same = live(other(&world), &request).await.unwrap();
                    assert_eq!(same.id, booking.id, "{what}");
                }
                Err(error) => {
                    let told = [
                        codes::PMS_SOLD_OUT,
                        codes::PMS_PRICE_CHANGED,
                        codes::PMS_WRONG_STATE,
                    ];
                    assert!(told.iter().any(|code| error.is(*code)), "{what}: {error}");
                    assert_eq!(left, 0, "{what}");
                }
            }
            if matches!(mishap, Mishap::Plain | Mishap::Lost | Mishap::Shared) {
                assert_eq!(left, 1, "{what}: {again:?}");
            }
            if !died {
                break;
            }
            steps += 1;
        }
        assert!(steps > 20, "{mishap:?} has {steps} steps");
    }
}

#[tokio::test]
async fn wherever_a_process_dies_the_sweep_of_another_leaves_no_room_to_two_and_nothing_unsettled() {
    for mishap in [
        Mishap::Plain,
        Mishap::Lost,
        Mishap::Shared,
        Mishap::SharedAndFull,
        Mishap::Dearer,
        Mishap::Website,
    ] {
        let mut steps = 0;
        loop {
            let world = World::new();
            let request = prepare(&world, mishap).await;
            let died = dies(&world, mishap, &request, steps).await;
            if mishap == Mishap::Website && died {
                website_writes(&world).await;
            }
            world.mock.calm();
            world.clock.advance(Duration::from_mins(20));
            other(&world).sweep().await;
            assert_sound(&world, &format!("{mishap:?} after {steps} steps")).await;
            if !died {
                break;
            }
            steps += 1;
        }
    }
}

#[tokio::test]
async fn a_question_about_a_booking_that_nobody_was_told_about_finishes_it() {
    let mut steps = 0;
    loop {
        let world = World::new();
        let request = prepare(&world, Mishap::Plain).await;
        let died = dies(&world, Mishap::Plain, &request, steps).await;
        let found = world.process().find_booking(&mine()).await;
        match found {
            Ok(Some(booking)) => assert_eq!(booking.status, BookingStatus::Confirmed),
            Ok(None) => assert!(world.mock.find(&mine()).await.unwrap().is_empty()),
            Err(error) => assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}"),
        }
        if !died {
            break;
        }
        steps += 1;
    }
}
