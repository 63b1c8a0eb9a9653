//! A connection's place in a lane.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::socket::WeakSocket;
use super::wire::{Host, Shared, Wire};
use crate::lane::{Carry, Inner as LaneInner};

/// Has a lane carry on the work of a connection.
pub(super) struct Berth {
    lane: Weak<LaneInner>,
    connection: Arc<Connection>,
}

struct Connection {
    socket: WeakSocket,
    work: Weak<Shared>,
    is_marked: AtomicBool,
}

impl Berth {
    /// Gives the work of a connection to a lane.
    pub(super) fn give(wire: &Wire, socket: WeakSocket, lane: &Arc<LaneInner>) -> io::Result<()> {
        let connection = Arc::new(Connection {
            socket,
            work: wire.work(),
            is_marked: AtomicBool::new(false),
        });
        let carried: Arc<dyn Carry> = connection.clone();
        let carried = Arc::downgrade(&carried);
        connection
            .socket
            .go_into_lane(|descriptor| lane.carry(descriptor, carried))?;
        wire.give_to(Box::new(Self {
            lane: Arc::downgrade(lane),
            connection,
        }));
        Ok(())
    }
}

impl Host for Berth {
    fn rouse(&self) -> bool {
        let Some(lane) = self.lane.upgrade() else {
            return false;
        };
        if !self.connection.is_marked.swap(true, Ordering::AcqRel) {
            lane.mark(self.connection.clone());
        }
        true
    }

    fn look_at_socket(&self) {
        self.connection.socket.has_become_readable();
    }
}

impl Carry for Connection {
    fn carry_on(self: Arc<Self>, is_readable: bool) {
        if is_readable {
            self.socket.has_become_readable();
        }
        self.is_marked.store(false, Ordering::Release);
        if let Some(work) = self.work.upgrade() {
            work.carry_on_in_host();
        }
    }

    fn on_its_own(self: Arc<Self>) {
        let Some(work) = self.work.upgrade() else {
            return;
        };
        if work.is_left_when_idle() {
            return;
        }
        // Without tokio's watch the socket reads and writes nothing any more, and the connection ends with an error.
        if let Err(error) = self.socket.leave_lane() {
            tracing::warn!(%error, "a connection to Redis ends with its lane");
        }
        work.rouse_task();
    }
}
