//! The life of a booking: what must hold after it was made.

use chrono::{Days, TimeDelta};

use super::{Suite, adults, expect};
use crate::Money;
use crate::error::codes;
use crate::pms::{
    Booking, BookingChange, BookingId, BookingStatus, ChangeCursor, Changes, Guest, Occupancy, Party, Quote,
};

impl Suite {
    /// Everything of this file.
    pub(super) async fn run_life(&self) {
        self.guests_arrive_and_leave().await;
        self.a_guest_in_the_house_is_cancelled_only_by_force().await;
        self.a_day_has_its_arrivals_and_departures().await;
        self.a_guest_is_found_by_address().await;
        self.a_stay_can_be_longer_in_a_full_hotel().await;
        self.a_stay_that_cannot_be_longer_stays_as_it_is().await;
        self.a_booking_moves_when_its_own_room_is_taken().await;
        self.a_guest_in_the_house_changes_only_the_departure().await;
        self.a_guest_can_have_another_room().await;
        self.the_guests_of_a_booking_can_be_others().await;
        self.a_changed_price_changes_nothing_else().await;
        self.what_has_ended_cannot_be_changed().await;
        self.an_account_says_what_is_to_be_paid().await;
        self.every_change_is_told().await;
    }

    /// Arrival keeps the room and departure frees it; both may be told twice.
    pub async fn guests_arrive_and_leave(&self) {
        let stay = self.stay(70, 2);
        let before = self.free(stay).await;
        let booking = self.book(stay, "arrives").await.unwrap();
        let error = expect(self.client.check_out(booking.id).await, codes::PMS_WRONG_STATE);
        assert_eq!(error.fact("status"), Some("confirmed"));
        for _ in 0..2 {
            let here = self.client.check_in(booking.id).await.unwrap();
            assert_eq!((here.id, here.status), (booking.id, BookingStatus::CheckedIn));
        }
        assert_eq!(
            self.free(stay).await,
            before - 1,
            "a guest in the house has a room"
        );
        for _ in 0..2 {
            let gone = self.client.check_out(booking.id).await.unwrap();
            assert_eq!(gone.status, BookingStatus::CheckedOut);
        }
        assert_eq!(self.free(stay).await, before, "a guest who left has none");
        expect(self.client.check_in(booking.id).await, codes::PMS_WRONG_STATE);
        expect(self.client.cancel(booking.id).await, codes::PMS_WRONG_STATE);
        expect(self.client.force_cancel(booking.id).await, codes::PMS_WRONG_STATE);
        let nobody = BookingId::from(987_654_321);
        expect(self.client.check_in(nobody).await, codes::PMS_UNKNOWN_BOOKING);
        expect(self.client.check_out(nobody).await, codes::PMS_UNKNOWN_BOOKING);
    }

    /// Cancelling refuses guests in the house; forcing does not.
    pub async fn a_guest_in_the_house_is_cancelled_only_by_force(&self) {
        let stay = self.stay(73, 2);
        let before = self.free(stay).await;
        let booking = self.book(stay, "forced").await.unwrap();
        self.client.check_in(booking.id).await.unwrap();
        let error = expect(self.client.cancel(booking.id).await, codes::PMS_WRONG_STATE);
        assert_eq!(error.fact("status"), Some("checked_in"));
        assert_eq!(self.free(stay).await, before - 1, "nothing was cancelled");
        let cancelled = self.client.force_cancel(booking.id).await.unwrap();
        assert_eq!(cancelled.status, BookingStatus::Cancelled);
        assert_eq!(self.free(stay).await, before);
        expect(self.client.check_in(booking.id).await, codes::PMS_WRONG_STATE);
    }

    /// Lists of a day hold who comes and who goes, with their names, and nobody else.
    pub async fn a_day_has_its_arrivals_and_departures(&self) {
        let stay = self.stay(76, 2);
        let (hotel, first, last) = (self.room_type.hotel, stay.check_in(), stay.check_out());
        let booking = self.book(stay, "listed").await.unwrap();
        let ids = |list: &[Booking]| -> Vec<_> { list.iter().map(|booking| booking.id).collect() };
        let arrivals = self.client.arrivals(hotel, first).await.unwrap();
        assert!(ids(&arrivals).contains(&booking.id));
        let listed = arrivals.iter().find(|listed| listed.id == booking.id).unwrap();
        let guest = listed.guest.as_ref().expect("the front desk sees who comes");
        assert_eq!(
            (guest.first_name.as_str(), guest.last_name.as_str()),
            ("Ana", "Gómez")
        );
        let departures = self.client.departures(hotel, last).await.unwrap();
        assert!(ids(&departures).contains(&booking.id));
        let between = first + Days::new(1);
        assert!(!ids(&self.client.arrivals(hotel, between).await.unwrap()).contains(&booking.id));
        assert!(!ids(&self.client.departures(hotel, between).await.unwrap()).contains(&booking.id));
        self.client.check_in(booking.id).await.unwrap();
        self.client.check_out(booking.id).await.unwrap();
        let departures = self.client.departures(hotel, last).await.unwrap();
        assert!(ids(&departures).contains(&booking.id), "who left is in the list");
        let other = self.book(stay, "not listed").await.unwrap();
        self.client.cancel(other.id).await.unwrap();
        let arrivals = self.client.arrivals(hotel, first).await.unwrap();
        assert!(!ids(&arrivals).contains(&other.id), "who cancelled is not");
        let nobody = crate::pms::HotelId::from(987_654);
        expect(
            self.client.arrivals(nobody, first).await,
            codes::PMS_UNKNOWN_HOTEL,
        );
    }

    /// Addresses find guests, and writing a guest down twice keeps one.
    pub async fn a_guest_is_found_by_address(&self) {
        let email = format!("{}@guests.example.com", self.run);
        assert!(self.client.guest(&email).await.unwrap().is_none());
        let guest = Guest::new("Eva", "Ruiz", email.as_str(), "5550001111").unwrap();
        let made = self.client.create_guest(&guest).await.unwrap();
        let again = self.client.create_guest(&guest).await.unwrap();
        assert_eq!((made.id, made.last_name.as_str()), (again.id, "Ruiz"));
        let found = self.client.guest(&email.to_uppercase()).await.unwrap().unwrap();
        assert_eq!((found.id, found.phone.as_str()), (made.id, "5550001111"));
        let error = expect(self.client.guest("nobody").await, codes::PMS_INVALID_REQUEST);
        assert_eq!(error.field(), Some("email"));
    }

    /// The own room counts as free, the price is the new one, and the booking keeps its number.
    pub async fn a_stay_can_be_longer_in_a_full_hotel(&self) {
        let (short, long) = (self.stay(80, 2), self.stay(80, 3));
        self.fill(short, 1, "rest of longer").await;
        let booking = self.book(short, "longer").await.unwrap();
        assert_eq!(self.free(short).await, 0);
        self.fill(self.stay(82, 1), 1, "last night of longer").await;
        let change = BookingChange::new().stay(long);
        let quote = self.client.quote_change(booking.id, &change).await.unwrap();
        assert_eq!((quote.stay, quote.hotel), (long, booking.hotel));
        assert!(
            quote.total.amount() > booking.total.amount(),
            "three nights cost more"
        );
        let change = change.quote(quote.clone()).unwrap();
        for _ in 0..2 {
            let longer = self.client.modify(booking.id, &change).await.unwrap();
            assert_eq!((longer.id, longer.stay), (booking.id, long));
            assert_eq!(
                (longer.total, longer.key.clone()),
                (quote.total, booking.key.clone())
            );
            assert_eq!(longer.reference, booking.reference);
        }
        assert_eq!(self.free(self.stay(82, 1)).await, 0);
        let shorter = BookingChange::new().stay(self.stay(80, 1));
        let booking = self.client.modify(booking.id, &shorter).await.unwrap();
        assert!(
            booking.total.amount() < quote.total.amount(),
            "one night costs less"
        );
        assert_eq!(
            self.free(self.stay(81, 2)).await,
            1,
            "the other nights are free again"
        );
    }

    /// A full night in the new stay refuses it.
    pub async fn a_stay_that_cannot_be_longer_stays_as_it_is(&self) {
        let stay = self.stay(85, 2);
        let booking = self.book(stay, "not longer").await.unwrap();
        self.fill(self.stay(87, 1), 0, "full night").await;
        let change = BookingChange::new().stay(self.stay(85, 3));
        expect(
            self.client.quote_change(booking.id, &change).await,
            codes::PMS_SOLD_OUT,
        );
        expect(self.client.modify(booking.id, &change).await, codes::PMS_SOLD_OUT);
        let now = self.client.booking(booking.id).await.unwrap().unwrap();
        assert_eq!(
            (now.stay, now.total, now.rooms),
            (booking.stay, booking.total, booking.rooms)
        );
        let past = crate::Stay::parse("2001-03-10", "2001-03-12").unwrap();
        let change = BookingChange::new().stay(past);
        let error = expect(
            self.client.modify(booking.id, &change).await,
            codes::PMS_INVALID_REQUEST,
        );
        assert_eq!(error.field(), Some("stay"));
    }

    /// Whoever cannot stay in the own room gets another one of the type.
    pub async fn a_booking_moves_when_its_own_room_is_taken(&self) {
        let (early, late) = (self.stay(90, 1), self.stay(91, 1));
        let booking = self.book(early, "moves").await.unwrap();
        let other = self.book(late, "in the way").await.unwrap();
        assert_eq!(
            booking.rooms[0].number, other.rooms[0].number,
            "both have the first room, one after the other"
        );
        let change = BookingChange::new().stay(self.stay(90, 2));
        let moved = self.client.modify(booking.id, &change).await.unwrap();
        assert_eq!(moved.stay, self.stay(90, 2));
        assert_ne!(moved.rooms[0].number, other.rooms[0].number);
    }

    /// A guest who has arrived arrived.
    pub async fn a_guest_in_the_house_changes_only_the_departure(&self) {
        let booking = self.book(self.stay(95, 2), "in the house").await.unwrap();
        self.client.check_in(booking.id).await.unwrap();
        let later = BookingChange::new().stay(self.stay(96, 2));
        expect(
            self.client.modify(booking.id, &later).await,
            codes::PMS_WRONG_STATE,
        );
        let longer = BookingChange::new().stay(self.stay(95, 3));
        let longer = self.client.modify(booking.id, &longer).await.unwrap();
        assert_eq!(
            (longer.stay, longer.status),
            (self.stay(95, 3), BookingStatus::CheckedIn)
        );
    }

    /// A free room can be chosen by its number, a taken one cannot.
    pub async fn a_guest_can_have_another_room(&self) {
        let stay = self.stay(100, 2);
        let booking = self.book(stay, "another room").await.unwrap();
        let neighbour = self.book(stay, "neighbour").await.unwrap();
        let third = self.book(stay, "third").await.unwrap();
        self.client.cancel(third.id).await.unwrap();
        let number = |booking: &Booking| booking.rooms[0].number.clone().unwrap();
        let (own, taken, free) = (number(&booking), number(&neighbour), number(&third));
        let change = BookingChange::new().room_number(&own, &taken);
        expect(self.client.modify(booking.id, &change).await, codes::PMS_SOLD_OUT);
        let change = BookingChange::new().room_number(&own, &free);
        let moved = self.client.modify(booking.id, &change).await.unwrap();
        assert_eq!(
            (number(&moved), moved.total, moved.stay),
            (free.clone(), booking.total, stay)
        );
        let error = expect(
            self.client.modify(booking.id, &change).await,
            codes::PMS_INVALID_REQUEST,
        );
        assert_eq!(error.field(), Some("room"));
        let back = BookingChange::new().room(moved.rooms[0].id, &own);
        let moved = self.client.modify(booking.id, &back).await.unwrap();
        assert_eq!(
            (number(&moved), moved.rooms[0].id),
            (own, booking.rooms[0].id),
            "a room of a booking keeps its id wherever it is"
        );
        let foreign = BookingChange::new().room(neighbour.rooms[0].id, &free);
        let error = expect(
            self.client.modify(booking.id, &foreign).await,
            codes::PMS_INVALID_REQUEST,
        );
        assert_eq!(error.field(), Some("room"));
    }

    /// Limits hold for changes, too, and the number of rooms stays.
    pub async fn the_guests_of_a_booking_can_be_others(&self) {
        let booking = self.book(self.stay(104, 2), "family").await.unwrap();
        let family = Occupancy::new(1, &[7]).unwrap();
        let change = BookingChange::new().party(family.clone());
        let changed = self.client.modify(booking.id, &change).await.unwrap();
        assert_eq!(
            (&changed.rooms[0].occupancy, changed.total),
            (&family, booking.total)
        );
        let crowd = BookingChange::new().party(adults(self.room_type.limits.max_adults + 1));
        expect(self.client.modify(booking.id, &crowd).await, codes::PMS_OCCUPANCY);
        let two_rooms = Party::new(vec![adults(1), adults(1)]).unwrap();
        let error = expect(
            self.client
                .modify(booking.id, &BookingChange::new().party(two_rooms))
                .await,
            codes::PMS_INVALID_REQUEST,
        );
        assert_eq!(error.field(), Some("party"));
    }

    /// A change at another price than the guest was told is none.
    pub async fn a_changed_price_changes_nothing_else(&self) {
        let booking = self.book(self.stay(108, 2), "dearer change").await.unwrap();
        let change = BookingChange::new().stay(self.stay(108, 3));
        let quote = self.client.quote_change(booking.id, &change).await.unwrap();
        let told = Quote {
            total: Money::zero(quote.total.currency()),
            ..quote.clone()
        };
        let error = expect(
            self.client.modify(booking.id, &change.quote(told).unwrap()).await,
            codes::PMS_PRICE_CHANGED,
        );
        assert_eq!(error.fact("current"), Some(quote.total.to_string().as_str()));
        let now = self.client.booking(booking.id).await.unwrap().unwrap();
        assert_eq!((now.stay, now.total), (booking.stay, booking.total));
    }

    /// Neither a cancelled booking nor one that nobody made.
    pub async fn what_has_ended_cannot_be_changed(&self) {
        let booking = self.book(self.stay(112, 2), "ended change").await.unwrap();
        self.client.cancel(booking.id).await.unwrap();
        let change = BookingChange::new().stay(self.stay(112, 3));
        let error = expect(
            self.client.modify(booking.id, &change).await,
            codes::PMS_WRONG_STATE,
        );
        assert_eq!(error.fact("status"), Some("cancelled"));
        let nobody = BookingId::from(987_654_321);
        expect(
            self.client.modify(nobody, &change).await,
            codes::PMS_UNKNOWN_BOOKING,
        );
    }

    /// The lines of a new booking add up to its price, and nothing is paid.
    pub async fn an_account_says_what_is_to_be_paid(&self) {
        let booking = self.book(self.stay(116, 2), "account").await.unwrap();
        let folio = self.client.invoices(booking.id).await.unwrap();
        assert_eq!((folio.booking, folio.total), (booking.id, booking.total));
        let lines = folio.lines.iter().map(|line| line.total);
        let sum = Money::sum(booking.total.currency(), lines).unwrap();
        assert_eq!(sum, booking.total);
        assert_eq!(folio.paid, Money::zero(booking.total.currency()));
        let nobody = BookingId::from(987_654_321);
        expect(self.client.invoices(nobody).await, codes::PMS_UNKNOWN_BOOKING);
    }

    /// A booking is told when it is made, when it is changed and when it ends, and a place in between can be kept.
    pub async fn every_change_is_told(&self) {
        let stay = self.stay(120, 2);
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let quote = self
            .client
            .quote(hotel, room_type, stay, adults(2))
            .await
            .unwrap();
        let start = ChangeCursor::since(quote.quoted_at - TimeDelta::minutes(1));
        let booking = self.book(stay, "told").await.unwrap();
        let mut changes = self.client.changes_since(start);
        let told = drain(&mut changes, booking.id).await;
        assert_eq!(
            told.last().unwrap().as_ref().unwrap().status,
            BookingStatus::Confirmed
        );
        assert!(drain(&mut changes, booking.id).await.is_empty(), "once");
        let kept = ChangeCursor::parse(&changes.cursor().to_string()).unwrap();
        self.client.check_in(booking.id).await.unwrap();
        let told = drain(&mut changes, booking.id).await;
        assert_eq!(
            told.last().unwrap().as_ref().unwrap().status,
            BookingStatus::CheckedIn
        );
        self.client.force_cancel(booking.id).await.unwrap();
        let mut again = self.client.changes_since(kept);
        let told = drain(&mut again, booking.id).await;
        assert_eq!(
            told.last().unwrap().as_ref().unwrap().status,
            BookingStatus::Cancelled,
            "another process goes on from a place that was kept"
        );
    }

    /// Takes all rooms that are free in the stay, but so many.
    async fn fill(&self, stay: crate::Stay, but: u32, key: &str) {
        let rooms = self.free(stay).await - but;
        if rooms > 0 {
            let party = Party::new(vec![adults(1); rooms as usize]).unwrap();
            self.client
                .book(&self.request(stay, party, key), None)
                .await
                .unwrap();
        }
    }
}

/// What is told about one booking until there is nothing new.
async fn drain(changes: &mut Changes, booking: BookingId) -> Vec<Option<Booking>> {
    let mut told = Vec::new();
    while let Some(change) = changes.next().await.unwrap() {
        if change.id == booking {
            told.push(change.booking);
        }
    }
    told
}
