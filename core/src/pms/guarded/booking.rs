//! How a booking is made, whatever the system: the order of the steps is the promise.
//!
//! 1. Wait for a turn: one booking at a time in each hotel. Where the system keeps *stock*, only the key needs one;
//!    where it keeps *once* too, nothing does.
//! 2. Look for the key, as long as an earlier try may still be under way. What is there is finished and answered,
//!    never made again.
//! 3. Ask for free rooms and the price now, never from a cache.
//! 4. Note that the booking is sent, and make it once. A write is never repeated, but where the system keeps *once*.
//! 5. Look for the key until the booking shows, also when the answer was lost.
//! 6. Unless the system keeps *stock*, look again whether every room is the guest's alone, or the type is not oversold;
//!    move to a free room, or cancel and answer `pms.sold_out`. Unless it keeps *price*, cancel what costs something
//!    else than was agreed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::gate::{HotelGate, Scope};
use super::retry::{RetryPolicy, is_lost};
use super::store::{KeyRecord, KeyStore};
use super::verify::Look;
use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::pms::AnswerCache;
use crate::pms::admission::{HotelSnapshot, Sale};
use crate::pms::capabilities::Guards;
use crate::pms::events::EventSender;
use crate::pms::id::{BookingId, HotelId, IdempotencyKey};
use crate::pms::model::{Booking, BookingStatus, Created};
use crate::pms::money::Money;
use crate::pms::port::{BookingSystem, Catalogue};
use crate::pms::record::{Record, RowState};
use crate::pms::request::{BookingRequest, HoldProof};

/// Where bookings are made. It has no state of its own.
pub(in crate::pms) struct BookingService {
    pub(in crate::pms) provider: Arc<dyn BookingSystem>,
    pub(in crate::pms) gate: Arc<dyn HotelGate>,
    pub(in crate::pms) keys: Arc<dyn KeyStore>,
    pub(in crate::pms) clock: SharedClock,
    pub(in crate::pms) retry: RetryPolicy,
    pub(in crate::pms) events: EventSender,
    /// Where answers about free rooms are kept, if they are.
    pub(in crate::pms) answers: Option<AnswerCache>,
}

/// A booking for the caller, and what the recheck needs.
#[derive(Debug)]
pub(in crate::pms) struct Booked {
    pub(in crate::pms) booking: Booking,
    /// How long the system took to make it; `None` when it was not made now.
    pub(in crate::pms) made_in: Option<Duration>,
}

impl BookingService {
    /// A booking younger than this may still be one that no caller was told about, so it is checked and cancelled
    /// like a new one. An older one was reported, or is the front desk's by now: it is only reported again.
    const RECENT: chrono::Duration = chrono::Duration::minutes(15);

    /// Makes the booking or finds it again. See the [module](self) for the steps.
    ///
    /// What depends on the time (past dates, an expired hold, a changed price) is checked after the look for the
    /// key, so that a repeated request finds its booking for ever.
    pub(in crate::pms) async fn book(
        &self,
        request: &BookingRequest,
        hold: Option<&HoldProof>,
    ) -> Result<Booked> {
        // Where nothing can be asked or remembered nothing is booked, and this says so sooner than the wait for a turn.
        self.provider.is_asked()?;
        self.keys.read(self.provider.system(), request.key()).await?;
        let guards = self.guards();
        let turn = match Scope::of(guards, request) {
            Some(scope) => Some(self.gate.enter(&scope, self.retry.turn).await?),
            None => None,
        };
        let mut known = self.keys.read(self.provider.system(), request.key()).await?;
        if self.is_there(request.key(), &known).await? {
            let again = Box::pin(self.bounded(request, self.find_again(request, known)));
            return Ok(Booked {
                booking: self.changing(request.hotel(), again).await?,
                made_in: None,
            });
        }
        if let Some(hold) = hold {
            hold.is_live(self.clock.now())?;
        }
        self.provider.can_book().await?;
        let Sale { offer, total, .. } = self.price_now(request).await?;
        if let Some(hold) = hold {
            hold.is_live(self.clock.now())?;
        }
        if turn.as_ref().is_some_and(|turn| !turn.is_live()) {
            return Err(super::gate::turn_timeout(request.hotel()));
        }
        known.send(self.clock.now());
        self.keys
            .write(self.provider.system(), request.key(), &known)
            .await?;
        let began = self.clock.instant();
        let send = || self.provider.create(request, &offer, total);
        let taken = if guards.once {
            // The same key books once, so what was lost may be sent again.
            self.retry.persist_while(is_lost, send).await
        } else {
            send().await
        };
        let made = match taken {
            Ok(id) => Some(id),
            Err(error) if error.is(codes::PMS_OUTCOME_UNKNOWN) => None,
            Err(error) => return Err(error),
        };
        let finish = self.finish(request, known, made, total);
        let finish = Box::pin(self.bounded(request, finish));
        let booking = self.changing(request.hotel(), finish).await;
        drop(turn);
        let made_in = self.clock.instant().saturating_duration_since(began);
        Ok(Booked {
            booking: booking?,
            made_in: Some(made_in),
        })
    }

    /// The system as what it sells.
    pub(super) fn catalogue(&self) -> Arc<dyn Catalogue> {
        self.provider.clone()
    }

    /// The promises that the system keeps by itself.
    pub(in crate::pms) fn guards(&self) -> Guards {
        self.provider.capabilities().guards()
    }

    /// Does what changes something in a hotel, and notes that, so that no kept answer about free rooms counts as fresh:
    /// also when it came to a bad end, because part of it may have been done.
    pub(in crate::pms) async fn changing<T>(
        &self,
        hotel: HotelId,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let outcome = work.await;
        if let Some(kept) = &self.answers {
            kept.cache.changed(hotel.as_str()).await;
        }
        outcome
    }

    /// Whether the system has a booking of this key. One that was sent a short while ago may still appear, so it is
    /// waited for.
    async fn is_there(&self, key: &IdempotencyKey, known: &KeyRecord) -> Result<bool> {
        let mut pauses = self.retry.pauses();
        loop {
            if !self.provider.find(key).await?.is_empty() {
                return Ok(true);
            }
            let wait = !self.guards().once && known.may_be_under_way(self.clock.now(), self.retry.total);
            match pauses.next().filter(|_| wait) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Ok(false),
            }
        }
    }

    /// Remembers what was learnt of a key. Only a process that dies later misses it, so a failure is not one of the
    /// booking.
    pub(in crate::pms) async fn remember(&self, key: &IdempotencyKey, known: &KeyRecord) {
        if let Err(error) = self.keys.write(self.provider.system(), key, known).await {
            tracing::warn!(key = key.mark(), %error, "the state of a booking could not be remembered");
        }
    }

    /// Works on a booking that exists, or may exist. Whatever fails then, or takes too long, leaves the outcome
    /// unknown: an error that says "nothing was booked" would be a lie.
    async fn bounded(
        &self,
        request: &BookingRequest,
        work: impl Future<Output = Result<Booking>> + Send,
    ) -> Result<Booking> {
        match tokio::time::timeout(self.retry.limit, work).await {
            Ok(Err(error)) if error.is_retryable() => Err(outcome_unknown(request.key(), None, Some(error))),
            Ok(answer) => answer,
            Err(_) => Err(outcome_unknown(request.key(), None, None)),
        }
    }

    /// What the request buys now, if it can be booked.
    async fn price_now(&self, request: &BookingRequest) -> Result<Sale> {
        let snapshot = HotelSnapshot::read(&self.catalogue(), request.hotel()).await?;
        let (room_type, stay) = (request.room_type(), request.stay());
        let sale = snapshot
            .sale(room_type, stay, request.party(), request.choice())
            .await?
            .ok_or_else(|| sold_out("not enough rooms are free"))?;
        same_price(request, sale.total)?;
        Ok(sale)
    }

    /// Finishes a booking that this call made, or whose answer was lost.
    async fn finish(
        &self,
        request: &BookingRequest,
        mut known: KeyRecord,
        made: Option<BookingId>,
        price: Money,
    ) -> Result<Booking> {
        // An answer that came says that everything is written. Without one, the price comes last.
        let price = Some(price).filter(|_| made.is_none() && !self.guards().price);
        let record = self.find_complete(request.key(), made, price).await?;
        let other = made.is_some_and(|id| id != record.id);
        // What this call made may show the request imperfectly; what only carries its key must match it.
        if made != Some(record.id)
            && let Some(differs) = record.differs_from(request)
        {
            return Err(key_reused(&record, differs));
        }
        let whole = record.rows.len() == request.party().each_room().len()
            && !record.rows.iter().any(|row| row.state == RowState::Cancelled);
        let kept = if whole && !record.cancelled {
            self.secure(record.clone(), request.key(), &mut known, Look::First)
                .await?
        } else {
            None
        };
        let created = if other {
            Created::FoundAgain
        } else {
            Created::Created
        };
        self.keep(request, &record, kept, &mut known, created).await
    }

    /// Answers a young booking that has its rooms and its price; cancels any other.
    async fn keep(
        &self,
        request: &BookingRequest,
        record: &Record,
        kept: Option<Record>,
        known: &mut KeyRecord,
        created: Created,
    ) -> Result<Booking> {
        let refusal = match kept {
            Some(kept) => {
                let priced = if self.guards().price {
                    Ok(())
                } else {
                    same_price(request, kept.total)
                };
                match priced.and_then(|()| same_services(request, &kept)) {
                    Ok(()) => {
                        known.report(kept.id);
                        self.remember(request.key(), known).await;
                        return answer(&kept, created);
                    }
                    Err(changed) => changed,
                }
            }
            None => sold_out("the rooms were taken while they were being booked"),
        };
        self.give_back(record).await?;
        Err(refusal.with("cancelled_booking", record.id))
    }

    /// Answers the booking that an earlier call made. One that is still young and that no caller was told about may
    /// never have been checked, because that call may have died half-way.
    async fn find_again(&self, request: &BookingRequest, mut known: KeyRecord) -> Result<Booking> {
        let record = self.find_complete(request.key(), None, None).await?;
        if let Some(differs) = record.differs_from(request) {
            return Err(key_reused(&record, differs));
        }
        if record.status() == BookingStatus::Cancelled {
            return Err(dead(&record));
        }
        if self.is_young(&record) && !known.is_reported(record.id) {
            let record = match request.agreed() {
                Some(quote) => self.find_complete(request.key(), None, Some(quote.total)).await?,
                None => record,
            };
            let kept = self
                .secure(record.clone(), request.key(), &mut known, Look::First)
                .await?;
            let created = Created::FoundAgain;
            return self.keep(request, &record, kept, &mut known, created).await;
        }
        if record.status() == BookingStatus::BackOrdered {
            return Err(sold_out("the hotel has no room for this booking").with("booking", record.id));
        }
        answer(&record, Created::FoundAgain)
    }

    /// Looks for the key until a finished booking shows: the one that was `made`, if its id is known. Of several
    /// live ones, left by an answer that was lost and a later try, the first with a room is kept and the young
    /// others are cancelled. With a `price`, one that costs something else may still be being written; it is the
    /// answer when it stays as it is.
    ///
    /// # Errors
    /// `pms.outcome_unknown` when none shows in time, or another one could not be cancelled.
    async fn find_complete(
        &self,
        key: &IdempotencyKey,
        made: Option<BookingId>,
        price: Option<Money>,
    ) -> Result<Record> {
        let mut pauses = self.retry.pauses();
        let mut failure = None;
        let mut records = loop {
            let records = match self.provider.find(key).await {
                Ok(records) => records,
                Err(error) => {
                    failure = Some(error);
                    Vec::new()
                }
            };
            let shows = |record: &&Record| record.complete && made.is_none_or(|id| id == record.id);
            let is_whole = |record: &Record| price.is_none_or(|price| price == record.total);
            if records.iter().filter(shows).any(is_whole) {
                break records;
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None if records.iter().any(|record| shows(&record)) => break records,
                None => return Err(outcome_unknown(key, made, failure)),
            }
        };
        records.retain(|record| record.complete);
        // Within each kind they stay in the order of writing.
        records.sort_by_key(|record| (record.cancelled, record.was_back_ordered()));
        let mut records = records.into_iter();
        let kept = records.next().ok_or_else(|| outcome_unknown(key, made, None))?;
        for extra in records.filter(|extra| !extra.cancelled && self.is_young(extra)) {
            self.give_back(&extra).await?;
        }
        Ok(kept)
    }

    fn is_young(&self, record: &Record) -> bool {
        self.clock.now() - record.made_at < Self::RECENT
    }
}

/// The booking for the caller.
///
/// # Errors
/// `pms.outcome_unknown` while the system has written its head but none of its rooms.
pub(in crate::pms) fn answer(record: &Record, created: Created) -> Result<Booking> {
    record.booking(created).ok_or_else(|| {
        Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the system is still writing this booking; ask again",
        )
        .with("booking", record.id)
    })
}

pub(in crate::pms) fn same_price(request: &BookingRequest, current: Money) -> Result<()> {
    match request.agreed() {
        Some(quote) if quote.total != current => Err(Error::new(
            codes::PMS_PRICE_CHANGED,
            "the price is not the one that was quoted",
        )
        .with("quoted", quote.total)
        .with("current", current)),
        _ => Ok(()),
    }
}

/// A system that leaves out a service would charge its price for the rooms.
fn same_services(request: &BookingRequest, record: &Record) -> Result<()> {
    let (choice, rooms) = (request.choice(), request.party().rooms());
    if choice.as_slice().is_empty() || choice.is(&record.services, rooms) {
        return Ok(());
    }
    Err(Error::new(
        codes::PMS_REJECTED,
        "the system booked without the chosen services; the booking was cancelled, so book without them",
    ))
}

/// A booking that ended must not come back because a message was delivered twice, and is no success either.
fn dead(record: &Record) -> Error {
    let error = if record.was_back_ordered() {
        sold_out("this booking was cancelled because the rooms were gone; book again with a new key")
    } else {
        Error::new(
            codes::PMS_WRONG_STATE,
            "the booking of this key was cancelled; book again with a new key",
        )
    };
    error.with("booking", record.id)
}

fn key_reused(record: &Record, differs: &'static str) -> Error {
    Error::new(
        codes::PMS_KEY_REUSED,
        "this idempotency key belongs to another request",
    )
    .with("booking", record.id)
    .with("differs", differs)
}

pub(in crate::pms) fn sold_out(message: &'static str) -> Error {
    Error::new(codes::PMS_SOLD_OUT, message)
}

/// With the last failure of looking for the booking, when looking is what failed.
fn outcome_unknown(key: &IdempotencyKey, made: Option<BookingId>, failure: Option<Error>) -> Error {
    let mut error = Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the booking was sent and does not show yet; ask again with the same key",
    )
    .with("key", key.mark());
    if let Some(id) = made {
        error = error.with("booking", id);
    }
    match failure {
        Some(failure) => error.caused_by(failure),
        None => error,
    }
}

#[cfg(test)]
#[path = "booking_tests.rs"]
mod tests;
