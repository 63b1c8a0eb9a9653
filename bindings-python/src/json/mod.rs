//! Documents between Python's own objects and text, as Python's `json` reads and writes them.
//!
//! This happens on the event loop's thread, of which every app has one. So the usual document is read and written here,
//! and whatever is unusual (an integer of any size, half of a surrogate pair, a class of the app's own, a list in
//! itself) is left to `json`: what it means, and how it is refused, is decided in one place.
//!
//! A number whose digits Python would not write again (`120.50`, `1e400`) keeps them: the reader of a conversation
//! tells which object it made of which digits, and the writer of that conversation writes those for that very object.
//! Numbers cannot change, so an object that is still there was not touched.

mod keys;
mod read;
mod scan;
mod spelled;
mod write;

pub(crate) use read::{read, read_json};
pub(crate) use spelled::Spelled;
pub(crate) use write::{write, write_document, write_json};

/// How deep lists and objects may stand in each other here: as deep as the crate lets them.
const MAX_DEPTH: usize = posada::sessions::Json::MAX_DEPTH;
