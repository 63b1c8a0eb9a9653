//! How a booking is made, whatever the system: the order of the steps is the promise.
//!
//! 1. Look for the key, as long as an earlier try may still be under way. What is there is finished and answered,
//!    never made again.
//! 2. Wait for a turn: one booking at a time in each hotel. Where the system keeps *stock*, only the key needs one;
//!    where it keeps *once* too, nothing does. Look for the key again.
//! 3. Ask for free rooms and the price now, never from a cache.
//! 4. Note that the key is unsettled and that its booking is sent, and make it once. A write is never repeated, but
//!    where the system keeps *once*. A definite refusal takes the notes back.
//! 5. When the answer was lost, leave the turn, look for the key until the booking shows, and take a turn again: no
//!    other guest waits for a lost answer.
//! 6. Unless the system keeps *stock*, look again whether every room is the guest's alone, or the type is not oversold;
//!    move to a free room, or cancel and answer `pms.sold_out`. Unless it keeps *price*, cancel what costs something
//!    else than was agreed.
//! 7. Note that the booking is reported, and until when its recheck is due; leave the turn and answer.
//! 8. Recheck ([`recheck`](super::recheck)), and note that the key is settled.
//!
//! What happens if the process dies here, after each step, and who finishes it; `deaths` plays every line:
//!
//! | it dies after | what is left | the same key again | no caller asks again |
//! |---|---|---|---|
//! | the look for the key, the turn, the price | nothing; the turn ends by itself | books | nothing to do |
//! | the note *unsettled* | a mark without a booking | books | the sweep takes the mark away |
//! | the note *sent* | the same, and a note | waits as long as a booking may take to show, then books | the same, after that time |
//! | the booking was sent | a booking that was not looked at | is found, checked, kept or cancelled, answered | the sweep checks it, keeps or cancels it |
//! | the system answered | the same | the same | the same |
//! | a row was moved | the same, noted as a newcomer in its room | the same | the same |
//! | it was cancelled | a cancelled booking | `pms.sold_out` or `pms.wrong_state`: nothing was reported | the sweep takes the mark away |
//! | the note *due* | a booking that was checked once | is checked again and answered | the sweep checks it again |
//! | the note *reported* | a booking that may have been answered | is answered; its recheck is made up for | the sweep makes up for the recheck |
//! | the recheck moved or cancelled it | as the recheck left it | is answered as it is | the sweep rechecks once more, and finds nothing to do |
//! | the note *settled* | nothing | is answered | nothing to do |
//!
//! The sweep ([`settle`](super::settle)) runs in every process that works with the hotel's system.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::gate::{HotelGate, Scope, Turn};
use super::retry::{RetryPolicy, is_ended, is_lost, may_be_lost};
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
    /// How long to wait for the recheck; `None` when it is not needed, or not any more.
    pub(in crate::pms) recheck: Option<Duration>,
}

impl BookingService {
    /// Of a booking that is younger than this it is not known whether a caller was told, when what was remembered of its
    /// key is lost: it is checked and cancelled like a new one. An older one was reported, or is the front desk's by now.
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
        let (key, mut pauses) = (request.key(), self.retry.pauses());
        let (turn, mut known) = loop {
            // What an earlier try left is waited for outside of the turn, which it would keep from other guests.
            let before = self.known(key).await?;
            if !self.provider.find(key).await?.is_empty() {
                return self.find_again(request).await;
            }
            let may_appear =
                !self.guards().once && before.may_be_under_way(self.clock.now(), self.retry.total);
            if let Some(pause) = pauses.next().filter(|_| may_appear) {
                tokio::time::sleep(pause).await;
                continue;
            }
            let turn = self.enter(request).await?;
            let known = self.known(key).await?;
            if known == before && self.provider.find(key).await?.is_empty() {
                break (turn, known);
            }
            // Another call with this key was faster.
            drop(turn);
        };
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
        let agreed = request.agreed().map(|quote| quote.total);
        known.send(self.clock.now(), request.hotel(), request.collision, agreed);
        let due = self.clock.now() + self.retry.limit;
        self.keys.unsettle(self.provider.system(), key, due).await?;
        self.keys.write(self.provider.system(), key, &known).await?;
        let began = self.clock.instant();
        let send = || self.provider.create(request, &offer, total);
        let taken = if self.guards().once {
            // The same key books once, so what was lost may be sent again.
            let patience = if turn.is_some() { self.held() } else { self.retry };
            patience.persist_while(is_lost, send).await
        } else {
            send().await
        };
        let made = match taken {
            Ok(id) => Made::Now(id),
            Err(error) if is_ended(&error) => match self.provider.find(key).await {
                // The system does not work on it any more, and has nothing.
                Ok(found) if found.is_empty() => {
                    self.take_back(key).await;
                    return Err(failed_without_trace(error));
                }
                // Nor does it write anything more, so the price is what it is.
                _ => Made::Sent(None),
            },
            Err(error) if is_lost(&error) => {
                drop(turn);
                // While a system is still writing, the price comes last.
                let price = (!self.guards().price).then_some(total);
                return self.finish_outside(request, Made::Sent(price), began).await;
            }
            Err(error) => {
                self.take_back(key).await;
                return Err(error);
            }
        };
        let finish = Box::pin(self.finish(request, made, began));
        let finished = tokio::time::timeout(self.retry.limit, self.changing(request.hotel(), finish)).await;
        drop(turn);
        match finished {
            Ok(Err(error)) if may_be_lost(&error) => self.finish_outside(request, made, began).await,
            Ok(finished) => finished,
            Err(_) => Err(outcome_unknown(key, made.id(), None)),
        }
    }

    /// Waits for the booking of a key and finishes it: as often as the pauses allow, and each time in a turn of its own,
    /// so that a system that is slow or down closes the hotel to no other call.
    async fn finish_outside(&self, request: &BookingRequest, made: Made, began: Instant) -> Result<Booked> {
        let work = async {
            let mut pauses = self.retry.pauses();
            loop {
                self.until_shown(request.key(), made, &mut pauses).await?;
                let turn = self.enter(request).await?;
                let finish = Box::pin(self.finish(request, made, began));
                let finished = self.changing(request.hotel(), finish).await;
                drop(turn);
                match finished {
                    Err(error) if may_be_lost(&error) => match pauses.next() {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => return Err(error),
                    },
                    finished => return finished,
                }
            }
        };
        // Whatever fails now leaves the outcome unknown: an error that says "nothing was booked" would be a lie.
        match tokio::time::timeout(self.retry.limit, work).await {
            Ok(Err(error)) if error.is_retryable() => {
                Err(outcome_unknown(request.key(), made.id(), Some(error)))
            }
            Ok(answer) => answer,
            Err(_) => Err(outcome_unknown(request.key(), made.id(), None)),
        }
    }

    /// Answers the booking that an earlier call made. One that no caller was told about may never have been checked,
    /// because that call may have died half-way: it is finished now, however old it is.
    async fn find_again(&self, request: &BookingRequest) -> Result<Booked> {
        let began = self.clock.instant();
        let records = self.provider.find(request.key()).await?;
        if let [record] = &*records
            && self.known(request.key()).await?.is_reported(record.id)
            && record.complete
        {
            let booking = answer_again(request, record)?;
            let recheck = self.recheck_left(request.key()).await?;
            return Ok(Booked { booking, recheck });
        }
        self.finish_outside(request, Made::Before, began).await
    }

    /// How long to wait for the recheck of a booking that was reported; `None` when it has ended.
    async fn recheck_left(&self, key: &IdempotencyKey) -> Result<Option<Duration>> {
        let due = self.keys.unsettled(self.provider.system(), key).await?;
        let left = |due: DateTime<Utc>| (due - self.clock.now()).to_std().unwrap_or_default();
        Ok(due.filter(|_| self.rechecks()).map(left))
    }

    async fn enter(&self, request: &BookingRequest) -> Result<Option<Box<dyn Turn>>> {
        match Scope::of(self.guards(), request) {
            Some(scope) => Ok(Some(self.gate.enter(&scope, self.retry.turn).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn known(&self, key: &IdempotencyKey) -> Result<KeyRecord> {
        self.keys.read(self.provider.system(), key).await
    }

    /// How long to go on asking within a turn, which keeps the hotel's other guests waiting.
    pub(super) fn held(&self) -> RetryPolicy {
        RetryPolicy {
            total: self.retry.total.min(RetryPolicy::HELD),
            ..self.retry
        }
    }

    /// Whether bookings are looked at again: not where the system keeps *stock*.
    pub(in crate::pms) fn rechecks(&self) -> bool {
        !self.guards().stock && !self.retry.recheck.is_zero()
    }

    /// Forgets that a booking was sent: it was refused, and will not appear.
    async fn take_back(&self, key: &IdempotencyKey) {
        self.remember(key, &KeyRecord::default()).await;
        self.is_settled(key).await;
    }

    /// Notes that nothing is left to do for a key. When that fails, another process looks once more.
    pub(in crate::pms) async fn is_settled(&self, key: &IdempotencyKey) {
        if let Err(error) = self.keys.settle(self.provider.system(), key).await {
            tracing::warn!(key = key.mark(), %error, "a booking that is settled could not be noted as such");
        }
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

    /// Remembers what was learnt of a key. Only a process that dies later misses it, so a failure is not one of the
    /// booking.
    pub(in crate::pms) async fn remember(&self, key: &IdempotencyKey, known: &KeyRecord) {
        if let Err(error) = self.keys.write(self.provider.system(), key, known).await {
            tracing::warn!(key = key.mark(), %error, "the state of a booking could not be remembered");
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

    /// Finishes a booking that shows, in a turn: keeps one that has its rooms and its price, and cancels any other.
    async fn finish(&self, request: &BookingRequest, made: Made, began: Instant) -> Result<Booked> {
        let mut known = self.known(request.key()).await?;
        let record = self.pick(request.key(), made).await?;
        // What this call made may show the request imperfectly; what only carries its key must match it.
        if made.id() != Some(record.id)
            && let Some(differs) = record.differs_from(request)
        {
            return Err(key_reused(&record, differs));
        }
        let is_new = !matches!(made, Made::Before);
        if !is_new {
            let unchecked = known.was_sent() || known == KeyRecord::default() && self.is_young(&record);
            if record.status() == BookingStatus::Cancelled {
                self.is_settled(request.key()).await;
                return Err(dead(&record));
            }
            if known.is_reported(record.id) || !unchecked {
                let booking = answer_again(request, &record)?;
                let recheck = self.recheck_left(request.key()).await?;
                return Ok(Booked { booking, recheck });
            }
        }
        let whole = record.rows.len() == request.party().each_room().len()
            && !record.rows.iter().any(|row| row.state == RowState::Cancelled);
        let kept = if (whole || !is_new) && !record.cancelled {
            self.secure(record.clone(), request.key(), &mut known, Look::First)
                .await?
        } else {
            None
        };
        let found = !is_new || made.id().is_some_and(|id| id != record.id);
        let created = if found {
            Created::FoundAgain
        } else {
            Created::Created
        };
        let took = if is_new {
            self.clock.instant().saturating_duration_since(began)
        } else {
            let since = known.since_sent(self.clock.now()).unwrap_or_default();
            since.min(RetryPolicy::LONGEST_WORK)
        };
        let booking = self
            .keep(request, &record, kept, (&mut known, took), created)
            .await?;
        Ok(Booked {
            booking,
            recheck: self.rechecks().then(|| self.recheck_pause(took)),
        })
    }

    /// Answers a booking that has its rooms and its price; cancels any other. `took` is how long the system worked on it.
    async fn keep(
        &self,
        request: &BookingRequest,
        record: &Record,
        kept: Option<Record>,
        (known, took): (&mut KeyRecord, Duration),
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
                        let booking = answer(&kept, created)?;
                        if self.rechecks() {
                            let due = self.clock.now() + self.recheck_pause(took);
                            self.keys
                                .unsettle(self.provider.system(), request.key(), due)
                                .await?;
                        }
                        known.report(kept.id);
                        self.remember(request.key(), known).await;
                        if !self.rechecks() {
                            self.is_settled(request.key()).await;
                        }
                        return Ok(booking);
                    }
                    Err(changed) => changed,
                }
            }
            None => sold_out("the rooms were taken while they were being booked"),
        };
        self.give_back(record).await?;
        self.is_settled(request.key()).await;
        Err(refusal.with("cancelled_booking", record.id))
    }

    /// Looks for the key until a finished booking shows: the one that was made, if its id is known. One whose price is
    /// not the agreed one may still be being written; it is taken when it stays as it is.
    ///
    /// # Errors
    /// `pms.outcome_unknown` when none shows in time.
    async fn until_shown(
        &self,
        key: &IdempotencyKey,
        made: Made,
        pauses: &mut (impl Iterator<Item = Duration> + Send),
    ) -> Result<()> {
        loop {
            let looked = self.provider.find(key).await;
            let records = looked.as_deref().unwrap_or_default();
            let shows = |record: &&Record| made.is_shown_by(record);
            let price = match made {
                Made::Sent(price) => price,
                Made::Now(_) | Made::Before => None,
            };
            let is_whole = |record: &Record| price.is_none_or(|price| price == record.total);
            if records.iter().filter(shows).any(is_whole) {
                return Ok(());
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None if records.iter().any(|record| shows(&record)) => return Ok(()),
                None => return Err(outcome_unknown(key, made.id(), looked.err())),
            }
        }
    }

    /// The booking of a key. Of several live ones, left by an answer that was lost and a later try, the first with a
    /// room is kept and the others, of which no caller was told, are cancelled while they are young.
    ///
    /// # Errors
    /// `pms.outcome_unknown` when none is finished, or another one could not be cancelled.
    pub(super) async fn pick(&self, key: &IdempotencyKey, made: Made) -> Result<Record> {
        let mut records = self.held().persist(|| self.provider.find(key)).await?;
        if !records.iter().any(|record| made.is_shown_by(record)) {
            return Err(outcome_unknown(key, made.id(), None));
        }
        records.retain(|record| record.complete);
        // Within each kind they stay in the order of writing.
        records.sort_by_key(|record| (record.cancelled, record.was_back_ordered()));
        let mut records = records.into_iter();
        let kept = records
            .next()
            .ok_or_else(|| outcome_unknown(key, made.id(), None))?;
        for extra in records.filter(|extra| !extra.cancelled && self.is_young(extra)) {
            self.give_back(&extra).await?;
        }
        Ok(kept)
    }

    pub(super) fn is_young(&self, record: &Record) -> bool {
        self.clock.now() - record.made_at < Self::RECENT
    }
}

/// What is known of a booking that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Made {
    /// This call made it, under this number.
    Now(BookingId),
    /// This call sent it, and the answer did not say under which number. With a price it may still be being written, and
    /// is whole when it has that price.
    Sent(Option<Money>),
    /// An earlier call made it.
    Before,
}

impl Made {
    fn id(self) -> Option<BookingId> {
        match self {
            Self::Now(id) => Some(id),
            Self::Sent(_) | Self::Before => None,
        }
    }

    fn is_shown_by(self, record: &Record) -> bool {
        record.complete && self.id().is_none_or(|id| id == record.id)
    }
}

/// The answer to a request whose booking an earlier call made and reported.
fn answer_again(request: &BookingRequest, record: &Record) -> Result<Booking> {
    if let Some(differs) = record.differs_from(request) {
        return Err(key_reused(record, differs));
    }
    match record.status() {
        BookingStatus::Cancelled => Err(dead(record)),
        BookingStatus::BackOrdered => {
            Err(sold_out("the hotel has no room for this booking").with("booking", record.id))
        }
        _ => answer(record, Created::FoundAgain),
    }
}

/// A system that failed over a request and left nothing of it.
fn failed_without_trace(cause: Error) -> Error {
    Error::new(
        codes::PMS_REJECTED,
        "the system failed over this request; nothing was booked, and the same request fails again",
    )
    .caused_by(cause)
}

/// The booking for the caller.
///
/// # Errors
/// `pms.outcome_unknown` while the system is still writing it.
pub(in crate::pms) fn answer(record: &Record, created: Created) -> Result<Booking> {
    record.booking(created).ok_or_else(|| still_written(record))
}

pub(super) fn still_written(record: &Record) -> Error {
    Error::new(
        codes::PMS_OUTCOME_UNKNOWN,
        "the system is still writing this booking; ask again",
    )
    .with("booking", record.id)
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
