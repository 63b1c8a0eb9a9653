//! Services of the crate inside Python objects.

use std::future::Future;

use pyo3::prelude::*;

use super::operation::{Manner, Operation, start};
use super::runtime::Home;
use crate::errors::Refusal;

/// A value of the crate that belongs to the process which made it.
///
/// In a forked child it is neither used nor taken apart: its threads, sockets and locks are the parent's.
pub(crate) struct ProcessBound<T> {
    value: Option<T>,
    home: Home,
}

impl<T> ProcessBound<T> {
    pub(crate) fn new(value: T, home: Home) -> Self {
        Self {
            value: Some(value),
            home,
        }
    }

    /// The value, if this is still its process.
    ///
    /// # Errors
    /// `posada.closed` otherwise.
    pub(crate) fn get(&self) -> Result<&T, Refusal> {
        self.home.handle()?;
        self.value.as_ref().ok_or_else(|| {
            Refusal::own(
                posada::error::codes::POSADA_CLOSED,
                "this handle was closed".to_owned(),
            )
        })
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}

impl<T: Clone> ProcessBound<T> {
    /// Starts a call that is aborted when Python cancels.
    pub(crate) fn read<Answer, Work>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        self.start(py, Manner::Read, work)
    }

    /// Starts a call that ends although Python cancels.
    pub(crate) fn finish<Answer, Work>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        self.start(py, Manner::Finish, work)
    }

    /// Starts a call in the manner that it needs.
    pub(crate) fn start<Answer, Work>(
        &self,
        py: Python<'_>,
        manner: Manner,
        work: impl FnOnce(T) -> Work,
    ) -> PyResult<Operation>
    where
        Answer: for<'py> IntoPyObject<'py> + Send + 'static,
        Work: Future<Output = Result<Answer, Refusal>> + Send + 'static,
    {
        start(py, &self.home, manner, work(self.get()?.clone()))
    }
}

impl<T> Drop for ProcessBound<T> {
    fn drop(&mut self) {
        if !self.home.is_alive() {
            std::mem::forget(self.value.take());
        }
    }
}
