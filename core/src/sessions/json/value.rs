//! The value type and how to walk, change and merge it.

use std::ops::Range;

use super::check::Fault;
use super::number::JsonNumber;
use super::object::JsonObject;
use super::read;
use super::text::JsonText;
use super::write;
use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// A JSON value that is written back as it was read. Conversations are made of it.
///
/// ```
/// use posada::sessions::Json;
/// let mut json = Json::parse(r#"{"price": 1.0, "score": NaN, "context": {"nights": 2}}"#)?;
/// json.set(["context", "guest", "name"], "Zoë")?;
/// assert_eq!(json.at(["context", "nights"]).and_then(Json::as_i64), Some(2));
/// assert_eq!(
///     json.to_text(),
///     r#"{"price": 1.0, "score": NaN, "context": {"nights": 2, "guest": {"name": "Zo\u00eb"}}}"#,
/// );
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with its spelling.
    Number(JsonNumber),
    /// A string.
    Text(JsonText),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(JsonObject),
}

impl Json {
    /// How deep lists and objects may stand in each other: a list in a list is two deep.
    pub const MAX_DEPTH: usize = 128;

    /// Reads one JSON value from UTF-8, `NaN`, `Infinity` and `-Infinity` included.
    ///
    /// # Errors
    /// `sessions.invalid_document`, with the place where the text stops being JSON.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self> {
        Self::read(text.as_ref())
            .map_err(|fault| Error::field_invalid(codes::SESSIONS_INVALID_DOCUMENT, "document", fault))
    }

    pub(crate) fn written(
        text: &str,
        members: impl IntoIterator<Item = (Range<usize>, Range<usize>, u8)>,
    ) -> Self {
        read::written(text, members)
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        read::read(bytes, Self::MAX_DEPTH)
    }

    /// The value as Python's `json.dumps` writes it: ASCII only, `", "` and `": "` between the parts.
    ///
    /// `NaN` and the infinities are written bare, as they were read; strict readers refuse them.
    pub fn to_text(&self) -> String {
        write::write(self)
    }

    /// How many bytes [`to_text`](Self::to_text) has.
    pub(crate) fn text_length(&self) -> usize {
        let text = self.as_object().and_then(JsonObject::canonical_text);
        text.map_or_else(|| self.to_text().len(), str::len)
    }

    /// Whether no part stands deeper than [`MAX_DEPTH`](Self::MAX_DEPTH), so that it can be read back.
    pub(crate) fn is_shallow(&self) -> bool {
        self.fits(Self::MAX_DEPTH)
    }

    pub(super) fn fits(&self, depth: usize) -> bool {
        match self {
            Self::List(items) => depth > 0 && items.iter().all(|item| item.fits(depth - 1)),
            Self::Object(members) => members.fits(depth),
            _ => true,
        }
    }

    /// The value at the end of a path of keys; in a list a step is a position, such as `"0"`.
    pub fn at<'path>(&self, path: impl IntoIterator<Item = &'path str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |value, step| match value {
            Self::Object(members) => members.get(step),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Sets the value at the end of a path of keys, and makes the objects on the way that are missing or `null`.
    ///
    /// # Errors
    /// `sessions.invalid_document` when a step meets something else than an object or a position of a list; then
    /// the document is unchanged except for objects that were made on the way.
    pub fn set<'path>(
        &mut self,
        path: impl IntoIterator<Item = &'path str>,
        value: impl Into<Self>,
    ) -> Result<()> {
        let mut place = self;
        for step in path {
            if matches!(place, Self::Null) {
                *place = Self::Object(JsonObject::new());
            }
            let next = match place {
                Self::Object(members) => members.entry(step.into()),
                Self::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|position| items.get_mut(position)),
                _ => None,
            };
            place = next.ok_or_else(|| {
                let what =
                    format_args!("there is nothing that can have a member {}", Shown(step)).to_string();
                Error::field_invalid(codes::SESSIONS_INVALID_DOCUMENT, "path", what)
            })?;
        }
        *place = value.into();
        Ok(())
    }

    /// Applies a JSON merge patch (RFC 7396): members of objects are set, recursively; `null` removes a member;
    /// anything else, lists included, is replaced as a whole.
    pub fn merge(&mut self, patch: &Self) {
        let Self::Object(changes) = patch else {
            *self = patch.clone();
            return;
        };
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(JsonObject::new());
        }
        if let Self::Object(members) = self {
            for (key, change) in changes.iter() {
                match change {
                    Self::Null => members.remove_text(key),
                    Self::Object(_) => {
                        if let Some(member) = members.entry(key.clone()) {
                            member.merge(change);
                        }
                    }
                    change => members.put(key.clone(), change.clone()),
                }
            }
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one and well-formed.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.as_str(),
            _ => None,
        }
    }

    /// The number, if it is an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The nearest float, if it is a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number.as_f64()),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The items, if it is a list, to change them.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&JsonObject> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The members, if it is an object, to change them.
    pub fn as_object_mut(&mut self) -> Option<&mut JsonObject> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn the_examples_of_the_merge_patch_standard_hold() {
        for (original, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut document = json(original);
            document.merge(&json(patch));
            assert_eq!(document, json(result), "{original} + {patch}");
        }
    }

    #[test]
    fn a_path_walks_objects_and_lists() {
        let mut document = json(r#"{"history": [{"role": "user"}], "state": "initial"}"#);
        assert_eq!(
            document.at(["history", "0", "role"]).unwrap().as_str(),
            Some("user")
        );
        assert_eq!(document.at(["history", "1"]), None);
        document.set(["history", "0", "role"], "agent").unwrap();
        assert_eq!(
            document.at(["history", "0", "role"]).unwrap().as_str(),
            Some("agent")
        );
        let error = document.set(["state", "deeper"], 1).unwrap_err();
        assert_eq!(error.field(), Some("path"));
    }

    #[test]
    fn depth_is_judged_as_the_reader_judges_it() {
        let nested =
            |depth: usize| (1..depth).fold(Json::List(Vec::new()), |inner, _| Json::List(vec![inner]));
        let (deepest, too_deep) = (nested(Json::MAX_DEPTH), nested(Json::MAX_DEPTH + 1));
        assert!(deepest.is_shallow() && Json::parse(deepest.to_text()).is_ok());
        assert!(!too_deep.is_shallow() && Json::parse(too_deep.to_text()).is_err());
    }
}
