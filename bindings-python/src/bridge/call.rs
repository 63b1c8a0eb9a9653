//! The half of a call that belongs to Rust: where its work is, and who carries it on.
//!
//! The thread of the event loop takes the first step of the work, which usually is to send a question. Nothing is
//! spawned for it: the work waits where it is until it is woken, and is carried on by the very thread that has the
//! answer in hand. If that is the event loop's own, which reads the answers of its own
//! [connections](posada::bridge::LoopConnections), the call never changes threads; otherwise it becomes a task of the
//! runtime there, and changes threads on its way back.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::completion_queue::CompletionQueue;
use super::loop_bridge::LoopBridge;

/// An answer that has crossed: plain data of Rust and how to make a Python object of it, on the loop's thread.
pub(super) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Work that ends with an answer.
pub(super) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call on its way. Its waker is the call itself.
pub(super) struct Call {
    runtime: Handle,
    stage: Mutex<Stage>,
}

enum Stage {
    /// The first step is being taken, on the event loop's thread.
    Beginning { is_woken: bool },
    /// A step was taken, and nobody has woken the work since.
    Waiting(Work, Receipt),
    /// The event loop's thread has woken it, and takes the next step in this turn or the next.
    Woken(Work, Receipt),
    /// The event loop's thread takes a step.
    Stepping { is_woken: bool },
    /// A task of the runtime works; `None` while it is being made.
    Running(Option<AbortHandle>),
    /// It has ended; without an answer when the task panicked or was aborted.
    Ended(Option<Outcome>),
    /// Nobody wants the answer.
    Abandoned { is_read: bool },
}

/// What came of the first step.
pub(super) enum Begun {
    Answered(Outcome),
    /// There is more to do: see [`Call::go_on`].
    Unfinished(Arc<Call>, Work),
    /// It panicked: a defect, or the runtime is ending.
    Panicked(Box<dyn Any + Send>),
}

/// How far a call is, for whoever waits for it.
pub(super) enum Progress {
    Ended(Outcome),
    /// It ended without an answer.
    Lost,
    Pending,
}

impl Call {
    /// Takes the first step of `work`, unless that is so heavy that another thread must. The loop carries the work on
    /// by itself if it has little else to do; otherwise it shares it with the threads of the runtime, and what the work
    /// asks waits until the loop_bridge [sends](LoopBridge::begun).
    pub(super) fn begin(
        runtime: &Handle,
        loop_bridge: Option<&LoopBridge>,
        mut work: Work,
        is_heavy: bool,
    ) -> Begun {
        let call = Arc::new(Self {
            runtime: runtime.clone(),
            stage: Mutex::new(Stage::Beginning { is_woken: false }),
        });
        if !is_heavy {
            let _here =
                loop_bridge.map(|loop_bridge| loop_bridge.completions().enter(loop_bridge.is_quiet()));
            match catch_unwind(AssertUnwindSafe(|| call.poll(&mut work))) {
                Ok(Poll::Ready(answer)) => return Begun::Answered(answer),
                Ok(Poll::Pending) => {}
                Err(panic) => return Begun::Panicked(panic),
            }
        }
        Begun::Unfinished(call, work)
    }

    /// Keeps the work until it is woken, or has another thread begin it. When it has ended, `number` comes into the
    /// completion queue.
    pub(super) fn go_on(
        self: &Arc<Self>,
        work: Work,
        completions: Arc<CompletionQueue>,
        number: u64,
        is_heavy: bool,
    ) {
        let receipt = Receipt { completions, number };
        if is_heavy {
            *self.stage() = Stage::Running(None);
            return self.clone().spawn(work, receipt);
        }
        self.wait(work, receipt);
    }

    /// Takes a step on the event loop's thread, in one of its turns. Returns the number of the call if it has ended.
    pub(super) fn step(self: &Arc<Self>) -> Option<u64> {
        let woken = {
            let mut stage = self.stage();
            if !matches!(*stage, Stage::Woken(..)) {
                return None;
            }
            std::mem::replace(&mut *stage, Stage::Stepping { is_woken: false })
        };
        let Stage::Woken(mut work, receipt) = woken else {
            return None;
        };
        // As in a task, a panic ends the work and nothing else.
        let answer = match catch_unwind(AssertUnwindSafe(|| self.poll(&mut work))) {
            Ok(Poll::Pending) => {
                self.wait(work, receipt);
                return None;
            }
            Ok(Poll::Ready(answer)) => Some(answer),
            Err(_) => None,
        };
        self.end(answer);
        Some(receipt.number)
    }

    fn poll(self: &Arc<Self>, work: &mut Work) -> Poll<Outcome> {
        let _inside = self.runtime.enter();
        let waker = Waker::from(self.clone());
        work.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// After a step that did not end the work.
    fn wait(self: &Arc<Self>, work: Work, receipt: Receipt) {
        let mut stage = self.stage();
        match *stage {
            Stage::Beginning { is_woken: true } | Stage::Stepping { is_woken: true } => {
                let completions = receipt.completions.clone();
                *stage = Stage::Woken(work, receipt);
                drop(stage);
                completions.schedule(self.clone());
            }
            Stage::Beginning { .. } | Stage::Stepping { .. } => *stage = Stage::Waiting(work, receipt),
            _ => {}
        }
    }

    /// The answer, once.
    pub(super) fn take(&self) -> Progress {
        let mut stage = self.stage();
        match &mut *stage {
            Stage::Ended(answer) => answer.take().map_or(Progress::Lost, Progress::Ended),
            _ => Progress::Pending,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(*self.stage(), Stage::Ended(_))
    }

    /// Lets the work go: a read is given up, anything else ends without us.
    pub(super) fn leave(self: &Arc<Self>, is_read: bool) {
        let left = std::mem::replace(&mut *self.stage(), Stage::Abandoned { is_read });
        match left {
            Stage::Waiting(work, _) | Stage::Woken(work, _) if is_read => {
                let _inside = self.runtime.enter();
                drop(work);
            }
            Stage::Waiting(work, receipt) | Stage::Woken(work, receipt) => self.clone().spawn(work, receipt),
            Stage::Running(Some(task)) if is_read => task.abort(),
            // A task that is just being made is aborted by its maker.
            Stage::Running(_)
            | Stage::Beginning { .. }
            | Stage::Stepping { .. }
            | Stage::Ended(_)
            | Stage::Abandoned { .. } => {}
        }
    }

    /// Makes a task of the rest of the work. On a thread of the runtime it runs there, as soon as that thread is free.
    fn spawn(self: Arc<Self>, work: Work, receipt: Receipt) {
        let notice = Notice(self.clone(), receipt);
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the bridge; what close() waits for was detached by the crate"
        )]
        let task = self.runtime.spawn(async move {
            let notice = notice;
            let answer = work.await;
            notice.0.end(Some(answer));
        });
        let mut stage = self.stage();
        match &mut *stage {
            Stage::Running(place @ None) => *place = Some(task.abort_handle()),
            Stage::Abandoned { is_read: true } => task.abort(),
            _ => {}
        }
    }

    /// Notes how the work ended, if anybody still wants to know.
    fn end(&self, answer: Option<Outcome>) {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Running(_) | Stage::Stepping { .. }) {
            *stage = Stage::Ended(answer);
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let mut stage = self.stage();
        match &mut *stage {
            Stage::Beginning { is_woken } | Stage::Stepping { is_woken } => *is_woken = true,
            Stage::Waiting(_, receipt) => {
                let completions = receipt
                    .completions
                    .is_entered()
                    .then(|| receipt.completions.clone());
                let Stage::Waiting(work, receipt) = std::mem::replace(&mut *stage, Stage::Running(None))
                else {
                    return;
                };
                if let Some(completions) = completions {
                    *stage = Stage::Woken(work, receipt);
                    drop(stage);
                    completions.schedule(self);
                } else {
                    drop(stage);
                    self.spawn(work, receipt);
                }
            }
            // The task has a waker of its own.
            Stage::Woken(..) | Stage::Running(_) | Stage::Ended(_) | Stage::Abandoned { .. } => {}
        }
    }
}

/// Where it is to be said that the work has ended.
struct Receipt {
    completions: Arc<CompletionQueue>,
    number: u64,
}

/// Pushes the number when the task has ended, however it ended, so that no caller waits for a task that panicked.
struct Notice(Arc<Call>, Receipt);

impl Drop for Notice {
    fn drop(&mut self) {
        self.0.end(None);
        self.1.completions.push(self.1.number);
    }
}
