//! A hotel that sells a room type and knows no rooms. It checks, thinks, and writes later, as most systems do.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDate, NaiveTime, Utc};
use posada::error::codes;
use posada::pms::port::{
    BookingSystem, Catalogue, Record, Row, RowChange, RowState, StockLedger, StockNight, async_trait, failure,
};
use posada::pms::{
    BookingId, BookingRequest, Capabilities, Feature, Guards, GuestId, GuestProfile, Hotel, HotelId,
    MissingPermission, OccupancyLimits, Offer, Party, Price, RatePlanId, RoomType, RoomTypeId, StayId,
};
use posada::testkit::pms::Lab;
use posada::{IdempotencyKey, Money, Result, Stay};

const SELLABLE: u32 = 3;

pub(super) struct TypeHotel {
    name: &'static str,
    keeps: Guards,
    capabilities: Capabilities,
    has_ledger: bool,
    state: Mutex<State>,
}

struct State {
    night: Money,
    raised: Option<Money>,
    bookings: BTreeMap<u64, Record>,
    lost: usize,
}

impl TypeHotel {
    /// What it does, and what it says that it does.
    pub(super) fn new(keeps: Guards, claims: Guards) -> Self {
        Self {
            name: "type-hotel",
            keeps,
            capabilities: Capabilities::new(claims).all_of(&[Feature::Change, Feature::QuoteChange]),
            has_ledger: true,
            state: Mutex::new(State {
                night: Money::parse("80.50", "EUR").unwrap(),
                raised: None,
                bookings: BTreeMap::new(),
                lost: 0,
            }),
        }
    }

    pub(super) fn called(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) fn without_ledger(mut self) -> Self {
        self.has_ledger = false;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hotel() -> HotelId {
        HotelId::parse("MUC").unwrap()
    }

    fn room_type() -> RoomTypeId {
        RoomTypeId::parse("MUC-DOUBLE").unwrap()
    }
}

impl State {
    fn taken(&self, night: NaiveDate) -> Vec<Row> {
        let records = self.bookings.values().filter(|record| !record.cancelled);
        let rows = records.flat_map(|record| &record.rows);
        let on_it =
            |row: &&Row| row.state == RowState::Reserved && row.stay.each_night().any(|each| each == night);
        rows.filter(on_it).cloned().collect()
    }

    fn free(&self, stay: Stay) -> u32 {
        let sold = stay
            .each_night()
            .map(|night| self.taken(night).len())
            .max()
            .unwrap_or(0);
        SELLABLE.saturating_sub(u32::try_from(sold).unwrap())
    }

    fn price(&self, stay: Stay, rooms: u32) -> Money {
        self.night.times(stay.nights() * rooms).unwrap()
    }

    fn write(&mut self, request: &BookingRequest, rate_plan: RatePlanId, total: Money) -> BookingId {
        let number = u64::try_from(self.bookings.len()).unwrap() + 1;
        let id = BookingId::parse(&format!("XPGMSXGF-{number}")).unwrap();
        let mut record = Record::new(id, request.hotel(), total, Utc::now());
        record.key = Some(request.key().clone());
        record.guest = Some(GuestProfile::new(GuestId::from(number), request.guest()));
        for (place, occupancy) in (1..).zip(request.party().each_room()) {
            let stay = StayId::parse(&format!("{id}-{place}")).unwrap();
            let sequence = number * 100 + place;
            let (room_type, nights) = (request.room_type(), request.stay());
            let mut row = Row::new(id, stay, sequence, room_type, nights, occupancy.clone());
            row.rate_plan = rate_plan;
            record.rows.push(row);
        }
        self.bookings.insert(number, record);
        id
    }

    /// The answer to a write that was done.
    fn answer<T>(&mut self, answer: T) -> Result<T> {
        if self.lost > 0 {
            self.lost -= 1;
            return Err(failure(codes::PMS_OUTCOME_UNKNOWN, "the answer was lost"));
        }
        Ok(answer)
    }

    fn of(&mut self, id: BookingId) -> Result<&mut Record> {
        let found = self.bookings.values_mut().find(|record| record.id == id);
        found.ok_or_else(|| failure(codes::PMS_UNKNOWN_BOOKING, "no such booking"))
    }
}

#[async_trait]
impl Catalogue for TypeHotel {
    fn system(&self) -> &str {
        self.name
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
        Ok(vec![Hotel::new(Self::hotel(), "Types", currency, noon, noon)])
    }

    async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        let limits = OccupancyLimits {
            max_adults: 2,
            max_children: 0,
            max_guests: 2,
        };
        let double = RoomType::new(
            Self::hotel(),
            Self::room_type(),
            "Double",
            self.state().night,
            limits,
        );
        Ok(Vec::from_iter((hotel == Self::hotel()).then_some(double)))
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
        let price = Price::new(state.price(stay, party.rooms()));
        let mut offer = Offer::new(Self::room_type(), "Double", state.free(stay), price);
        offer.rate_plan = RatePlanId::parse("MUC-NONREF").unwrap();
        Ok(vec![offer])
    }
}

#[async_trait]
impl BookingSystem for TypeHotel {
    async fn create(&self, request: &BookingRequest, offer: &Offer, total: Money) -> Result<BookingId> {
        let rooms = request.party().rooms();
        let sold_out = || failure(codes::PMS_SOLD_OUT, "no room of this type");
        if self.state().free(request.stay()) < rooms {
            return Err(sold_out());
        }
        // It thinks, and others write.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        let known = state
            .bookings
            .values()
            .find(|record| record.key.as_ref() == Some(request.key()));
        if let (true, Some(known)) = (self.keeps.once, known) {
            let id = known.id;
            return state.answer(id);
        }
        if self.keeps.stock && state.free(request.stay()) < rooms {
            return Err(sold_out());
        }
        let before = state.night;
        if let Some(raised) = state.raised.take() {
            state.night = raised;
        }
        let price = state.price(request.stay(), rooms);
        state.night = before;
        if self.keeps.price && price != total {
            return Err(failure(codes::PMS_PRICE_CHANGED, "the price went up"));
        }
        let id = state.write(request, offer.rate_plan, price);
        state.answer(id)
    }

    async fn find(&self, key: &IdempotencyKey) -> Result<Vec<Record>> {
        let state = self.state();
        let carries = |record: &&Record| record.key.as_ref() == Some(key);
        Ok(state.bookings.values().filter(carries).cloned().collect())
    }

    async fn record(&self, booking: BookingId) -> Result<Option<Record>> {
        Ok(self
            .state()
            .bookings
            .values()
            .find(|record| record.id == booking)
            .cloned())
    }

    async fn cancel(&self, booking: BookingId) -> Result<()> {
        let mut state = self.state();
        state.of(booking)?.cancelled = true;
        state.answer(())
    }

    fn stock(&self) -> Option<&dyn StockLedger> {
        self.has_ledger.then_some(self)
    }

    async fn change_row(&self, booking: BookingId, row: StayId, change: &RowChange) -> Result<()> {
        let mut state = self.state();
        let free = change.stay.is_none_or(|stay| state.free(stay) > 0);
        let rows = &mut state.of(booking)?.rows;
        let row = rows.iter_mut().find(|known| known.id == row).unwrap();
        if self.keeps.stock && !free && change.stay != Some(row.stay) {
            return Err(failure(
                codes::PMS_SOLD_OUT,
                "no room of this type in these nights",
            ));
        }
        row.stay = change.stay.unwrap_or(row.stay);
        row.occupancy = change.occupancy.clone().unwrap_or(row.occupancy.clone());
        state.answer(())
    }

    async fn set_total(&self, record: &Record, total: Money) -> Result<()> {
        let mut state = self.state();
        state.of(record.id)?.total = total;
        state.answer(())
    }
}

#[async_trait]
impl StockLedger for TypeHotel {
    async fn nights(&self, _hotel: HotelId, _room_type: RoomTypeId, stay: Stay) -> Result<Vec<StockNight>> {
        let state = self.state();
        let night = |night| StockNight {
            night,
            sellable: SELLABLE,
            taken: state.taken(night),
        };
        Ok(stay.each_night().map(night).collect())
    }
}

impl Lab for TypeHotel {
    fn lose_answers(&self, times: usize) {
        self.state().lost = times;
    }

    fn raise_price_in_next_write(&self) {
        let mut state = self.state();
        state.raised = Some(state.night.times(2).unwrap());
    }

    fn live(&self) -> usize {
        super::live(self.state().bookings.values()).count()
    }

    fn written(&self) -> usize {
        self.state().bookings.len()
    }

    fn oversold(&self) -> usize {
        let state = self.state();
        let first = super::first_day();
        let nights = first.iter_days().take(60);
        nights
            .filter(|night| state.taken(*night).len() > SELLABLE as usize)
            .count()
    }
}
