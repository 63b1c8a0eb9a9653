//! What rechecks of bookings did.

use std::sync::Arc;

use posada::pms::{PmsEvent, PmsEvents};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use super::values::{BookingParts, booking};
use crate::bridge::{Operation, ProcessBound, RuntimeHandle, Unread};

type Events = (Arc<Mutex<PmsEvents>>, Unread<Option<EventParts>>);

/// (kind, key, booking id, other booking id, booking, code)
type EventParts = (
    &'static str,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<BookingParts>,
    Option<&'static str>,
);

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct PmsWatch(ProcessBound<Events>);

impl PmsWatch {
    pub(super) fn new(events: PmsEvents, runtime: &RuntimeHandle) -> Self {
        let events = (Arc::new(Mutex::new(events)), Unread::new());
        Self(ProcessBound::new(events, runtime.clone()))
    }
}

fn parts(event: PmsEvent) -> EventParts {
    match event {
        PmsEvent::Moved { key, booking: moved } => {
            let id = moved.id.to_string();
            let moved = booking(*moved);
            ("moved", Some(key.to_string()), Some(id), None, Some(moved), None)
        }
        PmsEvent::Yielded { key, booking, other } => {
            let (ours, other) = (booking.to_string(), other.to_string());
            (
                "yielded",
                Some(key.to_string()),
                Some(ours),
                Some(other),
                None,
                None,
            )
        }
        PmsEvent::Kept { key, booking, other } => {
            let (ours, other) = (booking.to_string(), other.to_string());
            ("kept", Some(key.to_string()), Some(ours), Some(other), None, None)
        }
        PmsEvent::RecheckFailed { key, booking, code } => {
            let ours = booking.to_string();
            (
                "recheck_failed",
                Some(key.to_string()),
                Some(ours),
                None,
                None,
                Some(code),
            )
        }
        // A kind that this version of the package does not know yet.
        _ => ("other", None, None, None, None, None),
    }
}

#[pymethods]
impl PmsWatch {
    /// `None` when the client is gone.
    fn next(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.call(py, async |(events, unread): Events| {
            let next = async { Ok(events.lock().await.next().await.map(parts)) };
            unread.or_next(next).await
        })
    }
}
