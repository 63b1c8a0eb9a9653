//! A connection that is made when it is needed, and made again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use super::failure::Failure;
use super::link::{Connector, Link, WeakLoop};
use crate::single_flight::SingleFlight;
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
    /// The attempt to connect that is under way.
    attempt: SingleFlight<(), Result<Arc<Link>, Failure>>,
}

impl ConnectionSlot {
    pub(super) fn new(shared: Arc<SlotFactory>, event_loop: Option<WeakLoop>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            event_loop,
            live: ArcSwapOption::empty(),
            attempt: SingleFlight::default(),
        })
    }

    /// The connection, if there is one.
    pub(super) fn live(&self) -> Option<Arc<Link>> {
        self.live.load().as_ref().filter(|link| !link.is_gone()).cloned()
    }

    /// A new connection. After the end only for work in the background: a lock may be given back that late.
    /// Cancel-safe.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Arc<Link>, Failure> {
        if self.shared.tasks.ensure_admitted().is_err() {
            return Err(Failure::Closed);
        }
        let (follower, leader) = self.attempt.join(&());
        if let Some(leader) = leader {
            // It runs by itself, so that a caller with a short deadline does not abort it for the others.
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
                // Before the attempt ends: who comes then finds the connection and does not begin another.
                this.live.store(outcome.as_ref().ok().cloned());
                leader.complete(outcome);
            });
        }
        let given_up = || Err(Failure::unavailable("the attempt to connect was given up"));
        follower.outcome().await.unwrap_or_else(given_up)
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
