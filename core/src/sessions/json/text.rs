//! Text as JSON knows it: UTF-16 units that are almost always, but not always, well-formed.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A JSON string. It is well-formed Unicode in nearly every case; when a program wrote half of a surrogate pair
/// (`"\ud83d"`, the remains of an emoji that was cut in two), that half survives here too.
#[derive(Clone)]
pub struct JsonText(Units);

#[derive(Clone)]
enum Units {
    Whole(String),
    /// A whole text that needs no memory of its own, as nearly all keys are.
    Short(u8, [u8; SHORT]),
    /// Holds at least one lone surrogate, so it never equals a whole one.
    Broken(Vec<u16>),
}

/// As many bytes as there is room for beside the other two.
const SHORT: usize = 30;

impl JsonText {
    /// The text, if it is well-formed Unicode.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Units::Whole(text) => Some(text),
            Units::Short(length, bytes) => std::str::from_utf8(bytes.get(..usize::from(*length))?).ok(),
            Units::Broken(_) => None,
        }
    }

    /// The text, with U+FFFD for every lone surrogate.
    pub fn to_lossy(&self) -> Cow<'_, str> {
        match self.as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(String::from_utf16_lossy(self.broken_units())),
        }
    }

    /// The text as UTF-16, for languages whose strings are that.
    pub fn to_utf16(&self) -> Vec<u16> {
        match self.as_str() {
            Some(text) => text.encode_utf16().collect(),
            None => self.broken_units().to_vec(),
        }
    }

    /// A text of these UTF-16 units, well-formed or not.
    pub fn from_utf16(units: Vec<u16>) -> Self {
        match String::from_utf16(&units) {
            Ok(text) => text.into(),
            Err(_) => Self(Units::Broken(units)),
        }
    }

    /// The units of a text that is not well-formed; none of one that is.
    pub(super) fn broken_units(&self) -> &[u16] {
        match &self.0 {
            Units::Broken(units) => units,
            Units::Whole(_) | Units::Short(..) => &[],
        }
    }
}

impl Default for JsonText {
    fn default() -> Self {
        "".into()
    }
}

/// A whole text hashes as its `str`, so that members are found by `&str` without building a key.
impl Hash for JsonText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.as_str() {
            Some(text) => text.hash(state),
            None => self.broken_units().hash(state),
        }
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() && self.broken_units() == other.broken_units()
    }
}

impl Eq for JsonText {}

impl indexmap::Equivalent<JsonText> for str {
    fn equivalent(&self, key: &JsonText) -> bool {
        key == self
    }
}

impl PartialEq<str> for JsonText {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for JsonText {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl From<&str> for JsonText {
    fn from(text: &str) -> Self {
        let mut short = [0; SHORT];
        match (u8::try_from(text.len()), short.get_mut(..text.len())) {
            (Ok(length), Some(bytes)) => {
                bytes.copy_from_slice(text.as_bytes());
                Self(Units::Short(length, short))
            }
            _ => Self(Units::Whole(text.to_owned())),
        }
    }
}

impl From<String> for JsonText {
    fn from(text: String) -> Self {
        Self(Units::Whole(text))
    }
}

/// Shows the text as people read it; lone surrogates appear as U+FFFD.
impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_lossy())
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.to_lossy(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_survives_and_is_not_the_replacement_character() {
        let broken = JsonText::from_utf16(vec![0x61, 0xd83d]);
        assert_eq!(broken.as_str(), None);
        assert_eq!(broken.to_utf16(), [0x61, 0xd83d]);
        assert_eq!(broken.to_lossy(), "a\u{fffd}");
        assert_ne!(broken, JsonText::from("a\u{fffd}"));
    }

    #[test]
    fn whole_units_become_plain_text() {
        let emoji = JsonText::from_utf16(vec![0xd83d, 0xde00]);
        assert_eq!(emoji, JsonText::from("😀"));
        assert_eq!(emoji.as_str(), Some("😀"));
    }
}
