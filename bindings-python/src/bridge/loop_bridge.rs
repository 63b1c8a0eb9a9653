//! The bridge of one event loop: the tasks that wait for operations, and the callback that wakes them.

use std::cell::RefCell;
use std::time::Duration;

use posada_bindings::bridge::{LoopState, Sending};

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyWeakrefMethods, PyWeakrefReference};

/// An answer that has crossed: plain data of Rust and how to make a Python object of it, on the loop's thread.
pub(super) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

thread_local! {
    /// The loop that last ran in this thread and its bridge: nearly always the one that is needed next. Neither is kept
    /// alive by it.
    static LATEST: RefCell<Option<[Py<PyWeakrefReference>; 2]>> = const { RefCell::new(None) };
}

/// Receives the answers for one event loop. The loop holds it through the callback that it watches; it holds the
/// loop by a weak reference only, so both go together.
#[pyclass(frozen, module = "posada._native", weakref)]
pub(crate) struct LoopBridge {
    state: LoopState<Outcome, Waiter>,
    event_loop: Py<PyWeakrefReference>,
}

/// A task that waits for an operation, in asyncio's words: what to call, with what, and in which context.
pub(super) struct Waiter {
    operation: Py<PyAny>,
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

impl LoopBridge {
    /// The bridge of the running event loop, made and registered on first use.
    pub(super) fn current(running: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let py = running.py();
        if let Some(loop_bridge) = Self::known(running) {
            return Ok(loop_bridge);
        }
        let loop_bridge = Self::of(running)?;
        let weak = PyWeakrefReference::new(loop_bridge.bind(py))?.unbind();
        LATEST.replace(Some([loop_bridge.get().event_loop.clone_ref(py), weak]));
        Ok(loop_bridge)
    }

    /// The bridge of the running event loop, if it was the latest to need one in this thread.
    pub(super) fn known(running: &Bound<'_, PyAny>) -> Option<Py<Self>> {
        let py = running.py();
        LATEST.with_borrow(|latest| {
            let [event_loop, loop_bridge] = latest.as_ref()?;
            if !event_loop.bind(py).upgrade()?.is(running) {
                return None;
            }
            Some(loop_bridge.bind(py).upgrade()?.cast_into::<Self>().ok()?.unbind())
        })
    }

    /// The bridge that the package keeps for this loop, or a new one.
    fn of(running: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        static LOOP_BRIDGES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = running.py();
        let loop_bridges = LOOP_BRIDGES.import(py, "posada._loop_bridges", "loop_bridges")?;
        let known = loop_bridges.call_method1(intern!(py, "get"), (running,))?;
        if !known.is_none() {
            return Ok(known.cast_into::<Self>()?.unbind());
        }
        let loop_bridge = Bound::new(
            py,
            Self {
                state: LoopState::new()?,
                event_loop: PyWeakrefReference::new(running)?.unbind(),
            },
        )?;
        loop_bridges.call_method1(intern!(py, "add"), (running, &loop_bridge))?;
        watch(running, &loop_bridge)?;
        Ok(loop_bridge.unbind())
    }

    pub(super) fn state(&self) -> &LoopState<Outcome, Waiter> {
        &self.state
    }

    /// A call has taken its first step. Sends what the loop has gathered if that is enough, and otherwise has the loop
    /// send it, so that what many tasks ask in one turn goes out in a few batches.
    pub(super) fn begun(this: &Bound<'_, Self>) -> PyResult<()> {
        Self::arrange(this, this.get().state.begun())
    }

    fn arrange(this: &Bound<'_, Self>, sending: Option<Sending>) -> PyResult<()> {
        match sending {
            Some(Sending::Now) => this.get().state.completions().send(),
            Some(Sending::NextTurn) => {
                let py = this.py();
                let (event_loop, send) = (this.get().event_loop(py)?, this.getattr(intern!(py, "send"))?);
                event_loop.call_method1(intern!(py, "call_soon"), (send,))?;
            }
            Some(Sending::Arranged) | None => {}
        }
        Ok(())
    }

    /// The loop, as long as it is there.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop
            .bind(py)
            .upgrade()
            .ok_or_else(|| PyRuntimeError::new_err("the event loop is gone"))
    }

    /// Has the loop wake a task in its next turn.
    pub(super) fn wake_soon(&self, py: Python<'_>, waiter: Waiter) -> PyResult<()> {
        let event_loop = self.event_loop(py)?;
        let arguments = (waiter.callback, waiter.operation);
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), waiter.context)?;
        event_loop.call_method(intern!(py, "call_soon"), arguments, Some(&options))?;
        Ok(())
    }
}

impl Waiter {
    pub(super) fn new(operation: Py<PyAny>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> Self {
        Self {
            operation,
            callback,
            context,
        }
    }
}

#[pymethods]
impl LoopBridge {
    /// Wakes the tasks that wait for what has finished. Called by the event loop, on its thread.
    ///
    /// No task goes on in here. One that is woken may run a loop inside the loop, as `nest_asyncio` allows, and that one must
    /// be able to call this again, which it cannot while this runs: a callback of a loop has one context, and a context
    /// is entered once.
    fn drain(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        for waiter in this.state.turn() {
            this.wake_soon(py, waiter)?;
        }
        // Behind all that are woken, which will ask more.
        Self::arrange(slf, this.state.turned())
    }

    /// Sends what the loop has gathered. Called by the event loop, on its thread.
    fn send(&self) {
        self.state.send();
    }

    /// Waits outside the interpreter's lock until there is something to drain, at most `seconds`; returns whether there
    /// is.
    fn wait(&self, py: Python<'_>, seconds: f64) -> bool {
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| self.state.completions().wait(limit))
    }

    /// Lets the tasks go that wait, because the loop was closed and calls nothing any more.
    fn abandon(&self) {
        // Outside of the lock: a waiter that is dropped may drop an operation, which takes the lock, too.
        drop(self.state.forget_all());
    }

    /// Tasks that can not be woken any more are collected with what they wait for.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The holder of the lock keeps this object alive.
        let Some(waiting) = self.state.try_waiting() else {
            return Ok(());
        };
        for waiter in waiting.values() {
            visit.call(&waiter.operation)?;
            visit.call(&waiter.callback)?;
            visit.call(&waiter.context)?;
        }
        visit.call(&self.event_loop)
    }

    fn __clear__(&self) {
        self.abandon();
    }

    /// How many operations are waited for: for tests.
    #[getter(waiting)]
    fn count(&self) -> usize {
        self.state.waiting_count()
    }

    /// How many operations have finished since the loop last looked: for tests.
    #[getter]
    fn finished(&self) -> usize {
        self.state.completions().finished()
    }

    /// How often a thread of the runtime has woken the loop: for tests.
    #[getter]
    fn wakeups(&self) -> u64 {
        self.state.completions().wakeups()
    }
}

/// The running event loop.
///
/// # Errors
/// `RuntimeError` when there is none, which says what is missing.
pub(super) fn running(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.import(py, "asyncio", "get_running_loop")?.call0();
    running.map_err(|cause| {
        let error = PyRuntimeError::new_err(
            "posada needs asyncio: no event loop of asyncio is running in this thread (trio's does not count; under \
             trio, run what calls posada with trio-asyncio, or run the program with asyncio)",
        );
        error.set_cause(py, Some(cause));
        error
    })
}

/// Has the loop call `drain` whenever it is woken.
fn watch(running: &Bound<'_, PyAny>, loop_bridge: &Bound<'_, LoopBridge>) -> PyResult<()> {
    let py = running.py();
    #[cfg(unix)]
    {
        let drain = loop_bridge.getattr(intern!(py, "drain"))?;
        let descriptor = loop_bridge.get().state.completions().descriptor();
        match running.call_method1(intern!(py, "add_reader"), (descriptor, drain)) {
            Ok(_) => return Ok(()),
            Err(refusal) if refusal.is_instance_of::<PyNotImplementedError>(py) => {}
            Err(other) => return Err(other),
        }
    }
    py.import("posada._loop_bridges")?
        .call_method1("relay", (running, loop_bridge))?;
    Ok(())
}
