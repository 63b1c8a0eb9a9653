//! Sign-in in memory: the embedded default, and the specification that the servers are measured by. Tenants live in
//! another room, of which it is told at the start; when it is not, every hotel exists and is active.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::model::SignInSession;
use super::store::{
    Attempt, AuthStore, Hotels, NewSession, Owner, PasswordChange, Rotation, SessionSet, SessionState,
    StoredUser, Throttle, UserKey, exists, no_such_tenant,
};
use super::throttle::Quota;
use crate::TenantId;
use crate::backends::memory::{Change, ExpiringMap};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::sync::lock;

/// Three tables under one lock.
pub(crate) struct MemoryAuth(Mutex<Tables>);

struct Tables {
    hotels: Arc<dyn Hotels>,
    users: HashMap<String, StoredUser>,
    sessions: HashMap<String, Row>,
    /// Old hashes by user, the newest last.
    history: HashMap<String, Vec<String>>,
}

#[derive(Clone)]
struct Row {
    new: NewSession,
    token: String,
    expires_at: DateTime<Utc>,
    is_revoked: bool,
}

impl MemoryAuth {
    pub(crate) fn new(hotels: Arc<dyn Hotels>) -> Self {
        Self(Mutex::new(Tables {
            hotels,
            users: HashMap::new(),
            sessions: HashMap::new(),
            history: HashMap::new(),
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(&mut lock(&self.0))
    }
}

impl Tables {
    /// Whether a hotel is active; `None` when there is none of that id.
    fn is_active(&self, tenant: &TenantId) -> Option<bool> {
        self.hotels.is_active(tenant)
    }

    /// The same of the user's hotel.
    fn hotel(&self, user: &StoredUser) -> Option<bool> {
        match &user.user.tenant {
            Some(tenant) => self.is_active(tenant),
            None => Some(user.tenant_active),
        }
    }

    fn seen(&self, user: &StoredUser) -> StoredUser {
        StoredUser {
            tenant_active: self.hotel(user).unwrap_or(false),
            ..user.clone()
        }
    }

    fn owned(&mut self, owner: &Owner) -> Option<&mut StoredUser> {
        self.users
            .get_mut(&owner.user)
            .filter(|stored| stored.user.tenant == owner.tenant)
    }

    fn state(&self, row: &Row) -> Option<SessionState> {
        let stored = self.users.get(&row.new.owner.user)?;
        Some(SessionState {
            user: stored.user.id.clone(),
            tenant: stored.user.tenant.clone(),
            role: stored.user.role,
            is_active: stored.user.is_active && self.hotel(stored).unwrap_or(false),
            is_superuser: stored.user.is_superuser,
            must_change: stored.user.must_change_password,
            is_revoked: row.is_revoked,
            token: row.token.clone(),
            expires_at: row.expires_at,
            password_changed_at: stored.user.password_changed_at,
        })
    }

    fn end(&mut self, owner: &Owner, which: &SessionSet) -> Vec<String> {
        let mut ended = Vec::new();
        for row in self
            .sessions
            .values_mut()
            .filter(|row| row.new.owner == *owner && !row.is_revoked)
        {
            let meant = match which {
                SessionSet::One(id) => row.new.id == *id,
                SessionSet::All => true,
                SessionSet::AllBut(id) => row.new.id != *id,
            };
            if meant {
                row.is_revoked = true;
                ended.push(row.new.id.clone());
            }
        }
        ended
    }

    fn live(&self, owner: &Owner, now: DateTime<Utc>) -> Vec<Row> {
        let mut live: Vec<Row> = self
            .sessions
            .values()
            .filter(|row| row.new.owner == *owner && !row.is_revoked && row.expires_at > now)
            .cloned()
            .collect();
        live.sort_by(|one, other| (other.new.now, &other.new.id).cmp(&(one.new.now, &one.new.id)));
        live
    }
}

#[async_trait]
impl AuthStore for MemoryAuth {
    async fn insert(&self, new: &StoredUser, _now: DateTime<Utc>) -> Result<()> {
        self.with(|tables| {
            let taken = |stored: &StoredUser| {
                stored.user.username == new.user.username
                    || stored.user.email.to_lowercase() == new.user.email.to_lowercase()
            };
            if tables.users.values().any(taken) {
                return Err(exists());
            }
            if tables.hotel(new).is_none() {
                return Err(no_such_tenant());
            }
            tables.users.insert(new.user.id.clone(), new.clone());
            Ok(())
        })
    }

    async fn find(&self, who: UserKey<'_>, tenant: Option<&TenantId>) -> Result<Option<StoredUser>> {
        Ok(self.with(|tables| {
            let is_meant = |stored: &&StoredUser| {
                let is_named = match who {
                    UserKey::Username(name) => stored.user.username == name,
                    UserKey::Id(id) => stored.user.id == id,
                };
                is_named && tenant.is_none_or(|tenant| stored.user.tenant.as_ref() == Some(tenant))
            };
            tables
                .users
                .values()
                .find(is_meant)
                .map(|stored| tables.seen(stored))
        }))
    }

    async fn user(&self, owner: &Owner) -> Result<Option<StoredUser>> {
        Ok(self.with(|tables| {
            let stored = tables.owned(owner)?.clone();
            Some(tables.seen(&stored))
        }))
    }

    async fn rehash(&self, owner: &Owner, old: &str, new: &str) -> Result<bool> {
        Ok(self.with(
            |tables| match tables.owned(owner).filter(|stored| stored.hash == old) {
                Some(stored) => {
                    new.clone_into(&mut stored.hash);
                    true
                }
                None => false,
            },
        ))
    }

    async fn require_change(&self, owner: &Owner) -> Result<()> {
        self.with(|tables| {
            if let Some(stored) = tables.owned(owner) {
                stored.user.must_change_password = true;
            }
        });
        Ok(())
    }

    async fn begin(&self, new: &NewSession) -> Result<Option<Vec<String>>> {
        Ok(self.with(|tables| {
            let stored = tables.owned(&new.owner)?.clone();
            let may = stored.user.is_active && tables.hotel(&stored).unwrap_or(false);
            if !may || stored.user.password_changed_at != new.password_changed_at {
                return None;
            }
            let surplus: Vec<String> = tables
                .live(&new.owner, new.now)
                .into_iter()
                .skip(new.limit.saturating_sub(1))
                .map(|row| row.new.id)
                .collect();
            for id in &surplus {
                tables.end(&new.owner, &SessionSet::One(id.clone()));
            }
            let row = Row {
                new: new.clone(),
                token: new.token.clone(),
                expires_at: new.expires_at,
                is_revoked: false,
            };
            tables.sessions.insert(new.id.clone(), row);
            Some(surplus)
        }))
    }

    async fn is_active(&self, tenant: &TenantId) -> Result<Option<bool>> {
        Ok(self.with(|tables| tables.is_active(tenant)))
    }

    async fn costliest_hash(&self) -> Result<Option<String>> {
        let cost = |hash: &String| hash.split('$').nth(2).map(str::to_owned);
        let hashes = |tables: &mut Tables| {
            let users = tables.users.values().map(|stored| stored.hash.clone());
            users.filter(|hash| hash.starts_with("$2")).max_by_key(cost)
        };
        Ok(self.with(hashes))
    }

    async fn session(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<SessionState>> {
        Ok(self.with(|tables| {
            let state = tables.sessions.get(id).and_then(|row| tables.state(row))?;
            (state.tenant.as_ref() == tenant).then_some(state)
        }))
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Option<SessionState>> {
        Ok(self.with(|tables| {
            let stored = tables.owned(&rotation.owner)?.clone();
            let is_active = stored.user.is_active && tables.hotel(&stored).unwrap_or(false);
            let row = tables.sessions.get_mut(&rotation.session)?;
            let good = row.new.owner == rotation.owner
                && row.token == rotation.old
                && !row.is_revoked
                && row.expires_at > rotation.now
                && is_active;
            if !good {
                return None;
            }
            row.token.clone_from(&rotation.next);
            row.expires_at = rotation.expires_at.min(row.new.now + rotation.longest);
            let row = row.clone();
            tables.state(&row)
        }))
    }

    async fn revoke(&self, owner: &Owner, which: &SessionSet) -> Result<Vec<String>> {
        Ok(self.with(|tables| tables.end(owner, which)))
    }

    async fn sessions(&self, owner: &Owner, now: DateTime<Utc>) -> Result<Vec<SignInSession>> {
        let live = self.with(|tables| tables.live(owner, now));
        Ok(live
            .into_iter()
            .map(|row| SignInSession {
                id: row.new.id,
                created_at: row.new.now,
                expires_at: row.expires_at,
                user_agent: row.new.user_agent,
                address: row.new.address,
            })
            .collect())
    }

    async fn count(&self, now: DateTime<Utc>) -> Result<u64> {
        let is_live = |row: &&Row| !row.is_revoked && row.expires_at > now;
        let live = self.with(|tables| tables.sessions.values().filter(is_live).count());
        Ok(u64::try_from(live).unwrap_or(u64::MAX))
    }

    async fn history(&self, owner: &Owner, limit: usize) -> Result<Vec<String>> {
        Ok(self.with(|tables| {
            if tables.owned(owner).is_none() {
                return Vec::new();
            }
            let old = tables.history.get(&owner.user);
            old.map(|hashes| hashes.iter().rev().take(limit).cloned().collect())
                .unwrap_or_default()
        }))
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<Option<Vec<String>>> {
        Ok(self.with(|tables| {
            let stored = tables
                .owned(&change.owner)
                .filter(|stored| stored.hash == change.old_hash)?;
            stored.hash.clone_from(&change.new_hash);
            stored.user.must_change_password = change.must_change;
            stored.user.password_changed_at = change.now;
            let history = tables.history.entry(change.owner.user.clone()).or_default();
            history.push(change.old_hash.clone());
            let surplus = history.len().saturating_sub(change.history);
            history.drain(..surplus);
            Some(tables.end(&change.owner, &SessionSet::All))
        }))
    }
}

/// The attempts on one account.
#[derive(Clone, Copy)]
struct Tried {
    /// Of late: silence forgets them.
    recent: u32,
    /// Since the last success.
    row: u32,
    /// When the next attempt may come.
    until: std::time::Instant,
}

/// Attempts, counted by this process.
pub(crate) struct MemoryThrottle {
    clock: SharedClock,
    quota: Quota,
    accounts: ExpiringMap<String, Tried>,
    /// When the address has its whole burst again.
    addresses: ExpiringMap<String, std::time::Instant>,
}

/// Most accounts and addresses that are remembered. Beyond, no new one may try: that many at once is an attack.
const MOST_REMEMBERED: usize = 100_000;

impl MemoryThrottle {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self::with_quota(clock, Quota::NORMAL)
    }

    /// For one process of several, while Redis does not count for all.
    pub(crate) fn alone(clock: SharedClock) -> Self {
        Self::with_quota(clock, Quota::ALONE)
    }

    /// For what one process admits, whatever is counted for all.
    pub(crate) fn own(clock: SharedClock) -> Self {
        Self::with_quota(clock, Quota::OWN)
    }

    fn with_quota(clock: SharedClock, quota: Quota) -> Self {
        Self {
            quota,
            accounts: ExpiringMap::new(clock.clone()),
            addresses: ExpiringMap::new(clock.clone()),
            clock,
        }
    }

    fn attempt_address(&self, address: &str) -> Option<Duration> {
        let now = self.clock.instant();
        let most = self.quota.interval * self.quota.burst;
        self.addresses.update(address.to_owned(), |stored| {
            let next = stored.copied().unwrap_or(now).max(now) + self.quota.interval;
            let ahead = next - now;
            match ahead.checked_sub(most).filter(|wait| !wait.is_zero()) {
                Some(wait) => (Change::Keep, Some(wait)),
                None => (Change::Put(next, Some(ahead)), None),
            }
        })
    }

    fn attempt_account(&self, account: &str) -> Option<Duration> {
        let now = self.clock.instant();
        self.accounts.update(account.to_owned(), |stored| {
            let tried = stored.copied().unwrap_or(Tried {
                recent: 0,
                row: 0,
                until: now,
            });
            if let Some(wait) = tried
                .until
                .checked_duration_since(now)
                .filter(|wait| !wait.is_zero())
            {
                return (Change::Keep, Some(wait));
            }
            let is_silent = now.saturating_duration_since(tried.until) > self.quota.memory;
            let (recent, row) = (if is_silent { 1 } else { tried.recent + 1 }, tried.row + 1);
            let wait = self.quota.wait_after(recent, row);
            let until = now + wait;
            (
                Change::Put(Tried { recent, row, until }, Some(self.quota.day + wait)),
                None,
            )
        })
    }
}

#[async_trait]
impl Throttle for MemoryThrottle {
    async fn attempt(&self, attempt: &Attempt) -> Result<Option<Duration>> {
        if self.accounts.is_beyond(MOST_REMEMBERED) || self.addresses.is_beyond(MOST_REMEMBERED) {
            return Ok(Some(Duration::from_secs(1)));
        }
        let waits = attempt
            .address
            .as_deref()
            .and_then(|address| self.attempt_address(address));
        Ok(waits.or_else(|| self.attempt_account(&attempt.account)))
    }

    async fn succeeded(&self, attempt: &Attempt) -> Result<()> {
        self.undo(attempt).await?;
        self.accounts.remove(&attempt.account);
        Ok(())
    }

    async fn undo(&self, attempt: &Attempt) -> Result<()> {
        let now = self.clock.instant();
        if let Some(address) = &attempt.address {
            self.addresses.update(address.clone(), |stored| {
                let left = stored
                    .and_then(|next| next.checked_sub(self.quota.interval))
                    .filter(|next| *next > now);
                match left {
                    Some(next) => (Change::Put(next, Some(next - now)), ()),
                    None => (Change::Remove, ()),
                }
            });
        }
        self.accounts
            .update(attempt.account.clone(), |stored| match stored {
                Some(tried) if tried.row > 1 => {
                    let tried = Tried {
                        recent: tried.recent.saturating_sub(1),
                        row: tried.row - 1,
                        until: now,
                    };
                    (Change::Put(tried, Some(self.quota.day)), ())
                }
                _ => (Change::Remove, ()),
            });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn attempt(account: &str, address: Option<&str>) -> Attempt {
        Attempt {
            account: account.to_owned(),
            address: address.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn case_107_a_hundred_at_once_get_no_more_than_the_free_ones() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let throttle = MemoryThrottle::new(clock.shared());
        let who = attempt("a", None);
        let mut admitted = 0;
        for _ in 0..100 {
            admitted += u32::from(throttle.attempt(&who).await.unwrap().is_none());
        }
        assert_eq!(admitted, 5);
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            throttle.attempt(&who).await.unwrap(),
            None,
            "the first wait is a second"
        );
        assert_eq!(
            throttle.attempt(&who).await.unwrap(),
            Some(Duration::from_secs(2))
        );
        throttle.succeeded(&who).await.unwrap();
        assert_eq!(
            throttle.attempt(&who).await.unwrap(),
            None,
            "case 109: a success resets"
        );
    }

    #[tokio::test]
    async fn a_hundred_in_a_row_wait_for_a_day_and_silence_gives_the_free_ones_back_before() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let throttle = MemoryThrottle::new(clock.shared());
        let who = attempt("a", None);
        let mut waits = Vec::new();
        for number in 1..=101 {
            assert_eq!(throttle.attempt(&who).await.unwrap(), None, "{number}");
            waits.push(throttle.accounts.update("a".to_owned(), |tried| {
                (Change::Keep, tried.unwrap().until - clock.shared().instant())
            }));
            // Slower than any wait but the last: such an attacker is never refused.
            let silence = Duration::from_mins(if number % 2 == 0 { 31 } else { 1 });
            clock.advance(silence.max(*waits.last().unwrap()));
        }
        let day = Duration::from_hours(24);
        assert!(waits[..99].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[99..], [day, day], "never for good: once a day");
        throttle.succeeded(&who).await.unwrap();
        assert_eq!(throttle.attempt(&who).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_address_has_a_burst_and_then_a_pace() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let throttle = MemoryThrottle::new(clock.shared());
        for number in 0..20 {
            let who = attempt(&format!("user{number}"), Some("203.0.113.9"));
            assert_eq!(throttle.attempt(&who).await.unwrap(), None, "{number}");
        }
        let who = attempt("another", Some("203.0.113.9"));
        assert_eq!(
            throttle.attempt(&who).await.unwrap(),
            Some(Duration::from_secs(6))
        );
        throttle
            .undo(&attempt("user1", Some("203.0.113.9")))
            .await
            .unwrap();
        assert_eq!(
            throttle.attempt(&who).await.unwrap(),
            None,
            "what was undone does not count"
        );
    }
}
