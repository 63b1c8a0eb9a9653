//! One port per event loop: the futures that Python waits for, and the callback that wakes them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::inbox::Inbox;

thread_local! {
    /// The port of the loop that last ran in this thread: nearly always the one that is wanted next.
    static LATEST: RefCell<Option<(Py<PyWeakrefReference>, Py<Port>)>> = const { RefCell::new(None) };
}

/// Where the answers for one event loop arrive. The loop holds it through the callback that it watches; it holds the
/// loop by a weak reference only, so both go together.
#[pyclass(frozen, module = "posada._native", weakref)]
pub(crate) struct Port {
    inbox: Arc<Inbox>,
    /// The futures that tasks wait for, by operation. Touched on the loop's thread only, and by the collector.
    waiting: Mutex<HashMap<u64, Py<PyAny>>>,
    next: AtomicU64,
    event_loop: Py<PyWeakrefReference>,
}

impl Port {
    /// The port of the running event loop, made and registered on first use.
    pub(super) fn current(py: Python<'_>) -> PyResult<Py<Self>> {
        static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let running = RUNNING.import(py, "asyncio", "get_running_loop")?.call0()?;
        LATEST.with_borrow_mut(|latest| {
            if let Some((event_loop, port)) = latest
                && event_loop
                    .bind(py)
                    .upgrade()
                    .is_some_and(|known| known.is(&running))
            {
                return Ok(port.clone_ref(py));
            }
            let port = Self::of(&running)?;
            *latest = Some((port.get().event_loop.clone_ref(py), port.clone_ref(py)));
            Ok(port)
        })
    }

    /// The port that the package keeps for this loop, or a new one.
    fn of(running: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        static PORTS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = running.py();
        let ports = PORTS.import(py, "posada._ports", "ports")?;
        if let Ok(known) = ports.get_item(running) {
            return Ok(known.cast_into::<Self>()?.unbind());
        }
        let port = Bound::new(
            py,
            Self {
                inbox: Arc::new(Inbox::new()?),
                waiting: Mutex::new(HashMap::new()),
                next: AtomicU64::new(0),
                event_loop: PyWeakrefReference::new(running)?.unbind(),
            },
        )?;
        watch(running, &port)?;
        ports.set_item(running, &port)?;
        Ok(port.unbind())
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A future of the loop that completes when the operation has finished.
    pub(super) fn wait_for(&self, py: Python<'_>, operation: u64) -> PyResult<Py<PyAny>> {
        let Some(event_loop) = self.event_loop.bind(py).upgrade() else {
            return Err(pyo3::exceptions::PyRuntimeError::new_err(
                "the event loop is gone",
            ));
        };
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        self.waiting().insert(operation, future.clone().unbind());
        Ok(future.unbind())
    }

    /// Nobody waits for the operation any more.
    pub(super) fn forget(&self, operation: u64) {
        let future = self.waiting().remove(&operation);
        // Outside the lock: what Python does when an object goes is not known.
        drop(future);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Py<PyAny>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Port {
    /// Wakes whoever waits for what has finished. Called by the event loop, on its thread.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        for operation in self.inbox.take() {
            let future = self.waiting().remove(&operation);
            let Some(future) = future else { continue };
            let future = future.bind(py);
            // A cancelled future is done already; its task will see the cancellation.
            if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }

    /// Waits for the bell outside the interpreter's lock, at most `seconds`; says whether it rings.
    fn wait(&self, py: Python<'_>, seconds: f64) -> bool {
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        py.detach(|| self.inbox.wait(limit))
    }

    /// How many futures wait: for tests.
    #[getter(waiting)]
    fn count(&self) -> usize {
        self.waiting().len()
    }
}

/// Has the loop call `drain` whenever the bell rings.
fn watch(running: &Bound<'_, PyAny>, port: &Bound<'_, Port>) -> PyResult<()> {
    let py = running.py();
    #[cfg(unix)]
    {
        let drain = port.getattr(intern!(py, "drain"))?;
        let descriptor = port.get().inbox.descriptor();
        match running.call_method1(intern!(py, "add_reader"), (descriptor, drain)) {
            Ok(_) => return Ok(()),
            Err(refusal) if refusal.is_instance_of::<PyNotImplementedError>(py) => {}
            Err(other) => return Err(other),
        }
    }
    py.import("posada._ports")?
        .call_method1("relay", (running, port))?;
    Ok(())
}
