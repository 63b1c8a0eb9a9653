//! A server that stops, hangs and comes back: what was known is answered and marked, bookings fail clearly, and nothing
//! waits longer than it should.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use posada::clock::{ManualClock, SystemClock};
use posada::error::codes;
use posada::pms::{
    Availability, Booking, BookingId, BookingRequest, BookingStatus, Created, Guest, HotelId, Occupancy,
    Quote, RoomTypeId,
};
use posada::settings::{Secret, SettingsBuilder};
use posada::testkit::Proxy;
use posada::testkit::qloapps::{QloAppsSimulator, SimulatedCall, SimulatedFault};
use posada::{Error, IdempotencyKey, Posada, Result, Retry, Settings, Stay};
use posada_tests::{servers, unique, wait_until};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Far more than the deadlines of these tests and far less than those that are usual: who is not back by then hangs.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long answers about free rooms count as fresh, and how long a breaker stays open, when nobody says otherwise.
const FRESH: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(30);
/// The same, but for a second and a millisecond.
const ALMOST_FRESH: Duration = Duration::from_secs(299);
const MOST_OF_PAUSE: Duration = Duration::from_millis(29_999);

/// A server, the network before it, and a time that only the test moves.
struct World {
    server: QloAppsSimulator,
    network: Proxy,
    clock: ManualClock,
    looks: AtomicU64,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::at(SystemClock::shared().now());
        let server = QloAppsSimulator::start(clock.shared()).await;
        let network = Proxy::in_front_of(server.url()).await;
        Self {
            server,
            network,
            clock,
            looks: AtomicU64::new(0),
        }
    }

    fn process(&self) -> Posada {
        self.process_with(|settings| settings)
    }

    fn process_with(&self, choose: impl FnOnce(SettingsBuilder) -> SettingsBuilder) -> Posada {
        let settings = Settings::builder()
            .redis_url(servers::redis().url())
            .pms_qloapps(self.network.url(), Secret::new(QloAppsSimulator::KEY));
        let settings = choose(settings).build().unwrap();
        let clock = self.clock.shared();
        Posada::builder().settings(settings).clock(clock).build().unwrap()
    }

    /// The server does not run any more: whoever asks is turned away.
    fn stop(&self) {
        self.network.refuse();
        self.network.reset();
    }

    /// How many connections the server, which is down, was sent. The network takes them in the order in which they
    /// came: once it has turned us away too, those that were given up before are counted.
    async fn asked(&self) -> u64 {
        if let Ok(mut last) = TcpStream::connect(self.network.address()).await {
            let turned_away = in_time(last.read(&mut [0])).await;
            assert!(!matches!(turned_away, Ok(1..)), "nobody answers");
        }
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        self.network.connections() - looks
    }

    fn stay(&self) -> Stay {
        let first = self.clock.shared().now().date_naive() + chrono::Days::new(30);
        Stay::new(first, first + chrono::Days::new(2)).unwrap()
    }

    fn request(&self, key: &str) -> BookingRequest {
        let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
        let key = IdempotencyKey::parse(key).unwrap();
        BookingRequest::new(hotel(), general(), self.stay(), adult(), guest, key)
    }

    async fn availability(&self, posada: &Posada) -> Availability {
        let asked = posada.pms().availability(hotel(), self.stay(), adult(), None);
        in_time(asked).await.unwrap()
    }

    async fn quote(&self, posada: &Posada) -> Result<Quote> {
        in_time(posada.pms().quote(hotel(), general(), self.stay(), adult())).await
    }

    async fn book(&self, posada: &Posada, key: &str) -> Result<Booking> {
        in_time(posada.pms().book(&self.request(key), None)).await
    }
}

fn hotel() -> HotelId {
    HotelId::from(1)
}

fn general() -> RoomTypeId {
    RoomTypeId::from(1)
}

fn adult() -> Occupancy {
    Occupancy::new(1, &[]).unwrap()
}

/// An answer, which must come.
async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("nobody hangs")
}

fn is_open(error: &Error) -> bool {
    error.fact("breaker") == Some("open")
}

#[tokio::test]
async fn while_the_shop_is_down_old_offers_serve_with_their_age_and_afterwards_new_ones() {
    let world = World::new().await;
    let (posada, other) = (world.process(), world.process());
    let before = world.availability(&posada).await;
    assert_eq!((before.age, before.potentially_stale), (Duration::ZERO, false));
    world.clock.advance(ALMOST_FRESH);
    world.stop();
    let fresh = world.availability(&posada).await;
    assert_eq!(
        (fresh.age, fresh.potentially_stale),
        (ALMOST_FRESH, false),
        "nobody had to ask"
    );
    world.clock.advance(Duration::from_secs(1));
    for process in [&posada, &other] {
        let stale = world.availability(process).await;
        assert_eq!((stale.age, stale.potentially_stale), (FRESH, true));
        assert_eq!(stale.offers, before.offers);
    }
    world.network.heal();
    world.clock.advance(PAUSE);
    let sold = world.server.website_books(general(), world.stay()).await;
    assert!(sold.is_ok());
    let after = world.availability(&other).await;
    assert_eq!((after.age, after.potentially_stale), (Duration::ZERO, false));
    assert_eq!(after.offers[0].available, before.offers[0].available - 1);
}

#[tokio::test]
async fn five_failures_open_the_breaker_and_it_closes_by_itself_when_the_shop_is_back() {
    let world = World::new().await;
    let posada = world.process();
    let nobody = || posada.pms().booking(BookingId::from(987_654));
    assert!(in_time(nobody()).await.unwrap().is_none());
    world.stop();
    // A question is tried three times, so the second one brings the fifth failure.
    for question in 1..=2 {
        let error = in_time(nobody()).await.unwrap_err();
        assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
        assert!(!is_open(&error), "question {question} was asked: {error}");
    }
    let asked = world.asked().await;
    let error = in_time(nobody()).await.unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE) && is_open(&error), "{error}");
    assert_eq!(error.retry(), Retry::After(PAUSE));
    assert_eq!(world.asked().await, asked, "a server that is down is left alone");
    world.network.heal();
    world.clock.advance(MOST_OF_PAUSE);
    assert!(is_open(&in_time(nobody()).await.unwrap_err()));
    world.clock.advance(Duration::from_millis(1));
    assert!(in_time(nobody()).await.unwrap().is_none());
}

/// Availability asks two things at once.
#[tokio::test]
async fn offers_are_fresh_again_with_the_first_question_after_the_pause() {
    let world = World::new().await;
    let posada = world.process();
    let before = world.availability(&posada).await;
    world.clock.advance(FRESH);
    world.stop();
    while !is_open(&world.quote(&posada).await.unwrap_err()) {}
    let asked = world.asked().await;
    let stale = world.availability(&posada).await;
    assert!(stale.potentially_stale);
    assert_eq!(stale.offers, before.offers);
    assert_eq!(world.asked().await, asked, "a server that is down is left alone");
    world.network.heal();
    world.clock.advance(PAUSE);
    let after = world.availability(&posada).await;
    assert_eq!((after.age, after.potentially_stale), (Duration::ZERO, false));
}

#[tokio::test]
async fn a_shop_that_is_still_down_after_the_pause_is_left_alone_for_another() {
    let world = World::new().await;
    let posada = world.process();
    world.availability(&posada).await;
    world.stop();
    while !is_open(&world.quote(&posada).await.unwrap_err()) {}
    world.clock.advance(PAUSE);
    let asked = world.asked().await;
    let probe = world.quote(&posada).await.unwrap_err();
    assert!(probe.is(codes::PMS_UNAVAILABLE), "{probe}");
    assert_eq!(world.asked().await, asked + 1, "one probe");
    assert!(is_open(&world.quote(&posada).await.unwrap_err()));
    world.network.heal();
    world.clock.advance(PAUSE);
    assert!(world.quote(&posada).await.is_ok());
}

#[tokio::test]
async fn a_booking_while_the_shop_is_down_fails_clearly_sends_nothing_and_can_be_repeated() {
    let world = World::new().await;
    let (posada, key) = (world.process(), unique("down"));
    world.availability(&posada).await;
    world.stop();
    let error = world.book(&posada, &key).await.unwrap_err();
    assert!(
        error.is(codes::PMS_UNAVAILABLE) && error.is_retryable(),
        "{error}"
    );
    while !is_open(&world.book(&posada, &key).await.unwrap_err()) {}
    let asked = world.asked().await;
    let error = world.book(&posada, &key).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(PAUSE), "{error}");
    assert_eq!(world.asked().await, asked);
    world.network.heal();
    assert!(is_open(&world.book(&posada, &key).await.unwrap_err()));
    assert_eq!(world.server.creates(), 0);
    world.clock.advance(PAUSE);
    let booking = world.book(&posada, &key).await.unwrap();
    assert_eq!(
        (booking.created, booking.status),
        (Created::Created, BookingStatus::Confirmed)
    );
    assert_eq!((world.server.creates(), world.server.bookings()), (1, 1));
}

#[tokio::test]
async fn a_shop_that_nobody_starts_again_is_unavailable() {
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let settings = Settings::builder()
        .redis_url(servers::redis().url())
        .pms_qloapps(server.url(), Secret::new(QloAppsSimulator::KEY));
    let posada = Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap();
    drop(server);
    let error = in_time(posada.pms().booking(BookingId::from(1)))
        .await
        .unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
}

#[tokio::test]
async fn a_shop_that_swallows_everything_keeps_nobody_longer_than_the_deadlines() {
    let world = World::new().await;
    let deadline = Duration::from_millis(200);
    let patient = world.process();
    let posada = world.process_with(|settings| {
        settings
            .pms_timeout(deadline)
            .pms_availability_timeout(deadline)
            .pms_booking_timeout(deadline)
            .pms_breaker_failures(1000)
    });
    let before = world.availability(&patient).await;
    let key = unique("hole");
    let booking = world.book(&patient, &unique("before")).await.unwrap();
    world.clock.advance(FRESH);
    world.network.black_hole();
    let (pms, day) = (posada.pms(), world.stay().check_in());
    let late = |error: Error| assert!(error.is(codes::PMS_TIMEOUT), "{error}");
    late(world.quote(&posada).await.unwrap_err());
    late(in_time(pms.booking(booking.id)).await.unwrap_err());
    late(
        in_time(pms.find_booking(&IdempotencyKey::parse(&key).unwrap()))
            .await
            .unwrap_err(),
    );
    late(in_time(pms.arrivals(hotel(), day)).await.unwrap_err());
    late(in_time(pms.departures(hotel(), day)).await.unwrap_err());
    late(in_time(pms.guest("ana@example.com")).await.unwrap_err());
    late(in_time(pms.invoices(booking.id)).await.unwrap_err());
    late(in_time(pms.cancel(booking.id)).await.unwrap_err());
    late(in_time(pms.check_in(booking.id)).await.unwrap_err());
    late(in_time(pms.self_test()).await.unwrap_err());
    late(world.book(&posada, &key).await.unwrap_err());
    let stale = world.availability(&posada).await;
    assert_eq!((stale.age, stale.potentially_stale), (FRESH, true));
    assert_eq!(stale.offers.len(), before.offers.len());
    world.network.heal();
    assert_eq!(
        world.book(&patient, &key).await.unwrap().status,
        BookingStatus::Confirmed
    );
    assert_eq!(world.server.creates(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_whose_answer_was_lost_is_the_same_booking_for_another_process_later() {
    let world = World::new().await;
    let (first, key) = (world.process(), unique("lost"));
    world.availability(&first).await;
    world
        .server
        .script(SimulatedCall::Create, &SimulatedFault::LostAfterWork, 1);
    // The first process goes away as soon as its booking was sent, and never hears of it.
    let asking = tokio::spawn({
        let (pms, request) = (first.pms().clone(), world.request(&key));
        async move { pms.book(&request, None).await }
    });
    wait_until("the booking is written", || match world.server.bookings() {
        1 => Ok(()),
        bookings => Err(format!("{bookings} bookings")),
    });
    asking.abort();
    let second = world.process();
    let found = world.book(&second, &key).await.unwrap();
    assert_eq!(
        (found.created, found.status),
        (Created::FoundAgain, BookingStatus::Confirmed)
    );
    let third = world.book(&world.process(), &key).await.unwrap();
    assert_eq!((third.id, third.created), (found.id, Created::FoundAgain));
    assert_eq!((world.server.creates(), world.server.bookings()), (1, 1));
}
