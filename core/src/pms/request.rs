//! The wish to book, and the proof that the rooms were held for it.

use std::fmt;

use chrono::{DateTime, Utc};

use super::events::{Collision, Recheck};
use super::id::{HotelId, IdempotencyKey, RoomTypeId};
use super::model::Quote;
use super::occupancy::Party;
use crate::error::{Error, Result, codes};
use crate::locks::{Hold, Resource};
use crate::pms::guest::Guest;
use crate::pms::service::{Choice, ChosenService};
use crate::stay::Stay;
use crate::tenants::TenantId;

/// What is to be booked, for whom, and under which key. All parts were checked when they were made.
///
/// `Debug` hides the guest and the remark.
#[derive(Clone, PartialEq, Eq)]
pub struct BookingRequest {
    hotel: HotelId,
    room_type: RoomTypeId,
    stay: Stay,
    party: Party,
    guest: Guest,
    key: IdempotencyKey,
    remark: Option<String>,
    services: Choice,
    quote: Option<Quote>,
    pub(super) recheck: Recheck,
    pub(super) collision: Collision,
}

impl BookingRequest {
    /// Longest remark, in characters.
    pub const MAX_REMARK_CHARS: usize = 1000;

    /// A request for what was quoted: the hotel, the room type, the nights, the guests of each room and the services are
    /// those of the quote, and the booking is made at its price or not at all.
    pub fn from_quote(quote: Quote, guest: Guest, key: IdempotencyKey) -> Self {
        Self {
            hotel: quote.hotel,
            room_type: quote.room_type,
            stay: quote.stay,
            party: quote.party.clone(),
            guest,
            key,
            remark: None,
            services: Choice::of_quote(&quote.services),
            quote: Some(quote),
            recheck: Recheck::default(),
            collision: Collision::default(),
        }
    }

    /// A request without a price that was agreed: it is booked at what it costs then. `party` may be one
    /// [`Occupancy`](crate::pms::Occupancy).
    pub fn new(
        hotel: HotelId,
        room_type: RoomTypeId,
        stay: Stay,
        party: impl Into<Party>,
        guest: Guest,
        key: IdempotencyKey,
    ) -> Self {
        Self {
            hotel,
            room_type,
            stay,
            party: party.into(),
            guest,
            key,
            remark: None,
            services: Choice::default(),
            quote: None,
            recheck: Recheck::default(),
            collision: Collision::default(),
        }
    }

    /// Says whether `book` waits for the recheck; by default it does not.
    #[must_use]
    pub fn recheck(mut self, recheck: Recheck) -> Self {
        self.recheck = recheck;
        self
    }

    /// Says what becomes of the booking when the recheck finds a foreign booking in its room; by default it yields.
    #[must_use]
    pub fn collision(mut self, collision: Collision) -> Self {
        self.collision = collision;
        self
    }

    /// Adds words for the front bookings. What a system cannot keep is replaced visibly: QloApps gets `‹` for `<` and `□`
    /// for emoji.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `remark`) when it is longer than 1000 characters or holds control characters
    /// other than line breaks.
    pub fn remark(mut self, remark: &str) -> Result<Self> {
        let remark = remark.trim();
        if remark.chars().count() > Self::MAX_REMARK_CHARS {
            return Err(invalid("remark", "must have at most 1000 characters"));
        }
        if remark.contains(|c: char| c.is_control() && c != '\n') {
            return Err(invalid(
                "remark",
                "must not contain control characters other than line breaks",
            ));
        }
        self.remark = (!remark.is_empty()).then(|| remark.to_owned());
        Ok(self)
    }

    /// Adds what the guest has beside the rooms: every room gets each of these services. Those that are in the price
    /// anyway are not named.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `services`) when a service is named twice or there are more than 50; (field
    /// `quote`) when the request has a quote already, and that is for other services. Whether the room type has them
    /// is found out by `book`.
    pub fn services(mut self, services: impl IntoIterator<Item = ChosenService>) -> Result<Self> {
        self.services = Choice::new(services)?;
        match self.quote.take() {
            Some(quote) => self.quote(quote),
            None => Ok(self),
        }
    }

    /// Binds the booking to the price that the guest was told. Its services must be those of the request, so name
    /// them first.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `quote`) when the quote is for another hotel, room type, stay or party, or for
    /// other services.
    pub fn quote(mut self, quote: Quote) -> Result<Self> {
        if Choice::of_quote(&quote.services) != self.services {
            return Err(invalid(
                "quote",
                "is for other services; name those of the quote, or ask for a quote with these",
            ));
        }
        let same = quote.hotel == self.hotel
            && quote.room_type == self.room_type
            && quote.stay == self.stay
            && quote.party.sorted() == self.party.sorted();
        if !same {
            return Err(invalid("quote", "is for another hotel, room type, stay or party"));
        }
        self.quote = Some(quote);
        Ok(self)
    }

    /// The hotel.
    pub fn hotel(&self) -> HotelId {
        self.hotel
    }

    /// The room type, the same for all rooms.
    pub fn room_type(&self) -> RoomTypeId {
        self.room_type
    }

    /// The nights.
    pub fn stay(&self) -> Stay {
        self.stay
    }

    /// The guests of each room.
    pub fn party(&self) -> &Party {
        &self.party
    }

    /// Who books.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// The name of this wish.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Words for the front bookings.
    pub fn remark_text(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// What the guest has beside the rooms, in the order of the ids.
    pub fn chosen_services(&self) -> &[ChosenService] {
        self.services.as_slice()
    }

    pub(crate) fn choice(&self) -> &Choice {
        &self.services
    }

    /// The price that the guest was told.
    pub fn agreed(&self) -> Option<&Quote> {
        self.quote.as_ref()
    }
}

impl fmt::Debug for BookingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookingRequest")
            .field("key", &self.key)
            .field("hotel", &self.hotel)
            .field("room_type", &self.room_type)
            .field("stay", &self.stay)
            .field("party", &self.party)
            .field("services", &self.services.as_slice())
            .field("guest", &self.guest)
            .field("quote", &self.quote.as_ref().map(|quote| quote.total))
            .finish_non_exhaustive()
    }
}

/// What a live stay hold says about itself: which rooms it keeps, in which nights, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldProof {
    /// Whose rooms are held, if they belong to a tenant.
    pub tenant: Option<TenantId>,
    /// What is held, such as `room_type:1/3`.
    pub resource: String,
    /// The nights that are held.
    pub stay: Stay,
    /// How many rooms are held.
    pub quantity: u32,
    /// The hold's place in the order of all holds; larger is later.
    pub fence: u64,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

impl From<&Hold> for HoldProof {
    fn from(hold: &Hold) -> Self {
        Self {
            tenant: hold.tenant().cloned(),
            resource: hold.resource().to_string(),
            stay: hold.stay(),
            quantity: hold.quantity(),
            fence: hold.fence(),
            expires_at: hold.expires_at(),
        }
    }
}

impl HoldProof {
    /// Checks that the hold keeps every room and night of the request. A hold of one room (`room:101`) does not,
    /// because a booking asks for a room type and the hotel may give it another room.
    ///
    /// # Errors
    /// `pms.hold_mismatch`; the fact `differs` is `resource`, `stay` or `quantity`.
    pub(crate) fn covers(&self, request: &BookingRequest) -> Result<()> {
        let wanted = Resource::room_type(&request.hotel, &request.room_type);
        // Holds that an earlier version made name no hotel.
        let is_held = |name: Resource| self.resource == name.to_string();
        let differs = if !is_held(wanted.clone()) && !wanted.without_hotel().is_some_and(is_held) {
            "resource"
        } else if !self.stay.covers(request.stay) {
            "stay"
        } else if self.quantity < request.party.rooms() {
            "quantity"
        } else {
            return Ok(());
        };
        Err(self
            .mismatch("the hold does not cover this booking")
            .with("differs", differs))
    }

    /// Checks that the hold has not ended.
    ///
    /// # Errors
    /// `pms.hold_mismatch`; the fact `differs` is `expires_at`.
    pub(crate) fn is_live(&self, now: DateTime<Utc>) -> Result<()> {
        if now < self.expires_at {
            return Ok(());
        }
        Err(self
            .mismatch("the hold has expired")
            .with("differs", "expires_at"))
    }

    fn mismatch(&self, message: &str) -> Error {
        Error::new(codes::PMS_HOLD_MISMATCH, message)
            .with("resource", &self.resource)
            .with("stay", self.stay)
            .with("fence", self.fence)
    }
}

fn invalid(field: &'static str, message: &'static str) -> Error {
    Error::field_invalid(codes::PMS_INVALID_REQUEST, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pms::id::ServiceId;
    use crate::pms::money::Money;
    use crate::pms::occupancy::Occupancy;
    use crate::pms::service::QuotedService;

    fn stay(check_in: &str, check_out: &str) -> Stay {
        Stay::parse(check_in, check_out).unwrap()
    }

    fn request() -> BookingRequest {
        BookingRequest::new(
            HotelId::from(1),
            RoomTypeId::from(3),
            stay("2027-03-10", "2027-03-12"),
            Party::new(vec![Occupancy::new(2, &[]).unwrap(); 2]).unwrap(),
            Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap(),
            IdempotencyKey::parse("wa-1").unwrap(),
        )
    }

    fn hold() -> HoldProof {
        HoldProof {
            tenant: None,
            resource: "room_type:1/3".into(),
            stay: stay("2027-03-09", "2027-03-12"),
            quantity: 2,
            fence: 7,
            expires_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_hold_of_all_rooms_and_nights_covers_the_request() {
        assert!(hold().covers(&request()).is_ok());
    }

    #[test]
    fn a_hold_of_an_earlier_version_that_names_no_hotel_covers_its_room_type() {
        let old = HoldProof {
            resource: "room_type:3".into(),
            ..hold()
        };
        assert!(old.covers(&request()).is_ok());
    }

    #[test]
    fn a_hold_that_lacks_something_says_what() {
        let of = |resource: &str| HoldProof {
            resource: resource.into(),
            ..hold()
        };
        let one_night = HoldProof {
            stay: stay("2027-03-10", "2027-03-11"),
            ..hold()
        };
        let one_room = HoldProof {
            quantity: 1,
            ..hold()
        };
        for (hold, differs) in [
            (of("room_type:1/30"), "resource"),
            (of("room_type:2/3"), "resource"),
            (of("room_type:30"), "resource"),
            (of("room:3"), "resource"),
            (one_night, "stay"),
            (one_room, "quantity"),
        ] {
            let error = hold.covers(&request()).unwrap_err();
            assert!(error.is(codes::PMS_HOLD_MISMATCH));
            assert_eq!(error.fact("differs"), Some(differs));
        }
    }

    #[test]
    fn a_hold_ends_at_its_expiry_and_not_after_it() {
        let error = hold().is_live(DateTime::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.fact("differs"), Some("expires_at"));
        assert!(
            hold()
                .is_live(DateTime::UNIX_EPOCH - chrono::Duration::milliseconds(1))
                .is_ok()
        );
    }

    #[test]
    fn a_request_from_a_quote_is_for_what_was_quoted_at_its_price() {
        let breakfast = ChosenService::new(ServiceId::from(9), 2).unwrap();
        let item = QuotedService::new(breakfast, "Breakfast", Money::parse("10", "USD").unwrap());
        let quote = quote(request().stay).services(vec![item]);
        let (guest, key) = (request().guest, request().key);
        let from_quote = BookingRequest::from_quote(quote.clone(), guest, key);
        assert_eq!(
            from_quote,
            request().services([breakfast]).unwrap().quote(quote).unwrap()
        );
    }

    #[test]
    fn a_quote_of_another_stay_is_refused() {
        let quote = quote(stay("2027-03-10", "2027-03-13"));
        assert_eq!(request().quote(quote).unwrap_err().field(), Some("quote"));
    }

    fn quote(stay: Stay) -> Quote {
        Quote::new(
            HotelId::from(1),
            RoomTypeId::from(3),
            stay,
            request().party,
            Money::parse("100", "USD").unwrap(),
            DateTime::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_quote_is_for_the_services_of_the_request_in_whatever_order_they_are_named() {
        let chosen = |id, quantity| ChosenService::new(ServiceId::from(id), quantity).unwrap();
        let item = |chosen| QuotedService::new(chosen, "Breakfast", Money::parse("10", "USD").unwrap());
        let quote = quote(request().stay).services(vec![item(chosen(9, 2)), item(chosen(7, 1))]);
        assert_eq!(quote.rooms_total().unwrap().to_string(), "80.00 USD");
        let both = [chosen(7, 1), chosen(9, 2)];
        let asked = request().services(both).unwrap();
        assert_eq!(asked.quote(quote.clone()).unwrap().chosen_services(), both);
        for other in [vec![], vec![chosen(7, 1)], vec![chosen(7, 1), chosen(9, 1)]] {
            let asked = request().services(other).unwrap();
            assert_eq!(asked.quote(quote.clone()).unwrap_err().field(), Some("quote"));
        }
        let asked = request().services(both).unwrap().quote(quote).unwrap();
        assert_eq!(asked.services([]).unwrap_err().field(), Some("quote"));
    }

    #[test]
    fn a_remark_is_bounded_and_plain() {
        assert_eq!(
            request().remark(" late \n arrival ").unwrap().remark_text(),
            Some("late \n arrival")
        );
        assert_eq!(request().remark(" ").unwrap().remark_text(), None);
        assert_eq!(request().remark("a\0b").unwrap_err().field(), Some("remark"));
        assert_eq!(
            request().remark(&"x".repeat(1001)).unwrap_err().field(),
            Some("remark")
        );
    }

    #[test]
    fn debug_shows_neither_guest_nor_remark() {
        let shown = format!("{:?}", request().remark("it is a surprise").unwrap());
        assert!(
            !shown.contains("ana@example.com") && !shown.contains("surprise"),
            "{shown}"
        );
    }
}
