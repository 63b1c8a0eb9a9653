//! A watch: the changes of flags as they happen.

use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::model::FlagChange;

/// Changes that a slow watcher may be behind before it is told that it missed some.
pub(super) const BACKLOG: usize = 1024;

/// The changes since [`FeatureFlags::watch`](super::FeatureFlags::watch) was called.
#[derive(Debug)]
pub struct FlagWatch {
    events: broadcast::Receiver<FlagChange>,
    closing: CancellationToken,
}

impl FlagWatch {
    pub(super) fn new(events: broadcast::Receiver<FlagChange>, closing: CancellationToken) -> Self {
        Self { events, closing }
    }

    /// Waits for the next change; `None` after `close()`. Cancel-safe: no change is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Option<FlagChange> {
        tokio::select! {
            biased;
            event = self.events.recv() => match event {
                Ok(change) => Some(change),
                Err(RecvError::Lagged(count)) => Some(FlagChange::Missed(count)),
                Err(RecvError::Closed) => None,
            },
            () = self.closing.cancelled() => None,
        }
    }
}
