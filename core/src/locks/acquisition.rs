//! Acquiring one lock: from the first request to the grant, and the clean-up when the caller goes away before it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::audit::shown_token;
use super::engine::{Granted, LockEngine};
use super::model::{AcquireOptions, Release};
use super::store::{Attempt, Grant, Lease, LockKey, MAX_ENTRIES, Released};
use super::wait_queue::Waiter;
use crate::error::{Error, Kind, Result, Retry, codes};
use crate::task::Need;
use crate::{metrics as names, rng, task};

/// How long after a lost request its clean-up looks a second time, in case the clean-up overtook the request.
pub(super) const REPEAT_WITHDRAWAL_AFTER: Duration = Duration::from_secs(1);

/// The pause after a failed attempt, while there is time left to wait.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);

/// How often a waiter asks although nothing has happened: a place in the queue may be lost in ways that were not
/// thought of. Rare, because it is the only thing that every waiter sends.
const RECHECK: Duration = Duration::from_secs(20);

/// One caller's acquisition. The token is chosen before anything is sent, so that an acquisition that was dropped at
/// any await can be ended by it: a cancelled caller leaves no lock and no place in the queue behind.
pub(super) struct Acquisition {
    engine: LockEngine,
    key: LockKey,
    token: String,
    owner: String,
    ttl: Duration,
    again: bool,
    /// Whether a refusal is worth a row of the audit.
    audited: bool,
    on_server: ServerState,
}

/// What the server may know of an acquisition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ServerState {
    Nothing,
    /// A place in the queue, by a request that was answered.
    Queued,
    /// Anything: a request was sent and not answered.
    Unknown,
}

impl Acquisition {
    pub(super) fn new(engine: &LockEngine, key: LockKey, options: &AcquireOptions, audited: bool) -> Self {
        let owner = options.owner.clone();
        Self {
            engine: engine.clone(),
            key,
            token: rng::token(),
            owner: owner.unwrap_or_else(|| format!("process {}", shown_token(engine.server().process()))),
            ttl: options.ttl,
            again: options.reentrant,
            audited,
            on_server: ServerState::Nothing,
        }
    }

    /// Asks until the lock is granted or `wait` has passed.
    pub(super) async fn until_granted(self, wait: Duration) -> Result<Granted> {
        if wait.is_zero() {
            self.once().await
        } else {
            self.in_turn(wait).await
        }
    }

    /// Asks once, without a place in the queue.
    async fn once(mut self) -> Result<Granted> {
        self.engine.tasks().ensure_open()?;
        let sent = self.engine.instant();
        match self.attempt(false).await? {
            Grant::Granted(lease) => Ok(self.granted(lease, sent, sent, None)),
            Grant::Full => Err(self.entered_too_often()),
            Grant::Busy {
                holder,
                remaining,
                ahead,
            } => Err(self.refused(&holder, remaining, ahead)),
        }
    }

    /// Queues, and asks again whenever there is news, until the wait is over.
    async fn in_turn(mut self, wait: Duration) -> Result<Granted> {
        let engine = self.engine.clone();
        let begun = engine.instant();
        // Before the first request: a release that hands the lock to this token may come back before its answer.
        let waiter = engine.queue().enter(&self.key, &self.token);
        let stopping = engine.tasks().stopping();
        loop {
            if stopping.is_cancelled() {
                return Err(task::closed());
            }
            let sent = engine.instant();
            let outcome = self.attempt(true).await;
            let elapsed = engine.instant().saturating_duration_since(begun);
            let left = wait.saturating_sub(elapsed);
            let pause = match outcome {
                Ok(Grant::Granted(lease)) => {
                    return Ok(self.granted(lease, sent, begun, Some(waiter)));
                }
                Ok(Grant::Full) => return Err(self.entered_too_often()),
                Ok(Grant::Busy {
                    holder,
                    remaining,
                    ahead,
                }) => {
                    if left.is_zero() {
                        return Err(self.refused(&holder, remaining, ahead));
                    }
                    if ahead == 0 {
                        // No message is sent when the grant ends by itself.
                        let end = engine.instant() + remaining + Duration::from_millis(1);
                        engine.queue().look_by(&self.key, end);
                    }
                    RECHECK / 2 + rng::jitter(RECHECK / 2)
                }
                Err(error) if left.is_zero() || !may_pass(&error) => return Err(error),
                Err(_) => PAUSE_AFTER_FAILURE / 2 + rng::jitter(PAUSE_AFTER_FAILURE / 2),
            };
            tokio::select! {
                handed = waiter.signal() => {
                    if let Some((lease, sent)) = handed {
                        return Ok(self.granted(lease, sent, begun, Some(waiter)));
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
        acquisitions: &mut VecDeque<Self>,
        whole: bool,
    ) -> Result<Vec<Granted>> {
        let Some(engine) = acquisitions.front().map(|first| first.engine.clone()) else {
            return Ok(Vec::new());
        };
        for acquisition in acquisitions.iter_mut() {
            acquisition.on_server = ServerState::Unknown;
        }
        let sent = engine.instant();
        let attempts: Vec<_> = acquisitions
            .iter()
            .map(|acquisition| acquisition.request(false))
            .collect();
        let mut grants = engine.server().acquire_together(&attempts, whole).await?;
        drop(attempts);
        for acquisition in acquisitions.iter_mut() {
            acquisition.on_server = ServerState::Nothing;
        }
        let refused = grants.pop_if(|last| !matches!(last, Grant::Granted(_)));
        match (refused, acquisitions.get(grants.len())) {
            (Some(Grant::Full), Some(acquisition)) => {
                let error = acquisition.entered_too_often();
                for acquisition in acquisitions.iter_mut().take(grants.len()) {
                    acquisition.on_server = ServerState::Unknown;
                }
                return Err(error);
            }
            (
                Some(Grant::Busy {
                    holder,
                    remaining,
                    ahead,
                }),
                Some(acquisition),
            ) if whole => {
                return Err(acquisition.refused(&holder, remaining, ahead));
            }
            _ => {}
        }
        let taken = acquisitions
            .drain(..grants.len().min(acquisitions.len()))
            .zip(grants);
        Ok(taken
            .filter_map(|(mut acquisition, grant)| match grant {
                Grant::Granted(lease) => Some(acquisition.granted(lease, sent, sent, None)),
                Grant::Busy { .. } | Grant::Full => None,
            })
            .collect())
    }

    /// The acquisition has become a lock.
    fn granted(&mut self, lease: Lease, sent: Instant, begun: Instant, waiter: Option<Waiter>) -> Granted {
        self.on_server = ServerState::Nothing;
        let elapsed = self.engine.instant().saturating_duration_since(begun);
        metrics::histogram!(names::LOCK_WAIT_SECONDS).record(elapsed.as_secs_f64());
        // Its owner may be in by other tokens, too; this one is ours.
        let token = self.token.clone();
        Granted {
            key: self.key.clone(),
            lease: Lease { token, ..lease },
            sent,
            waiter,
        }
    }

    async fn attempt(&mut self, waits: bool) -> Result<Grant> {
        let before = std::mem::replace(&mut self.on_server, ServerState::Unknown);
        let grant = self.engine.server().acquire(self.request(waits)).await?;
        match &grant {
            // The one that takes the answer is responsible from now on; until then, a drop gives the lock back.
            Grant::Granted(_) => {}
            Grant::Busy { .. } if waits => self.on_server = ServerState::Queued,
            Grant::Busy { .. } | Grant::Full => self.on_server = before,
        }
        Ok(grant)
    }

    fn request(&self, waits: bool) -> Attempt<'_> {
        Attempt {
            key: &self.key,
            token: &self.token,
            owner: &self.owner,
            ttl: self.ttl,
            process: self.engine.server().process(),
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

    fn refused(&self, holder: &str, remaining: Duration, ahead: usize) -> Error {
        let journal = self.engine.server().journal();
        journal.refused(&self.key, &self.owner, holder, self.audited);
        Error::new(codes::LOCKS_CONTENDED, "another caller holds the lock")
            .with("lock", &self.key.name)
            .with("holder", if holder.is_empty() { "a waiter" } else { holder })
            .with("remaining_ms", remaining.as_millis())
            .with("position", ahead + 1)
            .retry_when(Retry::After(remaining))
    }
}

impl Drop for Acquisition {
    fn drop(&mut self) {
        let (engine, key, token, ttl) = (
            self.engine.clone(),
            self.key.clone(),
            std::mem::take(&mut self.token),
            self.ttl,
        );
        match self.on_server {
            ServerState::Nothing => {}
            ServerState::Queued => engine.withdraw_later(key, token, Need::Sure, ttl),
            ServerState::Unknown => self.engine.tasks().in_background(async move {
                let first = engine.withdraw(&key, &token).await;
                if !matches!(first, Ok(Released::Done(Release::Released | Release::Expired, _))) {
                    engine.tasks().pause(REPEAT_WITHDRAWAL_AFTER).await;
                    engine.withdraw_later(key, token, Need::Perhaps, ttl);
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
