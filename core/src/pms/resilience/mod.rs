//! What stands around every request to a hotel's system.
//!
//! In this order: a breaker that knows whether asking makes sense, a bulkhead so that one slow server does not hold
//! all callers, a pace that the server can keep up with, a deadline over everything together, and, for questions only,
//! another try while a budget pays for it. A write is sent at most once, always.

mod breaker;
mod budget;
mod pace;
mod system;

use std::future::Future;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::{SharedClock, SystemClock};
use crate::error::{Error, Result, Retry, codes};
use crate::metrics::RETRY_ATTEMPTS_TOTAL;
use crate::rng;
use crate::settings::PmsLimits;
use breaker::{Breaker, Rule};
use budget::RetryBudget;
use pace::Pace;
pub(crate) use system::Resilient;

/// The most tries of one question.
const TRIES: u32 = 3;
/// The longest pause before the second try; it doubles for each further one. Pauses are random below that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What a request is for. Each has its own deadline, breaker and bulkhead, so that availability, which a server
/// computes for long, keeps no caller from booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A question about what is stored.
    Read,
    /// A question about free rooms and prices.
    Availability,
    /// Whatever changes something.
    Write,
}

/// What came of one try.
pub(super) struct Attempt<T> {
    pub(super) outcome: Result<T>,
    /// Whether the server did its part. A refusal is an answer; a lost connection is not.
    pub(super) answered: bool,
}

/// Everything around the requests to one host.
#[derive(Debug)]
pub(crate) struct Resilience {
    read: Lane,
    availability: Lane,
    write: Lane,
    budget: RetryBudget,
    pace: Pace,
    /// Deadlines and pace are about the network, which no test can hold still.
    real: SharedClock,
}

#[derive(Debug)]
struct Lane {
    deadline: Duration,
    breaker: Breaker,
    slots: Semaphore,
}

impl Resilience {
    /// The breakers take their time from `clock`.
    pub(crate) fn new(limits: &PmsLimits, clock: &SharedClock) -> Self {
        let lane = |name, deadline| Lane {
            deadline,
            breaker: Breaker::new(
                name,
                Rule {
                    failures: limits.breaker_failures,
                    pause: limits.breaker_pause,
                    lease: deadline,
                },
                clock.clone(),
            ),
            slots: Semaphore::new(usize::try_from(limits.max_concurrent).unwrap_or(usize::MAX >> 4)),
        };
        Self {
            read: lane("read", limits.timeout),
            availability: lane("availability", limits.availability_timeout),
            write: lane("write", limits.booking_timeout),
            budget: RetryBudget::full(),
            pace: Pace::new(limits.max_rate),
            real: SystemClock::shared(),
        }
    }

    /// Why nothing of this class would be sent now; `None` when it would.
    pub(super) fn refusal(&self, class: Class) -> Option<Error> {
        self.lane(class).breaker.closed_for().map(open)
    }

    fn lane(&self, class: Class) -> &Lane {
        match class {
            Class::Read => &self.read,
            Class::Availability => &self.availability,
            Class::Write => &self.write,
        }
    }

    /// Sends what `attempt` sends, under every rule. Cancel-safe as far as the attempt is.
    ///
    /// # Errors
    /// * `pms.unavailable` with `breaker=open`, and the pause as retry advice: nothing was sent.
    /// * `pms.timeout`: the deadline passed before anything was sent, or over a question.
    /// * `pms.outcome_unknown`: it passed over a write.
    /// * Those of the attempt.
    pub(super) async fn run<T, F>(&self, class: Class, mut attempt: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let lane = self.lane(class);
        let began = self.real.instant();
        let left = || {
            let spent = self.real.instant().saturating_duration_since(began);
            lane.deadline.saturating_sub(spent)
        };
        let mut tries = 0;
        let mut reason = None;
        loop {
            tries += 1;
            let answer = self.once(lane, class, &left, &mut attempt).await;
            let error = match answer {
                Ok(attempt) if attempt.answered => {
                    if tries == 1 {
                        self.budget.gain();
                    }
                    return attempt.outcome;
                }
                Ok(attempt) => match attempt.outcome {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                // That no further try is allowed says less than why the first try failed.
                Err(error) => return Err(reason.unwrap_or(error)),
            };
            let may_repeat = class != Class::Write && error.is_retryable() && tries < TRIES;
            if !may_repeat || !self.budget.take() {
                return Err(error);
            }
            let pause = rng::jitter(FIRST_PAUSE * 2u32.saturating_pow(tries - 1));
            let pause = match error.retry() {
                Retry::After(asked) => asked.max(pause),
                Retry::Never | Retry::Backoff => pause,
            };
            if pause >= left() {
                return Err(error);
            }
            metrics::counter!(RETRY_ATTEMPTS_TOTAL, "operation" => "pms").increment(1);
            reason = Some(error);
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a write, once, under every rule. At the deadline the future is dropped: what must end is a task behind it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn send<T, F>(&self, write: F) -> Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let began = self.real.instant();
        let left = || {
            let spent = self.real.instant().saturating_duration_since(began);
            self.write.deadline.saturating_sub(spent)
        };
        let attempt = self.once(&self.write, Class::Write, &left, || write).await?;
        if attempt.answered {
            self.budget.gain();
        }
        attempt.outcome
    }

    /// One try. An error means that there was no answer to judge.
    async fn once<T, F>(
        &self,
        lane: &Lane,
        class: Class,
        left: &(impl Fn() -> Duration + Sync),
        attempt: impl FnOnce() -> F + Send,
    ) -> Result<Attempt<T>>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        if let Some(refusal) = self.refusal(class)
            && !lane.breaker.is_probed()
        {
            return Err(refusal);
        }
        let slot = timeout(left(), lane.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(busy());
        };
        let wait = self.pace.take(self.real.instant());
        if wait >= left() {
            return Err(busy());
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let permit = loop {
            if timeout(left(), lane.breaker.probed()).await.is_err() {
                return Err(busy());
            }
            match lane.breaker.enter() {
                Ok(permit) => break permit,
                // Another caller was faster, and its verdict counts.
                Err(_) if lane.breaker.is_probed() => {}
                Err(closed_for) => return Err(open(closed_for)),
            }
        };
        let Ok(attempt) = timeout(left(), attempt()).await else {
            permit.fail();
            return Err(too_late(class));
        };
        if attempt.answered {
            permit.succeed();
        } else {
            permit.fail();
        }
        Ok(attempt)
    }
}

fn open(closed_for: Duration) -> Error {
    Error::new(
        codes::PMS_UNAVAILABLE,
        "the system failed several times in a row, and is left alone for a while",
    )
    .with("breaker", "open")
    .retry_when(Retry::After(closed_for))
}

fn busy() -> Error {
    Error::new(
        codes::PMS_TIMEOUT,
        "too many requests to the system wait before this one; nothing was sent",
    )
}

fn too_late(class: Class) -> Error {
    if class == Class::Write {
        return Error::new(
            codes::PMS_OUTCOME_UNKNOWN,
            "the server did not answer in time; it may still do what it was asked",
        );
    }
    Error::new(codes::PMS_TIMEOUT, "the server did not answer in time")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::ManualClock;

    fn resilience() -> (Resilience, ManualClock) {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let guard = Resilience::new(&PmsLimits::default(), &clock.shared());
        (guard, clock)
    }

    async fn failing(guard: &Resilience, class: Class, tries: &AtomicU32) -> Error {
        let attempt = || {
            tries.fetch_add(1, Ordering::Relaxed);
            async {
                Attempt::<()> {
                    outcome: Err(Error::new(codes::PMS_UNAVAILABLE, "down")),
                    answered: false,
                }
            }
        };
        guard.run(class, attempt).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_question_is_tried_three_times_and_a_write_once() {
        let (guard, _) = resilience();
        let tries = AtomicU32::new(0);
        failing(&guard, Class::Read, &tries).await;
        assert_eq!(tries.swap(0, Ordering::Relaxed), 3);
        failing(&guard, Class::Write, &tries).await;
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn the_fifth_failure_opens_one_class_and_its_advice_says_for_how_long() {
        let (guard, clock) = resilience();
        let tries = AtomicU32::new(0);
        for _ in 0..4 {
            assert_eq!(failing(&guard, Class::Write, &tries).await.fact("breaker"), None);
        }
        failing(&guard, Class::Write, &tries).await;
        let error = failing(&guard, Class::Write, &tries).await;
        assert_eq!(error.fact("breaker"), Some("open"));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
        assert_eq!(tries.load(Ordering::Relaxed), 5, "the sixth was not sent");
        let fine = || async {
            Attempt {
                outcome: Ok(7),
                answered: true,
            }
        };
        assert_eq!(guard.run(Class::Read, fine).await.unwrap(), 7, "questions go on");
        clock.advance(Duration::from_secs(30));
        assert_eq!(
            guard.run(Class::Write, fine).await.unwrap(),
            7,
            "it recovers by itself"
        );
    }

    #[tokio::test]
    async fn whoever_asks_two_things_at_once_finds_out_that_the_server_is_well_again() {
        let (guard, clock) = resilience();
        for _ in 0..2 {
            failing(&guard, Class::Availability, &AtomicU32::new(0)).await;
        }
        assert!(guard.refusal(Class::Availability).is_some());
        clock.advance(Duration::from_secs(30));
        let slowly = || async {
            tokio::task::yield_now().await;
            Attempt {
                outcome: Ok(7),
                answered: true,
            }
        };
        let ask = || guard.run(Class::Availability, slowly);
        assert_eq!(tokio::try_join!(ask(), ask()).unwrap(), (7, 7));
    }

    #[tokio::test]
    async fn when_a_probe_fails_whoever_waited_for_it_asks_nothing() {
        let (guard, clock) = resilience();
        let tries = AtomicU32::new(0);
        for _ in 0..5 {
            failing(&guard, Class::Write, &tries).await;
        }
        clock.advance(Duration::from_secs(30));
        tries.store(0, Ordering::Relaxed);
        let probe = || async {
            tokio::task::yield_now().await;
            tries.fetch_add(1, Ordering::Relaxed);
            Attempt::<()> {
                outcome: Err(Error::new(codes::PMS_UNAVAILABLE, "down")),
                answered: false,
            }
        };
        let ask = || guard.run(Class::Write, probe);
        let (first, second) = tokio::join!(ask(), ask());
        assert_eq!(first.unwrap_err().fact("breaker"), None);
        assert_eq!(second.unwrap_err().fact("breaker"), Some("open"));
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn refusals_are_answers() {
        let (guard, _) = resilience();
        let refused = || async {
            Attempt::<()> {
                outcome: Err(Error::new(codes::PMS_REJECTED, "no")),
                answered: true,
            }
        };
        for _ in 0..20 {
            let error = guard.run(Class::Write, refused).await.unwrap_err();
            assert!(error.is(codes::PMS_REJECTED));
        }
    }

    #[tokio::test]
    async fn whoever_finds_no_place_in_time_has_sent_nothing() {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let limits = PmsLimits {
            timeout: Duration::from_millis(10),
            ..PmsLimits::default()
        };
        let guard = Resilience::new(&limits, &clock.shared());
        let everything = PmsLimits::default().max_concurrent;
        let held = guard.read.slots.acquire_many(everything).await.unwrap();
        let tries = AtomicU32::new(0);
        let error = failing(&guard, Class::Read, &tries).await;
        assert!(error.is(codes::PMS_TIMEOUT), "{error}");
        assert_eq!(tries.load(Ordering::Relaxed), 0);
        failing(&guard, Class::Availability, &tries).await;
        assert!(
            tries.load(Ordering::Relaxed) > 0,
            "other kinds have places of their own"
        );
        drop(held);
    }

    #[tokio::test]
    async fn a_write_that_is_too_late_is_unknown() {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let limits = PmsLimits {
            timeout: Duration::from_millis(10),
            booking_timeout: Duration::from_millis(10),
            ..PmsLimits::default()
        };
        let guard = Resilience::new(&limits, &clock.shared());
        let stuck = || std::future::pending::<Attempt<()>>();
        let error = guard.run(Class::Write, stuck).await.unwrap_err();
        assert!(error.is(codes::PMS_OUTCOME_UNKNOWN));
        let error = guard.run(Class::Read, stuck).await.unwrap_err();
        assert!(error.is(codes::PMS_TIMEOUT));
    }
}
