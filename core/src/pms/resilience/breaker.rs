//! The circuit breaker: a server that keeps failing is left alone for a while, and then asked by one caller.
//!
//! ```text
//! closed ──failures in a row──▶ open ──pause──▶ one probe ──success──▶ closed
//!    ▲                           ▲                 │
//!    │                           └────failure──────┘
//! ```
//!
//! The probe is leased: when it neither succeeds nor fails in time, or its caller goes away, the next caller probes.
//! No caller can keep the breaker half open for ever.
//!
//! Other callers wait for the verdict of a probe. To refuse them would be quicker, and wrong: a caller who asks two
//! things at once would end its own probe with the refusal of the other question, and never find the server well again.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::metrics::PMS_CIRCUIT_BREAKER_STATE;
use crate::sync::lock;

/// What a breaker counts and how long it waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// This number of failures in a row opens it.
    pub(super) failures: u32,
    /// How long it stays open before a caller may probe.
    pub(super) pause: Duration,
    /// How long a probe may take.
    pub(super) lease: Duration,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { ticket: u64, until: Instant },
}

/// One breaker. It forgets everything when the process ends.
#[derive(Debug)]
pub(super) struct Breaker {
    name: &'static str,
    rule: Rule,
    clock: SharedClock,
    inner: Mutex<Inner>,
    /// Told when a probe ends, however it does.
    probes: watch::Sender<()>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    last_ticket: u64,
}

/// The right to ask once. Dropped without a verdict, it counts as nothing.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    /// The number of a probe; `None` while the breaker is closed.
    ticket: Option<u64>,
}

impl Breaker {
    pub(super) fn new(name: &'static str, rule: Rule, clock: SharedClock) -> Self {
        let state = State::Closed { failures: 0 };
        Self {
            name,
            rule,
            clock,
            inner: Mutex::new(Inner {
                state,
                last_ticket: 0,
            }),
            probes: watch::Sender::new(()),
        }
    }

    /// Waits for the verdict while another caller probes. Cancel-safe.
    pub(super) async fn probed(&self) {
        let mut ends = self.probes.subscribe();
        while self.is_probed() && ends.changed().await.is_ok() {}
    }

    /// Whether a caller probes, within the lease.
    pub(super) fn is_probed(&self) -> bool {
        let now = self.clock.instant();
        matches!(self.lock().state, State::Probing { until, .. } if until > now)
    }

    /// How long no caller may ask; `None` when one may.
    pub(super) fn closed_for(&self) -> Option<Duration> {
        let now = self.clock.instant();
        match self.lock().state {
            State::Closed { .. } => None,
            State::Open { until } | State::Probing { until, .. } => {
                until.checked_duration_since(now).filter(|left| !left.is_zero())
            }
        }
    }

    /// Lets a caller ask, or says how long none may.
    pub(super) fn enter(&self) -> Result<Permit<'_>, Duration> {
        let now = self.clock.instant();
        let mut inner = self.lock();
        let ticket = match inner.state {
            State::Closed { .. } => None,
            State::Open { until } | State::Probing { until, .. } if until > now => return Err(until - now),
            State::Open { .. } | State::Probing { .. } => {
                inner.last_ticket += 1;
                let ticket = inner.last_ticket;
                let until = now + self.rule.lease;
                inner.state = State::Probing { ticket, until };
                Some(ticket)
            }
        };
        Ok(Permit {
            breaker: self,
            ticket,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    fn show(&self, open: bool) {
        let value = if open { 1.0 } else { 0.0 };
        metrics::gauge!(PMS_CIRCUIT_BREAKER_STATE, "class" => self.name).set(value);
    }
}

impl Permit<'_> {
    /// The server answered, whatever it said.
    pub(super) fn succeed(mut self) {
        let mut inner = self.breaker.lock();
        match (&mut inner.state, self.ticket.take()) {
            (State::Closed { failures }, None) => *failures = 0,
            (State::Probing { ticket, .. }, Some(ours)) if *ticket == ours => {
                inner.state = State::Closed { failures: 0 };
                self.breaker.probes.send_replace(());
                self.breaker.show(false);
                tracing::info!(class = self.breaker.name, "the PMS answers again");
            }
            // Asked before the breaker opened, or after the lease: an old story.
            _ => {}
        }
    }

    /// The server did not answer, or could not.
    pub(super) fn fail(mut self) {
        let breaker = self.breaker;
        let open = State::Open {
            until: breaker.clock.instant() + breaker.rule.pause,
        };
        let mut inner = breaker.lock();
        match (&mut inner.state, self.ticket.take()) {
            (State::Closed { failures }, None) => {
                *failures += 1;
                if *failures >= breaker.rule.failures {
                    inner.state = open;
                    breaker.show(true);
                    tracing::warn!(class = breaker.name, pause = ?breaker.rule.pause, "the PMS keeps failing");
                }
            }
            (State::Probing { ticket, .. }, Some(ours)) if *ticket == ours => {
                inner.state = open;
                breaker.probes.send_replace(());
            }
            _ => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(ours) = self.ticket else { return };
        let now = self.breaker.clock.instant();
        let mut inner = self.breaker.lock();
        if matches!(inner.state, State::Probing { ticket, .. } if ticket == ours) {
            inner.state = State::Open { until: now };
            self.breaker.probes.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const PAUSE: Duration = Duration::from_secs(30);
    const LEASE: Duration = Duration::from_secs(10);

    fn breaker() -> (Breaker, ManualClock) {
        let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH);
        let rule = Rule {
            failures: 5,
            pause: PAUSE,
            lease: LEASE,
        };
        (Breaker::new("read", rule, clock.shared()), clock)
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.enter().unwrap().fail();
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them() {
        let (breaker, _) = breaker();
        fail(&breaker, 4);
        breaker.enter().unwrap().succeed();
        fail(&breaker, 4);
        assert_eq!(breaker.closed_for(), None);
        fail(&breaker, 1);
        assert_eq!(breaker.enter().unwrap_err(), PAUSE);
    }

    #[test]
    fn after_the_pause_one_caller_probes_and_its_success_closes_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5);
        clock.advance(PAUSE);
        let probe = breaker.enter().unwrap();
        assert_eq!(breaker.enter().unwrap_err(), LEASE, "one at a time");
        probe.succeed();
        fail(&breaker, 4);
        assert!(breaker.enter().is_ok(), "it counts from zero again");
    }

    #[test]
    fn a_probe_that_fails_opens_it_for_another_pause() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5);
        clock.advance(PAUSE);
        breaker.enter().unwrap().fail();
        assert_eq!(breaker.enter().unwrap_err(), PAUSE);
    }

    #[test]
    fn a_probe_that_never_ends_gives_its_place_to_the_next() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5);
        clock.advance(PAUSE);
        let lost = breaker.enter().unwrap();
        clock.advance(LEASE);
        let next = breaker.enter().unwrap();
        lost.succeed();
        assert!(
            breaker.enter().is_err(),
            "the verdict of a lost probe counts no more"
        );
        next.succeed();
        assert!(breaker.enter().is_ok());
    }

    #[test]
    fn a_probe_whose_caller_goes_away_gives_its_place_at_once() {
        let (breaker, clock) = breaker();
        fail(&breaker, 5);
        clock.advance(PAUSE);
        drop(breaker.enter().unwrap());
        assert!(breaker.enter().is_ok());
    }

    #[test]
    fn who_asked_before_it_opened_decides_nothing_afterwards() {
        let (breaker, clock) = breaker();
        let (slow, slower) = (breaker.enter().unwrap(), breaker.enter().unwrap());
        fail(&breaker, 5);
        slow.succeed();
        assert_eq!(breaker.enter().unwrap_err(), PAUSE);
        clock.advance(PAUSE);
        let probe = breaker.enter().unwrap();
        slower.fail();
        probe.succeed();
        assert!(breaker.enter().is_ok());
    }
}
