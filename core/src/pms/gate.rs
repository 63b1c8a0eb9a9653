//! One booking at a time in each hotel: systems such as QloApps check and write without a lock of their own, so two
//! bookings at once can take the same room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::id::HotelId;
use crate::error::{Error, Result, codes};

/// Lets one booking of each hotel through at a time.
#[async_trait]
pub(crate) trait HotelGate: Send + Sync {
    /// Waits for a turn; dropping the [`Turn`] ends it. Cancel-safe.
    ///
    /// # Errors
    /// `pms.timeout` when the turn did not come within `wait`, or the error of whoever gives the turns.
    async fn enter(&self, hotel: HotelId, wait: Duration) -> Result<Box<dyn Turn>>;
}

/// The right to book in one hotel.
pub(crate) trait Turn: Send + Sync {
    /// Whether the turn was not lost meanwhile.
    fn is_live(&self) -> bool;
}

/// Turns within this process only. Between processes, the check after each booking finds what this cannot prevent.
#[derive(Debug, Default)]
pub(crate) struct LocalGate {
    hotels: Mutex<HashMap<HotelId, Arc<tokio::sync::Mutex<()>>>>,
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
    fn queue(&self, hotel: HotelId) -> Arc<tokio::sync::Mutex<()>> {
        let mut hotels = self.hotels.lock().unwrap_or_else(PoisonError::into_inner);
        // A queue that only the map knows is empty; unknown hotels must not fill the map.
        hotels.retain(|known, queue| *known == hotel || Arc::strong_count(queue) > 1);
        hotels.entry(hotel).or_default().clone()
    }
}

#[async_trait]
impl HotelGate for LocalGate {
    async fn enter(&self, hotel: HotelId, wait: Duration) -> Result<Box<dyn Turn>> {
        match tokio::time::timeout(wait, self.queue(hotel).lock_owned()).await {
            Ok(guard) => Ok(Box::new(LocalTurn { _guard: guard })),
            Err(_) => Err(turn_timeout(hotel)),
        }
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
    use super::*;

    fn hotel(id: u64) -> HotelId {
        HotelId::new(id).unwrap()
    }

    #[tokio::test]
    async fn a_hotel_gives_one_turn_at_a_time_and_hotels_do_not_wait_for_each_other() {
        let gate = LocalGate::default();
        let turn = gate.enter(hotel(1), Duration::from_secs(5)).await.unwrap();
        assert!(turn.is_live());
        let refused = gate
            .enter(hotel(1), Duration::from_millis(1))
            .await
            .err()
            .unwrap();
        assert!(refused.is(codes::PMS_TIMEOUT));
        assert!(gate.enter(hotel(2), Duration::from_millis(1)).await.is_ok());
        drop(turn);
        assert!(gate.enter(hotel(1), Duration::from_secs(5)).await.is_ok());
    }

    #[tokio::test]
    async fn hotels_without_a_queue_are_forgotten() {
        let gate = LocalGate::default();
        for id in 1..=100 {
            drop(gate.enter(hotel(id), Duration::from_secs(5)).await.unwrap());
        }
        assert_eq!(gate.hotels.lock().unwrap().len(), 1);
    }
}
