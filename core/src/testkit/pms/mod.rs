//! What every property management system must do behind [`PmsClient`]: the mock, a simulator, or a real one.
//!
//! The suite books and cancels. It needs one hotel with an empty calendar of half a year from the first day on, and
//! a first room type with at least three rooms that take two adults and not three. Its rooms must have one automatic
//! service, and sell two others, at most once each: one for each night and one for the stay.

mod life;
mod promises;
mod races;
mod services;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Days, NaiveDate};
use futures_util::future::join_all;

use crate::error::codes;
use crate::locks::Resource;
use crate::pms::{
    BookingId, BookingRequest, BookingStatus, Created, Guest, HoldProof, HotelId, Occupancy, Party, RoomType,
    RoomTypeId,
};
use crate::sync::lock;
use crate::{Code, Error, IdempotencyKey, Money, PmsClient, Stay};
pub use promises::{Lab, Promises};
pub use races::Races;

/// One run of the suite.
#[derive(Debug, Clone)]
pub struct Suite {
    client: PmsClient,
    room_type: RoomType,
    first_day: NaiveDate,
    run: String,
    /// What may have to be ended.
    keys: Arc<Mutex<BTreeSet<IdempotencyKey>>>,
}

impl Suite {
    /// A run that uses nights from the first day on, and keys that begin with `run`. Two runs on one system need
    /// different first days and runs.
    pub async fn new(client: PmsClient, first_day: NaiveDate, run: &str) -> Self {
        let hotels = client.hotels().await.expect("a system lists its hotels");
        let hotel = hotels.first().expect("the suite needs a hotel").id;
        let room_types = client
            .room_types(hotel)
            .await
            .expect("a system lists the room types of a hotel");
        let room_type = room_types
            .into_iter()
            .next()
            .expect("the suite needs a room type");
        assert_eq!(room_type.hotel, hotel, "a room type names its hotel");
        Self {
            client,
            room_type,
            first_day,
            run: run.to_owned(),
            keys: Arc::default(),
        }
    }

    /// How many days from the first one on a run uses.
    pub const DAYS: u64 = 144;

    /// Ends every booking that the run made and that has not ended, also after a promise was broken: for systems
    /// that go on afterwards.
    pub async fn clean_up(&self) {
        let keys = std::mem::take(&mut *lock(&self.keys));
        end_all(&self.client, &Vec::from_iter(keys)).await;
    }

    /// Everything, one promise after the other.
    pub async fn run(&self) {
        self.the_key_may_do_everything().await;
        self.unknown_things_are_named().await;
        self.stays_in_the_past_are_refused().await;
        self.guests_beyond_the_limits_are_refused().await;
        self.a_booking_takes_a_room_and_cancelling_gives_it_back().await;
        self.the_day_of_departure_is_free_for_arrivals().await;
        self.the_quoted_price_is_the_booked_price().await;
        self.a_quote_that_is_outdated_is_refused().await;
        self.the_same_key_and_request_give_the_same_booking().await;
        self.the_same_key_for_another_request_is_refused().await;
        self.the_same_key_at_the_same_time_books_once().await;
        self.a_cancelled_booking_does_not_come_back().await;
        self.cancelling_twice_is_harmless().await;
        self.a_booking_of_several_rooms_gives_each_party_its_own().await;
        self.more_rooms_than_are_free_are_sold_out().await;
        self.eight_bookers_of_the_last_room_make_one_booking().await;
        self.a_hold_must_cover_the_booking().await;
        self.run_life().await;
        self.run_services().await;
    }

    /// The suite needs every permission, and a self-test finds them.
    pub async fn the_key_may_do_everything(&self) {
        assert_eq!(self.client.self_test().await.unwrap(), []);
    }

    /// Unknown hotels, room types and bookings have codes of their own, and look-ups of bookings answer `None`.
    pub async fn unknown_things_are_named(&self) {
        let (hotel, nobody) = (self.room_type.hotel, HotelId::from(987_654));
        let stay = self.stay(0, 1);
        let answer = self.client.availability(nobody, stay, adults(2), None).await;
        expect(answer, codes::PMS_UNKNOWN_HOTEL);
        expect(self.client.room_types(nobody).await, codes::PMS_UNKNOWN_HOTEL);
        let answer = self
            .client
            .availability(hotel, stay, adults(2), Some(RoomTypeId::from(987_654)))
            .await;
        expect(answer, codes::PMS_UNKNOWN_ROOM_TYPE);
        let booking = BookingId::from(987_654_321);
        assert!(
            self.client.booking(booking).await.unwrap().is_none(),
            "an unknown booking is None"
        );
        assert!(
            self.client
                .find_booking(&self.key("never used"))
                .await
                .unwrap()
                .is_none(),
            "as is an unknown key"
        );
        expect(self.client.cancel(booking).await, codes::PMS_UNKNOWN_BOOKING);
    }

    /// A stay that begins before the hotel's today can be neither asked about nor booked.
    pub async fn stays_in_the_past_are_refused(&self) {
        let past = Stay::parse("2001-03-10", "2001-03-12").unwrap();
        let error = expect(
            self.client
                .availability(self.room_type.hotel, past, adults(2), None)
                .await,
            codes::PMS_INVALID_REQUEST,
        );
        assert_eq!(error.field(), Some("stay"));
        let error = expect(self.book(past, "past").await, codes::PMS_INVALID_REQUEST);
        assert_eq!(error.field(), Some("stay"));
    }

    /// The limit that is passed is named, for one room type and when no room type fits.
    pub async fn guests_beyond_the_limits_are_refused(&self) {
        let many = adults(self.room_type.limits.max_adults + 1);
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let answer = self
            .client
            .availability(hotel, self.stay(0, 1), many.clone(), Some(room_type))
            .await;
        assert_eq!(
            expect(answer, codes::PMS_OCCUPANCY).fact("limit"),
            Some("max_adults")
        );
        let answer = self
            .client
            .availability(hotel, self.stay(0, 1), adults(50), None)
            .await;
        expect(answer, codes::PMS_OCCUPANCY);
        let request = self.request(self.stay(0, 1), many, "too many");
        expect(self.client.book(&request, None).await, codes::PMS_OCCUPANCY);
    }

    /// The room is gone after `book` answered, and back after `cancel` answered.
    pub async fn a_booking_takes_a_room_and_cancelling_gives_it_back(&self) {
        let stay = self.stay(5, 2);
        let before = self.free(stay).await;
        let booking = self.book(stay, "take").await.unwrap();
        assert_eq!(
            (booking.status, booking.created),
            (BookingStatus::Confirmed, Created::Created)
        );
        assert_eq!((booking.stay, booking.rooms.len()), (stay, 1));
        assert!(!booking.reference.is_empty() && booking.rooms[0].number.is_some());
        assert_eq!(self.free(stay).await, before - 1, "a booking takes one room");
        let read = self.client.booking(booking.id).await.unwrap().unwrap();
        assert_eq!(
            (read.id, read.total, &read.rooms),
            (booking.id, booking.total, &booking.rooms)
        );
        let cancelled = self.client.cancel(booking.id).await.unwrap();
        assert_eq!(
            (cancelled.id, cancelled.status),
            (booking.id, BookingStatus::Cancelled)
        );
        assert_eq!(self.free(stay).await, before, "cancelling gives it back");
    }

    /// Back-to-back stays do not compete.
    pub async fn the_day_of_departure_is_free_for_arrivals(&self) {
        let later = self.stay(12, 2);
        let before = self.free(later).await;
        self.book(self.stay(10, 2), "earlier").await.unwrap();
        assert_eq!(self.free(later).await, before);
    }

    /// Quote, offer and booking agree.
    pub async fn the_quoted_price_is_the_booked_price(&self) {
        let stay = self.stay(15, 3);
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let quote = self
            .client
            .quote(hotel, room_type, stay, adults(2))
            .await
            .unwrap();
        let offers = self
            .client
            .availability(hotel, stay, adults(2), Some(room_type))
            .await
            .unwrap()
            .offers;
        assert_eq!(offers[0].total, quote.total);
        assert_eq!(offers[0].per_night.len(), 3);
        let request = self
            .request(stay, adults(2), "quoted")
            .quote(quote.clone())
            .unwrap();
        assert_eq!(self.client.book(&request, None).await.unwrap().total, quote.total);
    }

    /// A booking is made at the price that the guest was told, or not at all.
    pub async fn a_quote_that_is_outdated_is_refused(&self) {
        let stay = self.stay(20, 2);
        let before = self.free(stay).await;
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let mut quote = self
            .client
            .quote(hotel, room_type, stay, adults(2))
            .await
            .unwrap();
        let current = quote.total;
        quote.total = Money::zero(current.currency());
        let told = quote.total;
        let request = self.request(stay, adults(2), "outdated").quote(quote).unwrap();
        let error = expect(self.client.book(&request, None).await, codes::PMS_PRICE_CHANGED);
        assert_eq!(error.fact("quoted"), Some(told.to_string().as_str()));
        assert_eq!(error.fact("current"), Some(current.to_string().as_str()));
        assert_eq!(self.free(stay).await, before, "nothing was booked");
    }

    /// A repeated request finds its booking, also by key alone.
    pub async fn the_same_key_and_request_give_the_same_booking(&self) {
        let stay = self.stay(25, 2);
        let before = self.free(stay).await;
        let first = self.book(stay, "same").await.unwrap();
        let again = self.book(stay, "same").await.unwrap();
        assert_eq!((again.id, again.created), (first.id, Created::FoundAgain));
        let found = self
            .client
            .find_booking(&self.key("same"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.id, found.key), (first.id, Some(self.key("same"))));
        assert_eq!(self.free(stay).await, before - 1, "one room is gone, not two");
    }

    /// Keys do not travel to other wishes.
    pub async fn the_same_key_for_another_request_is_refused(&self) {
        self.book(self.stay(30, 2), "reused").await.unwrap();
        let error = expect(self.book(self.stay(30, 1), "reused").await, codes::PMS_KEY_REUSED);
        assert_eq!(error.fact("differs"), Some("stay"));
        let more = self.request(self.stay(30, 2), adults(1), "reused");
        let error = expect(self.client.book(&more, None).await, codes::PMS_KEY_REUSED);
        assert_eq!(error.fact("differs"), Some("party"));
    }

    /// One message that is delivered many times at once books once.
    pub async fn the_same_key_at_the_same_time_books_once(&self) {
        let stay = self.stay(35, 2);
        let before = self.free(stay).await;
        let answers = join_all((0..6).map(|_| self.book(stay, "at once"))).await;
        let mut ids: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "all callers have the same booking");
        assert_eq!(self.free(stay).await, before - 1);
    }

    /// A message that is delivered again after the guest cancelled does not book again.
    pub async fn a_cancelled_booking_does_not_come_back(&self) {
        let stay = self.stay(40, 2);
        let before = self.free(stay).await;
        let booking = self.book(stay, "ended").await.unwrap();
        self.client.cancel(booking.id).await.unwrap();
        expect(self.book(stay, "ended").await, codes::PMS_WRONG_STATE);
        let found = self
            .client
            .find_booking(&self.key("ended"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.id, found.status), (booking.id, BookingStatus::Cancelled));
        assert_eq!(self.free(stay).await, before);
    }

    /// The second cancellation answers like the first, and takes nobody's room.
    pub async fn cancelling_twice_is_harmless(&self) {
        let stay = self.stay(45, 2);
        let before = self.free(stay).await;
        let booking = self.book(stay, "twice").await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                self.client.cancel(booking.id).await.unwrap().status,
                BookingStatus::Cancelled
            );
        }
        assert_eq!(self.free(stay).await, before);
    }

    /// Two rooms, two numbers, one total.
    pub async fn a_booking_of_several_rooms_gives_each_party_its_own(&self) {
        let stay = self.stay(50, 2);
        let party = Party::new(vec![adults(2), adults(1)]).unwrap();
        let single = self
            .client
            .quote(self.room_type.hotel, self.room_type.id, stay, adults(2))
            .await
            .unwrap();
        let booking = self
            .client
            .book(&self.request(stay, party, "two rooms"), None)
            .await
            .unwrap();
        assert_eq!(booking.rooms.len(), 2);
        assert_ne!(booking.rooms[0].number, booking.rooms[1].number);
        let mut guests: Vec<_> = booking.rooms.iter().map(|room| room.occupancy.guests()).collect();
        guests.sort_unstable();
        assert_eq!(guests, [1, 2]);
        assert_eq!(booking.total, single.total.times(2).unwrap());
    }

    /// A party that needs more rooms than are free is offered nothing and gets nothing.
    pub async fn more_rooms_than_are_free_are_sold_out(&self) {
        let stay = self.stay(55, 2);
        let rooms = self.free(stay).await + 1;
        let party = Party::new(vec![adults(1); rooms as usize]).unwrap();
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let answer = self
            .client
            .availability(hotel, stay, party.clone(), Some(room_type))
            .await
            .unwrap();
        assert!(answer.offers.is_empty(), "an offer can be booked");
        expect(
            self.client.quote(hotel, room_type, stay, party.clone()).await,
            codes::PMS_SOLD_OUT,
        );
        expect(
            self.client
                .book(&self.request(stay, party, "all and one"), None)
                .await,
            codes::PMS_SOLD_OUT,
        );
        assert_eq!(self.free(stay).await, rooms - 1, "nothing was booked");
    }

    /// The product's promise.
    pub async fn eight_bookers_of_the_last_room_make_one_booking(&self) {
        let stay = self.stay(60, 2);
        let all_but_one = Party::new(vec![adults(1); self.free(stay).await as usize - 1]).unwrap();
        self.client
            .book(&self.request(stay, all_but_one, "all but one"), None)
            .await
            .unwrap();
        let keys: Vec<_> = (0..8).map(|booker| format!("last {booker}")).collect();
        let answers = join_all(keys.iter().map(|key| self.book(stay, key))).await;
        let (booked, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(booked.len(), 1, "one booking");
        for answer in refused {
            expect(answer, codes::PMS_SOLD_OUT);
        }
        let booked = booked.into_iter().next().unwrap().unwrap();
        let now = self.client.booking(booked.id).await.unwrap().unwrap();
        assert_eq!(now.status, BookingStatus::Confirmed, "and it has its room");
        assert_eq!(self.free(stay).await, 0);
    }

    /// A hold of other rooms or nights, and one that ended, books nothing.
    pub async fn a_hold_must_cover_the_booking(&self) {
        let stay = self.stay(65, 2);
        let before = self.free(stay).await;
        let hold = HoldProof {
            tenant: None,
            resource: Resource::room_type(&self.room_type.hotel, &self.room_type.id).to_string(),
            stay,
            quantity: 1,
            fence: 1,
            expires_at: DateTime::<chrono::Utc>::MAX_UTC,
        };
        let other = HoldProof {
            stay: self.stay(66, 1),
            ..hold.clone()
        };
        let ended = HoldProof {
            expires_at: DateTime::UNIX_EPOCH,
            ..hold.clone()
        };
        let request = self.request(stay, adults(2), "held");
        expect(
            self.client.book(&request, Some(&other)).await,
            codes::PMS_HOLD_MISMATCH,
        );
        expect(
            self.client.book(&request, Some(&ended)).await,
            codes::PMS_HOLD_MISMATCH,
        );
        assert_eq!(self.free(stay).await, before, "nothing was booked");
        let booking = self.client.book(&request, Some(&hold)).await.unwrap();
        // The hold has ended since, and the repeated request still finds its booking.
        assert_eq!(
            self.client.book(&request, Some(&ended)).await.unwrap().id,
            booking.id
        );
    }

    fn stay(&self, day: u64, nights: u64) -> Stay {
        let check_in = self.first_day + Days::new(day);
        Stay::new(check_in, check_in + Days::new(nights)).unwrap()
    }

    fn key(&self, name: &str) -> IdempotencyKey {
        let key = IdempotencyKey::parse(&format!("{}-{}", self.run, name.replace(' ', "-"))).unwrap();
        let mut keys = lock(&self.keys);
        keys.insert(key.clone());
        key
    }

    fn request(&self, stay: Stay, party: impl Into<Party>, key: &str) -> BookingRequest {
        let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
        BookingRequest::new(
            self.room_type.hotel,
            self.room_type.id,
            stay,
            party,
            guest,
            self.key(key),
        )
    }

    async fn book(&self, stay: Stay, key: &str) -> crate::Result<crate::pms::Booking> {
        self.client.book(&self.request(stay, adults(2), key), None).await
    }

    /// How many rooms of the type are free.
    async fn free(&self, stay: Stay) -> u32 {
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let answer = self
            .client
            .availability(hotel, stay, adults(1), Some(room_type))
            .await
            .unwrap();
        answer.offers.first().map_or(0, |offer| offer.available)
    }
}

fn adults(count: u32) -> Occupancy {
    Occupancy::new(count, &[]).unwrap()
}

/// Ends the bookings of these keys that have not ended. A key may have several, when a promise was broken.
async fn end_all(client: &PmsClient, keys: &[IdempotencyKey]) {
    for key in keys {
        while let Some(found) = client.find_booking(key).await.unwrap() {
            if matches!(found.status, BookingStatus::Cancelled | BookingStatus::CheckedOut) {
                break;
            }
            client.force_cancel(found.id).await.unwrap();
        }
    }
}

/// The error, which must have this code.
fn expect<T: std::fmt::Debug>(answer: crate::Result<T>, code: Code) -> Error {
    match answer {
        Err(error) if error.is(code) => error,
        other => panic!("expected {}, got {other:?}", code.name),
    }
}
