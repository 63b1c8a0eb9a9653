//! The recheck: a program that does not look, such as the hotel's own website, may write into our room after we
//! looked.
//!
//! The first check, before `book` answers, finds every booking that was there first. A booking that the website had checked
//! by then and wrote later is seen only by looking again. The website never yields, so ours does: it moves to a free
//! room, or follows the request's [`Collision`].

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::booking::{BookingService, answer, sold_out};
use super::gate::Scope;
use super::store::KeyRecord;
use super::verify::Look;
use crate::error::{Error, Result, codes};
use crate::pms::events::{Collision, PmsEvent};
use crate::pms::id::{BookingId, HotelId, IdempotencyKey};
use crate::pms::model::{Booking, BookingStatus, Created};
use crate::pms::record::Record;
use crate::pms::request::BookingRequest;

/// What the recheck is about.
#[derive(Clone)]
pub(in crate::pms) struct Watched {
    pub(super) hotel: HotelId,
    pub(super) key: IdempotencyKey,
    pub(super) collision: Collision,
}

impl Watched {
    /// A booking that must stay, whichever other is in its room.
    pub(in crate::pms) fn keeping(hotel: HotelId, key: IdempotencyKey) -> Self {
        Self {
            hotel,
            key,
            collision: Collision::Keep,
        }
    }
}

impl From<&BookingRequest> for Watched {
    fn from(request: &BookingRequest) -> Self {
        Self {
            hotel: request.hotel(),
            key: request.key().clone(),
            collision: request.collision,
        }
    }
}

impl BookingService {
    /// How long after its first check a booking that took so long is looked at again: a booking that was checked before this
    /// one was written has been written by then.
    pub(in crate::pms) fn recheck_pause(&self, made_in: Duration) -> Duration {
        self.retry.recheck.max(made_in * 2)
    }

    /// Looks again, and answers the booking as it is then. The key is settled, unless this look came before its time.
    ///
    /// # Errors
    /// `pms.sold_out` with `cancelled_booking` when ours yielded; `pms.outcome_unknown` when the look failed.
    pub(in crate::pms) async fn recheck(
        self: Arc<Self>,
        watched: &Watched,
        id: BookingId,
        in_time: bool,
    ) -> Result<Booking> {
        let key = watched.key.clone();
        let looked = self.look_again(watched, id).await;
        let ended = match &looked {
            Ok(_) => in_time,
            Err(error) => error.is(codes::PMS_SOLD_OUT) || error.is(codes::PMS_UNKNOWN_BOOKING),
        };
        if ended {
            self.is_settled(&key).await;
        }
        if let Err(error) = &looked
            && !error.is(codes::PMS_SOLD_OUT)
        {
            let code = error.code();
            self.events.tell(PmsEvent::RecheckFailed {
                key,
                booking: id,
                code,
            });
        }
        looked.map_err(|error| {
            if error.is_retryable() {
                let message =
                    "the booking was made, and could not be looked at again; ask again with the same key";
                return Error::new(codes::PMS_OUTCOME_UNKNOWN, message)
                    .with("booking", id)
                    .caused_by(error);
            }
            error
        })
    }

    async fn look_again(&self, watched: &Watched, id: BookingId) -> Result<Booking> {
        // Looking needs no turn, and a system that does not answer must not close the hotel for everybody else.
        if let ControlFlow::Break(fine) = self.glance(id).await? {
            return Ok(fine);
        }
        let turn = self
            .gate
            .enter(&Scope::Hotel(watched.hotel), self.retry.turn)
            .await?;
        let mut known = self.keys.read(self.provider.system(), &watched.key).await?;
        let (record, other) = match self.glance(id).await? {
            ControlFlow::Break(fine) => return Ok(fine),
            ControlFlow::Continue(found) => found,
        };
        let key = watched.key.clone();
        let securing = Box::pin(self.secure(record.clone(), &watched.key, &mut known, Look::Recheck));
        let secured = self.changing(watched.hotel, securing).await?;
        drop(turn);
        match (secured, watched.collision) {
            (Some(record), _) => {
                let booking = answer(&record, Created::Created)?;
                let told = Box::new(booking.clone());
                self.events.tell(PmsEvent::Moved { key, booking: told });
                Ok(booking)
            }
            (None, Collision::Keep) => {
                self.events.tell(PmsEvent::Kept {
                    key,
                    booking: id,
                    other,
                });
                answer(&record, Created::Created)
            }
            (None, Collision::Yield) => {
                self.give_back(&record).await?;
                self.events.tell(PmsEvent::Yielded {
                    key,
                    booking: id,
                    other,
                });
                let error = sold_out("a booking that was made beside posada took the room at the same time");
                Err(error.with("cancelled_booking", id))
            }
        }
    }

    /// The booking, when nothing has to be done about it; otherwise it and the bookings in its room.
    async fn glance(&self, id: BookingId) -> Result<ControlFlow<Booking, (Record, BookingId)>> {
        let record = self.held().persist(|| self.provider.record(id)).await?;
        let record = record.ok_or_else(|| Error::new(codes::PMS_UNKNOWN_BOOKING, "no such booking"))?;
        // Cancelled or checked in meanwhile: the front desk has decided.
        if record.status() == BookingStatus::Confirmed
            && let Some(other) = self.foreign(&record).await?
        {
            return Ok(ControlFlow::Continue((record, other)));
        }
        answer(&record, Created::Created).map(ControlFlow::Break)
    }

    /// A booking in the place of this one that must stay there.
    async fn foreign(&self, record: &Record) -> Result<Option<BookingId>> {
        for row in &record.rows {
            if let Some(other) = self.loses_to(row, false, Look::Recheck).await? {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Whether a booking was made without us. Ours look by themselves, and the later one leaves. What is remembered
    /// tells them apart, because other programs may write anything where our key stands.
    pub(in crate::pms) async fn is_foreign(&self, booking: BookingId) -> Result<bool> {
        let record = self.held().persist(|| self.provider.record(booking)).await?;
        match record.and_then(|record| record.key) {
            Some(key) => Ok(self.keys.read(self.provider.system(), &key).await? == KeyRecord::default()),
            None => Ok(true),
        }
    }
}
