//! The values of named locks: parsed at the edge, trusted inside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::{Code, Error, Result, codes};
use crate::tenants::TenantId;
use crate::text;

/// Longest owner, session or user, in bytes.
pub(crate) const MAX_OWNER_BYTES: usize = 255;

/// Longest reason of a release by force, in bytes.
pub(super) const MAX_REASON_BYTES: usize = 500;

/// The name of a lock, such as `reservation:guest123`: 1 to 200 bytes without control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockName(Arc<str>);

impl LockName {
    /// Longest name, in bytes. The audit's `lock_key` holds it whole.
    pub const MAX_BYTES: usize = 200;

    /// Reads a name.
    ///
    /// # Errors
    /// `locks.invalid_name` (field `name`) when it is empty, too long or holds control characters.
    pub fn parse(name: &str) -> Result<Self> {
        text::check(name, Self::MAX_BYTES)
            .map_err(|fault| Error::field_invalid(codes::LOCKS_INVALID_NAME, "name", fault))?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared.
    pub(super) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockName({:?})", &*self.0)
    }
}

/// How a lock is wanted. Every field has a sensible default; set only what matters.
///
/// ```
/// use std::time::Duration;
/// use posada::locks::AcquireOptions;
/// let options = AcquireOptions::new().ttl(Duration::from_secs(10)).wait(Duration::from_secs(5)).owner("night audit");
/// # drop(options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcquireOptions {
    pub(super) ttl: Duration,
    pub(super) wait: Duration,
    pub(super) owner: Option<String>,
    pub(super) auto_extend: bool,
    pub(super) max_hold: Duration,
    pub(super) tenant: Option<TenantId>,
    pub(super) reentrant: bool,
    pub(super) audit_misses: bool,
    pub(super) replicas: u32,
    pub(super) replicas_within: Duration,
}

impl AcquireOptions {
    /// Shortest time to live. Below it, clock drift and one slow answer eat the whole lease.
    pub const MIN_TTL: Duration = Duration::from_millis(10);
    /// Longest time to live. A lock that is needed for longer should extend itself.
    pub const MAX_TTL: Duration = Duration::from_hours(24);
    /// Longest wait.
    pub const MAX_WAIT: Duration = Duration::from_hours(1);
    /// Longest time to wait for replicas.
    pub const MAX_REPLICAS_WITHIN: Duration = Duration::from_secs(10);

    /// 30 seconds to live, no wait, no extension by itself, this process as the owner, no tenant.
    pub fn new() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            wait: Duration::ZERO,
            owner: None,
            auto_extend: false,
            max_hold: Duration::from_mins(10),
            tenant: None,
            reentrant: false,
            audit_misses: false,
            replicas: 0,
            replicas_within: Duration::from_secs(1),
        }
    }

    /// How long the lock lives unless it is extended: from 10 ms to a day.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long to wait for the lock, in the order of arrival. Zero (the default) means not at all.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Who wants it, for people: others see it while they are refused, and the audit keeps it.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Extends the lock by itself, each time a third of its time to live has passed, at most up to
    /// [`max_hold`](Self::max_hold) after it was granted.
    #[must_use]
    pub fn auto_extend(mut self, on: bool) -> Self {
        self.auto_extend = on;
        self
    }

    /// How long automatic extension may keep the lock in all (10 minutes by default). A stuck holder loses it then.
    #[must_use]
    pub fn max_hold(mut self, max_hold: Duration) -> Self {
        self.max_hold = max_hold;
        self
    }

    /// Makes the name belong to this tenant: locks of the same name of two tenants do not meet.
    #[must_use]
    pub fn tenant<'t>(mut self, tenant: impl Into<Option<&'t TenantId>>) -> Self {
        self.tenant = tenant.into().cloned();
        self
    }

    /// Lets the same [`owner`](Self::owner) enter again while it holds the lock, by whatever task or process: it gets
    /// the same fence, and the lock is free when every entry was released. All entries must ask for it, and an owner
    /// must be given: choose one that no other caller can have, such as the id of a request.
    #[must_use]
    pub fn reentrant(mut self, on: bool) -> Self {
        self.reentrant = on;
        self
    }

    /// Audits also the refusals of [`try_acquire`](super::LockManager::try_acquire). They are not by default: asking
    /// whether a lock is free is no conflict, and a loop that asks would fill the audit.
    #[must_use]
    pub fn audit_misses(mut self, on: bool) -> Self {
        self.audit_misses = on;
        self
    }

    /// Returns a granted lock only when at least this number of replicas of Redis has it (none by default), so that it
    /// outlives a failover to one of them. Too few [in time](Self::replicas_within) is `locks.not_replicated`, and the
    /// lock is given back. In memory there are no replicas.
    ///
    /// It costs a second round trip on a connection of its own, because Redis holds up everything that comes behind
    /// such a wait on the same connection. Extensions and releases do not wait for replicas.
    #[must_use]
    pub fn replicas(mut self, count: u32) -> Self {
        self.replicas = count;
        self
    }

    /// How long to wait for [replicas](Self::replicas): from 1 ms to 10 seconds, 1 second by default. The time counts
    /// against the lock's own, and not against its `wait`.
    #[must_use]
    pub fn replicas_within(mut self, within: Duration) -> Self {
        self.replicas_within = within;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        check_duration("ttl", self.ttl, Self::MIN_TTL, Self::MAX_TTL)?;
        check_duration("wait", self.wait, Duration::ZERO, Self::MAX_WAIT)?;
        let (least, most) = (Duration::from_millis(1), Self::MAX_REPLICAS_WITHIN);
        check_duration("replicas_within", self.replicas_within, least, most)?;
        check_duration("max_hold", self.max_hold, Self::MIN_TTL, Duration::MAX)?;
        if let Some(owner) = &self.owner {
            check_owner("owner", owner)?;
        } else if self.reentrant {
            let what = "must be given for a lock that its owner may enter again";
            return Err(Error::field_invalid(codes::LOCKS_INVALID_OWNER, "owner", what));
        }
        Ok(())
    }
}

impl Default for AcquireOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A lock as [`LockManager::inspect`](super::LockManager::inspect) sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockState {
    /// Who holds it.
    pub owner: String,
    /// The fence of the grant.
    pub fence: u64,
    /// When it was granted, by the server's clock.
    pub acquired_at: DateTime<Utc>,
    /// When it ends unless it is extended, by the server's clock.
    pub expires_at: DateTime<Utc>,
    /// How many callers wait for it.
    pub waiters: usize,
}

/// What a release found. All of them are successes: the token holds nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// It was held, and is free now.
    Released,
    /// It was released before: a repeated release, or one whose first answer was lost.
    AlreadyReleased,
    /// It had expired before this release; another caller may have worked at the same time.
    Expired,
}

impl Release {
    /// The stable lower-case name that every language shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::AlreadyReleased => "already_released",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a lock was lost while its guard was alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossCause {
    /// Its time to live passed and no extension was confirmed; Redis may have been silent.
    Expired,
    /// The server says that the lock is not ours any more: expired there, removed, or granted to another caller.
    TakenOver,
    /// Automatic extension ended at `max_hold`.
    MaxHold,
    /// It was released [by force](super::LockManager::force_release).
    Forced,
}

impl LossCause {
    /// The stable lower-case name that every language and the metric `lock_lost_total` show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TakenOver => "taken_over",
            Self::MaxHold => "max_hold",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) fn check_duration(
    field: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::field_invalid(
        codes::LOCKS_INVALID_DURATION,
        field,
        format_args!("must be from {least:?} to {most:?}, is {value:?}"),
    ))
}

pub(super) fn check_owner(field: &'static str, value: &str) -> Result<()> {
    check_text(codes::LOCKS_INVALID_OWNER, field, value, MAX_OWNER_BYTES)
}

pub(super) fn check_text(code: Code, field: &'static str, value: &str, limit: usize) -> Result<()> {
    text::check(value, limit).map_err(|fault| Error::field_invalid(code, field, fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_name_the_field() {
        for name in ["", "a\nb", "a\tb", &"x".repeat(201)] {
            let error = LockName::parse(name).unwrap_err();
            assert!(error.is(codes::LOCKS_INVALID_NAME), "{name:?}");
            assert_eq!(error.field(), Some("name"));
        }
        assert_eq!(
            LockName::parse("reservation:guest123").unwrap().as_str(),
            "reservation:guest123"
        );
    }

    #[test]
    fn bad_options_name_the_field() {
        let second = Duration::from_secs(1);
        for (options, field) in [
            (AcquireOptions::new().ttl(Duration::ZERO), "ttl"),
            (AcquireOptions::new().ttl(second * 100_000), "ttl"),
            (AcquireOptions::new().wait(second * 4000), "wait"),
            (AcquireOptions::new().max_hold(Duration::ZERO), "max_hold"),
            (AcquireOptions::new().owner(""), "owner"),
            (
                AcquireOptions::new().replicas_within(Duration::ZERO),
                "replicas_within",
            ),
            (
                AcquireOptions::new().replicas_within(second * 11),
                "replicas_within",
            ),
            (AcquireOptions::new().owner("a\0"), "owner"),
            (AcquireOptions::new().reentrant(true), "owner"),
        ] {
            assert_eq!(options.check().unwrap_err().field(), Some(field));
        }
        AcquireOptions::new().check().unwrap();
    }
}
