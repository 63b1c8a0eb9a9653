//! Audit events of sign-in, on their way to whoever listens. The crate calls a sink on the path of requests, on its
//! own threads; Python must not run there, so events wait in a channel.

use std::sync::Arc;

use posada::auth::{AuditSink, AuthEvent};
use pyo3::prelude::*;
use tokio::sync::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::bridge::{Home, Operation, ProcessBound, Unread};

/// How far a listener may fall behind before it misses the oldest events.
const BACKLOG: usize = 1024;

/// Where the events of one handle go.
#[derive(Clone)]
pub(crate) struct AuthEvents(broadcast::Sender<AuthEvent>);

impl AuthEvents {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    pub(crate) fn sink(&self) -> AuditSink {
        let events = self.0.clone();
        Arc::new(move |event| {
            // Nobody listens: nothing is lost that anybody wanted.
            let _ = events.send(event.clone());
        })
    }

    pub(super) fn listen(&self, home: &Home) -> AuthWatch {
        let events = (Arc::new(Mutex::new(self.0.subscribe())), Unread::new());
        AuthWatch(ProcessBound::new(events, home.clone()))
    }
}

type Events = (
    Arc<Mutex<broadcast::Receiver<AuthEvent>>>,
    Unread<Option<EventParts>>,
);

/// (kind, user, account, address, tenant, detail, is_warning)
type EventParts = (
    &'static str,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    &'static str,
    bool,
);

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct AuthWatch(ProcessBound<Events>);

#[pymethods]
impl AuthWatch {
    /// (kind, user, account, address, tenant, detail, is_warning); `None` when the handle is gone.
    fn next(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.read(py, async |(events, unread): Events| {
            unread.or_next(async { Ok(next(&events).await) }).await
        })
    }
}

async fn next(events: &Mutex<broadcast::Receiver<AuthEvent>>) -> Option<EventParts> {
    let mut events = events.lock().await;
    let event = loop {
        match events.recv().await {
            Ok(event) => break event,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    };
    let AuthEvent {
        kind,
        user,
        account,
        address,
        tenant,
        detail,
        ..
    } = event;
    let address = address.map(|address| address.to_string());
    let tenant = tenant.map(|tenant| tenant.to_string());
    let is_warning = kind.is_warning();
    Some((kind.as_str(), user, account, address, tenant, detail, is_warning))
}
