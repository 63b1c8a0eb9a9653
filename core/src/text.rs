//! Rules that every identifier from outside obeys before it reaches a server.

use std::fmt;

use crate::redact::redacted;

/// Why a text cannot be an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Empty,
    TooLong { limit: usize, length: usize },
    Control(char),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("must not be empty"),
            Self::TooLong { limit, length } => write!(f, "must have at most {limit} bytes, has {length}"),
            Self::Control(found) => {
                write!(
                    f,
                    "must not contain control characters, has U+{:04X}",
                    u32::from(*found)
                )
            }
        }
    }
}

/// Accepts 1 to `limit` bytes without control characters (NUL and line breaks among them).
pub(crate) fn check(text: &str, limit: usize) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.len() > limit {
        return Err(Fault::TooLong {
            limit,
            length: text.len(),
        });
    }
    text.chars()
        .find(|c| c.is_control())
        .map_or(Ok(()), |found| Err(Fault::Control(found)))
}

/// The most characters of a caller's text that a message repeats.
const SHOWN: usize = 60;

/// A caller's text as messages repeat it: in quotes, no longer than a line, and without guests.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = redacted(self.0);
        match shown.char_indices().nth(SHOWN) {
            None => write!(f, "{shown:?}"),
            Some((end, _)) => {
                let beginning = shown.get(..end).unwrap_or_default();
                write!(f, "{beginning:?}… ({} bytes)", self.0.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_long_and_control_characters_are_faults() {
        assert_eq!(check("", 5), Err(Fault::Empty));
        assert_eq!(check("sechs!", 5), Err(Fault::TooLong { limit: 5, length: 6 }));
        assert_eq!(check("a\0b", 5), Err(Fault::Control('\0')));
        assert_eq!(check("a\u{85}", 5), Err(Fault::Control('\u{85}')));
        assert_eq!(check("ñandú", 7), Ok(()));
    }

    #[test]
    fn a_text_is_repeated_in_part_when_it_is_long() {
        assert_eq!(Shown("30/minuto").to_string(), "\"30/minuto\"");
        assert_eq!(Shown("call 5491187654321").to_string(), "\"call ***21\"");
        assert_eq!(
            Shown(&"ñ".repeat(60)).to_string(),
            format!("{:?}", "ñ".repeat(60))
        );
        let long = Shown(&"ñ".repeat(1_000_000)).to_string();
        assert_eq!(long, format!("{:?}… (2000000 bytes)", "ñ".repeat(60)));
    }
}
