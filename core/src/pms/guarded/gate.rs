//! One booking at a time in each hotel: systems such as QloApps check and write without a lock of their own, so two
//! bookings at once can take the same room.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, Result, codes};
use crate::locks::{AcquireOptions, LockGuard, LockManager};
use crate::pms::capabilities::Guards;
use crate::pms::id::{HotelId, IdempotencyKey};
use crate::pms::request::BookingRequest;

/// What is done one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Bookings of a hotel whose system does not keep two of them apart.
    Hotel(HotelId),
    /// Calls with a key at a hotel whose system keeps bookings apart, and would book twice for two calls.
    Key(HotelId, IdempotencyKey),
}

impl Scope {
    /// What a booking must be alone in; `None` where the system sees to it.
    pub(in crate::pms) fn of(guards: Guards, request: &BookingRequest) -> Option<Self> {
        match (guards.stock, guards.once) {
            (false, _) => Some(Self::Hotel(request.hotel())),
            (true, false) => Some(Self::Key(request.hotel(), request.key().clone())),
            (true, true) => None,
        }
    }

    pub(in crate::pms) fn hotel(&self) -> HotelId {
        match self {
            Self::Hotel(hotel) | Self::Key(hotel, _) => *hotel,
        }
    }
}

/// Lets one booking of each hotel through at a time.
#[async_trait]
pub(crate) trait HotelGate: Send + Sync {
    /// Waits for a turn; dropping the [`Turn`] ends it. Cancel-safe.
    ///
    /// # Errors
    /// `pms.timeout` when the turn did not come within `wait`, or an error of the locks that give the turns.
    async fn enter(&self, scope: &Scope, wait: Duration) -> Result<Box<dyn Turn>>;
}

/// The right to book in one hotel.
pub(crate) trait Turn: Send + Sync {
    /// Whether the turn was not lost meanwhile.
    fn is_live(&self) -> bool;
}

/// Turns among all processes: the named lock of the hotel, fenced, audited and extended by itself.
pub(crate) struct LockGate {
    locks: LockManager,
    /// The system whose hotels these are; two systems may both have a hotel 1.
    system: String,
}

impl LockGate {
    /// How long the hotel stays closed when a process dies in its turn: about as long as a recheck waits. A process that
    /// lives extends it three times in this time; one that is held up for longer finds its turn lost before it sends, and
    /// what it sent is looked at like every other booking.
    const TTL: Duration = Duration::from_secs(5);

    pub(crate) fn new(locks: LockManager, system: &str) -> Self {
        Self {
            locks,
            system: system.to_owned(),
        }
    }
}

#[async_trait]
impl HotelGate for LockGate {
    async fn enter(&self, scope: &Scope, wait: Duration) -> Result<Box<dyn Turn>> {
        let hotel = scope.hotel();
        let name = match scope {
            Scope::Hotel(_) => format!("pms:{}:hotel:{hotel}", self.system),
            Scope::Key(_, key) => format!("pms:{}:hotel:{hotel}:key:{}", self.system, key.mark()),
        };
        let options = AcquireOptions::new().ttl(Self::TTL).wait(wait).auto_extend(true);
        match self.locks.acquire(&name, &options).await {
            Ok(guard) => Ok(Box::new(LockTurn(guard))),
            Err(error) if error.is(codes::LOCKS_CONTENDED) => Err(turn_timeout(hotel).caused_by(error)),
            Err(error) => Err(error),
        }
    }
}

/// Dropping it releases the lock.
struct LockTurn(LockGuard);

impl Turn for LockTurn {
    fn is_live(&self) -> bool {
        self.0.ensure_held().is_ok()
    }
}

/// The error of a turn that did not come in time.
pub(crate) fn turn_timeout(hotel: HotelId) -> Error {
    Error::new(
        codes::PMS_TIMEOUT,
        "other bookings of this hotel took too long; nothing was booked",
    )
    .with("hotel", hotel)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::locks::{HoldRules, MemoryAudit, MemoryFences, MemoryHolds, MemoryLocks};
    use crate::task::Tasks;

    fn hotel(id: u64) -> HotelId {
        HotelId::from(id)
    }

    fn locks() -> LockManager {
        let clock = SystemClock::shared();
        LockManager::new(
            Arc::new(MemoryLocks::new(clock.clone())),
            Arc::new(MemoryHolds::new(clock.clone())),
            Arc::<MemoryAudit>::default(),
            Arc::<MemoryFences>::default(),
            HoldRules::default(),
            clock,
            Tasks::new(),
        )
    }

    #[tokio::test]
    async fn a_hotel_gives_one_turn_at_a_time_and_hotels_do_not_wait_for_each_other() {
        let gate = LockGate::new(locks(), "mock");
        let turn = gate
            .enter(&Scope::Hotel(hotel(1)), Duration::from_secs(5))
            .await
            .unwrap();
        assert!(turn.is_live());
        let refused = gate
            .enter(&Scope::Hotel(hotel(1)), Duration::from_millis(1))
            .await
            .err()
            .unwrap();
        assert!(refused.is(codes::PMS_TIMEOUT));
        assert!(
            gate.enter(&Scope::Hotel(hotel(2)), Duration::from_millis(1))
                .await
                .is_ok()
        );
        drop(turn);
        assert!(
            gate.enter(&Scope::Hotel(hotel(1)), Duration::from_secs(5))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn hotels_of_two_systems_do_not_wait_for_each_other() {
        let locks = locks();
        let turn = LockGate::new(locks.clone(), "shop.example")
            .enter(&Scope::Hotel(hotel(1)), Duration::ZERO)
            .await;
        let other = LockGate::new(locks, "other.example")
            .enter(&Scope::Hotel(hotel(1)), Duration::ZERO)
            .await;
        assert!(turn.is_ok() && other.is_ok());
    }
}
