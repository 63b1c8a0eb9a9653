//! The property management system: what a hotel can sell, at which price, and the bookings themselves.
//!
//! Invariants of this module:
//! * Money is [`Money`]: a decimal with its currency, never a float.
//! * Values that a request is made of ([`Guest`], [`Party`], [`IdempotencyKey`], …) were checked when they were
//!   made, because the system behind them often breaks on a bad value instead of refusing it.
//! * A [`BookingRequest`] carries an [`IdempotencyKey`]: the same key asks for the same booking.
//! * [`PmsClient`] trusts no system: what it booked, it looks at again (`guarded/verify.rs`), and no write is ever repeated
//!   on a guess (`guarded/booking.rs`). Systems only translate ([`port`]).
//!
//! ```
//! use posada::clock::ManualClock;
//! use posada::pms::{BookingRequest, Guest, HotelId, Occupancy};
//! use posada::{IdempotencyKey, Posada, Stay};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> posada::Result<()> {
//! # let clock = ManualClock::at("2027-01-01T09:00:00Z".parse().unwrap());
//! # let posada = Posada::builder().clock(clock.shared()).build()?;
//! let (hotel, couple) = (HotelId::from(1), Occupancy::new(2, &[])?);
//! let stay = Stay::parse("2027-03-10", "2027-03-12")?;
//! let found = posada.pms().availability(hotel, stay, couple.clone(), None).await?;
//! let cheapest = found.offers[0].room_type;
//! let quote = posada.pms().quote(hotel, cheapest, stay, couple).await?;
//! assert_eq!(quote.total.to_string(), "2600.00 USD");
//!
//! let guest = Guest::new("Ana", "Gómez", "ana@example.com", "+5491112345678")?;
//! let message = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";
//! let key = IdempotencyKey::of("whatsapp", message)?;
//! let request = BookingRequest::from_quote(quote, guest, key);
//! let booking = posada.pms().book(&request, None).await?;
//! let again = posada.pms().book(&request, None).await?;
//! assert_eq!(again.id, booking.id);
//! # Ok(())
//! # }
//! ```

mod admission;
mod cache;
mod capabilities;
mod change;
mod events;
mod feed;
#[cfg(test)]
mod fixture;
mod folio;
mod guarded;
mod guest;
mod id;
mod life;
mod mock;
mod model;
mod money;
mod occupancy;
mod own;
pub mod port;
mod price;
#[cfg(feature = "pms-qloapps")]
mod qloapps;
mod record;
mod request;
mod resilience;
mod service;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::scope::Scope;
use crate::stay::Stay;
use crate::task::Tasks;
use admission::HotelSnapshot;
pub(crate) use cache::{AnswerStore, MemoryAnswers, RedisAnswers};
use cache::{Cache, KeptOffer};
pub use capabilities::{Capabilities, Feature, Guards, Support};
pub use change::BookingChange;
use events::EventSender;
pub use events::{Collision, PmsEvent, PmsEvents, Recheck};
pub use feed::{Change, ChangeCursor, Changes};
pub use folio::{Folio, FolioLine, Invoice, Payment};
pub(crate) use guarded::gate::{HotelGate, LockGate};
pub(crate) use guarded::retry::RetryPolicy;
pub(crate) use guarded::store::KeyStore;
use guarded::{BookingService, GuardedPms};
pub(crate) use guarded::{MemoryKeys, RedisKeys};
pub use guest::{Guest, GuestProfile};
pub use id::{
    BookingId, GuestId, HotelId, IdempotencyKey, RatePlanId, RoomId, RoomTypeId, ServiceId, StayId,
};
pub use mock::{MockCollision, MockFault, MockOperation, MockPms};
pub use model::{
    Availability, Booking, BookingStatus, Created, Hotel, MissingPermission, Offer, Quote, RoomStay, RoomType,
};
pub use money::{Currency, Money};
pub use occupancy::{Occupancy, OccupancyLimits, Party};
use port::{BookingSystem, Catalogue, Pms};
pub use price::{CancellationTerms, Charge, ChargeKind, Due, Price};
#[cfg(feature = "pms-qloapps")]
pub(crate) use qloapps::QloApps;
#[cfg(any(test, feature = "testkit"))]
pub(crate) use qloapps::anything;
pub use request::{BookingRequest, HoldProof};
pub(crate) use resilience::{Resilience, Resilient};
use service::Choice;
pub use service::{BookedService, ChosenService, QuotedService, Service};

/// The property management system of a hotel company, behind one promise: **no double booking, no silently
/// back-ordered guest, no second booking after a lost answer.** Cloning is cheap.
///
/// Reads are cancel-safe. `book` and `cancel` are detached: a caller that goes away loses only the answer. Every
/// call answers `pms.unavailable` or `pms.timeout` when the system is down and nothing was changed, and
/// `posada.closed` after the handle was closed.
#[derive(Clone)]
pub struct PmsClient(Arc<Inner>, Scope);

/// Where answers about free rooms are kept, and how long they are fresh.
#[derive(Clone)]
pub(crate) struct AnswerCache {
    cache: Cache,
    fresh: Duration,
}

impl AnswerCache {
    /// The cache of one system.
    pub(crate) fn new(
        store: Arc<dyn AnswerStore>,
        system: &str,
        fresh: Duration,
        clock: SharedClock,
        tasks: Tasks,
    ) -> Self {
        Self {
            cache: Cache::new(store, system, clock, tasks),
            fresh,
        }
    }
}

struct Inner {
    pms: Arc<dyn Pms>,
    /// The same as what it sells.
    catalogue: Arc<dyn Catalogue>,
    /// Whether posada keeps promises around it, and so looks before a booking in its turn at the hotel.
    is_guarded: bool,
    /// Where answers about free rooms are kept, if they are.
    answers: Option<AnswerCache>,
    events: EventSender,
    retry: RetryPolicy,
    clock: SharedClock,
    tasks: Tasks,
    #[cfg(test)]
    bookings: Option<Arc<BookingService>>,
}

/// What every client needs beside its system.
pub(crate) struct ClientParts {
    pub(crate) clock: SharedClock,
    pub(crate) tasks: Tasks,
    pub(crate) retry: RetryPolicy,
    /// Where answers about free rooms are kept, if they are.
    pub(crate) answers: Option<AnswerCache>,
}

impl PmsClient {
    /// A system around which posada keeps the promises that it does not claim.
    pub(crate) fn guarded(
        provider: Arc<dyn BookingSystem>,
        gate: Arc<dyn HotelGate>,
        keys: Arc<dyn KeyStore>,
        parts: ClientParts,
    ) -> Self {
        let events = EventSender::new();
        let bookings = Arc::new(BookingService {
            answers: parts.answers.clone(),
            provider,
            gate,
            keys,
            clock: parts.clock.clone(),
            retry: parts.retry,
            events: events.clone(),
        });
        let tasks = parts.tasks.clone();
        let pms = Arc::new(GuardedPms {
            bookings: bookings.clone(),
            tasks,
            sweeps: OnceLock::new(),
        });
        let mut inner = Inner::new(pms, events, parts);
        inner.is_guarded = true;
        #[cfg(test)]
        {
            inner.bookings = Some(bookings);
        }
        Self(Arc::new(inner), Scope::default())
    }

    /// A system that keeps every promise by itself.
    pub(crate) fn own(pms: Arc<dyn Pms>, parts: ClientParts) -> Self {
        Self(
            Arc::new(Inner::new(pms, EventSender::new(), parts)),
            Scope::default(),
        )
    }

    /// The same system, which takes holds of one tenant only.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self(self.0.clone(), scope.clone())
    }

    /// What the hotel's system can do, and which promises it keeps by itself. Asks nothing. What it cannot do is
    /// refused with `pms.unsupported`, before anything is asked, held or written.
    pub fn capabilities(&self) -> &Capabilities {
        self.0.catalogue.capabilities()
    }

    /// The stable name of the hotel's system, such as `mock`, or the host of a QloApps server.
    pub fn system(&self) -> &str {
        self.0.catalogue.system()
    }

    fn require(&self, feature: Feature) -> Result<()> {
        self.capabilities().require(feature, self.system())
    }

    /// All hotels. Cancel-safe read.
    ///
    /// # Errors
    /// As the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.hotels", skip_all)]
    pub async fn hotels(&self) -> Result<Vec<Hotel>> {
        self.catalogue()?.hotels().await
    }

    /// What the key of the system may not do, although posada needs it, and for what; empty when nothing is missing.
    /// QloApps tells which resources a key sees, but not which methods it has there. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.refused`, `pms.switched_off`, `pms.wrong_system`, and as the [type](Self) says.
    #[tracing::instrument(level = "debug", name = "posada.pms.self_test", skip_all)]
    pub async fn self_test(&self) -> Result<Vec<MissingPermission>> {
        self.catalogue()?.check().await
    }

    /// The room types of a hotel, with their limits; up to an hour old (`POSADA_PMS_ROOM_TYPES_FRESH`), and up to a
    /// day while the system is down. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.unknown_hotel`.
    #[tracing::instrument(level = "debug", name = "posada.pms.room_types", skip_all, fields(hotel = %hotel))]
    pub async fn room_types(&self, hotel: HotelId) -> Result<Vec<RoomType>> {
        Ok(HotelSnapshot::read(self.catalogue()?, hotel)
            .await?
            .into_room_types())
    }

    /// What a guest can have beside a room of this type, and what every such room has already: see
    /// [`automatic`](Service::automatic). As old as the [room types](Self::room_types). Cancel-safe read.
    ///
    /// # Errors
    /// `pms.unknown_hotel`, `pms.unknown_room_type`; `pms.not_permitted` when the key may not see the taxes on
    /// services.
    #[tracing::instrument(level = "debug", name = "posada.pms.services", skip_all, fields(hotel = %hotel, room_type = %room_type))]
    pub async fn services(&self, hotel: HotelId, room_type: RoomTypeId) -> Result<Vec<Service>> {
        self.require(Feature::Services)?;
        HotelSnapshot::read(self.catalogue()?, hotel)
            .await?
            .services(room_type)
            .await
    }

    /// What a party can book for a stay: of one room type, or of all. A party is one
    /// [`Occupancy`] or one for each of several rooms. Cancel-safe read.
    ///
    /// An empty answer means that the hotel is full. The answer is a moment's view: only [`book`](Self::book) gives
    /// a room.
    ///
    /// Answers of QloApps are kept in Redis for five minutes (`POSADA_PMS_AVAILABILITY_FRESH`), unless posada itself
    /// changes something in the hotel; [`age`](Availability::age) says how old one is. When the system cannot be asked,
    /// an answer of the last day serves, marked as [`potentially_stale`](Availability::potentially_stale).
    ///
    /// # Errors
    /// `pms.unknown_hotel`, `pms.unknown_room_type`; `pms.invalid_request` (field `stay`) for dates before today in
    /// the hotel's calendar or beyond what it sells; `pms.occupancy` when no room type asked about takes the party.
    #[tracing::instrument(level = "debug", name = "posada.pms.availability", skip_all, fields(hotel = %hotel, stay = %stay))]
    pub async fn availability(
        &self,
        hotel: HotelId,
        stay: Stay,
        party: impl Into<Party> + Send,
        room_type: Option<RoomTypeId>,
    ) -> Result<Availability> {
        let party = party.into();
        let snapshot = HotelSnapshot::read(self.catalogue()?, hotel).await?;
        let Some(kept) = &self.0.answers else {
            return Ok(Availability {
                hotel,
                stay,
                offers: snapshot.offers(stay, &party, room_type).await?,
                age: Duration::ZERO,
                potentially_stale: false,
            });
        };
        let admitted = snapshot.admit(stay, &party, room_type)?;
        let question = cache::question(stay, &party, room_type);
        let provider = self.catalogue()?.clone();
        let load = || async move {
            let offers = provider.offers(hotel, stay, &party, room_type).await?;
            Ok(offers.into_iter().map(KeptOffer::from).collect::<Vec<_>>())
        };
        let part = hotel.to_string();
        let answer = kept.cache.read(&part, &question, kept.fresh, load).await?;
        let offers = answer.value.into_iter().map(KeptOffer::offer);
        Ok(Availability {
            hotel,
            stay,
            offers: admitted.keep(offers.collect::<Result<_>>()?),
            age: answer.age,
            potentially_stale: answer.is_stale,
        })
    }

    /// The price of a stay without further services, to be told to a guest and to be carried by the booking. The
    /// system is asked every time. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.sold_out`, and those of [`availability`](Self::availability).
    pub async fn quote(
        &self,
        hotel: HotelId,
        room_type: RoomTypeId,
        stay: Stay,
        party: impl Into<Party> + Send,
    ) -> Result<Quote> {
        self.quote_with_services(hotel, room_type, stay, party, []).await
    }

    /// The price of a stay with chosen services, which stand in the quote with their parts of it: what the guest
    /// really pays. Every room of the party gets each of the services. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`) for a service that the room type does not have, that is in its price
    /// anyway, that is named twice, or in a quantity beyond what a room can have; and those of [`quote`](Self::quote).
    #[tracing::instrument(level = "debug", name = "posada.pms.quote_with_services", skip_all, fields(hotel = %hotel, room_type = %room_type, stay = %stay))]
    pub async fn quote_with_services(
        &self,
        hotel: HotelId,
        room_type: RoomTypeId,
        stay: Stay,
        party: impl Into<Party> + Send,
        services: impl IntoIterator<Item = ChosenService> + Send,
    ) -> Result<Quote> {
        let (party, choice) = (party.into(), Choice::new(services)?);
        if !choice.as_slice().is_empty() {
            self.require(Feature::Services)?;
        }
        let snapshot = HotelSnapshot::read(self.catalogue()?, hotel).await?;
        let sale = snapshot
            .sale(room_type, stay, &party, &choice)
            .await?
            .ok_or_else(|| {
                Error::new(codes::PMS_SOLD_OUT, "not enough rooms are free").with("room_type", room_type)
            })?;
        let quoted_at = self.0.clock.now();
        Quote::of_offer(hotel, stay, party, &sale.offer, sale.services, quoted_at)
    }

    /// Books, or finds the booking that an earlier call with the same key made. Detached; takes as long as the
    /// system needs, and minutes when it loses answers.
    ///
    /// Before it answers, the rooms are looked at once. Two seconds later, or twice as long as the booking took, they
    /// are looked at again, because the hotel's own website may write into them until then: see [`Recheck`] for who
    /// waits for that, [`Collision`] for what is done, and [`events`](Self::events) for hearing of it.
    ///
    /// With a hold, its rooms and nights must cover the request and it must be live. With a quote, the booking is
    /// made at that price or not at all. A success has a room for every guest, and no other booking has it.
    ///
    /// # Errors
    /// * `pms.sold_out`: no room is left, or others were faster; whatever was begun is cancelled
    ///   (`cancelled_booking`).
    /// * `pms.price_changed` with `quoted` and `current`.
    /// * `pms.key_reused` with `differs`: the key belongs to a booking that does not answer to this request.
    /// * `pms.wrong_state`: the booking of this key was cancelled since.
    /// * `pms.hold_mismatch` with `differs`.
    /// * `pms.not_permitted` with `resource`: the key lacks what making, seeing or cancelling a booking needs. Nothing
    ///   was booked.
    /// * `pms.outcome_unknown`: it may or may not be booked. Ask again with the same key; never with another.
    /// * `pms.invalid_request` for a guest whom the system cannot write down; the field names what it lacks or refuses.
    ///   QloApps needs an e-mail address and a phone number, and names of at most 32 characters without digits.
    /// * Those of [`availability`](Self::availability). Nothing was booked then.
    #[tracing::instrument(level = "debug", name = "posada.pms.book", skip_all, fields(hotel = %request.hotel(), key = ?request.key()))]
    pub async fn book<'h>(
        &self,
        request: &BookingRequest,
        hold: impl Into<Option<&'h HoldProof>>,
    ) -> Result<Booking> {
        let hold = hold.into();
        if !request.choice().as_slice().is_empty() {
            self.require(Feature::Services)?;
        }
        if let Some(hold) = hold {
            self.1.admit(hold.tenant.as_ref())?;
            hold.covers(request)?;
        }
        self.catalogue()?.admit_guest(request.guest())?;
        let (inner, request, hold) = (self.0.clone(), request.clone(), hold.cloned());
        self.0
            .tasks
            .detach(async move {
                let order = inner.order(request, hold).await?;
                inner
                    .changing(order.request().hotel(), inner.pms.book(&order))
                    .await
            })
            .await
    }

    /// What rechecks of bookings do from now on. Listen before you book.
    pub fn events(&self) -> PmsEvents {
        self.0.events.listen()
    }

    /// Whether bookings reach no hotel.
    pub(crate) fn is_mock(&self) -> bool {
        self.0.catalogue.is_mock()
    }

    /// What the hotels sell.
    fn catalogue(&self) -> Result<&Arc<dyn Catalogue>> {
        self.0.tasks.ensure_open()?;
        Ok(&self.0.catalogue)
    }

    fn pms(&self) -> Result<&Arc<dyn Pms>> {
        self.0.tasks.ensure_open()?;
        Ok(&self.0.pms)
    }
}

impl Inner {
    fn new(pms: Arc<dyn Pms>, events: EventSender, parts: ClientParts) -> Self {
        let catalogue = pms.clone();
        Self {
            pms,
            catalogue,
            is_guarded: false,
            answers: parts.answers,
            events,
            retry: parts.retry,
            clock: parts.clock,
            tasks: parts.tasks,
            #[cfg(test)]
            bookings: None,
        }
    }
}

impl fmt::Debug for PmsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PmsClient")
            .field("system", &self.system())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
