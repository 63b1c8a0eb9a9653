//! A hotel of two rooms that keeps every promise by itself: one mutex around everything, and a map by key. A test can
//! make it fail, stall and panic.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDate, NaiveTime, Utc};
use posada::error::codes;
use posada::pms::port::{BookingOrder, Catalogue, Pms, Record, Room, Row, async_trait, failure};
use posada::pms::{
    Booking, BookingId, Capabilities, Created, Guards, GuestId, GuestProfile, Hotel, HotelId,
    MissingPermission, OccupancyLimits, Offer, Party, Price, RoomId, RoomType, RoomTypeId, StayId,
};
use posada::testkit::pms::Lab;
use posada::{Code, IdempotencyKey, Money, Result, Stay};
use tokio::sync::watch;

pub(super) struct TwoRooms {
    capabilities: Capabilities,
    state: Mutex<State>,
    /// What does not wait.
    gate: watch::Sender<Gate>,
    /// How many bookings there are.
    written: watch::Sender<usize>,
}

struct State {
    night: Money,
    raised: bool,
    /// Bookings by the text of their key, in the order of writing.
    by_key: BTreeMap<String, Record>,
    lost: usize,
    /// How often it was asked, and what it is to say next.
    asked: usize,
    failures: Vec<Code>,
    panics: bool,
    missing: Vec<MissingPermission>,
}

impl TwoRooms {
    pub(super) fn new() -> Self {
        Self {
            capabilities: Capabilities::new(Guards::ALL),
            state: Mutex::new(State {
                night: Money::parse("12000", "JPY").unwrap(),
                raised: false,
                by_key: BTreeMap::new(),
                lost: 0,
                asked: 0,
                failures: Vec::new(),
                panics: false,
                missing: Vec::new(),
            }),
            gate: watch::Sender::new(Gate::Open),
            written: watch::Sender::new(0),
        }
    }

    /// The next calls fail with this code.
    pub(super) fn fails(&self, times: usize, code: Code) {
        self.state().failures = vec![code; times];
    }

    /// The next write panics before it has done anything.
    pub(super) fn panics(&self) {
        self.state().panics = true;
    }

    /// What `check` says from now on.
    pub(super) fn lacks(&self, missing: &[MissingPermission]) {
        self.state().missing = missing.to_vec();
    }

    /// Which calls go through from now on; the others wait.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.state().asked
    }

    /// Waits for so many bookings.
    pub(super) async fn has_written(&self, bookings: usize) {
        let mut written = self.written.subscribe();
        written.wait_for(|known| *known >= bookings).await.unwrap();
    }

    async fn called(&self, through: &[Gate]) -> Result<()> {
        self.state().asked += 1;
        let mut gate = self.gate.subscribe();
        gate.wait_for(|gate| through.contains(gate)).await.unwrap();
        match self.state().failures.pop() {
            Some(code) => Err(failure(code, "as scripted")),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Reads,
    Closed,
}

const READ: &[Gate] = &[Gate::Open, Gate::Reads];
const WRITE: &[Gate] = &[Gate::Open];

impl State {
    fn free(&self, stay: Stay) -> Vec<u64> {
        let taken = |room: &u64| {
            let live = self.by_key.values().filter(|record| !record.cancelled);
            let mut rows = live.flat_map(|record| &record.rows);
            rows.any(|row| {
                row.stay.overlaps(stay) && row.room.as_ref().is_some_and(|it| it.id == RoomId::from(*room))
            })
        };
        [1, 2].into_iter().filter(|room| !taken(room)).collect()
    }

    fn price(&self, stay: Stay, party: &Party) -> Money {
        self.night.times(stay.nights() * party.rooms()).unwrap()
    }

    fn answer(&mut self, record: &Record, created: Created) -> Result<Booking> {
        if self.lost > 0 {
            self.lost -= 1;
            return Err(failure(codes::PMS_OUTCOME_UNKNOWN, "the answer was lost"));
        }
        Ok(record.booking(created).unwrap())
    }
}

#[async_trait]
impl Catalogue for TwoRooms {
    fn system(&self) -> &'static str {
        "two-rooms"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn check(&self) -> Result<Vec<MissingPermission>> {
        self.called(READ).await?;
        Ok(self.state().missing.clone())
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.called(READ).await?;
        let (noon, currency) = (
            NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
            self.state().night.currency(),
        );
        Ok(vec![Hotel::new(
            HotelId::from(1),
            "Two Rooms",
            currency,
            noon,
            noon,
        )])
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        let limits = OccupancyLimits {
            max_adults: 2,
            max_children: 1,
            max_guests: 3,
        };
        let room = RoomType::new(
            HotelId::from(1),
            RoomTypeId::from(1),
            "Room",
            self.state().night,
            limits,
        );
        Ok(Vec::from_iter((hotel == HotelId::from(1)).then_some(room)))
    }

    async fn today(&self, _hotel: HotelId) -> Result<NaiveDate> {
        Ok("2027-01-01".parse().unwrap())
    }

    async fn offers(
        &self,
        _hotel: HotelId,
        stay: Stay,
        party: &Party,
        _room_type: Option<RoomTypeId>,
    ) -> Result<Vec<Offer>> {
        let state = self.state();
        let free = u32::try_from(state.free(stay).len()).unwrap();
        let price = Price::new(state.price(stay, party));
        Ok(vec![Offer::new(RoomTypeId::from(1), "Room", free, price)])
    }
}

#[async_trait]
impl Pms for TwoRooms {
    async fn book(&self, order: &BookingOrder) -> Result<Booking> {
        self.called(WRITE).await?;
        assert!(!std::mem::take(&mut self.state().panics), "as scripted");
        let (request, mut state) = (order.request(), self.state());
        let key = request.key().as_str().to_owned();
        if let Some(known) = state.by_key.get(&key).cloned() {
            if known.differs_from(request).is_some() {
                return Err(failure(
                    codes::PMS_KEY_REUSED,
                    "this key belongs to another request",
                ));
            }
            if known.cancelled {
                return Err(failure(
                    codes::PMS_WRONG_STATE,
                    "the booking of this key was cancelled",
                ));
            }
            return state.answer(&known, Created::FoundAgain);
        }
        if std::mem::take(&mut state.raised)
            || order.total() != Some(state.price(request.stay(), request.party()))
        {
            return Err(failure(codes::PMS_PRICE_CHANGED, "the price went up"));
        }
        let free = state.free(request.stay());
        if free.len() < request.party().each_room().len() {
            return Err(failure(codes::PMS_SOLD_OUT, "no room is free"));
        }
        let number = u64::try_from(state.by_key.len()).unwrap() + 1;
        let id = BookingId::from(number);
        let total = state.price(request.stay(), request.party());
        let mut record = Record::new(id, request.hotel(), total, Utc::now());
        record.key = Some(request.key().clone());
        record.guest = Some(GuestProfile::new(GuestId::from(number), request.guest()));
        for (room, occupancy) in free.into_iter().zip(request.party().each_room()) {
            let stay = StayId::from(number * 10 + room);
            let (room_type, nights) = (request.room_type(), request.stay());
            let mut row = Row::new(id, stay, number, room_type, nights, occupancy.clone());
            row.room = Some(Room {
                id: RoomId::from(room),
                number: format!("{room}"),
            });
            record.rows.push(row);
        }
        state.by_key.insert(key, record.clone());
        self.written.send_replace(state.by_key.len());
        state.answer(&record, Created::Created)
    }

    async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        let state = self.state();
        let found = state.by_key.values().find(|record| record.id == id);
        Ok(found.and_then(|record| record.booking(Created::FoundAgain)))
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        let state = self.state();
        let found = state.by_key.get(key.as_str());
        Ok(found.and_then(|record| record.booking(Created::FoundAgain)))
    }

    async fn cancel(&self, id: BookingId, _forced: bool) -> Result<Booking> {
        self.called(WRITE).await?;
        let mut state = self.state();
        let found = state.by_key.values_mut().find(|record| record.id == id);
        let record = found.ok_or_else(|| failure(codes::PMS_UNKNOWN_BOOKING, "no such booking"))?;
        record.cancelled = true;
        let record = record.clone();
        state.answer(&record, Created::FoundAgain)
    }
}

impl Lab for TwoRooms {
    fn lose_answers(&self, times: usize) {
        self.state().lost = times;
    }

    fn raise_price_in_next_write(&self) {
        self.state().raised = true;
    }

    fn live(&self) -> usize {
        super::live(self.state().by_key.values()).count()
    }

    fn written(&self) -> usize {
        self.state().by_key.len()
    }

    fn oversold(&self) -> usize {
        let state = self.state();
        let rows: Vec<_> = super::live(state.by_key.values())
            .flat_map(|record| &record.rows)
            .collect();
        let meet = |one: &Row, other: &Row| {
            one.id != other.id && one.room == other.room && one.stay.overlaps(other.stay)
        };
        rows.iter()
            .filter(|one| rows.iter().any(|other| meet(one, other)))
            .count()
    }
}
