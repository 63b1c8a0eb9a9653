//! Waiting for a lock: what this process is told, told apart by waiter.
//!
//! One subscription per process serves every waiter and every holder. Each lock with waiters has one task, which
//! gives a sign of life every [`BEAT`] for all of them and sees then what a lost message would have told. Nothing
//! that is sent grows with the number of waiters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::named::Named;
use super::store::{BEAT, Lease, LockKey, Wake};
use crate::redact::Quiet;
use crate::rng;

/// The pause after a failed sign of life.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// The waiters of one process. Clones share them.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Inner>);

struct Inner {
    process: String,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    listening: bool,
    by_token: HashMap<String, Arc<Turn>>,
    places: HashMap<LockKey, Place>,
}

/// A lock that somebody of this process waits for, or did a moment ago.
struct Place {
    waiters: usize,
    /// When the server is to be asked next.
    due: Instant,
    earlier: Arc<Notify>,
}

struct Turn {
    key: LockKey,
    came: Notify,
    given: Mutex<Option<Handed>>,
}

/// A grant that came with somebody else's release, and when that was sent.
pub(super) type Handed = (Lease, Instant);

/// One waiter; dropping it ends the wait.
pub(super) struct Waiter {
    waiting: Waiting,
    token: String,
    turn: Arc<Turn>,
}

impl Waiting {
    /// `process` names this process among all that share the server.
    pub(super) fn new(process: String) -> Self {
        Self(Arc::new(Inner {
            process,
            waiters: Mutex::default(),
        }))
    }

    pub(super) fn process(&self) -> &str {
        &self.0.process
    }

    /// Begins to listen, the first time; says whether it was.
    pub(super) fn listen(&self, named: &Named) -> bool {
        if std::mem::replace(&mut self.waiters().listening, true) {
            return false;
        }
        let mut wakes = named.store().listen(self.process());
        let (waiting, named) = (self.clone(), named.clone());
        named.clone().tasks().run_until_closed(async move {
            loop {
                match wakes.next().await {
                    Wake::Waiter(token) => waiting.wake(&token),
                    Wake::Forced(tokens) => named.was_forced(&tokens),
                    Wake::Everybody => waiting.look_everywhere(named.instant()),
                }
            }
        });
        true
    }

    /// Registers a waiter under its token; the first one of a lock begins its signs of life.
    pub(super) fn enter(&self, named: &Named, key: &LockKey, token: &str) -> Waiter {
        let turn = Arc::new(Turn {
            key: key.clone(),
            came: Notify::new(),
            given: Mutex::default(),
        });
        let mut waiters = self.waiters();
        waiters.by_token.insert(token.to_owned(), turn.clone());
        if let Some(place) = waiters.places.get_mut(key) {
            place.waiters += 1;
        } else {
            let place = Place {
                waiters: 1,
                due: named.instant() + BEAT,
                earlier: Arc::default(),
            };
            let (named, key) = (named.clone(), key.clone());
            waiters.places.insert(key.clone(), place);
            named
                .clone()
                .tasks()
                .run_until_closed(async move { keep_alive(&named, &key).await });
        }
        drop(waiters);
        Waiter {
            waiting: self.clone(),
            token: token.to_owned(),
            turn,
        }
    }

    /// Hands a grant to its waiter.
    ///
    /// # Errors
    /// The grant, when its waiter has gone away.
    pub(super) fn give(&self, handed: Handed) -> Result<(), Handed> {
        let waiters = self.waiters();
        let Some(turn) = waiters.by_token.get(&handed.0.token) else {
            return Err(handed);
        };
        *turn.given() = Some(handed);
        turn.came.notify_one();
        Ok(())
    }

    /// Asks the server about this lock by then, if somebody waits for it.
    pub(super) fn look_by(&self, key: &LockKey, due: Instant) {
        if let Some(place) = self.waiters().places.get_mut(key) {
            place.look_by(due);
        }
    }

    fn look_everywhere(&self, due: Instant) {
        for place in self.waiters().places.values_mut() {
            place.look_by(due);
        }
    }

    fn wake(&self, token: &str) {
        if let Some(turn) = self.waiters().by_token.get(token) {
            turn.came.notify_one();
        }
    }

    fn wake_all(&self, key: &LockKey) {
        let waiters = self.waiters();
        let here = waiters.by_token.values().filter(|turn| turn.key == *key);
        here.for_each(|turn| turn.came.notify_one());
    }

    /// When the server is to be asked about this lock; `None`, and it is forgotten, when nobody waits any more.
    fn next_look(&self, key: &LockKey) -> Option<(Instant, Arc<Notify>)> {
        let mut waiters = self.waiters();
        let place = waiters.places.get(key)?;
        if place.waiters > 0 {
            return Some((place.due, place.earlier.clone()));
        }
        waiters.places.remove(key);
        None
    }

    fn plan(&self, key: &LockKey, due: Instant) {
        if let Some(place) = self.waiters().places.get_mut(key) {
            place.due = due;
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives signs of life for the waiters of one lock until there are none.
async fn keep_alive(named: &Named, key: &LockKey) {
    let waiting = named.waiting();
    while let Some((due, earlier)) = waiting.next_look(key) {
        let now = named.instant();
        if due > now {
            tokio::select! {
                () = earlier.notified() => {}
                () = tokio::time::sleep(due - now) => {}
            }
            continue;
        }
        // A look that is wanted while this one is under way must not be forgotten.
        waiting.plan(key, now + BEAT);
        let pause = match named.beat(key).await {
            Ok(beat) => {
                if beat.was_dead {
                    waiting.wake_all(key);
                }
                // A message or an answer with this news may have been lost.
                beat.tokens.split(',').for_each(|token| waiting.wake(token));
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
        waiting.look_by(key, named.instant() + pause.min(BEAT));
    }
}

impl Place {
    fn look_by(&mut self, due: Instant) {
        if due < self.due {
            self.due = due;
            self.earlier.notify_one();
        }
    }
}

impl Turn {
    fn given(&self) -> MutexGuard<'_, Option<Handed>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Completes when it is this waiter's turn, with the grant if it came along, or when it should ask. Cancel-safe.
    pub(super) async fn turn(&self) -> Option<Handed> {
        self.turn.came.notified().await;
        self.turn.given().take()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.waiting.waiters();
        waiters.by_token.remove(&self.token);
        if let Some(place) = waiters.places.get_mut(&self.turn.key) {
            place.waiters -= 1;
        }
    }
}
