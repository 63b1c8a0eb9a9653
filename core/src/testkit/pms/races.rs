//! Races for the last room: one night after the other, with more bookers in each.

use chrono::{Days, NaiveDate};
use futures_util::future::join_all;

use super::{adults, end_all};
use crate::error::codes;
use crate::pms::{Booking, BookingRequest, BookingStatus, Guest, Party, Recheck, RoomType};
use crate::{IdempotencyKey, PmsClient, Stay};

/// Nights in which one room of a type is left, and clients that want it.
#[derive(Debug, Clone)]
pub struct Races {
    clients: Vec<PmsClient>,
    room_type: RoomType,
    first_day: NaiveDate,
    run: String,
    recheck: Recheck,
}

impl Races {
    /// The most bookers of one night; the first night has two.
    const BOOKERS: u64 = 8;
    /// One night for each number of bookers.
    pub const NIGHTS: u64 = Self::BOOKERS - 1;

    /// Races on the hotel's last room type in [`NIGHTS`](Self::NIGHTS) nights from the first day on, with keys that
    /// begin with `run`. With [`Recheck::Wait`] the bookers wait for their rechecks.
    pub async fn new(clients: Vec<PmsClient>, first_day: NaiveDate, run: &str, recheck: Recheck) -> Self {
        let hotels = clients[0].hotels().await.expect("a system lists its hotels");
        let hotel = hotels.first().expect("races need a hotel").id;
        let room_types = clients[0].room_types(hotel).await.unwrap();
        Self {
            room_type: room_types.into_iter().last().expect("races need a room type"),
            clients,
            first_day,
            run: run.to_owned(),
            recheck,
        }
    }

    /// Among clients that share a lock: exactly one has the room, and everybody else hears that it is gone.
    pub async fn run(&self) {
        self.race(|winners| winners == 1).await;
    }

    /// Among clients that know nothing of each other: nobody shares a room, and nobody is told of a booking that is
    /// none. When all met, all may have left.
    pub async fn run_among_foreign_bookings(&self) {
        self.race(|winners| winners <= 1).await;
    }

    /// Ends every booking that the races made, whoever heard of it.
    pub async fn clean_up(&self) {
        let mut keys = vec![self.key("others")];
        for night in 0..Self::NIGHTS {
            keys.extend((0..Self::bookers(night)).map(|booker| self.booker(night, booker)));
        }
        end_all(&self.clients[0], &keys).await;
    }

    async fn race(&self, is_right: impl Fn(usize) -> bool) {
        let whole = self.stay(0, Self::NIGHTS);
        let others = self.free(whole).await.checked_sub(1).expect("a room is free");
        let mut taken = Vec::new();
        if others > 0 {
            let party = Party::new(vec![adults(1); others as usize]).unwrap();
            let request = self.request(whole, party, self.key("others"));
            taken = self.clients[0].book(&request, None).await.unwrap().rooms;
        }
        for night in 0..Self::NIGHTS {
            let stay = self.stay(night, 1);
            assert_eq!(self.free(stay).await, 1, "the last room");
            let bookers = 0..Self::bookers(night);
            let answers = join_all(bookers.clone().zip(self.clients.iter().cycle()).map(
                |(booker, client)| {
                    let request = self.request(stay, adults(1), self.booker(night, booker));
                    async move { client.book(&request, None).await }
                },
            ))
            .await;
            let winners: Vec<&Booking> = answers.iter().flatten().collect();
            assert!(is_right(winners.len()), "night {night}: {answers:?}");
            let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
            for error in refused {
                assert!(error.is(codes::PMS_SOLD_OUT), "night {night}: {error}");
            }
            let mut live = Vec::new();
            for booker in bookers {
                let found = self.clients[0].find_booking(&self.booker(night, booker)).await;
                live.extend(
                    found
                        .unwrap()
                        .filter(|found| found.status != BookingStatus::Cancelled),
                );
            }
            let ids = |bookings: &mut dyn Iterator<Item = &Booking>| -> Vec<_> {
                bookings.map(|booking| (booking.id, booking.status)).collect()
            };
            assert_eq!(
                ids(&mut live.iter()),
                ids(&mut winners.into_iter()),
                "night {night}: what is live was told, and what was told is live"
            );
            let mut rooms: Vec<_> = taken.iter().map(|room| &room.number).collect();
            rooms.extend(
                live.iter()
                    .flat_map(|booking| &booking.rooms)
                    .map(|room| &room.number),
            );
            let count = rooms.len();
            rooms.sort_unstable();
            rooms.dedup();
            assert_eq!(rooms.len(), count, "night {night}: a room was given twice");
            let left = 1 - u32::try_from(live.len()).unwrap();
            assert_eq!(self.free(stay).await, left, "night {night}");
        }
    }

    fn bookers(night: u64) -> u64 {
        night + 2
    }

    fn stay(&self, day: u64, nights: u64) -> Stay {
        let check_in = self.first_day + Days::new(day);
        Stay::new(check_in, check_in + Days::new(nights)).unwrap()
    }

    fn booker(&self, night: u64, booker: u64) -> IdempotencyKey {
        self.key(&format!("{night}-{booker}"))
    }

    fn key(&self, name: &str) -> IdempotencyKey {
        IdempotencyKey::parse(&format!("{}-race-{name}", self.run)).unwrap()
    }

    fn request(&self, stay: Stay, party: impl Into<Party>, key: IdempotencyKey) -> BookingRequest {
        let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
        let room_type = &self.room_type;
        BookingRequest::new(room_type.hotel, room_type.id, stay, party, guest, key).recheck(self.recheck)
    }

    async fn free(&self, stay: Stay) -> u32 {
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let answer = self.clients[0]
            .availability(hotel, stay, adults(1), Some(room_type))
            .await
            .unwrap();
        answer.offers.first().map_or(0, |offer| offer.available)
    }
}
