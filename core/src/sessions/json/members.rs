//! The members of an object: texts that become values when they are looked at.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::check::Checked;
use super::decode::decode;
use super::read::{build, find, take_apart};
use super::text::JsonText;
use super::value::Json;

/// About how many bytes a member takes.
const TYPICAL: usize = 32;
/// For how many members there is room at most before they are counted.
const MANY: usize = 14;

/// An object as it was read.
#[derive(Clone)]
pub(super) struct Read {
    text: Arc<str>,
    object: Checked,
    members: OnceLock<Arc<Members>>,
}

impl Read {
    pub(super) fn new(text: Arc<str>, object: Checked) -> Self {
        Self {
            text,
            object,
            members: OnceLock::new(),
        }
    }

    pub(super) fn with_members(text: Arc<str>, object: Checked, slots: Slots) -> Self {
        let members = Members {
            text: text.clone(),
            slots,
        };
        Self {
            text,
            object,
            members: OnceLock::from(Arc::new(members)),
        }
    }

    pub(super) fn source(&self) -> &Arc<str> {
        &self.text
    }

    pub(super) fn text(&self) -> &str {
        self.object.of(&self.text)
    }

    pub(super) fn canonical_text(&self) -> Option<&str> {
        self.object.is_canonical.then(|| self.text())
    }

    pub(super) fn fits(&self, depth: usize) -> bool {
        usize::from(self.object.height) <= depth
    }

    pub(super) fn members(&self) -> &Members {
        self.members
            .get_or_init(|| Self::take_apart(&self.text, &self.object))
    }

    pub(super) fn into_members(self) -> Arc<Members> {
        let taken_apart = self.members.into_inner();
        taken_apart.unwrap_or_else(|| Self::take_apart(&self.text, &self.object))
    }

    /// Whether a member is this, found out without taking the object apart.
    pub(super) fn has(&self, key: &str, value: &Json) -> bool {
        if let Some(members) = self.members.get() {
            return members.get(key) == Some(value);
        }
        find(&self.text, &self.object, key).is_some_and(|found| build(&self.text, &found) == *value)
    }

    fn take_apart(text: &Arc<str>, object: &Checked) -> Arc<Members> {
        Arc::new(Members {
            text: text.clone(),
            slots: take_apart(text, object),
        })
    }
}

/// Members in order, some of them still text.
#[derive(Clone, Default)]
pub(super) struct Members {
    /// What those are read from that are still text.
    text: Arc<str>,
    slots: Slots,
}

#[derive(Clone, Default)]
pub(super) struct Slots(IndexMap<JsonText, Slot, foldhash::quality::RandomState>);

impl Slots {
    /// None so far, with room for what usually stands in a text of this length.
    pub(super) fn of_length(length: usize) -> Self {
        let members = (length / TYPICAL).min(MANY);
        Self(IndexMap::with_capacity_and_hasher(
            members,
            foldhash::quality::RandomState::default(),
        ))
    }

    /// Adds a member of a text that is being checked, in which its key stands there between quotes.
    pub(super) fn read(&mut self, text: &str, key: Range<usize>, value: Checked) {
        let key = decode(text.get(key).unwrap_or_default());
        self.0.insert(key, Slot::of_text(value));
    }
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.slots.0.len()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.slots.0.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        Some(self.slots.0.get(key)?.value(&self.text))
    }

    pub(super) fn member(&self, key: &JsonText) -> Option<&Json> {
        Some(self.slots.0.get(key)?.value(&self.text))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&JsonText, &Json)> {
        let slots = self.slots.0.iter();
        slots.map(|(key, slot)| (key, slot.value(&self.text)))
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (&JsonText, Part<'_>)> {
        let slots = self.slots.0.iter();
        slots.map(|(key, slot)| (key, slot.part(&self.text)))
    }

    /// About how long their text will be.
    pub(super) fn length_hint(&self) -> usize {
        self.slots.0.values().map(Slot::length_hint).sum()
    }

    /// Whether no member is deeper.
    pub(super) fn fit(&self, depth: usize) -> bool {
        self.slots.0.values().all(|slot| slot.fits(depth))
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        self.slots.0.get_mut(key)?.value_mut(&self.text)
    }

    pub(super) fn entry(&mut self, key: JsonText) -> Option<&mut Json> {
        let slot = self.slots.0.entry(key).or_default();
        slot.value_mut(&self.text)
    }

    pub(super) fn put(&mut self, key: JsonText, value: Json) {
        self.slots.0.insert(key, Slot::of_value(value));
    }

    pub(super) fn insert(&mut self, key: JsonText, value: Json) -> Option<Json> {
        let old = self.slots.0.insert(key, Slot::of_value(value))?;
        Some(old.into_value(&self.text))
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Json> {
        Some(self.slots.0.shift_remove(key)?.into_value(&self.text))
    }

    pub(super) fn discard(&mut self, key: &JsonText) {
        self.slots.0.shift_remove(key);
    }
}

impl FromIterator<(JsonText, Json)> for Members {
    fn from_iter<Items: IntoIterator<Item = (JsonText, Json)>>(members: Items) -> Self {
        let slots = members
            .into_iter()
            .map(|(key, value)| (key, Slot::of_value(value)));
        Self {
            text: Arc::default(),
            slots: Slots(slots.collect()),
        }
    }
}

/// What is written of a member.
pub(super) enum Part<'object> {
    /// This very text.
    Text(&'object str),
    /// The text of this value.
    Value(&'object Json),
}

/// The value of a member, `null` at first.
#[derive(Default)]
struct Slot {
    /// Where its text is, while it is what it was read as.
    read: Option<Checked>,
    /// The value, once it was looked at.
    value: OnceLock<Json>,
}

impl Slot {
    fn of_text(checked: Checked) -> Self {
        Self {
            read: Some(checked),
            value: OnceLock::new(),
        }
    }

    fn of_value(value: Json) -> Self {
        Self {
            read: None,
            value: OnceLock::from(value),
        }
    }

    fn value(&self, text: &Arc<str>) -> &Json {
        self.value.get_or_init(|| self.build(text))
    }

    fn into_value(mut self, text: &Arc<str>) -> Json {
        self.value.take().unwrap_or_else(|| self.build(text))
    }

    /// The value, to change it. There always is one.
    fn value_mut(&mut self, text: &Arc<str>) -> Option<&mut Json> {
        self.value(text);
        self.read = None;
        self.value.get_mut()
    }

    fn build(&self, text: &Arc<str>) -> Json {
        self.read
            .as_ref()
            .map_or(Json::Null, |checked| build(text, checked))
    }

    fn part<'object>(&'object self, text: &'object Arc<str>) -> Part<'object> {
        match &self.read {
            Some(checked) if checked.is_canonical => Part::Text(checked.of(text)),
            _ => Part::Value(self.value(text)),
        }
    }

    fn length_hint(&self) -> usize {
        let text = self.read.map_or(0, |checked| checked.end - checked.start);
        text + TYPICAL
    }

    fn fits(&self, depth: usize) -> bool {
        match &self.read {
            Some(checked) => usize::from(checked.height) <= depth,
            None => self.value.get().is_none_or(|value| value.fits(depth)),
        }
    }
}

/// What can be read again is not copied.
impl Clone for Slot {
    fn clone(&self) -> Self {
        let value = match self.read {
            Some(_) => OnceLock::new(),
            None => self.value.clone(),
        };
        Self {
            read: self.read,
            value,
        }
    }
}
