//! A call: work whose first step its caller takes, on the caller's own thread.
//!
//! The first step usually sends a command. No task is made for it: the work waits where it is until it is woken, and is
//! continued by the thread that has the answer in hand. If that thread belongs to an event loop that drives its own
//! [connections](crate::bridge::LoopConnections), the call never changes threads; otherwise the rest of it becomes a
//! task of the runtime there.
//!
//! Everything that begins in place of its caller goes through here: detached work of the crate, which has no event loop,
//! and the calls of bindings, which have one.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::sync::lock;

/// The work of a call.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A call in progress. Its waker is the call itself.
pub struct Call<T> {
    runtime: Handle,
    stage: Mutex<Stage<T>>,
}

enum Stage<T> {
    /// The caller's or the event loop's thread takes a step.
    Stepping { is_woken: bool },
    /// A step was taken, and the work was not woken since.
    Waiting(Work<T>, Option<Receipt<T>>),
    /// It was woken on the event loop's thread, which takes the next step in this turn or the next.
    Scheduled(Work<T>, Receipt<T>),
    /// A task of the runtime works; `None` while it is being made.
    Running(Option<AbortHandle>),
    /// It has ended; without an answer when the work panicked or its task was aborted.
    Ended(Option<T>),
    /// The answer is not needed any more.
    Cancelled,
}

/// What came of the first step.
pub enum FirstStep<T> {
    /// The answer.
    Ended(T),
    /// There is more to do: see [`Call::continue_with`].
    Unfinished(Arc<Call<T>>, Work<T>),
    /// It panicked: a defect, or the runtime is ending.
    Panicked(Box<dyn Any + Send>),
}

/// How far a call is.
pub enum Progress<T> {
    /// The answer.
    Ended(T),
    /// It ended without an answer.
    Lost,
    /// It goes on.
    Pending,
}

/// The event loop that a call was made in.
pub trait EventLoop<T>: Send + Sync {
    /// Whether this thread polls for the loop, which then takes the next step by itself.
    fn is_entered(&self) -> bool;

    /// Has the loop [step](Call::step) the call in this turn or the next. On the loop's thread.
    fn schedule(&self, call: Arc<Call<T>>);

    /// A task has ended the call of this number. On any thread.
    fn ended(&self, number: u64);
}

/// Which event loop hears of the end of a call, and by which number.
pub struct Receipt<T> {
    /// The loop.
    pub event_loop: Arc<dyn EventLoop<T>>,
    /// The number of the call there.
    pub number: u64,
}

impl<T: Send + 'static> Call<T> {
    /// Takes the first step of `work` on this thread.
    pub fn begin(runtime: &Handle, mut work: Work<T>) -> FirstStep<T> {
        let call = Arc::new(Self::at(runtime, Stage::Stepping { is_woken: false }));
        match catch_unwind(AssertUnwindSafe(|| call.poll(&mut work))) {
            Ok(Poll::Ready(answer)) => FirstStep::Ended(answer),
            Ok(Poll::Pending) => FirstStep::Unfinished(call, work),
            Err(panic) => FirstStep::Panicked(panic),
        }
    }

    /// Leaves all of `work` to a task: for a first step that is too long for an event loop's thread.
    pub fn spawned(runtime: &Handle, work: Work<T>, receipt: Receipt<T>) -> Arc<Self> {
        let call = Arc::new(Self::at(runtime, Stage::Running(None)));
        call.clone().spawn(work, Some(receipt));
        call
    }

    fn at(runtime: &Handle, stage: Stage<T>) -> Self {
        Self {
            runtime: runtime.clone(),
            stage: Mutex::new(stage),
        }
    }

    /// Keeps the work until it is woken. The event loop of the receipt, if there is one, hears of its end.
    pub fn continue_with(self: &Arc<Self>, work: Work<T>, receipt: Option<Receipt<T>>) {
        let mut stage = self.stage();
        match *stage {
            // The wake came during the step, when the work was not here to be taken by the waker.
            Stage::Stepping { is_woken: true } => self.clone().take_over(stage, work, receipt, true),
            Stage::Stepping { is_woken: false } => *stage = Stage::Waiting(work, receipt),
            // It was cancelled during the step.
            _ => {
                drop(stage);
                self.discard(work);
            }
        }
    }

    /// Takes a step on the event loop's thread, in one of its turns. Returns the number of the call if it has ended.
    pub fn step(self: &Arc<Self>) -> Option<u64> {
        let scheduled = {
            let mut stage = self.stage();
            if !matches!(*stage, Stage::Scheduled(..)) {
                return None;
            }
            std::mem::replace(&mut *stage, Stage::Stepping { is_woken: false })
        };
        let Stage::Scheduled(mut work, receipt) = scheduled else {
            return None;
        };
        // As in a task, a panic ends the work and nothing else.
        let answer = match catch_unwind(AssertUnwindSafe(|| self.poll(&mut work))) {
            Ok(Poll::Pending) => {
                self.continue_with(work, Some(receipt));
                return None;
            }
            Ok(Poll::Ready(answer)) => Some(answer),
            Err(_) => None,
        };
        self.end(answer);
        Some(receipt.number)
    }

    fn poll(self: &Arc<Self>, work: &mut Work<T>) -> Poll<T> {
        let _inside = self.runtime.enter();
        let waker = Waker::from(self.clone());
        work.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// The answer, once.
    pub fn take(&self) -> Progress<T> {
        match &mut *self.stage() {
            Stage::Ended(answer) => answer.take().map_or(Progress::Lost, Progress::Ended),
            _ => Progress::Pending,
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(*self.stage(), Stage::Ended(_))
    }

    /// Drops the work, wherever it is. What must end all the same sees to that itself, in its `Drop`: see
    /// [`ToTheEnd`].
    pub fn cancel(&self) {
        match std::mem::replace(&mut *self.stage(), Stage::Cancelled) {
            Stage::Waiting(work, _) | Stage::Scheduled(work, _) => self.discard(work),
            Stage::Running(Some(task)) => task.abort(),
            // A task that is just being made is aborted by its maker, and a step sees the cancellation at its end.
            Stage::Running(None) | Stage::Stepping { .. } | Stage::Ended(_) | Stage::Cancelled => {}
        }
    }

    fn discard(&self, work: Work<T>) {
        let _inside = self.runtime.enter();
        drop(work);
    }

    /// Has the next step taken: by the event loop on whose thread this is, or else by a task.
    fn take_over(
        self: Arc<Self>,
        mut stage: MutexGuard<'_, Stage<T>>,
        work: Work<T>,
        receipt: Option<Receipt<T>>,
        is_on_loop: bool,
    ) {
        match receipt {
            Some(receipt) if is_on_loop => {
                let event_loop = receipt.event_loop.clone();
                *stage = Stage::Scheduled(work, receipt);
                drop(stage);
                event_loop.schedule(self);
            }
            receipt => {
                *stage = Stage::Running(None);
                drop(stage);
                self.spawn(work, receipt);
            }
        }
    }

    /// Makes a task of the rest of the work. On a thread of the runtime it runs there, as soon as that thread is free.
    fn spawn(self: Arc<Self>, work: Work<T>, receipt: Option<Receipt<T>>) {
        let notice = Notice(self.clone(), receipt);
        let rest = async move {
            let notice = notice;
            let answer = work.await;
            notice.0.end(Some(answer));
        };
        let task = super::spawn(&self.runtime, rest);
        match &mut *self.stage() {
            Stage::Running(place @ None) => *place = Some(task),
            Stage::Cancelled => task.abort(),
            _ => {}
        }
    }

    /// Notes how the work ended, unless it was cancelled.
    fn end(&self, answer: Option<T>) {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Running(_) | Stage::Stepping { .. }) {
            *stage = Stage::Ended(answer);
        }
    }
}

impl<T> Call<T> {
    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        lock(&self.stage)
    }
}

impl<T: Send + 'static> Wake for Call<T> {
    fn wake(self: Arc<Self>) {
        let this = self.clone();
        let mut stage = this.stage();
        match &mut *stage {
            Stage::Stepping { is_woken } => *is_woken = true,
            Stage::Waiting(_, receipt) => {
                let is_on_loop = receipt.as_ref().is_some_and(|it| it.event_loop.is_entered());
                if let Stage::Waiting(work, receipt) = std::mem::replace(&mut *stage, Stage::Running(None)) {
                    self.take_over(stage, work, receipt, is_on_loop);
                }
            }
            // The task has a waker of its own.
            Stage::Scheduled(..) | Stage::Running(_) | Stage::Ended(_) | Stage::Cancelled => {}
        }
    }
}

/// Tells the event loop when the task has ended, however it ended, so that no caller waits for a task that panicked.
struct Notice<T: Send + 'static>(Arc<Call<T>>, Option<Receipt<T>>);

impl<T: Send + 'static> Drop for Notice<T> {
    fn drop(&mut self) {
        self.0.end(None);
        if let Some(receipt) = &self.1 {
            receipt.event_loop.ended(receipt.number);
        }
    }
}

/// Work that its caller does until the caller goes away. What is left then is handed to `rest`, which makes a task of it.
/// This is the one place where a write outlives its cancellation.
pub(super) struct ToTheEnd<T, F: FnMut(Work<T>)> {
    /// `None` when it has ended, and while it is being polled, so that nothing is continued that panicked.
    work: Option<Work<T>>,
    rest: F,
}

impl<T, F: FnMut(Work<T>)> ToTheEnd<T, F> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static, rest: F) -> Self {
        Self {
            work: Some(Box::pin(work)),
            rest,
        }
    }
}

impl<T, F: FnMut(Work<T>) + Unpin> Future for ToTheEnd<T, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(mut work) = self.work.take() else {
            return Poll::Pending;
        };
        let outcome = work.as_mut().poll(context);
        if outcome.is_pending() {
            self.work = Some(work);
        }
        outcome
    }
}

impl<T, F: FnMut(Work<T>)> Drop for ToTheEnd<T, F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            (self.rest)(work);
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// By its variant alone: an answer may hold what belongs to a guest.
impl<T> fmt::Debug for FirstStep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended(_) => "Ended",
            Self::Unfinished(..) => "Unfinished",
            Self::Panicked(_) => "Panicked",
        })
    }
}

/// By its variant alone, as [`FirstStep`].
impl<T> fmt::Debug for Progress<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended(_) => "Ended",
            Self::Lost => "Lost",
            Self::Pending => "Pending",
        })
    }
}

impl<T> fmt::Debug for Receipt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
