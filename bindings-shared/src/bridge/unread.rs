//! What was taken from a stream for a caller that did not get it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The answers of a stream that met a caller that had just gone away, because an answer and a cancellation can come in
/// the same turn of the event loop. They belong to the next caller. Clones are one.
pub struct Unread<T>(Arc<Inner<T>>);

struct Inner<T> {
    answers: Mutex<VecDeque<T>>,
    came_back: Notify,
}

/// An answer on its way to a caller. Dropped, it comes back and is the next caller's.
pub struct Delivery<T> {
    answer: Option<T>,
    unread: Unread<T>,
}

impl<T> Default for Unread<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Unread<T> {
    /// A stream whose answers were all read.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            answers: Mutex::default(),
            came_back: Notify::new(),
        }))
    }

    /// An answer that came back, or else the next one of the stream. `next` must be cancel-safe.
    ///
    /// # Errors
    /// That of the stream.
    pub async fn or_next<E>(&self, next: impl Future<Output = Result<T, E>>) -> Result<Delivery<T>, E> {
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

impl<T> Delivery<T> {
    /// Hands the answer over: now it is read. `None` if that was done before.
    pub fn read(mut self) -> Option<T> {
        self.answer.take()
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

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_was_not_read_is_the_next_callers() {
        let unread = Unread::new();
        let first = unread.or_next(async { Ok::<_, ()>(1) }).await.unwrap();
        drop(first);
        let never = std::future::pending::<Result<u32, ()>>;
        assert_eq!(unread.or_next(never()).await.unwrap().read(), Some(1));
        assert!(unread.or_next(never()).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_caller_that_waits_gets_what_comes_back() {
        let unread = Unread::new();
        let held = unread.or_next(async { Ok::<_, ()>(1) }).await.unwrap();
        let mut waiting = std::pin::pin!(unread.or_next(std::future::pending::<Result<u32, ()>>()));
        assert!(poll!(&mut waiting).is_pending());
        drop(held);
        assert_eq!(waiting.await.unwrap().read(), Some(1));
    }
}
