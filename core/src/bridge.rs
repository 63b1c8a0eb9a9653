//! What programs need that bring posada to another language. It is not part of the public interface:
//! it changes with the bindings of the same release.

use std::ops::Range;

pub use crate::error::http::{HttpAnswer, http_answer, http_status};
#[cfg(unix)]
pub use crate::loop_connections::{EnterGuard, LoopConnections};
use crate::sessions::Document;
pub use crate::task::{Call, EventLoop, FirstStep, Progress, Receipt, Work, to_the_end};

/// Takes a document from a writer that knows what it wrote: unlike [`Document::parse`] it does not read the text again.
///
/// The text must be what `json.dumps` would write of one object, no key of which occurs twice, at most
/// [`Json::MAX_DEPTH`](crate::sessions::Json::MAX_DEPTH) deep. Its members, in their order: where the key stands,
/// without its quotes, where the value stands, and how many lists and objects stand in each other there. A caller that
/// says something else stores what cannot be read again; only debug builds look.
pub fn written_document(
    text: &str,
    members: impl IntoIterator<Item = (Range<usize>, Range<usize>, u8)>,
) -> Document {
    Document::from_written(text, members)
}
