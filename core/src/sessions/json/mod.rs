//! A JSON document model that gives back what it was given.
//!
//! Conversations are shared with a Python program that writes with `json.dumps`. Its documents hold things that
//! the usual Rust model cannot carry: `NaN` and `Infinity`, integers of any size, floats whose spelling matters
//! (`1.0` is not `1`), and text with half of a surrogate pair. A reader that drops one of them destroys another
//! program's data at the next write. So here numbers keep their spelling, texts keep every UTF-16 unit, members
//! keep their order, and the writer spells exactly as `json.dumps` does: a document that Python wrote is written
//! back byte for byte.
//!
//! Reading takes anything that Python's `json.loads` takes from UTF-8 and nothing more, in one pass, without ever
//! panicking; nesting is limited to [`Json::MAX_DEPTH`], so that no input exhausts the stack. When a key occurs
//! twice its last value counts, at the place of its first.
//!
//! Callers look at little of a document, so reading checks all of it and takes nothing apart. An object is a text until
//! its members are looked at, each of which is a text until it is looked at itself. What did not change is written
//! by copying its text, if that is what `json.dumps` would write; the check has found that out too.

mod check;
mod convert;
mod decode;
mod members;
mod number;
mod object;
#[cfg(test)]
mod properties;
mod read;
mod scan;
mod text;
mod value;
mod write;

pub use number::JsonNumber;
pub use object::JsonObject;
pub use text::JsonText;
pub use value::Json;
