//! How long to go on asking when a system does not answer.

use std::future::Future;
use std::time::Duration;

use crate::error::{Error, Result, codes};

/// Growing pauses with an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// The first pause; each further one is twice as long.
    pub(crate) first_pause: Duration,
    /// No pause is longer.
    pub(crate) longest_pause: Duration,
    /// The sum of all pauses. A system may work this long on a booking whose answer was lost.
    pub(crate) total: Duration,
    /// How long all of one booking may take, once it has its turn.
    pub(crate) limit: Duration,
    /// How long to wait for a turn at the hotel.
    pub(crate) turn: Duration,
    /// How long after the first check at a booking comes the second, at least. Zero leaves it out.
    pub(crate) recheck: Duration,
}

impl Default for RetryPolicy {
    /// Half a second, doubling up to eight, one minute in all: PHP gives up on a request after less.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(8),
            total: Duration::from_mins(1),
            limit: Duration::from_mins(2),
            turn: Duration::from_secs(90),
            recheck: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// The sum of all pauses while others wait for their turn.
    pub(crate) const HELD: Duration = Duration::from_secs(4);
    /// As long as a booking takes at most in a system that still answers.
    pub(crate) const LONGEST_WORK: Duration = Duration::from_secs(30);

    /// The pauses, in order.
    pub(crate) fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        let mut spent = Duration::ZERO;
        std::iter::successors(Some(self.first_pause), move |pause| {
            Some((*pause * 2).min(self.longest_pause))
        })
        .take_while(move |pause| {
            spent += *pause;
            spent <= self.total && !pause.is_zero()
        })
    }

    /// Repeats a call that may be repeated, until it answers or fails for good or the pauses end. Answers the last
    /// error then. Cancel-safe between calls.
    pub(crate) async fn persist<T, F>(self, mut call: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        self.persist_while(Error::is_retryable, &mut call).await
    }

    /// As [`persist`](Self::persist), with another opinion about what may be repeated.
    pub(crate) async fn persist_while<T, F>(
        self,
        may_repeat: impl Fn(&Error) -> bool + Send,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut pauses = self.pauses();
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if may_repeat(&error) => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }
}

/// Whether the answer to a write was lost.
pub(in crate::pms) fn is_lost(error: &Error) -> bool {
    error.is(codes::PMS_OUTCOME_UNKNOWN)
}

/// The cause of an outcome that is unknown because the system failed by itself, and said so: it does not go on with the
/// work, and what it has written shows.
#[derive(Debug)]
pub(in crate::pms) struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the system ended its work with an error of its own")
    }
}

impl std::error::Error for Ended {}

/// Whether the system has ended its work on a write whose outcome is unknown.
pub(in crate::pms) fn is_ended(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(<dyn std::error::Error>::is::<Ended>)
}

/// Whether a write that must happen is worth another try.
pub(in crate::pms) fn may_be_lost(error: &Error) -> bool {
    error.is_retryable() || is_lost(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let seconds: Vec<_> = RetryPolicy::default()
            .pauses()
            .map(|pause| pause.as_secs_f32())
            .collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]);
    }

    #[test]
    fn a_pause_of_nothing_ends_at_once() {
        let none = RetryPolicy {
            first_pause: Duration::ZERO,
            ..RetryPolicy::default()
        };
        assert_eq!(none.pauses().count(), 0);
    }

    #[tokio::test]
    async fn only_what_may_be_repeated_is_repeated() {
        let quick = RetryPolicy {
            first_pause: Duration::from_millis(1),
            ..RetryPolicy::default()
        };
        let mut answers = vec![Ok(7), Err(codes::PMS_UNAVAILABLE), Err(codes::PMS_TIMEOUT)];
        let mut next = || {
            let answer = answers.pop().unwrap();
            async move { answer.map_err(|code| Error::new(code, "scripted")) }
        };
        assert_eq!(quick.persist(&mut next).await.unwrap(), 7);
        let refused = quick
            .persist(|| async { Err::<(), _>(Error::new(codes::PMS_SOLD_OUT, "gone")) })
            .await;
        assert!(refused.unwrap_err().is(codes::PMS_SOLD_OUT));
    }
}
