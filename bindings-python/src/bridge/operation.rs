//! What Python awaits.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use posada::error::codes;
use posada_bindings::bridge::{Call, FirstStep, Progress, RuntimeHandle, Work, ending};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::loop_bridge::{LoopBridge, Outcome, Waiter, running};
use crate::errors::Refusal;

/// A call on its way. Await it once, in the event loop in which it was made.
///
/// To the task that awaits it, it is a future of asyncio: the task leaves its callback here, and the
/// [`LoopBridge`] calls it. No other future is made, and no turn of the loop is spent on waking the task.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Operation {
    state: Mutex<State>,
    /// By this a task tells a future that is awaited from an object that is yielded by mistake.
    is_blocking: AtomicBool,
}

enum State {
    /// It was answered at once.
    Answered(Outcome),
    Running(Running),
    /// The wait was cancelled, with this message.
    Cancelled(Option<Py<PyAny>>),
    Over,
}

/// A call that a task waits for.
struct Running {
    runtime: RuntimeHandle,
    loop_bridge: Py<LoopBridge>,
    number: u64,
    call: Arc<Call<Outcome>>,
    /// Whether a task was told to wait.
    is_asked: bool,
}

/// Starts a call: takes its first step here, and hands the rest to the event loop that runs. When the wait is cancelled,
/// the work is dropped; see [`posada::bridge::to_the_end`] for what must end all the same.
pub(crate) fn start<Answer>(
    py: Python<'_>,
    runtime: &RuntimeHandle,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> PyResult<Operation>
where
    Answer: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let (handle, running) = (runtime.handle().map_err(Refusal::from)?, running(py)?);
    // Not an `async` block: that would hold the work twice, once for before it begins.
    let work: Work<Outcome> = Box::pin(work.map(outcome));
    let known = LoopBridge::known(&running);
    let first_step = match &known {
        Some(known) => known.get().state().begin(handle, work),
        // A bridge is made when there is something to wait for: what memory answers needs none.
        None => Call::begin(handle, work),
    };
    let (call, work) = match first_step {
        FirstStep::Ended(answer) => return Ok(Operation::new(State::Answered(answer))),
        FirstStep::Unfinished(call, work) => (call, work),
        FirstStep::Panicked(_) if !runtime.is_alive() => return Err(Refusal::from(ending()).into()),
        FirstStep::Panicked(panic) => std::panic::resume_unwind(panic),
    };
    let bridge = match known {
        Some(known) => known,
        None => bridge(runtime, &running)?,
    };
    let receipt = bridge.get().state().receipt();
    let number = receipt.number;
    call.continue_with(work, Some(receipt));
    Operation::running(py, runtime, bridge, number, call)
}

/// Starts a call all of which is done by a task: for a first step that takes long.
pub(crate) fn start_in_task<Answer>(
    py: Python<'_>,
    runtime: &RuntimeHandle,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> PyResult<Operation>
where
    Answer: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let (handle, running) = (runtime.handle().map_err(Refusal::from)?, running(py)?);
    let bridge = bridge(runtime, &running)?;
    let receipt = bridge.get().state().receipt();
    let number = receipt.number;
    let call = Call::spawned(handle, Box::pin(work.map(outcome)), receipt);
    Operation::running(py, runtime, bridge, number, call)
}

/// The bridge of the running event loop, whose gathered commands are sent in time from now on.
fn bridge(runtime: &RuntimeHandle, running: &Bound<'_, PyAny>) -> PyResult<Py<LoopBridge>> {
    let bridge = LoopBridge::current(running)?;
    runtime.watch(bridge.get().state().completions());
    Ok(bridge)
}

fn outcome<Answer>(answer: Result<Answer, Refusal>) -> Outcome
where
    Answer: for<'py> IntoPyObject<'py> + Send + 'static,
{
    Box::new(move |py| answer?.into_py_any(py))
}

impl Operation {
    fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            is_blocking: AtomicBool::new(false),
        }
    }

    fn running(
        py: Python<'_>,
        runtime: &RuntimeHandle,
        loop_bridge: Py<LoopBridge>,
        number: u64,
        call: Arc<Call<Outcome>>,
    ) -> PyResult<Self> {
        runtime.keep_alive();
        LoopBridge::begun(loop_bridge.bind(py))?;
        Ok(Self::new(State::Running(Running {
            runtime: runtime.clone(),
            loop_bridge,
            number,
            call,
            is_asked: false,
        })))
    }

    /// The answer if there is one, the end of the wait in any case.
    fn finish(&self, py: Python<'_>, answer: Option<Outcome>) -> PyErr {
        let ended = std::mem::replace(&mut *lock(&self.state), State::Over);
        let is_ending = matches!(&ended, State::Running(running) if !running.runtime.is_alive());
        ended.leave();
        match answer.unwrap_or_else(lost)(py) {
            // In a tuple, because the exception would unpack an answer that is one.
            Ok(answer) => PyStopIteration::new_err((answer,)),
            // The work lost its threads and sockets, and how it noticed says nothing.
            Err(_) if is_ending => Refusal::from(ending()).into(),
            Err(error) => error,
        }
    }

    /// Ends the wait with an exception that its task is about to see. A read is given up now, not when this object is
    /// collected, which a traceback may put off.
    fn give_up(&self) {
        let left = std::mem::replace(&mut *lock(&self.state), State::Over);
        left.leave();
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

    /// Ends with the answer, or hands the task something to wait for: itself.
    fn __next__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, this) = (slf.py(), slf.get());
        let mut state = lock(&this.state);
        let answer = match &mut *state {
            State::Running(running) => match running.call.take() {
                Progress::Ended(answer) => Some(answer),
                Progress::Lost => None,
                Progress::Pending if !running.is_asked => {
                    running.is_asked = true;
                    this.is_blocking.store(true, Ordering::Relaxed);
                    drop(state);
                    return Ok(slf);
                }
                Progress::Pending => {
                    return Err(PyRuntimeError::new_err(
                        "await wasn't used with a future of the event loop",
                    ));
                }
            },
            State::Answered(_) => match std::mem::replace(&mut *state, State::Over) {
                State::Answered(answer) => Some(answer),
                State::Running(_) | State::Cancelled(_) | State::Over => None,
            },
            State::Cancelled(message) => return Err(cancelled(py, message.take())?),
            State::Over => {
                return Err(PyRuntimeError::new_err("an operation can be awaited only once"));
            }
        };
        drop(state);
        Err(this.finish(py, answer))
    }

    /// An exception is thrown into the await.
    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.give_up();
        let error = match value {
            _ if kind.is_instance_of::<PyBaseException>() => kind.clone(),
            Some(value) if value.is_instance_of::<PyBaseException>() => value,
            Some(value) if !value.is_none() => kind.call1((value,))?,
            _ => kind.call0()?,
        };
        if let Some(traceback) = traceback {
            error.setattr("__traceback__", traceback)?;
        }
        Err(PyErr::from_value(error))
    }

    /// The coroutine that awaits it is closed.
    fn close(&self) {
        self.give_up();
    }

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.is_blocking.load(Ordering::Relaxed)
    }

    #[setter]
    #[pyo3(name = "_asyncio_future_blocking")]
    fn set_blocking(&self, is_blocking: bool) {
        self.is_blocking.store(is_blocking, Ordering::Relaxed);
    }

    /// The event loop whose tasks may wait for it.
    fn get_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &*lock(&self.state) {
            State::Running(running) => running.loop_bridge.get().event_loop(py),
            State::Answered(_) | State::Cancelled(_) | State::Over => Err(not_waiting()),
        }
    }

    /// Has `callback` called in `context` when the wait is over. Tasks call this.
    #[pyo3(signature = (callback, /, *, context=None))]
    fn add_done_callback(
        slf: Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let state = lock(&slf.get().state);
        let State::Running(running) = &*state else {
            return Err(not_waiting());
        };
        let (loop_bridge, number, has_ended) = (
            running.loop_bridge.clone_ref(py),
            running.number,
            running.call.has_ended(),
        );
        drop(state);
        let waiter = Waiter::new(slf.clone().into_any().unbind(), callback, context);
        if has_ended {
            // It may have been looked for already.
            return loop_bridge.get().wake_soon(py, waiter);
        }
        if loop_bridge.get().state().wait_for(number, waiter) {
            Ok(())
        } else {
            Err(PyRuntimeError::new_err(
                "another task awaits this operation already",
            ))
        }
    }

    /// Ends the wait: a read is given up, anything else ends without us. Tasks call this when they are cancelled.
    #[pyo3(signature = (msg=None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let mut state = lock(&self.state);
        let State::Running(running) = &*state else {
            return Ok(false);
        };
        // A task that was woken already is thrown the cancellation in its next step.
        let Some(waiter) = running.loop_bridge.get().state().forget(running.number) else {
            return Ok(false);
        };
        let loop_bridge = running.loop_bridge.clone_ref(py);
        let left = std::mem::replace(&mut *state, State::Cancelled(msg));
        drop(state);
        left.leave();
        loop_bridge.get().wake_soon(py, waiter)?;
        Ok(true)
    }

    /// Whether the wait was cancelled: raises then. The answer comes out of the `await`.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        match &mut *lock(&self.state) {
            State::Cancelled(message) => Err(cancelled(py, message.take())?),
            _ => Ok(()),
        }
    }

    /// Tasks that can not be woken any more are collected with what they wait for.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The holder of the lock keeps this object alive.
        let Ok(state) = self.state.try_lock() else {
            return Ok(());
        };
        match &*state {
            State::Running(running) => visit.call(&running.loop_bridge),
            State::Cancelled(message) => visit.call(message),
            State::Answered(_) | State::Over => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.give_up();
    }
}

/// The error of a wait that was cancelled.
fn cancelled(py: Python<'_>, message: Option<Py<PyAny>>) -> PyResult<PyErr> {
    static CANCELLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let kind = CANCELLED.import(py, "asyncio", "CancelledError")?;
    Ok(PyErr::from_value(match message {
        Some(message) => kind.call1((message,))?,
        None => kind.call0()?,
    }))
}

fn not_waiting() -> PyErr {
    PyRuntimeError::new_err("this operation is not waiting for an answer")
}

impl State {
    /// Ends the wait. A read that still runs is given up.
    fn leave(self) {
        if let Self::Running(running) = self {
            if !running.runtime.is_alive() {
                // The runtime stayed in the parent process or has ended; touching it here might wait for ever.
                std::mem::forget(running);
                return;
            }
            running.call.cancel();
            // Outside of all locks: what Python does when an object goes is not known.
            drop(running.loop_bridge.get().state().forget(running.number));
        }
    }
}

/// A coroutine that is cancelled, closed or collected lets its operation go.
impl Drop for Operation {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(&self.state), State::Over);
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
