//! For the unit tests of this module: a mock hotel, any number of processes that book in it, and a short retry policy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::OwnedMutexGuard;

use super::guarded::BookingService;
use super::guarded::gate::{HotelGate, Scope, Turn, turn_timeout};
use super::guarded::store::KeyStore;
use super::port::BookingSystem;
use super::{
    BookingRequest, ClientParts, Guest, HotelId, IdempotencyKey, MemoryKeys, MockPms, Occupancy, Party,
    PmsClient, RetryPolicy, RoomTypeId,
};
use crate::clock::ManualClock;
use crate::error::Result;
use crate::stay::Stay;
use crate::sync::lock;
use crate::task::Tasks;

pub(super) struct World {
    pub(super) mock: MockPms,
    pub(super) clock: ManualClock,
    /// What the processes remember together.
    pub(super) keys: Arc<MemoryKeys>,
}

impl World {
    /// An empty hotel on the first of January 2027.
    pub(super) fn new() -> Self {
        let clock = ManualClock::at("2027-01-01T09:00:00Z".parse::<DateTime<Utc>>().unwrap());
        Self {
            mock: MockPms::new(clock.shared()).unwrap(),
            keys: Arc::new(MemoryKeys::new(clock.shared())),
            clock,
        }
    }

    /// One process, with a gate of its own.
    pub(super) fn process(&self) -> PmsClient {
        self.process_that_remembers(self.keys.clone())
    }

    /// A process that has forgotten what the others know.
    pub(super) fn forgetful_process(&self) -> PmsClient {
        self.process_that_remembers(Arc::new(MemoryKeys::new(self.clock.shared())))
    }

    fn process_that_remembers(&self, keys: Arc<MemoryKeys>) -> PmsClient {
        self.client(Arc::new(self.mock.clone()), keys, Self::retry())
    }

    pub(super) fn retry() -> RetryPolicy {
        RetryPolicy {
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(8),
            total: Duration::from_millis(60),
            // Far away: it must not depend on the machine which of a test's steps comes first.
            limit: Duration::from_mins(5),
            turn: Duration::from_secs(30),
            recheck: Duration::ZERO,
        }
    }

    pub(super) fn client(
        &self,
        system: Arc<dyn BookingSystem>,
        keys: Arc<dyn KeyStore>,
        retry: RetryPolicy,
    ) -> PmsClient {
        PmsClient::guarded(
            system,
            Arc::new(LocalGate::default()),
            keys,
            ClientParts {
                clock: self.clock.shared(),
                tasks: Tasks::new(),
                retry,
                answers: None,
            },
        )
    }

    /// The bookings of a process with a system and a memory of its own making, which looks at every booking again.
    pub(super) fn bookings(
        &self,
        system: Arc<dyn BookingSystem>,
        keys: Arc<dyn KeyStore>,
    ) -> Arc<BookingService> {
        let retry = RetryPolicy {
            recheck: Duration::from_secs(2),
            ..Self::retry()
        };
        self.client(system, keys, retry).0.bookings.clone().unwrap()
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
    HotelId::from(1)
}

pub(super) fn room_type() -> RoomTypeId {
    RoomTypeId::from(1)
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

/// Turns within one process only, so that nothing but the look afterwards keeps processes apart.
#[derive(Debug, Default)]
pub(super) struct LocalGate {
    hotels: Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<()>>>>,
}

struct LocalTurn {
    _guard: OwnedMutexGuard<()>,
}

impl Turn for LocalTurn {
    fn is_live(&self) -> bool {
        true
    }
}

impl LocalGate {
    fn queue(&self, scope: &Scope) -> Arc<tokio::sync::Mutex<()>> {
        let mut hotels = lock(&self.hotels);
        // A queue that only the map knows is empty; unknown hotels must not fill the map.
        hotels.retain(|known, queue| known == scope || Arc::strong_count(queue) > 1);
        hotels.entry(scope.clone()).or_default().clone()
    }
}

#[async_trait]
impl HotelGate for LocalGate {
    async fn enter(&self, scope: &Scope, wait: Duration) -> Result<Box<dyn Turn>> {
        match tokio::time::timeout(wait, self.queue(scope).lock_owned()).await {
            Ok(guard) => Ok(Box::new(LocalTurn { _guard: guard })),
            Err(_) => Err(turn_timeout(scope.hotel())),
        }
    }
}
