//! Connections that an event loop of another language carries on by itself.
//!
//! Without a lane, an answer from a server wakes a thread of tokio, and that thread wakes the event loop: two threads
//! are woken one after the other, which costs more than everything else that a small question needs. With a lane, the
//! event loop watches the sockets itself, through one descriptor.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// The token of the bell; connections have others.
const BELL: Token = Token(0);
/// Sockets that one look at the descriptor tells of; what is left is told of by the next.
const AT_ONCE: usize = 16;

thread_local! {
    static HERE: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// Whether this thread takes a turn, at whose end everything that is marked is carried on.
    static TURNING: Cell<bool> = const { Cell::new(false) };
}

/// A place for connections that belong to one event loop, for programs that bring posada to another language.
///
/// The event loop watches [`as_raw_fd`](AsRawFd::as_raw_fd) and calls [`turn`](Self::turn) on its thread whenever it is
/// readable. Futures of posada that are polled after [`enter`](Self::enter) ask Redis over a connection of the lane,
/// unless it is a cluster or wants TLS. Its answers are read in a turn, and wake the futures there.
///
/// Among many calls the event loop's thread has enough to do, and leaves reading answers to tokio. What futures ask that
/// are polled after [`gather`](Self::gather) waits for [`send`](Self::send), so that one write carries many questions.
///
/// Whatever posada does by itself, such as renewing a lock, keeps to the connections that tokio carries on, so an event
/// loop that stands still delays its own answers only. When the lane is dropped, tokio carries its connections on.
/// After a fork it belongs to the parent: in the child, dropping it closes nothing.
///
/// Clones are one lane. Only where descriptors are: on Unix.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

pub(crate) struct Inner {
    poll: Mutex<(Poll, Events)>,
    descriptor: RawFd,
    registry: Registry,
    bell: Waker,
    is_rung: AtomicBool,
    carried: Mutex<Carried>,
    gathered: Mutex<Vec<Arc<dyn Gather>>>,
    process: u32,
}

/// What this thread polls for.
struct Place {
    lane: Lane,
    /// Whether it is only to be sent by the lane, over the connections of everybody.
    gathers: bool,
}

#[derive(Default)]
struct Carried {
    latest: usize,
    by_token: HashMap<Token, Weak<dyn Carry>>,
    marked: Vec<Arc<dyn Carry>>,
}

/// The watch of a lane over a socket. It ends when this is dropped, which must be before the socket is closed: its number
/// may be another's then.
pub(crate) struct Watch {
    lane: Weak<Inner>,
    socket: RawFd,
    token: Token,
}

/// A connection that a lane carries on.
pub(crate) trait Carry: Send + Sync {
    /// Does what can be done without waiting; `is_readable` when the socket has something.
    fn carry_on(self: Arc<Self>, is_readable: bool);

    /// The lane is gone: from now on tokio must watch the socket, until nobody waits for an answer any more.
    fn on_its_own(self: Arc<Self>);
}

/// A connection outside of all lanes, with something to say.
pub(crate) trait Gather: Send + Sync {
    /// Says it now, as far as it goes without waiting.
    fn send(self: Arc<Self>);
}

/// Until it is dropped, what this thread polls belongs to the lane.
#[must_use = "the thread leaves the lane when this is dropped"]
pub struct InLane {
    before: Option<Place>,
}

impl Lane {
    /// A lane without connections.
    ///
    /// # Errors
    /// The system's, when it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Self(Arc::new(Inner {
            descriptor: poll.as_raw_fd(),
            bell: Waker::new(&registry, BELL)?,
            registry,
            poll: Mutex::new((poll, Events::with_capacity(AT_ONCE))),
            is_rung: AtomicBool::new(false),
            carried: Mutex::default(),
            gathered: Mutex::default(),
            process: std::process::id(),
        })))
    }

    /// Makes the descriptor readable, so that the event loop takes a turn. From any thread.
    pub fn ring(&self) {
        self.0.ring();
    }

    /// Waits until the descriptor is readable, at most so long; says whether it is. For a thread that calls an event
    /// loop which cannot watch descriptors.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        let mut events = Events::with_capacity(1);
        let mut watch = || {
            let mut outer = Poll::new()?;
            let mut descriptor = SourceFd(&self.0.descriptor);
            outer
                .registry()
                .register(&mut descriptor, BELL, Interest::READABLE)?;
            outer.poll(&mut events, Some(limit))
        };
        // A signal ends the wait early; the caller looks and waits again.
        let watched: io::Result<()> = watch();
        watched.is_ok() && !events.is_empty()
    }

    /// From now on, what this thread polls belongs to the lane.
    pub fn enter(&self) -> InLane {
        self.come(false)
    }

    /// From now on, what this thread asks over the connections of everybody waits for [`send`](Self::send).
    ///
    /// Whoever gathers must send soon, also when its event loop stands still: a deadline does not wait.
    pub fn gather(&self) -> InLane {
        self.come(true)
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
            connection.send();
        }
    }

    fn come(&self, gathers: bool) -> InLane {
        let lane = self.clone();
        InLane {
            before: HERE.replace(Some(Place { lane, gathers })),
        }
    }

    /// Whether this thread has entered the lane.
    #[must_use]
    pub fn is_here(&self) -> bool {
        HERE.with_borrow(|here| {
            here.as_ref()
                .is_some_and(|place| !place.gathers && Arc::ptr_eq(&place.lane.0, &self.0))
        })
    }

    /// The lane that this thread has entered.
    pub(crate) fn here() -> Option<Self> {
        HERE.with_borrow(|here| Some(here.as_ref().filter(|place| !place.gathers)?.lane.clone()))
    }

    /// Whether this thread gathers what it has to say.
    pub(crate) fn is_gathering() -> bool {
        HERE.with_borrow(|here| here.as_ref().is_some_and(|place| place.gathers))
    }

    /// Keeps a connection that has something to say until the lane sends; says no when this thread gathers nothing.
    pub(crate) fn gathers(connection: impl FnOnce() -> Arc<dyn Gather>) -> bool {
        HERE.with_borrow(|here| {
            let gathering = here.as_ref().filter(|place| place.gathers);
            if let Some(place) = gathering {
                place.lane.0.gathered().push(connection());
            }
            gathering.is_some()
        })
    }

    /// Carries every connection on as far as it goes without waiting, then does `work`, which polls what was woken, and
    /// sends what that has to say. On the event loop's thread.
    pub fn turn(&self, work: impl FnOnce()) {
        let _here = self.enter();
        let outer = TURNING.replace(true);
        self.0.look();
        self.0.carry_on_marked();
        work();
        self.0.carry_on_marked();
        TURNING.set(outer);
        if !self.0.carried().marked.is_empty() {
            self.ring();
        }
    }

    /// Whether this thread is taking a turn. What it wakes now is polled in this turn or needs another ring.
    #[must_use]
    pub fn is_turning() -> bool {
        TURNING.get()
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
    pub(crate) fn carry(self: &Arc<Self>, socket: RawFd, connection: Weak<dyn Carry>) -> io::Result<Watch> {
        let mut carried = self.carried();
        carried.latest += 1;
        let token = Token(carried.latest);
        self.registry.register(
            &mut SourceFd(&socket),
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        carried.by_token.insert(token, connection);
        Ok(Watch {
            lane: Arc::downgrade(self),
            socket,
            token,
        })
    }

    /// Has the connection carried on in the next turn, or at the end of this one.
    pub(crate) fn mark(&self, connection: Arc<dyn Carry>) {
        self.carried().marked.push(connection);
        if !Lane::is_turning() {
            self.ring();
        }
    }

    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            // It fails when the lane has no descriptors any more, and then nobody listens.
            let _ = self.bell.wake();
        }
    }

    fn look(&self) {
        let mut poll = self.poll.lock().unwrap_or_else(PoisonError::into_inner);
        let (poll, events) = &mut *poll;
        let looked = poll.poll(events, Some(Duration::ZERO));
        // After the ring was heard, and before what it was for is looked at: whoever rings from now on is heard by the
        // next look.
        self.is_rung.store(false, Ordering::Release);
        if looked.is_err() {
            // A signal came in between: look again soon.
            return self.ring();
        }
        for event in &*events {
            let connection = self
                .carried()
                .by_token
                .get(&event.token())
                .and_then(Weak::upgrade);
            if let Some(connection) = connection {
                connection.carry_on(true);
            }
        }
    }

    fn carry_on_marked(&self) {
        let marked = std::mem::take(&mut self.carried().marked);
        for connection in marked {
            connection.carry_on(false);
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Vec<Arc<dyn Gather>>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRawFd for Lane {
    fn as_raw_fd(&self) -> RawFd {
        self.0.descriptor
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After a fork the lane is the parent's, and so is what it watches.
        if let Some(lane) = self
            .lane
            .upgrade()
            .filter(|lane| lane.process == std::process::id())
        {
            lane.carried().by_token.remove(&self.token);
            // It fails when the socket is not there any more.
            let _ = lane.registry.deregister(&mut SourceFd(&self.socket));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            return;
        }
        let carried = std::mem::take(&mut *self.carried());
        for connection in carried.by_token.values().filter_map(Weak::upgrade) {
            connection.on_its_own();
        }
        for connection in std::mem::take(&mut *self.gathered()) {
            connection.send();
        }
    }
}

impl Drop for InLane {
    fn drop(&mut self) {
        HERE.set(self.before.take());
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
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
        marked: AtomicUsize,
        left: AtomicUsize,
    }

    impl Carry for Counter {
        fn carry_on(self: Arc<Self>, is_readable: bool) {
            let counter = if is_readable { &self.readable } else { &self.marked };
            counter.fetch_add(1, Ordering::Relaxed);
        }

        fn on_its_own(self: Arc<Self>) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn carried(lane: &Lane, socket: &UnixStream) -> (Arc<Counter>, Watch) {
        let counter = Arc::new(Counter::default());
        let connection: Arc<dyn Carry> = counter.clone();
        let watch = lane
            .0
            .carry(socket.as_raw_fd(), Arc::downgrade(&connection))
            .unwrap();
        (counter, watch)
    }

    const SOON: Duration = Duration::from_secs(10);
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn no_ring_is_lost_however_it_meets_a_turn() {
        const THINGS: usize = 50_000;
        let (lane, things) = (Lane::new().unwrap(), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for thing in 0..THINGS {
                        things.lock().unwrap().push(thing);
                        lane.ring();
                    }
                });
            }
            let mut seen = 0;
            while seen < 2 * THINGS {
                assert!(lane.wait(SOON), "silent after {seen}");
                lane.turn(|| seen += std::mem::take(&mut *things.lock().unwrap()).len());
            }
        });
    }

    #[test]
    fn a_turn_carries_on_what_is_readable_and_what_was_marked_once() {
        let lane = Lane::new().unwrap();
        let (mut far, near) = UnixStream::pair().unwrap();
        let (counter, watch) = carried(&lane, &near);
        lane.turn(|| {});
        let before = counter.readable.load(Ordering::Relaxed);
        assert!(!lane.wait(NOW));
        far.write_all(b"x").unwrap();
        lane.0.mark(counter.clone());
        assert!(lane.wait(SOON));
        lane.turn(|| {
            assert!(lane.is_here() && Lane::is_turning());
            lane.0.mark(counter.clone());
        });
        assert_eq!(counter.readable.load(Ordering::Relaxed), before + 1);
        assert_eq!(counter.marked.load(Ordering::Relaxed), 2);
        assert!(!lane.is_here() && !Lane::is_turning());
        assert!(!lane.wait(NOW), "nothing is left");

        drop(watch);
        far.write_all(b"x").unwrap();
        assert!(!lane.wait(NOW));
    }

    #[test]
    fn a_thread_leaves_the_lane_that_it_entered_last() {
        let (outer, inner) = (Lane::new().unwrap(), Lane::new().unwrap());
        let entered = outer.enter();
        {
            let _entered = inner.enter();
            assert!(inner.is_here() && !outer.is_here());
        }
        assert!(outer.is_here());
        drop(entered);
        assert!(Lane::here().is_none());
    }

    #[test]
    fn whoever_gathers_has_not_entered() {
        let lane = Lane::new().unwrap();
        let gathering = lane.gather();
        assert!(Lane::is_gathering() && !lane.is_here() && Lane::here().is_none());
        {
            let _entered = lane.enter();
            assert!(lane.is_here() && !Lane::is_gathering());
        }
        assert!(Lane::is_gathering());
        drop(gathering);
        assert!(!Lane::is_gathering());
    }

    #[test]
    fn connections_go_on_by_themselves_when_the_lane_is_gone() {
        let lane = Lane::new().unwrap();
        let (_far, near) = UnixStream::pair().unwrap();
        let (counter, _watch) = carried(&lane, &near);
        drop(lane.clone());
        assert_eq!(counter.left.load(Ordering::Relaxed), 0);
        drop(lane);
        assert_eq!(counter.left.load(Ordering::Relaxed), 1);
    }
}
