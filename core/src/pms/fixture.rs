//! For the unit tests of this room: a mock hotel, any number of processes that book in it, and short patience.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    BookingRequest, Guest, HotelId, IdempotencyKey, LocalGate, MockPms, Occupancy, Party, Patience,
    PmsClient, RoomTypeId,
};
use crate::clock::ManualClock;
use crate::stay::Stay;
use crate::task::Tasks;

pub(super) struct World {
    pub(super) mock: MockPms,
    pub(super) clock: ManualClock,
}

impl World {
    /// An empty hotel on the first of January 2027.
    pub(super) fn new() -> Self {
        let clock = ManualClock::at("2027-01-01T09:00:00Z".parse::<DateTime<Utc>>().unwrap());
        Self {
            mock: MockPms::new(clock.shared()).unwrap(),
            clock,
        }
    }

    /// One process, with a gate of its own.
    pub(super) fn process(&self) -> PmsClient {
        let patience = Patience {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(8),
            total: Duration::from_millis(60),
            turn: Duration::from_secs(30),
        };
        let provider = Arc::new(self.mock.clone());
        PmsClient::new(
            provider,
            Arc::new(LocalGate::default()),
            self.clock.shared(),
            Tasks::new(),
            patience,
        )
    }

    /// Books rooms of the first type, one adult in each.
    pub(super) async fn occupy(&self, stay: Stay, rooms: usize) {
        let party = Party::new(vec![room(1); rooms]).unwrap();
        self.process()
            .book(&request("occupied", stay, party), None)
            .await
            .unwrap();
    }

    /// How many rooms of the first type are free.
    pub(super) async fn free(&self, stay: Stay) -> u32 {
        let answer = self
            .process()
            .availability(hotel(), stay, room(1), Some(room_type()))
            .await
            .unwrap();
        answer.offers.first().map_or(0, |offer| offer.available)
    }
}

pub(super) fn hotel() -> HotelId {
    HotelId::new(1).unwrap()
}

pub(super) fn room_type() -> RoomTypeId {
    RoomTypeId::new(1).unwrap()
}

pub(super) fn room(adults: u32) -> Occupancy {
    Occupancy::new(adults, &[]).unwrap()
}

/// Two nights in March.
pub(super) fn stay() -> Stay {
    Stay::parse("2027-03-10", "2027-03-12").unwrap()
}

pub(super) fn request(key: &str, stay: Stay, party: impl Into<Party>) -> BookingRequest {
    let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
    BookingRequest::new(
        hotel(),
        room_type(),
        stay,
        party,
        guest,
        IdempotencyKey::parse(key).unwrap(),
    )
}
