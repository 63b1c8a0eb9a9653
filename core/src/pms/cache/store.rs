//! The port to answers that are kept for all processes.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// Where an answer is kept: which system, which part of it changes together, and which question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) system: String,
    /// A hotel, or the whole system.
    pub(crate) part: String,
    pub(crate) question: String,
}

/// What is kept in a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) text: Option<Vec<u8>>,
    /// When we last changed something in that part, in milliseconds of the Unix epoch.
    pub(crate) changed_at: Option<i64>,
}

/// Keeps texts, and the moments of our own changes.
#[async_trait]
pub(crate) trait AnswerStore: Send + Sync {
    /// What is kept there, and whether the part changed since.
    async fn read(&self, place: &Place) -> Result<Kept>;

    /// Keeps a text for so long.
    async fn write(&self, place: &Place, text: Vec<u8>, ttl: Duration) -> Result<()>;

    /// Notes that a part changed at this moment; for so long it matters.
    async fn change(&self, system: &str, part: &str, at: i64, ttl: Duration) -> Result<()>;
}
