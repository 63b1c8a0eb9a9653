//! Bookings in a simulated QloApps, by whole processes that share nothing but a Redis.

use std::time::Duration;

use futures_util::future::join_all;
use posada::clock::SystemClock;
use posada::error::codes;
use posada::locks::{Resource, StayHold};
use posada::pms::{
    Booking, BookingChange, BookingRequest, BookingStatus, Created, Guest, HoldProof, HotelId, Occupancy,
    Party, RoomTypeId,
};
use posada::settings::Secret;
use posada::testkit::pms::Suite;
use posada::testkit::qloapps::{QloAppsSimulator, SimulatedCall, SimulatedCollision, SimulatedFault};
use posada::{IdempotencyKey, Posada, Result, Settings, Stay, TenantId};
use posada_tests::{servers, unique};

/// A process that books in the server.
fn process(server: &QloAppsSimulator, redis: &str) -> Posada {
    process_at(server.url(), QloAppsSimulator::KEY, redis)
}

/// A process that books in the server of this address.
pub(crate) fn process_at(url: &str, key: &str, redis: &str) -> Posada {
    let settings = Settings::builder()
        .redis_url(redis)
        .pms_qloapps(url, Secret::new(key))
        .pms_max_rate(10_000)
        // Another test's server may have had this port.
        .pms_availability_fresh(Duration::ZERO)
        .build()
        .unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

async fn server() -> QloAppsSimulator {
    QloAppsSimulator::start(SystemClock::shared()).await
}

/// Nights that every calendar still sells, beginning so many days from now.
fn stay(days: u64) -> Stay {
    let day = |days| SystemClock::shared().now().date_naive() + chrono::Days::new(days);
    Stay::new(day(days), day(days + 2)).unwrap()
}

fn request(key: &str, party: impl Into<Party>) -> BookingRequest {
    let guest = Guest::new("Ana", "Gómez", "ana@example.com", "5551234567").unwrap();
    BookingRequest::new(
        HotelId::from(1),
        general(),
        stay(30),
        party,
        guest,
        IdempotencyKey::parse(key).unwrap(),
    )
}

fn general() -> RoomTypeId {
    RoomTypeId::from(1)
}

fn adult() -> Occupancy {
    Occupancy::new(1, &[]).unwrap()
}

async fn book(process: &Posada, key: &str) -> Result<Booking> {
    process.pms().book(&request(key, adult()), None).await
}

#[tokio::test]
async fn bookings_in_the_shop_keep_every_promise_on_one_redis_and_on_a_cluster() {
    for url in [servers::redis().url(), servers::cluster().url()] {
        let server = server().await;
        let first_day = stay(40).check_in();
        let posada = process(&server, url);
        Suite::new(posada.pms().clone(), first_day, &unique("run"))
            .await
            .run()
            .await;
        assert_eq!(server.double_booked_nights(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_processes_take_turns_at_the_last_room() {
    let server = server().await;
    let redis = servers::redis().url();
    let four = Party::new(vec![adult(); 4]).unwrap();
    let run = unique("turns");
    process(&server, redis)
        .pms()
        .book(&request(&format!("{run}-four"), four), None)
        .await
        .unwrap();
    server.set_collision(SimulatedCollision::DoubleBook);
    server.set_gap(Duration::from_millis(50));
    let keys: Vec<_> = (0..8).map(|booker| format!("{run}-{booker}")).collect();
    let processes: Vec<_> = keys.iter().map(|_| process(&server, redis)).collect();
    let answers = join_all(
        keys.iter()
            .zip(&processes)
            .map(|(key, process)| book(process, key)),
    )
    .await;
    let booked = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(booked, 1, "{answers:?}");
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(
        refused.into_iter().all(|error| error.is(codes::PMS_SOLD_OUT)),
        "{answers:?}"
    );
    assert_eq!(server.collisions(), 0, "nobody met in the gap");
    assert_eq!(
        server.bookings(),
        2,
        "and nobody who would lose had to book first"
    );
}

#[tokio::test]
async fn a_lost_answer_is_found_again_by_another_process() {
    let server = server().await;
    let redis = servers::redis().url();
    let key = unique("lost");
    server.set_gap(Duration::from_millis(300));
    server.script(SimulatedCall::Create, &SimulatedFault::LostDuringWork, 1);
    let (first, second) = (process(&server, redis), process(&server, redis));
    let (first, second) = tokio::join!(book(&first, &key), book(&second, &key));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.id, second.id);
    let created = [first.created, second.created];
    assert!(created.contains(&Created::Created) && created.contains(&Created::FoundAgain));
    assert_eq!(
        (server.bookings(), server.creates()),
        (1, 1),
        "one of them sent it, once"
    );
}

/// What the version before text ids wrote is in the vectors; here it stands in Redis, byte for byte.
#[tokio::test]
async fn a_booking_of_the_version_before_is_found_changed_and_cancelled() {
    let server = server().await;
    let redis = servers::redis();
    let key = unique("before");
    let first = process(&server, redis.url());
    let booking = book(&first, &key).await.unwrap();
    first.close().await.unwrap();
    let system = server.url().trim_start_matches("http://").replace(':', "%3A");
    let place = format!("posada:booking:{system}:{key}");
    let written: String = redis.command(&["GET", &place]);
    assert!(written.contains(r#""version":2"#), "{written}");
    let longer = Stay::new(stay(30).check_in(), stay(33).check_in()).unwrap();
    let text = format!(
        r#"{{"sent_at":1798794000000,"reported":{},"begun":{{"check_in":"{}","check_out":"{}","total":"3900","currency":"USD"}}}}"#,
        booking.id,
        longer.check_in(),
        longer.check_out(),
    );
    redis.command::<()>(&["SET", &place, &text]);
    let process = process(&server, redis.url());
    let before = server.requests();
    let again = book(&process, &key).await.unwrap();
    assert_eq!((again.id, again.created), (booking.id, Created::FoundAgain));
    assert_eq!(server.requests() - before, 2 * 4, "it is known to be reported");
    let change = BookingChange::new().stay(longer);
    let changed = process.pms().modify(booking.id, &change).await.unwrap();
    assert_eq!(changed.stay, longer);
    let known: String = redis.command(&["GET", &place]);
    assert!(
        known.contains(r#""version":2"#) && !known.contains("begun"),
        "{known}"
    );
    let cancelled = process.pms().cancel(booking.id).await.unwrap();
    assert_eq!(cancelled.status, BookingStatus::Cancelled);
}

#[tokio::test]
async fn a_booking_that_was_reported_is_not_checked_again_by_another_process() {
    let server = server().await;
    let redis = servers::redis().url();
    let key = unique("told");
    let first = process(&server, redis);
    let booking = book(&first, &key).await.unwrap();
    first.close().await.unwrap();
    let before = server.requests();
    let again = book(&process(&server, redis), &key).await.unwrap();
    assert_eq!((again.id, again.status), (booking.id, BookingStatus::Confirmed));
    // The key is looked for twice, each time with rows, customer and lines; the catalogue is that of the first process.
    assert_eq!(server.requests() - before, 2 * 4, "and no room was looked at");
}

#[tokio::test]
async fn without_redis_nothing_is_booked() {
    let server = server().await;
    let error = book(&process(&server, "redis://127.0.0.1:1"), "nowhere")
        .await
        .unwrap_err();
    assert!(error.code().starts_with("redis."), "{error}");
    assert_eq!(server.creates(), 0);
}

#[tokio::test]
async fn a_booking_with_a_hold_is_audited_with_the_fences_of_the_hold_and_of_the_hotels_turn() {
    let (server, database) = (server().await, unique("held"));
    let settings = Settings::builder()
        .postgres_url(servers::postgres().create_database(&database))
        .redis_url(servers::redis().url())
        .pms_qloapps(server.url(), Secret::new(QloAppsSimulator::KEY))
        .build()
        .unwrap();
    let posada = Posada::connect(settings).await.unwrap();
    posada.migrate().await.unwrap();
    let tenant = TenantId::parse(&unique("hotel")).unwrap();
    let nights = StayHold::new(Resource::room_type(&HotelId::from(1), &general()), stay(30));
    let nights = nights.tenant(&tenant).capacity(5).session_id("s-1");
    let hold = posada.locks().hold_stay(&nights).await.unwrap();
    let proof = HoldProof::from(&hold);
    assert_eq!(proof.fence, hold.fence());
    let request = request(&unique("held"), adult());
    let booking = posada.pms().book(&request, Some(&proof)).await.unwrap();
    assert_eq!(booking.status, BookingStatus::Confirmed);
    hold.release().await.unwrap();
    // A hold that was given back is over, but what it booked is found again.
    let again = posada.pms().book(&request, Some(&proof)).await.unwrap();
    assert_eq!(again.id, booking.id);
    // What was reported is found without a turn; a cancellation needs one.
    posada.pms().cancel(booking.id).await.unwrap();
    posada.close().await.unwrap();
    let ask = |sql: &str| servers::postgres().execute_in(&database, sql);
    let of_the_hold = format!(
        "SELECT string_agg(event_type || ' ' || (details->>'fence'), ', ' ORDER BY id) FROM lock_audit
         WHERE lock_key = '{}'",
        hold.audit_key()
    );
    let fence = hold.fence();
    assert_eq!(ask(&of_the_hold), format!("acquired {fence}, released {fence}"));
    let turns = "FROM lock_audit WHERE lock_key LIKE 'pms:%:hotel:1'";
    let events = ask(&format!("SELECT string_agg(event_type, ' ' ORDER BY id) {turns}"));
    assert_eq!(events, "acquired released acquired released");
    let fences = format!("SELECT count(DISTINCT details->>'fence'), count(details->>'fence') {turns}");
    assert_eq!(ask(&fences), "2|4", "each turn has its own fence, at both ends");
}
