//! How long one call may take, and how that time is shared out.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::clock::SharedClock;

/// The moment by which one call must have its answer.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    clock: SharedClock,
    at: Instant,
    whole: Duration,
}

impl Deadline {
    pub(super) fn after(clock: SharedClock, whole: Duration) -> Self {
        let at = clock.instant() + whole;
        Self { clock, at, whole }
    }

    /// What is left.
    pub(super) fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(self.clock.instant())
    }

    /// When the server should give up by itself: a tenth of the whole earlier than we do, so that its answer
    /// reaches us, the connection stays usable, and nothing keeps running behind our back.
    pub(super) fn server_share(&self) -> Duration {
        self.remaining()
            .saturating_sub(self.whole / 10)
            .max(Duration::from_millis(1))
    }

    /// The time for a `COMMIT` or `ROLLBACK`. It may end a tenth of the whole after the deadline, because giving
    /// up on a commit that is nearly there turns a success into an unknown outcome.
    pub(super) fn closing_share(&self) -> Duration {
        self.remaining().max(self.whole / 10)
    }

    /// Runs `work` until the deadline; `None` when it was not done by then.
    pub(super) async fn bound<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::time::timeout(self.remaining(), work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_server_gives_up_before_we_do_and_a_commit_may_end_a_little_later() {
        let clock = ManualClock::at(DateTime::UNIX_EPOCH);
        let deadline = Deadline::after(clock.shared(), Duration::from_secs(10));
        assert_eq!(deadline.server_share(), Duration::from_secs(9));
        clock.advance(Duration::from_millis(9_500));
        assert_eq!(deadline.remaining(), Duration::from_millis(500));
        assert_eq!(deadline.server_share(), Duration::from_millis(1));
        assert_eq!(deadline.closing_share(), Duration::from_secs(1));
    }
}
