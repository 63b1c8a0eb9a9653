//! One process that takes locks and writes under them, for the tests of locks under faults.
//!
//! `lock_worker REDIS_URL POSTGRES_URL TASKS TTL_MS`: each task takes one of the [`NAMES`] locks again and again and
//! counts in the row `register` of that name. It ends when its standard input closes. What it believed stands in its
//! output, one line each, with times in microseconds since 1970:
//! * `held NAME FENCE FROM UNTIL EXPIRES`: it believed that it held the lock from FROM to UNTIL; at UNTIL it knew that
//!   the server would keep the lock until EXPIRES.
//! * `lost LATE STALL`: a loss was noticed so long after the deadline; meanwhile the process itself stood still so long.
//! * `refused`: the register refused it.
//! * `done`: the last line.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program of the tests, on real time, that may stop loudly"
)]

use std::io::{Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use posada::locks::{AcquireOptions, LockGuard};
use posada::testkit::Dice;
use posada::{Posada, Settings};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// How many locks there are.
const NAMES: u64 = 10;
/// How often a worker looks at the lock that it holds.
const LOOK: Duration = Duration::from_millis(4);

struct Worker {
    posada: Posada,
    register: PgPool,
    ttl: Duration,
    ending: AtomicBool,
    watch: Watch,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis, postgres, tasks, ttl] = arguments.as_slice() else {
        eprintln!("usage: lock_worker REDIS_URL POSTGRES_URL TASKS TTL_MS");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(
        redis,
        postgres,
        tasks.parse().unwrap(),
        Duration::from_millis(ttl.parse().unwrap()),
    ));
}

async fn run(redis: &str, postgres: &str, tasks: u64, ttl: Duration) {
    let worker = Arc::new(Worker {
        posada: Posada::builder()
            .settings(Settings::builder().redis_url(redis).build().unwrap())
            .build()
            .unwrap(),
        register: PgPoolOptions::new()
            .max_connections(4)
            .connect(postgres)
            .await
            .unwrap(),
        ttl,
        ending: AtomicBool::new(false),
        watch: Watch::start(),
    });
    let input = worker.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        input.ending.store(true, Ordering::Relaxed);
    });
    let tasks: Vec<_> = (0..tasks)
        .map(|number| {
            let worker = worker.clone();
            let seed = u64::from(std::process::id()) * 1000 + number;
            tokio::spawn(async move {
                worker
                    .work(Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
                    .await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    worker.posada.close().await.unwrap();
    say("done");
}

impl Worker {
    async fn work(&self, mut dice: Dice) {
        while !self.ending.load(Ordering::Relaxed) {
            let name = format!("name{}", dice.below(NAMES));
            let stays_long = dice.below(50) == 0;
            let options = AcquireOptions::new()
                .ttl(self.ttl)
                .wait(Duration::from_secs(3))
                .auto_extend(stays_long || dice.below(2) == 0);
            let patience = Duration::from_millis(if dice.below(10) == 0 {
                dice.below(20)
            } else {
                60_000
            });
            // A caller that goes away in the middle must not leave anything behind.
            match tokio::time::timeout(patience, self.posada.locks().acquire(&name, &options)).await {
                Ok(Ok(guard)) => {
                    let length = if stays_long {
                        2 * self.ttl
                    } else {
                        Duration::from_millis(dice.below(20))
                    };
                    self.hold(&name, guard, length, dice.below(3) == 0).await;
                }
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(_) => {}
            }
        }
    }

    /// Counts once under the lock, keeps it for a while, and says until when it believed that it held it.
    async fn hold(&self, name: &str, guard: LockGuard, length: Duration, drops: bool) {
        let fence = i64::try_from(guard.fence()).unwrap();
        let from = now();
        let end = Instant::now() + length;
        let mut until = None;
        let mut noticed = None;
        let mut deadline = Instant::now() + guard.remaining();
        // The register may answer late; the lock is watched meanwhile.
        let mut value = {
            let mut entering = pin!(self.enter(name, fence));
            loop {
                tokio::select! {
                    value = &mut entering => break value,
                    _ = guard.lost(), if noticed.is_none() => noticed = Some(Instant::now()),
                    () = tokio::time::sleep(LOOK), if noticed.is_none() => {
                        if guard.ensure_held().is_ok() {
                            deadline = Instant::now() + guard.remaining();
                        }
                    }
                }
            }
        };
        if let Some(noticed) = noticed {
            self.tell_lateness(deadline, noticed);
        }
        while noticed.is_none() {
            let (asked, looked) = (now(), Instant::now());
            if guard.ensure_held().is_err() {
                self.tell_lateness(deadline, looked);
                break;
            }
            until = Some((asked, micros(&guard)));
            deadline = Instant::now() + guard.remaining();
            if Instant::now() >= end {
                if let Some(value) = value.take() {
                    self.write(name, fence, value + 1, guard.token()).await;
                }
                break;
            }
            tokio::select! {
                _ = guard.lost() => self.tell_lateness(deadline, Instant::now()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        if let Some((until, expires)) = until {
            say(&format!("held {name} {fence} {from} {until} {expires}"));
        }
        if drops {
            drop(guard);
        } else {
            let _ = guard.release().await;
        }
    }

    fn tell_lateness(&self, deadline: Instant, noticed: Instant) {
        let late = noticed.saturating_duration_since(deadline).as_micros();
        say(&format!("lost {late} {}", self.watch.longest_stall()));
    }

    /// Shows the fence to the register and reads the count; `None` when a greater fence was there.
    async fn enter(&self, name: &str, fence: i64) -> Option<i64> {
        let text = "UPDATE register SET fence = $2 WHERE name = $1 AND fence <= $2 RETURNING value";
        let found = sqlx::query_scalar(text)
            .bind(name)
            .bind(fence)
            .fetch_optional(&self.register)
            .await
            .unwrap();
        if found.is_none() {
            say("refused");
        }
        found
    }

    async fn write(&self, name: &str, fence: i64, value: i64, holder: &str) {
        let text = "WITH accepted AS (UPDATE register SET value = $3, turns = turns + 1
                        WHERE name = $1 AND fence = $2 RETURNING turns)
                    INSERT INTO history (name, turn, fence, holder) SELECT $1, turns, $2, $4 FROM accepted";
        let written = sqlx::query(text).bind(name).bind(fence).bind(value).bind(holder);
        if written.execute(&self.register).await.unwrap().rows_affected() == 0 {
            say("refused");
        }
    }
}

/// Notices when this process stands still, by a thread that should run every few milliseconds.
struct Watch {
    started: Instant,
    /// When that thread ran last, and the longest pause between two of its runs, in microseconds.
    seen: Arc<(AtomicU64, AtomicU64)>,
}

impl Watch {
    fn start() -> Self {
        let (started, seen) = (Instant::now(), Arc::<(AtomicU64, AtomicU64)>::default());
        let watched = seen.clone();
        std::thread::spawn(move || {
            let (last, longest) = &*watched;
            loop {
                std::thread::sleep(Duration::from_millis(5));
                let now = micros_since(started);
                longest.fetch_max(now - last.load(Ordering::Relaxed), Ordering::Relaxed);
                last.store(now, Ordering::Relaxed);
            }
        });
        Self { started, seen }
    }

    /// The longest pause so far. After one, other threads may run before the one that watches; so the pause that it
    /// has not ended yet counts too.
    fn longest_stall(&self) -> u64 {
        let (last, longest) = &*self.seen;
        let running = micros_since(self.started).saturating_sub(last.load(Ordering::Relaxed));
        longest.load(Ordering::Relaxed).max(running)
    }
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap()
}

/// The machine's wall clock, which the server on the same machine reads too.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn micros(guard: &LockGuard) -> i64 {
    guard.expires_at().timestamp_micros()
}

fn say(line: &str) {
    // The test may have gone away, and so shall we.
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(1);
    }
}
