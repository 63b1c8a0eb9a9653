//! What changed in the system, for programs that keep something in step with it: asked for, never pushed.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Feature;
use super::id::BookingId;
use super::model::Booking;
use super::port::Pms;
use crate::error::{Error, Result, codes};
use crate::task::Tasks;

/// About how many changes are asked for at once.
const PAGE: usize = 100;
/// Longest cursor that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// A place in the changes of one system: short text to keep in a database. Its form is the system's own business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCursor(String);

/// The form of a cursor that no system has written yet.
#[derive(Serialize, Deserialize)]
struct Beginning {
    since: DateTime<Utc>,
}

impl ChangeCursor {
    /// The place before every change that happened at this moment or later, by the system's clock.
    pub fn since(moment: DateTime<Utc>) -> Self {
        Self::write(&Beginning { since: moment })
    }

    /// Reads a cursor that was written with `Display`.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `cursor`) for a text that no cursor is written as.
    pub fn parse(text: &str) -> Result<Self> {
        let cursor = Self(text.to_owned());
        if text.len() > LONGEST || cursor.read::<serde::de::IgnoredAny>().is_none() {
            return Err(Self::invalid("is not a cursor of posada"));
        }
        Ok(cursor)
    }

    /// The moment of a cursor that was made with [`since`](Self::since) and that no system has written yet: for systems.
    pub fn beginning(&self) -> Option<DateTime<Utc>> {
        self.read::<Beginning>().map(|beginning| beginning.since)
    }

    /// What a system [wrote](Self::write) into it; `None` when it is something else: for systems, each of which reads
    /// only what it wrote.
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        let text = URL_SAFE_NO_PAD.decode(&self.0).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A cursor that holds this place in the changes of a system: for systems. What they write are numbers and texts;
    /// something that has no JSON form becomes a cursor that no system reads.
    pub fn write(place: &impl Serialize) -> Self {
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default()))
    }

    pub(crate) fn invalid(message: &'static str) -> Error {
        Error::field_invalid(codes::PMS_INVALID_REQUEST, "cursor", message)
    }
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ChangeCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A booking that changed: made, paid, moved, cancelled, checked in, or touched by the front desk in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The booking.
    pub id: BookingId,
    /// When it changed, as far as the system tells: to the second.
    pub changed_at: DateTime<Utc>,
    /// The booking as it is now; `None` when the system is still writing it, or has no room for it any more.
    pub booking: Option<Booking>,
}

impl Change {
    /// A change of a booking, and the booking as it is now.
    pub fn new(id: BookingId, changed_at: DateTime<Utc>, booking: Option<Booking>) -> Self {
        Self {
            id,
            changed_at,
            booking,
        }
    }
}

/// The changes of a system, one after the other. Every change comes at least once; several quick changes of one
/// booking may come as one, and a change may come again after a restart and around the hour in which clocks go back.
pub struct Changes {
    pms: Arc<dyn Pms>,
    tasks: Tasks,
    cursor: ChangeCursor,
    /// The changes behind the cursor that were read and not handed out, and the cursor behind them.
    read: VecDeque<Change>,
    behind: Option<ChangeCursor>,
}

impl Changes {
    pub(super) fn new(pms: Arc<dyn Pms>, tasks: Tasks, cursor: ChangeCursor) -> Self {
        Self {
            pms,
            tasks,
            cursor,
            read: VecDeque::new(),
            behind: None,
        }
    }

    /// The next change; `None` when there is nothing new at this moment. Ask again later then. Cancel-safe read.
    ///
    /// # Errors
    /// `pms.invalid_request` (field `cursor`) for a cursor of another system; `pms.unavailable` and `pms.timeout`
    /// when the system is down, and then the same call may be repeated.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        self.tasks.ensure_open()?;
        self.pms
            .capabilities()
            .require(Feature::Changes, self.pms.system())?;
        if self.read.is_empty() {
            self.advance();
            let (changes, next) = self.pms.changes(&self.cursor, PAGE).await?;
            self.read = changes.into();
            self.behind = Some(next);
        }
        let next = self.read.pop_front();
        if next.is_none() {
            self.advance();
        }
        Ok(next)
    }

    /// The changes that there are now, as a stream: it ends when there is nothing new at this moment, and after an error.
    /// Dropped halfway it loses nothing: [`cursor`](Self::cursor) says how far it came, and the next stream goes on there.
    pub fn stream(&mut self) -> impl Stream<Item = Result<Change>> + Send + Unpin + '_ {
        Box::pin(unfold(Some(self), |changes| async {
            let changes = changes?;
            match changes.next().await {
                Ok(change) => Some((Ok(change?), Some(changes))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// The place to go on from after a restart. It passes a change only after the following one was asked for, so that
    /// nothing is lost when a program dies over a change.
    pub fn cursor(&self) -> &ChangeCursor {
        &self.cursor
    }

    fn advance(&mut self) {
        if let Some(behind) = self.behind.take() {
            self.cursor = behind;
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_down() {
        let cursor = ChangeCursor::since(DateTime::UNIX_EPOCH);
        assert_eq!(ChangeCursor::parse(&cursor.to_string()).unwrap(), cursor);
        assert_eq!(cursor.beginning(), Some(DateTime::UNIX_EPOCH));
        for text in ["", "%", "ñ", "bm90IGpzb24"] {
            let refused = ChangeCursor::parse(text).unwrap_err();
            assert_eq!(refused.field(), Some("cursor"), "{text}");
        }
    }
}
