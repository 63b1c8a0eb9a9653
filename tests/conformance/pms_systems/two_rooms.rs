//! A hotel of two rooms that keeps every promise by itself: one mutex around everything, and a map by key.

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
use posada::{IdempotencyKey, Money, Result, Stay};

pub(super) struct TwoRooms {
    capabilities: Capabilities,
    state: Mutex<State>,
}

struct State {
    night: Money,
    raised: bool,
    /// Bookings by the text of their key, in the order of writing.
    by_key: BTreeMap<String, Record>,
    lost: usize,
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
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        Ok(Vec::new())
    }

    async fn hotels(&self) -> Result<Vec<Hotel>> {
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
