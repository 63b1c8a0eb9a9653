//! The changes of a system, one after the other.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use posada::pms::{Change, ChangeCursor, Changes};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::bridge::{Operation, ProcessBound, RuntimeHandle, Unread};
use crate::correlation;
use crate::errors::Refusal;
use crate::values::Answer;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Feed(ProcessBound<Source>);

type Source = (Arc<Mutex<Changes>>, Unread<Answer<(Option<Change>, String)>>);

impl Feed {
    pub(super) fn new(changes: Changes, runtime: &RuntimeHandle) -> Self {
        let changes = (Arc::new(Mutex::new(changes)), Unread::new());
        Self(ProcessBound::new(changes, runtime.clone()))
    }
}

#[pymethods]
impl Feed {
    /// The next change, if there is one, and the cursor.
    fn next(&self, py: Python<'_>) -> PyResult<Operation> {
        let ids = correlation::current(py)?;
        let next = async |(changes, unread): Source| {
            let next = async {
                let mut changes = changes.lock().await;
                let change = changes.next().await?;
                Ok(Answer((change, changes.cursor().to_string())))
            };
            unread.or_next(next).await
        };
        self.0.call(py, |changes| correlation::within(ids, next(changes)))
    }
}

/// Where to begin: a moment, or a cursor that was kept.
#[derive(FromPyObject)]
pub(super) enum Since {
    Moment(DateTime<Utc>),
    Cursor(String),
}

impl Since {
    pub(super) fn cursor(&self) -> Result<ChangeCursor, Refusal> {
        match self {
            Self::Moment(moment) => Ok(ChangeCursor::since(*moment)),
            Self::Cursor(text) => Ok(ChangeCursor::parse(text)?),
        }
    }
}
