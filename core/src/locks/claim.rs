//! A claim on a lock: from the first request to the grant, and the clean-up when nobody wants it any more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::audit::shown_token;
use super::model::{AcquireOptions, Release};
use super::named::Named;
use super::store::{Attempt, Grant, Lease, LockKey, MAX_ENTRIES, Released};
use crate::error::{Error, Kind, Result, Retry, codes};
use crate::task::Need;
use crate::{metrics as names, rng, task};

/// How long after a lost request its clean-up looks a second time, in case the clean-up overtook the request.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The pause after a failed attempt, while there is time left to wait.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// How often a waiter asks although nothing has happened: a place in the queue may be lost in ways that nobody thought
/// of. Rare, because it is the only thing that every waiter sends.
const RECHECK: Duration = Duration::from_secs(20);

/// One caller's claim. The token is chosen before anything is sent, so that a claim that was dropped at any await
/// can be ended by it: a cancelled caller leaves no lock and no place in the queue behind.
pub(super) struct Claim {
    named: Named,
    key: LockKey,
    token: String,
    owner: String,
    ttl: Duration,
    again: bool,
    /// Whether a refusal is worth a row of the audit.
    audited: bool,
    traces: Traces,
}

/// What the server may know of a claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Traces {
    Nothing,
    /// A place in the queue, by a request that was answered.
    Queued,
    /// Anything: a request was sent and not answered.
    Unknown,
}

impl Claim {
    pub(super) fn new(named: &Named, key: LockKey, options: &AcquireOptions, audited: bool) -> Self {
        let owner = options.owner.clone();
        Self {
            named: named.clone(),
            key,
            token: rng::token(),
            owner: owner.unwrap_or_else(|| format!("process {}", shown_token(named.process()))),
            ttl: options.ttl,
            again: options.reentrant,
            audited,
            traces: Traces::Nothing,
        }
    }

    /// Asks until the lock is granted or `wait` has passed. Answers also when the granted request was sent.
    pub(super) async fn pursue(mut self, wait: Duration) -> Result<(LockKey, Lease, Instant)> {
        let named = self.named.clone();
        let begun = named.instant();
        let waiter = (!wait.is_zero()).then(|| named.waiting().enter(&named, &self.key, &self.token));
        let stopping = named.tasks().stopping();
        loop {
            if stopping.is_cancelled() {
                return Err(task::closed());
            }
            let sent = named.instant();
            let outcome = self.attempt(waiter.is_some()).await;
            let elapsed = named.instant().saturating_duration_since(begun);
            let left = wait.saturating_sub(elapsed);
            let pause = match outcome {
                Ok(Grant::Granted(lease)) => return Ok(self.granted(lease, sent, begun)),
                Ok(Grant::Full) => return Err(self.entered_too_often()),
                Ok(Grant::Busy {
                    holder,
                    remaining,
                    ahead,
                }) => {
                    if left.is_zero() {
                        named.note_conflict(&self.key, &self.owner, &holder, self.audited);
                        return Err(self.contended(&holder, remaining, ahead));
                    }
                    if ahead == 0 {
                        // Nobody sends a message when the grant ends by itself.
                        let end = named.instant() + remaining + Duration::from_millis(1);
                        named.waiting().look_by(&self.key, end);
                    }
                    RECHECK / 2 + rng::jitter(RECHECK / 2)
                }
                Err(error) if left.is_zero() || !may_pass(&error) => return Err(error),
                Err(_) => PAUSE_AFTER_FAILURE / 2 + rng::jitter(PAUSE_AFTER_FAILURE / 2),
            };
            let Some(waiter) = &waiter else { continue };
            tokio::select! {
                handed = waiter.turn() => {
                    if let Some((lease, sent)) = handed {
                        return Ok(self.granted(lease, sent, begun));
                    }
                }
                () = tokio::time::sleep(pause.min(left)) => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    /// Asks once for all of these, in one step and without waiting, and takes those that were granted out of the
    /// list; `whole`: all or none. A refusal is an error when it must be all, and when the owner has entered too often.
    pub(super) async fn attempt_together(
        claims: &mut VecDeque<Self>,
        whole: bool,
    ) -> Result<Vec<(LockKey, Lease, Instant)>> {
        let Some(named) = claims.front().map(|first| first.named.clone()) else {
            return Ok(Vec::new());
        };
        for claim in claims.iter_mut() {
            claim.traces = Traces::Unknown;
        }
        let sent = named.instant();
        let attempts: Vec<_> = claims.iter().map(|claim| claim.request(false)).collect();
        let mut grants = named.attempt_together(&attempts, whole).await?;
        drop(attempts);
        for claim in claims.iter_mut() {
            claim.traces = Traces::Nothing;
        }
        let refused = grants.pop_if(|last| !matches!(last, Grant::Granted(_)));
        match (refused, claims.get(grants.len())) {
            (Some(Grant::Full), Some(claim)) => {
                let error = claim.entered_too_often();
                for claim in claims.iter_mut().take(grants.len()) {
                    claim.traces = Traces::Unknown;
                }
                return Err(error);
            }
            (
                Some(Grant::Busy {
                    holder,
                    remaining,
                    ahead,
                }),
                Some(claim),
            ) if whole => {
                named.note_conflict(&claim.key, &claim.owner, &holder, claim.audited);
                return Err(claim.contended(&holder, remaining, ahead));
            }
            _ => {}
        }
        let taken = claims.drain(..grants.len().min(claims.len())).zip(grants);
        Ok(taken
            .filter_map(|(mut claim, grant)| match grant {
                Grant::Granted(lease) => Some(claim.granted(lease, sent, sent)),
                Grant::Busy { .. } | Grant::Full => None,
            })
            .collect())
    }

    /// The claim has become a lock.
    fn granted(&mut self, lease: Lease, sent: Instant, begun: Instant) -> (LockKey, Lease, Instant) {
        self.traces = Traces::Nothing;
        let waited = self.named.instant().saturating_duration_since(begun);
        metrics::histogram!(names::LOCK_WAIT_SECONDS).record(waited.as_secs_f64());
        // Its owner may be in by other tokens, too; this one is ours.
        let token = self.token.clone();
        (self.key.clone(), Lease { token, ..lease }, sent)
    }

    async fn attempt(&mut self, waits: bool) -> Result<Grant> {
        let before = std::mem::replace(&mut self.traces, Traces::Unknown);
        let grant = self.named.attempt(self.request(waits)).await?;
        match &grant {
            // Whoever takes the answer is responsible from now on; until then, a drop gives the lock back.
            Grant::Granted(_) => {}
            Grant::Busy { .. } if waits => self.traces = Traces::Queued,
            Grant::Busy { .. } | Grant::Full => self.traces = before,
        }
        Ok(grant)
    }

    fn request(&self, waits: bool) -> Attempt<'_> {
        Attempt {
            key: &self.key,
            token: &self.token,
            owner: &self.owner,
            ttl: self.ttl,
            process: self.named.process(),
            waits,
            again: self.again,
        }
    }

    fn entered_too_often(&self) -> Error {
        Error::new(
            codes::LOCKS_TOO_MANY_ENTRIES,
            "the owner has entered the lock as often as it may",
        )
        .with("lock", &self.key.name)
        .with("limit", MAX_ENTRIES)
    }

    fn contended(&self, holder: &str, remaining: Duration, ahead: usize) -> Error {
        Error::new(codes::LOCKS_CONTENDED, "somebody else holds the lock")
            .with("lock", &self.key.name)
            .with("holder", if holder.is_empty() { "a waiter" } else { holder })
            .with("remaining_ms", remaining.as_millis())
            .with("position", ahead + 1)
            .retry_when(Retry::After(remaining))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (named, key, token, ttl) = (
            self.named.clone(),
            self.key.clone(),
            std::mem::take(&mut self.token),
            self.ttl,
        );
        match self.traces {
            Traces::Nothing => {}
            Traces::Queued => named.withdraw(key, token, Need::Sure, ttl),
            Traces::Unknown => self.named.tasks().in_background(async move {
                let first = named.let_go(&key, &token).await;
                if !matches!(first, Ok(Released::Done(Release::Released | Release::Expired, _))) {
                    named.tasks().pause(SECOND_LOOK).await;
                    named.withdraw(key, token, Need::Perhaps, ttl);
                }
            }),
        }
    }
}

/// Whether a failure may have passed by the next attempt.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::Timeout | Kind::Ambiguous | Kind::Exhausted
    ) && !error.is(codes::REDIS_REFUSED)
}
