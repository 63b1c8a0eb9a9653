//! Turns: what was said, and the list of them that a conversation keeps.

use chrono::{DateTime, Utc};

use super::document::{Document, timestamp};
use super::json::{Json, JsonObject, JsonText};
use super::options::SessionOptions;
use crate::error::{Error, Result, codes};
use crate::rng;

const ID: &str = "id";

/// One message of a conversation, for [`SessionManager::append_turn`](crate::SessionManager::append_turn).
///
/// It is stored as `{"id": …, "role": …, "content": …, "timestamp": …}` plus the members that were added.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    role: String,
    content: JsonText,
    id: Option<String>,
    at: Option<DateTime<Utc>>,
    more: JsonObject,
}

impl Turn {
    /// What `role` (such as `user` or `assistant`) said, now. A text that is not quite Unicode, as an emoji that was
    /// cut in two, is kept as it is.
    pub fn new(role: impl Into<String>, content: impl Into<JsonText>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            id: None,
            at: None,
            more: JsonObject::new(),
        }
    }

    /// The id of the message at its channel. A turn whose id is in the history already is not appended again, so
    /// that a message which the channel delivers twice is kept once. Without one, a random id is given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When it was said, if not now.
    #[must_use]
    pub fn at(mut self, at: DateTime<Utc>) -> Self {
        self.at = Some(at);
        self
    }

    /// Adds a member, such as an intent or a language.
    #[must_use]
    pub fn with(mut self, key: impl Into<JsonText>, value: impl Into<Json>) -> Self {
        self.more.insert(key, value);
        self
    }

    /// The turn as it will be stored, however often it is tried.
    pub(crate) fn written(self, now: DateTime<Utc>) -> Written {
        let id: Json = self.id.unwrap_or_else(rng::token).into();
        let mut members = JsonObject::new();
        members.insert(ID, id.clone());
        members.insert("role", self.role);
        members.insert("content", self.content);
        members.insert("timestamp", timestamp(self.at.unwrap_or(now)));
        for (key, value) in self.more.iter() {
            members.insert(key.clone(), value.clone());
        }
        members.insert(ID, id.clone());
        Written {
            id,
            json: members.into(),
        }
    }
}

/// A turn with its id and its time.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    id: Json,
    json: Json,
}

impl Written {
    /// Appends the turn and drops the oldest ones beyond the caps. Answers `false` when the turn is there already.
    pub(crate) fn append_to(&self, document: &mut Document, options: &SessionOptions) -> Result<bool> {
        let limit = options.max_history_bytes;
        let size = self.json.text_length();
        if size > limit {
            return Err(Error::field_invalid(
                codes::SESSIONS_TOO_LARGE,
                "turn",
                "is larger than the history may be",
            )
            .with("bytes", size)
            .with("limit", limit));
        }
        let history = document.history_mut().ok_or_else(|| {
            Error::field_invalid(
                codes::SESSIONS_INVALID_DOCUMENT,
                "history",
                "is not a list of turns",
            )
        })?;
        let is_this = |turn: &JsonObject| turn.has(ID, &self.id);
        if history.iter().filter_map(Json::as_object).any(is_this) {
            return Ok(false);
        }
        history.push(self.json.clone());
        let superfluous = superfluous(history, options);
        history.drain(..superfluous);
        Ok(true)
    }
}

/// How many of the oldest turns do not fit any more.
fn superfluous(history: &[Json], options: &SessionOptions) -> usize {
    let mut bytes = 0;
    let fitting = history
        .iter()
        .rev()
        .take(options.max_turns.max(1))
        .take_while(|turn| {
            bytes += turn.text_length();
            bytes <= options.max_history_bytes
        });
    history.len() - fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As WhatsApp makes them.
    const WAMID: &str = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";

    fn options(max_turns: usize, max_history_bytes: usize) -> SessionOptions {
        SessionOptions {
            max_turns,
            max_history_bytes,
            ..SessionOptions::default()
        }
    }

    fn append(document: &mut Document, turn: Turn, options: &SessionOptions) -> Result<bool> {
        turn.written(DateTime::UNIX_EPOCH).append_to(document, options)
    }

    fn contents(document: &Document) -> Vec<&str> {
        let history = document.history().unwrap();
        history
            .iter()
            .filter_map(|turn| turn.at(["content"])?.as_str())
            .collect()
    }

    #[test]
    fn a_turn_is_written_in_a_fixed_order() {
        let turn = Turn::new("user", "¿Hay lugar?")
            .id(WAMID)
            .with("intent", "availability");
        assert_eq!(
            turn.written(DateTime::UNIX_EPOCH).json.to_text(),
            concat!(
                r#"{"id": "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==", "#,
                r#""role": "user", "content": "\u00bfHay lugar?", "#,
                r#""timestamp": "1970-01-01T00:00:00+00:00", "intent": "availability"}"#
            )
        );
    }

    #[test]
    fn half_of_an_emoji_is_kept() {
        let half = JsonText::from_utf16(vec![0x68, 0xd83d]);
        let turn = Turn::new("user", half.clone()).id(WAMID).with(half, 1);
        let text = turn.written(DateTime::UNIX_EPOCH).json.to_text();
        assert!(
            text.contains(r#""content": "h\ud83d""#) && text.contains(r#""h\ud83d": 1"#),
            "{text}"
        );
    }

    #[test]
    fn the_oldest_turns_make_room_by_count() {
        let mut document = Document::parse("{}").unwrap();
        for number in 1..=5 {
            append(
                &mut document,
                Turn::new("user", number.to_string()),
                &options(3, 10_000),
            )
            .unwrap();
        }
        assert_eq!(contents(&document), ["3", "4", "5"]);
    }

    #[test]
    fn the_oldest_turns_make_room_by_size() {
        let mut document = Document::parse("{}").unwrap();
        for word in ["one", "two", "three"] {
            append(&mut document, Turn::new("user", word).id(word), &options(50, 200)).unwrap();
        }
        assert_eq!(contents(&document), ["two", "three"]);
        let huge = append(
            &mut document,
            Turn::new("user", "x".repeat(200)),
            &options(50, 200),
        )
        .unwrap_err();
        assert!(huge.is(codes::SESSIONS_TOO_LARGE));
        assert_eq!(contents(&document), ["two", "three"]);
    }

    #[test]
    fn a_message_that_is_delivered_twice_is_kept_once() {
        let mut document = Document::parse("{}").unwrap();
        let options = options(50, 10_000);
        assert!(append(&mut document, Turn::new("user", "hola").id(WAMID), &options).unwrap());
        assert!(!append(&mut document, Turn::new("user", "hola").id(WAMID), &options).unwrap());
        assert!(append(&mut document, Turn::new("user", "hola"), &options).unwrap());
        assert!(append(&mut document, Turn::new("user", "hola"), &options).unwrap());
        assert_eq!(document.history().unwrap().len(), 3);
    }

    #[test]
    fn turns_of_other_programs_stay_and_a_history_that_is_none_is_refused() {
        let mut document = Document::parse(r#"{"history": ["free text", {"q": 1.0}]}"#).unwrap();
        append(
            &mut document,
            Turn::new("user", "hola").id("1"),
            &options(50, 10_000),
        )
        .unwrap();
        assert!(
            document
                .to_text()
                .starts_with(r#"{"history": ["free text", {"q": 1.0}, {"id": "1", "#)
        );
        let mut strange = Document::parse(r#"{"history": "none"}"#).unwrap();
        let error = append(&mut strange, Turn::new("user", "hola"), &options(50, 10_000)).unwrap_err();
        assert_eq!(error.field(), Some("history"));
    }
}
