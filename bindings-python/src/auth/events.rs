//! Audit events of sign-in, on their way to the listeners. The crate calls a sink on the path of requests, on its
//! own threads; Python must not run there, so events wait in a channel.

use std::sync::Arc;

use posada::TenantId;
use posada::auth::{AuditSink, AuthEvent};
use pyo3::prelude::*;
use tokio::sync::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::bridge::{Operation, ProcessBound, RuntimeHandle, Unread};

/// How far a listener may fall behind before it misses the oldest events.
const BACKLOG: usize = 1024;

/// Where the events of one handle go.
#[derive(Clone)]
pub(crate) struct AuthEvents {
    sender: broadcast::Sender<AuthEvent>,
    /// The tenant whose events are told; all without one.
    tenant: Option<TenantId>,
}

impl AuthEvents {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            tenant: None,
        }
    }

    /// Those of a handle that is bound to a tenant.
    pub(crate) fn of(&self, tenant: Option<&TenantId>) -> Self {
        Self {
            sender: self.sender.clone(),
            tenant: tenant.cloned(),
        }
    }

    pub(crate) fn sink(&self) -> AuditSink {
        let events = self.sender.clone();
        Arc::new(move |event| {
            // No listener: nothing is lost that a caller wanted.
            let _ = events.send(event.clone());
        })
    }

    pub(super) fn listen(&self, runtime: &RuntimeHandle) -> AuthWatch {
        let heard = Listening {
            events: self.sender.subscribe(),
            tenant: self.tenant.clone(),
        };
        let events = (Arc::new(Mutex::new(heard)), Unread::new());
        AuthWatch(ProcessBound::new(events, runtime.clone()))
    }
}

/// What one listener hears.
struct Listening {
    events: broadcast::Receiver<AuthEvent>,
    tenant: Option<TenantId>,
}

type Events = (Arc<Mutex<Listening>>, Unread<Option<EventParts>>);

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
        self.0.call(py, async |(events, unread): Events| {
            unread.or_next(async { Ok(next(&events).await) }).await
        })
    }
}

impl Listening {
    /// Whether an event is this listener's: of its tenant, or about the service and no tenant.
    fn is_for(&self, event: &AuthEvent) -> bool {
        let is_about_nobody = event.tenant.is_none() && event.user.is_none() && event.account.is_none();
        self.tenant.is_none() || event.tenant == self.tenant || is_about_nobody
    }
}

async fn next(heard: &Mutex<Listening>) -> Option<EventParts> {
    let mut heard = heard.lock().await;
    let event = loop {
        match heard.events.recv().await {
            Ok(event) if heard.is_for(&event) => break event,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
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
