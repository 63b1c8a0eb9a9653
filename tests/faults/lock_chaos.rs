//! Locks under everything at once: processes that are killed and that stand still, a network that breaks, and a Redis
//! that forgets. Two hundred tasks of five processes count under ten locks in a register of Postgres.
//!
//! `POSADA_TEST_CHAOS_ROUNDS=20` makes the run longer; one round takes some 15 seconds.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use posada::locks::AcquireOptions;
use posada::testkit::Proxy;
use posada::{Posada, Settings};
use posada_tests::{RedisServer, servers, unique};
use rustix::process::{Pid, Signal, kill_process};

const TTL: Duration = Duration::from_millis(600);
/// Longer than any lease of the workers.
const LONGER_THAN_TTL: Duration = Duration::from_millis(1500);
const TASKS: &str = "40";
/// How late a timer may be on a busy machine, beyond what the process itself stood still.
const SLACK: i64 = 250_000;

const TABLES: &str = "
    CREATE TABLE register (name text PRIMARY KEY, fence bigint NOT NULL, value bigint NOT NULL, turns bigint NOT NULL);
    CREATE TABLE history (name text, turn bigint, fence bigint NOT NULL, holder text NOT NULL, PRIMARY KEY (name, turn));
    INSERT INTO register SELECT 'name' || number, 0, 0, 0 FROM generate_series(0, 9) number";

/// A process that takes locks. It is gone with the value.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    reader: Option<JoinHandle<Vec<String>>>,
}

impl Worker {
    fn start(redis: &str, postgres: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lock_worker"))
            .args([redis, postgres, TASKS, &TTL.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            input: child.stdin.take(),
            child,
            reader: Some(std::thread::spawn(move || {
                output.lines().map_while(Result::ok).collect()
            })),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(mut self) -> Vec<String> {
        self.signal(Signal::KILL);
        self.reader.take().unwrap().join().unwrap()
    }

    /// Asks it to end, and gives what it said.
    fn end(mut self) -> Vec<String> {
        self.input.take();
        let lines = self.reader.take().unwrap().join().unwrap();
        assert_eq!(lines.last().map(String::as_str), Some("done"), "a worker died");
        lines
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one process believed of one grant.
#[derive(Debug, Clone, Copy)]
struct Belief {
    fence: i64,
    from: i64,
    until: i64,
    expires: i64,
}

/// What all processes said.
#[derive(Default)]
struct Account {
    beliefs: HashMap<String, Vec<Belief>>,
    losses: Vec<(i64, i64)>,
    refusals: usize,
}

impl Account {
    fn read(lines: &[String]) -> Self {
        let mut account = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<i64>().unwrap();
            match words.as_slice() {
                ["held", name, _, _, _, _] => {
                    account
                        .beliefs
                        .entry((*name).to_owned())
                        .or_default()
                        .push(Belief {
                            fence: number(2),
                            from: number(3),
                            until: number(4),
                            expires: number(5),
                        });
                }
                ["lost", _, _] => account.losses.push((number(1), number(2))),
                ["refused"] => account.refusals += 1,
                // The last line of a killed process may be half a one.
                _ => {}
            }
        }
        account
    }

    /// Two processes believed in the same lock at the same time only if Redis forgot the first one meanwhile.
    fn check_that_beliefs_do_not_overlap(&mut self, forgotten: &[(i64, i64)]) {
        for (name, beliefs) in &mut self.beliefs {
            beliefs.sort_by_key(|belief| belief.from);
            for (index, first) in beliefs.iter().enumerate() {
                assert!(
                    first.until < first.expires,
                    "{name}: believed beyond the end: {first:?}"
                );
                for second in beliefs[index + 1..]
                    .iter()
                    .take_while(|second| second.from <= first.until)
                {
                    // A fence is the moment of its grant. What a holder heard, it may have heard after Redis forgot,
                    // and after what the other heard.
                    let (earlier, later) = (first.fence.min(second.fence), first.fence.max(second.fence));
                    let lost = |(begin, end): &(i64, i64)| *end >= earlier && *begin <= later;
                    assert!(
                        forgotten.iter().any(lost),
                        "{name}: {first:?} and {second:?} overlap"
                    );
                    assert!(
                        first.fence != second.fence,
                        "{name}: one fence for two: {first:?}"
                    );
                }
            }
        }
    }

    fn check_that_losses_were_noticed_in_time(&self) {
        for (late, stall) in &self.losses {
            assert!(
                *late <= stall + SLACK,
                "noticed {late} us late, having stood still for {stall} us"
            );
        }
    }

    fn holds(&self) -> usize {
        self.beliefs.values().map(Vec::len).sum()
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_processes_hold_a_lock_whatever_breaks_and_nothing_stays_stuck() {
    let rounds = std::env::var("POSADA_TEST_CHAOS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let database = unique("chaos");
    let postgres = servers::postgres().create_database(&database);
    servers::postgres().execute_in(&database, TABLES);
    let mut redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.url()).await;
    let start = |url: &str| Worker::start(url, &postgres);

    let direct = redis.url().to_owned();
    let mut mortal = start(&direct);
    let [frozen, behind_proxy, fourth, fifth] = [&direct, proxy.url(), &direct, &direct].map(start);
    let mut lines = Vec::new();
    let mut forgotten = Vec::new();
    pass(1500).await;
    for _ in 0..rounds {
        lines.extend(std::mem::replace(&mut mortal, start(&direct)).kill());
        pass(1000).await;

        frozen.signal(Signal::STOP);
        tokio::time::sleep(LONGER_THAN_TTL).await;
        frozen.signal(Signal::CONT);
        pass(500).await;

        proxy.reset();
        pass(500).await;
        proxy.hold_answers();
        tokio::time::sleep(LONGER_THAN_TTL).await;
        proxy.reset();
        proxy.heal();
        pass(500).await;
        proxy.black_hole();
        tokio::time::sleep(LONGER_THAN_TTL).await;
        proxy.heal();
        pass(1000).await;

        let begin = now();
        redis.command::<()>(&["FLUSHALL"]);
        forgotten.push((begin, now()));
        pass(1000).await;

        let begin = now();
        redis.kill();
        redis.start_again();
        forgotten.push((begin, now()));
        pass(1500).await;

        fourth.signal(Signal::STOP);
        let begin = now();
        redis.command::<()>(&["FLUSHALL"]);
        forgotten.push((begin, now()));
        tokio::time::sleep(LONGER_THAN_TTL).await;
        fourth.signal(Signal::CONT);
        pass(1500).await;
    }
    for worker in [mortal, frozen, behind_proxy, fourth, fifth] {
        lines.extend(worker.end());
    }

    let mut account = Account::read(&lines);
    account.check_that_beliefs_do_not_overlap(&forgotten);
    account.check_that_losses_were_noticed_in_time();
    check_the_register(&database);
    nothing_is_stuck(redis.url()).await;
    let latest = account.losses.iter().map(|(late, _)| late).max();
    println!(
        "{} holds, {} losses noticed at most {latest:?} us late, {} refused by the register",
        account.holds(),
        account.losses.len(),
        account.refusals
    );
    assert!(account.holds() > 100 * rounds && account.losses.len() >= rounds);
    assert_eq!(account.beliefs.len(), 10);
}

/// The register counted every turn once, in the order of the fences, and each fence was one holder's.
fn check_the_register(database: &str) {
    let query = "
        SELECT count(*) FILTER (WHERE fence < before), count(*) FILTER (WHERE fence = before AND holder <> holder_before)
        FROM (SELECT fence, holder, lag(fence) OVER turns AS before, lag(holder) OVER turns AS holder_before
              FROM history WINDOW turns AS (PARTITION BY name ORDER BY turn)) steps";
    assert_eq!(
        servers::postgres().execute_in(database, query),
        "0|0",
        "stale or shared fences"
    );
    let lost = "SELECT count(*) FROM register WHERE value <> turns OR turns <> (
                    SELECT count(*) FROM history WHERE history.name = register.name)";
    assert_eq!(
        servers::postgres().execute_in(database, lost),
        "0",
        "an update was lost"
    );
}

/// A newcomer gets every lock about as soon as what the dead left behind has ended.
async fn nothing_is_stuck(url: &str) {
    let posada = Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap();
    let options = AcquireOptions::new().wait(TTL + Duration::from_secs(2));
    for number in 0..10 {
        let name = format!("name{number}");
        let taken = posada.locks().acquire(&name, &options).await;
        assert!(taken.is_ok(), "{name} is stuck: {taken:?}");
    }
}
