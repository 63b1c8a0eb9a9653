//! How processes tell each other that a tenant changed.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::error::Result;

/// What changed, as it travels between processes. Only names travel: everybody reads the facts from Postgres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The resolver that made the change and knows of it already.
    pub(crate) from: String,
    /// The tenant that changed.
    pub(crate) tenant: String,
    /// The canonical forms of an identifier that came or went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) identifiers: Vec<String>,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenerEvent {
    /// A change, as its bytes.
    Message(Vec<u8>),
    /// Messages may have been missed: whatever is cached has to be checked again.
    Gap,
}

/// The port: a channel between all resolvers of one database.
#[async_trait]
pub(crate) trait Invalidation: Send + Sync {
    /// Tells everybody, this process included.
    async fn announce(&self, message: Vec<u8>) -> Result<()>;

    /// Begins to listen. Called inside a runtime.
    fn listen(&self) -> Box<dyn Listener>;
}

/// One listener. Dropping it ends the subscription.
#[async_trait]
pub(crate) trait Listener: Send {
    /// The next thing heard; never completes when nothing can be heard any more. Cancel-safe.
    async fn next(&mut self) -> ListenerEvent;
}

/// The channel of resolvers that live in one process and share a memory store. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LocalInvalidation(broadcast::Sender<Vec<u8>>);

impl LocalInvalidation {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }
}

#[async_trait]
impl Invalidation for LocalInvalidation {
    async fn announce(&self, message: Vec<u8>) -> Result<()> {
        // An error only says that there is no listener.
        let _ = self.0.send(message);
        Ok(())
    }

    fn listen(&self) -> Box<dyn Listener> {
        Box::new(LocalListener(self.0.subscribe()))
    }
}

struct LocalListener(broadcast::Receiver<Vec<u8>>);

#[async_trait]
impl Listener for LocalListener {
    async fn next(&mut self) -> ListenerEvent {
        match self.0.recv().await {
            Ok(message) => ListenerEvent::Message(message),
            Err(broadcast::error::RecvError::Lagged(_)) => ListenerEvent::Gap,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_was_too_slow_hears_of_the_gap() {
        let channel = LocalInvalidation::new();
        let mut listener = channel.listen();
        for number in 0..100_u8 {
            channel.announce(vec![number]).await.unwrap();
        }
        assert_eq!(listener.next().await, ListenerEvent::Gap);
        assert_eq!(listener.next().await, ListenerEvent::Message(vec![36]));
    }
}
