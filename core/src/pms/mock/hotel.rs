//! The mock's memory: rooms, who has them in which night, bookings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;

use crate::error::{Error, Result, codes};
use crate::pms::guest::GuestProfile;
use crate::pms::id::{BookingId, HotelId, RatePlanId, RoomId, RoomTypeId, ServiceId, StayId};
use crate::pms::model::{Hotel, RoomType};
use crate::pms::money::{Currency, Money};
use crate::pms::occupancy::{Occupancy, OccupancyLimits};
use crate::pms::price::{Charge, ChargeKind, Due};
use crate::pms::record::{Record, Room, Row, RowState};
use crate::pms::request::BookingRequest;
use crate::pms::service::{BookedService, Service};
use crate::stay::Stay;

/// Name and list price in dollars of the four room types; each has five rooms.
const ROOM_TYPES: [(&str, &str, u32); 4] = [
    ("General Rooms", "GR", 1000),
    ("Delux Rooms", "DR", 1500),
    ("Executive Rooms", "ER", 2000),
    ("Luxury Rooms", "LR", 2500),
];
const ROOMS_EACH: u64 = 5;
/// The automatic service.
const MAINTENANCE: u64 = 5;
/// Id, name, net price in dollars, whether for each night, and how many a room may have.
const SERVICES: [(u64, &str, u32, bool, u32); 6] = [
    (MAINTENANCE, "Room Maintenance Fees", 250, true, 1),
    (6, "Internet Handling Charges", 250, false, 1),
    (7, "Airport Shuttle", 50, false, 1),
    (8, "Cab on Demand", 200, false, 1),
    (9, "Breakfast", 350, true, 1),
    (10, "Dinner", 450, true, 4),
];

/// One hotel and everything that was ever booked in it.
pub(super) struct MockHotel {
    pub(super) hotel: Hotel,
    pub(super) room_types: Vec<RoomType>,
    /// What is sold with every room.
    pub(super) services: Vec<Service>,
    /// Every room with its type, smallest id first.
    rooms: Vec<(RoomTypeId, Room)>,
    /// The rows that take a room in a night. Two of them are a double booking.
    nights: BTreeMap<(RoomId, NaiveDate), BTreeSet<StayId>>,
    pub(super) bookings: BTreeMap<BookingId, Record>,
    last_row: u64,
    /// All guests who ever booked, in that order.
    pub(super) guests: Vec<GuestProfile>,
    /// What the town takes of each guest for each night.
    pub(super) city_tax: Option<Money>,
    /// The bookings in the order in which they changed last, each with the number and the time of the change.
    pub(super) changes: VecDeque<(BookingId, (u64, DateTime<Utc>))>,
    pub(super) revision: u64,
}

impl MockHotel {
    /// What a price with tax is, divided by the price without.
    pub(super) const TAX: Decimal = Decimal::from_parts(104, 0, 0, false, 2);

    /// "The Hotel Prime": four room types of five rooms each, prices in dollars, check-in at noon.
    pub(super) fn demo() -> Result<Self> {
        let dollars = Currency::parse("USD")?;
        let hotel = Hotel {
            id: HotelId::from(1),
            name: "The Hotel Prime".into(),
            check_in: NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default(),
            check_out: NaiveTime::from_hms_opt(11, 0, 0).unwrap_or_default(),
            currency: dollars,
            max_days_ahead: Some(365),
            min_days_ahead: 0,
        };
        let mut room_types = Vec::new();
        let mut rooms = Vec::new();
        for (id, (name, prefix, price)) in (1..).zip(ROOM_TYPES) {
            let room_type = RoomTypeId::from(id);
            room_types.push(RoomType {
                id: room_type,
                hotel: hotel.id,
                name: name.into(),
                base_price: Money::new(price.into(), dollars)?,
                limits: OccupancyLimits {
                    max_adults: 2,
                    max_children: 2,
                    max_guests: 4,
                },
                min_nights: 1,
                max_nights: None,
            });
            for place in 1..=ROOMS_EACH {
                let room = RoomId::from((id - 1) * ROOMS_EACH + place);
                rooms.push((
                    room_type,
                    Room {
                        id: room,
                        number: format!("{prefix}-{}", id * 100 + place),
                    },
                ));
            }
        }
        let mut services = Vec::new();
        for (id, name, net, per_night, most) in SERVICES {
            let net_price = Money::new(net.into(), dollars)?;
            let price = net_price.scaled(Self::TAX)?;
            services.push(Service {
                id: ServiceId::from(id),
                name: name.into(),
                price,
                exact: None,
                net_price,
                per_night,
                automatic: id == MAINTENANCE,
                max_quantity: Some(most),
            });
        }
        Ok(Self {
            hotel,
            room_types,
            services,
            rooms,
            nights: BTreeMap::new(),
            bookings: BTreeMap::new(),
            last_row: 0,
            guests: Vec::new(),
            city_tax: None,
            changes: VecDeque::new(),
            revision: 0,
        })
    }

    pub(super) fn free_rooms(&self, room_type: RoomTypeId, stay: Stay) -> Vec<Room> {
        let free = |room: RoomId| {
            stay.each_night()
                .all(|night| !self.nights.contains_key(&(room, night)))
        };
        let of_type = self.rooms.iter().filter(|(known, _)| *known == room_type);
        of_type
            .filter(|(_, room)| free(room.id))
            .map(|(_, room)| room.clone())
            .collect()
    }

    /// The rows that take the room in some night of the stay.
    pub(super) fn rows_on(&self, room: RoomId, stay: Stay) -> Vec<Row> {
        let ids: BTreeSet<StayId> = stay
            .each_night()
            .filter_map(|night| self.nights.get(&(room, night)))
            .flatten()
            .copied()
            .collect();
        self.rows().filter(|row| ids.contains(&row.id)).cloned().collect()
    }

    /// Room nights that more than one row takes.
    pub(super) fn double_booked(&self) -> usize {
        self.nights.values().filter(|rows| rows.len() > 1).count()
    }

    /// Chooses the rooms of a booking, without taking them.
    pub(super) fn choose(&self, request: &BookingRequest) -> Result<Vec<Room>> {
        let mut free = self.free_rooms(request.room_type(), request.stay());
        let wanted = request.party().each_room().len();
        if free.len() < wanted {
            return Err(Error::new(
                codes::PMS_SOLD_OUT,
                "requested rooms are not available",
            ));
        }
        free.truncate(wanted);
        Ok(free)
    }

    /// Writes the head of a booking, as yet without rooms.
    pub(super) fn open(&mut self, request: &BookingRequest, total: Money, now: DateTime<Utc>) -> BookingId {
        let number = u64::try_from(self.bookings.len()).unwrap_or(u64::MAX - 1) + 1;
        let id = BookingId::from(number);
        let guest = self.booker(request.guest());
        self.bookings.insert(
            id,
            Record {
                id,
                reference: reference(number),
                key: Some(request.key().clone()),
                hotel: request.hotel(),
                guest: Some(guest),
                rows: Vec::new(),
                services: self.booked_services(request),
                total,
                charges: Vec::new(),
                made_at: now,
                complete: false,
                cancelled: false,
                tells_guests: true,
            },
        );
        self.note(id, now);
        id
    }

    /// The tax of the town on these rooms.
    pub(super) fn city_tax<'a>(
        &self,
        rooms: impl IntoIterator<Item = &'a Occupancy>,
        nights: u32,
    ) -> Result<Option<Charge>> {
        let Some(each) = self.city_tax else {
            return Ok(None);
        };
        let guests: u32 = rooms.into_iter().map(Occupancy::guests).sum();
        let amount = each.times(guests)?.times(nights)?;
        let mut charge = Charge::new("City tax", ChargeKind::CityTax, amount);
        charge.due = Due::AtHotel;
        Ok(Some(charge))
    }

    fn booked_services(&self, request: &BookingRequest) -> Vec<BookedService> {
        let sold = |id| self.services.iter().find(|service| service.id == id);
        let chosen = request.chosen_services().iter().filter_map(|chosen| {
            let service = sold(chosen.service())?;
            Some(BookedService {
                service: service.id,
                name: service.name.clone(),
                quantity: chosen.quantity() * request.party().rooms(),
            })
        });
        chosen.collect()
    }

    /// What the services of a booking cost for its nights.
    pub(super) fn price_of(&self, services: &[BookedService], nights: u32) -> Result<Money> {
        let mut sum = Money::zero(self.hotel.currency);
        for booked in services {
            if let Some(service) = self.services.iter().find(|known| known.id == booked.service) {
                sum = sum.plus(service.total(booked.quantity, 1, nights)?)?;
            }
        }
        Ok(sum)
    }

    /// What the services of a request cost.
    pub(super) fn price_of_services(&self, request: &BookingRequest) -> Result<Money> {
        self.price_of(&self.booked_services(request), request.stay().nights())
    }

    /// Writes the rooms that were chosen. A room that another booking took meanwhile is back-ordered, or, when `doubles`,
    /// taken twice. Answers how many rooms collided.
    pub(super) fn fill(
        &mut self,
        id: BookingId,
        request: &BookingRequest,
        rooms: Vec<Room>,
        doubles: bool,
        now: DateTime<Utc>,
    ) -> usize {
        let mut collisions = 0;
        let mut rows = Vec::new();
        for (room, occupancy) in rooms.into_iter().zip(request.party().each_room()) {
            self.last_row += 1;
            let collides = !self.rows_on(room.id, request.stay()).is_empty();
            collisions += usize::from(collides);
            let row = Row {
                id: StayId::from(self.last_row),
                sequence: self.last_row,
                booking: id,
                room: Some(room),
                room_type: request.room_type(),
                rate_plan: RatePlanId::default(),
                stay: request.stay(),
                occupancy: occupancy.clone(),
                state: if collides && !doubles {
                    RowState::BackOrdered
                } else {
                    RowState::Reserved
                },
                price: None,
            };
            self.take(&row);
            rows.push(row);
        }
        if let Some(record) = self.bookings.get_mut(&id) {
            record.rows = rows;
            record.complete = true;
        }
        self.itemise(id);
        self.note(id, now);
        collisions
    }

    /// Cancels a booking; a back-ordered row keeps its mark.
    pub(super) fn cancel(&mut self, id: BookingId, now: DateTime<Utc>) -> Result<()> {
        let record = self
            .bookings
            .get_mut(&id)
            .ok_or_else(|| Error::new(codes::PMS_UNKNOWN_BOOKING, "no such booking").with("booking", id))?;
        record.cancelled = true;
        let rows = record.rows.clone();
        for row in &mut record.rows {
            if row.state != RowState::BackOrdered {
                row.state = RowState::Cancelled;
            }
        }
        for row in &rows {
            self.release(row);
        }
        self.note(id, now);
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.bookings.values().flat_map(|record| &record.rows)
    }

    pub(super) fn take(&mut self, row: &Row) {
        if let (true, Some(room)) = (row.state.takes_room(), &row.room) {
            for night in row.stay.each_night() {
                self.nights.entry((room.id, night)).or_default().insert(row.id);
            }
        }
    }

    pub(super) fn release(&mut self, row: &Row) {
        let Some(room) = &row.room else { return };
        for night in row.stay.each_night() {
            if let Some(rows) = self.nights.get_mut(&(room.id, night)) {
                rows.remove(&row.id);
                if rows.is_empty() {
                    self.nights.remove(&(room.id, night));
                }
            }
        }
    }
}

/// Nine letters that follow from the number and do not look like it.
fn reference(number: u64) -> String {
    const LETTERS: u64 = 26;
    // Odd and not divisible by 13, so that different numbers give different letters.
    let mut rest = number.wrapping_mul(2_654_435_761) % LETTERS.pow(9);
    let letter = |rest: &mut u64| {
        let letter = u8::try_from(*rest % LETTERS).unwrap_or(0) + b'A';
        *rest /= LETTERS;
        char::from(letter)
    };
    (0..9).map(|_| letter(&mut rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_nine_letters_and_differ() {
        let references: BTreeSet<_> = (1..=10_000).map(reference).collect();
        assert_eq!(references.len(), 10_000);
        assert!(
            references
                .iter()
                .all(|text| text.len() == 9 && text.chars().all(|c| c.is_ascii_uppercase()))
        );
    }
}
