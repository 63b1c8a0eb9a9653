//! Named locks in Redis: one script per step, all keys of a lock in one slot.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;

use super::model::{LockState, Release};
use super::store::{
    Attempt, Extension, Found, Grant, HEARTBEAT, Lease, LockKey, LockStore, RETENTION, Released, Wake, Wakes,
};
use crate::backends::redis::keys::{self, LockKeys};
use crate::backends::redis::{Call, Event, Failure, Redis, Script, Subscription};
use crate::error::Result;

static ACQUIRE: Script = Script::new(
    "locks.acquire",
    concat!(include_str!("lease.lua"), include_str!("acquire.lua")),
);
static EXTEND: Script = Script::new(
    "locks.extend",
    concat!(include_str!("lease.lua"), include_str!("extend.lua")),
);
static RELEASE: Script = Script::new(
    "locks.release",
    concat!(include_str!("lease.lua"), include_str!("release.lua")),
);

/// Locks on a Redis server, Sentinel group or cluster.
pub(crate) struct RedisLocks {
    redis: Redis,
}

impl RedisLocks {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn call(&self, script: &'static Script, key: &LockKey) -> Call<'_> {
        let LockKeys {
            lease,
            queue,
            waiters,
        } = keys_of(key);
        self.redis.script(script).key(lease).key(queue).key(waiters)
    }
}

/// Every script may run twice without harm, so a dropped connection is repeated like a read.
#[async_trait]
impl LockStore for RedisLocks {
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>> {
        let channel = attempt.process.map(keys::wake_channel);
        let answer: Vec<String> = self
            .call(&ACQUIRE, attempt.key)
            .arg(attempt.token)
            .arg(attempt.owner)
            .arg(millis(attempt.ttl))
            .arg(millis(RETENTION))
            .arg(channel.as_deref().unwrap_or(""))
            .arg(millis(HEARTBEAT))
            .read()
            .await?;
        let fields: Vec<_> = answer.iter().map(String::as_str).collect();
        match *fields.as_slice() {
            ["granted", lease, expired] => found(Grant::Granted(read_lease(lease)?), expired),
            ["busy", holder, remaining, ahead, expired] => found(
                Grant::Busy {
                    holder: holder.to_owned(),
                    remaining: Duration::from_millis(number(remaining)?),
                    ahead: usize::try_from(number(ahead)?).unwrap_or(usize::MAX),
                },
                expired,
            ),
            _ => Err(unexpected("locks.acquire")),
        }
    }

    async fn extend(&self, key: &LockKey, token: &str, ttl: Duration) -> Result<Found<Extension>> {
        let (outcome, lease, expired): (String, String, String) = self
            .call(&EXTEND, key)
            .arg(token)
            .arg(millis(ttl))
            .arg(millis(RETENTION))
            .read()
            .await?;
        match outcome.as_str() {
            "extended" => found(Extension::Extended(read_lease(&lease)?), &expired),
            "lost" => found(Extension::Lost, &expired),
            _ => Err(unexpected("locks.extend")),
        }
    }

    async fn release(&self, key: &LockKey, token: &str) -> Result<Found<Released>> {
        let (outcome, lease, expired): (String, String, String) = self
            .call(&RELEASE, key)
            .arg(token)
            .arg(millis(RETENTION))
            .read()
            .await?;
        match outcome.as_str() {
            "released" => found(
                Released::Done(Release::Released, Some(read_lease(&lease)?)),
                &expired,
            ),
            "already_released" => found(Released::Done(Release::AlreadyReleased, None), &expired),
            "expired" => found(Released::Done(Release::Expired, None), &expired),
            "not_owner" => found(Released::NotOwner, &expired),
            _ => Err(unexpected("locks.release")),
        }
    }

    async fn inspect(&self, key: &LockKey) -> Result<Option<LockState>> {
        let keys = keys_of(key);
        let (mut time, mut get, mut card) = (redis::cmd("TIME"), redis::cmd("GET"), redis::cmd("ZCARD"));
        let (_, _) = (get.arg(&keys.lease), card.arg(&keys.queue));
        if self.redis.is_cluster() {
            // Any node answers a keyless command; so ask the one that has the key.
            time = redis::cmd("EVAL");
            time.arg("return redis.call('TIME')").arg(1).arg(&keys.lease);
        }
        let (time, lease, waiters) = tokio::join!(
            self.redis.read::<(u64, u64)>(&time),
            self.redis.read::<Option<String>>(&get),
            self.redis.read::<usize>(&card),
        );
        let (seconds, micros) = time?;
        let now = moment(seconds * 1000 + micros / 1000)?;
        let (Some(text), waiters) = (lease?, waiters?) else {
            return Ok(None);
        };
        let lease = read_lease(&text)?;
        Ok(
            (text.starts_with("held\t") && lease.expires_at > now).then_some(LockState {
                owner: lease.owner,
                fence: lease.fence,
                acquired_at: lease.acquired_at,
                expires_at: lease.expires_at,
                waiters,
            }),
        )
    }

    fn listen(&self, process: &str) -> Box<dyn Wakes> {
        Box::new(RedisWakes(self.redis.subscribe(&keys::wake_channel(process))))
    }
}

struct RedisWakes(Subscription);

#[async_trait]
impl Wakes for RedisWakes {
    async fn next(&mut self) -> Wake {
        match self.0.next().await {
            Event::Message(token) => Wake::Waiter(String::from_utf8_lossy(&token).into_owned()),
            Event::Reconnected => Wake::Everybody,
        }
    }
}

fn keys_of(key: &LockKey) -> LockKeys {
    keys::lock(key.tenant.as_ref().map(AsRef::as_ref), key.name.as_str())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn found<T>(answer: T, expired: &str) -> Result<Found<T>> {
    let expired = if expired.is_empty() {
        None
    } else {
        Some(read_lease(expired)?)
    };
    Ok(Found { answer, expired })
}

/// Reads a lease as `lease.lua` writes it.
fn read_lease(text: &str) -> Result<Lease> {
    let fields: Vec<_> = text.splitn(6, '\t').collect();
    let [_, fence, token, acquired, expires, owner] = *fields.as_slice() else {
        return Err(unexpected("lease"));
    };
    Ok(Lease {
        token: token.to_owned(),
        owner: owner.to_owned(),
        fence: number(fence)?,
        acquired_at: moment(number(acquired)?)?,
        expires_at: moment(number(expires)?)?,
    })
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| unexpected("number"))
}

fn moment(millis: u64) -> Result<DateTime<Utc>> {
    i64::try_from(millis)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .ok_or_else(|| unexpected("time"))
}

fn unexpected(what: &str) -> crate::error::Error {
    Failure::Unexpected(format!("not a {what} as posada writes it")).into()
}
