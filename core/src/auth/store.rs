//! The ports: users and their sessions, what other processes know of a session, and attempts that are counted.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::model::{SignInSession, User};
use super::role::Role;
use crate::TenantId;
use crate::error::{Error, Result, codes};

/// Whose data it is. Every call on a user's data names the hotel as well; another hotel's user is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: String,
    pub(crate) tenant: Option<TenantId>,
}

/// How a user is named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum UserKey<'a> {
    Username(&'a str),
    Id(&'a str),
}

/// A user with what only the service may see. Not `Debug`: the hash is a secret.
#[derive(Clone)]
pub(crate) struct StoredUser {
    pub(crate) user: User,
    pub(crate) hash: String,
    /// Whether the user has no hotel, or one that exists, is active, and is the one that it was.
    pub(crate) tenant_active: bool,
    pub(crate) needs_second_factor: bool,
    pub(crate) locked_until: Option<DateTime<Utc>>,
}

impl StoredUser {
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            user: self.user.id.clone(),
            tenant: self.user.tenant.clone(),
        }
    }

    /// Whether the right password, or a token for it, opens anything at all.
    pub(crate) fn may_sign_in(&self, now: DateTime<Utc>) -> bool {
        self.closed_by(now).is_none()
    }

    /// What keeps the user out, in one word for the audit.
    pub(crate) fn closed_by(&self, now: DateTime<Utc>) -> Option<&'static str> {
        if !self.user.is_active {
            Some("inactive")
        } else if !self.tenant_active {
            Some("hotel")
        } else if self.locked_until.is_some_and(|until| until > now) {
            Some("locked")
        } else {
            None
        }
    }
}

/// A session as it is now, with what decides whether its tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionState {
    pub(crate) user: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) role: Role,
    /// Whether user and hotel are active.
    pub(crate) is_active: bool,
    pub(crate) is_superuser: bool,
    pub(crate) must_change: bool,
    pub(crate) is_revoked: bool,
    /// The id of the refresh token that is good.
    pub(crate) token: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) password_changed_at: DateTime<Utc>,
}

/// A session to be begun.
#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) id: String,
    pub(crate) owner: Owner,
    pub(crate) token: String,
    pub(crate) now: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) user_agent: Option<String>,
    pub(crate) address: Option<String>,
    /// The password that was verified was set then; if it was changed since, the session must not begin.
    pub(crate) password_changed_at: DateTime<Utc>,
    /// How many live sessions the user may have, this one included.
    pub(crate) limit: usize,
}

/// One refresh token for the next, if it is still the good one.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    pub(crate) session: String,
    pub(crate) owner: Owner,
    pub(crate) old: String,
    pub(crate) next: String,
    pub(crate) now: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    /// However often it is refreshed, the session ends this long after it began.
    pub(crate) longest: Duration,
}

/// A new password, unless another change was faster.
#[derive(Clone)]
pub(crate) struct PasswordChange {
    pub(crate) owner: Owner,
    pub(crate) old_hash: String,
    pub(crate) new_hash: String,
    pub(crate) must_change: bool,
    pub(crate) now: DateTime<Utc>,
    /// How many old hashes are kept.
    pub(crate) history: usize,
}

/// Which sessions of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionSet {
    One(String),
    All,
    AllBut(String),
}

/// Users, sessions and old passwords. Every write is one statement or one transaction.
#[async_trait]
pub(crate) trait AuthStore: Send + Sync {
    /// `auth.user_exists` if the username is taken, or the e-mail in whatever case; `auth.invalid_user` if there is no
    /// such hotel.
    async fn insert(&self, user: &StoredUser, now: DateTime<Utc>) -> Result<()>;

    /// The user of that name or id, in that hotel if one is given.
    async fn find(&self, who: UserKey<'_>, tenant: Option<&TenantId>) -> Result<Option<StoredUser>>;

    async fn user(&self, owner: &Owner) -> Result<Option<StoredUser>>;

    /// Whether a hotel is served; `None` when there is none of that id.
    async fn is_active(&self, tenant: &TenantId) -> Result<Option<bool>>;

    /// Replaces a hash by a better one of the same password, unless it was changed. Touches nothing else.
    async fn rehash(&self, owner: &Owner, old: &str, new: &str) -> Result<bool>;

    async fn require_change(&self, owner: &Owner) -> Result<()>;

    /// The stored hash that takes longest to compute, of all hotels, if it takes longer than those of today.
    async fn costliest_hash(&self) -> Result<Option<String>>;

    /// Begins a session and ends the oldest ones beyond the limit; answers their ids. `None` if the password was
    /// changed, or user or hotel are not active any more.
    async fn begin(&self, session: &NewSession) -> Result<Option<Vec<String>>>;

    async fn session(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<SessionState>>;

    /// The state after the rotation, or `None` when the compare-and-set failed.
    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionState>>;

    /// Ends sessions; answers the ids of those that ended now.
    async fn revoke(&self, owner: &Owner, which: &SessionSet) -> Result<Vec<String>>;

    /// The live sessions, the newest first.
    async fn sessions(&self, owner: &Owner, now: DateTime<Utc>) -> Result<Vec<SignInSession>>;

    /// How many sessions are live, of all hotels: a number for people who watch the installation.
    async fn count(&self, now: DateTime<Utc>) -> Result<u64>;

    /// The old hashes, the newest first.
    async fn history(&self, owner: &Owner, limit: usize) -> Result<Vec<String>>;

    /// Sets the new hash, remembers the old one, and ends every session, all in one step; answers the ids of the
    /// sessions that ended. `None` if the hash is not the old one any more.
    async fn change_password(&self, change: &PasswordChange) -> Result<Option<Vec<String>>>;
}

/// What the others know of a session.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// A state and how old it is.
    pub(crate) state: Option<(SessionState, Duration)>,
    /// The moment of the answer.
    pub(crate) asked: Asked,
}

/// A moment by two clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// By the cache's own clock, which all processes share.
    pub(crate) there: u64,
    /// By the clock of this process.
    pub(crate) here: i64,
}

/// What processes tell each other about sessions. Only an accelerator: it may forget everything at any time.
#[async_trait]
pub(crate) trait SessionCache: Send + Sync {
    async fn get(&self, id: &str) -> Result<Shared>;

    /// Shares a live state until `life` after `asked`, which [`get`](Self::get) answered before the store was
    /// read. So a write that is late, by however much, shares nothing old. Never replaces a revocation.
    async fn put(&self, id: &str, state: &SessionState, asked: Asked, life: Duration) -> Result<()>;

    /// Tells everybody that the session has ended.
    async fn revoke(&self, id: &str, life: Duration) -> Result<()>;
}

/// The two quotas that an attempt takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The account, or the device; not the name itself.
    pub(crate) account: String,
    pub(crate) address: Option<String>,
}

/// Counts attempts to sign in. An attempt counts as failed until it is known to have succeeded.
#[async_trait]
pub(crate) trait Throttle: Send + Sync {
    /// Counts an attempt, or says how long to wait.
    async fn attempt(&self, attempt: &Attempt) -> Result<Option<Duration>>;

    /// The attempt succeeded: the account starts anew.
    async fn succeeded(&self, attempt: &Attempt) -> Result<()>;

    /// The attempt could not be judged, through no fault of the caller: it does not count.
    async fn undo(&self, attempt: &Attempt) -> Result<()>;
}

/// What the embedded store knows of hotels.
pub(crate) trait Hotels: Send + Sync {
    /// Whether the hotel is active; `None` when there is none.
    fn is_active(&self, tenant: &TenantId) -> Option<bool>;
}

pub(crate) fn no_such_tenant() -> Error {
    Error::field_invalid(codes::AUTH_INVALID_USER, "tenant", "there is no such tenant")
}

pub(crate) fn exists() -> Error {
    Error::new(
        codes::AUTH_USER_EXISTS,
        "the username or the e-mail address is taken",
    )
}

/// The memory of one process needs no other: there is no other process to tell.
pub(crate) struct NoCache;

#[async_trait]
impl SessionCache for NoCache {
    async fn get(&self, _: &str) -> Result<Shared> {
        Ok(Shared {
            state: None,
            asked: Asked { there: 0, here: 0 },
        })
    }

    async fn put(&self, _: &str, _: &SessionState, _: Asked, _: Duration) -> Result<()> {
        Ok(())
    }

    async fn revoke(&self, _: &str, _: Duration) -> Result<()> {
        Ok(())
    }
}
