//! Automatic extension: one task per process keeps every lock that asked for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::guard::Held;
use crate::clock::SharedClock;
use crate::task::Tasks;

/// The locks that extend themselves. Clones share them.
#[derive(Clone)]
pub(super) struct Keeper(Arc<Inner>);

struct Inner {
    clock: SharedClock,
    tasks: Tasks,
    agenda: Mutex<Agenda>,
    earlier: Notify,
}

/// By due time, then by token, so that equal times do not collide.
#[derive(Default)]
struct Agenda {
    running: bool,
    kept: BTreeMap<(Instant, String), Kept>,
}

#[derive(Clone)]
struct Kept {
    held: Arc<Held>,
    until: Instant,
}

impl Keeper {
    pub(super) fn new(clock: SharedClock, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            clock,
            tasks,
            agenda: Mutex::default(),
            earlier: Notify::new(),
        }))
    }

    /// Extends this lock from now on, at most until `max_hold` after it was granted.
    pub(super) fn keep(&self, held: &Arc<Held>, max_hold: Duration) {
        let kept = Kept {
            held: held.clone(),
            until: held.granted + max_hold.min(Duration::from_hours(366 * 24)),
        };
        self.plan(kept, held.granted + held.ttl / 3);
    }

    fn plan(&self, kept: Kept, due: Instant) {
        let mut agenda = self.agenda();
        let first = agenda
            .kept
            .first_key_value()
            .is_none_or(|((earliest, _), _)| due < *earliest);
        agenda.kept.insert((due, kept.held.token.clone()), kept);
        let start = !std::mem::replace(&mut agenda.running, true);
        drop(agenda);
        if start {
            let keeper = self.clone();
            self.0.tasks.run_until_closed(async move { keeper.run().await });
        } else if first {
            self.0.earlier.notify_one();
        }
    }

    async fn run(&self) {
        loop {
            let now = self.0.clock.instant();
            let (due, pause) = self.due(now);
            for kept in due {
                let keeper = self.clone();
                // Each by itself: they share one round trip on the connection, and a slow one delays nobody.
                self.0
                    .tasks
                    .in_background(async move { keeper.extend(kept).await });
            }
            tokio::select! {
                () = self.0.earlier.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes what is due off the agenda; answers also how long nothing else is.
    fn due(&self, now: Instant) -> (Vec<Kept>, Duration) {
        let mut agenda = self.agenda();
        let mut due = Vec::new();
        while let Some(entry) = agenda.kept.first_entry() {
            let at = entry.key().0;
            if at > now {
                return (due, at - now);
            }
            due.push(entry.remove());
        }
        (due, Duration::from_hours(1))
    }

    async fn extend(&self, kept: Kept) {
        let held = &kept.held;
        if held.is_ended() || held.lost_cause().is_some() {
            return;
        }
        let now = self.0.clock.instant();
        let left = kept.until.saturating_duration_since(now);
        if left <= held.remaining() {
            return held.reached_max_hold();
        }
        let ttl = held.ttl.min(left);
        let next = match held.extend(ttl).await {
            // This one reached as far as any may.
            Ok(()) if left <= held.ttl => return held.reached_max_hold(),
            Ok(()) => now + ttl / 3,
            Err(error) => {
                tracing::warn!(%error, lock = %held.key.name, "a lock could not be extended");
                // The local deadline ends this: `lost_cause` above.
                self.0.clock.instant()
                    + (held.ttl / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
            }
        };
        self.plan(kept, next);
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.0.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
