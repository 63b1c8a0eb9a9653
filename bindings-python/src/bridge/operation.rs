//! What Python awaits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use posada::codes;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, intern};
use tokio::task::AbortHandle;

use super::inbox::Inbox;
use super::port::Port;
use super::runtime::Home;
use crate::errors::Refusal;

/// An answer that has crossed: plain data of Rust and how to make a Python object of it, on the loop's thread.
type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Where the task leaves its answer.
type Slot = Arc<Mutex<Option<Outcome>>>;

/// A call on its way. Await it once, in the event loop in which it was made.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Operation(Mutex<State>);

enum State {
    /// It was answered at once.
    Answered(Outcome),
    Running(Running),
    Over,
}

/// A task of the runtime that works for somebody.
struct Running {
    home: Home,
    port: Py<Port>,
    number: u64,
    slot: Slot,
    task: AbortHandle,
    /// Whether the work ends when nobody wants its answer any more.
    is_read: bool,
    /// Whether the event loop's future was made.
    is_awaited: bool,
}

/// How a call is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It has no effect when it is dropped, so it is aborted when Python cancels.
    Read,
    /// It ends although Python cancels: only its answer is lost.
    Finish,
    /// As `Finish`, and its first step takes so long that it must not be made on the event loop's thread.
    Heavy,
}

/// Starts a call.
pub(crate) fn start<Answer>(
    py: Python<'_>,
    home: &Home,
    manner: Manner,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> PyResult<Operation>
where
    Answer: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let runtime = home.handle()?;
    let mut work = Box::pin(work);
    if manner != Manner::Heavy
        && let Some(answer) = poll_once(runtime, work.as_mut())
    {
        return Ok(Operation(Mutex::new(State::Answered(outcome(answer)))));
    }
    let port = Port::current(py)?;
    let (number, slot) = (port.get().number(), Slot::default());
    let notice = Notice {
        inbox: port.get().inbox().clone(),
        number,
    };
    let place = slot.clone();
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the bridge; what close() waits for was detached by the crate"
    )]
    let task = runtime.spawn(async move {
        let _notice = notice;
        let answer = outcome(work.await);
        *lock(&place) = Some(answer);
    });
    Ok(Operation(Mutex::new(State::Running(Running {
        home: home.clone(),
        port,
        number,
        slot,
        task: task.abort_handle(),
        is_read: manner == Manner::Read,
        is_awaited: false,
    }))))
}

/// Asks a future once, on this thread. Memory and caches answer then.
fn poll_once<Work: Future>(runtime: &tokio::runtime::Handle, work: Pin<&mut Work>) -> Option<Work::Output> {
    let _inside = runtime.enter();
    match work.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn outcome<Answer>(answer: Result<Answer, Refusal>) -> Outcome
where
    Answer: for<'py> IntoPyObject<'py> + Send + 'static,
{
    Box::new(move |py| answer?.into_py_any(py))
}

/// Rings when the task has ended, however it ended, so that nobody waits for a task that panicked.
struct Notice {
    inbox: Arc<Inbox>,
    number: u64,
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.inbox.push(self.number);
    }
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Hands the event loop a future to wait for, or ends with the answer.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let outcome = {
            let mut state = lock(&self.0);
            if let State::Running(running) = &mut *state {
                let arrived = lock(&running.slot).take();
                if arrived.is_none() && !running.is_awaited {
                    let future = running.port.get().wait_for(py, running.number)?;
                    running.is_awaited = true;
                    future.setattr(py, intern!(py, "_asyncio_future_blocking"), true)?;
                    return Ok(future);
                }
                if arrived.is_none() && !running.task.is_finished() {
                    return Err(PyRuntimeError::new_err(
                        "await wasn't used with a future of the event loop",
                    ));
                }
                let ended = std::mem::replace(&mut *state, State::Over);
                drop(state);
                ended.leave();
                arrived.unwrap_or_else(lost)
            } else {
                match std::mem::replace(&mut *state, State::Over) {
                    State::Answered(outcome) => outcome,
                    State::Running(_) | State::Over => {
                        return Err(PyRuntimeError::new_err("an operation can be awaited only once"));
                    }
                }
            }
        };
        // In a tuple, because the exception would unpack an answer that is one.
        Err(PyStopIteration::new_err((outcome(py)?,)))
    }
}

impl State {
    /// Ends the wait. A read that still runs is given up.
    fn leave(self) {
        if let Self::Running(running) = self {
            if !running.home.is_alive() {
                // The runtime stayed in the parent process or has ended; touching it here might wait for ever.
                std::mem::forget(running);
                return;
            }
            running.port.get().forget(running.number);
            if running.is_read {
                running.task.abort();
            }
        }
    }
}

/// A coroutine that is cancelled, closed or collected lets its operation go.
impl Drop for Operation {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Over);
        state.leave();
    }
}

/// The task ended without an answer.
fn lost() -> Outcome {
    outcome::<()>(Err(Refusal::own(
        codes::POSADA_INTERNAL,
        "the work behind this call did not finish".to_owned(),
    )))
}

fn lock<T: ?Sized>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
