//! Ours against the Python package `limits`, at random, on one Redis: the same decisions, keys, lives and statistics.
//!
//! Every step is done twice. On the *mirror* only Python works. On the *shared* key Python and posada take turns at
//! random. Whatever the turn, both keys must stay alike. Time passes by ageing both keys, so nothing here waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use posada::limits::{RateLimit, Strategy};
use posada::testkit::Dice;
use posada::{Posada, Settings};
use posada_tests::{Peer, RedisServer, servers, unique};
use serde_json::{Value, json};

const STEPS: u32 = 400;

#[tokio::test]
async fn a_fixed_window_is_that_of_limits() {
    compare(Strategy::FixedWindow, 1).await;
}

#[tokio::test]
async fn a_moving_window_is_that_of_limits() {
    compare(Strategy::MovingWindow, 2).await;
}

#[tokio::test]
async fn a_sliding_counter_is_that_of_limits() {
    compare(Strategy::SlidingWindowCounter, 3).await;
}

async fn compare(strategy: Strategy, seed: u64) {
    let server = servers::redis();
    let settings = Settings::builder().redis_url(server.url()).build().unwrap();
    let posada = Posada::builder().settings(settings).build().unwrap();
    let mut pair = Pair {
        posada,
        python: Peer::python("limits_peer.py", server.url()),
        server,
        strategy,
        shared: unique("shared"),
        mirror: unique("mirror"),
    };
    let mut random = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for step in 0..STEPS {
        let text =
            ["5/minute", "3 per 2 minutes", "20/hour", "1/day"][usize::try_from(random.below(4)).unwrap()];
        let limit = RateLimit::parse(text).unwrap().strategy(strategy);
        let cost = u32::try_from(random.below(3)).unwrap() + 1;
        let what = format!("seed {seed} step {step}: {text} {strategy:?} cost {cost}");
        match random.below(10) {
            0 => pair.age(&limit, random.below(u64::from(limit.amount()) * 10_000)),
            1 => {
                let ours = pair
                    .posada
                    .limits()
                    .peek(&limit, &[&pair.shared])
                    .await
                    .unwrap()
                    .allowed;
                assert_eq!(
                    ours,
                    pair.ask("test", text, &pair.mirror.clone(), 1)["allowed"],
                    "{what}"
                );
            }
            turn => {
                let expected = pair.ask("hit", text, &pair.mirror.clone(), cost)["allowed"].clone();
                let shared = pair.shared.clone();
                let actual = if turn % 2 == 0 {
                    json!(
                        pair.posada
                            .limits()
                            .check_cost(&limit, &[&shared], cost)
                            .await
                            .unwrap()
                            .allowed
                    )
                } else {
                    pair.ask("hit", text, &shared, cost)["allowed"].clone()
                };
                assert_eq!(actual, expected, "{what}");
            }
        }
        pair.assert_alike(text, &limit, &what).await;
    }
}

struct Pair {
    posada: Posada,
    python: Peer,
    server: &'static RedisServer,
    strategy: Strategy,
    shared: String,
    mirror: String,
}

impl Pair {
    fn ask(&mut self, operation: &str, limit: &str, who: &str, cost: u32) -> Value {
        let strategy = match self.strategy {
            Strategy::FixedWindow => "fixed-window",
            Strategy::MovingWindow => "moving-window",
            Strategy::SlidingWindowCounter => "sliding-window-counter",
        };
        let question = json!({
            "operation": operation, "strategy": strategy, "limit": limit, "identifiers": [who], "cost": cost,
        });
        serde_json::from_str(&self.python.ask(&question.to_string())).unwrap()
    }

    /// Lets both keys look as if so many milliseconds had passed.
    fn age(&self, limit: &RateLimit, by: u64) {
        for who in [&self.shared, &self.mirror] {
            for key in keys(limit, who) {
                let left = self.server.command::<i64>(&["PTTL", &key]);
                if left < 0 {
                    continue;
                }
                let left = left - i64::try_from(by).unwrap();
                if self.strategy == Strategy::MovingWindow {
                    let entries: Vec<f64> = self.server.command(&["LRANGE", &key, "0", "-1"]);
                    for (index, entry) in entries.iter().enumerate() {
                        let older = format!("{:.6}", entry - Duration::from_millis(by).as_secs_f64());
                        self.server
                            .command::<()>(&["LSET", &key, &index.to_string(), &older]);
                    }
                }
                self.server.command::<i64>(&["PEXPIRE", &key, &left.to_string()]);
            }
        }
    }

    async fn assert_alike(&mut self, text: &str, limit: &RateLimit, what: &str) {
        let mirror = self.mirror.clone();
        let shared = self.shared.clone();
        let theirs = self.ask("stats", text, &mirror, 1);
        let ours = self.posada.limits().peek(limit, &[&shared]).await.unwrap();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert_eq!(json!(ours.remaining), theirs["remaining"], "{what}: remaining");
        let reset = theirs["reset"].as_f64().unwrap() - now;
        let apart = (reset - ours.reset_after.as_secs_f64()).abs();
        // A sliding counter's reset runs round a short circle, so its two ends are neighbours.
        let circle = limit.window().as_secs_f64() / f64::from(limit.amount().max(1));
        let near = apart < 1.1 || (self.strategy == Strategy::SlidingWindowCounter && circle - apart < 1.1);
        assert!(near, "{what}: reset {reset} and {:?}", ours.reset_after);
        for (mine, mirrored) in keys(limit, &shared).into_iter().zip(keys(limit, &mirror)) {
            let (left, expected) = (
                self.server.command::<i64>(&["PTTL", &mine]),
                self.server.command::<i64>(&["PTTL", &mirrored]),
            );
            assert!(
                (left - expected).abs() < 1100,
                "{what}: life of {mine}: {left} and {expected}"
            );
            if self.strategy == Strategy::MovingWindow {
                let (length, expected): (i64, i64) = (
                    self.server.command(&["LLEN", &mine]),
                    self.server.command(&["LLEN", &mirrored]),
                );
                assert_eq!(length, expected, "{what}: {mine}");
            } else {
                let (count, expected): (Option<String>, Option<String>) = (
                    self.server.command(&["GET", &mine]),
                    self.server.command(&["GET", &mirrored]),
                );
                assert_eq!(count, expected, "{what}: {mine}");
            }
        }
    }
}

fn keys(limit: &RateLimit, who: &str) -> Vec<String> {
    let [amount, _, multiples, unit] = limit
        .to_string()
        .split(' ')
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let item = format!("LIMITER/{who}/{amount}/{multiples}/{unit}");
    match limit.get_strategy() {
        Strategy::SlidingWindowCounter => vec![format!("LIMITS:{{{item}}}"), format!("LIMITS:{{{item}}}/-1")],
        Strategy::FixedWindow | Strategy::MovingWindow => vec![format!("LIMITS:{item}")],
    }
}
