//! What happens to the mock's bookings after they were made, and who its guests are.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::hotel::MockHotel;
use crate::error::{Error, Result, codes};
use crate::pms::feed::ChangeCursor;
use crate::pms::folio::{Folio, FolioLine};
use crate::pms::guest::{Guest, GuestProfile};
use crate::pms::id::{BookingId, GuestId, HotelId, StayId};
use crate::pms::money::Money;
use crate::pms::record::{ChangePage, Movement, Record, RowChange, RowState};

/// A place in the mock's changes.
#[derive(Serialize, Deserialize)]
struct Place {
    revision: u64,
}

impl MockHotel {
    /// Changes a row, without asking whether the room is free: the real system does not ask either.
    pub(super) fn change_row(
        &mut self,
        id: BookingId,
        row: StayId,
        change: &RowChange,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let changed = self
            .bookings
            .get_mut(&id)
            .filter(|record| !record.cancelled)
            .and_then(|record| {
                let row = record.rows.iter_mut().find(|known| known.id == row)?;
                let before = row.clone();
                if let Some(room) = &change.room {
                    row.room = Some(room.clone());
                    if row.state == RowState::BackOrdered {
                        row.state = RowState::Reserved;
                    }
                }
                row.stay = change.stay.unwrap_or(row.stay);
                if let Some(occupancy) = &change.occupancy {
                    row.occupancy = occupancy.clone();
                }
                row.state = match change.moved {
                    Some((Movement::Arrival, _)) => RowState::CheckedIn,
                    Some((Movement::Departure, _)) => RowState::CheckedOut,
                    None => row.state,
                };
                Some((before, row.clone()))
            });
        let (before, after) = changed
            .ok_or_else(|| Error::new(codes::PMS_WRONG_STATE, "the row is not part of a live booking"))?;
        self.release(&before);
        self.take(&after);
        self.note(id, now);
        Ok(())
    }

    /// Makes a booking cost this much.
    pub(super) fn set_total(&mut self, id: BookingId, total: Money, now: DateTime<Utc>) {
        if let Some(record) = self.bookings.get_mut(&id) {
            record.total = total;
            self.itemise(id);
            self.note(id, now);
        }
    }

    /// Works out what a booking's total consists of: the city tax, and the price of each room.
    pub(super) fn itemise(&mut self, id: BookingId) {
        let Some(record) = self.bookings.get(&id) else {
            return;
        };
        let live = || record.rows.iter().filter(|row| row.state.takes_room());
        let nights = live().next().map_or(0, |row| row.stay.nights());
        let charge = self.city_tax(live().map(|row| &row.occupancy), nights);
        let charges: Vec<_> = charge.ok().flatten().into_iter().collect();
        let share = self.room_share(record).ok();
        if let Some(record) = self.bookings.get_mut(&id) {
            record.charges = charges;
            for row in &mut record.rows {
                row.price = share;
            }
        }
    }

    /// What each room costs of a booking's total: all rooms the same.
    fn room_share(&self, record: &Record) -> Result<Money> {
        let rows = u32::try_from(record.rows.len()).unwrap_or(1).max(1);
        let nights = record.rows.first().map_or(0, |row| row.stay.nights());
        let services = self.price_of(&record.services, nights)?;
        let share = Decimal::ONE.checked_div(rows.into()).unwrap_or(Decimal::ONE);
        record.total.minus(services)?.scaled(share)
    }

    /// The bookings that come or go on a day.
    pub(super) fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Vec<Record> {
        let moves = |record: &&Record| {
            let live = record
                .rows
                .iter()
                .filter(|row| row.state.takes_room() || row.state == RowState::CheckedOut);
            let mut days = live.map(|row| match movement {
                Movement::Arrival => row.stay.check_in(),
                Movement::Departure => row.stay.check_out(),
            });
            record.hotel == hotel && !record.cancelled && days.any(|known| known == day)
        };
        self.bookings.values().filter(moves).cloned().collect()
    }

    /// The guest with this address.
    pub(super) fn guest(&self, email: &str) -> Option<&GuestProfile> {
        self.guests
            .iter()
            .find(|guest| guest.email.eq_ignore_ascii_case(email))
    }

    /// Writes a guest down.
    pub(super) fn add_guest(&mut self, guest: &Guest) -> GuestProfile {
        let id = u64::try_from(self.guests.len()).unwrap_or(u64::MAX - 1) + 1;
        let profile = GuestProfile::new(GuestId::from(id), guest);
        self.guests.push(profile.clone());
        profile
    }

    /// The guest of a booking: an address that is known gets the name and the phone that were sent.
    pub(super) fn booker(&mut self, guest: &Guest) -> GuestProfile {
        let known = self.guests.iter_mut().find(|known| known.is(guest));
        match known {
            Some(known) => {
                *known = GuestProfile {
                    email: known.email.clone(),
                    ..GuestProfile::new(known.id, guest)
                };
                known.clone()
            }
            None => self.add_guest(guest),
        }
    }

    /// One line for each room and each service; nothing is ever invoiced or paid here.
    pub(super) fn folio(&self, record: &Record) -> Result<Folio> {
        let nights = record.rows.first().map_or(0, |row| row.stay.nights());
        let to_net = Decimal::ONE.checked_div(Self::TAX).unwrap_or(Decimal::ONE);
        let mut services = Vec::new();
        for booked in &record.services {
            let total = self.price_of(std::slice::from_ref(booked), nights)?;
            services.push(FolioLine {
                name: booked.name.clone(),
                quantity: booked.quantity,
                net_total: total.scaled(to_net)?,
                total,
            });
        }
        let share = self.room_share(record)?;
        let net = share.scaled(to_net)?;
        let line = |row: &crate::pms::record::Row| {
            let types = &self.room_types;
            let known = types.iter().find(|known| known.id == row.room_type);
            FolioLine {
                name: known.map(|known| known.name.clone()).unwrap_or_default(),
                quantity: row.stay.nights(),
                net_total: net,
                total: share,
            }
        };
        Ok(Folio {
            booking: record.id,
            lines: record.rows.iter().map(line).chain(services).collect(),
            invoices: Vec::new(),
            payments: Vec::new(),
            total: record.total,
            paid: Money::zero(record.total.currency()),
        })
    }

    /// Notes that a booking changed.
    pub(super) fn note(&mut self, id: BookingId, now: DateTime<Utc>) {
        self.changes.retain(|(known, _)| *known != id);
        self.revision += 1;
        self.changes.push_back((id, (self.revision, now)));
    }

    /// The bookings that changed since the cursor; of several changes of one booking, the last.
    pub(super) fn changes_since(&self, cursor: &ChangeCursor, most: usize) -> Result<ChangePage> {
        let foreign = || ChangeCursor::invalid("belongs to another system");
        let place: Option<Place> = cursor.read();
        let since = cursor.beginning();
        if place.is_none() && since.is_none() {
            return Err(foreign());
        }
        let is_new = |revision: u64, at: DateTime<Utc>| match &place {
            Some(place) => revision > place.revision,
            None => since.is_none_or(|since| at >= since),
        };
        let mut revision = place.as_ref().map_or(0, |place| place.revision);
        let mut changes = Vec::new();
        for (id, (changed, at)) in &self.changes {
            if is_new(*changed, *at) && changes.len() < most {
                revision = *changed;
                changes.push((*id, *at, self.bookings.get(id).cloned()));
            }
        }
        // A moment stays a moment while nothing happened since, or everything before it would come.
        let next = if place.is_none() && changes.is_empty() {
            cursor.clone()
        } else {
            ChangeCursor::write(&Place { revision })
        };
        Ok(ChangePage { changes, next })
    }
}
