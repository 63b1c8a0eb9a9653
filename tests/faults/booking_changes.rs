//! Processes that die while they change a booking: its row is written and its price is not, and another process asks
//! for the same change.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures_util::future::join_all;
use posada::Stay;
use posada::clock::SystemClock;
use posada::pms::{Booking, BookingChange, BookingId, Quote, Recheck};
use posada::testkit::qloapps::{OpenBooking, QloAppsSimulator, SimulatedCall, SimulatedFault};
use posada_tests::bookings::{process, request};
use posada_tests::{RedisServer, wait_until};

/// A booking whose change died.
struct Interrupted {
    server: QloAppsSimulator,
    id: BookingId,
    agreed: Quote,
    before: Booking,
}

fn in_the_server(server: &QloAppsSimulator, id: BookingId) -> OpenBooking {
    let mut open = server.open_bookings().into_iter();
    open.find(|open| open.id == id).unwrap()
}

/// A process changes the nights of a booking, and is killed when so many requests for the price were answered.
async fn dies(redis: &str, check_in: NaiveDate, nights: u64, prices: usize) -> Interrupted {
    let server = QloAppsSimulator::start(SystemClock::shared()).await;
    let ours = process(server.url(), redis);
    let wish = request("changes", check_in).recheck(Recheck::Wait);
    let before = ours.pms().book(&wish, None).await.unwrap();
    let stay = Stay::new(check_in, check_in + Days::new(nights)).unwrap();
    let change = BookingChange::new().stay(stay);
    let agreed = ours.pms().quote_change(before.id, &change).await.unwrap();
    server.script(
        SimulatedCall::Price,
        &SimulatedFault::Slow(Duration::ZERO),
        prices,
    );
    server.script(SimulatedCall::Price, &SimulatedFault::LostBeforeWork, 1000);
    let writes = server.writes();
    let mut worker = Worker::start(redis);
    let nights = format!("{} {}", stay.check_in(), stay.check_out());
    worker.say(&format!("change {} {} {nights}", server.url(), before.id));
    wait_until("the row is written and its price was sent", || {
        // The row, what was answered, and what was lost.
        match server.writes() - writes {
            sent if sent > 1 + prices => Ok(()),
            sent => Err(format!("{sent} writes")),
        }
    });
    drop(worker);
    // Whatever it sent is lost, too; only then the server is itself again.
    ours.pms().booking(before.id).await.unwrap();
    server.calm();
    ours.close().await.unwrap();
    Interrupted {
        server,
        id: before.id,
        agreed,
        before,
    }
}

/// A process that changes bookings. It is killed with the value.
struct Worker(Child);

impl Worker {
    fn start(redis: &str) -> Self {
        let worker = Command::new(env!("CARGO_BIN_EXE_booking_worker"))
            .arg(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(worker.unwrap())
    }

    fn say(&mut self, line: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The rates rise after the process died, and the guest pays what was agreed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_process_was_killed_before_the_price_gets_the_agreed_one_from_another_process() {
    let redis = RedisServer::start();
    let check_in = SystemClock::shared().now().date_naive() + Days::new(30);
    let mut interrupted = Vec::new();
    // A longer stay; a shorter one, whose price is first undercut; and one that died after that.
    for (nights, prices) in [(3, 0), (1, 0), (1, 1)] {
        interrupted.push(dies(redis.url(), check_in, nights, prices).await);
    }
    join_all(interrupted.iter().map(async |case| {
        let agreed = format!("{:.6}", case.agreed.total.amount());
        let left = in_the_server(&case.server, case.id);
        assert_eq!(left.stays, [case.agreed.stay], "the row is written");
        assert_ne!(left.total, agreed, "and the price is not");
        case.server.set_price_percent(150);
        let posada = process(case.server.url(), redis.url());
        let change = BookingChange::new().stay(case.agreed.stay);
        // The hotel stays closed until the turn of the dead process ends by itself.
        let changed = posada.pms().modify(case.id, &change).await.unwrap();
        assert_eq!(
            (changed.total, changed.stay),
            (case.agreed.total, case.agreed.stay)
        );
        assert_eq!(changed.rooms[0].number, case.before.rooms[0].number);
        let whole = in_the_server(&case.server, case.id);
        assert_eq!((whole.total, whole.rooms.len()), (agreed, 1));
        assert_eq!(case.server.double_booked_nights(), 0);
        posada.close().await.unwrap();
    }))
    .await;
}
