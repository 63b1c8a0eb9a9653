//! Automatic extension: one task per process keeps every lock that asked for it, with one call for all that are due.

use crate::redact::Quiet;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::guard::Held;
use super::named::Named;
use crate::clock::LOOK_AGAIN;

/// The locks that extend themselves. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Default)]
struct Inner {
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
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Extends this lock from now on, at most until `max_hold` after it was granted.
    pub(super) fn keep(&self, named: &Named, held: &Arc<Held>, max_hold: Duration) {
        let kept = Kept {
            held: held.clone(),
            until: held.granted + max_hold.min(Duration::from_hours(366 * 24)),
        };
        if self.plan(kept, held.granted + held.ttl / 3) {
            let (keeper, named) = (self.clone(), named.clone());
            named
                .clone()
                .tasks()
                .run_until_closed(async move { keeper.run(&named).await });
        }
    }

    /// Puts a lock on the agenda. Says whether the task is still to be started.
    fn plan(&self, kept: Kept, due: Instant) -> bool {
        let mut agenda = self.agenda();
        let first = agenda
            .kept
            .first_key_value()
            .is_none_or(|((earliest, _), _)| due < *earliest);
        agenda.kept.insert((due, kept.held.token.clone()), kept);
        let start = !std::mem::replace(&mut agenda.running, true);
        drop(agenda);
        if first && !start {
            self.0.earlier.notify_one();
        }
        start
    }

    async fn run(&self, named: &Named) {
        loop {
            let (due, pause) = self.due(named.instant());
            if !due.is_empty() {
                let (keeper, named) = (self.clone(), named.clone());
                // A call that hangs must not delay those that become due meanwhile.
                named
                    .clone()
                    .tasks()
                    .in_background(async move { keeper.extend(&named, due).await });
            }
            let pause = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause.min(LOOK_AGAIN)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.earlier.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Takes what is due off the agenda, and what soon will be, so that one call serves many; answers also how long
    /// nothing else is; `None` when nothing is left.
    fn due(&self, now: Instant) -> (Vec<Kept>, Option<Duration>) {
        let mut agenda = self.agenda();
        let mut due = Vec::new();
        while let Some(entry) = agenda.kept.first_entry() {
            let at = entry.key().0;
            let early = if due.is_empty() {
                Duration::ZERO
            } else {
                entry.get().held.ttl / 12
            };
            if at > now + early {
                return (due, Some(at - now));
            }
            due.push(entry.remove());
        }
        (due, None)
    }

    async fn extend(&self, named: &Named, due: Vec<Kept>) {
        let now = named.instant();
        let wanted: Vec<_> = due
            .into_iter()
            .filter_map(|kept| Some((kept.wanted(now)?, kept)))
            .collect();
        let locks: Vec<_> = wanted.iter().map(|(ttl, kept)| (&*kept.held, *ttl)).collect();
        if locks.is_empty() {
            return;
        }
        let answers = named.extend_all(&locks).await;
        drop(locks);
        for ((ttl, kept), answer) in wanted.into_iter().zip(answers) {
            let outcome = answer.and_then(|extension| kept.held.extended(extension, ttl, now));
            let next = match outcome {
                // This one reached as far as any may.
                Ok(()) if kept.until.saturating_duration_since(now) <= kept.held.ttl => {
                    kept.held.reached_max_hold();
                    continue;
                }
                Ok(()) => now + ttl / 3,
                Err(error) => {
                    tracing::warn!(%error, lock = %Quiet(&kept.held.key.name), "a lock could not be extended");
                    // The local deadline ends this: `wanted` looks at it.
                    named.instant()
                        + (kept.held.ttl / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
                }
            };
            self.plan(kept, next);
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.0.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// How long this lock should live from now; `None` when it is not to be extended.
    fn wanted(&self, now: Instant) -> Option<Duration> {
        if self.held.is_ended() || self.held.lost_cause().is_some() {
            return None;
        }
        let left = self.until.saturating_duration_since(now);
        if left <= self.held.remaining() {
            self.held.reached_max_hold();
            return None;
        }
        Some(self.held.ttl.min(left))
    }
}
