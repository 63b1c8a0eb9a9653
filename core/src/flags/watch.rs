//! A watch: the changes of flags as they happen.

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::model::FlagChange;
use crate::scope::Scope;

/// Changes that a slow watcher may be behind before it is told that it missed some.
pub(super) const BACKLOG: usize = 1024;

/// The changes since [`FeatureFlags::watch`](super::FeatureFlags::watch) was called.
#[derive(Debug)]
pub struct FlagWatch {
    events: broadcast::Receiver<FlagChange>,
    closing: CancellationToken,
    scope: Scope,
}

impl FlagWatch {
    pub(super) fn new(
        events: broadcast::Receiver<FlagChange>,
        closing: CancellationToken,
        scope: Scope,
    ) -> Self {
        Self {
            events,
            closing,
            scope,
        }
    }

    /// Waits for the next change; `None` after `close()`. Cancel-safe: no change is lost when the future is
    /// dropped. A watch of a handle that is bound to a tenant tells changes of that tenant's overrides and of what is
    /// for everybody.
    pub async fn next(&mut self) -> Option<FlagChange> {
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => event,
                () = self.closing.cancelled() => return None,
            };
            match event {
                Ok(FlagChange::Changed {
                    tenant: Some(tenant), ..
                }) if self.scope.admit(Some(&tenant)).is_err() => {}
                Ok(change) => return Some(change),
                Err(RecvError::Lagged(count)) => return Some(FlagChange::Missed(count)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The same changes as a stream, which ends after `close()`: for programs that combine it with others.
    pub fn into_stream(self) -> impl Stream<Item = FlagChange> + Send + Unpin + 'static {
        Box::pin(unfold(self, |mut watch| async {
            let change = watch.next().await?;
            Some((change, watch))
        }))
    }
}
