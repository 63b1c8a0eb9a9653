//! The promises that a system claims, each by itself, with answers that are lost and prices that change meanwhile.

use chrono::{Days, NaiveDate};
use futures_util::future::join_all;

use super::{adults, expect};
use crate::error::codes;
use crate::pms::{
    Booking, BookingChange, BookingId, BookingRequest, BookingStatus, ChangeCursor, Feature, Guest, RoomType,
    ServiceId, StayId, Support,
};
use crate::{Error, IdempotencyKey, PmsClient, Stay};

/// What the suite does to a system behind the client's back, and what it sees there.
pub trait Lab: Send + Sync {
    /// The answers to the next writes are lost after the work was done.
    fn lose_answers(&self, times: usize);

    /// The price goes up while the next booking is being written: after its offer, before its row.
    fn raise_price_in_next_write(&self);

    /// How many bookings there are that were not cancelled.
    fn live(&self) -> usize;

    /// How many bookings were ever written, also those that were cancelled.
    fn written(&self) -> usize;

    /// In how many nights more rooms are booked than the hotel sells.
    fn oversold(&self) -> usize;
}

/// A run on the hotel's first room type, whose calendar must be empty for a month from the first day on. It must have
/// at least two rooms, and take two adults.
#[allow(missing_debug_implementations, reason = "a lab need not have any")]
pub struct Promises<'a> {
    client: PmsClient,
    lab: &'a dyn Lab,
    room_type: RoomType,
    first_day: NaiveDate,
    run: String,
}

impl<'a> Promises<'a> {
    /// Keys begin with `run`.
    pub async fn new(client: PmsClient, lab: &'a dyn Lab, first_day: NaiveDate, run: &str) -> Self {
        let hotels = client.hotels().await.expect("a system lists its hotels");
        let hotel = hotels.first().expect("the suite needs a hotel").id;
        let room_types = client.room_types(hotel).await.expect("a hotel has room types");
        Self {
            room_type: room_types
                .into_iter()
                .next()
                .expect("the suite needs a room type"),
            client,
            lab,
            first_day,
            run: run.to_owned(),
        }
    }

    /// Everything.
    pub async fn run(&self) {
        self.features_are_as_they_are_named().await;
        self.a_key_books_once().await;
        self.a_lost_answer_makes_no_second_booking().await;
        self.eight_bookers_of_the_last_room_make_one_booking().await;
        self.a_change_into_a_full_night_is_refused().await;
        self.the_quoted_price_is_the_booked_price().await;
    }

    /// What a system has not is refused as unsupported, and what it has is not.
    pub async fn features_are_as_they_are_named(&self) {
        let (pms, hotel, id) = (&self.client, self.room_type.hotel, BookingId::from(987_654_321));
        let nights = BookingChange::new().stay(self.stay(0, 1));
        let other_room = BookingChange::new().room(StayId::from(987_654_321), "101");
        let mut changes = pms.changes_since(ChangeCursor::since(chrono::DateTime::UNIX_EPOCH));
        let refusals: Vec<(Feature, Option<Error>)> = vec![
            (
                Feature::Services,
                pms.services(hotel, self.room_type.id).await.err(),
            ),
            (Feature::Change, pms.modify(id, &nights).await.err()),
            (Feature::QuoteChange, pms.quote_change(id, &nights).await.err()),
            (Feature::ChooseRoom, pms.modify(id, &other_room).await.err()),
            (Feature::CheckIn, pms.check_in(id).await.err()),
            (Feature::CheckOut, pms.check_out(id).await.err()),
            (
                Feature::Movements,
                pms.arrivals(hotel, self.first_day).await.err(),
            ),
            (Feature::Guests, pms.guest("nobody@example.com").await.err()),
            (Feature::Folio, pms.invoices(id).await.err()),
            (Feature::Changes, changes.next().await.err()),
        ];
        for (feature, refusal) in refusals {
            let refused = refusal.is_some_and(|error| error.is(codes::PMS_UNSUPPORTED));
            let has = pms.capabilities().has(feature) != Support::No;
            assert_eq!(refused, !has, "{feature}");
        }
        if pms.capabilities().has(Feature::Services) == Support::No {
            let choice = crate::pms::ChosenService::new(ServiceId::from(1), 1).unwrap();
            let request = self
                .request("service", self.stay(0, 1))
                .services([choice])
                .unwrap();
            expect(pms.book(&request, None).await, codes::PMS_UNSUPPORTED);
        }
    }

    /// The same key gives the same booking, also at the same time; for something else it is refused, and what was
    /// cancelled does not come back.
    pub async fn a_key_books_once(&self) {
        let (before, stay) = (self.lab.live(), self.stay(1, 1));
        let request = self.request("once", stay);
        let answers = join_all((0..8).map(|_| self.client.book(&request, None))).await;
        let ids: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.expect("it is booked").id)
            .collect();
        assert!(
            ids.iter().all(|id| *id == ids[0]),
            "one key, one booking: {ids:?}"
        );
        assert_eq!(self.lab.live(), before + 1, "one key, one booking");
        let other = self.request("once", self.stay(2, 1));
        expect(self.client.book(&other, None).await, codes::PMS_KEY_REUSED);
        self.client.cancel(ids[0]).await.unwrap();
        expect(self.client.book(&request, None).await, codes::PMS_WRONG_STATE);
        assert_eq!(self.lab.live(), before, "what was cancelled does not come back");
    }

    /// Whatever the caller heard, asking again finds one booking.
    pub async fn a_lost_answer_makes_no_second_booking(&self) {
        for lost in 1..=2 {
            let before = self.lab.written();
            let request = self.request(&format!("lost-{lost}"), self.stay(3, 1));
            self.lab.lose_answers(lost);
            let mut answer = self.client.book(&request, None).await;
            for _ in 0..lost {
                if answer
                    .as_ref()
                    .is_err_and(|error| error.is(codes::PMS_OUTCOME_UNKNOWN))
                {
                    answer = self.client.book(&request, None).await;
                }
            }
            self.lab.lose_answers(0);
            let booking = answer.expect("a lost answer is no refusal");
            assert_eq!(
                self.lab.written(),
                before + 1,
                "a lost answer is no second booking"
            );
            assert_eq!(self.client.book(&request, None).await.unwrap().id, booking.id);
            self.client.cancel(booking.id).await.unwrap();
        }
    }

    /// Eight callers want the last room.
    pub async fn eight_bookers_of_the_last_room_make_one_booking(&self) {
        let stay = self.stay(4, 2);
        let others = self.fill(stay, 1).await;
        let requests: Vec<_> = (0..8).map(|n| self.request(&format!("last-{n}"), stay)).collect();
        let answers = join_all(requests.iter().map(|request| self.client.book(request, None))).await;
        let (booked, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(self.lab.oversold(), 0, "no more are booked than are sold");
        assert_eq!(booked.len(), 1, "one has the last room: {refused:?}");
        for refusal in refused {
            expect(refusal, codes::PMS_SOLD_OUT);
        }
        self.end(others).await;
        self.end(booked.into_iter().map(|booking| booking.unwrap()).collect())
            .await;
        assert!(self.free(stay).await > 0, "what is cancelled is free");
    }

    /// A booking keeps its nights when the new ones are full.
    pub async fn a_change_into_a_full_night_is_refused(&self) {
        if self.client.capabilities().has(Feature::Change) == Support::No {
            return;
        }
        let full = self.stay(9, 1);
        let booking = self
            .client
            .book(&self.request("moves", self.stay(8, 1)), None)
            .await
            .unwrap();
        let others = self.fill(full, 0).await;
        let change = BookingChange::new().stay(full);
        expect(self.client.modify(booking.id, &change).await, codes::PMS_SOLD_OUT);
        let now = self.client.booking(booking.id).await.unwrap().unwrap();
        assert_eq!(
            (now.stay, now.total),
            (booking.stay, booking.total),
            "nothing was changed"
        );
        self.end(others).await;
        let moved = self.client.modify(booking.id, &change).await.unwrap();
        assert_eq!((moved.stay, moved.id), (full, booking.id));
        self.end(vec![moved]).await;
    }

    /// A guest pays what the quote said, or there is no booking.
    pub async fn the_quoted_price_is_the_booked_price(&self) {
        let (pms, stay) = (&self.client, self.stay(11, 3));
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let quote = pms.quote(hotel, room_type, stay, adults(2)).await.unwrap();
        let request = BookingRequest::from_quote(quote.clone(), Self::guest(), self.key("quoted"));
        let booking = pms.book(&request, None).await.unwrap();
        assert_eq!(booking.total, quote.total, "the quote is what the guest pays");
        self.end(vec![booking]).await;
        let before = self.lab.live();
        let request = BookingRequest::from_quote(quote, Self::guest(), self.key("dearer"));
        self.lab.raise_price_in_next_write();
        expect(pms.book(&request, None).await, codes::PMS_PRICE_CHANGED);
        assert_eq!(self.lab.live(), before, "at another price there is no booking");
    }

    /// Books all rooms of a stay but some.
    async fn fill(&self, stay: Stay, left: u32) -> Vec<Booking> {
        let mut booked = Vec::new();
        for n in 0..self.free(stay).await.saturating_sub(left) {
            let request = self.request(&format!("fill-{}-{n}", stay.check_in()), stay);
            booked.push(self.client.book(&request, None).await.expect("a room is free"));
        }
        booked
    }

    async fn free(&self, stay: Stay) -> u32 {
        let (hotel, id) = (self.room_type.hotel, self.room_type.id);
        let found = self
            .client
            .availability(hotel, stay, adults(2), Some(id))
            .await
            .unwrap();
        found.offers.first().map_or(0, |offer| offer.available)
    }

    async fn end(&self, bookings: Vec<Booking>) {
        for booking in bookings {
            let ended = self.client.cancel(booking.id).await.unwrap();
            assert_eq!(ended.status, BookingStatus::Cancelled);
        }
    }

    fn request(&self, key: &str, stay: Stay) -> BookingRequest {
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        BookingRequest::new(hotel, room_type, stay, adults(2), Self::guest(), self.key(key))
    }

    fn guest() -> Guest {
        Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap()
    }

    fn key(&self, name: &str) -> IdempotencyKey {
        IdempotencyKey::parse(&format!("{}-{name}", self.run)).unwrap()
    }

    fn stay(&self, day: u64, nights: u64) -> Stay {
        let check_in = self.first_day + Days::new(day);
        Stay::new(check_in, check_in + Days::new(nights)).unwrap()
    }
}
