//! Contends for one lock of rslock: URL as the argument; NAME CALLERS TURNS HOLD in, the seconds of the run and all
//! waits in order out. The peer runs as its own documentation shows.

use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_secs(10);

async fn contend(
    manager: &rslock::LockManager,
    name: &str,
    callers: usize,
    turns: usize,
    hold: Duration,
) -> Vec<f64> {
    let begun = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (manager, name) = (manager.clone(), name.to_owned());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..turns {
                    let asked = Instant::now();
                    // It fails with `Unavailable` after some tries; its own `acquire` asks again at once.
                    let guard = manager
                        .acquire(name.as_bytes(), TTL)
                        .await
                        .expect("the lock becomes free");
                    waits.push(asked.elapsed().as_secs_f64());
                    // A thread's sleep: the timer of tokio would make two milliseconds of one.
                    tokio::task::spawn_blocking(move || std::thread::sleep(hold))
                        .await
                        .expect("a sleep ends");
                    guard.release().await;
                }
                waits
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for caller in callers {
        numbers.extend(caller.await.expect("a caller ends"));
    }
    numbers.sort_by(f64::total_cmp);
    numbers.insert(0, begun.elapsed().as_secs_f64());
    numbers
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args()
        .nth(1)
        .expect("the first argument is the URL of Redis");
    let manager = rslock::LockManager::new(vec![url]);
    for line in std::io::stdin().lines() {
        let line = line.expect("questions are text");
        let [name, callers, turns, hold] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("not NAME CALLERS TURNS HOLD: {line}");
        };
        let hold = Duration::from_secs_f64(hold.parse().expect("HOLD is seconds"));
        let (callers, turns) = (
            callers.parse().expect("a number"),
            turns.parse().expect("a number"),
        );
        let numbers = contend(&manager, name, callers, turns, hold).await;
        let numbers: Vec<_> = numbers.iter().map(f64::to_string).collect();
        println!("{}", numbers.join(" "));
    }
}
