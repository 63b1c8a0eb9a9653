//! The native part of the Node package: nothing here is for users, who see what `ts/` makes of it.
//!
//! Calls go over one narrow bridge. JavaScript names a method and gives its arguments as one JSON text; the answer comes
//! back as one JSON text, at once when memory has it, and otherwise with the others that ended until the event loop came
//! round. So no object of the engine is ever held by a thread of the runtime, and there is no `unsafe` here.
//!
//! * [`bridge`]: the calls of one environment, a main thread or a worker.
//! * [`target`]: a handle, bound to a tenant or not, with what it answers without waiting.
//! * [`methods`]: what each method does.
//! * [`kept`]: locks, holds and conversations, which JavaScript names by numbers.

#![deny(unsafe_code)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "the engine hands texts over by value"
)]

mod arguments;
mod bridge;
mod kept;
mod methods;
mod outcome;
mod target;
