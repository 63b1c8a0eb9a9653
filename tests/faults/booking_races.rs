//! Races for the last room: five hundred rounds of several processes that share our lock, some of which are killed and
//! some of whose connections are cut; and rounds with the hotel's own website, which knows no lock. What came of a
//! round is asked from the server itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures_util::future::join_all;
use posada::clock::SystemClock;
use posada::error::codes;
use posada::pms::BookingId;
use posada::testkit::qloapps::{OpenBooking, QloAppsSimulator, SimulatedCollision};
use posada::testkit::{Dice, Proxy};
use posada_tests::RedisServer;
use posada_tests::bookings::{general, nights, process, request};
use tokio::sync::{Semaphore, oneshot};

const ROUNDS: u64 = 500;
/// Every so many rounds have a process that is killed, or a network that breaks.
const KILLED: u64 = 8;
const CUT: u64 = 4;
/// Rounds with the website.
const WEBSITE_ROUNDS: u64 = 500;
/// How many rounds run at once, beside those that wait for the lock of a dead process.
const AT_ONCE: usize = 24;
/// How long the website thinks at most: less than passes before the recheck.
const WEBSITE: Duration = Duration::from_millis(500);

/// What a booker was told; `None` when its process died before.
type Told = Option<Result<BookingId, String>>;

/// Who waits for the answer to a key.
type Waiting = Arc<Mutex<BTreeMap<String, oneshot::Sender<Result<BookingId, String>>>>>;

/// A process that books. It is gone with the value.
struct Worker {
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    waiting: Waiting,
}

impl Worker {
    fn start(redis: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_booking_worker"))
            .arg(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let waiting = Waiting::default();
        let told = waiting.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                let answer = match words.as_slice() {
                    [_, "booked", id] => Ok(id.parse().unwrap()),
                    [_, "refused", code] => Err((*code).to_owned()),
                    // The last line of a killed process may be half a one.
                    _ => continue,
                };
                if let Some(waiting) = lock(&told).remove(words[0]) {
                    let _ = waiting.send(answer);
                }
            }
            // Whoever still waits will hear nothing.
            lock(&told).clear();
        });
        Self {
            input: Mutex::new(child.stdin.take().unwrap()),
            child: Mutex::new(child),
            waiting,
        }
    }

    /// Books, and answers what the process said.
    async fn book(&self, server: &str, check_in: NaiveDate, key: &str, recheck: &str) -> Told {
        let (tell, told) = oneshot::channel();
        lock(&self.waiting).insert(key.to_owned(), tell);
        self.say(&format!("{server} {check_in} {key} {recheck}"));
        told.await.ok()
    }

    fn say(&self, line: &str) {
        // It may be dead.
        let _ = writeln!(lock(&self.input), "{line}");
    }

    fn kill(&self) {
        lock(&self.child).kill().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all rounds share.
struct Hotel {
    redis: RedisServer,
    workers: Vec<Worker>,
    check_in: NaiveDate,
    at_once: Semaphore,
    seen: Mutex<Seen>,
}

/// What happened, so that a run in which nothing did is noticed.
#[derive(Debug, Default)]
struct Seen {
    booked: usize,
    sold_out: usize,
    died: usize,
    other: BTreeMap<String, usize>,
    reconciled: usize,
    /// Rounds in which ours had booked and gave way to the website, and in which the two met on a room.
    yielded: usize,
    met: usize,
}

impl Hotel {
    fn open() -> Arc<Self> {
        let redis = RedisServer::start();
        Arc::new(Self {
            workers: (0..4).map(|_| Worker::start(redis.url())).collect(),
            redis,
            check_in: SystemClock::shared().now().date_naive() + Days::new(30),
            at_once: Semaphore::new(AT_ONCE),
            seen: Mutex::default(),
        })
    }

    /// A server with one general room left.
    async fn server(&self, dice: &mut Dice) -> QloAppsSimulator {
        let server = QloAppsSimulator::start(SystemClock::shared()).await;
        for _ in 0..4 {
            server
                .website_books(general(), nights(self.check_in))
                .await
                .unwrap();
        }
        server.set_gap(Duration::from_millis(dice.below(12)));
        server.set_collision(match dice.below(2) {
            0 => SimulatedCollision::BackOrder,
            _ => SimulatedCollision::DoubleBook,
        });
        server
    }

    /// Two to eight bookers of two or three processes want the room.
    async fn round(self: Arc<Self>, number: u64) {
        let mut dice = Dice::new((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (killed, cut) = (number % KILLED == 3, number % CUT == 1);
        // Who waits for a dead process must not keep the others from beginning.
        let mut place = None;
        if !killed {
            place = Some(self.at_once.acquire().await.unwrap());
        }
        let server = self.server(&mut dice).await;
        let network = Proxy::in_front_of(server.url()).await;
        let victim = killed.then(|| Worker::start(self.redis.url()));
        let first = dice.index(self.workers.len());
        let mut processes: Vec<&Worker> = self.workers.iter().cycle().skip(first).take(2).collect();
        processes.extend(&victim);
        let keys: Vec<_> = (0..2 + number % 7)
            .map(|booker| format!("r{number}-{booker}"))
            .collect();
        let answers = join_all(
            keys.iter()
                .zip(processes.iter().rev().cycle())
                .map(|(key, process)| process.book(network.url(), self.check_in, key, "detached")),
        );
        let (cut_after, lost, kill_after) = (1 + dice.below(40), dice.below(2) == 0, 1 + dice.below(40));
        let breaking = async {
            if cut {
                network.wait_for_requests(cut_after).await;
                if lost {
                    network.hold_answers();
                    network.wait_for_requests(network.requests() + 1).await;
                }
                network.reset();
                network.heal();
            }
            std::future::pending::<()>().await;
        };
        let killing = async {
            if let Some(victim) = &victim {
                network.wait_for_requests(kill_after).await;
                victim.kill();
            }
            std::future::pending::<()>().await;
        };
        let answers = tokio::select! {
            answers = answers => answers,
            () = breaking => unreachable!(),
            () = killing => unreachable!(),
        };
        // All may have heard that time was up before the request came that the break waits for.
        network.heal();
        self.judge(number, &keys, answers, &network, &server, cut || killed)
            .await;
        for process in processes {
            process.say(&format!("forget {}", network.url()));
        }
        drop(place);
    }

    async fn judge(
        &self,
        number: u64,
        keys: &[String],
        answers: Vec<Told>,
        network: &Proxy,
        server: &QloAppsSimulator,
        disturbed: bool,
    ) {
        let mut booked = BTreeMap::new();
        let mut unclear = Vec::new();
        for (key, told) in keys.iter().zip(answers) {
            let mut seen = lock(&self.seen);
            match told {
                Some(Ok(id)) => {
                    seen.booked += 1;
                    booked.insert(key.clone(), id);
                }
                Some(Err(code)) if code == codes::PMS_SOLD_OUT.name => seen.sold_out += 1,
                Some(Err(code)) => {
                    let may_be = [
                        codes::PMS_UNAVAILABLE,
                        codes::PMS_TIMEOUT,
                        codes::PMS_OUTCOME_UNKNOWN,
                    ];
                    assert!(
                        disturbed && may_be.iter().any(|known| known.name == code),
                        "round {number}: {key} heard {code}"
                    );
                    *seen.other.entry(code).or_default() += 1;
                    unclear.push(key);
                }
                None => {
                    assert!(disturbed, "round {number}: a process died by itself");
                    seen.died += 1;
                    unclear.push(key);
                }
            }
        }
        // Whoever does not know asks again, with the same key and from another process.
        if !unclear.is_empty() {
            let posada = process(network.url(), self.redis.url());
            for key in unclear {
                let mut answer = posada.pms().book(&request(key, self.check_in), None).await;
                // On a busy machine the server may be silent once more.
                while let Err(error) = &answer
                    && (error.is(codes::PMS_TIMEOUT) || error.is(codes::PMS_OUTCOME_UNKNOWN))
                {
                    answer = posada.pms().book(&request(key, self.check_in), None).await;
                }
                match answer {
                    Ok(booking) => {
                        lock(&self.seen).reconciled += 1;
                        booked.insert(key.clone(), booking.id);
                    }
                    Err(error) => assert!(error.is(codes::PMS_SOLD_OUT), "round {number}: {key}: {error}"),
                }
            }
            posada.close().await.unwrap();
        }
        assert_eq!(server.double_booked_nights(), 0, "round {number}");
        assert_eq!(server.free(general(), nights(self.check_in)), 0, "round {number}");
        let ours: Vec<_> = open_of_ours(server);
        assert_eq!(ours.len(), 1, "round {number}: one booking is open: {ours:?}");
        assert_eq!(
            ours[0].rooms.len(),
            1,
            "round {number}: and it has its room: {ours:?}"
        );
        let told: Vec<_> = booked.into_iter().collect();
        assert_eq!(
            told,
            [(ours[0].source.clone(), ours[0].id)],
            "round {number}: who was told has it, and nobody else was told"
        );
    }
}

impl Hotel {
    /// Bookers who wait for their rechecks, and the website, which checks at some moment and writes a little later.
    async fn website_round(self: Arc<Self>, number: u64) {
        let mut dice = Dice::new((number + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let _place = self.at_once.acquire().await.unwrap();
        let server = self.server(&mut dice).await;
        let network = Proxy::in_front_of(server.url()).await;
        let first = dice.index(self.workers.len());
        let processes: Vec<_> = self.workers.iter().cycle().skip(first).take(2).collect();
        let keys: Vec<_> = (0..2 + number % 7)
            .map(|booker| format!("w{number}-{booker}"))
            .collect();
        let answers = join_all(
            keys.iter()
                .zip(processes.iter().cycle())
                .map(|(key, process)| process.book(network.url(), self.check_in, key, "wait")),
        );
        let (checks, writes) = (dice.below(25), 1 + dice.below(25));
        let website = async {
            // When ours ask less often than that, it begins all the same.
            let _ = tokio::time::timeout(WEBSITE, network.wait_for_requests(checks)).await;
            let booking = server.website_checks(general(), nights(self.check_in)).ok()?;
            let later = network.wait_for_requests(network.requests() + writes);
            // When nobody of ours asks any more, it is done thinking all the same.
            let _ = tokio::time::timeout(WEBSITE, later).await;
            Some(booking.write())
        };
        let (answers, website) = tokio::join!(answers, website);
        let mut booked = Vec::new();
        for (key, told) in keys.iter().zip(answers) {
            match told.expect("no process dies") {
                Ok(id) => booked.push((key.clone(), id)),
                Err(code) => assert_eq!(code, codes::PMS_SOLD_OUT.name, "round {number}: {key}"),
            }
        }
        assert_eq!(server.double_booked_nights(), 0, "round {number}");
        assert_eq!(server.free(general(), nights(self.check_in)), 0, "round {number}");
        let ours: Vec<_> = open_of_ours(&server);
        let open: Vec<_> = ours.iter().map(|open| (open.source.clone(), open.id)).collect();
        assert_eq!(
            open, booked,
            "round {number}: who was told has it, and nobody else was told"
        );
        assert!(
            ours.iter().all(|open| open.rooms.len() == 1),
            "round {number}: {ours:?}"
        );
        let mut seen = lock(&self.seen);
        seen.booked += booked.len();
        seen.sold_out += keys.len() - booked.len();
        let lost = booked.is_empty() && server.bookings() > 5;
        seen.yielded += usize::from(lost);
        seen.met += usize::from(website.is_some() && server.collisions() > 0);
        drop(seen);
        for process in processes {
            process.say(&format!("forget {}", network.url()));
        }
    }
}

fn open_of_ours(server: &QloAppsSimulator) -> Vec<OpenBooking> {
    let mut open = server.open_bookings();
    open.retain(|booking| booking.source != "website");
    open
}

/// Runs all rounds to their ends; the first that is broken fails the test.
async fn run<F>(rounds: impl Iterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let running: Vec<_> = rounds.map(tokio::spawn).collect();
    for round in running {
        round.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_five_hundred_races_of_processes_that_die_and_connections_that_break_one_has_the_last_room() {
    let hotel = Hotel::open();
    run((0..ROUNDS).map(|number| hotel.clone().round(number))).await;
    let seen = lock(&hotel.seen);
    println!("{seen:?}");
    assert!(
        seen.died > 0 && seen.reconciled > 0 && !seen.other.is_empty(),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_races_with_a_website_that_knows_no_lock_nobody_shares_a_room() {
    let hotel = Hotel::open();
    run((0..WEBSITE_ROUNDS).map(|number| hotel.clone().website_round(number))).await;
    let seen = lock(&hotel.seen);
    println!("{seen:?}");
    assert!(seen.met > 0 && seen.yielded > 0 && seen.booked > 0, "{seen:?}");
}
