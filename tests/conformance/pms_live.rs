//! The whole surface of the client, and races for the last room, on a server that was given: that of
//! `POSADA_TEST_QLOAPPS_URL` with the key `POSADA_TEST_QLOAPPS_KEY`, else a simulated one.
//!
//! The server must be one for tests: its calendar must be empty in the last half year that it sells. Every booking is
//! cancelled afterwards, also when a promise was broken; those that were checked out stay in its history.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures_util::FutureExt;
use posada::clock::SystemClock;
use posada::pms::Recheck;
use posada::testkit::pms::{Races, Suite};
use posada::testkit::qloapps::{QloAppsSimulator, SimulatedCollision};
use posada::{PmsClient, Posada};
use posada_tests::{RedisServer, servers, unique};

use crate::pms::process_at;

/// A server: one that was given, or one that ends with the value.
struct Server {
    url: String,
    key: String,
    simulated: Option<QloAppsSimulator>,
}

impl Server {
    async fn open() -> Self {
        if let Some((url, key)) = servers::qloapps() {
            return Self {
                url,
                key,
                simulated: None,
            };
        }
        let simulated = QloAppsSimulator::start(SystemClock::shared()).await;
        simulated.set_gap(Duration::from_millis(20));
        simulated.set_collision(SimulatedCollision::DoubleBook);
        Self {
            url: simulated.url().to_owned(),
            key: QloAppsSimulator::KEY.to_owned(),
            simulated: Some(simulated),
        }
    }

    fn process(&self, redis: &str) -> Posada {
        process_at(&self.url, &self.key, redis)
    }

    /// What only a simulated server tells about itself, from its own tables. To be asked before anything is cleaned up.
    fn check(&self) {
        if let Some(server) = &self.simulated {
            assert_eq!(server.double_booked_nights(), 0);
        }
    }

    /// The same after races, in which nobody leaves: every open booking has rooms, and no other has them.
    fn check_races(&self) {
        self.check();
        let mut taken = HashSet::new();
        for open in self.simulated.iter().flat_map(QloAppsSimulator::open_bookings) {
            assert!(
                !open.rooms.is_empty(),
                "a booking without a room is open: {open:?}"
            );
            for (room, stay) in open.rooms.iter().zip(&open.stays) {
                for night in stay.each_night() {
                    assert!(taken.insert((room.clone(), night)), "{room} twice on {night}");
                }
            }
        }
        assert!(
            self.simulated.is_none() || !taken.is_empty(),
            "somebody had booked"
        );
    }
}

/// A word that no other run on the same server uses.
fn run(word: &str) -> String {
    format!(
        "{}-{:x}",
        unique(word),
        SystemClock::shared().now().timestamp_millis()
    )
}

/// The first of so many days at the end of what the first hotel sells.
async fn last_days(client: &PmsClient, days: u64) -> NaiveDate {
    let hotels = client.hotels().await.expect("the server lists its hotels");
    let sells: u64 = hotels[0].max_days_ahead.unwrap_or(365).into();
    // The server may live in another calendar than we do.
    let first = sells
        .checked_sub(days + 2)
        .expect("the server sells half a year ahead");
    SystemClock::shared().now().date_naive() + Days::new(first)
}

/// The days of both series of races; the suite has those before them.
const DAYS_OF_RACES: u64 = 2 * Races::NIGHTS + 2;

#[tokio::test]
async fn a_given_shop_keeps_every_promise() {
    let server = Server::open().await;
    let posada = server.process(servers::redis().url());
    let first_day = last_days(posada.pms(), Suite::DAYS + DAYS_OF_RACES).await;
    let suite = Suite::new(posada.pms().clone(), first_day, &run("suite")).await;
    let kept = async {
        suite.run().await;
        server.check();
    };
    let kept = AssertUnwindSafe(kept).catch_unwind().await;
    suite.clean_up().await;
    kept.unwrap_or_else(|broken| resume_unwind(broken));
}

#[tokio::test]
async fn the_last_room_of_a_given_shop_goes_to_one_of_many_processes() {
    let server = Server::open().await;
    let processes: Vec<_> = (0..4).map(|_| server.process(servers::redis().url())).collect();
    let clients: Vec<_> = processes.iter().map(|process| process.pms().clone()).collect();
    let first_day = last_days(&clients[0], DAYS_OF_RACES).await;
    let races = Races::new(clients, first_day, &run("turns"), Recheck::Detached).await;
    let kept = async {
        races.run().await;
        server.check_races();
    };
    let kept = AssertUnwindSafe(kept).catch_unwind().await;
    races.clean_up().await;
    kept.unwrap_or_else(|broken| resume_unwind(broken));
}

#[tokio::test]
async fn the_last_room_of_a_given_shop_is_not_shared_by_processes_that_know_nothing_of_each_other() {
    let server = Server::open().await;
    let elsewhere = RedisServer::start();
    let processes = [servers::redis().url(), elsewhere.url()].map(|redis| server.process(redis));
    let clients: Vec<_> = processes.iter().map(|process| process.pms().clone()).collect();
    let first_day = last_days(&clients[0], Races::NIGHTS + 1).await;
    let races = Races::new(clients, first_day, &run("foreign"), Recheck::Wait).await;
    let kept = async {
        races.run_among_foreign_bookings().await;
        server.check_races();
    };
    let kept = AssertUnwindSafe(kept).catch_unwind().await;
    races.clean_up().await;
    kept.unwrap_or_else(|broken| resume_unwind(broken));
}
