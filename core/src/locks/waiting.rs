//! Waiting for a lock: the wake-ups of this process, told apart by waiter.
//!
//! One subscription per process serves every waiter. It begins with the first wait. A lost message costs at most
//! [`RECHECK`](super::store::RECHECK), because each waiter also asks by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::store::{LockStore, Wake};
use crate::task::Tasks;

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
    by_token: HashMap<String, Arc<Notify>>,
}

/// One waiter; dropping it ends the wait.
pub(super) struct Waiter {
    waiting: Waiting,
    token: String,
    turn: Arc<Notify>,
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

    /// Registers a waiter under its token; the first one begins to listen.
    pub(super) fn enter(&self, token: &str, store: &Arc<dyn LockStore>, tasks: &Tasks) -> Waiter {
        let turn = Arc::new(Notify::new());
        let mut waiters = self.waiters();
        waiters.by_token.insert(token.to_owned(), turn.clone());
        if !std::mem::replace(&mut waiters.listening, true) {
            let mut wakes = store.listen(self.process());
            let waiting = self.clone();
            tasks.run_until_closed(async move {
                loop {
                    waiting.wake(&wakes.next().await);
                }
            });
        }
        drop(waiters);
        Waiter {
            waiting: self.clone(),
            token: token.to_owned(),
            turn,
        }
    }

    fn wake(&self, wake: &Wake) {
        let waiters = self.waiters();
        match wake {
            Wake::Waiter(token) => {
                if let Some(turn) = waiters.by_token.get(token) {
                    turn.notify_one();
                }
            }
            Wake::Everybody => waiters.by_token.values().for_each(|turn| turn.notify_one()),
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// Completes when this waiter was woken since it last returned. Cancel-safe.
    pub(super) async fn woken(&self) {
        self.turn.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.waiters().by_token.remove(&self.token);
    }
}
