//! Work behind the caller's back that is repeated until it is done: what a server that was away for some seconds must
//! not leave undone, such as the release of a lock.
//!
//! * The first attempt is made at once, in a task of its own. What fails waits in one queue, and one task repeats all
//!   of it: first after some 40 ms, then ever more rarely, at least about once a second. So a server that comes back is
//!   asked soon, and not by thousands at once.
//! * Each piece of work has a time after which it is of no more use, such as the end of a lock by itself.
//! * The queue is bounded. When it is full, nothing more comes in; what may be in vain has a bound of its own, so that
//!   many failed requests leave room for what is known to be held.
//! * `close()` makes one more attempt at everything, and does not wait for a server that stays away.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::Tasks;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::rng;
use crate::sync::lock;

/// Pieces of work that may wait, of each [`Need`].
const CAPACITY: usize = 10_000;
/// Attempts at the same time.
const TOGETHER: usize = 64;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much depends on a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Something is known to be there that must go, or to be missing.
    Sure,
    /// There may be nothing to do: a request was sent, or not even that, and it is unknown what came of it.
    Perhaps,
}

/// What waits to be repeated.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_running: bool,
    chores: VecDeque<Chore>,
    /// How many of them are not sure.
    perhaps: usize,
}

type Attempt = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

struct Chore {
    what: &'static str,
    need: Need,
    until: Instant,
    attempt: Box<dyn Fn() -> Attempt + Send + Sync>,
}

impl Tasks {
    /// Does `attempt` now, and again while it fails for a reason that may pass, at most for `within`. No caller waits
    /// for it. Each attempt must bound itself by a deadline, and do no harm when it is made twice. `what` it is, is for
    /// the log. Callable from `Drop`, as [`in_background`](Tasks::in_background).
    pub(crate) fn until_done<F, W>(&self, what: &'static str, need: Need, within: Duration, attempt: F)
    where
        F: Fn() -> W + Send + Sync + 'static,
        W: Future<Output = Result<()>> + Send + 'static,
    {
        let (tasks, until) = (self.clone(), SystemClock.instant() + within);
        self.in_background(async move {
            if let Err(error) = attempt().await {
                let attempt: Box<dyn Fn() -> Attempt + Send + Sync> = Box::new(move || Box::pin(attempt()));
                let chore = Chore {
                    what,
                    need,
                    until,
                    attempt,
                };
                tasks.repeat(chore, &error);
            }
        });
    }

    fn repeat(&self, chore: Chore, error: &Error) {
        if self.is_closed() || !chore.is_worth_repeating(error) {
            return chore.give_up(error);
        }
        tracing::debug!(%error, "{} failed; it will be repeated", chore.what);
        let mut waiting = self.repeats.waiting();
        waiting.push(chore);
        if !std::mem::replace(&mut waiting.is_running, true) {
            drop(waiting);
            self.in_background(self.clone().repeat_all());
        }
    }

    async fn repeat_all(self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            self.pause(pause / 2 + rng::jitter(pause / 2)).await;
            let has_succeeded = self.round().await;
            // One attempt that ends after close() has begun is enough, whenever it began.
            let is_last = self.is_closed();
            let mut waiting = self.repeats.waiting();
            if waiting.chores.is_empty() || is_last {
                waiting.is_running = false;
                let left = waiting.take().len();
                if left > 0 {
                    tracing::error!(left, "work could not be done before the end");
                }
                return;
            }
            drop(waiting);
            pause = if has_succeeded {
                SHORTEST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
        }
    }

    /// Attempts what waits, some at a time, until all of some fail. Says whether anything was done.
    async fn round(&self) -> bool {
        let mut due = self.repeats.waiting().take();
        let (mut failed, mut has_succeeded) = (Vec::new(), false);
        while !due.is_empty() {
            let some: Vec<_> = due.drain(..due.len().min(TOGETHER)).collect();
            let (count, before) = (some.len(), failed.len());
            let outcomes = join_all(some.iter().map(|chore| (chore.attempt)())).await;
            for (chore, outcome) in some.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => {}
                    Err(error) if chore.is_worth_repeating(&error) => failed.push(chore),
                    Err(error) => chore.give_up(&error),
                }
            }
            if failed.len() - before == count {
                break;
            }
            has_succeeded = true;
        }
        let mut waiting = self.repeats.waiting();
        // What failed goes behind the others: the next round begins with those.
        due.into_iter()
            .chain(failed)
            .for_each(|chore| waiting.push(chore));
        has_succeeded
    }
}

impl fmt::Debug for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chore").field(&self.what).finish()
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.0)
    }
}

impl Waiting {
    fn push(&mut self, chore: Chore) {
        let of_its_need = match chore.need {
            Need::Sure => self.chores.len() - self.perhaps,
            Need::Perhaps => self.perhaps,
        };
        if of_its_need >= CAPACITY {
            tracing::error!("{} is not repeated: too much waits for a server", chore.what);
            return;
        }
        self.perhaps += usize::from(chore.need == Need::Perhaps);
        self.chores.push_back(chore);
    }

    fn take(&mut self) -> VecDeque<Chore> {
        self.perhaps = 0;
        std::mem::take(&mut self.chores)
    }
}

impl Chore {
    /// Whether the failure may pass, in time.
    fn is_worth_repeating(&self, error: &Error) -> bool {
        !matches!(error.kind(), Kind::Invalid | Kind::Closed) && SystemClock.instant() < self.until
    }

    fn give_up(&self, error: &Error) {
        tracing::warn!(%error, "{} failed and is not repeated", self.what);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::error::codes;

    const LONG: Duration = Duration::from_mins(10);

    /// Work that fails as often as it is told to.
    #[derive(Clone, Default)]
    struct Flaky(Arc<Inside>);

    #[derive(Default)]
    struct Inside {
        failures_left: AtomicUsize,
        attempts: AtomicUsize,
        attempted: Notify,
        done: Notify,
    }

    impl Flaky {
        fn failing(times: usize) -> Self {
            let flaky = Self::default();
            flaky.0.failures_left.store(times, Ordering::SeqCst);
            flaky
        }

        fn attempts(&self) -> usize {
            self.0.attempts.load(Ordering::SeqCst)
        }

        fn attempt(&self) -> Result<()> {
            self.0.attempts.fetch_add(1, Ordering::SeqCst);
            self.0.attempted.notify_one();
            let failures = self.0.failures_left.load(Ordering::SeqCst);
            if failures > 0 {
                self.0.failures_left.store(failures - 1, Ordering::SeqCst);
                return Err(Error::new(codes::REDIS_UNAVAILABLE, "away"));
            }
            self.0.done.notify_one();
            Ok(())
        }

        fn begin(&self, tasks: &Tasks, need: Need, within: Duration) {
            let this = self.clone();
            tasks.until_done("the test", need, within, move || {
                std::future::ready(this.attempt())
            });
        }
    }

    #[tokio::test]
    async fn what_fails_is_repeated_until_it_is_done() {
        let (tasks, flaky) = (Tasks::new(), Flaky::failing(3));
        flaky.begin(&tasks, Need::Sure, LONG);
        flaky.0.done.notified().await;
        assert_eq!(tasks.close(LONG).await, 0);
        assert_eq!(flaky.attempts(), 4, "once is enough");
    }

    #[tokio::test]
    async fn what_is_of_no_more_use_is_not_repeated() {
        let (tasks, flaky) = (Tasks::new(), Flaky::failing(usize::MAX));
        flaky.begin(&tasks, Need::Sure, Duration::ZERO);
        flaky.0.attempted.notified().await;
        assert_eq!(tasks.close(LONG).await, 0);
        assert_eq!(flaky.attempts(), 1);
    }

    #[tokio::test]
    async fn close_makes_one_more_attempt_and_does_not_wait_for_what_stays_away() {
        let (tasks, flaky) = (Tasks::new(), Flaky::failing(usize::MAX));
        flaky.begin(&tasks, Need::Sure, LONG);
        for _ in 0..2 {
            flaky.0.attempted.notified().await;
        }
        assert_eq!(tasks.close(LONG).await, 0);
        assert_eq!(flaky.attempts(), 3);
        flaky.begin(&tasks, Need::Sure, LONG);
        assert_eq!(tasks.close(LONG).await, 0);
        assert_eq!(flaky.attempts(), 4, "after the end it is tried once");
    }

    #[tokio::test]
    async fn one_that_never_succeeds_keeps_no_other_from_it() {
        let (tasks, hopeless, flaky) = (Tasks::new(), Flaky::failing(usize::MAX), Flaky::failing(2));
        for _ in 0..TOGETHER {
            hopeless.begin(&tasks, Need::Sure, LONG);
        }
        flaky.begin(&tasks, Need::Perhaps, LONG);
        flaky.0.done.notified().await;
    }

    #[tokio::test]
    async fn what_may_be_in_vain_does_not_displace_what_is_known_and_neither_grows_for_ever() {
        let mut waiting = Waiting::default();
        let chore = |need| Chore {
            what: "the test",
            need,
            until: SystemClock.instant(),
            attempt: Box::new(|| Box::pin(std::future::ready(Ok(())))),
        };
        for need in [Need::Perhaps, Need::Sure, Need::Sure] {
            for _ in 0..=CAPACITY {
                waiting.push(chore(need));
            }
        }
        assert_eq!((waiting.chores.len(), waiting.perhaps), (2 * CAPACITY, CAPACITY));
        assert_eq!(waiting.take().len(), 2 * CAPACITY);
        waiting.push(chore(Need::Perhaps));
        assert_eq!((waiting.chores.len(), waiting.perhaps), (1, 1));
    }
}
