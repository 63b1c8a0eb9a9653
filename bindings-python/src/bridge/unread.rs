//! Answers of a stream that Python did not take.

use std::future::Future;

use posada_bindings::bridge::{Delivery as SharedDelivery, Unread as SharedUnread};
use pyo3::prelude::*;

/// The answers of a stream that met a caller that had just gone away; see [`posada_bindings::bridge::Unread`].
pub(crate) struct Unread<T>(SharedUnread<T>);

/// An answer on its way to Python.
pub(crate) struct Delivery<T>(SharedDelivery<T>);

impl<T> Unread<T> {
    pub(crate) fn new() -> Self {
        Self(SharedUnread::new())
    }

    /// An answer that came back, or else the next one of the stream. `next` must be cancel-safe.
    pub(crate) async fn or_next<E>(
        &self,
        next: impl Future<Output = Result<T, E>>,
    ) -> Result<Delivery<T>, E> {
        self.0.or_next(next).await.map(Delivery)
    }
}

impl<T> Clone for Unread<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Delivery<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.0.read().into_pyobject(py).map_err(Into::into)?.into_any())
    }
}
