//! Named locks in memory: the executable specification of the scripts, for one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::broadcast;

use super::model::{LockName, LockState, Release};
use super::store::{
    Attempt, Beat, CLAIM, Extension, Found, Grant, HandOver, LIFE, Lease, LockKey, LockStore, MAX_ENTRIES,
    RETENTION, Released, Renewal, Replicas, Wake, Wakes,
};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::sync;
use crate::tenants::TenantId;

/// Wake-ups that a slow listener may lag behind before it is told to look for itself.
const BACKLOG: usize = 1024;

/// All locks of this process under one mutex, so that every operation is indivisible.
#[derive(Debug)]
pub(crate) struct MemoryLocks {
    clock: SharedClock,
    locks: Mutex<Locks>,
    wakes: broadcast::Sender<(String, Wake)>,
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
    state: State,
    /// The holder's process, and whether its owner may enter again.
    process: String,
    again: bool,
    /// The token of the last release.
    before: String,
    queue: VecDeque<Waiter>,
    /// Until when each process with waiters counts as alive.
    alive: BTreeMap<String, DateTime<Utc>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    Held,
    /// Handed to a waiter of another process, who has not asked for it yet.
    Offered,
    /// Released, forced away, or noticed to have ended by itself.
    #[default]
    Ended,
}

#[derive(Debug)]
struct Waiter {
    token: String,
    process: String,
    owner: String,
    ttl: Duration,
    again: bool,
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
        sync::lock(&self.locks)
    }

    fn acquire_one(&self, locks: &mut Locks, attempt: Attempt<'_>, now: DateTime<Utc>) -> Found<Grant> {
        let lock = locks.lock(attempt.key, now);
        let expired = lock.settle(now);
        let mut answer = lock.enter(attempt, now);
        if answer.is_none() && lock.live().is_none() {
            let token = attempt.token;
            if lock.first(now).is_none_or(|first| first.token == token) {
                let lease = lock.grant(Waiter::of(attempt), State::Held, attempt.ttl, now);
                answer = Some(Grant::Granted(lease));
            } else {
                self.tell(lock.hand_over("", now).1);
            }
        }
        let answer = answer.unwrap_or_else(|| lock.busy(attempt, now));
        Found { answer, expired }
    }

    fn release_one(
        &self,
        locks: &mut Locks,
        key: &LockKey,
        token: &str,
        process: &str,
        now: DateTime<Utc>,
    ) -> Found<HandOver> {
        let lock = locks.lock(key, now);
        let expired = lock.settle(now);
        lock.leave_queue(token);
        let is_mine = |lease: &Lease| lease.token.split(',').any(|one| one == token);
        let released = if lock.owns(token) {
            lock.release(token, now)
        } else if lock.live().is_some() {
            if lock.before == token {
                Released::Done(Release::AlreadyReleased, None)
            } else {
                Released::NotOwner
            }
        } else if expired.as_ref().is_some_and(is_mine) {
            Released::Done(Release::Expired, None)
        } else {
            Released::Done(Release::AlreadyReleased, None)
        };
        let mut next = None;
        if lock.live().is_none() {
            let (lease, message) = lock.hand_over(process, now);
            next = lease;
            self.tell(message);
        }
        Found {
            answer: HandOver { released, next },
            expired,
        }
    }

    /// A process that does not listen yet learns the same by its beat.
    fn tell(&self, wake: Option<(String, Wake)>) {
        if let Some(wake) = wake {
            let _ = self.wakes.send(wake);
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
        self.last.as_ref().filter(|_| self.state != State::Ended)
    }

    fn owns(&self, token: &str) -> bool {
        self.live()
            .is_some_and(|lease| lease.token.split(',').any(|one| one == token))
    }

    /// Notices that the lease has ended by itself; returns a grant that did, the first time.
    fn settle(&mut self, now: DateTime<Utc>) -> Option<Lease> {
        let dead = self.live().filter(|lease| lease.expires_at <= now).cloned()?;
        let was = std::mem::replace(&mut self.state, State::Ended);
        if was == State::Held {
            return Some(dead);
        }
        // The offer was not claimed. A process that was silent since then has probably ended.
        let silent = |end: &DateTime<Utc>| *end - delta(LIFE) <= dead.acquired_at;
        if self.alive.get(&self.process).is_some_and(silent) {
            self.alive.remove(&self.process);
        }
        None
    }

    /// The first waiter who is alive. Dead ones are forgotten.
    fn first(&mut self, now: DateTime<Utc>) -> Option<&Waiter> {
        while let Some(first) = self.queue.front() {
            if self.alive.get(&first.process).is_some_and(|end| *end > now) {
                break;
            }
            self.queue.pop_front();
        }
        self.queue.front()
    }

    fn leave_queue(&mut self, token: &str) {
        self.queue.retain(|waiter| waiter.token != token);
    }

    /// A sign of life; returns whether the process counted as dead.
    fn live_on(&mut self, process: &str, now: DateTime<Utc>) -> bool {
        let before = self.alive.insert(process.to_owned(), now + delta(LIFE));
        before.is_none_or(|end| end <= now)
    }

    fn grant(&mut self, waiter: Waiter, state: State, ttl: Duration, now: DateTime<Utc>) -> Lease {
        self.leave_queue(&waiter.token);
        let last_fence = self.last.as_ref().map_or(0, |lease| lease.fence);
        let lease = Lease {
            token: waiter.token,
            owner: waiter.owner,
            fence: (last_fence + 1).max(u64::try_from(now.timestamp_micros()).unwrap_or(0)),
            acquired_at: now,
            expires_at: now + delta(ttl),
        };
        (self.process, self.again) = (waiter.process, waiter.again);
        self.last = Some(lease.clone());
        self.state = state;
        lease
    }

    /// Gives a lock that is free to the first waiter: at once if it is one of `process`, otherwise as an offer.
    /// Returns the grant, and the message for the other process.
    fn hand_over(&mut self, process: &str, now: DateTime<Utc>) -> (Option<Lease>, Option<(String, Wake)>) {
        let Some(first) = self.first(now) else {
            return (None, None);
        };
        let (is_near, ttl) = (first.process == process, first.ttl);
        let Some(first) = self.queue.pop_front() else {
            return (None, None);
        };
        if is_near {
            return (Some(self.grant(first, State::Held, ttl, now)), None);
        }
        let message = (first.process.clone(), Wake::Waiter(first.token.clone()));
        self.grant(first, State::Offered, CLAIM, now);
        (None, Some(message))
    }

    /// Lets a grant live, and an offer become one.
    fn enter(&mut self, attempt: Attempt<'_>, now: DateTime<Utc>) -> Option<Grant> {
        let again = self.state == State::Held
            && self.again
            && attempt.again
            && self.live().is_some_and(|lease| lease.owner == attempt.owner);
        let (owns, was) = (self.owns(attempt.token), self.state);
        if !owns && !again {
            return None;
        }
        self.leave_queue(attempt.token);
        let lease = self.last.as_mut()?;
        if !owns {
            if lease.token.split(',').count() >= MAX_ENTRIES {
                return Some(Grant::Full);
            }
            lease.token = format!("{},{}", lease.token, attempt.token);
        } else if was == State::Offered {
            (lease.acquired_at, lease.expires_at) = (now, now);
            attempt.process.clone_into(&mut self.process);
            self.state = State::Held;
        }
        lease.expires_at = lease.expires_at.max(now + delta(attempt.ttl));
        Some(Grant::Granted(lease.clone()))
    }

    fn end(&mut self, now: DateTime<Utc>) {
        self.state = State::Ended;
        if let Some(lease) = &mut self.last {
            lease.expires_at = now;
        }
    }

    /// Ends what this token holds or was offered.
    fn release(&mut self, token: &str, now: DateTime<Utc>) -> Released {
        let was = self.state;
        let Some(lease) = &mut self.last else {
            return Released::NotOwner;
        };
        if lease.token != token {
            let others: Vec<_> = lease.token.split(',').filter(|one| *one != token).collect();
            lease.token = others.join(",");
            return Released::Left;
        }
        let ended = lease.clone();
        self.end(now);
        if was == State::Offered {
            return Released::Done(Release::AlreadyReleased, None);
        }
        token.clone_into(&mut self.before);
        Released::Done(Release::Released, Some(ended))
    }

    /// What a request that is not granted learns; it waits in the queue if it wants to.
    fn busy(&mut self, attempt: Attempt<'_>, now: DateTime<Utc>) -> Grant {
        let position = |lock: &Self| lock.queue.iter().position(|waiter| waiter.token == attempt.token);
        if attempt.waits {
            if position(self).is_none() {
                self.queue.push_back(Waiter::of(attempt));
            }
            self.live_on(attempt.process, now);
        }
        let live = self.live();
        Grant::Busy {
            holder: live.map_or_else(String::new, |lease| lease.owner.clone()),
            remaining: remaining(live, now),
            ahead: position(self).unwrap_or(self.queue.len()),
        }
    }
}

impl Waiter {
    fn of(attempt: Attempt<'_>) -> Self {
        Self {
            token: attempt.token.to_owned(),
            process: attempt.process.to_owned(),
            owner: attempt.owner.to_owned(),
            ttl: attempt.ttl,
            again: attempt.again,
        }
    }
}

fn remaining(live: Option<&Lease>, now: DateTime<Utc>) -> Duration {
    live.map_or(TimeDelta::zero(), |lease| lease.expires_at - now)
        .to_std()
        .unwrap_or_default()
}

#[async_trait]
impl LockStore for MemoryLocks {
    async fn acquire(&self, attempt: Attempt<'_>) -> Result<Found<Grant>> {
        let now = self.clock.now();
        Ok(self.acquire_one(&mut self.locks(), attempt, now))
    }

    fn share_a_step(&self, _: &[&LockKey]) -> bool {
        true
    }

    async fn acquire_together(&self, attempts: &[Attempt<'_>], whole: bool) -> Result<Vec<Found<Grant>>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let mut answers = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            let found = self.acquire_one(&mut locks, *attempt, now);
            let is_granted = matches!(found.answer, Grant::Granted(_));
            if !is_granted && whole {
                for taken in attempts.iter().take(answers.len()) {
                    self.release_one(&mut locks, taken.key, taken.token, taken.process, now);
                }
            }
            answers.push(found);
            if !is_granted {
                break;
            }
        }
        Ok(answers)
    }

    async fn beat(&self, key: &LockKey, process: &str) -> Result<Found<Beat>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let lock = locks.lock(key, now);
        let expired = lock.settle(now);
        let was_dead = lock.live_on(process, now);
        if lock.live().is_none() {
            self.tell(lock.hand_over("", now).1);
        }
        let is_next = lock.first(now).is_some_and(|first| first.process == process);
        let live = lock.live();
        let answer = Beat {
            tokens: live.map_or_else(String::new, |lease| lease.token.clone()),
            remaining: remaining(live, now),
            was_dead,
            is_next,
        };
        Ok(Found { answer, expired })
    }

    async fn extend(&self, renewals: &[Renewal<'_>]) -> Vec<Result<Found<Extension>>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let one = |renewal: &Renewal<'_>| {
            let lock = locks.lock(renewal.key, now);
            let expired = lock.settle(now);
            let holds = lock.state == State::Held && lock.owns(renewal.token);
            let answer = match lock.last.as_mut().filter(|_| holds) {
                Some(lease) => {
                    lease.expires_at = lease.expires_at.max(now + delta(renewal.ttl));
                    Extension::Extended(lease.clone())
                }
                None => Extension::Lost,
            };
            if lock.live().is_none() {
                self.tell(lock.hand_over("", now).1);
            }
            Ok(Found { answer, expired })
        };
        renewals.iter().map(one).collect()
    }

    async fn extend_replicated(
        &self,
        renewals: &[Renewal<'_>],
        _: Replicas,
    ) -> Result<(Vec<Found<Extension>>, u32)> {
        let answers = self.extend(renewals).await;
        Ok((answers.into_iter().collect::<Result<_>>()?, 0))
    }

    async fn release(&self, key: &LockKey, token: &str, process: &str) -> Result<Found<HandOver>> {
        let now = self.clock.now();
        Ok(self.release_one(&mut self.locks(), key, token, process, now))
    }

    async fn force_release(&self, key: &LockKey) -> Result<Found<Option<Lease>>> {
        let now = self.clock.now();
        let mut locks = self.locks();
        let lock = locks.lock(key, now);
        let expired = lock.settle(now);
        let answer = lock.live().cloned();
        if let Some(lease) = &answer {
            self.tell(Some((lock.process.clone(), Wake::Forced(lease.token.clone()))));
            lock.end(now);
        }
        if lock.live().is_none() {
            self.tell(lock.hand_over("", now).1);
        }
        Ok(Found { answer, expired })
    }

    async fn note_held(&self, _: Option<&TenantId>, _: &[(LockName, Duration)]) -> Result<()> {
        Ok(())
    }

    async fn noted(&self, tenant: Option<&TenantId>) -> Result<Vec<LockName>> {
        let locks = self.locks();
        let held = locks
            .by_key
            .iter()
            .filter(|(key, lock)| key.tenant.as_ref() == tenant && lock.live().is_some());
        Ok(held.map(|(key, _)| key.name.clone()).collect())
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
                    .filter(|waiter| lock.alive.get(&waiter.process).is_some_and(|end| *end > now))
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
    receiver: broadcast::Receiver<(String, Wake)>,
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
                Ok((process, wake)) if process == self.process => return wake,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return Wake::Everybody,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

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
                process: "a process",
                waits: false,
                again: false,
            };
            store.acquire(attempt).await.unwrap();
            clock.advance(RETENTION / 100);
        }
        assert!(store.locks().by_key.len() < 1100);
    }
}
