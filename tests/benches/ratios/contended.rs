//! Twenty callers for one lock, a millisecond each: how many get it in a second, and how long the unlucky ones wait.
//!
//! The ideal is a fair mutex inside the process, which needs no network. The peers run as
//! their own documentation shows, each in a process of its own; redis-py on asyncio.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posada::locks::AcquireOptions;
use posada::{Posada, Settings};
use posada_tests::{Peer, RedisServer, servers, unique};

const CALLERS: usize = 20;
const TURNS: usize = 25;
const HOLD: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(10);

/// What one run showed, waits in seconds and in order.
struct Run {
    seconds: f64,
    waits: Vec<f64>,
}

impl Run {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.seconds
    }

    fn worst(&self) -> f64 {
        self.waits[self.waits.len() * 99 / 100]
    }

    fn print(&self, who: &str, ideal: &Self) {
        println!(
            "contended lock, {CALLERS} callers x 1 ms: {who:<30} {:>6.0} a second ({:.2} of ideal), p99 wait {:>7.1} ms ({:.2} x ideal)",
            self.rate(),
            self.rate() / ideal.rate(),
            self.worst() * 1e3,
            self.worst() / ideal.worst(),
        );
    }
}

/// A thread's sleep: the timer of tokio would make two milliseconds of one.
async fn keep() {
    tokio::task::spawn_blocking(|| std::thread::sleep(HOLD))
        .await
        .unwrap();
}

/// Lets all callers take their turns; `turn` waits for the lock, calls its argument, and keeps it for a millisecond.
async fn run<F, T>(turn: F) -> Run
where
    F: Fn(usize) -> T + Send + Sync + 'static,
    T: Future<Output = Duration> + Send + 'static,
{
    let (turn, begun) = (Arc::new(turn), Instant::now());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let turn = turn.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..TURNS {
                    waits.push(turn(caller).await.as_secs_f64());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.unwrap());
    }
    waits.sort_by(f64::total_cmp);
    Run {
        seconds: begun.elapsed().as_secs_f64(),
        waits,
    }
}

pub(crate) async fn rows() {
    let server = servers::redis();
    let ideal = ideal().await;
    println!("\n{}", versions(server));
    ideal.print("ideal, in the process", &ideal);
    ours(server, 1).await.print("posada", &ideal);
    ours(server, 2).await.print("posada, two handles", &ideal);
    peer(Peer::cargo("benches/rslock", server.url())).print("rslock", &ideal);
    peer(Peer::python("locks_peer.py", server.url())).print("redis-py Lock, asyncio", &ideal);
}

async fn ideal() -> Run {
    let lock = Arc::new(tokio::sync::Mutex::new(()));
    run(move |_| {
        let lock = lock.clone();
        async move {
            let asked = Instant::now();
            let _guard = lock.lock().await;
            let waited = asked.elapsed();
            keep().await;
            waited
        }
    })
    .await
}

/// With more handles than one, the lock goes from process to process.
async fn ours(server: &RedisServer, handles: usize) -> Run {
    let handles: Vec<Posada> = (0..handles)
        .map(|_| {
            let settings = Settings::builder().redis_url(server.url()).build().unwrap();
            Posada::builder().settings(settings).build().unwrap()
        })
        .collect();
    let (name, shared) = (unique("contended"), handles.clone());
    let outcome = run(move |caller| {
        let (posada, name) = (shared[caller % shared.len()].clone(), name.clone());
        async move {
            let options = AcquireOptions::new().ttl(TTL).wait(Duration::from_mins(1));
            let asked = Instant::now();
            let guard = posada.locks().acquire(&name, &options).await.unwrap();
            let waited = asked.elapsed();
            keep().await;
            guard.release().await.unwrap();
            waited
        }
    })
    .await;
    for posada in handles {
        posada.close().await.unwrap();
    }
    outcome
}

/// A run of a peer, which prints its seconds and then the waits in order.
fn peer(mut peer: Peer) -> Run {
    let hold = HOLD.as_secs_f64();
    let answer = peer.ask(&format!("{} {CALLERS} {TURNS} {hold}", unique("contended")));
    let mut numbers = answer.split_whitespace().map(|number| number.parse().unwrap());
    Run {
        seconds: numbers.next().unwrap(),
        waits: numbers.collect(),
    }
}

fn versions(server: &RedisServer) -> String {
    let about: String = server.command(&["INFO", "server"]);
    let redis = about.lines().find_map(|line| line.strip_prefix("redis_version:"));
    let rslock = include_str!("../rslock/Cargo.toml")
        .split_once("rslock = { version = \"=")
        .and_then(|(_, rest)| rest.split('"').next());
    let redis_py = include_str!("../../python/requirements.txt")
        .lines()
        .find_map(|line| line.strip_prefix("redis=="));
    format!(
        "Redis {}, rslock {}, redis-py {}",
        redis.unwrap_or("?").trim(),
        rslock.unwrap_or("?"),
        redis_py.unwrap_or("?")
    )
}
