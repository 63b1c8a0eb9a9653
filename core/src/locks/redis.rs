//! Named locks in Redis: one script per step, all keys of a lock in one slot.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::{join_all, try_join_all};
use redis::{FromRedisValue, ParsingError, Value};

use super::model::{LockName, LockState, Release};
use super::order::in_place;
use super::store::{
    Attempt, Beat, Extension, Found, Grant, HandOver, Lease, LockKey, LockStore, RETENTION, Released,
    Renewal, Replicas, Wake, Wakes,
};
use crate::backends::redis::keys::{self, LockKeys};
use crate::backends::redis::{Call, Event, Failure, Redis, Script, Subscription, script};
use crate::clock::millis;
use crate::error::{Error, Result};
use crate::tenants::TenantId;

static ACQUIRE: Script = script!(
    "locks.acquire",
    "clock.lua",
    "lease.lua",
    "acquire_free.lua",
    "numbers.lua",
    "queue.lua",
    "acquire.lua"
);
static BEAT: Script = script!(
    "locks.beat",
    "clock.lua",
    "lease.lua",
    "numbers.lua",
    "queue.lua",
    "beat.lua"
);
static EXTEND: Script = script!(
    "locks.extend",
    "clock.lua",
    "lease.lua",
    "numbers.lua",
    "queue.lua",
    "extend.lua"
);
static RELEASE: Script = script!(
    "locks.release",
    "clock.lua",
    "lease.lua",
    "release_alone.lua",
    "numbers.lua",
    "queue.lua",
    "release.lua"
);
static FORCE: Script = script!(
    "locks.force",
    "clock.lua",
    "lease.lua",
    "numbers.lua",
    "queue.lua",
    "force.lua"
);
/// The scripts of one lock as functions, whose parameter takes the place of `ARGV`.
static ACQUIRE_ALL: Script = Script::new(
    "locks.acquire_all",
    concat!(
        include_str!("clock.lua"),
        include_str!("lease.lua"),
        include_str!("numbers.lua"),
        include_str!("queue.lua"),
        "local function acquire(ARGV)\n",
        include_str!("acquire.lua"),
        "end\nlocal function release(ARGV)\n",
        include_str!("release.lua"),
        "end\n",
        include_str!("acquire_all.lua"),
    ),
);
static HELD: Script = Script::new("locks.held", include_str!("held.lua"));

/// Locks of one call; a script must not keep the server for long.
const BATCH: usize = 100;

/// Renewals of one call, each with its place in the request.
type Batch<'a> = Vec<(usize, &'a Renewal<'a>)>;

/// Locks on a Redis server, Sentinel group or cluster.
pub(crate) struct RedisLocks {
    redis: Redis,
}

impl RedisLocks {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn call(&self, script: &'static Script, key: &LockKey) -> Call<'_> {
        with_keys(self.redis.script(script), key)
    }

    fn extension(&self, batch: &Batch<'_>) -> Call<'_> {
        let mut call = self.redis.script(&EXTEND);
        for (_, renewal) in batch {
            call = with_keys(call, renewal.key);
        }
        for (_, renewal) in batch {
            call = call.arg(renewal.token).arg(millis(renewal.ttl));
        }
        call
    }

    /// Extends locks that share a slot.
    async fn extend_together(&self, batch: &Batch<'_>) -> Vec<Result<Found<Extension>>> {
        let failure = match self.extension(batch).read::<Vec<String>>().await {
            Ok(answers) if answers.len() == batch.len() * 3 => return read_extensions(&answers).collect(),
            Ok(_) => Failure::Unexpected("not as many answers as locks".to_owned()),
            Err(failure) => failure,
        };
        batch.iter().map(|_| Err(failure.clone().into())).collect()
    }

    /// These renewals, those together that one call may have.
    fn batches<'a>(&self, renewals: &'a [Renewal<'a>]) -> Vec<Batch<'a>> {
        let mut by_part: HashMap<_, Batch<'a>> = HashMap::new();
        for placed in renewals.iter().enumerate() {
            let part = self.redis.part(&keys_of(placed.1.key).lease);
            by_part.entry(part).or_default().push(placed);
        }
        let batches = by_part.values().flat_map(|batch| batch.chunks(BATCH));
        batches.map(<[_]>::to_vec).collect()
    }
}

fn places<'a>(batches: &'a [Batch<'_>]) -> impl Iterator<Item = usize> + 'a {
    batches.iter().flatten().map(|(place, _)| *place)
}

fn read_grant(answer: &[String]) -> Result<Found<Grant>> {
    let fields: Vec<_> = answer.iter().map(String::as_str).collect();
    match *fields.as_slice() {
        ["granted", lease, expired] => found(Grant::Granted(read_lease(lease)?), expired),
        ["full", _, expired] => found(Grant::Full, expired),
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

fn read_extensions(answers: &[String]) -> impl Iterator<Item = Result<Found<Extension>>> {
    answers.as_chunks::<3>().0.iter().map(read_extension)
}

fn read_extension([outcome, lease, expired]: &[String; 3]) -> Result<Found<Extension>> {
    match outcome.as_str() {
        "extended" => found(Extension::Extended(read_lease(lease)?), expired),
        "lost" => found(Extension::Lost, expired),
        _ => Err(unexpected("locks.extend")),
    }
}

fn with_keys<'a>(call: Call<'a>, key: &LockKey) -> Call<'a> {
    let LockKeys {
        lease,
        queue,
        waiters,
    } = keys_of(key);
    call.key(lease).key(queue).key(waiters)
}

/// Every script may run twice without harm, so a dropped connection is repeated like a read.
#[async_trait]
impl LockStore for RedisLocks {
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>> {
        let answer: Answer<Vec<String>> = self
            .call(&ACQUIRE, attempt.key)
            .arg(attempt.token)
            .arg(attempt.owner)
            .arg(millis(attempt.ttl))
            .arg(keys::wake_channel(attempt.process))
            .arg(u8::from(attempt.waits))
            .arg(u8::from(attempt.again))
            .arg(millis(attempt.ttl + RETENTION))
            .read()
            .await?;
        match answer {
            Answer::Text(lease) => found(Grant::Granted(read_lease(&lease)?), ""),
            Answer::Parts(parts) => read_grant(&parts),
        }
    }

    fn share_a_step(&self, keys: &[&LockKey]) -> bool {
        self.redis.share_a_part(keys.iter().map(|key| keys_of(key).lease))
    }

    async fn acquire_together(&self, attempts: &[Attempt<'_>], whole: bool) -> Result<Vec<Found<Grant>>> {
        let Some(first) = attempts.first() else {
            return Ok(Vec::new());
        };
        let mut call = self.redis.script(&ACQUIRE_ALL);
        for attempt in attempts {
            call = with_keys(call, attempt.key);
        }
        call = call
            .arg(first.owner)
            .arg(millis(first.ttl))
            .arg(keys::wake_channel(first.process))
            .arg(u8::from(first.again))
            .arg(u8::from(whole));
        for attempt in attempts {
            call = call.arg(attempt.token);
        }
        let answers: Vec<Vec<String>> = call.read().await?;
        answers.iter().map(|answer| read_grant(answer)).collect()
    }

    async fn beat(&self, key: &LockKey, process: &str) -> Result<Found<Beat>> {
        let (tokens, remaining, was_dead, is_next, expired): (String, String, String, String, String) = self
            .call(&BEAT, key)
            .arg(keys::wake_channel(process))
            .read()
            .await?;
        let beat = Beat {
            tokens,
            remaining: Duration::from_millis(number(&remaining)?),
            was_dead: was_dead == "1",
            is_next: is_next == "1",
        };
        found(beat, &expired)
    }

    async fn extend(&self, renewals: &[Renewal<'_>]) -> Vec<Result<Found<Extension>>> {
        // On a cluster a script has one slot. The calls to one node are sent together and share their round trip.
        let batches = self.batches(renewals);
        let answers = join_all(batches.iter().map(|batch| self.extend_together(batch))).await;
        in_place(places(&batches).zip(answers.into_iter().flatten()))
    }

    async fn extend_replicated(
        &self,
        renewals: &[Renewal<'_>],
        replicas: Replicas,
    ) -> Result<(Vec<Found<Extension>>, u32)> {
        let batches = self.batches(renewals);
        let calls = batches.iter().map(async |batch| {
            let call = self.extension(batch);
            let (answers, reached): (Vec<String>, u32) =
                call.replicated(replicas.count, replicas.within).await?;
            let found: Vec<_> = read_extensions(&answers).collect::<Result<_>>()?;
            Ok::<_, Error>((found, reached))
        });
        let answers = try_join_all(calls).await?;
        let fewest = answers.iter().map(|(_, reached)| *reached).min().unwrap_or(0);
        let found = answers.into_iter().flat_map(|(found, _)| found);
        Ok((in_place(places(&batches).zip(found)), fewest))
    }

    async fn release(&self, key: &LockKey, token: &str, process: &str) -> Result<Found<HandOver>> {
        let answer: Answer<(String, String, String, String)> = self
            .call(&RELEASE, key)
            .arg(token)
            .arg(keys::wake_channel(process))
            .read()
            .await?;
        let (outcome, lease, expired, next) = match answer {
            Answer::Text(lease) => {
                let released = Released::Done(Release::Released, Some(read_lease(&lease)?));
                return found(HandOver { released, next: None }, "");
            }
            Answer::Parts(parts) => parts,
        };
        let released = match outcome.as_str() {
            "released" => Released::Done(Release::Released, Some(read_lease(&lease)?)),
            "left" => Released::Left,
            "already_released" => Released::Done(Release::AlreadyReleased, None),
            "expired" => Released::Done(Release::Expired, None),
            "not_owner" => Released::NotOwner,
            _ => return Err(unexpected("locks.release")),
        };
        let next = read_optional_lease(&next)?;
        found(HandOver { released, next }, &expired)
    }

    async fn force_release(&self, key: &LockKey) -> Result<Found<Option<Lease>>> {
        let (_, lease, expired): (String, String, String) = self.call(&FORCE, key).read().await?;
        found(read_optional_lease(&lease)?, &expired)
    }

    async fn note_held(&self, tenant: Option<&TenantId>, names: &[(LockName, Duration)]) -> Result<()> {
        for some in names.chunks(BATCH) {
            let mut call = self
                .redis
                .script(&HELD)
                .key(keys::held_locks(tenant.map(AsRef::as_ref)));
            for (name, remaining) in some {
                call = call.arg(name.as_str()).arg(millis(*remaining));
            }
            call.read::<i64>().await?;
        }
        Ok(())
    }

    async fn noted(&self, tenant: Option<&TenantId>) -> Result<Vec<LockName>> {
        let mut command = redis::cmd("ZRANGE");
        command
            .arg(keys::held_locks(tenant.map(AsRef::as_ref)))
            .arg(0)
            .arg(-1);
        let names: Vec<String> = self.redis.read(&command).await?;
        names.iter().map(|name| LockName::parse(name)).collect()
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
        if text.starts_with("ended\t") {
            return Ok(None);
        }
        let lease = read_lease(&text)?;
        Ok((lease.expires_at > now).then_some(LockState {
            owner: lease.owner,
            fence: lease.fence,
            acquired_at: lease.acquired_at,
            expires_at: lease.expires_at,
            waiters,
        }))
    }

    fn listen(&self, process: &str) -> Box<dyn Wakes> {
        Box::new(RedisWakes(self.redis.subscribe(&keys::wake_channel(process))))
    }
}

/// What a script answers: in the common case one text, because lists cost the server more.
enum Answer<T> {
    Text(String),
    Parts(T),
}

impl<T: FromRedisValue> FromRedisValue for Answer<T> {
    fn from_redis_value(value: Value) -> std::result::Result<Self, ParsingError> {
        match value {
            Value::Array(_) => T::from_redis_value(value).map(Self::Parts),
            text => String::from_redis_value(text).map(Self::Text),
        }
    }
}

struct RedisWakes(Subscription);

#[async_trait]
impl Wakes for RedisWakes {
    async fn next(&mut self) -> Wake {
        match self.0.next().await {
            Event::Message(message) => {
                let message = String::from_utf8_lossy(&message);
                match message.strip_prefix('!') {
                    Some(tokens) => Wake::Forced(tokens.to_owned()),
                    None => Wake::Waiter(message.into_owned()),
                }
            }
            Event::Reconnected => Wake::Everybody,
        }
    }
}

fn keys_of(key: &LockKey) -> LockKeys {
    keys::lock(key.tenant.as_ref().map(AsRef::as_ref), key.name.as_str())
}

fn found<T>(answer: T, expired: &str) -> Result<Found<T>> {
    Ok(Found {
        answer,
        expired: read_optional_lease(expired)?,
    })
}

fn read_optional_lease(text: &str) -> Result<Option<Lease>> {
    if text.is_empty() {
        Ok(None)
    } else {
        read_lease(text).map(Some)
    }
}

/// Reads a lease that has not ended by a release, as `queue.lua` writes it.
fn read_lease(text: &str) -> Result<Lease> {
    let mut fields = text.splitn(9, '\t').skip(1);
    let mut field = || fields.next().ok_or_else(|| unexpected("lease"));
    let (fence, _before, token, expires) = (field()?, field()?, field()?, field()?);
    let (acquired, _again, _channel, owner) = (field()?, field()?, field()?, field()?);
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

#[cfg(test)]
mod tests {
    use crate::backends::redis::LONGEST_WAIT;
    use crate::locks::AcquireOptions;
    use crate::locks::store::{CLAIM, LIFE, MAX_ENTRIES, RETENTION};

    #[test]
    fn no_wait_for_replicas_is_longer_than_the_connection_allows() {
        assert_eq!(AcquireOptions::MAX_REPLICAS_WITHIN, LONGEST_WAIT);
    }

    #[test]
    fn the_scripts_know_the_same_times_as_the_service() {
        let lease = include_str!("lease.lua");
        let (life, claim) = (LIFE.as_millis(), CLAIM.as_millis());
        assert!(lease.contains(&format!("local LIFE, CLAIM = {life}, {claim}\n")));
        assert!(lease.contains(&format!("local RETENTION = {}\n", RETENTION.as_millis())));
        assert!(include_str!("acquire.lua").contains(&format!("local MOST_ENTRIES = {MAX_ENTRIES}\n")));
    }
}
