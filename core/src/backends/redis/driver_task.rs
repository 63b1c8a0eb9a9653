//! The work of one connection, driven by the caller that has something to send.
//!
//! The client library wants its work in a task, so that a command changes threads before a byte of it is sent. Here the
//! sender of the only command in flight drives the work itself, as far as it goes without waiting: its command is in
//! the socket when it begins to wait for the answer. Several commands at once are left to the task, which sends them in
//! one piece. The answers come through the task.
//!
//! A connection of an [event loop](crate::loop_connections::LoopConnections) is driven by the loop in place of the
//! task. While a loop gathers, commands wait until it sends, and then the thread that sends drives the work, with all
//! of them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

use crate::sync;
use crate::task;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Set while this thread hands a command over and will drive the work itself.
    static HANDING_OVER: Cell<bool> = const { Cell::new(false) };
}

/// A connection at work. Dropping it closes the connection.
pub(super) struct DriverTask(Arc<Shared>);

pub(super) struct Shared {
    /// `None` when the connection is closed.
    work: Mutex<Option<Work>>,
    /// Wakes the task.
    task: AtomicWaker,
    in_flight: AtomicUsize,
    is_closed: AtomicBool,
    /// Whether no caller will send a command any more.
    closes_when_idle: AtomicBool,
    /// What drives the work in place of the task.
    host: OnceLock<Box<dyn Host>>,
}

/// What drives the work of a connection in place of its task.
pub(super) trait Host: Send + Sync {
    /// Has the work driven soon; `false` when the host is gone.
    fn wake(&self) -> bool;

    /// Has the next step of the work read the socket.
    fn mark_readable(&self);
}

impl DriverTask {
    /// Begins the work of a connection, in a task.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            work: Mutex::new(Some(Box::pin(work))),
            task: AtomicWaker::new(),
            in_flight: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            closes_when_idle: AtomicBool::new(false),
            host: OnceLock::new(),
        });
        // The guard is the task's: when a runtime ends, it drops its tasks, and the connection is closed.
        let guard = CloseOnDrop(shared.clone());
        task::serve(std::future::poll_fn(move |context| {
            guard.0.task.register(context.waker());
            guard.0.drive_in_task()
        }));
        Self(shared)
    }

    /// From now on the host drives the work.
    pub(super) fn set_host(&self, host: Box<dyn Host>) {
        let _there_was_none = self.0.host.set(host);
        self.0.wake_host();
    }

    /// The work, as long as the connection is in use.
    pub(super) fn work(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// Whether the connection is closed, or about to be.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Acquire)
    }

    /// Reads an answer that has come and that the host was too busy to read.
    pub(super) fn read_again(&self) {
        if let Some(host) = self.0.host.get() {
            host.mark_readable();
            self.0.drive();
        }
    }

    /// Awaits a command. `exchange` hands it over in its first step.
    pub(super) async fn exchange<T>(&self, exchange: impl Future<Output = T>) -> T {
        let shared = &self.0;
        let _counted = InFlight::new(shared);
        let mut exchange = std::pin::pin!(exchange);
        // Beside others the task sends: it writes all that came meanwhile in one piece, where each sender would make a
        // system call of its own.
        let mut is_alone = shared.in_flight.load(Ordering::Relaxed) == 1 && !gathering::is_on();
        std::future::poll_fn(|context| {
            if !std::mem::take(&mut is_alone) {
                return exchange.as_mut().poll(context);
            }
            let outcome = {
                // Handing over wakes the task, which would find the work locked by this thread's next line.
                let _quiet = HandingOver::new();
                exchange.as_mut().poll(context)
            };
            shared.drive();
            outcome
        })
        .await
    }
}

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    /// Does what can be done now, on this thread. The task does the rest.
    fn drive(self: &Arc<Self>) {
        let mut work = match self.work.try_lock() {
            Ok(work) => work,
            // The thread that drives may have looked for commands before this one was there.
            Err(TryLockError::WouldBlock) => return self.wake_host(),
            // The task takes away work that panicked.
            Err(TryLockError::Poisoned(_)) => return self.task.wake(),
        };
        if self.poll(&mut work).is_ready() {
            self.task.wake();
        }
    }

    /// As the task, for the host. The task still sees the end.
    pub(super) fn drive_in_host(self: &Arc<Self>) {
        if self.drive_in_task().is_ready() {
            self.task.wake();
        }
    }

    /// Has the work driven by the host, or else by the task.
    fn wake_host(&self) {
        if !self.host.get().is_some_and(|host| host.wake()) {
            self.task.wake();
        }
    }

    /// Has the task drive the work.
    pub(super) fn wake_task(&self) {
        self.task.wake();
    }

    /// No caller will send a command any more: closes the connection when the last answer has come. Returns whether
    /// that is now.
    pub(super) fn close_when_idle(&self) -> bool {
        // Sequentially consistent, as the counting is: of this call and the last command that ends beside it, at least
        // one sees the other and closes. With weaker orders both could miss.
        self.closes_when_idle.store(true, Ordering::SeqCst);
        let is_idle = self.in_flight.load(Ordering::SeqCst) == 0;
        if is_idle {
            self.close();
        }
        is_idle
    }

    fn drive_in_task(self: &Arc<Self>) -> Poll<()> {
        let mut work = match self.work.lock() {
            Ok(work) => work,
            // Work that panicked is of no more use.
            Err(poisoned) => {
                poisoned.into_inner().take();
                return Poll::Ready(());
            }
        };
        if self.is_closed.load(Ordering::Acquire) {
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

    /// Closes the connection: here, or in the task when another thread drives it right now.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
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
        if !HANDING_OVER.get() && !gathering::take(self) {
            self.wake_host();
        }
    }
}

/// Commands that wait for others, so that one write carries them all.
#[cfg(unix)]
mod gathering {
    use std::sync::Arc;

    use super::Shared;
    use crate::loop_connections::{Flush, LoopConnections};

    pub(super) fn is_on() -> bool {
        LoopConnections::is_gathering()
    }

    pub(super) fn take(shared: &Arc<Shared>) -> bool {
        LoopConnections::keep_if_gathering(|| shared.clone())
    }

    impl Flush for Shared {
        fn flush(self: Arc<Self>) {
            self.drive();
        }
    }
}

/// Without descriptors an event loop has no connections.
#[cfg(not(unix))]
mod gathering {
    pub(super) fn is_on() -> bool {
        false
    }

    pub(super) fn take(_: &std::sync::Arc<super::Shared>) -> bool {
        false
    }
}

/// Ends the work with the task.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let work = sync::lock(&self.0.work).take();
        drop(work);
    }
}

/// Counts a command for as long as it is awaited.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let was_last = self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        if was_last && self.0.closes_when_idle.load(Ordering::SeqCst) {
            self.0.close();
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
    fn driver(answers: bool) -> (DriverTask, mpsc::Sender<Question>) {
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
        (DriverTask::new(work), sender)
    }

    async fn ask(sender: &mpsc::Sender<Question>) -> Option<&'static str> {
        let (question, answer) = oneshot::channel();
        sender.send(question).await.ok()?;
        answer.await.ok()
    }

    #[tokio::test]
    async fn a_lone_command_is_driven_by_its_sender_and_needs_no_task() {
        let (driver, sender) = driver(true);
        let mut exchange = std::pin::pin!(driver.exchange(ask(&sender)));
        // Nothing gives way to the task in between.
        assert!(poll!(&mut exchange).is_pending());
        assert_eq!(poll!(&mut exchange), Poll::Ready(Some("PONG")));
    }

    #[tokio::test]
    async fn commands_beside_others_are_left_to_the_task() {
        let (driver, sender) = driver(true);
        let idle = std::future::pending::<()>();
        let mut first = std::pin::pin!(driver.exchange(idle));
        let mut second = std::pin::pin!(driver.exchange(ask(&sender)));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(second.await, Some("PONG"));
    }

    #[tokio::test]
    async fn a_command_while_another_thread_drives_is_seen_by_the_task() {
        let (driver, sender) = driver(true);
        let busy = driver.0.work.lock().unwrap();
        let mut exchange = std::pin::pin!(driver.exchange(ask(&sender)));
        assert!(exchange.as_mut().now_or_never().is_none());
        drop(busy);
        assert_eq!(exchange.await, Some("PONG"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn gathered_commands_are_driven_by_the_thread_that_sends_them() {
        let connections = crate::loop_connections::LoopConnections::new().unwrap();
        let (driver, sender) = driver(true);
        // The task waits for questions.
        tokio::task::yield_now().await;
        let mut first = std::pin::pin!(driver.exchange(ask(&sender)));
        let mut second = std::pin::pin!(driver.exchange(ask(&sender)));
        {
            let _gathering = connections.gather();
            assert!(poll!(&mut first).is_pending());
            assert!(poll!(&mut second).is_pending());
        }
        // The task was not woken; on this runtime it would run now.
        tokio::task::yield_now().await;
        assert_eq!(sender.capacity(), sender.max_capacity() - 2);
        assert!(connections.has_gathered());
        connections.send();
        assert!(!connections.has_gathered());
        assert_eq!(sender.capacity(), sender.max_capacity());
        assert_eq!(poll!(&mut first), Poll::Ready(Some("PONG")));
        assert_eq!(poll!(&mut second), Poll::Ready(Some("PONG")));
    }

    #[tokio::test]
    async fn dropping_it_closes_the_connection_although_an_answer_is_missing() {
        let (driver, sender) = driver(false);
        let asked = ask(&sender);
        tokio::pin!(asked);
        assert!(poll!(&mut asked).is_pending());
        drop(driver);
        assert_eq!(asked.await, None);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn dropping_it_while_another_thread_drives_closes_the_connection_after_that() {
        let (driver, sender) = driver(false);
        let shared = driver.0.clone();
        let busy = shared.work.lock().unwrap();
        drop(driver);
        assert!(!sender.is_closed());
        drop(busy);
        sender.closed().await;
    }

    #[test]
    fn a_runtime_that_ends_closes_its_connections() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (driver, sender) = runtime.block_on(async { driver(false) });
        drop(runtime);
        assert!(sender.is_closed());
        drop(driver);
    }
}
