//! The handles that are open, for the end of the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use posada::Posada;
use tokio::runtime::Runtime;

/// What was opened and not closed.
static OPEN: Mutex<BTreeMap<u64, Posada>> = Mutex::new(BTreeMap::new());

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The number of a handle that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OpenHandle(u64);

impl OpenHandle {
    /// Notes a handle: [`close_all`] closes it unless it is [forgotten](Self::forget) before.
    pub fn note(posada: &Posada) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        open().insert(number, posada.clone());
        Self(number)
    }

    /// Forgets the handle, because it was closed or dropped.
    #[must_use = "in a forked child it must not be dropped"]
    pub fn forget(self) -> Option<Posada> {
        open().remove(&self.0)
    }
}

/// Closes what was not closed, within `deadline`: writes in progress end, and the audit is flushed. At exit.
pub fn close_all(runtime: &Runtime, deadline: Duration) {
    let left = std::mem::take(&mut *open());
    if left.is_empty() {
        return;
    }
    let closing = left
        .values()
        // What could not end within its deadline ends with the process.
        .map(|posada| async { drop(posada.close().await) });
    let all = join_all(closing);
    runtime.block_on(async { drop(tokio::time::timeout(deadline, all).await) });
}

/// Leaves the parent's handles alone in a forked child.
pub(super) fn leak_all() {
    std::mem::forget(std::mem::take(&mut *open()));
}

fn open() -> MutexGuard<'static, BTreeMap<u64, Posada>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
