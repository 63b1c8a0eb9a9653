//! Systems of other kinds than QloApps behind the public port: one that keeps every promise by itself, and one that
//! sells room types, keeps as many promises as it is told to, and may claim more.

mod two_rooms;
mod type_hotel;

use std::sync::Arc;

use chrono::NaiveDate;
use posada::Posada;
use posada::pms::Guards;
use posada::pms::port::{Guarded, Record};
use posada::testkit::pms::Promises;
use two_rooms::TwoRooms;
use type_hotel::TypeHotel;

fn first_day() -> NaiveDate {
    "2027-03-01".parse().unwrap()
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
