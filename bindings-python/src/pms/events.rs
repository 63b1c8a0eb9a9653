//! What rechecks of bookings did.

use std::sync::Arc;

use posada::IdempotencyKey;
use posada::pms::{Booking, BookingId, PmsEvent, PmsEvents};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::bridge::{Operation, ProcessBound, RuntimeHandle, Unread};
use crate::values::{Answer, records};

type Events = (Arc<Mutex<PmsEvents>>, Unread<Answer<Option<Told>>>);

/// An event of any kind, with what belongs to the kind.
#[derive(Default)]
struct Told {
    kind: &'static str,
    key: Option<IdempotencyKey>,
    booking_id: Option<BookingId>,
    other: Option<BookingId>,
    booking: Option<Booking>,
    code: Option<&'static str>,
}

records! { in "posada.pms";
    Told as "PmsEvent" { kind, key, booking_id, other, booking, code }
}

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct PmsWatch(ProcessBound<Events>);

impl PmsWatch {
    pub(super) fn new(events: PmsEvents, runtime: &RuntimeHandle) -> Self {
        let events = (Arc::new(Mutex::new(events)), Unread::new());
        Self(ProcessBound::new(events, runtime.clone()))
    }
}

fn told(event: PmsEvent) -> Told {
    match event {
        PmsEvent::Moved { key, booking } => Told {
            kind: "moved",
            key: Some(key),
            booking_id: Some(booking.id),
            booking: Some(*booking),
            ..Told::default()
        },
        PmsEvent::Yielded { key, booking, other } => Told {
            kind: "yielded",
            key: Some(key),
            booking_id: Some(booking),
            other: Some(other),
            ..Told::default()
        },
        PmsEvent::Kept { key, booking, other } => Told {
            kind: "kept",
            key: Some(key),
            booking_id: Some(booking),
            other: Some(other),
            ..Told::default()
        },
        PmsEvent::RecheckFailed { key, booking, code } => Told {
            kind: "recheck_failed",
            key: Some(key),
            booking_id: Some(booking),
            code: Some(code),
            ..Told::default()
        },
        // A kind that this version of the package does not know yet.
        _ => Told {
            kind: "other",
            ..Told::default()
        },
    }
}

#[pymethods]
impl PmsWatch {
    /// `None` when the client is gone.
    fn next(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.call(py, async |(events, unread): Events| {
            let next = async { Ok(Answer(events.lock().await.next().await.map(told))) };
            unread.or_next(next).await
        })
    }
}
