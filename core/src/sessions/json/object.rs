//! Objects that keep the order of their members.

use std::fmt;

use indexmap::IndexMap;

use super::text::JsonText;
use super::value::Json;

/// A JSON object: members in the order in which they were first written, each key once.
///
/// A new key goes to the end; a new value for a known key stays at that key's place. Two objects are equal when
/// they hold equal members, in whatever order.
#[derive(Clone, Default, PartialEq)]
pub struct JsonObject(IndexMap<JsonText, Json, foldhash::quality::RandomState>);

impl JsonObject {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a member of this key, `null` included.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.0.get_mut(key)
    }

    /// Sets a member and answers the value that it had.
    pub fn insert(&mut self, key: impl Into<JsonText>, value: impl Into<Json>) -> Option<Json> {
        self.0.insert(key.into(), value.into())
    }

    /// Removes a member and answers its value; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.0.shift_remove(key)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&JsonText, &Json)> {
        self.0.iter()
    }

    /// The value of a key, made `null` at the end first if there is none.
    pub(super) fn entry(&mut self, key: JsonText) -> &mut Json {
        self.0.entry(key).or_insert(Json::Null)
    }

    pub(super) fn remove_text(&mut self, key: &JsonText) {
        self.0.shift_remove(key);
    }
}

impl<Key: Into<JsonText>, Value: Into<Json>> FromIterator<(Key, Value)> for JsonObject {
    fn from_iter<Members: IntoIterator<Item = (Key, Value)>>(members: Members) -> Self {
        let members = members.into_iter();
        Self(members.map(|(key, value)| (key.into(), value.into())).collect())
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
