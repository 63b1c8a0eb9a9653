//! What the bindings of posada share, whatever the language.
//!
//! * [`bridge`]: how a future of the crate becomes something that an event loop of another language awaits: the calls
//!   that have ended, when a loop sends what its calls ask, the one runtime of the process, the handles that are open.
//! * [`refusal`]: an error as plain data, from which each language makes its own exception.
//! * [`arguments`]: plain values and records of options, read into the crate's types.
//!
//! Nothing here knows a language: there is no foreign function, no object of an interpreter, and no `unsafe`. A binding
//! adds the classes that its users see, and how its event loop is woken. `docs/guides/add-a-binding.md` walks through
//! one.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod bridge;
pub mod refusal;

pub use refusal::Refusal;
