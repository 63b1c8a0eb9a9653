//! The provider against a simulated server, over real HTTP.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use super::QloApps;
use crate::clock::ManualClock;
use crate::error::{Error, Result, codes};
use crate::pms::fixture::{LocalGate, hotel, request, room, room_type, stay};
use crate::pms::guarded::store::KeyStore as _;
use crate::pms::port::Catalogue as _;
use crate::pms::{
    AnswerCache, Booking, BookingId, BookingRequest, BookingStatus, ClientParts, Collision, Created,
    MemoryAnswers, MemoryKeys, Occupancy, Party, PmsClient, PmsEvent, PmsEvents, Recheck, Resilience,
    RetryPolicy,
};
use crate::settings::{PmsLimits, QloAppsSettings, Secret};
use crate::task::Tasks;
use crate::testkit::pms::Suite;
use crate::testkit::qloapps::{Dialect, QloAppsSimulator, SimulatedCall, SimulatedCollision, SimulatedFault};
use crate::{IdempotencyKey, Stay};

pub(super) struct World {
    pub(super) server: QloAppsSimulator,
    clock: ManualClock,
    /// What the processes remember together.
    keys: Arc<MemoryKeys>,
    /// What they keep of the server's answers.
    answers: Arc<MemoryAnswers>,
    /// How long after a booking comes the recheck; zero leaves it out.
    pub(super) recheck: Duration,
}

impl World {
    pub(super) async fn new() -> Self {
        let clock = ManualClock::at("2027-01-01T09:00:00Z".parse::<DateTime<Utc>>().unwrap());
        Self {
            server: QloAppsSimulator::start(clock.shared()).await,
            keys: Arc::new(MemoryKeys::new(clock.shared())),
            answers: Arc::new(MemoryAnswers::new(clock.shared())),
            recheck: Duration::ZERO,
            clock,
        }
    }

    pub(super) fn settings(&self) -> QloAppsSettings {
        QloAppsSettings {
            base_url: self.server.url().to_owned(),
            api_key: Secret::new(QloAppsSimulator::KEY),
            hotel_id: 1,
        }
    }

    pub(super) fn limits() -> PmsLimits {
        PmsLimits {
            timeout: Duration::from_secs(5),
            max_rate: 10_000,
            ..PmsLimits::default()
        }
    }

    /// The provider of one process.
    pub(super) fn provider(&self, settings: &QloAppsSettings, limits: &PmsLimits) -> QloApps {
        let (clock, answers) = (self.clock.shared(), self.answers.clone());
        let resilience = Resilience::new(limits, &clock);
        QloApps::new(settings, limits, clock, Tasks::new(), answers, resilience).unwrap()
    }

    /// One process, with a gate of its own.
    pub(super) fn process(&self) -> PmsClient {
        self.process_with(&self.settings(), &Self::limits())
    }

    fn process_with(&self, settings: &QloAppsSettings, limits: &PmsLimits) -> PmsClient {
        let retry = RetryPolicy {
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_millis(50),
            total: Duration::from_secs(2),
            limit: Duration::from_mins(5),
            turn: Duration::from_secs(30),
            recheck: self.recheck,
        };
        let server = self.provider(settings, limits);
        let kept = AnswerCache::new(
            self.answers.clone(),
            server.system(),
            limits.availability_fresh,
            self.clock.shared(),
            Tasks::new(),
        );
        PmsClient::guarded(
            Arc::new(server),
            Arc::new(LocalGate::default()),
            self.keys.clone(),
            ClientParts {
                clock: self.clock.shared(),
                tasks: Tasks::new(),
                retry,
                answers: Some(kept),
            },
        )
    }

    /// Books rooms of the first type, one adult in each.
    async fn occupy(&self, rooms: usize) {
        let party = Party::new(vec![room(1); rooms]).unwrap();
        self.process()
            .book(&request("occupied", stay(), party), None)
            .await
            .unwrap();
    }

    /// Whether the first check at the last booking, made with this key, is over.
    async fn is_reported(&self, process: &PmsClient, key: &IdempotencyKey) -> bool {
        let system = process.system();
        let known = self.keys.read(system, key).await.unwrap();
        let last = BookingId::from(u64::try_from(self.server.bookings()).unwrap());
        known.is_reported(last)
    }

    pub(super) fn free(&self) -> usize {
        self.server.free(room_type(), stay())
    }
}

pub(super) async fn book(process: &PmsClient, key: &str) -> Result<Booking> {
    process.book(&request(key, stay(), room(2)), None).await
}

async fn run_suite(world: &World, run: &str) {
    Suite::new(world.process(), "2027-02-01".parse().unwrap(), run)
        .await
        .run()
        .await;
    assert_eq!(world.server.double_booked_nights(), 0);
}

#[tokio::test]
async fn the_shop_keeps_every_promise() {
    run_suite(&World::new().await, "plain").await;
}

#[tokio::test]
async fn the_shop_keeps_every_promise_in_every_dialect() {
    for (place, dialect) in [
        Dialect {
            tax_excluded: true,
            ..Dialect::default()
        },
        Dialect {
            numbers_as_text: true,
            two_languages: true,
            ..Dialect::default()
        },
        Dialect {
            noise: true,
            ..Dialect::default()
        },
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::new().await;
        world.server.set_dialect(dialect);
        run_suite(&world, &format!("dialect-{place}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_processes_that_want_the_last_room_one_gets_it() {
    for collision in [SimulatedCollision::BackOrder, SimulatedCollision::DoubleBook] {
        let world = World::new().await;
        world.occupy(4).await;
        world.server.set_collision(collision);
        world.server.set_gap(Duration::from_millis(200));
        let keys: Vec<_> = (0..8).map(|booker| format!("racer-{booker}")).collect();
        let processes: Vec<_> = keys.iter().map(|_| world.process()).collect();
        let answers = join_all(
            keys.iter()
                .zip(&processes)
                .map(|(key, process)| book(process, key)),
        )
        .await;
        assert!(world.server.collisions() > 0, "they met");
        let booked: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(booked.len(), 1, "{collision:?}: {answers:?}");
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        assert!(
            refused.into_iter().all(|error| error.is(codes::PMS_SOLD_OUT)),
            "{answers:?}"
        );
        let now = world.process().booking(booked[0].id).await.unwrap().unwrap();
        assert_eq!(now.status, BookingStatus::Confirmed);
        assert_eq!((world.server.double_booked_nights(), world.free()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bookers_who_chose_the_same_room_move_apart_while_others_are_free() {
    let world = World::new().await;
    world.server.set_collision(SimulatedCollision::DoubleBook);
    world.server.set_gap(Duration::from_millis(200));
    let processes: Vec<_> = (0..3).map(|_| world.process()).collect();
    let keys = ["a", "b", "c"];
    let answers = join_all(
        keys.iter()
            .zip(&processes)
            .map(|(key, process)| book(process, key)),
    )
    .await;
    assert!(world.server.collisions() > 0, "they met");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((world.server.double_booked_nights(), world.free()), (0, 2));
}

#[tokio::test]
async fn a_booking_whose_answer_was_lost_is_found_by_any_process_and_not_made_again() {
    for fault in [
        SimulatedFault::LostAfterWork,
        SimulatedFault::LostDuringWork,
        SimulatedFault::Warned,
    ] {
        let world = World::new().await;
        world.server.set_gap(Duration::from_millis(40));
        world.server.script(SimulatedCall::Create, &fault, 1);
        let booking = book(&world.process(), "lost").await.unwrap();
        assert_eq!(booking.created, Created::Created, "{fault:?}");
        let again = book(&world.process(), "lost").await.unwrap();
        assert_eq!((again.id, again.created), (booking.id, Created::FoundAgain));
        assert_eq!((world.server.bookings(), world.free()), (1, 4));
    }
}

#[tokio::test]
async fn a_request_that_was_lost_on_the_way_is_unknown_and_one_of_which_php_died_is_refused() {
    let fatal = |status, body: &str| SimulatedFault::Instead {
        status,
        body: body.into(),
    };
    for (fault, code) in [
        (SimulatedFault::LostBeforeWork, codes::PMS_OUTCOME_UNKNOWN),
        (fatal(200, "Fatal error"), codes::PMS_REJECTED),
        (fatal(500, ""), codes::PMS_REJECTED),
        // The page of a web server, behind which PHP may still be at work.
        (
            fatal(500, "<html>Internal Server Error</html>"),
            codes::PMS_OUTCOME_UNKNOWN,
        ),
        (fatal(504, ""), codes::PMS_OUTCOME_UNKNOWN),
    ] {
        let world = World::new().await;
        world.server.script(SimulatedCall::Create, &fault, 1);
        let error = book(&world.process(), "nowhere").await.unwrap_err();
        assert!(error.is(code), "{fault:?}: {error}");
        assert_eq!(world.server.bookings(), 0);
        let booking = book(&world.process(), "nowhere").await.unwrap();
        assert_eq!((booking.created, world.server.bookings()), (Created::Created, 1));
    }
}

#[tokio::test]
async fn a_cancellation_whose_answer_was_lost_is_tried_again() {
    let world = World::new().await;
    let process = world.process();
    let booking = book(&process, "ended").await.unwrap();
    world
        .server
        .script(SimulatedCall::Cancel, &SimulatedFault::LostBeforeWork, 1);
    world
        .server
        .script(SimulatedCall::Cancel, &SimulatedFault::LostAfterWork, 1);
    let cancelled = process.cancel(booking.id).await.unwrap();
    assert_eq!(cancelled.status, BookingStatus::Cancelled);
    assert_eq!(world.free(), 5);
}

#[tokio::test]
async fn a_booking_has_its_guests_its_room_and_the_price_with_services() {
    let world = World::new().await;
    let process = world.process();
    let family = Occupancy::new(2, &[7, 4]).unwrap();
    let quote = process
        .quote(hotel(), room_type(), stay(), family.clone())
        .await
        .unwrap();
    assert_eq!(quote.total.to_string(), "2600.00 USD");
    let wish = request("family", stay(), family.clone()).quote(quote).unwrap();
    let booking = process.book(&wish, None).await.unwrap();
    assert_eq!(
        (booking.total.to_string(), booking.rooms.len()),
        ("2600.00 USD".into(), 1)
    );
    assert_eq!(
        (booking.rooms[0].number.as_deref(), &booking.rooms[0].occupancy),
        (Some("GR-101"), &family)
    );
    assert_eq!(booking.key.as_ref(), Some(wish.key()));
}

#[tokio::test]
async fn keys_that_mean_something_in_a_filter_are_keys_like_others() {
    let world = World::new().await;
    for key in ["a|b", "[x,y]", "100%", "occupied"] {
        let booking = book(&world.process(), key).await.unwrap();
        assert_eq!(book(&world.process(), key).await.unwrap().id, booking.id, "{key}");
    }
    let error = book(&world.process(), "OCCUPIED").await.unwrap();
    assert_eq!(error.created, Created::Created, "case makes another key");
}

#[tokio::test]
async fn keys_may_be_as_long_as_the_ids_of_messages_and_longer() {
    const WAMID: &str = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";
    let world = World::new().await;
    for key in [
        WAMID.to_owned(),
        WAMID.to_lowercase(),
        "k".repeat(255),
        "|".repeat(255),
    ] {
        let process = world.process();
        let made = book(&process, &key).await.unwrap();
        assert_eq!(made.created, Created::Created, "{key}");
        let again = book(&world.process(), &key).await.unwrap();
        assert_eq!((again.id, again.created), (made.id, Created::FoundAgain), "{key}");
        let key = IdempotencyKey::parse(&key).unwrap();
        let found = process.find_booking(&key).await.unwrap().unwrap();
        assert_eq!((found.id, found.key), (made.id, Some(key)));
        // A caller who knows the booking alone finds out what is remembered of its key.
        assert!(
            !process
                .0
                .bookings
                .as_ref()
                .unwrap()
                .is_foreign(made.id)
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn what_a_shop_can_answer_instead_has_its_own_error_and_remedy() {
    let json = |code: u64| format!("{{\"errors\":[{{\"code\":{code},\"message\":\"no\"}}]}}");
    for (status, body, code, remedy) in [
        (
            401,
            "401 Unauthorized".to_owned(),
            codes::PMS_REFUSED,
            "PMS_API_KEY",
        ),
        (401, json(21), codes::PMS_REFUSED, "PMS_API_KEY"),
        (401, json(26), codes::PMS_NOT_PERMITTED, "tick the resource"),
        (302, String::new(), codes::PMS_WRONG_SYSTEM, "own domain"),
        (
            200,
            "<html>Welcome</html>".to_owned(),
            codes::PMS_WRONG_SYSTEM,
            "base URL",
        ),
        (
            404,
            "<html>nginx</html>".to_owned(),
            codes::PMS_WRONG_SYSTEM,
            "rewrites",
        ),
        (400, json(27), codes::PMS_WRONG_SYSTEM, "1.6.1"),
        (503, json(22), codes::PMS_SWITCHED_OFF, "switch it on"),
        (
            502,
            "<html>Bad Gateway</html>".to_owned(),
            codes::PMS_UNAVAILABLE,
            "could not answer",
        ),
        (
            200,
            "{\"other\":1}".to_owned(),
            codes::PMS_UNEXPECTED_ANSWER,
            "something else",
        ),
    ] {
        let world = World::new().await;
        // The catalogue is read by several requests at once; all of them get this answer.
        let instead = SimulatedFault::Instead { status, body };
        world.server.script(SimulatedCall::Read, &instead, 6);
        let error = world.process().hotels().await.unwrap_err();
        assert!(error.is(code), "{status}: {error}");
        assert!(error.message().contains(remedy), "{error}");
        assert_eq!(error.fact("status"), Some(status.to_string().as_str()));
    }
}

#[tokio::test]
async fn every_request_of_a_booking_carries_the_ids_of_whoever_asked() {
    let world = World::new().await;
    let ids = crate::correlation::Correlation::new("req-7f3a").unwrap();
    let ids = ids.traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let ids = ids.unwrap();
    let process = world.process();
    ids.clone().scope(book(&process, "correlated")).await.unwrap();
    let asked = world.server.requests();
    assert!(asked > 5, "the booking alone takes more");
    assert_eq!(world.server.requests_of(&ids), asked);
    process.guest("ana@example.com").await.unwrap();
    assert_eq!(world.server.requests_of(&ids), asked, "others carry none");
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_shown() {
    let world = World::new().await;
    let settings = QloAppsSettings {
        api_key: Secret::new("A-KEY-THAT-IS-NOT-KNOWN-00000000"),
        ..world.settings()
    };
    let error = world
        .process_with(&settings, &World::limits())
        .hotels()
        .await
        .unwrap_err();
    assert!(error.is(codes::PMS_REFUSED));
    assert!(!format!("{error} {error:?}").contains("THAT-IS-NOT"), "{error:?}");
}

#[tokio::test]
async fn a_shop_that_is_down_is_unavailable_and_a_silent_one_is_late() {
    let world = World::new().await;
    let nowhere = QloAppsSettings {
        base_url: "http://127.0.0.1:1".into(),
        ..world.settings()
    };
    let error: Error = world
        .process_with(&nowhere, &World::limits())
        .hotels()
        .await
        .unwrap_err();
    assert!(error.is(codes::PMS_UNAVAILABLE), "{error}");
    let hasty = PmsLimits {
        timeout: Duration::from_millis(100),
        ..World::limits()
    };
    let slow = SimulatedFault::Slow(Duration::from_mins(1));
    world.server.script(SimulatedCall::Read, &slow, 6);
    let error = world
        .process_with(&world.settings(), &hasty)
        .hotels()
        .await
        .unwrap_err();
    assert!(error.is(codes::PMS_TIMEOUT), "{error}");
}

#[tokio::test]
async fn the_catalogue_is_read_once_and_serves_while_the_shop_is_down() {
    let world = World::new().await;
    let process = world.process();
    let hotels = process.hotels().await.unwrap();
    let before = world.server.requests();
    process.room_types(hotel()).await.unwrap();
    assert_eq!(world.server.requests(), before, "nothing was asked again");
    world.clock.advance(Duration::from_hours(1));
    let down = SimulatedFault::Instead {
        status: 502,
        body: String::new(),
    };
    world.server.script(SimulatedCall::Read, &down, 6);
    assert_eq!(process.hotels().await.unwrap(), hotels);
    assert!(
        world.server.requests() > before,
        "it was asked, and could not answer"
    );
}

#[tokio::test]
async fn a_booking_of_the_website_is_not_one_of_ours() {
    let world = World::new().await;
    world.server.website_books(room_type(), stay()).await.unwrap();
    let free: usize = world.free();
    let all = Party::new(vec![room(1); free]).unwrap();
    let booking = world
        .process()
        .book(&request("rest", stay(), all), None)
        .await
        .unwrap();
    assert_eq!((booking.rooms.len(), world.free()), (4, 0));
    let full = world.server.website_books(room_type(), stay()).await.unwrap_err();
    assert!(full.is(codes::PMS_SOLD_OUT));
    let later = Stay::parse("2027-03-12", "2027-03-13").unwrap();
    assert!(world.server.website_books(room_type(), later).await.is_ok());
}

/// Our booking, and one of the website that checked before ours was written and writes between its two looks. The
/// process ends then, because one that ends does not wait for the recheck.
async fn meet_the_website(
    world: &World,
    process: &PmsClient,
    wish: &BookingRequest,
) -> (Result<Booking>, BookingId) {
    world.server.set_collision(SimulatedCollision::DoubleBook);
    let unwritten = world.server.website_checks(room_type(), stay()).unwrap();
    let website = async {
        while !world.is_reported(process, wish.key()).await {
            tokio::task::yield_now().await;
        }
        let theirs = unwritten.write();
        end(process).await;
        theirs
    };
    tokio::join!(process.book(wish, None), website)
}

/// Ends a process, after everything that it has begun.
pub(super) async fn end(process: &PmsClient) {
    assert_eq!(process.0.tasks.close(Duration::from_secs(30)).await, 0);
}

pub(super) async fn heard(events: &mut PmsEvents) -> Option<PmsEvent> {
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
    event.expect("something is told")
}

/// Only a process that ends looks a second time here.
pub(super) async fn world_with_recheck() -> World {
    let mut world = World::new().await;
    world.recheck = Duration::from_hours(1);
    world
}

#[tokio::test]
async fn a_foreign_booking_that_is_written_later_makes_ours_move_while_a_room_is_free() {
    let world = world_with_recheck().await;
    let process = world.process();
    let wish = request("moves", stay(), room(2)).recheck(Recheck::Wait);
    let booking = meet_the_website(&world, &process, &wish).await.0.unwrap();
    assert_eq!(world.server.collisions(), 1);
    assert_ne!(
        booking.rooms[0].number.as_deref(),
        Some("GR-101"),
        "that one is the website's"
    );
    assert_eq!((world.server.double_booked_nights(), world.free()), (0, 3));
}

#[tokio::test]
async fn a_foreign_booking_that_is_written_later_makes_ours_yield_in_a_full_house() {
    for recheck in [Recheck::Wait, Recheck::Detached] {
        let world = world_with_recheck().await;
        for _ in 0..4 {
            world.server.website_books(room_type(), stay()).await.unwrap();
        }
        let process = world.process();
        let mut events = process.events();
        let wish = request("yields", stay(), room(2)).recheck(recheck);
        let (ours, theirs) = meet_the_website(&world, &process, &wish).await;
        match recheck {
            Recheck::Wait => assert!(ours.unwrap_err().is(codes::PMS_SOLD_OUT)),
            Recheck::Detached => assert!(ours.is_ok(), "the first check saw nothing"),
        }
        match heard(&mut events).await {
            Some(PmsEvent::Yielded { key, other, .. }) => {
                assert_eq!((&key, other), (wish.key(), theirs));
            }
            event => panic!("{event:?}"),
        }
        assert_eq!((world.server.double_booked_nights(), world.free()), (0, 0));
        let again = world.process().book(&wish, None).await.unwrap_err();
        assert!(again.is(codes::PMS_WRONG_STATE), "{again}");
    }
}

#[tokio::test]
async fn a_booking_that_is_to_be_kept_stays_and_the_staff_is_told() {
    let world = world_with_recheck().await;
    for _ in 0..4 {
        world.server.website_books(room_type(), stay()).await.unwrap();
    }
    let process = world.process();
    let mut events = process.events();
    let wish = request("keeps", stay(), room(2))
        .recheck(Recheck::Wait)
        .collision(Collision::Keep);
    let (ours, theirs) = meet_the_website(&world, &process, &wish).await;
    let ours = ours.unwrap();
    assert!(
        matches!(heard(&mut events).await, Some(PmsEvent::Kept { booking, other, .. })
            if booking == ours.id && other == theirs)
    );
    assert_eq!(
        world.server.double_booked_nights(),
        2,
        "both have the room, and the staff knows"
    );
}
