//! What processes tell each other about sessions, and the attempts to sign in, in Redis.
//!
//! Nothing here is the truth: a Redis that lost everything makes sign-in slower, or forgets a wait, and never lets
//! anybody in. Keys hold no names: accounts are known by a keyed hash.
//!
//! Nor can a program that writes to Redis let anybody in. The state of a live session is signed with the key ring, for
//! this session and this moment: what was changed, made up, copied from another session or kept from before is not
//! believed, and the database is asked. Only the end of a session is believed as it stands, because it can only make
//! us stricter. How old a state is follows from what is signed, not from the life of its key, which anybody can put
//! off.

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::store::{Asked, Attempt, SessionCache, SessionState, Shared, Throttle};
use super::throttle::Quota;
use super::token::KeyRing;
use crate::TenantId;
use crate::backends::redis::{Redis, Script, keys};
use crate::clock::{SharedClock, life_millis};
use crate::error::Result;

static LOOK: Script = Script::new("auth.look", include_str!("look.lua"));
static SHARE: Script = Script::new("auth.share", include_str!("share.lua"));
static ATTEMPT: Script = Script::new("auth.attempt", include_str!("attempt.lua"));
static ADDRESS: Script = Script::new("auth.address", include_str!("address.lua"));

/// What stands for a session that has ended.
const ENDED: &str = "ended";
/// What states are signed for.
const SIGNED: &str = "session state";
/// The longest state with its signature, in bytes; ids have at most 255.
const LONGEST: usize = 4096;
/// How far the clocks of two machines may be apart before they stop sharing. It also bounds for how long a Redis that
/// lies about the time can keep a state alive.
const CLOCKS_APART: Duration = Duration::from_secs(30);

/// A session's state as it is shared.
#[derive(Serialize, Deserialize)]
struct StoredState {
    user: String,
    tenant: Option<String>,
    role: String,
    active: bool,
    superuser: bool,
    must_change: bool,
    /// Microseconds since 1970.
    expires: i64,
    changed: i64,
    /// When the state was not yet read: milliseconds of the clock of Redis, and of the process's own.
    asked_there: u64,
    asked_here: i64,
}

impl StoredState {
    fn of(state: &SessionState, asked: Asked) -> Self {
        Self {
            user: state.user.clone(),
            tenant: state.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
            role: state.role.as_str().to_owned(),
            active: state.is_active,
            superuser: state.is_superuser,
            must_change: state.must_change,
            expires: state.expires_at.timestamp_micros(),
            changed: state.password_changed_at.timestamp_micros(),
            asked_there: asked.there,
            asked_here: asked.here,
        }
    }

    /// How old it is by both clocks, if they agree.
    fn age(&self, now: Asked) -> Option<Duration> {
        let there = Duration::from_millis(now.there.checked_sub(self.asked_there)?);
        let here = i128::from(now.here) - i128::from(self.asked_here);
        let apart = here.abs_diff(i128::try_from(there.as_millis()).ok()?);
        (apart <= CLOCKS_APART.as_millis()).then_some(there)
    }

    /// `None` for what no process of ours wrote.
    fn state(self) -> Option<SessionState> {
        Some(SessionState {
            user: self.user,
            tenant: self.tenant.map(|id| TenantId::parse(&id)).transpose().ok()?,
            role: Role::parse(&self.role).ok()?,
            is_active: self.active,
            is_superuser: self.superuser,
            must_change: self.must_change,
            is_revoked: false,
            // Refreshing asks the database; the token's id is not read from here.
            token: String::new(),
            expires_at: DateTime::from_timestamp_micros(self.expires)?,
            password_changed_at: DateTime::from_timestamp_micros(self.changed)?,
        })
    }
}

/// Session states with a life of seconds, each `<signature>.<JSON>`.
pub(crate) struct RedisSessionCache {
    redis: Redis,
    keys: KeyRing,
    clock: SharedClock,
}

impl RedisSessionCache {
    pub(crate) fn new(redis: Redis, keys: KeyRing, clock: SharedClock) -> Self {
        Self { redis, keys, clock }
    }

    fn signed(&self, id: &str, stored: &StoredState) -> String {
        let text = serde_json::to_string(stored).unwrap_or_default();
        format!("{}.{text}", self.keys.derive(SIGNED, &[id, &text]))
    }

    /// A state that a process with one of our keys shared for this session, and its age.
    fn read(&self, id: &str, stored: &str, now: Asked) -> Option<(SessionState, Duration)> {
        if stored.len() > LONGEST {
            return None;
        }
        let (signature, text) = stored.split_once('.')?;
        if !self
            .keys
            .is_derived(signature, SIGNED, &[id, text], self.clock.now())
        {
            return None;
        }
        let stored: StoredState = serde_json::from_str(text).ok()?;
        let age = stored.age(now)?;
        stored.state().map(|state| (state, age))
    }
}

#[async_trait]
impl SessionCache for RedisSessionCache {
    async fn get(&self, id: &str) -> Result<Shared> {
        // The own clock is read before the answer comes, so that no state looks younger than it is.
        let here = self.clock.now().timestamp_millis();
        let (there, stored): (u64, String) = self.redis.script(&LOOK).key(keys::sign_in(id)).read().await?;
        let asked = Asked { there, here };
        let state = if stored == ENDED {
            Some((ended(), Duration::ZERO))
        } else {
            self.read(id, &stored, asked)
        };
        Ok(Shared { state, asked })
    }

    async fn put(&self, id: &str, state: &SessionState, asked: Asked, life: Duration) -> Result<()> {
        let text = self.signed(id, &StoredState::of(state, asked));
        let until = asked.there.saturating_add(life_millis(life));
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
            .arg(life_millis(life));
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
            .arg(life_millis(self.quota.longest_wait))
            .arg(life_millis(self.quota.memory))
            .arg(self.quota.most)
            .arg(life_millis(self.quota.day))
            .write()
            .await?;
        Ok(wait)
    }

    async fn address(&self, what: &str, address: &str) -> Result<i64> {
        let call = self.redis.script(&ADDRESS).key(keys::sign_in_address(address));
        let wait = call
            .arg(what)
            .arg(life_millis(self.quota.interval))
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
