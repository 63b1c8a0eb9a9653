//! A connection that is made when it is needed, and made again when it is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::timeout;

use super::failure::Failure;
use super::link::{Connector, Link, WeakLoop};
use crate::task::Tasks;

/// What all slots of a handle share.
pub(super) struct SlotFactory {
    pub(super) connector: Arc<Connector>,
    pub(super) connect_timeout: Duration,
    pub(super) tasks: Tasks,
}

/// A slot for one live connection.
pub(super) struct ConnectionSlot {
    shared: Arc<SlotFactory>,
    /// The event loop that drives the connection, if tokio does not.
    pub(super) event_loop: Option<WeakLoop>,
    live: ArcSwapOption<Link>,
    attempt: Mutex<Option<Attempt>>,
}

/// A running attempt to connect, which any number of callers await.
type Attempt = watch::Receiver<Option<Result<Arc<Link>, Failure>>>;

impl ConnectionSlot {
    pub(super) fn new(shared: Arc<SlotFactory>, event_loop: Option<WeakLoop>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            event_loop,
            live: ArcSwapOption::empty(),
            attempt: Mutex::default(),
        })
    }

    /// The connection, if there is one.
    pub(super) fn live(&self) -> Option<Arc<Link>> {
        self.live.load().as_ref().filter(|link| !link.is_gone()).cloned()
    }

    /// A new connection. After the end only for work in the background: a lock may be given back that late. Cancel-safe.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Arc<Link>, Failure> {
        if self.shared.tasks.ensure_admitted().is_err() {
            return Err(Failure::Closed);
        }
        let mut attempt = self.attempt();
        match attempt.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(link))) => Ok(link.clone()),
            Ok(Some(Err(failure))) => Err(failure.clone()),
            Ok(None) | Err(_) => Err(Failure::unavailable("the attempt to connect was given up")),
        }
    }

    /// Joins the running attempt to connect or starts one. It runs by itself, so that a caller with a short
    /// deadline does not abort it for the others.
    fn attempt(self: &Arc<Self>) -> Attempt {
        let mut running = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = &*running {
            return attempt.clone();
        }
        let (done, attempt) = watch::channel(None);
        *running = Some(attempt.clone());
        let this = self.clone();
        self.shared.tasks.in_background(async move {
            let limit = this.shared.connect_timeout;
            let connecting = this.shared.connector.connect(this.event_loop.as_ref());
            let outcome = match timeout(limit, connecting).await {
                Ok(Ok(link)) => Ok(Arc::new(link)),
                Ok(Err(error)) => Err(Failure::while_connecting(&error)),
                Err(_) => Err(Failure::unavailable(format_args!(
                    "no connection within {limit:?}"
                ))),
            };
            this.live.store(outcome.as_ref().ok().cloned());
            this.attempt.lock().unwrap_or_else(PoisonError::into_inner).take();
            done.send_replace(Some(outcome));
        });
        attempt
    }

    /// Forgets the connection: it is closed as soon as no call uses it.
    pub(super) fn clear(&self) {
        self.live.store(None);
    }

    /// Forgets a connection, unless it was replaced already.
    pub(super) fn discard(&self, link: &Arc<Link>) {
        let live = self.live.load();
        if live.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            self.live.compare_and_swap(&*live, None);
        }
    }
}
