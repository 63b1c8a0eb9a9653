//! Connections that an event loop of another language drives by itself.
//!
//! Without them, an answer from a server wakes a thread of tokio, and that thread wakes the event loop: two threads are
//! woken one after the other, which costs more than everything else that a small question needs. With them, the event
//! loop watches the sockets itself, through one descriptor.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::sync::lock;

/// The token of the waker; connections have others.
const WAKER: Token = Token(0);
/// Sockets that one look at the descriptor tells of; what is left is told of by the next.
const AT_ONCE: usize = 16;

thread_local! {
    static ENTERED: RefCell<Option<Entered>> = const { RefCell::new(None) };
    /// Whether this thread takes a turn, at whose end every scheduled connection is driven.
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The connections of one event loop, for programs that bring posada to another language.
///
/// The event loop watches [`as_raw_fd`](AsRawFd::as_raw_fd) and calls [`turn`](Self::turn) on its thread whenever it is
/// readable. Futures of posada that are polled after [`enter`](Self::enter) ask Redis over a connection of the loop,
/// unless it is a cluster or wants TLS. Its answers are read in a turn, and wake the futures there.
///
/// Among many calls the event loop's thread has enough to do, and leaves reading answers to tokio. What futures ask
/// that are polled after [`gather`](Self::gather) waits for [`send`](Self::send), so that one write carries many
/// questions.
///
/// Whatever posada does by itself, such as renewing a lock, keeps to the connections that tokio drives, so an event
/// loop that stands still delays its own answers only. When the last clone is dropped, tokio drives the connections.
/// After a fork they belong to the parent: in the child, dropping this closes nothing.
///
/// Clones share the connections. Only where descriptors are: on Unix.
#[derive(Clone)]
pub struct LoopConnections(Arc<Inner>);

pub(crate) struct Inner {
    poll: Mutex<(Poll, Events)>,
    descriptor: RawFd,
    registry: Registry,
    waker: Waker,
    is_woken: AtomicBool,
    registered: Mutex<Registered>,
    gathered: Mutex<Vec<Arc<dyn Flush>>>,
    process: u32,
}

/// For whom this thread polls.
struct Entered {
    connections: LoopConnections,
    /// Whether the loop only sends what is asked, over the connections that all share.
    gathers: bool,
}

#[derive(Default)]
struct Registered {
    latest: usize,
    by_token: HashMap<Token, Weak<dyn Drive>>,
    scheduled: Vec<Arc<dyn Drive>>,
}

/// An event loop's watch over a socket. It ends when this is dropped, which must be before the socket is closed: its
/// number may be another's then.
pub(crate) struct Watch {
    connections: Weak<Inner>,
    socket: RawFd,
    token: Token,
}

/// A connection that an event loop drives.
pub(crate) trait Drive: Send + Sync {
    /// Does what can be done without waiting; `is_readable` when the socket has something.
    fn drive(self: Arc<Self>, is_readable: bool);

    /// The loop is gone: from now on tokio must watch the socket, until no call waits for an answer any more.
    fn move_to_tokio(self: Arc<Self>);
}

/// A connection that tokio drives, with commands that were not sent.
pub(crate) trait Flush: Send + Sync {
    /// Sends them now, as far as it goes without waiting.
    fn flush(self: Arc<Self>);
}

/// Until it is dropped, what this thread polls belongs to the event loop.
#[must_use = "the thread leaves the event loop when this is dropped"]
pub struct EnterGuard {
    before: Option<Entered>,
}

impl LoopConnections {
    /// No connections yet.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Self(Arc::new(Inner {
            descriptor: poll.as_raw_fd(),
            waker: Waker::new(&registry, WAKER)?,
            registry,
            poll: Mutex::new((poll, Events::with_capacity(AT_ONCE))),
            is_woken: AtomicBool::new(false),
            registered: Mutex::default(),
            gathered: Mutex::default(),
            process: std::process::id(),
        })))
    }

    /// Makes the descriptor readable, so that the event loop takes a turn. From any thread.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Waits until the descriptor is readable, at most `limit`; returns whether it is. For a thread that calls an event
    /// loop which cannot watch descriptors.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        let mut events = Events::with_capacity(1);
        let mut watch = || {
            let mut outer = Poll::new()?;
            let mut descriptor = SourceFd(&self.0.descriptor);
            outer
                .registry()
                .register(&mut descriptor, WAKER, Interest::READABLE)?;
            outer.poll(&mut events, Some(limit))
        };
        // A signal ends the wait early; the caller looks and waits again.
        let watched: io::Result<()> = watch();
        watched.is_ok() && !events.is_empty()
    }

    /// From now on, what this thread polls belongs to the event loop.
    pub fn enter(&self) -> EnterGuard {
        self.enter_as(false)
    }

    /// From now on, what this thread asks over the connections that all share waits for [`send`](Self::send).
    ///
    /// The caller must send soon, also when its event loop stands still: a deadline does not wait.
    pub fn gather(&self) -> EnterGuard {
        self.enter_as(true)
    }

    /// Whether something was gathered and not sent.
    #[must_use]
    pub fn has_gathered(&self) -> bool {
        !self.0.gathered().is_empty()
    }

    /// Sends what was gathered, as far as that goes without waiting; tokio does the rest. From any thread.
    pub fn send(&self) {
        let gathered = std::mem::take(&mut *self.0.gathered());
        for connection in gathered {
            connection.flush();
        }
    }

    fn enter_as(&self, gathers: bool) -> EnterGuard {
        let connections = self.clone();
        EnterGuard {
            before: ENTERED.replace(Some(Entered { connections, gathers })),
        }
    }

    /// Whether this thread has entered this event loop.
    #[must_use]
    pub fn is_entered(&self) -> bool {
        ENTERED.with_borrow(|entered| {
            entered
                .as_ref()
                .is_some_and(|entered| !entered.gathers && Arc::ptr_eq(&entered.connections.0, &self.0))
        })
    }

    /// The connections of the event loop that this thread has entered.
    pub(crate) fn entered() -> Option<Self> {
        ENTERED.with_borrow(|entered| {
            Some(
                entered
                    .as_ref()
                    .filter(|entered| !entered.gathers)?
                    .connections
                    .clone(),
            )
        })
    }

    /// Whether this thread gathers what it has to say.
    pub(crate) fn is_gathering() -> bool {
        ENTERED.with_borrow(|entered| entered.as_ref().is_some_and(|entered| entered.gathers))
    }

    /// Keeps a connection that has something to send until the event loop sends; `false` when this thread gathers
    /// nothing.
    pub(crate) fn keep_if_gathering(connection: impl FnOnce() -> Arc<dyn Flush>) -> bool {
        ENTERED.with_borrow(|entered| {
            let gathering = entered.as_ref().filter(|entered| entered.gathers);
            if let Some(entered) = gathering {
                entered.connections.0.gathered().push(connection());
            }
            gathering.is_some()
        })
    }

    /// Drives every connection as far as it goes without waiting, then does `work`, which polls what was woken, and
    /// sends what that asks. On the event loop's thread.
    pub fn turn(&self, work: impl FnOnce()) {
        let _entered = self.enter();
        let outer = IN_TURN.replace(true);
        self.0.poll_sockets();
        self.0.drive_scheduled();
        work();
        self.0.drive_scheduled();
        IN_TURN.set(outer);
        if !self.0.registered().scheduled.is_empty() {
            self.wake();
        }
    }

    /// Whether this thread is taking a turn. What it wakes now is polled in this turn or needs another call of
    /// [`wake`](Self::wake).
    #[must_use]
    pub fn is_in_turn() -> bool {
        IN_TURN.get()
    }

    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn is(&self, weak: &Weak<Inner>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), weak.as_ptr())
    }
}

impl Inner {
    /// Watches the socket of a connection.
    pub(crate) fn register(
        self: &Arc<Self>,
        socket: RawFd,
        connection: Weak<dyn Drive>,
    ) -> io::Result<Watch> {
        let mut registered = self.registered();
        registered.latest += 1;
        let token = Token(registered.latest);
        self.registry.register(
            &mut SourceFd(&socket),
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        registered.by_token.insert(token, connection);
        Ok(Watch {
            connections: Arc::downgrade(self),
            socket,
            token,
        })
    }

    /// Has the connection driven in the next turn, or at the end of this one.
    pub(crate) fn schedule(&self, connection: Arc<dyn Drive>) {
        self.registered().scheduled.push(connection);
        if !LoopConnections::is_in_turn() {
            self.wake();
        }
    }

    fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            // It fails when there are no descriptors any more, and then no loop watches.
            let _ = self.waker.wake();
        }
    }

    fn poll_sockets(&self) {
        let mut poll = lock(&self.poll);
        let (poll, events) = &mut *poll;
        let looked = poll.poll(events, Some(Duration::ZERO));
        // After the waker's event was taken, and before what it was for is looked at: a wake from now on makes the
        // descriptor readable again. The other way round, one that came in between would be lost.
        self.is_woken.store(false, Ordering::Release);
        if looked.is_err() {
            // A signal came in between: look again soon.
            return self.wake();
        }
        for event in &*events {
            let connection = self
                .registered()
                .by_token
                .get(&event.token())
                .and_then(Weak::upgrade);
            if let Some(connection) = connection {
                connection.drive(true);
            }
        }
    }

    fn drive_scheduled(&self) {
        let scheduled = std::mem::take(&mut self.registered().scheduled);
        for connection in scheduled {
            connection.drive(false);
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Vec<Arc<dyn Flush>>> {
        lock(&self.gathered)
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        lock(&self.registered)
    }
}

impl AsRawFd for LoopConnections {
    fn as_raw_fd(&self) -> RawFd {
        self.0.descriptor
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After a fork the poll is the parent's, and so is what it watches.
        if let Some(connections) = self
            .connections
            .upgrade()
            .filter(|connections| connections.process == std::process::id())
        {
            connections.registered().by_token.remove(&self.token);
            // It fails when the socket is not there any more.
            let _ = connections.registry.deregister(&mut SourceFd(&self.socket));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            return;
        }
        let registered = std::mem::take(&mut *self.registered());
        for connection in registered.by_token.values().filter_map(Weak::upgrade) {
            connection.move_to_tokio();
        }
        for connection in std::mem::take(&mut *self.gathered()) {
            connection.flush();
        }
    }
}

impl std::fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnterGuard")
    }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        ENTERED.set(self.before.take());
    }
}

impl std::fmt::Debug for LoopConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopConnections")
            .field("descriptor", &self.0.descriptor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter {
        readable: AtomicUsize,
        scheduled: AtomicUsize,
        left: AtomicUsize,
    }

    impl Drive for Counter {
        fn drive(self: Arc<Self>, is_readable: bool) {
            let counter = if is_readable {
                &self.readable
            } else {
                &self.scheduled
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }

        fn move_to_tokio(self: Arc<Self>) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn registered(connections: &LoopConnections, socket: &UnixStream) -> (Arc<Counter>, Watch) {
        let counter = Arc::new(Counter::default());
        let connection: Arc<dyn Drive> = counter.clone();
        let watch = connections
            .0
            .register(socket.as_raw_fd(), Arc::downgrade(&connection))
            .unwrap();
        (counter, watch)
    }

    const SOON: Duration = Duration::from_secs(10);
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn no_wake_is_lost_however_it_meets_a_turn() {
        const THINGS: usize = 50_000;
        let (connections, things) = (LoopConnections::new().unwrap(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for thing in 0..THINGS {
                        things.lock().unwrap().push(thing);
                        connections.wake();
                    }
                });
            }
            let mut seen = 0;
            while seen < 2 * THINGS {
                assert!(connections.wait(SOON), "silent after {seen}");
                connections.turn(|| seen += std::mem::take(&mut *things.lock().unwrap()).len());
            }
        });
    }

    #[test]
    fn a_turn_drives_what_is_readable_and_what_was_scheduled_once() {
        let connections = LoopConnections::new().unwrap();
        let (mut far, near) = UnixStream::pair().unwrap();
        let (counter, watch) = registered(&connections, &near);
        connections.turn(|| {});
        let before = counter.readable.load(Ordering::Relaxed);
        assert!(!connections.wait(NOW));
        far.write_all(b"x").unwrap();
        connections.0.schedule(counter.clone());
        assert!(connections.wait(SOON));
        connections.turn(|| {
            assert!(connections.is_entered() && LoopConnections::is_in_turn());
            connections.0.schedule(counter.clone());
        });
        assert_eq!(counter.readable.load(Ordering::Relaxed), before + 1);
        assert_eq!(counter.scheduled.load(Ordering::Relaxed), 2);
        assert!(!connections.is_entered() && !LoopConnections::is_in_turn());
        assert!(!connections.wait(NOW), "nothing is left");

        drop(watch);
        far.write_all(b"x").unwrap();
        assert!(!connections.wait(NOW));
    }

    #[test]
    fn a_thread_leaves_the_event_loop_that_it_entered_last() {
        let (outer, inner) = (LoopConnections::new().unwrap(), LoopConnections::new().unwrap());
        let entered = outer.enter();
        {
            let _entered = inner.enter();
            assert!(inner.is_entered() && !outer.is_entered());
        }
        assert!(outer.is_entered());
        drop(entered);
        assert!(LoopConnections::entered().is_none());
    }

    #[test]
    fn a_thread_that_gathers_has_not_entered() {
        let connections = LoopConnections::new().unwrap();
        let gathering = connections.gather();
        assert!(
            LoopConnections::is_gathering()
                && !connections.is_entered()
                && LoopConnections::entered().is_none()
        );
        {
            let _entered = connections.enter();
            assert!(connections.is_entered() && !LoopConnections::is_gathering());
        }
        assert!(LoopConnections::is_gathering());
        drop(gathering);
        assert!(!LoopConnections::is_gathering());
    }

    #[test]
    fn tokio_drives_the_connections_of_an_event_loop_that_is_gone() {
        let connections = LoopConnections::new().unwrap();
        let (_far, near) = UnixStream::pair().unwrap();
        let (counter, _watch) = registered(&connections, &near);
        drop(connections.clone());
        assert_eq!(counter.left.load(Ordering::Relaxed), 0);
        drop(connections);
        assert_eq!(counter.left.load(Ordering::Relaxed), 1);
    }
}
