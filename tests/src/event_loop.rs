//! An event loop that is not tokio's, as bindings have one, in a thread of its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use posada::bridge::LoopConnections;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Takes the turns of a [`LoopConnections`] until it is dropped.
pub struct EventLoop {
    connections: LoopConnections,
    gate: Arc<Mutex<()>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EventLoop {
    /// Starts it.
    pub fn start() -> Self {
        let connections = LoopConnections::new().expect("there are descriptors");
        let (gate, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let running = (connections.clone(), Arc::clone(&gate), is_over.clone());
        let thread = std::thread::spawn(move || {
            let (connections, gate, is_over): (LoopConnections, Arc<Mutex<()>>, _) = running;
            while !is_over.load(Ordering::Acquire) {
                if connections.wait(Duration::from_secs(1)) {
                    let _open = gate.blocking_lock();
                    connections.turn(|| {});
                }
            }
        });
        Self {
            connections,
            gate,
            is_over,
            thread: Some(thread),
        }
    }

    /// Polls the future as the event loop's thread would.
    pub async fn within<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let _here = self.connections.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// Takes no turn while the answer lives.
    pub async fn stand_still(&self) -> OwnedMutexGuard<()> {
        self.gate.clone().lock_owned().await
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.connections.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("an event loop ends well");
        }
    }
}
