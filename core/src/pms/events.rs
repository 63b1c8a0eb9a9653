//! What was done about bookings after their calls had returned, and how a caller is told.

use std::fmt;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast;

use super::id::{BookingId, IdempotencyKey};
use super::model::Booking;

/// Events that a slow listener may lag behind.
const KEPT_EVENTS: usize = 256;

/// Whether `book` waits for the recheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recheck {
    /// `book` answers after the first check; the second goes on without the caller, and tells by a [`PmsEvent`].
    #[default]
    Detached,
    /// `book` answers after the recheck, two seconds later or more.
    Wait,
}

/// What becomes of our booking when the recheck finds a foreign booking in its room and no room is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collision {
    /// Ours is cancelled, so that no room stays double.
    #[default]
    Yield,
    /// Ours stays; the staff must find a room.
    Keep,
}

/// What the recheck did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PmsEvent {
    /// A foreign booking was in the room, and ours has another one now.
    Moved {
        /// The key of our booking.
        key: IdempotencyKey,
        /// Our booking, as it is now.
        booking: Box<Booking>,
    },
    /// A foreign booking was in the room, no other was free, and ours is cancelled: the guest must be told.
    Yielded {
        /// The key of our booking.
        key: IdempotencyKey,
        /// Our booking.
        booking: BookingId,
        /// The booking that has the room.
        other: BookingId,
    },
    /// A foreign booking is in the room, no other is free, and both bookings stay: the staff must decide.
    Kept {
        /// The key of our booking.
        key: IdempotencyKey,
        /// Our booking.
        booking: BookingId,
        /// The other booking in its room.
        other: BookingId,
    },
    /// The recheck could not be made; the booking may share its room.
    RecheckFailed {
        /// The key of our booking.
        key: IdempotencyKey,
        /// Our booking.
        booking: BookingId,
        /// The code of the error.
        code: &'static str,
    },
}

/// Hears the events of one [`PmsClient`](crate::PmsClient), from the moment it was made.
pub struct PmsEvents(broadcast::Receiver<PmsEvent>);

impl PmsEvents {
    /// The next event; `None` when the client is gone. A listener that is 256 events behind misses the oldest.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<PmsEvent> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener was too slow for the events of the PMS");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The same events as a stream, which ends when the client is gone.
    pub fn into_stream(self) -> impl Stream<Item = PmsEvent> + Send + Unpin + 'static {
        Box::pin(unfold(self, |mut events| async {
            let event = events.next().await?;
            Some((event, events))
        }))
    }
}

impl fmt::Debug for PmsEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PmsEvents").finish_non_exhaustive()
    }
}

/// Where events are told.
#[derive(Clone)]
pub(super) struct EventSender(broadcast::Sender<PmsEvent>);

impl EventSender {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT_EVENTS))
    }

    pub(super) fn listen(&self) -> PmsEvents {
        PmsEvents(self.0.subscribe())
    }

    pub(super) fn tell(&self, event: PmsEvent) {
        tracing::info!(?event, "the recheck of a booking");
        // Listening is optional.
        let _ = self.0.send(event);
    }
}
