//! What happens to bookings after they were made, and to whom they belong.

use std::future::Future;
use std::sync::Arc;

use chrono::NaiveDate;

use super::change::BookingChange;
use super::feed::{ChangeCursor, Changes};
use super::folio::Folio;
use super::guest::{Guest, GuestProfile};
use super::id::{BookingId, HotelId, IdempotencyKey};
use super::model::{Booking, Quote};
use super::port::Pms;
use super::record::Movement;
use super::{Feature, PmsClient};
use crate::error::{Error, Result, codes};

impl PmsClient {
    /// A booking as it is now; `None` when there is none of that id. Cancel-safe read. One whose call died half-way is
    /// finished first: checked, moved or cancelled.
    ///
    /// # Errors
    /// `pms.outcome_unknown` while it is still being made: what is not settled is never a [`Booking`].
    #[tracing::instrument(level = "debug", name = "posada.pms.booking", skip_all, fields(booking = %id))]
    pub async fn booking(&self, id: BookingId) -> Result<Option<Booking>> {
        self.pms()?.booking(id).await
    }

    /// The booking that was made with a key: the live one, else the last that was cancelled; `None` when there is
    /// none. Right after `pms.outcome_unknown`, `None` proves nothing yet. Cancel-safe read. A booking whose call died
    /// half-way is finished first. Look at its [`status`](Booking::status): it may be cancelled.
    ///
    /// # Errors
    /// `pms.outcome_unknown` while it is still being made: what is not settled is never a [`Booking`].
    #[tracing::instrument(level = "debug", name = "posada.pms.find_booking", skip_all, fields(key = ?key))]
    pub async fn find_booking(&self, key: &IdempotencyKey) -> Result<Option<Booking>> {
        self.pms()?.find(key).await
    }

    /// Cancels a booking and frees its rooms; a booking that is cancelled already is answered as it is. Detached.
    ///
    /// # Errors
    /// `pms.unknown_booking`; `pms.wrong_state` when the guest is, or was, in the house; `pms.outcome_unknown`
    /// when the answer was lost every time, and then the call may be repeated; `redis.unavailable` when no turn at
    /// the hotel can be had.
    #[tracing::instrument(level = "debug", name = "posada.pms.cancel", skip_all, fields(booking = %id))]
    pub async fn cancel(&self, id: BookingId) -> Result<Booking> {
        self.writing(id, move |pms| async move { pms.cancel(id, false).await })
            .await
    }

    /// Cancels a booking although its guest is in the house: for the front desk, after the guest has left early or a
    /// wrong booking was checked in. Detached.
    ///
    /// # Errors
    /// Those of [`cancel`](Self::cancel); `pms.wrong_state` when the guest has checked out.
    #[tracing::instrument(level = "debug", name = "posada.pms.force_cancel", skip_all, fields(booking = %id))]
    pub async fn force_cancel(&self, id: BookingId) -> Result<Booking> {
        self.writing(id, move |pms| async move { pms.cancel(id, true).await })
            .await
    }

    /// Gives a booking other nights, other guests or other rooms, under the same id and reference, and answers it as
    /// it is then. Detached.
    ///
    /// Its own room counts as free for it, so that a stay can be made longer in a full hotel. When its own room is
    /// taken in the new nights, it moves to a free one of the same type. Other nights cost what they cost now, with
    /// the services that the hotel adds by itself. Asking for the same change twice is harmless.
    ///
    /// When a call came to no end, because its process died or its answers were lost, the next one for the same nights
    /// makes all of it, at the price that was agreed then (remembered for 30 days), from any process; other nights cost
    /// what they cost now.
    ///
    /// As after `book`, the rooms are looked at again two seconds later, and [`events`](Self::events) tells when the
    /// hotel's website has written into one of them meanwhile; a changed booking is never cancelled for that.
    ///
    /// # Errors
    /// * `pms.unknown_booking`; `pms.wrong_state` for a booking that is not live, when a guest who has arrived shall
    ///   arrive on another day, when rooms of different types or nights shall get other nights, and for other nights
    ///   of services that the system would mix up or lose, and which QloApps it does of several services, of one for
    ///   each night that a room can have several times, of different ones in the rooms, of those that cost more than
    ///   the rooms, and of facilities beside a service; and for fewer nights of a booking without an invoice that has
    ///   lines which are neither rooms nor services, or other nights of one whose guest the system does not tell.
    ///   Nothing was changed.
    /// * `pms.sold_out`: no room is free in the new nights, or the wanted one is not. Nothing was changed.
    /// * `pms.price_changed` with `quoted` and `current`. Nothing was changed.
    /// * `pms.invalid_request`: field `party` when the number of rooms would change, `room` for a room that the
    ///   booking does not have, `stay` as for [`availability`](Self::availability); `pms.occupancy`.
    /// * `pms.outcome_unknown`: answers were lost; the booking may be half changed. Ask again.
    #[tracing::instrument(level = "debug", name = "posada.pms.modify", skip_all, fields(booking = %id))]
    pub async fn modify(&self, id: BookingId, change: &BookingChange) -> Result<Booking> {
        self.require_change(change)?;
        let change = change.clone();
        self.writing(id, move |pms| async move { pms.change(id, &change).await })
            .await
    }

    /// What a booking would cost after a change, all of it; to be told to the guest and to be carried by the change.
    /// Cancel-safe read.
    ///
    /// # Errors
    /// Those of [`modify`](Self::modify), as far as they can be known before; `redis.unavailable` when it cannot be known
    /// whether an earlier change is to be finished.
    #[tracing::instrument(level = "debug", name = "posada.pms.quote_change", skip_all, fields(booking = %id))]
    pub async fn quote_change(&self, id: BookingId, change: &BookingChange) -> Result<Quote> {
        self.require(Feature::QuoteChange)?;
        self.require_change(change)?;
        self.pms()?.quote_change(id, change).await
    }

    /// The guests of a booking are in the house, from now on. On which day is the front desk's decision. A booking
    /// that is checked in already is answered as it is. Detached.
    ///
    /// # Errors
    /// `pms.unknown_booking`, `pms.wrong_state`, `pms.outcome_unknown` as [`cancel`](Self::cancel).
    #[tracing::instrument(level = "debug", name = "posada.pms.check_in", skip_all, fields(booking = %id))]
    pub async fn check_in(&self, id: BookingId) -> Result<Booking> {
        self.require(Feature::CheckIn)?;
        self.writing(id, move |pms| async move {
            pms.move_guests(id, Movement::Arrival).await
        })
        .await
    }

    /// The guests of a booking have left, just now: their rooms are free, also in nights that were left. A booking
    /// that is checked out already is answered as it is. Detached.
    ///
    /// # Errors
    /// `pms.unknown_booking`; `pms.wrong_state` for guests who never arrived; `pms.outcome_unknown`.
    #[tracing::instrument(level = "debug", name = "posada.pms.check_out", skip_all, fields(booking = %id))]
    pub async fn check_out(&self, id: BookingId) -> Result<Booking> {
        self.require(Feature::CheckOut)?;
        self.writing(id, move |pms| async move {
            pms.move_guests(id, Movement::Departure).await
        })
        .await
    }

    /// The bookings that arrive on a day: confirmed, or in the house already. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.unknown_hotel`, and as the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.arrivals", skip_all, fields(hotel = %hotel, day = %day))]
    pub async fn arrivals(&self, hotel: HotelId, day: NaiveDate) -> Result<Vec<Booking>> {
        self.movements(hotel, Movement::Arrival, day).await
    }

    /// The bookings that leave on a day: confirmed, in the house, or gone already. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.unknown_hotel`, and as the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.departures", skip_all, fields(hotel = %hotel, day = %day))]
    pub async fn departures(&self, hotel: HotelId, day: NaiveDate) -> Result<Vec<Booking>> {
        self.movements(hotel, Movement::Departure, day).await
    }

    /// The guest with this e-mail address, in upper or lower case; `None` when the system knows none. Of several, the
    /// one that was written first, to whom the system gives the bookings. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `email`), and as the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.guest", skip_all)]
    pub async fn guest(&self, email: &str) -> Result<Option<GuestProfile>> {
        self.require(Feature::Guests)?;
        let email = Guest::check_email(email)?;
        self.catalogue()?.guest(&email).await
    }

    /// Writes a guest down, or answers the one that the system has under this address, unchanged. Not needed before
    /// booking. Detached.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `email`) for a guest without an address, and as for [`book`](Self::book);
    /// `pms.rejected`; `pms.outcome_unknown` when the answer was lost, and then the call may be repeated.
    #[tracing::instrument(level = "debug", name = "posada.pms.create_guest", skip_all)]
    pub async fn create_guest(&self, guest: &Guest) -> Result<GuestProfile> {
        self.require(Feature::Guests)?;
        self.catalogue()?.admit_guest(guest)?;
        let email = guest.email().ok_or_else(|| {
            let message = "is needed: guests are found by it";
            Error::field_invalid(codes::PMS_INVALID_REQUEST, "email", message)
        })?;
        let (guest, email) = (guest.clone(), email.to_owned());
        let (system, retry) = (self.0.catalogue.clone(), self.0.retry);
        let writing = async move {
            if let Some(known) = system.guest(&email).await? {
                return Ok(known);
            }
            let lost = match system.create_guest(&guest).await {
                Ok(()) => None,
                Err(error) if error.is(codes::PMS_OUTCOME_UNKNOWN) => Some(error),
                Err(error) => return Err(error),
            };
            let read = || system.guest(&email);
            let known = retry.persist(read).await?;
            known.ok_or_else(|| lost.unwrap_or_else(lost_guest))
        };
        self.0.tasks.detach(writing).await
    }

    /// What a booking costs in lines, what was invoiced, and what was paid. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.unknown_booking`, and as the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.invoices", skip_all, fields(booking = %id))]
    pub async fn invoices(&self, id: BookingId) -> Result<Folio> {
        self.require(Feature::Folio)?;
        self.pms()?.folio(id).await
    }

    /// Every booking that changes, from the cursor on: ask for [`next`](Changes::next) again and again, and keep the
    /// [`cursor`](Changes::cursor). Nothing is asked before the first `next`.
    pub fn changes_since(&self, cursor: ChangeCursor) -> Changes {
        Changes::new(self.0.pms.clone(), self.0.tasks.clone(), cursor)
    }

    async fn movements(&self, hotel: HotelId, movement: Movement, day: NaiveDate) -> Result<Vec<Booking>> {
        self.require(Feature::Movements)?;
        let pms = self.pms()?;
        let known = pms.hotels().await?.iter().any(|known| known.id == hotel);
        if !known {
            return Err(super::admission::unknown_hotel(hotel));
        }
        pms.movements(hotel, movement, day).await
    }

    fn require_change(&self, change: &BookingChange) -> Result<()> {
        self.require(Feature::Change)?;
        if change.names_rooms() {
            self.require(Feature::ChooseRoom)?;
        }
        Ok(())
    }

    /// Work on a booking that ends although its caller goes away.
    async fn writing<F>(&self, id: BookingId, work: impl FnOnce(Arc<dyn Pms>) -> F) -> Result<Booking>
    where
        F: Future<Output = Result<Booking>> + Send + 'static,
    {
        let (inner, work) = (self.0.clone(), work(self.0.pms.clone()));
        let writing = async move {
            if inner.is_guarded {
                return work.await;
            }
            let known = inner.pms.booking(id).await?;
            let unknown = || Error::new(codes::PMS_UNKNOWN_BOOKING, "no such booking").with("booking", id);
            let hotel = known.ok_or_else(unknown)?.hotel;
            inner.changing(hotel, work).await
        };
        self.0.tasks.detach(writing).await
    }
}

fn lost_guest() -> Error {
    Error::new(
        codes::PMS_UNEXPECTED_ANSWER,
        "the system took the guest and does not show them",
    )
}
