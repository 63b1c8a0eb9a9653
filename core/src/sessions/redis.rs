//! Conversations in Redis: one string per conversation, and a sorted set per tenant that knows which ones live.
//!
//! The two keys stand in different slots of a cluster, so they are changed by two calls that share one round trip.
//! The index is therefore a good guess, corrected by time: what has ended leaves it by its score, and what
//! another program stored joins it when this one next meets it. No conversation is lost or kept by its mistakes.

use std::time::Duration;

use ::redis::{FromRedisValue, ParsingError, Pipeline, Value, cmd, from_redis_value};
use async_trait::async_trait;
use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::document::Document;
use super::model::{ActiveSession, Address, corrupt};
use super::recent::Recent;
use super::store::{Replaced, Replacement, SessionStore, Stored};
use super::version::Version;
use crate::TenantId;
use crate::backends::redis::{Failure, Redis, Script, keys};
use crate::clock::{SharedClock, life_millis};
use crate::error::{Error, Result};
use crate::metrics::SESSION_EXPIRATIONS_TOTAL;
use crate::task::{Need, Tasks};

static CREATE: Script = Script::new("sessions.create", include_str!("create.lua"));
static REPLACE: Script = Script::new("sessions.replace", include_str!("replace.lua"));
static NOTE: Script = Script::new("sessions.note", include_str!("note.lua"));
static TOUCH: Script = Script::new("sessions.touch", include_str!("touch.lua"));
static LIST: Script = Script::new("sessions.list", include_str!("list.lua"));
static COUNT: Script = Script::new("sessions.count", include_str!("count.lua"));

/// What `PTTL` answers when there is no such key.
const ABSENT: i64 = -2;
/// How far an index may be off about the end of a conversation before it is corrected.
const SLACK: Duration = Duration::from_secs(2);
/// How long a tenant is taken to be on the list of tenants.
const TENANT_NOTED: Duration = Duration::from_mins(10);
/// How long a conversation that another program stored without an end is listed after it was last met.
const ENDLESS: Duration = Duration::from_hours(24);
/// How long a change of an index is repeated that fails.
const REPEATED: Duration = Duration::from_mins(10);
/// How many conversations are removed at a time, and how many of them at once.
const PURGE: (usize, usize) = (500, 32);

/// The adapter.
#[derive(Clone)]
pub(crate) struct RedisSessions {
    redis: Redis,
    clock: SharedClock,
    tasks: Tasks,
    recent: std::sync::Arc<Recent>,
}

impl RedisSessions {
    pub(crate) fn new(redis: Redis, clock: SharedClock, tasks: Tasks) -> Self {
        Self {
            redis,
            clock,
            tasks,
            recent: std::sync::Arc::new(Recent::new(65_536)),
        }
    }

    /// Whether the index is known to hold the conversation up to `ttl` from now.
    fn is_noted(&self, at: &Address, ttl: Duration) -> bool {
        self.recent.covers(at, self.clock.instant() + ttl, SLACK)
    }

    /// Notes in the index that the conversation lives for `ttl`.
    async fn note(&self, at: &Address, ttl: Duration, only_known: bool) -> Result<(), Failure> {
        let tenant = at.tenant.as_ref();
        let now = self.clock.instant();
        let (outcome, ()) = tokio::join!(
            self.redis
                .script(&NOTE)
                .key(keys::session_index(tenant))
                .arg(life_millis(ttl))
                .arg(&*at.user)
                .arg(if only_known { "XX" } else { "" })
                .read::<u64>(),
            self.note_tenant(tenant),
        );
        let ended = outcome?;
        if !only_known {
            self.recent.note(at, now + ttl, now);
        }
        metrics::counter!(SESSION_EXPIRATIONS_TOTAL, "reason" => "ttl").increment(ended);
        Ok(())
    }

    /// Notes it behind the caller's back, and repeats that while it fails.
    fn note_later(&self, at: &Address, ttl: Duration, only_known: bool) {
        let (this, at) = (self.clone(), at.clone());
        let what = "the entry of a conversation in the index of its tenant";
        self.tasks.until_done(what, Need::Sure, REPEATED, move || {
            let (this, at) = (this.clone(), at.clone());
            async move { Ok(this.note(&at, ttl, only_known).await?) }
        });
    }

    /// Takes it out of the index behind the caller's back, and repeats that while it fails.
    fn forget_later(&self, at: &Address) {
        let (this, at) = (self.clone(), at.clone());
        let what = "the end of a conversation in the index of its tenant";
        self.tasks.until_done(what, Need::Sure, REPEATED, move || {
            let (this, at) = (this.clone(), at.clone());
            async move { Ok(this.forget(&at).await?) }
        });
    }

    async fn note_tenant(&self, tenant: Option<&TenantId>) {
        let now = self.clock.instant();
        let Some(tenant) = tenant.filter(|tenant| !self.recent.covers(tenant, now, Duration::ZERO)) else {
            return;
        };
        let mut command = cmd("SADD");
        command.arg(keys::session_tenants()).arg(tenant.as_str());
        if self.redis.read::<u64>(&command).await.is_ok() {
            self.recent.note(tenant, now + TENANT_NOTED, now);
        }
    }

    /// Corrects the index behind the caller's back, if what was read is not as it was noted.
    fn correct(&self, at: &Address, stored: &Stored) {
        let ttl = stored.time_to_live.unwrap_or(ENDLESS);
        if !self.is_noted(at, ttl) {
            self.note_later(at, ttl, false);
        }
    }

    /// Removes keys, each by a call of its own because each may stand in another slot.
    async fn unlink(&self, keys: Vec<Vec<u8>>) -> Result<u64, Failure> {
        let unlink = |key: Vec<u8>| async move {
            let mut command = cmd("UNLINK");
            command.arg(key);
            self.redis.read::<u64>(&command).await
        };
        let removed: Vec<u64> = stream::iter(keys)
            .map(unlink)
            .buffer_unordered(PURGE.1)
            .try_collect()
            .await?;
        Ok(removed.into_iter().sum())
    }

    /// Removes what no index knows of. The app does not escape its keys, so the document itself must say that it
    /// belongs to whom the pattern means. A cluster is not walked.
    async fn purge_strays(
        &self,
        pattern: String,
        belongs: impl Fn(&Document) -> bool + Send + Sync,
    ) -> Result<u64, Failure> {
        let (mut cursor, mut purged) = ("0".to_owned(), 0);
        while !self.redis.is_cluster() {
            let mut command = cmd("SCAN");
            command
                .arg(&cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(1000);
            let (next, keys): (String, Vec<Vec<u8>>) = self.redis.read(&command).await?;
            let mut strays = Vec::new();
            for key in keys {
                match self.redis.read::<Option<Vec<u8>>>(cmd("GET").arg(&key)).await {
                    Ok(Some(body)) if Document::parse(&body).is_ok_and(|document| belongs(&document)) => {
                        strays.push(key);
                    }
                    Ok(_) | Err(Failure::WrongType) => {}
                    Err(failure) => return Err(failure),
                }
            }
            purged += self.unlink(strays).await?;
            if next == "0" {
                break;
            }
            cursor = next;
        }
        Ok(purged)
    }

    async fn forget(&self, at: &Address) -> Result<(), Failure> {
        self.recent.forget(at);
        let mut command = cmd("ZREM");
        command
            .arg(keys::session_index(at.tenant.as_ref()))
            .arg(&*at.user);
        self.redis.read::<u64>(&command).await.map(drop)
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    fn key(&self, user: &str, tenant: Option<&TenantId>) -> String {
        keys::session(tenant, user)
    }

    async fn read(&self, at: &Address) -> Result<Option<Stored>> {
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("GET").arg(at.key()).cmd("PTTL").arg(at.key());
        let (body, left): (Option<Vec<u8>>, i64) =
            named(|| at.shown(), self.redis.read_all(&commands).await)?;
        // Between the two it may have ended.
        let stored = body.filter(|_| left != ABSENT).map(|body| stored((body, left)));
        if let Some(stored) = &stored {
            self.correct(at, stored);
        }
        Ok(stored)
    }

    async fn create(&self, at: &Address, body: &str, ttl: Duration) -> Result<(Stored, bool)> {
        let create = self
            .redis
            .script(&CREATE)
            .key(at.key())
            .arg(body)
            .arg(life_millis(ttl))
            .read::<(Vec<u8>, i64, bool)>();
        // An unknown conversation will exist after this call, so the index learns of it in the same round trip.
        let is_noted = self.is_noted(at, Duration::ZERO);
        let (reply, noted) = if is_noted {
            (create.await, Ok(()))
        } else {
            tokio::join!(create, self.note(at, ttl, false))
        };
        let (body, left, is_new) = named(|| at.shown(), reply)?;
        let stored = stored((body, left));
        if noted.is_err() || is_noted && is_new && self.note(at, ttl, false).await.is_err() {
            // In the second case another caller had deleted what we had noted, and its entry with it.
            self.note_later(at, ttl, false);
        } else {
            self.correct(at, &stored);
        }
        Ok((stored, is_new))
    }

    async fn replace(&self, at: &Address, replacement: Replacement<'_>) -> Result<Replaced> {
        let Replacement {
            expected,
            new,
            ttl,
            is_repeat,
        } = replacement;
        let repeated = if is_repeat {
            Version::of(new.as_bytes()).hex()
        } else {
            String::new()
        };
        let replace = self
            .redis
            .script(&REPLACE)
            .key(at.key())
            .arg(expected.hex())
            .arg(new)
            .arg(repeated)
            .arg(life_millis(ttl))
            .write::<Reply>();
        let (reply, noted) = if self.is_noted(at, ttl) {
            (replace.await, Ok(()))
        } else {
            tokio::join!(replace, self.note(at, ttl, false))
        };
        Ok(match named(|| at.shown(), reply)? {
            Reply::Done => {
                if noted.is_err() {
                    self.note_later(at, ttl, false);
                }
                Replaced::Done
            }
            Reply::Other(body, left) => Replaced::Occupied(stored((body, left))),
            Reply::Missing => {
                self.forget_later(at);
                Replaced::Missing
            }
        })
    }

    async fn touch(&self, at: &Address, ttl: Duration) -> Result<bool> {
        let renew = self
            .redis
            .script(&TOUCH)
            .key(at.key())
            .arg(life_millis(ttl))
            .read::<i64>();
        let (reply, noted) = tokio::join!(renew, self.note(at, ttl, true));
        match named(|| at.shown(), reply)? {
            0 => Ok(false),
            1 => {
                if noted.is_err() {
                    self.note_later(at, ttl, true);
                }
                Ok(true)
            }
            _ => Err(corrupt(at)),
        }
    }

    async fn delete(&self, at: &Address) -> Result<bool> {
        let mut command = cmd("GETDEL");
        command.arg(at.key());
        let (reply, forgotten) = tokio::join!(self.redis.write::<Option<Vec<u8>>>(&command), self.forget(at));
        let was_there = named(|| at.shown(), reply)?.is_some();
        if forgotten.is_err() {
            self.forget_later(at);
        }
        Ok(was_there)
    }

    async fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<ActiveSession>> {
        let index = keys::session_index(tenant);
        let reply: Vec<(String, i64)> = named(
            || index.clone(),
            self.redis.script(&LIST).key(&index).read().await,
        )?;
        let now = self.clock.now();
        Ok(reply
            .into_iter()
            .map(|(user, left)| ActiveSession {
                user,
                expires: now + TimeDelta::milliseconds(left),
            })
            .collect())
    }

    async fn count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        let index = keys::session_index(tenant);
        named(
            || index.clone(),
            self.redis.script(&COUNT).key(&index).read().await,
        )
    }

    async fn purge_tenant(&self, tenant: &TenantId) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut command = cmd("ZRANGE");
            command
                .arg(keys::session_index(Some(tenant)))
                .arg(0)
                .arg(PURGE.0 - 1);
            let users: Vec<String> = self.redis.read(&command).await?;
            if users.is_empty() {
                break;
            }
            let keys = users.iter().map(|user| keys::session(Some(tenant), user).into());
            purged += self.unlink(keys.collect()).await?;
            let mut command = cmd("ZREM");
            command.arg(keys::session_index(Some(tenant))).arg(&users);
            self.redis.read::<u64>(&command).await?;
        }
        let name = tenant.as_str();
        let strays = self.purge_strays(keys::sessions_of_tenant(tenant), |document| {
            document.tenant_id() == Some(name)
        });
        Ok(purged + strays.await?)
    }

    async fn purge_user(&self, user: &str) -> Result<u64> {
        let tenants: Vec<_> = self
            .tenants()
            .await?
            .into_iter()
            .map(Some)
            .chain([None])
            .collect();
        let keys = tenants
            .iter()
            .map(|tenant| keys::session(tenant.as_ref(), user).into());
        let purged = self.unlink(keys.collect()).await?;
        for tenant in &tenants {
            self.forget(&Address::new(self, user, tenant.as_ref())?).await?;
        }
        let strays = self.purge_strays(keys::sessions_of_user(user), |document| {
            document.user_id() == Some(user)
        });
        Ok(purged + strays.await?)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let mut command = cmd("SMEMBERS");
        command.arg(keys::session_tenants());
        let names: Vec<String> = self.redis.read(&command).await?;
        Ok(names
            .iter()
            .filter_map(|name| TenantId::parse(name).ok())
            .collect())
    }
}

impl std::fmt::Debug for RedisSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSessions").finish_non_exhaustive()
    }
}

/// What `replace.lua` answers.
enum Reply {
    Done,
    Missing,
    /// Another text is there, with this number of milliseconds to live.
    Other(Vec<u8>, i64),
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> std::result::Result<Self, ParsingError> {
        Ok(match value {
            Value::Int(1) => Self::Done,
            Value::Int(0) => Self::Missing,
            other => {
                let (body, left) = from_redis_value(other)?;
                Self::Other(body, left)
            }
        })
    }
}

fn stored((body, left): (Vec<u8>, i64)) -> Stored {
    Stored {
        body,
        time_to_live: u64::try_from(left).ok().map(Duration::from_millis),
    }
}

/// A failure names the key that it is about.
fn named<T>(key: impl FnOnce() -> String, reply: Result<T, Failure>) -> Result<T> {
    reply.map_err(|failure| Error::from(failure).with("key", key()))
}
