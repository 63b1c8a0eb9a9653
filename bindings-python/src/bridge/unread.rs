//! What was taken from a stream for somebody who did not get it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use tokio::sync::Notify;

/// The answers of a stream that met a caller who had just gone away, because an answer and a cancellation can come in
/// the same turn of the event loop. They belong to whoever asks next. Clones are one.
pub(crate) struct Unread<T>(Arc<Inner<T>>);

struct Inner<T> {
    answers: Mutex<VecDeque<T>>,
    came_back: Notify,
}

/// An answer on its way to Python.
pub(crate) struct Delivery<T> {
    answer: Option<T>,
    unread: Unread<T>,
}

impl<T> Unread<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            answers: Mutex::default(),
            came_back: Notify::new(),
        }))
    }

    /// An answer that came back, or else the next one of the stream. `next` must be cancel-safe.
    ///
    /// # Errors
    /// That of the stream.
    pub(crate) async fn or_next<E>(
        &self,
        next: impl Future<Output = Result<T, E>>,
    ) -> Result<Delivery<T>, E> {
        let answer = tokio::select! {
            biased;
            answer = self.again() => answer,
            answer = next => answer?,
        };
        Ok(Delivery {
            answer: Some(answer),
            unread: self.clone(),
        })
    }

    async fn again(&self) -> T {
        loop {
            let (first, is_more) = {
                let mut answers = self.answers();
                (answers.pop_front(), !answers.is_empty())
            };
            if is_more {
                self.0.came_back.notify_one();
            }
            match first {
                Some(answer) => return answer,
                None => self.0.came_back.notified().await,
            }
        }
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Unread<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.unread.answers().push_front(answer);
            self.unread.0.came_back.notify_one();
        }
    }
}

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Delivery<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self
            .answer
            .take()
            .into_pyobject(py)
            .map_err(Into::into)?
            .into_any())
    }
}
