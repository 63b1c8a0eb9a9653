//! The audit of locks and holds: who kept what, and when.
//!
//! Promises:
//! * No call waits for the audit: an event is put into a bounded queue and written in batches by one background task.
//! * A database outage loses nothing until 10,000 events wait; then the oldest go, and
//!   `lock_audit_dropped_total` counts them.
//! * Events of a process are written in the order in which they happened. A batch whose answer was lost is written
//!   again, so a row may stand there twice, but not be missing.
//! * `close()` writes what waits, with one last attempt.

mod memory;
mod model;
#[cfg(feature = "postgres")]
mod postgres;
mod store;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub(crate) use memory::MemoryAudit;
pub use model::{AuditEntry, AuditEvent};
pub(crate) use model::{Facts, Note, fit_key, shown_token, whole_seconds};
#[cfg(feature = "postgres")]
pub(crate) use postgres::PostgresAudit;
pub(crate) use store::AuditStore;

use crate::error::{Error, Kind, Result, codes};
use crate::redact::Quiet;
use crate::sync;
use crate::task::Tasks;
use crate::tenants::TenantId;
use crate::{metrics as names, rng};

/// Events that may wait.
const CAPACITY: usize = 10_000;
/// Rows of one statement.
const BATCH: usize = 500;
/// How long the writer lets events gather after the first, unless a batch is full or a caller flushes: a process that
/// locks all the time commits twenty times a second and not hundreds of times, and what it does otherwise is slowed by
/// as few commits.
const GATHER: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long an attempt to write may take when the database is silent: the default time for a connection and a
/// statement.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(8);
/// How long the writer waits, at close, for releases that are still under way.
const LINGER: Duration = Duration::from_millis(100);

/// The queue and its writer. Clones share them.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

struct Inner {
    store: Arc<dyn AuditStore>,
    tasks: Tasks,
    gather: Duration,
    queue: Mutex<Queue>,
    arrived: Notify,
    /// Ends the gathering.
    enough: Notify,
    /// How many events have left the queue for good, written or dropped.
    settled: watch::Sender<u64>,
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<Arc<Note>>,
    accepted: u64,
    writer: Writer,
}

#[derive(Default, PartialEq)]
enum Writer {
    #[default]
    NotStarted,
    Running,
    Ended,
}

impl Audit {
    pub(crate) fn new(store: Arc<dyn AuditStore>, tasks: Tasks) -> Self {
        Self::gathering(store, tasks, GATHER)
    }

    fn gathering(store: Arc<dyn AuditStore>, tasks: Tasks, gather: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            tasks,
            gather,
            queue: Mutex::default(),
            arrived: Notify::new(),
            enough: Notify::new(),
            settled: watch::channel(0).0,
        }))
    }

    /// Notes an event. Never waits.
    pub(crate) fn note(&self, note: Note) {
        let note = Arc::new(note);
        let mut queue = self.0.queue();
        queue.accepted += 1;
        if queue.writer == Writer::Ended {
            drop(queue);
            self.0.dropped(1);
            return;
        }
        queue.rows.push_back(note);
        let is_batch = queue.rows.len() == BATCH;
        let overflow = queue.rows.len() > CAPACITY;
        if overflow {
            queue.rows.pop_front();
        }
        let first = queue.writer == Writer::NotStarted;
        queue.writer = Writer::Running;
        drop(queue);
        if overflow {
            self.0.dropped(1);
        }
        if first {
            self.0.tasks.in_background(self.0.clone().write_until_closed());
        }
        self.0.arrived.notify_one();
        if is_batch {
            self.0.enough.notify_one();
        }
    }

    /// Waits until every event so far is written (or was dropped). Cancel-safe.
    pub(crate) async fn flush(&self) {
        let target = self.0.queue().accepted;
        let mut settled = self.0.settled.subscribe();
        self.0.enough.notify_one();
        // The sender lives as long as this handle, so waiting cannot fail.
        let _ = settled.wait_for(|count| *count >= target).await;
    }

    pub(crate) async fn recent(
        &self,
        lock_key: &str,
        tenant: Option<&TenantId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        self.0.store.recent(lock_key, tenant, limit).await
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        sync::lock(&self.queue)
    }

    fn settle(&self, count: usize) {
        self.settled.send_modify(|settled| *settled += count as u64);
    }

    fn dropped(&self, count: usize) {
        metrics::counter!(names::LOCK_AUDIT_DROPPED).increment(count as u64);
        self.settle(count);
    }

    async fn write_until_closed(self: Arc<Self>) {
        let stopping = self.tasks.stopping();
        loop {
            let batch: Vec<_> = {
                let mut queue = self.queue();
                let count = queue.rows.len().min(BATCH);
                queue.rows.drain(..count).collect()
            };
            if !batch.is_empty() {
                self.write(batch).await;
                continue;
            }
            if !stopping.is_cancelled() {
                tokio::select! {
                    () = self.arrived.notified() => self.gather().await,
                    () = stopping.cancelled() => {}
                }
                continue;
            }
            // A guard that was dropped at the last moment is released in the background and has something to say.
            if tokio::time::timeout(LINGER, self.arrived.notified())
                .await
                .is_err()
                && self.end()
            {
                return;
            }
        }
    }

    async fn gather(&self) {
        tokio::select! {
            () = self.tasks.pause(self.gather) => {}
            () = self.enough.notified() => {}
        }
    }

    /// Ends the writer, unless an event slipped in.
    fn end(&self) -> bool {
        let mut queue = self.queue();
        if queue.rows.is_empty() {
            queue.writer = Writer::Ended;
        }
        queue.writer == Writer::Ended
    }

    /// Writes a batch, however long the store is away.
    async fn write(&self, batch: Vec<Arc<Note>>) {
        let stopping = self.tasks.stopping();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let begun_at_close = stopping.is_cancelled();
            let error = match self.store.append(&batch).await {
                Ok(()) => return self.settle(batch.len()),
                Err(error) => error,
            };
            if is_about_the_rows(&error) {
                return self.write_one_by_one(&batch).await;
            }
            // An attempt that ended after close() had begun was the last, unless there is time for a whole other one.
            let is_closing = stopping.is_cancelled();
            if begun_at_close || is_closing && !self.tasks.has_time_for(LONGEST_ATTEMPT) {
                let lost = batch.len() + self.queue().rows.drain(..).count();
                tracing::error!(%error, lost, "the lock audit could not be written before the end");
                return self.dropped(lost);
            }
            tracing::warn!(%error, "the lock audit cannot be written now; it waits");
            self.tasks.pause(pause / 2 + rng::jitter(pause / 2)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One row that the store refuses must not take the others with it.
    async fn write_one_by_one(&self, batch: &[Arc<Note>]) {
        for row in batch {
            match self.store.append(std::slice::from_ref(row)).await {
                Ok(()) => self.settle(1),
                Err(error) => {
                    tracing::error!(%error, lock_key = %Quiet(&row.lock_key), "a row of the lock audit was refused");
                    self.dropped(1);
                }
            }
        }
    }
}

/// Whether the store was there and refused what we sent. A missing table is not about the rows: a migration may be
/// about to run the migrations.
fn is_about_the_rows(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::Internal)
        && !error.is(codes::POSTGRES_SCHEMA)
        && !error.is(codes::POSTGRES_CONTENDED)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use chrono::DateTime;

    use super::*;

    /// A store that fails as often as it is told to.
    #[derive(Default)]
    struct Flaky {
        failures: AtomicUsize,
        refuses: Option<&'static str>,
        kept: MemoryAudit,
    }

    #[async_trait]
    impl AuditStore for Flaky {
        async fn append(&self, rows: &[Arc<Note>]) -> Result<()> {
            let left = self.failures.load(Ordering::SeqCst);
            if left > 0 {
                self.failures.store(left - 1, Ordering::SeqCst);
                return Err(Error::new(codes::POSTGRES_UNAVAILABLE, "away"));
            }
            if rows.iter().any(|row| Some(&*row.lock_key) == self.refuses) {
                return Err(Error::new(codes::POSTGRES_INTERNAL, "refused"));
            }
            self.kept.append(rows).await
        }

        async fn recent(
            &self,
            lock_key: &str,
            tenant: Option<&TenantId>,
            limit: usize,
        ) -> Result<Vec<AuditEntry>> {
            self.kept.recent(lock_key, tenant, limit).await
        }
    }

    fn entry(lock_key: &str, number: u64) -> Note {
        Note {
            lock_key: lock_key.into(),
            event: AuditEvent::Acquired,
            at: DateTime::UNIX_EPOCH,
            tenant: None,
            facts: Facts::new().with("number", number),
        }
    }

    fn audit(store: Flaky) -> (Tasks, Audit) {
        let tasks = Tasks::new();
        let audit = Audit::new(Arc::new(store), tasks.clone());
        (tasks, audit)
    }

    #[tokio::test]
    async fn an_outage_delays_rows_and_keeps_their_order() {
        let (_tasks, audit) = audit(Flaky {
            failures: AtomicUsize::new(2),
            ..Flaky::default()
        });
        for number in 0..3 {
            audit.note(entry("a", number));
        }
        audit.flush().await;
        let rows = audit.recent("a", None, 10).await.unwrap();
        let numbers: Vec<_> = rows
            .iter()
            .map(|row| row.details["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, [2, 1, 0]);
    }

    #[tokio::test]
    async fn a_refused_row_does_not_take_the_others_with_it() {
        let (_tasks, audit) = audit(Flaky {
            refuses: Some("bad"),
            ..Flaky::default()
        });
        for key in ["a", "bad", "a"] {
            audit.note(entry(key, 0));
        }
        audit.flush().await;
        assert_eq!(audit.recent("a", None, 10).await.unwrap().len(), 2);
        assert!(audit.recent("bad", None, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn too_many_waiting_rows_push_out_the_oldest() {
        let (_tasks, audit) = audit(Flaky::default());
        // No await in between: on this runtime the writer has not run yet.
        for number in 0..CAPACITY as u64 + 5 {
            audit.note(entry("a", number));
        }
        audit.flush().await;
        let rows = audit.recent("a", None, usize::MAX).await.unwrap();
        assert_eq!(rows.len(), CAPACITY);
        assert_eq!(rows.last().unwrap().details["number"], 5);
    }

    #[tokio::test]
    async fn neither_a_flush_nor_a_full_batch_waits_for_more() {
        const ONE_AND_A_BATCH: u64 = BATCH as u64 + 1;
        let audit = Audit::gathering(Arc::new(Flaky::default()), Tasks::new(), Duration::from_hours(1));
        let settled = async {
            audit.note(entry("a", 0));
            audit.flush().await;
            for number in 1..ONE_AND_A_BATCH {
                audit.note(entry("a", number));
            }
            let mut settled = audit.0.settled.subscribe();
            settled
                .wait_for(|count| *count == ONE_AND_A_BATCH)
                .await
                .map(drop)
        };
        let settled = tokio::time::timeout(Duration::from_secs(10), settled).await;
        assert!(matches!(settled, Ok(Ok(()))), "{settled:?}");
    }

    #[tokio::test]
    async fn close_writes_what_waits() {
        let (tasks, audit) = audit(Flaky::default());
        audit.note(entry("a", 0));
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
        assert_eq!(audit.recent("a", None, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn close_does_not_wait_for_a_store_that_stays_away() {
        let (tasks, audit) = audit(Flaky {
            failures: AtomicUsize::new(usize::MAX),
            ..Flaky::default()
        });
        audit.note(entry("a", 0));
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
        audit.flush().await;
    }
}
