//! How a future of the crate becomes something that Python awaits: Python's part of [`posada_bindings::bridge`].
//!
//! Invariants, beside those of the shared part:
//! * Threads of the runtime never take the interpreter's lock and hold no Python object. The Python objects that an
//!   answer needs are made on the loop's own thread.
//! * A call is cancelled when its wait is cancelled, not when its object is collected. What a stream had handed out for
//!   it is the next caller's.
//! * No code of users runs in the callback that the loop calls: it may run a loop inside the loop.
//! * Nothing starts at import.

mod loop_bridge;
mod operation;
mod process_bound;
mod runtime;
mod unread;

pub(crate) use loop_bridge::LoopBridge;
pub(crate) use operation::{Operation, start};
pub(crate) use posada_bindings::bridge::RuntimeHandle;
pub(crate) use process_bound::ProcessBound;
pub(crate) use runtime::{forked, set_workers, shutdown, workers};
pub(crate) use unread::Unread;
