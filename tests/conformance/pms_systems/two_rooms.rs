//! A hotel of two rooms that keeps every promise by itself: one mutex around everything, and a map by key. A test can
//! make it fail, stall and panic.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDate, NaiveTime, Utc};
use posada::error::codes;
use posada::pms::port::{
    BookingOrder, Catalogue, Movement, Pms, Record, Room, Row, RowState, async_trait, failure, invalid,
    key_reused, price_changed,
};
use posada::pms::{
    BookedService, Booking, BookingChange, BookingId, Capabilities, Change, ChangeCursor, Charge, ChargeKind,
    Created, Feature, Folio, FolioLine, Guards, Guest, GuestId, GuestProfile, Hotel, HotelId, Invoice,
    MissingPermission, OccupancyLimits, Offer, Party, Payment, Price, Quote, RoomId, RoomType, RoomTypeId,
    Service, ServiceId, StayId,
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
    guests: Vec<GuestProfile>,
    /// Each booking with the number of its last change, the last one last.
    changes: Vec<(u64, BookingId)>,
}

impl TwoRooms {
    pub(super) fn new() -> Self {
        Self {
            capabilities: Capabilities::new(Guards::ALL).all_of(&Feature::ALL),
            state: Mutex::new(State {
                night: Money::parse("12000", "JPY").unwrap(),
                raised: false,
                by_key: BTreeMap::new(),
                lost: 0,
                asked: 0,
                failures: Vec::new(),
                panics: false,
                missing: Vec::new(),
                guests: Vec::new(),
                changes: Vec::new(),
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
    /// The rooms that no other booking has in a night of the stay.
    fn free(&self, stay: Stay, but: Option<BookingId>) -> Vec<u64> {
        let others = super::live(self.by_key.values()).filter(|record| Some(record.id) != but);
        let rows: Vec<_> = others.flat_map(|record| &record.rows).collect();
        let is_taken = |room: &u64| {
            rows.iter().any(|row| {
                row.state != RowState::CheckedOut
                    && row.stay.overlaps(stay)
                    && row.room.as_ref().is_some_and(|it| it.id == RoomId::from(*room))
            })
        };
        [1, 2].into_iter().filter(|room| !is_taken(room)).collect()
    }

    /// What so many rooms cost, with breakfasts for all of them.
    fn price(&self, stay: Stay, rooms: u32, breakfasts: u32) -> Money {
        let rooms = self.night.times(stay.nights() * rooms).unwrap();
        rooms
            .plus(breakfast().price.times(stay.nights() * breakfasts).unwrap())
            .unwrap()
    }

    fn of(&mut self, id: BookingId) -> Result<&mut Record> {
        let found = self.by_key.values_mut().find(|record| record.id == id);
        found.ok_or_else(|| failure(codes::PMS_UNKNOWN_BOOKING, "no such booking"))
    }

    fn note(&mut self, id: BookingId) {
        let number = self.changes.last().map_or(1, |(number, _)| number + 1);
        self.changes.retain(|(_, known)| *known != id);
        self.changes.push((number, id));
    }

    /// The booking as it would be after the change.
    fn changed(&mut self, id: BookingId, change: &BookingChange) -> Result<Record> {
        let mut record = self.of(id)?.clone();
        let is_expected = |row: &Row| matches!(row.state, RowState::Reserved | RowState::CheckedIn);
        if record.cancelled || !record.rows.iter().all(is_expected) {
            return Err(failure(codes::PMS_WRONG_STATE, "the booking has ended"));
        }
        if let Some(party) = change.wanted_party() {
            if party.each_room().len() != record.rows.len() {
                return Err(invalid("party", "must be as many rooms as the booking has"));
            }
            for (row, occupancy) in record.rows.iter_mut().zip(party.each_room()) {
                row.occupancy = occupancy.clone();
            }
        }
        for (from, to) in change.wanted_rooms() {
            let row = record.rows.iter_mut().find(|row| from.is(row));
            let row = row.ok_or_else(|| invalid("room", "is not a room of the booking"))?;
            let number = to
                .parse()
                .map_err(|_| invalid("room", "is not a room of the hotel"))?;
            row.room = Some(room(number));
        }
        for row in &mut record.rows {
            row.stay = change.wanted_stay().unwrap_or(row.stay);
        }
        for row in &record.rows {
            let free = self.free(row.stay, Some(id));
            let has_room = row
                .room
                .iter()
                .any(|it| free.iter().any(|free| it.id == RoomId::from(*free)));
            let is_alone = record.rows.iter().filter(|other| other.room == row.room).count() == 1;
            if !has_room || !is_alone {
                return Err(failure(codes::PMS_SOLD_OUT, "the room is taken in these nights"));
            }
        }
        if let Some(stay) = change.wanted_stay() {
            let breakfasts = record.services.iter().map(|booked| booked.quantity).sum();
            record.total = self.price(stay, u32::try_from(record.rows.len()).unwrap(), breakfasts);
        }
        match change.agreed() {
            Some(quote) if quote.total != record.total => Err(price_changed(quote.total, record.total)),
            _ => Ok(record),
        }
    }

    fn answer(&mut self, record: &Record, created: Created) -> Result<Booking> {
        if self.lost > 0 {
            self.lost -= 1;
            return Err(failure(codes::PMS_OUTCOME_UNKNOWN, "the answer was lost"));
        }
        Ok(record.booking(created).unwrap())
    }
}

fn breakfast() -> Service {
    let yen = |amount| Money::parse(amount, "JPY").unwrap();
    let mut breakfast = Service::new(ServiceId::from(1), "Breakfast", yen("1500"), yen("1650"));
    breakfast.per_night = true;
    breakfast.max_quantity = Some(2);
    breakfast
}

/// What the prices of the rooms contain for cleaning.
fn charges(rooms: u32) -> Vec<Charge> {
    let each = Money::parse("1000", "JPY").unwrap();
    let mut charge = Charge::new("Cleaning", ChargeKind::Fee, each.times(rooms).unwrap());
    charge.included = true;
    vec![charge]
}

fn room(number: u64) -> Room {
    Room {
        id: RoomId::from(number),
        number: number.to_string(),
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
        let free = u32::try_from(state.free(stay, None).len()).unwrap();
        let mut price = Price::new(state.price(stay, party.rooms(), 0));
        price.charges = charges(party.rooms());
        Ok(vec![Offer::new(RoomTypeId::from(1), "Room", free, price)])
    }

    async fn services(&self, _hotel: HotelId, _room_type: RoomTypeId) -> Result<Vec<Service>> {
        Ok(vec![breakfast()])
    }

    async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        let state = self.state();
        let found = state
            .guests
            .iter()
            .find(|known| known.email.eq_ignore_ascii_case(email));
        Ok(found.cloned())
    }

    async fn create_guest(&self, guest: &Guest) -> Result<()> {
        let mut state = self.state();
        let id = GuestId::from(u64::try_from(state.guests.len()).unwrap() + 1);
        state.guests.push(GuestProfile::new(id, guest));
        Ok(())
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
            if let Some(differs) = known.differs_from(request) {
                return Err(key_reused(known.id, differs));
            }
            if known.cancelled {
                return Err(failure(
                    codes::PMS_WRONG_STATE,
                    "the booking of this key was cancelled",
                ));
            }
            return state.answer(&known, Created::FoundAgain);
        }
        if std::mem::take(&mut state.raised) {
            state.night = state.night.times(2).unwrap();
        }
        let rooms = request.party().rooms();
        let breakfasts = request
            .chosen_services()
            .iter()
            .map(|chosen| chosen.quantity())
            .sum::<u32>()
            * rooms;
        let total = state.price(request.stay(), rooms, breakfasts);
        match order.total() {
            Some(agreed) if agreed != total => return Err(price_changed(agreed, total)),
            _ => {}
        }
        let free = state.free(request.stay(), None);
        if free.len() < request.party().each_room().len() {
            return Err(failure(codes::PMS_SOLD_OUT, "no room is free"));
        }
        let number = u64::try_from(state.by_key.len()).unwrap() + 1;
        let id = BookingId::from(number);
        let mut record = Record::new(id, request.hotel(), total, Utc::now());
        record.key = Some(request.key().clone());
        record.charges = charges(rooms);
        record.guest = Some(GuestProfile::new(GuestId::from(number), request.guest()));
        for (room, occupancy) in free.into_iter().zip(request.party().each_room()) {
            let stay = StayId::from(number * 10 + room);
            let (room_type, nights) = (request.room_type(), request.stay());
            let mut row = Row::new(id, stay, number, room_type, nights, occupancy.clone());
            row.room = Some(self::room(room));
            record.rows.push(row);
        }
        if breakfasts > 0 {
            let breakfast = breakfast();
            record.services = vec![BookedService::new(breakfast.id, &breakfast.name, breakfasts)];
        }
        state.by_key.insert(key, record.clone());
        state.note(id);
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
        let record = state.of(id)?;
        record.cancelled = true;
        let record = record.clone();
        state.note(id);
        state.answer(&record, Created::FoundAgain)
    }

    async fn change(&self, id: BookingId, change: &BookingChange) -> Result<Booking> {
        self.called(WRITE).await?;
        let mut state = self.state();
        let record = state.changed(id, change)?;
        *state.of(id)? = record.clone();
        state.note(id);
        state.answer(&record, Created::FoundAgain)
    }

    async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        let record = self.state().changed(id, change)?;
        let first = record.rows.first().unwrap();
        let rooms = record.rows.iter().map(|row| row.occupancy.clone()).collect();
        let (hotel, party) = (record.hotel, Party::new(rooms)?);
        Ok(Quote::new(
            hotel,
            first.room_type,
            first.stay,
            party,
            record.total,
            Utc::now(),
        ))
    }

    async fn move_guests(&self, id: BookingId, movement: Movement) -> Result<Booking> {
        self.called(WRITE).await?;
        let mut state = self.state();
        let record = state.of(id)?;
        let (from, to) = match movement {
            Movement::Arrival => (RowState::Reserved, RowState::CheckedIn),
            Movement::Departure => (RowState::CheckedIn, RowState::CheckedOut),
        };
        for row in &mut record.rows {
            if record.cancelled || (row.state != from && row.state != to) {
                return Err(failure(codes::PMS_WRONG_STATE, "the guests cannot do that now"));
            }
            row.state = to;
        }
        let record = record.clone();
        state.note(id);
        state.answer(&record, Created::FoundAgain)
    }

    async fn movements(&self, _hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Booking>> {
        let state = self.state();
        let on_it = |row: &Row| match movement {
            Movement::Arrival => row.stay.check_in() == day,
            Movement::Departure => row.stay.check_out() == day,
        };
        let mut found: Vec<_> = super::live(state.by_key.values())
            .filter(|record| record.rows.iter().any(on_it))
            .collect();
        found.sort_by_key(|record| record.made_at);
        Ok(found
            .into_iter()
            .filter_map(|record| record.booking(Created::FoundAgain))
            .collect())
    }

    async fn folio(&self, id: BookingId) -> Result<Folio> {
        let mut state = self.state();
        let record = state.of(id)?;
        let mut folio = Folio::new(id, record.total);
        let nights = record.rows.iter().map(|row| row.stay.nights()).sum();
        folio.lines = vec![FolioLine::new("Room", nights, record.total, record.total)];
        folio.invoices = vec![Invoice::new(
            "2027/0001",
            record.made_at,
            record.total,
            record.total,
        )];
        folio.payments = vec![Payment::new(record.total, "cash", record.made_at)];
        folio.paid = record.total;
        Ok(folio)
    }

    async fn changes(&self, cursor: &ChangeCursor, most: usize) -> Result<(Vec<Change>, ChangeCursor)> {
        let state = self.state();
        let behind = match (cursor.beginning(), cursor.read::<u64>()) {
            (Some(_), _) => 0,
            (None, Some(number)) => number,
            (None, None) => return Err(invalid("cursor", "is of another system")),
        };
        let page: Vec<_> = state
            .changes
            .iter()
            .filter(|(number, _)| *number > behind)
            .take(most)
            .collect();
        let next = page.last().map_or(behind, |(number, _)| *number);
        let changes = page.into_iter().map(|(_, id)| {
            let record = state.by_key.values().find(|record| record.id == *id).unwrap();
            Change::new(*id, record.made_at, record.booking(Created::FoundAgain))
        });
        Ok((changes.collect(), ChangeCursor::write(&next)))
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
