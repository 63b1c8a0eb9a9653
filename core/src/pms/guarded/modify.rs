//! Changing a booking in place: other nights, other guests, another room.
//!
//! Making a new booking and cancelling the old one would need a second room, which a full hotel does not have, and
//! would give the guest another number. So every row is changed where it is, in its own room when that is free in the
//! new nights. Systems check nothing then; we look before, under the hotel's turn, and again afterwards, and put
//! everything back when another booking is there.
//!
//! The price comes last, and the booking does not show whether it came. So the price that was agreed is
//! remembered before the first row is written, and forgotten when it is set. A call that finds it makes the whole change
//! again, at this price when the nights are the same.

use std::collections::HashSet;
use std::time::Duration;

use super::booking::{BookingService, answer, sold_out, still_written};
use super::gate::{Scope, Turn};
use super::recheck::Watched;
use super::retry::{is_lost, may_be_lost};
use super::store::KeyRecord;
use super::verify::Look;
use crate::error::{Error, Result, codes};
use crate::pms::admission::{HotelSnapshot, stay_invalid};
use crate::pms::change::BookingChange;
use crate::pms::id::{BookingId, HotelId, IdempotencyKey, RoomTypeId, StayId};
use crate::pms::model::{Booking, BookingStatus, Created, Quote};
use crate::pms::money::Money;
use crate::pms::occupancy::{Occupancy, Party};
use crate::pms::port::Closures;
use crate::pms::price::Charge;
use crate::pms::record::{Record, Room, Row, RowChange, RowState};
use crate::pms::service::{BookedService, Choice, ChosenService, QuotedService, with_services};
use crate::stay::Stay;

/// A change that can be made.
struct Plan {
    /// The rows that change, as they are now, and what becomes of them.
    rows: Vec<(Row, RowChange)>,
    room_type: RoomTypeId,
    stay: Stay,
    party: Party,
    /// What the booking costs then, and its services of that.
    total: Money,
    charges: Vec<Charge>,
    services: Vec<QuotedService>,
    /// Whether the price is one for other nights; otherwise it stays.
    is_priced: bool,
    /// An earlier change of nights that did not come to its end: the price that the booking has was not agreed with a guest.
    unfinished: Option<(Stay, Money)>,
}

impl Plan {
    /// The rows that get other nights or another room.
    fn movers(&self) -> impl Iterator<Item = (&Row, &RowChange)> {
        let moves = |change: &RowChange| change.room.is_some() || change.stay.is_some();
        let rows = self.rows.iter().map(|(row, change)| (row, change));
        rows.filter(move |(_, change)| moves(change))
    }
}

/// A booking that was changed, and what the recheck needs.
pub(in crate::pms) struct Modified {
    pub(in crate::pms) booking: Booking,
    /// How long it took, and what to look at, when rows were moved.
    pub(in crate::pms) moved: Option<(Duration, Watched)>,
}

impl BookingService {
    /// What the change would cost; an error when it cannot be made.
    pub(in crate::pms) async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        let record = self.existing(id).await?;
        let known = self.keys.read(self.provider.system(), &name(&record)).await?;
        let plan = self.plan(&record, change, known.begun()).await?;
        let now = self.clock.now();
        let mut quote = Quote::new(
            record.hotel,
            plan.room_type,
            plan.stay,
            plan.party,
            plan.total,
            now,
        );
        quote.price.charges = plan.charges;
        Ok(quote.services(plan.services))
    }

    /// Makes the change; see [`PmsClient::modify`](crate::PmsClient::modify).
    pub(in crate::pms) async fn modify(&self, id: BookingId, change: &BookingChange) -> Result<Modified> {
        let (turn, record) = self.in_turn(id).await?;
        let hotel = record.hotel;
        let name = name(&record);
        let mut known = self.keys.read(self.provider.system(), &name).await?;
        let plan = self.plan(&record, change, known.begun()).await?;
        if let Some(quote) = change.quote.as_ref().filter(|quote| quote.total != plan.total) {
            return Err(price_changed(quote.total, plan.total));
        }
        let began = self.clock.instant();
        // A row that moves gives way to every other there, also when this process dies over it.
        known.moves(plan.movers().map(|(row, _)| row.id));
        if plan.is_priced {
            known.begin(Some((plan.stay, plan.total)));
        }
        self.keys.write(self.provider.system(), &name, &known).await?;
        if !turn.is_live() {
            return Err(super::gate::turn_timeout(hotel));
        }
        let carrying_out = Box::pin(self.carry_out(&record, &plan, &mut known));
        let booking = self.changing(hotel, carrying_out).await?;
        drop(turn);
        let took = self.clock.instant().saturating_duration_since(began);
        let watched = record.key.clone().filter(|_| plan.movers().next().is_some());
        Ok(Modified {
            booking,
            moved: watched.map(|key| (took, Watched::keeping(hotel, key))),
        })
    }

    /// The booking, when it is our turn at its hotel. A row is written as a whole, so no other process may write it
    /// meanwhile.
    pub(in crate::pms) async fn in_turn(&self, id: BookingId) -> Result<(Box<dyn Turn>, Record)> {
        let hotel = self.existing(id).await?.hotel;
        let turn = self.gate.enter(&Scope::Hotel(hotel), self.retry.turn).await?;
        Ok((turn, self.existing(id).await?))
    }

    pub(in crate::pms) async fn existing(&self, id: BookingId) -> Result<Record> {
        let unknown = || Error::new(codes::PMS_UNKNOWN_BOOKING, "no such booking").with("booking", id);
        self.provider.record(id).await?.ok_or_else(unknown)
    }

    /// Works out what has to be written; nothing is. `begun` is a change of nights that did not come to its end, with
    /// its price.
    async fn plan(
        &self,
        record: &Record,
        change: &BookingChange,
        begun: Option<(Stay, Money)>,
    ) -> Result<Plan> {
        if !record.complete {
            return Err(still_written(record));
        }
        let status = record.status();
        if !matches!(status, BookingStatus::Confirmed | BookingStatus::CheckedIn) {
            return Err(wrong_state(record, "only a live booking can be changed"));
        }
        let live: Vec<&Row> = record.live_rows().collect();
        let first = live
            .first()
            .copied()
            .ok_or_else(|| wrong_state(record, "the booking has no room"))?;
        let occupancies = occupancies(change, &live)?;
        let unfinished = begun.filter(|_| change.stay.is_some());
        let is_new = |row: &Row| unfinished.is_some_and(|(stay, _)| row.stay == stay);
        let new_stay = change
            .stay
            .filter(|stay| unfinished.is_some() || live.iter().any(|row| row.stay != *stay));
        let snapshot = HotelSnapshot::read(&self.catalogue(), record.hotel).await?;
        for (row, occupancy) in live.iter().zip(&occupancies) {
            if *occupancy != row.occupancy {
                snapshot.admit_guests(row.room_type, &Party::from(occupancy.clone()))?;
            }
        }
        let party = Party::new(occupancies.clone())?;
        let stay = new_stay.unwrap_or(first.stay);
        let priced = self.priced_services(&snapshot, record, first.room_type, stay, &party);
        let (total, charges, services) = match new_stay {
            Some(stay) => {
                let now = live.iter().find(|row| !is_new(row)).unwrap_or(&first).stay;
                let uniform =
                    |row: &&Row| row.room_type == first.room_type && (row.stay == now || is_new(row));
                if !live.iter().all(uniform) {
                    let message = "its rooms have different types or nights; change it in the system itself";
                    return Err(wrong_state(record, message));
                }
                if status == BookingStatus::CheckedIn && stay.check_in() != first.stay.check_in() {
                    return Err(wrong_state(
                        record,
                        "the guest has arrived; only the departure can be changed",
                    ));
                }
                snapshot.admit_other_stay(first.room_type, stay, now)?;
                let closures = self.closures(record.hotel, first.room_type, stay).await?;
                if closures.length {
                    let nights = stay.nights();
                    return Err(stay_invalid(format!(
                        "has {nights} nights; the hotel does not sell stays of this length at this time"
                    )));
                }
                let is_begun = live.iter().any(|row| is_new(row));
                let agreed = unfinished.filter(|(begun, _)| *begun == stay && is_begun);
                let services = priced.await?;
                let (total, charges) = if let Some((_, total)) = agreed {
                    (total, Vec::new())
                } else {
                    let rooms = snapshot.price(stay, &party, first.room_type).await?.price;
                    (with_services(rooms.payable, &services)?, rooms.charges)
                };
                if total != record.total {
                    let and_back = unfinished.is_none();
                    self.provider.can_set_total(record, stay, total, and_back).await?;
                }
                (total, charges, services)
            }
            // The price stays, whatever its items cost now.
            None => (
                record.total,
                record.charges.clone(),
                priced.await.unwrap_or_default(),
            ),
        };
        Ok(Plan {
            rows: self
                .new_places(record, change, &live, &occupancies, unfinished.is_some())
                .await?,
            room_type: first.room_type,
            stay,
            party,
            total,
            charges,
            services,
            is_priced: new_stay.is_some(),
            unfinished,
        })
    }

    /// The services of a booking for these nights, at what they cost now.
    ///
    /// # Errors
    /// `pms.wrong_state` for services that the hotel does not sell any more, or that not every room has.
    async fn priced_services(
        &self,
        snapshot: &HotelSnapshot,
        record: &Record,
        room_type: RoomTypeId,
        stay: Stay,
        party: &Party,
    ) -> Result<Vec<QuotedService>> {
        let rooms = party.rooms();
        let each = |booked: &BookedService| {
            let quantity = booked.of_each(rooms).ok_or_else(|| {
                let message = "its rooms have different services; change it in the system itself";
                wrong_state(record, message).with("service", booked.service)
            })?;
            ChosenService::new(booked.service, quantity)
        };
        let chosen: Vec<_> = record.services.iter().map(each).collect::<Result<_>>()?;
        let choice = Choice::new(chosen)?;
        let priced = snapshot.price_services(&choice, room_type, stay, rooms).await;
        priced.map_err(|cause| {
            if !cause.is(codes::PMS_INVALID_REQUEST) {
                return cause;
            }
            let message =
                "it has a service that the hotel does not sell any more; change it in the system itself";
            wrong_state(record, message).caused_by(cause)
        })
    }

    /// A place for every row: its own room when that is free, otherwise another one of the type. `whole` writes also
    /// the nights that a row has already, because it was not looked at which bookings are there.
    async fn new_places(
        &self,
        record: &Record,
        change: &BookingChange,
        live: &[&Row],
        occupancies: &[Occupancy],
        whole: bool,
    ) -> Result<Vec<(Row, RowChange)>> {
        for (from, _) in &change.rooms {
            if !live.iter().any(|row| from.is(row)) {
                return Err(Error::field_invalid(
                    codes::PMS_INVALID_REQUEST,
                    "room",
                    "the booking has no such room",
                ));
            }
        }
        let closed = match (change.stay, live.first()) {
            (Some(stay), Some(first)) => self.closures(record.hotel, first.room_type, stay).await?.rooms,
            _ => Vec::new(),
        };
        let is_closed = |row: &Row| row.room.as_ref().is_some_and(|room| closed.contains(&room.id));
        let mut rows = Vec::new();
        let mut given = HashSet::new();
        for (row, occupancy) in live.iter().zip(occupancies) {
            let stay = change.stay.unwrap_or(row.stay);
            let number = row.room.as_ref().map(|room| &*room.number);
            let wanted = change.room_for(row).filter(|wanted| Some(*wanted) != number);
            let is_known = !whole && row.stay.covers(stay);
            let stays = wanted.is_none()
                && (is_known || !is_closed(row) && self.can_stay(row, live.len(), stay).await?);
            let room = if stays {
                None
            } else {
                let read = match self.provider.rooms() {
                    Some(rooms) => rooms.free_rooms(record.hotel, row.room_type, stay).await?,
                    None => Vec::new(),
                };
                let fits = |room: &Room| {
                    !given.contains(&room.id) && wanted.is_none_or(|number| room.number == number)
                };
                let room = read.into_iter().find(fits);
                Some(room.ok_or_else(|| sold_out("no room is free for this change; nothing was changed"))?)
            };
            given.extend(room.as_ref().or(row.room.as_ref()).map(|room| room.id));
            let row_change = RowChange {
                room,
                stay: (whole || stay != row.stay).then_some(stay),
                occupancy: (*occupancy != row.occupancy).then(|| occupancy.clone()),
                moved: None,
            };
            if row_change != RowChange::default() {
                rows.push(((*row).clone(), row_change));
            }
        }
        Ok(rows)
    }

    async fn closures(&self, hotel: HotelId, room_type: RoomTypeId, stay: Stay) -> Result<Closures> {
        match self.provider.rooms() {
            Some(rooms) => {
                let read = || rooms.closures(hotel, room_type, stay);
                self.held().persist(read).await
            }
            None => Ok(Closures::default()),
        }
    }

    /// Whether no other booking has the row's room in these nights; or whether its type, of which the booking has `rows`
    /// rows, is not sold out.
    async fn can_stay(&self, row: &Row, rows: usize, stay: Stay) -> Result<bool> {
        let (Some(rooms), Some(room)) = (self.provider.rooms(), &row.room) else {
            return self.has_stock(row, rows, stay).await;
        };
        let on_room = self.held().persist(|| rooms.rows_on(room.id, stay)).await?;
        Ok(on_room.iter().all(|other| other.id == row.id))
    }

    /// Writes the plan, looks, and puts everything back when it cannot stay.
    async fn carry_out(&self, record: &Record, plan: &Plan, known: &mut KeyRecord) -> Result<Booking> {
        let mut written = Vec::new();
        let mut failure = None;
        for (row, change) in &plan.rows {
            written.push(row);
            if let Err(error) = self.write_row(record.id, row.id, change).await {
                failure = Some(error);
                break;
            }
        }
        if failure.is_none() {
            failure = self.refusal(record, plan).await.err();
        }
        if let Some(failure) = failure {
            self.put_back(record, plan, &written, known)
                .await
                .map_err(|cause| interrupted(record, cause))?;
            self.end_change(record, plan, known, plan.unfinished).await;
            return Err(match plan.unfinished {
                None => failure,
                Some(_) => interrupted(record, failure),
            });
        }
        let now = self
            .held()
            .persist(|| self.existing(record.id))
            .await
            .map_err(|cause| interrupted(record, cause))?;
        self.end_change(record, plan, known, None).await;
        answer(&now, Created::FoundAgain)
    }

    /// Notes that a change came to its end, and which one is still to be finished, if any.
    async fn end_change(
        &self,
        record: &Record,
        plan: &Plan,
        known: &mut KeyRecord,
        left: Option<(Stay, Money)>,
    ) {
        if plan.is_priced {
            known.begin(left);
            self.remember(&name(record), known).await;
        }
    }

    /// Looks at what was written, and sets the price.
    async fn refusal(&self, record: &Record, plan: &Plan) -> Result<()> {
        for (row, change) in plan.movers() {
            let room = change.room.as_ref().or(row.room.as_ref());
            let stay = change.stay.unwrap_or(row.stay);
            let is_free = match (self.provider.rooms(), room) {
                (Some(rooms), Some(room)) => {
                    let on_room = self.held().persist(|| rooms.rows_on(room.id, stay)).await?;
                    on_room.iter().all(|other| other.booking == record.id)
                }
                _ => self.has_stock(row, record.live_rows().count(), stay).await?,
            };
            if !is_free {
                return Err(sold_out(
                    "another booking took the room at the same time; nothing was changed",
                ));
            }
        }
        if plan.total == record.total {
            return Ok(());
        }
        let now = self.held().persist(|| self.existing(record.id)).await?;
        self.write_total(now, plan.total).await
    }

    /// Sets the price, and reads whether it is set: some systems fail after they did it.
    async fn write_total(&self, mut now: Record, total: Money) -> Result<()> {
        let mut pauses = self.held().pauses();
        loop {
            match self.provider.set_total(&now, total).await {
                Ok(()) => {}
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error),
            }
            now = self.held().persist(|| self.existing(now.id)).await?;
            if now.total == total {
                return Ok(());
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(price_changed(total, now.total)),
            }
        }
    }

    /// Writes a row. Writing the same again is harmless, so a lost answer may be followed by another try.
    pub(in crate::pms) async fn write_row(
        &self,
        booking: BookingId,
        row: StayId,
        change: &RowChange,
    ) -> Result<()> {
        let write = || self.provider.change_row(booking, row, change);
        self.held().persist_while(is_lost, write).await
    }

    /// Gives every row the place and the booking the price that it had, unless that price was not agreed with a guest.
    async fn put_back(
        &self,
        record: &Record,
        plan: &Plan,
        written: &[&Row],
        known: &mut KeyRecord,
    ) -> Result<()> {
        for row in written {
            let before = RowChange {
                room: row.room.clone(),
                stay: Some(row.stay),
                occupancy: Some(row.occupancy.clone()),
                moved: None,
            };
            let write = || self.provider.change_row(record.id, row.id, &before);
            self.held().persist_while(may_be_lost, write).await?;
        }
        let now = self.held().persist(|| self.existing(record.id)).await?;
        if plan.unfinished.is_none() && now.total != record.total {
            self.write_total(now.clone(), record.total).await?;
        }
        // The old place was free for a moment. A booking that came has it.
        if let Some(key) = &record.key
            && record.rows.iter().all(|row| row.state != RowState::CheckedIn)
            && self.secure(now, key, known, Look::First).await?.is_none()
        {
            return Err(sold_out("another booking has the room that this booking had"));
        }
        Ok(())
    }
}

/// Under what it is remembered what becomes of a booking.
fn name(record: &Record) -> IdempotencyKey {
    let key = record.key.clone();
    key.unwrap_or_else(|| IdempotencyKey::of_unkeyed(record.id))
}

/// The guests of each row after the change.
fn occupancies(change: &BookingChange, live: &[&Row]) -> Result<Vec<Occupancy>> {
    match &change.party {
        Some(party) if party.each_room().len() != live.len() => Err(Error::field_invalid(
            codes::PMS_INVALID_REQUEST,
            "party",
            "must have as many rooms as the booking; book further rooms, or cancel the booking",
        )),
        Some(party) => Ok(party.each_room().to_vec()),
        None => Ok(live.iter().map(|row| row.occupancy.clone()).collect()),
    }
}

pub(in crate::pms) fn wrong_state(record: &Record, message: &'static str) -> Error {
    Error::new(codes::PMS_WRONG_STATE, message)
        .with("booking", record.id)
        .with("status", record.status())
}

fn price_changed(quoted: Money, current: Money) -> Error {
    Error::new(
        codes::PMS_PRICE_CHANGED,
        "the price is not the one that was quoted; nothing was changed",
    )
    .with("quoted", quoted)
    .with("current", current)
}

fn interrupted(record: &Record, cause: Error) -> Error {
    Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the booking may be half changed; ask for the same change again, or look at it in the system",
    )
    .with("booking", record.id)
    .caused_by(cause)
}

#[cfg(test)]
#[path = "modify_tests.rs"]
mod tests;
