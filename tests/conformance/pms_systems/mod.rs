//! Systems of other kinds than QloApps behind the public port: one that keeps every promise by itself, and one that
//! sells room types, keeps as many promises as it is told to, and may claim more.

mod features;
mod resilience;
mod two_rooms;
mod type_hotel;

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use posada::clock::SystemClock;
use posada::doctor::Severity;
use posada::error::codes;
use posada::pms::port::{Guarded, Record};
use posada::pms::{Guards, MissingPermission, MockPms};
use posada::testkit::pms::Promises;
use posada::testkit::qloapps::QloAppsSimulator;
use posada::{Posada, Settings};
use two_rooms::TwoRooms;
use type_hotel::TypeHotel;

fn first_day() -> NaiveDate {
    "2027-03-01".parse().unwrap()
}

/// A day that every calendar sells.
fn soon() -> NaiveDate {
    SystemClock::shared().now().date_naive() + Days::new(40)
}

fn live<'a>(records: impl Iterator<Item = &'a Record>) -> impl Iterator<Item = &'a Record> {
    records.filter(|record| !record.cancelled)
}

async fn prove(hotel: TypeHotel) {
    let hotel = Arc::new(hotel);
    let posada = Posada::builder()
        .pms(Guarded::new(hotel.clone()))
        .build()
        .unwrap();
    Promises::new(posada.pms().clone(), &*hotel, first_day(), "types")
        .await
        .run()
        .await;
}

fn each() -> impl Iterator<Item = Guards> {
    (0..8).map(|bits| Guards {
        once: bits & 1 != 0,
        stock: bits & 2 != 0,
        price: bits & 4 != 0,
    })
}

#[tokio::test]
async fn a_system_with_every_promise_of_its_own_keeps_them_behind_the_client() {
    let rooms = Arc::new(TwoRooms::new());
    let posada = Posada::builder().pms(rooms.clone()).build().unwrap();
    assert_eq!(posada.pms().system(), "two-rooms");
    Promises::new(posada.pms().clone(), &*rooms, first_day(), "own")
        .await
        .run()
        .await;
}

#[tokio::test]
async fn posada_keeps_every_promise_around_the_mock() {
    let mock = MockPms::new(SystemClock::shared()).unwrap();
    let posada = Posada::builder().mock_pms(mock.clone()).build().unwrap();
    let promises = Promises::new(posada.pms().clone(), &mock, soon(), "mock").await;
    promises.run().await;
}

#[tokio::test]
async fn posada_keeps_every_promise_around_the_simulated_qloapps() {
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let settings = Settings::builder()
        .pms_qloapps(server.url(), QloAppsSimulator::KEY)
        .pms_max_rate(10_000)
        .build();
    let posada = Posada::builder().settings(settings.unwrap()).build().unwrap();
    let promises = Promises::new(posada.pms().clone(), &server, soon(), "qloapps").await;
    promises.run().await;
}

#[tokio::test]
async fn posada_keeps_whatever_promises_a_system_of_room_types_does_not() {
    for keeps in each() {
        prove(TypeHotel::new(keeps, keeps)).await;
    }
}

#[tokio::test]
async fn a_system_that_claims_a_promise_and_breaks_it_is_found_out() {
    for claims in each().filter(|claims| claims.each().iter().filter(|(_, kept)| *kept).count() == 1) {
        let run = tokio::spawn(prove(TypeHotel::new(Guards::default(), claims)));
        let found_out = run.await.unwrap_err().is_panic();
        assert!(found_out, "{claims:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_connected_is_refused_when_the_handle_is_made() {
    let nameless = TypeHotel::new(Guards::default(), Guards::default()).called("");
    let blind = TypeHotel::new(Guards::default(), Guards::default()).without_ledger();
    for hotel in [nameless, blind] {
        let refused = Posada::builder()
            .pms(Guarded::new(Arc::new(hotel)))
            .build()
            .unwrap_err();
        assert_eq!(
            (refused.code(), refused.field()),
            ("settings.invalid", Some("pms"))
        );
    }
}

#[tokio::test]
async fn a_custom_system_that_the_program_forgot_to_give_is_not_replaced_by_the_mock() {
    let settings = || Settings::builder().pms_custom().build().unwrap();
    let refused = Posada::builder().settings(settings()).build().unwrap_err();
    assert_eq!(
        (refused.code(), refused.field()),
        ("settings.missing", Some("PMS_TYPE"))
    );
    let given = Posada::builder()
        .settings(settings())
        .pms(Arc::new(TwoRooms::new()));
    assert_eq!(given.build().unwrap().pms().system(), "two-rooms");
}

/// The findings about the hotel's system: code, severity, and what was seen.
async fn findings(posada: &Posada) -> Vec<(&'static str, Severity, String)> {
    let found = posada.doctor().await.findings.into_iter();
    let about = found.filter(|finding| finding.code.contains("pms"));
    about
        .map(|finding| (finding.code, finding.severity, finding.seen))
        .collect()
}

#[tokio::test]
async fn the_doctor_asks_the_system_that_was_given_and_not_the_one_of_the_settings() {
    let rooms = Arc::new(TwoRooms::new());
    let elsewhere = Settings::builder()
        .pms_qloapps("http://hotel.example.com", "dev-pms-key")
        .build();
    let posada = Posada::builder()
        .settings(elsewhere.unwrap())
        .pms(rooms.clone())
        .build()
        .unwrap();
    let connected = (
        "pms.connection",
        Severity::Ok,
        "two-rooms answers, and takes our credentials.".to_owned(),
    );
    let hotels = (
        "pms.unknown_hotel",
        Severity::Ok,
        "two-rooms has Two Rooms (1).".to_owned(),
    );
    let found = findings(&posada).await;
    assert!(found.contains(&connected) && found.contains(&hotels), "{found:?}");
    assert_eq!(found.len(), 3, "nothing of QloApps: {found:?}");
    rooms.lacks(&[MissingPermission::new("folios", "GET", "invoices")]);
    let lacking = (
        "pms.permissions",
        Severity::Error,
        "Our credentials may not use folios, which is needed for: invoices.".to_owned(),
    );
    assert!(findings(&posada).await.contains(&lacking));
    for (code, finding) in [
        (codes::PMS_REFUSED, "pms.key"),
        (codes::PMS_NOT_PERMITTED, "pms.permissions"),
        (codes::PMS_WRONG_SYSTEM, "pms.address"),
        (codes::PMS_OUTCOME_UNKNOWN, "pms.unreachable"),
    ] {
        rooms.fails(1, code);
        let found = findings(&posada).await;
        let [(known, Severity::Error, seen)] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(*known == finding && seen.starts_with("two-rooms: "), "{found:?}");
    }
}

#[tokio::test]
async fn the_doctor_warns_of_a_mock_however_it_was_given() {
    let mock = || Arc::new(MockPms::new(SystemClock::shared()).unwrap());
    for builder in [
        Posada::builder(),
        Posada::builder().mock_pms((*mock()).clone()),
        Posada::builder().pms(Guarded::new(mock())),
    ] {
        let found = findings(&builder.build().unwrap()).await;
        assert!(
            matches!(found.as_slice(), [("pms.mock", Severity::Warning, _)]),
            "{found:?}"
        );
    }
}
