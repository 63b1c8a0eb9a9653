//! A connection that is registered with an event loop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::driver_task::{DriverTask, Host, Shared};
use super::socket::WeakSocket;
use crate::loop_connections::{Drive, Inner};

/// Has an event loop drive the work of a connection.
pub(super) struct LoopRegistration {
    event_loop: Weak<Inner>,
    connection: Arc<Connection>,
}

struct Connection {
    socket: WeakSocket,
    work: Weak<Shared>,
    is_scheduled: AtomicBool,
}

impl LoopRegistration {
    /// Registers a connection with an event loop, which drives its work from now on.
    pub(super) fn register(
        driver: &DriverTask,
        socket: WeakSocket,
        event_loop: &Arc<Inner>,
    ) -> io::Result<()> {
        let connection = Arc::new(Connection {
            socket,
            work: driver.work(),
            is_scheduled: AtomicBool::new(false),
        });
        let registered: Arc<dyn Drive> = connection.clone();
        let registered = Arc::downgrade(&registered);
        connection
            .socket
            .move_to_loop(|descriptor| event_loop.register(descriptor, registered))?;
        driver.set_host(Box::new(Self {
            event_loop: Arc::downgrade(event_loop),
            connection,
        }));
        Ok(())
    }
}

impl Host for LoopRegistration {
    fn wake(&self) -> bool {
        let Some(event_loop) = self.event_loop.upgrade() else {
            return false;
        };
        if !self.connection.is_scheduled.swap(true, Ordering::AcqRel) {
            event_loop.schedule(self.connection.clone());
        }
        true
    }

    fn mark_readable(&self) {
        self.connection.socket.mark_readable();
    }
}

impl Drive for Connection {
    fn drive(self: Arc<Self>, is_readable: bool) {
        if is_readable {
            self.socket.mark_readable();
        }
        self.is_scheduled.store(false, Ordering::Release);
        if let Some(work) = self.work.upgrade() {
            work.drive_in_host();
        }
    }

    fn move_to_tokio(self: Arc<Self>) {
        let Some(work) = self.work.upgrade() else {
            return;
        };
        if work.close_when_idle() {
            return;
        }
        // Without tokio's watch the socket reads and writes nothing any more, and the connection ends with an error.
        if let Err(error) = self.socket.move_to_tokio() {
            tracing::warn!(%error, "a connection to Redis ends with its event loop");
        }
        work.wake_task();
    }
}
