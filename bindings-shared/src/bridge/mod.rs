//! How a future of the crate becomes something that an event loop of another language awaits.
//!
//! Invariants:
//! * The first step of a call is taken on the calling thread. What memory answers never meets tokio.
//! * Threads of the runtime push a number into the [completion queue](CompletionQueue) of an event loop and wake it
//!   once per batch. They hold nothing of the language; its objects are made on the loop's own thread.
//! * A call that is cancelled drops its work. What must end all the same says so where it begins: in the crate, or by
//!   [`to_the_end`](posada::bridge::to_the_end).
//! * Nothing starts by itself. The runtime is made by the first use, anew after a fork, and ended at exit.

mod batch_policy;
mod completion_queue;
mod keep_alive;
mod loop_state;
mod open_handles;
mod process_bound;
mod runtime;
mod unread;

pub use batch_policy::Sending;
pub use completion_queue::CompletionQueue;
pub use loop_state::LoopState;
pub use open_handles::{OpenHandle, close_all};
pub use posada::bridge::{Call, FirstStep, Progress, Work};
pub use process_bound::ProcessBound;
pub use runtime::{MAX_WORKERS, RuntimeHandle, ending, forked, set_workers, take_runtime, workers};
pub use unread::{Delivery, Unread};
