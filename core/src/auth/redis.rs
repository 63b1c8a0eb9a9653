//! What processes tell each other about sessions, and the attempts to sign in, in Redis.
//!
//! Nothing here is the truth: a Redis that lost everything makes sign-in slower, or forgets a wait, and never lets
//! anybody in. Keys hold no names: accounts are known by a keyed hash.

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::store::{Attempt, SessionCache, SessionState, Shared, Throttle};
use super::throttle::Quota;
use crate::TenantId;
use crate::backends::redis::{Redis, Script, keys};
use crate::error::Result;

static LOOK: Script = Script::new("auth.look", include_str!("look.lua"));
static SHARE: Script = Script::new("auth.share", include_str!("share.lua"));
static ATTEMPT: Script = Script::new("auth.attempt", include_str!("attempt.lua"));
static ADDRESS: Script = Script::new("auth.address", include_str!("address.lua"));

/// What stands for a session that has ended.
const ENDED: &str = "ended";

/// A session's state as it is shared.
#[derive(Serialize, Deserialize)]
struct Wire {
    user: String,
    tenant: Option<String>,
    role: String,
    active: bool,
    superuser: bool,
    must_change: bool,
    /// Microseconds since 1970.
    expires: i64,
    changed: i64,
}

impl Wire {
    fn of(state: &SessionState) -> Self {
        Self {
            user: state.user.clone(),
            tenant: state.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
            role: state.role.as_str().to_owned(),
            active: state.is_active,
            superuser: state.is_superuser,
            must_change: state.must_change,
            expires: state.expires_at.timestamp_micros(),
            changed: state.password_changed_at.timestamp_micros(),
        }
    }

    /// `None` for what no process of ours wrote.
    fn state(self) -> Option<SessionState> {
        Some(SessionState {
            user: self.user,
            tenant: self.tenant.map(|id| TenantId::parse(&id)).transpose().ok()?,
            role: Role::parse(&self.role)?,
            is_active: self.active,
            is_superuser: self.superuser,
            must_change: self.must_change,
            is_revoked: false,
            // Refreshing asks the database; nobody needs the token's id from here.
            token: String::new(),
            expires_at: DateTime::from_timestamp_micros(self.expires)?,
            password_changed_at: DateTime::from_timestamp_micros(self.changed)?,
        })
    }
}

/// Session states with a life of seconds.
pub(crate) struct RedisSessionCache {
    redis: Redis,
}

impl RedisSessionCache {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl SessionCache for RedisSessionCache {
    async fn get(&self, id: &str) -> Result<Shared> {
        let (asked_at, text, life): (u64, String, i64) =
            self.redis.script(&LOOK).key(keys::sign_in(id)).read().await?;
        let life = Duration::from_millis(u64::try_from(life).unwrap_or(0));
        let state = if text == ENDED {
            Some((ended(), life))
        } else {
            let known = serde_json::from_str::<Wire>(&text).ok().and_then(Wire::state);
            known.map(|state| (state, life))
        };
        Ok(Shared { state, asked_at })
    }

    async fn put(&self, id: &str, state: &SessionState, asked_at: u64, life: Duration) -> Result<()> {
        let text = serde_json::to_string(&Wire::of(state)).unwrap_or_default();
        let until = asked_at.saturating_add(millis(life));
        let call = self.redis.script(&SHARE).key(keys::sign_in(id));
        // Sharing twice does no harm.
        let _: i64 = call.arg(text).arg(until).arg(ENDED).read().await?;
        Ok(())
    }

    async fn revoke(&self, id: &str, life: Duration) -> Result<()> {
        let mut command = redis::cmd("SET");
        command
            .arg(keys::sign_in(id))
            .arg(ENDED)
            .arg("PX")
            .arg(millis(life));
        self.redis.read::<()>(&command).await?;
        Ok(())
    }
}

/// The state of a session of which only its end is known.
fn ended() -> SessionState {
    SessionState {
        user: String::new(),
        tenant: None,
        role: Role::Guest,
        is_active: false,
        is_superuser: false,
        must_change: false,
        is_revoked: true,
        token: String::new(),
        expires_at: DateTime::UNIX_EPOCH,
        password_changed_at: DateTime::UNIX_EPOCH,
    }
}

/// Attempts to sign in, counted for all processes.
pub(crate) struct RedisThrottle {
    redis: Redis,
    quota: Quota,
}

impl RedisThrottle {
    pub(crate) fn new(redis: Redis) -> Self {
        Self {
            redis,
            quota: Quota::NORMAL,
        }
    }

    async fn account(&self, what: &str, account: &str) -> Result<i64> {
        let call = self.redis.script(&ATTEMPT).key(keys::sign_in_account(account));
        let wait = call
            .arg(what)
            .arg(self.quota.free)
            .arg(millis(self.quota.longest_wait))
            .arg(millis(self.quota.memory))
            .arg(self.quota.most)
            .arg(millis(self.quota.day))
            .write()
            .await?;
        Ok(wait)
    }

    async fn address(&self, what: &str, address: &str) -> Result<i64> {
        let call = self.redis.script(&ADDRESS).key(keys::sign_in_address(address));
        let wait = call
            .arg(what)
            .arg(millis(self.quota.interval))
            .arg(self.quota.burst)
            .write()
            .await?;
        Ok(wait)
    }
}

#[async_trait]
impl Throttle for RedisThrottle {
    async fn attempt(&self, attempt: &Attempt) -> Result<Option<Duration>> {
        let mut wait = 0;
        if let Some(address) = &attempt.address {
            wait = self.address("attempt", address).await?;
        }
        if wait == 0 {
            wait = self.account("attempt", &attempt.account).await?;
        }
        Ok(u64::try_from(wait)
            .ok()
            .filter(|wait| *wait > 0)
            .map(Duration::from_millis))
    }

    async fn succeeded(&self, attempt: &Attempt) -> Result<()> {
        self.account("succeeded", &attempt.account).await?;
        if let Some(address) = &attempt.address {
            self.address("undo", address).await?;
        }
        Ok(())
    }

    async fn undo(&self, attempt: &Attempt) -> Result<()> {
        self.account("undo", &attempt.account).await?;
        if let Some(address) = &attempt.address {
            self.address("undo", address).await?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
