//! To which request a call belongs: `posada.correlation` keeps it in a context variable, and it is read when the call
//! is made.

use std::future::Future;

use posada::correlation::Correlation;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::errors::Refusal;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Ids(Correlation);

#[pymethods]
impl Ids {
    #[new]
    #[pyo3(signature = (request_id, traceparent=None))]
    fn new(request_id: &str, traceparent: Option<&str>) -> Result<Self, Refusal> {
        let ids = Correlation::new(request_id)?;
        Ok(Self(match traceparent {
            Some(traceparent) => ids.traceparent(traceparent)?,
            None => ids,
        }))
    }

    #[getter]
    fn request_id(&self) -> &str {
        self.0.request_id()
    }

    #[getter]
    fn traceparent(&self) -> Option<&str> {
        self.0.get_traceparent()
    }
}

/// The request to which the caller belongs.
pub(crate) fn current(py: Python<'_>) -> PyResult<Option<Correlation>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = VARIABLE.get_or_try_init(py, || {
        let module = py.import("posada._correlation")?;
        Ok::<_, PyErr>(module.getattr("current")?.unbind())
    })?;
    let ids = variable.bind(py).call_method0(intern!(py, "get"))?;
    Ok(ids
        .extract::<Option<Bound<'_, Ids>>>()?
        .map(|ids| ids.get().0.clone()))
}

/// Work that belongs there.
pub(crate) async fn within<Work: Future>(ids: Option<Correlation>, work: Work) -> Work::Output {
    match ids {
        Some(ids) => ids.scope(work).await,
        None => work.await,
    }
}
