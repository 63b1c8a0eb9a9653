//! Detached work: what must finish although its caller went away, and what `close()` waits for.
//!
//! Cancelling a future in the middle of a Postgres transaction or of a write leaves a connection that no caller
//! can use and an unknown effect. So writes run as tasks of their own: the caller awaits the answer,
//! and when it stops waiting the work still ends, within its own deadline.

mod call;
mod repeat;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use call::{Call, EventLoop, FirstStep, Progress, Receipt, Work};
pub(crate) use repeat::Need;

use call::ToTheEnd;

use crate::correlation::Correlation;
use crate::error::{Error, Result, codes};

tokio::task_local! {
    /// Set inside every task of ours. What [`Tasks::close`] already waits for may still do what it needs to end well,
    /// such as writing what it has collected.
    static IN_A_TASK: ();
}

/// The tasks of one [`Posada`](crate::Posada). Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
    /// Where the handle was made; `None` outside a runtime.
    runtime: Option<Handle>,
    /// When the first [`close`](Self::close) stops waiting.
    patience_ends: Arc<OnceLock<Instant>>,
    repeats: Arc<repeat::Queue>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            repeats: Arc::default(),
            runtime: Handle::try_current().ok(),
            patience_ends: Arc::default(),
        }
    }

    /// Runs `work` to its end, whether or not the returned future is awaited or dropped.
    ///
    /// Its first step, which usually sends a question, is taken at the first poll of the returned future; from then
    /// on it is a task of its own. `work` must bound itself by a deadline: `close()` waits for it. After `close()`
    /// only tasks of ours may detach.
    pub(crate) async fn detach<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.ensure_admitted()?;
        let (sender, answer) = oneshot::channel();
        let begun = self.begin(async move {
            let _ = sender.send(work.await);
        });
        if !begun {
            return Err(outside());
        }
        answer.await.unwrap_or_else(|_| {
            // A runtime that ends drops its tasks; the handle was closed before, if there was time for it.
            self.ensure_open()?;
            let what = "a detached task did not finish";
            Err(Error::new(codes::POSADA_INTERNAL, what))
        })
    }

    /// Runs `work` in place of the caller, and as a task of its own from the moment at which the returned future is
    /// dropped: it ends in any case, and costs no change of threads in the usual one.
    ///
    /// For work that may stand still while its caller is busy with something else, such as one command to Redis; what
    /// keeps a transaction open is to [`detach`](Self::detach). `work` must bound itself by a deadline.
    pub(crate) async fn finish<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.ensure_admitted()?;
        // What `close()` waits for. Dropped after the work below, so it outlives the moment at which a task takes over.
        let _tracked = self.tracker.token();
        let take_over = |rest: Work<Result<T>>| self.in_background(async move { drop(rest.await) });
        ToTheEnd::new(IN_A_TASK.scope((), work), take_over).await
    }

    /// Runs work that takes a core on a thread of its own. It ends whether or not it is awaited; `close()` waits for
    /// it. The caller limits how much of it there is at a time.
    pub(crate) async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.ensure_admitted()?;
        let Some(runtime) = self.runtime() else {
            return Err(outside());
        };
        let tracked = self.tracker.token();
        let started = runtime.spawn_blocking(move || {
            let answer = work();
            drop(tracked);
            answer
        });
        started.await.map_err(|failure| {
            Error::new(codes::POSADA_INTERNAL, "a piece of work did not finish").caused_by(failure)
        })
    }

    /// Starts work that no caller awaits. It must bound itself by a deadline. Callable from `Drop`, also outside a
    /// runtime: then the work runs on the runtime on which the handle was made, or not at all.
    pub(crate) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(runtime) = self.runtime() else {
            tracing::warn!("no tokio runtime: background work was dropped");
            return;
        };
        spawn(&runtime, self.tracked(work));
    }

    /// Like [`in_background`](Self::in_background), but the first step of the work is taken here and now: a question
    /// that it sends is on its way one change of threads earlier. Not for callers that hold a lock. Says whether
    /// there was a runtime.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let runtime = self.runtime();
        if let Some(runtime) = &runtime
            // As in a task, a panic ends the work and nothing else.
            && let FirstStep::Unfinished(call, work) = Call::begin(runtime, Box::pin(self.tracked(work)))
        {
            call.continue_with(work, None);
        }
        runtime.is_some()
    }

    /// Starts a loop that runs until [`close`](Self::close); it is dropped then at its current await.
    pub(crate) fn run_until_closed(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.in_background(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Completes when [`close`](Self::close) begins: for loops that have something to finish.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Waits so long, or until [`close`](Self::close) begins. Cancel-safe.
    pub(crate) async fn pause(&self, duration: Duration) {
        let _ = tokio::time::timeout(duration, self.stopping.cancelled()).await;
    }

    /// # Errors
    /// `posada.closed` once [`close`](Self::close) has begun, except in a task of ours, which may still end well.
    pub(crate) fn ensure_admitted(&self) -> Result<()> {
        if IN_A_TASK.try_get().is_ok() {
            return Ok(());
        }
        self.ensure_open()
    }

    /// # Errors
    /// `posada.closed` once [`close`](Self::close) has begun.
    pub(crate) fn ensure_open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(closed());
        }
        Ok(())
    }

    /// Whether [`close`](Self::close) has begun.
    pub(crate) fn is_closed(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Stops the loops and waits for detached work, at most `deadline` long. Answers how many tasks are still
    /// running then. Cancel-safe; may be called again.
    pub(crate) async fn close(&self, deadline: Duration) -> usize {
        self.patience_ends.get_or_init(|| now() + deadline);
        self.stopping.cancel();
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tracker.len(),
        }
    }

    /// Whether work that may take so long would still be waited for by [`close`](Self::close), if that has begun.
    pub(crate) fn has_time_for(&self, work: Duration) -> bool {
        let ends = self.patience_ends.get();
        ends.is_none_or(|ends| now() + work <= *ends)
    }

    fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }

    /// Work that [`close`](Self::close) waits for.
    fn tracked<F: Future<Output = ()>>(&self, work: F) -> impl Future<Output = ()> + use<F> {
        self.tracker
            .track_future(IN_A_TASK.scope((), Correlation::carried(work)))
    }
}

/// Runs the work of a connection, which ends with the connection; `close()` does not wait for it. Only in a runtime.
pub(crate) fn serve(work: impl Future<Output = ()> + Send + 'static) {
    spawn(&Handle::current(), work);
}

fn spawn(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    let task = runtime.spawn(work);
    task.abort_handle()
}

/// `work` that ends although its future is dropped, also before its first step: the rest becomes a task of `runtime`.
/// For bindings, around what the crate does not detach by itself.
pub fn to_the_end<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send + 'static {
    let runtime = runtime.clone();
    ToTheEnd::new(work, move |rest: Work<T>| {
        spawn(&runtime, async move { drop(rest.await) });
    })
}

fn outside() -> Error {
    Error::new(
        codes::POSADA_INTERNAL,
        "posada must be used inside a tokio runtime",
    )
}

/// What tokio's timers go by.
#[allow(clippy::disallowed_methods, reason = "it is compared with tokio's timers")]
fn now() -> Instant {
    Instant::now()
}

/// The error of every operation on a closed handle.
pub(crate) fn closed() -> Error {
    Error::new(codes::POSADA_CLOSED, "this handle was closed; connect a new one")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    /// Drops a call after its work has begun and expects the work to end.
    macro_rules! outlives_its_caller {
        ($method:ident) => {
            let tasks = Tasks::new();
            let (go, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (done, finished) = oneshot::channel();
            let (inner_go, inner_gate) = (go.clone(), gate.clone());
            let mut waiting = Box::pin(tasks.$method(async move {
                inner_go.notify_one();
                inner_gate.notified().await;
                let _ = done.send(());
                Ok(())
            }));
            tokio::select! {
                _ = &mut waiting => unreachable!("the gate is shut"),
                () = go.notified() => {}
            }
            drop(waiting);
            gate.notify_one();
            finished.await.unwrap();
            assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
        };
    }

    #[tokio::test]
    async fn detached_work_ends_although_its_caller_was_dropped() {
        outlives_its_caller!(detach);
    }

    #[tokio::test]
    async fn work_in_place_of_the_caller_ends_although_the_caller_was_dropped() {
        outlives_its_caller!(finish);
    }

    #[tokio::test]
    async fn detached_work_begins_in_place_of_its_caller_and_goes_on_without_it() {
        let tasks = Tasks::new();
        let (go, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, finished) = oneshot::channel();
        let (inner_go, inner_gate) = (go.clone(), gate.clone());
        let mut waiting = Box::pin(tasks.detach(async move {
            inner_go.notify_one();
            inner_gate.notified().await;
            tokio::task::yield_now().await;
            let _ = done.send(());
            Ok(7)
        }));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(go.notified().now_or_never().is_some(), "the first step was taken");
        gate.notify_one();
        finished.await.unwrap();
        assert_eq!(waiting.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn detached_work_that_wakes_itself_in_its_first_step_goes_on() {
        let tasks = Tasks::new();
        let answer = tasks.detach(async {
            tokio::task::yield_now().await;
            Ok(7)
        });
        assert_eq!(answer.await.unwrap(), 7);
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test]
    async fn detached_work_that_panics_is_an_error_of_its_caller() {
        let tasks = Tasks::new();
        let first = tasks.detach::<(), _>(async { panic!("on purpose, in the first step") });
        assert!(first.await.unwrap_err().is(codes::POSADA_INTERNAL));
        let later = tasks.detach::<(), _>(async {
            tokio::task::yield_now().await;
            panic!("on purpose, in the second step")
        });
        assert!(later.await.unwrap_err().is(codes::POSADA_INTERNAL));
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
    }

    #[test]
    fn work_that_was_begun_outside_a_runtime_goes_on_in_the_one_of_the_handle() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let tasks = runtime.block_on(async { Tasks::new() });
        let (done, finished) = std::sync::mpsc::channel();
        let begun = tasks.begin(async move {
            let caller = std::thread::current().id();
            tokio::task::yield_now().await;
            let _ = done.send((caller, std::thread::current().id()));
        });
        assert!(begun);
        let (first, later) = finished.recv().unwrap();
        assert_eq!(first, std::thread::current().id());
        assert_ne!(later, first);
    }

    #[tokio::test]
    async fn close_waits_for_work_in_place_of_a_caller() {
        let tasks = Tasks::new();
        let mut waiting = Box::pin(tasks.finish(std::future::pending::<Result<()>>()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(tasks.close(Duration::from_millis(1)).await, 1);
        let refused = tasks.finish(async { Ok(()) }).await.unwrap_err();
        assert!(refused.is(codes::POSADA_CLOSED));
    }

    #[tokio::test]
    async fn work_that_panicked_is_not_continued() {
        let tasks = Tasks::new();
        let inner = tasks.clone();
        let call = async move { inner.finish::<(), _>(async { panic!("on purpose") }).await };
        let call = std::panic::AssertUnwindSafe(call).catch_unwind();
        assert!(call.await.is_err());
        assert_eq!(tasks.tracker.len(), 0);
    }

    #[tokio::test]
    async fn close_says_how_many_tasks_outlived_its_deadline() {
        let tasks = Tasks::new();
        tasks.in_background(std::future::pending());
        assert_eq!(tasks.close(Duration::from_millis(1)).await, 1);
        let refused = tasks.detach(async { Ok(()) }).await.unwrap_err();
        assert!(refused.is(codes::POSADA_CLOSED));
    }

    #[test]
    fn outside_a_runtime_background_work_is_dropped_and_nothing_panics() {
        let tasks = Tasks::new();
        tasks.in_background(async {});
        assert_eq!(tasks.tracker.len(), 0);
    }

    #[tokio::test]
    async fn what_close_waits_for_may_still_detach() {
        let tasks = Tasks::new();
        let (inner, stopping) = (tasks.clone(), tasks.stopping());
        let (done, finished) = oneshot::channel();
        tasks.in_background(async move {
            stopping.cancelled().await;
            let _ = done.send(inner.detach(async { Ok(1) }).await.is_ok());
        });
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
        assert!(finished.await.unwrap());
    }

    #[tokio::test]
    async fn loops_stop_at_close() {
        let tasks = Tasks::new();
        tasks.run_until_closed(std::future::pending());
        assert_eq!(tasks.close(Duration::from_secs(5)).await, 0);
    }
}
