//! Nights that are held.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use posada::locks::{Hold as CoreHold, HoldState};
use posada::pms::HoldProof;
use pyo3::prelude::*;
use tokio::sync::RwLock;

use crate::arguments::{Nights, Span, dates};
use crate::bridge::{Operation, ProcessBound, RuntimeHandle};

/// A hold that was granted, on its way to Python.
pub(crate) struct Granted {
    hold: CoreHold,
    runtime: RuntimeHandle,
}

impl Granted {
    pub(super) fn new(hold: CoreHold, runtime: RuntimeHandle) -> Self {
        Self { hold, runtime }
    }
}

/// Nights that are held for a guest. Dropping it does not release them.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Hold(ProcessBound<Arc<RwLock<CoreHold>>>);

impl<'py> IntoPyObject<'py> for Granted {
    type Target = Hold;
    type Output = Bound<'py, Hold>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, Hold>> {
        Bound::new(
            py,
            Hold(ProcessBound::new(Arc::new(RwLock::new(self.hold)), self.runtime)),
        )
    }
}

/// (id, stay, quantity, session_id, user_id, fence, acquired_at, expires_at, extensions)
pub(crate) type Stated = (
    String,
    (NaiveDate, NaiveDate),
    u32,
    Option<String>,
    Option<String>,
    u64,
    DateTime<Utc>,
    DateTime<Utc>,
    u32,
);

pub(super) fn stated(state: HoldState) -> Stated {
    let HoldState {
        id,
        stay,
        quantity,
        session_id,
        user_id,
        fence,
        acquired_at,
        expires_at,
        extensions,
        ..
    } = state;
    (
        id,
        dates(stay),
        quantity,
        session_id,
        user_id,
        fence,
        acquired_at,
        expires_at,
        extensions,
    )
}

impl Hold {
    /// Looks at the hold. It waits, outside the interpreter's lock, only while the hold is being moved.
    fn look<T: Send>(&self, py: Python<'_>, at: impl FnOnce(&CoreHold) -> T + Send) -> PyResult<T> {
        let hold = self.0.get()?;
        if let Ok(hold) = hold.try_read() {
            return Ok(at(&hold));
        }
        Ok(py.detach(|| at(&hold.blocking_read())))
    }

    /// What a booking needs of it.
    pub(crate) fn proof(&self, py: Python<'_>) -> PyResult<HoldProof> {
        self.look(py, |hold| HoldProof::from(hold))
    }
}

#[pymethods]
impl Hold {
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        self.look(py, |hold| hold.id().to_owned())
    }

    #[getter]
    fn token(&self, py: Python<'_>) -> PyResult<String> {
        self.look(py, |hold| hold.token().to_owned())
    }

    #[getter]
    fn fence(&self, py: Python<'_>) -> PyResult<u64> {
        self.look(py, CoreHold::fence)
    }

    #[getter]
    fn resource(&self, py: Python<'_>) -> PyResult<String> {
        self.look(py, |hold| hold.resource().to_string())
    }

    #[getter]
    fn tenant(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.look(py, |hold| hold.tenant().map(ToString::to_string))
    }

    #[getter]
    fn stay(&self, py: Python<'_>) -> PyResult<(NaiveDate, NaiveDate)> {
        self.look(py, |hold| dates(hold.stay()))
    }

    #[getter]
    fn audit_key(&self, py: Python<'_>) -> PyResult<String> {
        self.look(py, CoreHold::audit_key)
    }

    #[getter]
    fn quantity(&self, py: Python<'_>) -> PyResult<u32> {
        self.look(py, CoreHold::quantity)
    }

    #[getter]
    fn session_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.look(py, |hold| hold.session_id().map(str::to_owned))
    }

    #[getter]
    fn ticket(&self, py: Python<'_>) -> PyResult<String> {
        self.look(py, CoreHold::ticket)
    }

    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<DateTime<Utc>> {
        self.look(py, CoreHold::expires_at)
    }

    #[getter]
    fn extensions(&self, py: Python<'_>) -> PyResult<u32> {
        self.look(py, CoreHold::extensions)
    }

    fn remaining(&self, py: Python<'_>) -> PyResult<Duration> {
        self.look(py, CoreHold::remaining)
    }

    #[pyo3(signature = (extra=None))]
    fn extend(&self, py: Python<'_>, extra: Option<Span>) -> PyResult<Operation> {
        let extra = extra.map(|extra| extra.0);
        self.0.finish(py, async move |hold: Arc<RwLock<CoreHold>>| {
            Ok(hold.read().await.extend(extra).await?)
        })
    }

    fn move_to(&self, py: Python<'_>, stay: Nights, capacity: u32) -> PyResult<Operation> {
        self.0.finish(py, async move |hold: Arc<RwLock<CoreHold>>| {
            Ok(hold.write().await.move_to(stay.0, capacity).await?)
        })
    }

    fn confirm(&self, py: Python<'_>, at_least: Span) -> PyResult<Operation> {
        self.0.finish(py, async move |hold: Arc<RwLock<CoreHold>>| {
            Ok(hold.read().await.confirm(at_least.0).await?)
        })
    }

    fn release(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.finish(py, async |hold: Arc<RwLock<CoreHold>>| {
            Ok(hold.read().await.release().await?.as_str())
        })
    }
}
