//! WaitQueue for a lock: what this process is told, told apart by waiter.
//!
//! One subscription per process serves every waiter and every holder. Each lock with waiters has one task, which
//! gives a sign of life every [`BEAT`] for all of them and sees then what a lost message would have told. Nothing
//! that is sent grows with the number of waiters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::server::LockServer;
use super::store::{BEAT, Lease, LockKey, Wake};
use crate::clock::SharedClock;
use crate::redact::Quiet;
use crate::rng;
use crate::sync::lock;
use crate::task::Tasks;

/// The pause after a failed sign of life.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// The waiters of one process. Clones share them.
#[derive(Clone)]
pub(super) struct WaitQueue(Arc<Inner>);

struct Inner {
    server: LockServer,
    clock: SharedClock,
    tasks: Tasks,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    listening: bool,
    by_token: HashMap<String, Arc<WaiterSignal>>,
    locks: HashMap<LockKey, WaitedLock>,
}

/// A lock with waiters in this process, now or a moment ago.
struct WaitedLock {
    waiters: usize,
    /// When the server is to be asked next.
    due: Instant,
    earlier: Arc<Notify>,
}

struct WaiterSignal {
    key: LockKey,
    came: Notify,
    given: Mutex<Option<Handed>>,
}

/// A grant that came with the release of another caller, and when that was sent.
pub(super) type Handed = (Lease, Instant);

/// One waiter; dropping it ends the wait.
pub(super) struct Waiter {
    queue: WaitQueue,
    token: String,
    signal: Arc<WaiterSignal>,
}

impl WaitQueue {
    pub(super) fn new(server: LockServer, clock: SharedClock, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            server,
            clock,
            tasks,
            waiters: Mutex::default(),
        }))
    }

    /// Begins to listen, the first time; returns whether it was. `forced` gets the tokens, parted by commas, of each
    /// lock that was taken away by force.
    pub(super) fn listen(&self, forced: impl Fn(&str) + Send + 'static) -> bool {
        if std::mem::replace(&mut self.waiters().listening, true) {
            return false;
        }
        let mut wakes = self.0.server.store().listen(self.0.server.process());
        let queue = self.clone();
        self.0.tasks.run_until_closed(async move {
            loop {
                match wakes.next().await {
                    Wake::Waiter(token) => queue.wake(&token),
                    Wake::Forced(tokens) => forced(&tokens),
                    Wake::Everybody => queue.look_everywhere(queue.0.clock.instant()),
                }
            }
        });
        true
    }

    /// Registers a waiter under its token; the first one of a lock begins its signs of life.
    pub(super) fn enter(&self, key: &LockKey, token: &str) -> Waiter {
        let signal = Arc::new(WaiterSignal {
            key: key.clone(),
            came: Notify::new(),
            given: Mutex::default(),
        });
        let mut waiters = self.waiters();
        waiters.by_token.insert(token.to_owned(), signal.clone());
        if let Some(waited) = waiters.locks.get_mut(key) {
            waited.waiters += 1;
        } else {
            let waited = WaitedLock {
                waiters: 1,
                due: self.0.clock.instant() + BEAT,
                earlier: Arc::default(),
            };
            waiters.locks.insert(key.clone(), waited);
            let (queue, key) = (self.clone(), key.clone());
            self.0
                .tasks
                .run_until_closed(async move { queue.keep_alive(&key).await });
        }
        drop(waiters);
        Waiter {
            queue: self.clone(),
            token: token.to_owned(),
            signal,
        }
    }

    /// Hands a grant to its waiter.
    ///
    /// # Errors
    /// The grant, when its waiter has gone away.
    pub(super) fn give(&self, handed: Handed) -> Result<(), Handed> {
        let waiters = self.waiters();
        let Some(signal) = waiters.by_token.get(&handed.0.token) else {
            return Err(handed);
        };
        // `Notify` keeps the signal, so a waiter that is not waiting yet finds it when it does.
        *signal.given() = Some(handed);
        signal.came.notify_one();
        Ok(())
    }

    /// Asks the server about this lock by then, if it has waiters here.
    pub(super) fn look_by(&self, key: &LockKey, due: Instant) {
        if let Some(waited) = self.waiters().locks.get_mut(key) {
            waited.look_by(due);
        }
    }

    fn look_everywhere(&self, due: Instant) {
        for waited in self.waiters().locks.values_mut() {
            waited.look_by(due);
        }
    }

    fn wake(&self, token: &str) {
        if let Some(signal) = self.waiters().by_token.get(token) {
            signal.came.notify_one();
        }
    }

    fn wake_all(&self, key: &LockKey) {
        let waiters = self.waiters();
        let here = waiters.by_token.values().filter(|signal| signal.key == *key);
        here.for_each(|signal| signal.came.notify_one());
    }

    /// When the server is to be asked about this lock; `None`, and it is forgotten, when it has no waiters any more.
    fn next_look(&self, key: &LockKey) -> Option<(Instant, Arc<Notify>)> {
        let mut waiters = self.waiters();
        let waited = waiters.locks.get(key)?;
        if waited.waiters > 0 {
            return Some((waited.due, waited.earlier.clone()));
        }
        waiters.locks.remove(key);
        None
    }

    fn plan(&self, key: &LockKey, due: Instant) {
        if let Some(waited) = self.waiters().locks.get_mut(key) {
            waited.due = due;
        }
    }

    /// Gives signs of life for the waiters of one lock until there are none.
    async fn keep_alive(&self, key: &LockKey) {
        while let Some((due, earlier)) = self.next_look(key) {
            let now = self.0.clock.instant();
            if due > now {
                tokio::select! {
                    () = earlier.notified() => {}
                    () = tokio::time::sleep(due - now) => {}
                }
                continue;
            }
            // A look that is wanted while this one is under way must not be forgotten.
            self.plan(key, now + BEAT);
            let pause = match self.0.server.beat(key).await {
                Ok(beat) => {
                    if beat.was_dead {
                        self.wake_all(key);
                    }
                    // A message or an answer with this news may have been lost.
                    beat.tokens.split(',').for_each(|token| self.wake(token));
                    if beat.is_next {
                        beat.remaining + Duration::from_millis(1)
                    } else {
                        BEAT
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, lock = %Quiet(&key.name), "no sign of life for the waiters of a lock");
                    PAUSE_AFTER_FAILURE / 2 + rng::jitter(PAUSE_AFTER_FAILURE / 2)
                }
            };
            self.look_by(key, self.0.clock.instant() + pause.min(BEAT));
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        lock(&self.0.waiters)
    }
}

impl WaitedLock {
    fn look_by(&mut self, due: Instant) {
        if due < self.due {
            self.due = due;
            self.earlier.notify_one();
        }
    }
}

impl WaiterSignal {
    fn given(&self) -> MutexGuard<'_, Option<Handed>> {
        lock(&self.given)
    }
}

impl Waiter {
    /// Completes when it is this waiter's signal, with the grant if it came along, or when it should ask. Cancel-safe.
    pub(super) async fn signal(&self) -> Option<Handed> {
        self.signal.came.notified().await;
        self.signal.given().take()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.queue.waiters();
        waiters.by_token.remove(&self.token);
        if let Some(waited) = waiters.locks.get_mut(&self.signal.key) {
            waited.waiters -= 1;
        }
    }
}
