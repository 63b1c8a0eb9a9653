//! The work of one connection, carried on by whoever has something to send.
//!
//! The driver wants its work in a task, so that a command changes threads before a byte of it is sent. Here the sender
//! of the only command under way carries the work on itself, as far as it goes without waiting: its command is on the
//! wire when it begins to wait for the answer. Several commands at once are left to the task, which sends them in one
//! piece. The answers come through the task.
//!
//! In a [lane](crate::bridge::Lane) the event loop takes the place of the task. While a lane gathers, commands wait until it
//! sends, and then who sends carries the work on, with all of them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

use crate::task;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Set while this thread hands a command over and will carry the work on itself.
    static HANDING_OVER: Cell<bool> = const { Cell::new(false) };
}

/// A connection at work. Dropping it closes the connection.
pub(super) struct Wire(Arc<Shared>);

pub(super) struct Shared {
    /// `None` when the connection is closed.
    work: Mutex<Option<Work>>,
    /// Wakes the task.
    task: AtomicWaker,
    under_way: AtomicUsize,
    is_left: AtomicBool,
    /// Whether nobody will send a command any more.
    is_last: AtomicBool,
    /// Who carries the work on in place of the task.
    host: OnceLock<Box<dyn Host>>,
}

/// What carries the work of connections on in place of their tasks.
pub(super) trait Host: Send + Sync {
    /// Has the work carried on soon; says no when the host is gone.
    fn rouse(&self) -> bool;

    /// Has the next step of the work look at the socket.
    fn look_at_socket(&self);
}

impl Wire {
    /// Begins the work of a connection, in a task.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            work: Mutex::new(Some(Box::pin(work))),
            task: AtomicWaker::new(),
            under_way: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
            is_last: AtomicBool::new(false),
            host: OnceLock::new(),
        });
        // The guard is the task's: when a runtime ends, it drops its tasks, and the connection is closed.
        let guard = Leaving(shared.clone());
        task::serve(std::future::poll_fn(move |context| {
            guard.0.task.register(context.waker());
            guard.0.carry_on_in_task()
        }));
        Self(shared)
    }

    /// From now on the host carries the work on.
    pub(super) fn give_to(&self, host: Box<dyn Host>) {
        let _there_was_none = self.0.host.set(host);
        self.0.rouse();
    }

    /// The work, as long as somebody wants the connection.
    pub(super) fn work(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// Whether the connection is closed, or about to be.
    pub(super) fn is_left(&self) -> bool {
        self.0.is_left.load(Ordering::Acquire)
    }

    /// Looks whether an answer has come that the host was too busy to see.
    pub(super) fn look_again(&self) {
        if let Some(host) = self.0.host.get() {
            host.look_at_socket();
            self.0.carry_on();
        }
    }

    /// Awaits a command. `exchange` hands it over in its first step.
    pub(super) async fn exchange<T>(&self, exchange: impl Future<Output = T>) -> T {
        let shared = &self.0;
        let _counted = UnderWay::new(shared);
        let mut exchange = std::pin::pin!(exchange);
        let mut is_alone = shared.under_way.load(Ordering::Relaxed) == 1 && !gather::is_on();
        std::future::poll_fn(|context| {
            if !std::mem::take(&mut is_alone) {
                return exchange.as_mut().poll(context);
            }
            let outcome = {
                let _quiet = HandingOver::new();
                exchange.as_mut().poll(context)
            };
            shared.carry_on();
            outcome
        })
        .await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Shared {
    /// Does what can be done now, on this thread. What remains is the task's.
    fn carry_on(self: &Arc<Self>) {
        let mut work = match self.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::WouldBlock) => return self.rouse(),
            Err(TryLockError::Poisoned(_)) => return self.task.wake(),
        };
        if self.poll(&mut work).is_ready() {
            self.task.wake();
        }
    }

    /// As the task, for the host. The task still sees the end.
    pub(super) fn carry_on_in_host(self: &Arc<Self>) {
        if self.carry_on_in_task().is_ready() {
            self.task.wake();
        }
    }

    /// Has the work carried on by whom it belongs to.
    fn rouse(&self) {
        if !self.host.get().is_some_and(|host| host.rouse()) {
            self.task.wake();
        }
    }

    /// Has the task carry the work on.
    pub(super) fn rouse_task(&self) {
        self.task.wake();
    }

    /// Nobody will send a command any more: closes the connection when the last answer has come. Says whether that is
    /// now.
    pub(super) fn is_left_when_idle(&self) -> bool {
        self.is_last.store(true, Ordering::SeqCst);
        let is_idle = self.under_way.load(Ordering::SeqCst) == 0;
        if is_idle {
            self.leave();
        }
        is_idle
    }

    fn carry_on_in_task(self: &Arc<Self>) -> Poll<()> {
        let mut work = match self.work.lock() {
            Ok(work) => work,
            // Work that panicked is of no more use.
            Err(poisoned) => {
                poisoned.into_inner().take();
                return Poll::Ready(());
            }
        };
        if self.is_left.load(Ordering::Acquire) {
            work.take();
        }
        self.poll(&mut work)
    }

    fn poll(self: &Arc<Self>, work: &mut Option<Work>) -> Poll<()> {
        let Some(running) = work else {
            return Poll::Ready(());
        };
        let waker = Waker::from(self.clone());
        let outcome = running.as_mut().poll(&mut Context::from_waker(&waker));
        if outcome.is_ready() {
            *work = None;
        }
        outcome
    }

    /// Closes the connection: here, or in the task when somebody is at work right now.
    fn leave(&self) {
        self.is_left.store(true, Ordering::Release);
        let work = match self.work.try_lock() {
            Ok(mut work) => work.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        drop(work);
        self.task.wake();
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !HANDING_OVER.get() && !gather::takes(self) {
            self.rouse();
        }
    }
}

/// Commands that wait for others, so that one write carries them all.
#[cfg(unix)]
mod gather {
    use std::sync::Arc;

    use super::Shared;
    use crate::lane::{Gather, Lane};

    pub(super) fn is_on() -> bool {
        Lane::is_gathering()
    }

    pub(super) fn takes(shared: &Arc<Shared>) -> bool {
        Lane::gathers(|| shared.clone())
    }

    impl Gather for Shared {
        fn send(self: Arc<Self>) {
            self.carry_on();
        }
    }
}

/// Without descriptors there are no lanes.
#[cfg(not(unix))]
mod gather {
    pub(super) fn is_on() -> bool {
        false
    }

    pub(super) fn takes(_: &std::sync::Arc<super::Shared>) -> bool {
        false
    }
}

/// Ends the work with the task.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(work);
    }
}

/// Counts a command for as long as somebody awaits it.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let is_last = self.0.under_way.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && self.0.is_last.load(Ordering::SeqCst) {
            self.0.leave();
        }
    }
}

/// Keeps the task asleep for what this thread does itself.
struct HandingOver;

impl HandingOver {
    fn new() -> Self {
        HANDING_OVER.set(true);
        Self
    }
}

impl Drop for HandingOver {
    fn drop(&mut self) {
        HANDING_OVER.set(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    type Question = oneshot::Sender<&'static str>;

    /// A connection whose other end answers at once, or never.
    fn wire(answers: bool) -> (Wire, mpsc::Sender<Question>) {
        let (sender, mut questions) = mpsc::channel::<Question>(8);
        let work = async move {
            let mut unanswered = Vec::new();
            while let Some(question) = questions.recv().await {
                if answers {
                    let _ = question.send("PONG");
                } else {
                    unanswered.push(question);
                }
            }
        };
        (Wire::new(work), sender)
    }

    async fn ask(sender: &mpsc::Sender<Question>) -> Option<&'static str> {
        let (question, answer) = oneshot::channel();
        sender.send(question).await.ok()?;
        answer.await.ok()
    }

    #[tokio::test]
    async fn a_lone_command_is_carried_on_by_its_sender_and_needs_no_task() {
        let (wire, sender) = wire(true);
        let mut exchange = std::pin::pin!(wire.exchange(ask(&sender)));
        // Nothing gives way to the task in between.
        assert!(poll!(&mut exchange).is_pending());
        assert_eq!(poll!(&mut exchange), Poll::Ready(Some("PONG")));
    }

    #[tokio::test]
    async fn commands_beside_others_are_left_to_the_task() {
        let (wire, sender) = wire(true);
        let idle = std::future::pending::<()>();
        let mut first = std::pin::pin!(wire.exchange(idle));
        let mut second = std::pin::pin!(wire.exchange(ask(&sender)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(second.await, Some("PONG"));
    }

    #[tokio::test]
    async fn a_command_while_somebody_is_at_work_is_seen_by_the_task() {
        let (wire, sender) = wire(true);
        let busy = wire.0.work.lock().unwrap();
        let mut exchange = std::pin::pin!(wire.exchange(ask(&sender)));
        assert!(exchange.as_mut().now_or_never().is_none());
        drop(busy);
        assert_eq!(exchange.await, Some("PONG"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn gathered_commands_are_carried_on_by_who_sends_them() {
        let lane = crate::bridge::Lane::new().unwrap();
        let (wire, sender) = wire(true);
        // The task waits for questions.
        tokio::task::yield_now().await;
        let mut first = std::pin::pin!(wire.exchange(ask(&sender)));
        let mut second = std::pin::pin!(wire.exchange(ask(&sender)));
        {
            let _gathering = lane.gather();
            assert!(poll!(&mut first).is_pending());
            assert!(poll!(&mut second).is_pending());
        }
        // Nobody has woken the task, and on this runtime it would run now.
        tokio::task::yield_now().await;
        assert_eq!(sender.capacity(), sender.max_capacity() - 2);
        assert!(lane.has_gathered());
        lane.send();
        assert!(!lane.has_gathered());
        assert_eq!(sender.capacity(), sender.max_capacity());
        assert_eq!(poll!(&mut first), Poll::Ready(Some("PONG")));
        assert_eq!(poll!(&mut second), Poll::Ready(Some("PONG")));
    }

    #[tokio::test]
    async fn dropping_it_closes_the_connection_although_an_answer_is_missing() {
        let (wire, sender) = wire(false);
        let asked = ask(&sender);
        tokio::pin!(asked);
        assert!(poll!(&mut asked).is_pending());
        drop(wire);
        assert_eq!(asked.await, None);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn dropping_it_while_somebody_is_at_work_closes_the_connection_after_that() {
        let (wire, sender) = wire(false);
        let shared = wire.0.clone();
        let busy = shared.work.lock().unwrap();
        drop(wire);
        assert!(!sender.is_closed());
        drop(busy);
        sender.closed().await;
    }

    #[test]
    fn a_runtime_that_ends_closes_its_connections() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (wire, sender) = runtime.block_on(async { wire(false) });
        drop(runtime);
        assert!(sender.is_closed());
        drop(wire);
    }
}
