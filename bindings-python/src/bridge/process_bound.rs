//! Services of the crate inside Python objects.

use std::future::Future;

use posada_bindings::bridge::{ProcessBound as Bound, RuntimeHandle};
use pyo3::prelude::*;

use super::operation::{Operation, start, start_in_task};
use crate::errors::Refusal;

/// A value of the crate that belongs to the process which made it; see [`posada_bindings::bridge::ProcessBound`].
pub(crate) struct ProcessBound<T>(Bound<T>);

impl<T> ProcessBound<T> {
    pub(crate) fn new(value: T, runtime: RuntimeHandle) -> Self {
        Self(Bound::new(value, runtime))
    }

    /// The value, if this is still its process.
    ///
    /// # Errors
    /// `posada.closed` otherwise.
    pub(crate) fn get(&self) -> Result<&T, Refusal> {
        Ok(self.0.get()?)
    }

    pub(crate) fn runtime(&self) -> &RuntimeHandle {
        self.0.runtime()
    }
}

impl<T: Clone> ProcessBound<T> {
    /// Starts a call whose work is dropped when Python cancels: a read, or what the crate itself ends all the same
    /// (*detached* in its documentation).
    pub(crate) fn call<Answer, Work>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        start(py, self.runtime(), work(self.get()?.clone()))
    }

    /// Starts a call that ends although Python cancels: a write that the crate does not detach by itself.
    pub(crate) fn finish<Answer, Work>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        let work = work(self.get()?.clone());
        let runtime = self.runtime().handle().map_err(Refusal::from)?;
        start(py, self.runtime(), posada::bridge::to_the_end(runtime, work))
    }

    /// As [`finish`](Self::finish), for a first step that takes so long that it must not be taken on the event loop's
    /// thread.
    pub(crate) fn finish_in_task<Answer, Work>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        let work = work(self.get()?.clone());
        let runtime = self.runtime().handle().map_err(Refusal::from)?;
        start_in_task(py, self.runtime(), posada::bridge::to_the_end(runtime, work))
    }
}
