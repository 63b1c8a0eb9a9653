//! Objects that keep the order of their members, and the text that they were read from.

use std::fmt;
use std::sync::Arc;

use super::members::{Members, Part, Read};
use super::text::JsonText;
use super::value::Json;

/// A JSON object: members in the order in which they were first written, each key once.
///
/// A new key goes to the end; a new value for a known key stays at that key's place. Two objects are equal when
/// they hold equal members, in whatever order.
///
/// Cheap to clone. An object that was read is a text at first, and its members are made of it when it is looked at
/// them; so it keeps the text of the whole document alive.
#[derive(Clone, Default)]
pub struct JsonObject {
    /// What it was read from, while nothing in it changed.
    read: Option<Read>,
    /// Its members otherwise; nothing in an object that never had any.
    own: Option<Arc<Members>>,
}

impl JsonObject {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn of_text(read: Read) -> Self {
        Self {
            read: Some(read),
            own: None,
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members().map_or(0, Members::len)
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a member of this key, `null` included.
    pub fn contains(&self, key: &str) -> bool {
        self.members().is_some_and(|members| members.contains(key))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.members()?.get(key)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.members_mut().get_mut(key)
    }

    /// Sets a member and returns the value that it had.
    pub fn insert(&mut self, key: impl Into<JsonText>, value: impl Into<Json>) -> Option<Json> {
        self.members_mut().insert(key.into(), value.into())
    }

    /// Removes a member and returns its value; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.members_mut().remove(key)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&JsonText, &Json)> {
        self.members().into_iter().flat_map(Members::iter)
    }

    /// Whether a member is this. Looks at no other, and so is cheap for an object that is still a text.
    pub(crate) fn has(&self, key: &str, value: &Json) -> bool {
        match &self.read {
            Some(read) => read.has(key, value),
            None => self.get(key) == Some(value),
        }
    }

    /// Sets a member without looking at the value that it had.
    pub(crate) fn put(&mut self, key: impl Into<JsonText>, value: impl Into<Json>) {
        self.members_mut().put(key.into(), value.into());
    }

    /// The value of a key, made `null` at the end first if there is none. There always is one then.
    pub(super) fn entry(&mut self, key: JsonText) -> Option<&mut Json> {
        self.members_mut().entry(key)
    }

    pub(super) fn remove_text(&mut self, key: &JsonText) {
        self.members_mut().discard(key);
    }

    /// The whole text in which it stands, unless it has changed.
    pub(crate) fn source(&self) -> Option<&Arc<str>> {
        self.read.as_ref().map(Read::source)
    }

    /// Its text, if `json.dumps` would write the same.
    pub(super) fn canonical_text(&self) -> Option<&str> {
        self.read.as_ref()?.canonical_text()
    }

    /// The members in order, as text where that is what `json.dumps` would write.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&JsonText, Part<'_>)> {
        self.members().into_iter().flat_map(Members::parts)
    }

    /// About how long its text will be.
    pub(super) fn length_hint(&self) -> usize {
        match (&self.read, &self.own) {
            (Some(read), _) => read.text().len(),
            (None, own) => own.as_ref().map_or(0, |members| members.length_hint()),
        }
    }

    /// Whether no part stands deeper, with the object itself as the first level.
    pub(super) fn fits(&self, depth: usize) -> bool {
        match (&self.read, &self.own) {
            (Some(read), _) => read.fits(depth),
            (None, own) => depth > 0 && own.as_ref().is_none_or(|members| members.fit(depth - 1)),
        }
    }

    fn member(&self, key: &JsonText) -> Option<&Json> {
        self.members()?.member(key)
    }

    fn members(&self) -> Option<&Members> {
        match &self.read {
            Some(read) => Some(read.members()),
            None => self.own.as_deref(),
        }
    }

    /// The members, to change them: from now on the text is not what the object holds.
    fn members_mut(&mut self) -> &mut Members {
        let read = self.read.take();
        let own = self
            .own
            .get_or_insert_with(|| read.map(Read::into_members).unwrap_or_default());
        Arc::make_mut(own)
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(read), Some(other)) = (&self.read, &other.read)
            && read.text() == other.text()
        {
            return true;
        }
        let is_there = |(key, value): (&JsonText, &Json)| other.member(key) == Some(value);
        self.len() == other.len() && self.iter().all(is_there)
    }
}

impl<Key: Into<JsonText>, Value: Into<Json>> FromIterator<(Key, Value)> for JsonObject {
    fn from_iter<Items: IntoIterator<Item = (Key, Value)>>(members: Items) -> Self {
        let members = members.into_iter();
        Self {
            read: None,
            own: Some(Arc::new(
                members.map(|(key, value)| (key.into(), value.into())).collect(),
            )),
        }
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_places() {
        let mut object: JsonObject = [("a", 1), ("b", 2), ("c", 3)].into_iter().collect();
        assert_eq!(object.insert("b", "new"), Some(Json::from(2)));
        object.remove("a");
        object.insert("a", 4);
        let keys: Vec<_> = object.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["b", "c", "a"]);
    }

    #[test]
    fn a_broken_key_is_never_mistaken_for_another() {
        let mut object = JsonObject::new();
        object.insert(JsonText::from_utf16(vec![0xd800]), 1);
        assert!(!object.contains("\u{fffd}"));
        assert_eq!(object.len(), 1);
    }
}
