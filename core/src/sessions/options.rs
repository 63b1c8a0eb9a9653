//! The limits of conversations.

use std::time::Duration;

/// How long conversations live and how large they grow.
#[derive(Debug, Clone)]
pub(crate) struct SessionOptions {
    /// Life after the last write.
    pub(crate) ttl: Duration,
    /// Largest document that is written, in bytes of its stored text.
    pub(crate) max_bytes: usize,
    /// Most turns that a history keeps.
    pub(crate) max_turns: usize,
    /// Most bytes that the turns of a history take together.
    pub(crate) max_history_bytes: usize,
    /// Longest time for which an update is re-applied while others keep writing the same conversation.
    pub(crate) longest_wait: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(30),
            max_bytes: 256 * 1024,
            max_turns: 50,
            max_history_bytes: 64 * 1024,
            longest_wait: Duration::from_secs(5),
        }
    }
}
