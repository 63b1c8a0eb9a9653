//! Callers that go away at any moment: each operation is dropped after its first poll, after its second, and so on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use posada::Posada;
use posada::locks::{AcquireOptions, Release};
use posada_tests::{servers, unique};

use crate::locks::on;

/// Long enough that a lock which is free sooner was given back, and did not end by itself.
const TTL: Duration = Duration::from_secs(20);

/// A future that is dropped after so many polls.
pub(crate) struct Dropped<F> {
    work: Option<Pin<Box<F>>>,
    polls: usize,
}

/// Drops this future after so many polls; answers what it came to, if it did.
pub(crate) fn dropped_after<F: Future>(polls: usize, work: F) -> Dropped<F> {
    Dropped {
        work: Some(Box::pin(work)),
        polls,
    }
}

impl<F: Future> Future for Dropped<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            self.work = None;
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let is_last = self.polls == 0;
        match self.work.as_mut().map(|work| work.as_mut().poll(context)) {
            Some(Poll::Ready(output)) => Poll::Ready(Some(output)),
            // The last poll has sent what it sends; nobody waits for the answer.
            Some(Poll::Pending) if is_last => {
                self.work = None;
                Poll::Ready(None)
            }
            _ => Poll::Pending,
        }
    }
}

async fn is_free_soon(posada: &Posada, name: &str) {
    let begun = Instant::now();
    let options = AcquireOptions::new().ttl(TTL).wait(TTL / 2);
    let guard = posada.locks().acquire(name, &options).await.unwrap();
    assert!(
        begun.elapsed() < TTL / 2,
        "{name} was free after {:?}",
        begun.elapsed()
    );
    assert_eq!(guard.release().await.unwrap(), Release::Released);
}

/// Drops an acquire of a free lock at each poll, up to the one that grants it.
async fn every_poll_of_an_acquire(posada: &Posada) {
    let options = AcquireOptions::new().ttl(TTL).wait(TTL);
    for polls in 0.. {
        let name = unique("cancelled");
        let outcome = dropped_after(polls, posada.locks().acquire(&name, &options)).await;
        let is_granted = outcome.is_some();
        drop(outcome);
        is_free_soon(posada, &name).await;
        if is_granted {
            return;
        }
    }
}

/// Drops a waiting acquire at each poll, around the moment at which the lock becomes free.
async fn every_poll_of_a_wait(posada: &Posada) {
    let options = AcquireOptions::new().ttl(TTL).wait(TTL);
    for polls in 0.. {
        let name = unique("waiting");
        let holder = posada.locks().acquire(&name, &options).await.unwrap();
        let release = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            holder.ensure_held().unwrap();
            assert_eq!(
                holder.release().await.unwrap(),
                Release::Released,
                "nobody else let it go"
            );
        };
        let waiting = dropped_after(polls, posada.locks().acquire(&name, &options));
        let (outcome, ()) = tokio::join!(waiting, release);
        let is_granted = outcome.is_some();
        drop(outcome);
        is_free_soon(posada, &name).await;
        if is_granted {
            return;
        }
    }
}

/// Drops an extension and a release at each poll.
async fn every_poll_of_a_guard(posada: &Posada) {
    let options = AcquireOptions::new().ttl(TTL).wait(TTL);
    for polls in 0.. {
        let name = unique("guarded");
        let guard = posada.locks().acquire(&name, &options).await.unwrap();
        let extended = dropped_after(polls, guard.extend(TTL * 2)).await;
        guard.ensure_held().unwrap();
        let released = dropped_after(polls, guard.release()).await;
        is_free_soon(posada, &name).await;
        if extended.is_some() && released.is_some() {
            return;
        }
    }
}

async fn suite(posada: &Posada) {
    every_poll_of_an_acquire(posada).await;
    every_poll_of_a_wait(posada).await;
    every_poll_of_a_guard(posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_caller_in_memory_may_go_away_at_any_poll() {
    suite(&Posada::embedded()).await;
}

#[tokio::test]
async fn a_caller_of_redis_may_go_away_at_any_poll() {
    suite(&on(servers::redis().url())).await;
}
