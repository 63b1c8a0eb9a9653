//! Where hashes are computed: off the runtime, a few at a time.
//!
//! A hash takes 19 MiB and tens of milliseconds of a core. A thousand sign-ins at once must neither take all
//! memory nor stop the requests of those who are signed in: so as many hashes run as there are spare cores, a few
//! callers wait a short while, and the rest is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::stored::{Scratch, ScratchPool};
use crate::error::{Error, Result, Retry, codes};
use crate::task::Tasks;

/// How many callers may wait for each that is served.
const WAITING_PER_PERMIT: usize = 4;
/// How long they wait.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Cheap to clone; clones share the permits.
#[derive(Clone)]
pub(crate) struct HashPool {
    tasks: Tasks,
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    longest_wait: Duration,
    spares: Arc<ScratchPool>,
}

impl HashPool {
    /// One permit for each core but one, which stays for the runtime.
    pub(crate) fn new(tasks: Tasks) -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self::with_permits(tasks, cores.saturating_sub(1).max(1), LONGEST_WAIT)
    }

    pub(crate) fn with_permits(tasks: Tasks, permits: usize, longest_wait: Duration) -> Self {
        Self {
            tasks,
            permits: Arc::new(Semaphore::new(permits)),
            waiting: Arc::default(),
            most_waiting: permits * WAITING_PER_PERMIT,
            longest_wait,
            spares: Arc::new(ScratchPool::new(permits)),
        }
    }

    /// Whether no caller computes or waits.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
            && self.permits.available_permits() * WAITING_PER_PERMIT == self.most_waiting
    }

    /// How many hashes were computed so far.
    #[cfg(test)]
    pub(crate) fn computed(&self) -> usize {
        self.spares.computed()
    }

    /// Runs work that takes a core. When the caller goes away the work still ends, and its answer is lost.
    ///
    /// # Errors
    /// `auth.hashing_busy` when the queue is full or the wait was too long; nothing was computed.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T> {
        let place = QueueEntry::take(&self.waiting, self.most_waiting).ok_or_else(busy)?;
        let permit = tokio::time::timeout(self.longest_wait, self.permits.clone().acquire_owned());
        let permit = permit.await.map_err(|_| busy())?.map_err(|_| busy())?;
        drop(place);
        let spares = self.spares.clone();
        self.tasks
            .blocking(move || {
                let answer = spares.lend(work);
                drop(permit);
                answer
            })
            .await
    }
}

/// A place in the queue, given back when the wait ends in any way.
struct QueueEntry(Arc<AtomicUsize>);

impl QueueEntry {
    fn take(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(waiting.clone());
        (waiting.fetch_add(1, Ordering::SeqCst) < most).then_some(place)
    }
}

impl Drop for QueueEntry {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn busy() -> Error {
    Error::new(
        codes::AUTH_HASHING_BUSY,
        "too many passwords are being checked at once",
    )
    .retry_when(Retry::After(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn case_106_what_does_not_fit_is_told_to_come_back() {
        let pool = HashPool::with_permits(Tasks::new(), 1, Duration::from_secs(30));
        let (open, gate) = mpsc::channel::<()>();
        let first = pool.run(move |_| gate.recv().is_ok());
        let mut first = Box::pin(first);
        // Polled once, so that the work holds the permit.
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut waiting: Vec<_> = (0..4).map(|number| Box::pin(pool.run(move |_| number))).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        let refused = pool.run(|_| ()).await.unwrap_err();
        assert!(refused.is(codes::AUTH_HASHING_BUSY) && refused.is_retryable());
        // A caller that goes away gives its place back.
        drop(waiting.pop());
        let mut next = Box::pin(pool.run(|_| 7));
        assert!(futures_util::poll!(&mut next).is_pending());
        open.send(()).unwrap();
        assert!(first.await.unwrap());
        let answers = futures_util::future::try_join_all(waiting).await.unwrap();
        assert_eq!((answers, next.await.unwrap()), (vec![0, 1, 2], 7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn case_106_of_a_thousand_never_more_are_computed_at_once_than_there_are_permits() {
        let pool = HashPool::with_permits(Tasks::new(), 2, Duration::from_secs(30));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..1000).map(|_| {
            let (now, most) = (now.clone(), most.clone());
            pool.run(move |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        });
        let outcomes = futures_util::future::join_all(jobs).await;
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        // Each takes 19 MiB, so this many times 19 MiB is all that a flood can take.
        assert!(
            most.load(Ordering::SeqCst) <= 2 && done >= 8,
            "{most:?} at once, {done} done"
        );
    }

    #[tokio::test]
    async fn a_long_wait_ends() {
        let pool = HashPool::with_permits(Tasks::new(), 1, Duration::from_millis(1));
        let (open, gate) = mpsc::channel::<()>();
        let mut first = Box::pin(pool.run(move |_| gate.recv().is_ok()));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(pool.run(|_| ()).await.unwrap_err().is(codes::AUTH_HASHING_BUSY));
        open.send(()).unwrap();
        assert!(first.await.unwrap());
    }
}
