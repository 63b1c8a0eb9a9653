//! What stands around every call to a system of a program's own.

use std::sync::Arc;
use std::time::Duration;

use posada::clock::{ManualClock, SharedClock, SystemClock};
use posada::error::codes;
use posada::pms::{Booking, BookingRequest, Guest, HotelId, Occupancy, RoomTypeId};
use posada::testkit::pms::Lab as _;
use posada::{IdempotencyKey, Posada, Result, Retry, Settings, Stay};

use super::first_day;
use super::two_rooms::{Gate, TwoRooms};

/// Far above what a call needs, and short enough to be waited for.
const SHORT: Duration = Duration::from_millis(200);

fn connect(rooms: &Arc<TwoRooms>, settings: Settings, clock: SharedClock) -> Posada {
    let builder = Posada::builder().settings(settings).clock(clock);
    builder.pms(rooms.clone()).build().unwrap()
}

fn usual(rooms: &Arc<TwoRooms>) -> Posada {
    connect(rooms, Settings::embedded(), SystemClock::shared())
}

async fn book(posada: &Posada, key: &IdempotencyKey) -> Result<Booking> {
    let stay = Stay::new(first_day(), first_day() + chrono::Days::new(2)).unwrap();
    let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
    let (hotel, room_type) = (HotelId::from(1), RoomTypeId::from(1));
    let couple = Occupancy::new(2, &[]).unwrap();
    let request = BookingRequest::new(hotel, room_type, stay, couple, guest, key.clone());
    posada.pms().book(&request, None).await
}

fn key() -> IdempotencyKey {
    IdempotencyKey::parse("wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRB").unwrap()
}

#[tokio::test]
async fn a_read_is_repeated_and_a_write_is_sent_once() {
    let rooms = Arc::new(TwoRooms::new());
    let posada = usual(&rooms);
    rooms.fails(2, codes::PMS_UNAVAILABLE);
    assert_eq!(posada.pms().hotels().await.unwrap().len(), 1);
    assert_eq!(rooms.asked(), 3);
    let booking = book(&posada, &key()).await.unwrap();
    let before = rooms.asked();
    rooms.fails(1, codes::PMS_UNAVAILABLE);
    let error = posada.pms().cancel(booking.id).await.unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
    assert_eq!((rooms.asked() - before, rooms.live()), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_is_not_repeated() {
    let rooms = Arc::new(TwoRooms::new());
    let posada = usual(&rooms);
    for asked in 1..=20 {
        rooms.fails(1, codes::PMS_REFUSED);
        let error = posada.pms().hotels().await.unwrap_err();
        assert!(error.is(codes::PMS_REFUSED), "{error}");
        assert_eq!(rooms.asked(), asked, "and no breaker opens");
    }
}

#[tokio::test]
async fn a_system_that_keeps_failing_is_left_alone_and_asked_again_after_a_pause() {
    let rooms = Arc::new(TwoRooms::new());
    let clock = ManualClock::at("2027-01-01T09:00:00Z".parse().unwrap());
    let posada = connect(&rooms, Settings::embedded(), clock.shared());
    rooms.fails(100, codes::PMS_UNAVAILABLE);
    for _ in 0..2 {
        let error = posada.pms().hotels().await.unwrap_err();
        assert_eq!((error.code(), error.fact("breaker")), ("pms.unavailable", None));
    }
    let asked = rooms.asked();
    let error = posada.pms().hotels().await.unwrap_err();
    assert_eq!(error.fact("breaker"), Some("open"));
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
    assert_eq!(
        (asked, rooms.asked()),
        (5, 5),
        "five failures, and then nothing is asked"
    );
    rooms.fails(0, codes::PMS_UNAVAILABLE);
    clock.advance(Duration::from_secs(30));
    assert_eq!(posada.pms().hotels().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_is_given_up_at_the_deadline_of_the_settings() {
    let rooms = Arc::new(TwoRooms::new());
    let settings = Settings::builder().pms_timeout(SHORT).build().unwrap();
    let posada = connect(&rooms, settings, SystemClock::shared());
    rooms.set_gate(Gate::Closed);
    let error = posada.pms().hotels().await.unwrap_err();
    assert!(error.is(codes::PMS_TIMEOUT), "{error}");
}

#[tokio::test]
async fn a_write_that_misses_its_deadline_is_unknown_and_ends_in_the_background() {
    let rooms = Arc::new(TwoRooms::new());
    let settings = Settings::builder().pms_booking_timeout(SHORT).build().unwrap();
    let posada = connect(&rooms, settings, SystemClock::shared());
    // What comes before a booking is read while the system still answers.
    posada.pms().hotels().await.unwrap();
    rooms.set_gate(Gate::Reads);
    let error = book(&posada, &key()).await.unwrap_err();
    assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
    assert_eq!(rooms.written(), 0);
    rooms.set_gate(Gate::Open);
    rooms.has_written(1).await;
    let found = posada.pms().find_booking(&key()).await.unwrap().unwrap();
    assert_eq!(book(&usual(&rooms), &key()).await.unwrap().id, found.id);
    assert_eq!(rooms.written(), 1, "one key, one booking");
}

#[tokio::test]
async fn a_handle_that_closes_waits_for_a_write_that_missed_its_deadline() {
    let rooms = Arc::new(TwoRooms::new());
    let settings = Settings::builder().pms_booking_timeout(SHORT).build().unwrap();
    let posada = connect(&rooms, settings, SystemClock::shared());
    rooms.set_gate(Gate::Reads);
    book(&posada, &key()).await.unwrap_err();
    let (closed, ()) = tokio::join!(posada.close(), async { rooms.set_gate(Gate::Open) });
    closed.unwrap();
    assert_eq!(rooms.written(), 1);
}

#[tokio::test]
async fn a_write_in_which_the_system_panics_is_unknown() {
    let rooms = Arc::new(TwoRooms::new());
    let posada = usual(&rooms);
    rooms.panics();
    let error = book(&posada, &key()).await.unwrap_err();
    assert!(error.is(codes::PMS_OUTCOME_UNKNOWN), "{error}");
    assert_eq!(book(&posada, &key()).await.unwrap().key, Some(key()));
}
