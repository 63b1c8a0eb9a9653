//! How a future of the crate becomes something that Python awaits.
//!
//! Invariants:
//! * Rust threads never take the interpreter's lock and hold no Python object. They push a number into the
//!   [completion queue](completion_queue) of an event loop and wake it once per batch; the Python objects that an answer
//!   needs are made on the loop's own thread.
//! * The first step of a call is taken on the calling thread. What answers at once, from memory, never meets tokio.
//! * An operation that Python no longer wants is aborted if it is a read and finished if it is a write: when the wait is
//!   cancelled, not when the object is collected. What a stream had handed out for it is the next caller's.
//! * No code of users runs in the callback that the loop calls: it may run a loop inside the loop.
//! * Nothing starts at import. The runtime is made by the first use, anew after a fork, and ended at exit.

mod batch_policy;
mod call;
mod completion_queue;
mod keep_alive;
mod loop_bridge;
mod operation;
mod process_bound;
mod runtime;
mod unread;

pub(crate) use loop_bridge::LoopBridge;
pub(crate) use operation::{Manner, Operation, start};
pub(crate) use process_bound::ProcessBound;
pub(crate) use runtime::{Home, forked, set_workers, shutdown, workers};
pub(crate) use unread::Unread;
