//! Finishing what another call left: keys that are unsettled although their time is over, because their process died,
//! its handle was closed early, or the system could not be asked.

use std::sync::Arc;
use std::time::Duration;

use super::booking::{BookingService, Made, answer};
use super::gate::Scope;
use super::recheck::Watched;
use super::verify::Look;
use crate::error::{Error, Result, codes};
use crate::pms::events::Collision;
use crate::pms::id::{HotelId, IdempotencyKey};
use crate::pms::model::{BookingStatus, Created};
use crate::pms::record::Record;

impl BookingService {
    /// How long after it was due a key is taken from the call that has it.
    const GRACE: Duration = Duration::from_secs(10);
    /// How long a question about one booking waits for a turn, to finish it.
    const SHORT: Duration = Duration::from_secs(2);
    /// How often each process looks for keys that others left.
    pub(in crate::pms) const EVERY: Duration = Duration::from_secs(15);

    /// Finishes the keys that are overdue. What fails is tried again by a later sweep.
    pub(in crate::pms) async fn sweep(self: &Arc<Self>) {
        let before = self.clock.now() - Self::GRACE;
        let overdue = match self.keys.overdue(self.provider.system(), before).await {
            Ok(overdue) => overdue,
            Err(error) => {
                tracing::debug!(%error, "unsettled bookings could not be looked for");
                return;
            }
        };
        for key in overdue {
            if let Err(error) = self.finish_left(&key, self.retry.turn).await {
                tracing::warn!(key = key.mark(), %error, "a booking that a call left could not be finished yet");
            }
        }
    }

    /// Finishes the booking of a key about which a caller asks, when it is unsettled and its call left it. Says whether it
    /// was unsettled. While what is remembered cannot be read, the system alone tells.
    ///
    /// # Errors
    /// `pms.outcome_unknown` while no caller was told about it.
    pub(in crate::pms) async fn settled(self: &Arc<Self>, key: &IdempotencyKey) -> Result<bool> {
        let due = match self.keys.unsettled(self.provider.system(), key).await {
            Ok(Some(due)) => due,
            Ok(None) => return Ok(false),
            Err(error) => {
                tracing::debug!(%error, "whether a booking is settled could not be read");
                return Ok(false);
            }
        };
        if self.known(key).await?.was_reported() && self.clock.now() < due + Self::GRACE {
            return Ok(false);
        }
        let finished = self.finish_left(key, Self::SHORT).await;
        finished.map(|()| true).map_err(|cause| {
            if cause.is_retryable() {
                unsettled(key).caused_by(cause)
            } else {
                cause
            }
        })
    }

    /// Finishes the booking of a key, whose call does not.
    async fn finish_left(self: &Arc<Self>, key: &IdempotencyKey, wait: Duration) -> Result<()> {
        let known = self.known(key).await?;
        // What is not remembered any more, or was never sent, has left nothing.
        let Some(hotel) = known.hotel() else {
            self.is_settled(key).await;
            return Ok(());
        };
        let records = self.provider.find(key).await?;
        if records.is_empty() && known.may_be_under_way(self.clock.now(), self.retry.total) {
            return Err(unsettled(key));
        }
        let reported = records.iter().find(|record| known.is_reported(record.id));
        if let Some(reported) = reported {
            let watched = Watched::new(hotel, key.clone(), known.collision());
            let looked = self.clone().recheck(&watched, reported.id, true).await;
            return match looked {
                // It was told as an event.
                Err(error) if error.is(codes::PMS_SOLD_OUT) => Ok(()),
                looked => looked.map(drop),
            };
        }
        let turn = self.gate.enter(&Scope::Hotel(hotel), wait).await?;
        let checking = Box::pin(self.check_left(hotel, key));
        let checked = self.changing(hotel, checking).await;
        drop(turn);
        checked
    }

    /// Checks a booking that no caller was told about, in a turn.
    async fn check_left(&self, hotel: HotelId, key: &IdempotencyKey) -> Result<()> {
        let mut known = self.known(key).await?;
        let records = self.held().persist(|| self.provider.find(key)).await?;
        if records.iter().any(|record| known.is_reported(record.id)) {
            return Ok(());
        }
        let live = |record: &&Record| !record.cancelled;
        if !records.iter().any(|record| record.complete && !record.cancelled) {
            // The head of one that the system began may take rooms for ever.
            for begun in records.iter().filter(live) {
                if self.is_young(begun) {
                    return Err(unsettled(key));
                }
                self.give_back(begun).await?;
            }
            if records.is_empty() && known.may_be_under_way(self.clock.now(), self.retry.total) {
                return Err(unsettled(key));
            }
            self.is_settled(key).await;
            return Ok(());
        }
        let record = self.pick(key, Made::Before).await?;
        if record.status() == BookingStatus::CheckedIn || record.hotel != hotel {
            self.is_settled(key).await;
            return Ok(());
        }
        let secured = self
            .secure(record.clone(), key, &mut known, Look::Recheck)
            .await?;
        match secured {
            Some(kept)
                if known
                    .agreed()
                    .is_none_or(|agreed| self.guards().price || agreed == kept.total) =>
            {
                answer(&kept, Created::FoundAgain)?;
            }
            _ => self.give_back(&record).await?,
        }
        self.is_settled(key).await;
        Ok(())
    }
}

impl Watched {
    pub(super) fn new(hotel: HotelId, key: IdempotencyKey, collision: Collision) -> Self {
        Self {
            hotel,
            key,
            collision,
        }
    }
}

fn unsettled(key: &IdempotencyKey) -> Error {
    Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the booking of this key is still being made; ask again",
    )
    .with("key", key.mark())
}
