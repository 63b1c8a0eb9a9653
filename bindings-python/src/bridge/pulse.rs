//! A timer that is always due soon, for as long as calls are made.
//!
//! Setting a timer that is due before all others wakes the thread that watches the sockets, only to let it wait again
//! until then. Nearly every call would do that with its deadline, and is answered long before. Beside a timer that is
//! due sooner than any deadline, setting one costs no wake-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// Sooner than deadlines are.
const BEAT: Duration = Duration::from_millis(100);
/// So many beats after the last call it stops, and a process that does nothing sleeps.
const BEATS: u32 = 10;

/// The pulse of a runtime. Clones are one.
#[derive(Clone, Default)]
pub(super) struct Pulse(Arc<AtomicU32>);

impl Pulse {
    /// Keeps it beating for another while.
    pub(super) fn keep(&self, runtime: &Handle) {
        if self.0.swap(BEATS, Ordering::Relaxed) > 0 {
            return;
        }
        let left = self.0.clone();
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the bridge, and it belongs to the runtime"
        )]
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                if left.fetch_sub(1, Ordering::Relaxed) <= 1 {
                    return;
                }
            }
        });
    }
}
