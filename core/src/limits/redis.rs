//! Counters on Redis, where the Python package `limits` keeps them.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::model::Strategy;
use super::store::{Charge, LimitStore, Mode, Window};
use crate::backends::redis::{Failure, Redis, Script, keys};
use crate::error::{Error, Result, codes};

static TAKE: Script = Script::new("limits.take", include_str!("take.lua"));

pub(crate) struct RedisLimits {
    redis: Redis,
}

impl RedisLimits {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    async fn run(&self, mode: Mode, charges: &[Charge]) -> Result<Vec<Window>> {
        let mut call = self.redis.script(&TAKE);
        for [counter, previous] in charges.iter().map(charge_keys) {
            call = call.key(counter).key(previous);
        }
        call = call.arg(mode_word(mode));
        for charge in charges {
            call = call
                .arg(strategy_word(charge.limit.get_strategy()))
                .arg(charge.limit.amount())
                .arg(charge.limit.seconds())
                .arg(charge.cost);
        }
        let answer: Vec<i64> = match mode {
            Mode::Peek => call.read().await?,
            Mode::Hit | Mode::HitAll => call.write().await?,
        };
        let windows: Vec<Window> = answer.chunks_exact(4).filter_map(window).collect();
        if windows.len() == charges.len() {
            Ok(windows)
        } else {
            Err(Error::new(
                codes::REDIS_INTERNAL,
                "the rate limit script answered something else",
            ))
        }
    }
}

#[async_trait]
impl LimitStore for RedisLimits {
    async fn take(&self, mode: Mode, charges: &[Charge]) -> Result<Vec<Window>> {
        if !self.redis.is_cluster() || charges.len() == 1 {
            return self.run(mode, charges).await;
        }
        let each = |mode| {
            try_join_all(
                charges
                    .iter()
                    .map(move |charge| self.run(mode, std::slice::from_ref(charge))),
            )
        };
        let looked: Vec<Window> = each(Mode::Peek).await?.into_iter().flatten().collect();
        if mode == Mode::Peek || looked.iter().any(|window| !window.allowed) {
            return Ok(looked);
        }
        Ok(each(Mode::Hit).await?.into_iter().flatten().collect())
    }

    async fn reset(&self, charge: &Charge) -> Result<()> {
        let [counter, previous] = charge_keys(charge);
        let delete = async |key: String| self.redis.read::<u64>(redis::cmd("DEL").arg(key)).await;
        match charge.limit.get_strategy() {
            Strategy::SlidingWindowCounter => tokio::try_join!(delete(counter), delete(previous)).map(drop),
            Strategy::FixedWindow | Strategy::MovingWindow => delete(counter).await.map(drop),
        }
        .map_err(|failure: Failure| failure.into())
    }
}

/// The counter, and the previous window that only the sliding counter uses.
fn charge_keys(charge: &Charge) -> [String; 2] {
    match charge.limit.get_strategy() {
        Strategy::FixedWindow | Strategy::MovingWindow => {
            let key = keys::limit(&charge.item);
            [key.clone(), key]
        }
        Strategy::SlidingWindowCounter => [
            keys::limit_window(&charge.item),
            keys::limit_previous_window(&charge.item),
        ],
    }
}

fn window(answer: &[i64]) -> Option<Window> {
    let [allowed, remaining, reset, retry] = *answer else {
        return None;
    };
    let millis = |value: i64| Duration::from_millis(u64::try_from(value).unwrap_or(0));
    Some(Window {
        allowed: allowed == 1,
        remaining: u32::try_from(remaining).unwrap_or(0),
        reset_after: millis(reset),
        retry_after: millis(retry),
    })
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Hit => "hit",
        Mode::HitAll => "hit_all",
        Mode::Peek => "peek",
    }
}

fn strategy_word(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::FixedWindow => "fixed",
        Strategy::MovingWindow => "moving",
        Strategy::SlidingWindowCounter => "sliding",
    }
}
