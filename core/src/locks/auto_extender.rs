//! Automatic extension: one task per process keeps every lock that asked for it, with one call for all that are due.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::held::HeldLock;
use super::server::LockServer;
use crate::clock::{LOOK_AGAIN, SharedClock};
use crate::redact::Quiet;
use crate::sync::lock;
use crate::task::Tasks;

/// The locks that extend themselves. Clones share them.
#[derive(Clone)]
pub(super) struct AutoExtender(Arc<Inner>);

struct Inner {
    server: LockServer,
    clock: SharedClock,
    tasks: Tasks,
    agenda: Mutex<Agenda>,
    earlier: Notify,
}

/// By due time, then by token, so that equal times do not collide.
#[derive(Default)]
struct Agenda {
    running: bool,
    entries: BTreeMap<(Instant, String), Entry>,
}

#[derive(Clone)]
struct Entry {
    held: Arc<HeldLock>,
    until: Instant,
}

impl AutoExtender {
    pub(super) fn new(server: LockServer, clock: SharedClock, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            server,
            clock,
            tasks,
            agenda: Mutex::default(),
            earlier: Notify::new(),
        }))
    }

    /// Extends this lock from now on, at most until `max_hold` after it was granted.
    pub(super) fn keep(&self, held: &Arc<HeldLock>, max_hold: Duration) {
        let entry = Entry {
            held: held.clone(),
            until: held.granted + max_hold.min(Duration::from_hours(366 * 24)),
        };
        if self.plan(entry, held.granted + held.ttl / 3) {
            let extender = self.clone();
            self.0.tasks.run_until_closed(async move { extender.run().await });
        }
    }

    /// Puts a lock on the agenda. Says whether the task is still to be started.
    fn plan(&self, entry: Entry, due: Instant) -> bool {
        let mut agenda = self.agenda();
        let first = agenda
            .entries
            .first_key_value()
            .is_none_or(|((earliest, _), _)| due < *earliest);
        agenda.entries.insert((due, entry.held.token.clone()), entry);
        let start = !std::mem::replace(&mut agenda.running, true);
        drop(agenda);
        if first && !start {
            self.0.earlier.notify_one();
        }
        start
    }

    async fn run(&self) {
        loop {
            let (due, pause) = self.due(self.0.clock.instant());
            if !due.is_empty() {
                let extender = self.clone();
                // A call that hangs must not delay those that become due meanwhile.
                self.0
                    .tasks
                    .in_background(async move { extender.extend(due).await });
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

    /// Takes what is due off the agenda, and what soon will be, so that one call serves many; returns also how long
    /// nothing else is; `None` when nothing is left.
    fn due(&self, now: Instant) -> (Vec<Entry>, Option<Duration>) {
        let mut agenda = self.agenda();
        let mut due = Vec::new();
        while let Some(entry) = agenda.entries.first_entry() {
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

    async fn extend(&self, due: Vec<Entry>) {
        let now = self.0.clock.instant();
        let wanted: Vec<_> = due
            .into_iter()
            .filter_map(|entry| Some((entry.wanted(now)?, entry)))
            .collect();
        let renewals: Vec<_> = wanted
            .iter()
            .map(|(ttl, entry)| entry.held.renewal(*ttl))
            .collect();
        if renewals.is_empty() {
            return;
        }
        let answers = self.0.server.extend(&renewals).await;
        drop(renewals);
        for ((ttl, entry), answer) in wanted.into_iter().zip(answers) {
            let outcome = answer.and_then(|extension| entry.held.extended(extension, ttl, now));
            let next = match outcome {
                // This one reached as far as any may.
                Ok(()) if entry.until.saturating_duration_since(now) <= entry.held.ttl => {
                    entry.held.reached_max_hold();
                    continue;
                }
                // A third, so that one lost answer, and the attempt after it, leave time before the lock ends.
                Ok(()) => now + ttl / 3,
                Err(error) => {
                    tracing::warn!(%error, lock = %Quiet(&entry.held.key.name), "a lock could not be extended");
                    // The local deadline ends this: `wanted` looks at it.
                    self.0.clock.instant()
                        + (entry.held.ttl / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
                }
            };
            self.plan(entry, next);
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        lock(&self.0.agenda)
    }
}

impl Entry {
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
