//! Named locks in memory: the executable specification of the scripts, for one process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast;

use super::model::{LockState, Release};
use super::store::{
    Attempt, Extension, Found, Grant, HEARTBEAT, Lease, LockKey, LockStore, RETENTION, Released, Wake, Wakes,
};
use crate::clock::SharedClock;
use crate::error::Result;

/// Wake-ups that a slow listener may lag behind before it is told to look for itself.
const BACKLOG: usize = 1024;

/// All locks of this process under one mutex, so that every operation is indivisible.
#[derive(Debug)]
pub(crate) struct MemoryLocks {
    clock: SharedClock,
    locks: Mutex<Locks>,
    wakes: broadcast::Sender<(String, String)>,
}

#[derive(Debug, Default)]
struct Locks {
    by_key: HashMap<LockKey, Lock>,
    /// At how many names old ones are forgotten.
    forget_at: usize,
}

/// What is known of one name. It outlives the lock by [`RETENTION`], because its fence must not go back.
#[derive(Debug, Default)]
struct Lock {
    last: Option<Lease>,
    /// Whether `last` has neither been released nor been reported as expired.
    held: bool,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    token: String,
    process: String,
    alive_until: DateTime<Utc>,
}

impl MemoryLocks {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            locks: Mutex::default(),
            wakes: broadcast::channel(BACKLOG).0,
        }
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the first waiter that it is its turn.
    fn wake_first(&self, lock: &Lock) {
        if let Some(first) = lock.queue.front() {
            // Nobody listening yet is fine: a waiter asks again by itself.
            let _ = self.wakes.send((first.process.clone(), first.token.clone()));
        }
    }
}

impl Locks {
    fn lock(&mut self, key: &LockKey, now: DateTime<Utc>) -> &mut Lock {
        if self.by_key.len() >= self.forget_at {
            self.by_key.retain(|_, lock| lock.is_worth_keeping(now));
            self.forget_at = (self.by_key.len() * 2).max(1024);
        }
        self.by_key.entry(key.clone()).or_default()
    }
}

impl Lock {
    fn is_worth_keeping(&self, now: DateTime<Utc>) -> bool {
        let last = self.last.as_ref();
        !self.queue.is_empty() || last.is_some_and(|lease| lease.expires_at + delta(RETENTION) > now)
    }

    fn live(&self) -> Option<&Lease> {
        self.last.as_ref().filter(|_| self.held)
    }

    /// Notices that the grant has ended by itself; answers it the first time.
    fn expire(&mut self, now: DateTime<Utc>) -> Option<Lease> {
        let dead = self.live().filter(|lease| lease.expires_at <= now).cloned()?;
        self.held = false;
        Some(dead)
    }

    fn forget_dead_waiters(&mut self, now: DateTime<Utc>) {
        while self.queue.front().is_some_and(|first| first.alive_until <= now) {
            self.queue.pop_front();
        }
    }

    fn position(&self, token: &str) -> Option<usize> {
        self.queue.iter().position(|waiter| waiter.token == token)
    }

    fn grant(&mut self, attempt: Attempt<'_>, now: DateTime<Utc>) -> Lease {
        let last_fence = self.last.as_ref().map_or(0, |lease| lease.fence);
        let lease = Lease {
            token: attempt.token.to_owned(),
            owner: attempt.owner.to_owned(),
            fence: (last_fence + 1).max(u64::try_from(now.timestamp_micros()).unwrap_or(0)),
            acquired_at: now,
            expires_at: now + delta(attempt.ttl),
        };
        self.queue.retain(|waiter| waiter.token != attempt.token);
        self.last = Some(lease.clone());
        self.held = true;
        lease
    }

    fn enqueue(&mut self, token: &str, process: &str, now: DateTime<Utc>) {
        let alive_until = now + delta(HEARTBEAT);
        match self.queue.iter_mut().find(|waiter| waiter.token == token) {
            Some(waiter) => waiter.alive_until = alive_until,
            None => self.queue.push_back(Waiter {
                token: token.to_owned(),
                process: process.to_owned(),
                alive_until,
            }),
        }
    }
}

#[async_trait]
impl LockStore for MemoryLocks {
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let lock = locks.lock(attempt.key, now);
        let expired = lock.expire(now);
        lock.forget_dead_waiters(now);
        let first = lock.queue.front().map(|waiter| waiter.token.as_str());
        let is_repeated = lock.live().is_some_and(|lease| lease.token == attempt.token);
        let answer = match lock.last.as_mut().filter(|_| lock.held) {
            Some(lease) if is_repeated => {
                // The caller counts its time from this request.
                lease.expires_at = lease.expires_at.max(now + delta(attempt.ttl));
                Grant::Granted(lease.clone())
            }
            None if first.is_none_or(|first| first == attempt.token) => {
                Grant::Granted(lock.grant(attempt, now))
            }
            _ => {
                if let Some(process) = attempt.process {
                    lock.enqueue(attempt.token, process, now);
                }
                let live = lock.live();
                Grant::Busy {
                    holder: live.map_or_else(String::new, |lease| lease.owner.clone()),
                    remaining: live
                        .map_or(TimeDelta::zero(), |lease| lease.expires_at - now)
                        .to_std()
                        .unwrap_or_default(),
                    ahead: lock.position(attempt.token).unwrap_or(lock.queue.len()),
                }
            }
        };
        Ok(Found { answer, expired })
    }

    async fn extend(&self, key: &LockKey, token: &str, ttl: std::time::Duration) -> Result<Found<Extension>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let lock = locks.lock(key, now);
        let expired = lock.expire(now);
        let answer = match lock
            .last
            .as_mut()
            .filter(|lease| lock.held && lease.token == token)
        {
            Some(lease) => {
                lease.expires_at = lease.expires_at.max(now + delta(ttl));
                Extension::Extended(lease.clone())
            }
            None => Extension::Lost,
        };
        Ok(Found { answer, expired })
    }

    async fn release(&self, key: &LockKey, token: &str) -> Result<Found<Released>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let lock = locks.lock(key, now);
        let expired = lock.expire(now);
        lock.queue.retain(|waiter| waiter.token != token);
        let live_is_mine = lock.live().map(|lease| lease.token == token);
        let answer = match live_is_mine {
            Some(true) => {
                lock.held = false;
                Released::Done(Release::Released, lock.last.clone())
            }
            Some(false) => Released::NotOwner,
            None if expired.as_ref().is_some_and(|lease| lease.token == token) => {
                Released::Done(Release::Expired, None)
            }
            None => Released::Done(Release::AlreadyReleased, None),
        };
        lock.forget_dead_waiters(now);
        if !lock.held {
            self.wake_first(lock);
        }
        Ok(Found { answer, expired })
    }

    async fn inspect(&self, key: &LockKey) -> Result<Option<LockState>> {
        let now = self.clock.now();
        let locks = self.locks();
        Ok(locks.by_key.get(key).and_then(|lock| {
            let lease = lock.live().filter(|lease| lease.expires_at > now)?;
            Some(LockState {
                owner: lease.owner.clone(),
                fence: lease.fence,
                acquired_at: lease.acquired_at,
                expires_at: lease.expires_at,
                waiters: lock
                    .queue
                    .iter()
                    .filter(|waiter| waiter.alive_until > now)
                    .count(),
            })
        }))
    }

    fn listen(&self, process: &str) -> Box<dyn Wakes> {
        Box::new(MemoryWakes {
            process: process.to_owned(),
            receiver: self.wakes.subscribe(),
            started: false,
        })
    }
}

struct MemoryWakes {
    process: String,
    receiver: broadcast::Receiver<(String, String)>,
    started: bool,
}

#[async_trait]
impl Wakes for MemoryWakes {
    async fn next(&mut self) -> Wake {
        if !self.started {
            self.started = true;
            return Wake::Everybody;
        }
        loop {
            match self.receiver.recv().await {
                Ok((process, token)) if process == self.process => return Wake::Waiter(token),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Wake::Everybody,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::locks::model::LockName;

    #[tokio::test]
    async fn names_that_nobody_used_for_long_are_forgotten() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let store = MemoryLocks::new(clock.shared());
        for number in 0..5000 {
            let key = LockKey {
                tenant: None,
                name: LockName::parse(&format!("name-{number}")).unwrap(),
            };
            let attempt = Attempt {
                key: &key,
                token: "a",
                owner: "ana",
                ttl: RETENTION,
                process: None,
            };
            store.acquire(attempt).await.unwrap();
            clock.advance(RETENTION / 100);
        }
        assert!(store.locks().by_key.len() < 1100);
    }
}
