//! The upkeep of the database: what [`Posada::maintain`](crate::Posada::maintain) deletes, and what it did.
//!
//! Sign-in sessions, old passwords and the lock audit grow for as long as an app runs. Each clean-up deletes in batches
//! that are short enough for guests not to notice, one process at a time, beside any number of writers. Nothing has to be
//! resumed after a process died: what is left is deleted by the next run.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::Posada;
//! use posada::maintenance::Retention;
//!
//! let posada = Posada::embedded(); // on servers: `Posada::connect(Settings::from_env()?)`
//! let done = posada.maintain(&Retention::new()).await?;
//! assert!(done.is_empty(), "memory keeps nothing of it");
//! # posada.close().await
//! # }
//! ```

use std::fmt;
use std::time::Duration;

/// What is kept. By default sign-in sessions for 7 days after their end, the 10 newest passwords of each user, and the
/// lock audit for 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Retention {
    pub(crate) sessions: u32,
    pub(crate) passwords: u32,
    pub(crate) audit: u32,
}

impl Retention {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            sessions: 7,
            passwords: 10,
            audit: 30,
        }
    }

    /// For how many days an ended sign-in session is kept.
    pub fn sessions(mut self, days: u32) -> Self {
        self.sessions = days;
        self
    }

    /// How many old passwords of a user are kept, for the rule that none of them is used again: at least as many as
    /// [`AuthOptions::password_history`](crate::auth::AuthOptions::password_history) says.
    pub fn passwords(mut self, count: u32) -> Self {
        self.passwords = count;
        self
    }

    /// For how many days a row of the lock audit is kept.
    pub fn audit(mut self, days: u32) -> Self {
        self.audit = days;
        self
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::new()
    }
}

/// What one clean-up did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cleaned {
    /// Which one.
    pub what: Cleanup,
    /// How many rows it deleted.
    pub deleted: u64,
    /// In how many transactions.
    pub batches: u32,
    /// How long the longest of them took.
    pub longest: Duration,
    /// Another process was at it, and this one stopped for that reason.
    pub skipped: bool,
}

/// A clean-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cleanup {
    /// Sign-in sessions that ended long ago.
    Sessions,
    /// Passwords that users had long ago.
    Passwords,
    /// Old rows of the lock audit.
    Audit,
}

impl Cleanup {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Sessions, Self::Passwords, Self::Audit];

    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Passwords => "passwords",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
