//! The document of a conversation: a JSON object that several programs share.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Timelike, Utc};

use super::json::{Json, JsonObject};
use crate::TenantId;
use crate::error::{Error, Result, codes};

const USER: &str = "user_id";
const CHANNEL: &str = "canal";
const STATE: &str = "state";
const TENANT: &str = "tenant_id";
const LAST_ACTIVITY: &str = "last_activity";
const HISTORY: &str = "history";

/// What is stored of a conversation. Members that posada does not know, and their order, are kept.
///
/// ```
/// use posada::sessions::Document;
/// let mut document = Document::parse(r#"{"user_id": "549", "canal": "whatsapp", "state": "initial", "fee": 1.0}"#)?;
/// document.set_state("booking");
/// document.set(["context", "nights"], 2)?;
/// assert_eq!(document.channel(), Some("whatsapp"));
/// assert!(document.to_text().ends_with(r#""state": "booking", "fee": 1.0, "context": {"nights": 2}}"#));
/// # Ok::<(), posada::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Document(Json);

impl Document {
    /// The document of a conversation that begins now, as the production app writes it.
    pub(crate) fn begin(user: &str, channel: &str, tenant: Option<&TenantId>, now: DateTime<Utc>) -> Self {
        let now = timestamp(now);
        let mut members = JsonObject::new();
        members.insert(USER, user);
        members.insert(CHANNEL, channel);
        members.insert(STATE, "initial");
        members.insert("context", JsonObject::new());
        members.insert("tts_enabled", false);
        members.insert("created_at", now.as_str());
        members.insert(LAST_ACTIVITY, now);
        if let Some(tenant) = tenant {
            members.insert(TENANT, tenant.as_str());
        }
        Self(members.into())
    }

    /// Reads a document; anything that Python's `json.dumps` writes for a `dict` is one.
    ///
    /// # Errors
    /// `sessions.invalid_document` when it is not JSON or not an object.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self> {
        Self::try_from(Json::parse(text)?)
    }

    /// See [`written_document`](crate::bridge::written_document).
    pub(crate) fn from_written(
        text: &str,
        members: impl IntoIterator<Item = (Range<usize>, Range<usize>, u8)>,
    ) -> Self {
        Self(Json::written(text, members))
    }

    /// The text that is stored: what Python's `json.dumps` would write.
    pub fn to_text(&self) -> String {
        self.0.to_text()
    }

    /// The user to whom the conversation belongs.
    pub fn user_id(&self) -> Option<&str> {
        self.text(USER)
    }

    /// Where the conversation takes place, such as `whatsapp` (the member `canal`).
    pub fn channel(&self) -> Option<&str> {
        self.text(CHANNEL)
    }

    /// The tenant, if the conversation has one.
    pub fn tenant_id(&self) -> Option<&str> {
        self.text(TENANT)
    }

    /// Where the conversation stands; `initial` at first.
    pub fn state(&self) -> Option<&str> {
        self.text(STATE)
    }

    /// Moves the conversation on.
    pub fn set_state(&mut self, state: &str) {
        self.put(STATE, state.into());
    }

    /// What the conversation remembers, if it is an object as it should be.
    pub fn context(&self) -> Option<&JsonObject> {
        self.get("context").and_then(Json::as_object)
    }

    /// The turns of the conversation, oldest first, if there are any.
    pub fn history(&self) -> Option<&[Json]> {
        self.get(HISTORY).and_then(Json::as_list)
    }

    /// A member of the document.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.as_object().and_then(|members| members.get(key))
    }

    /// The value at the end of a path of keys. See [`Json::at`].
    pub fn at<'path>(&self, path: impl IntoIterator<Item = &'path str>) -> Option<&Json> {
        self.0.at(path)
    }

    /// Sets the value at the end of a path of at least one key. See [`Json::set`].
    ///
    /// # Errors
    /// `sessions.invalid_document` as [`Json::set`], and for an empty path.
    pub fn set<'path>(
        &mut self,
        path: impl IntoIterator<Item = &'path str>,
        value: impl Into<Json>,
    ) -> Result<()> {
        let mut path = path.into_iter().peekable();
        if path.peek().is_none() {
            return Err(invalid("path", "must have at least one key"));
        }
        self.0.set(path, value)
    }

    /// Removes a member of the document and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        self.0.as_object_mut().and_then(|members| members.remove(key))
    }

    /// Applies a JSON merge patch (RFC 7396). See [`Json::merge`].
    ///
    /// # Errors
    /// `sessions.invalid_document` when the patch is not an object.
    pub fn merge(&mut self, patch: &Json) -> Result<()> {
        if patch.as_object().is_none() {
            return Err(invalid("patch", "must be a JSON object"));
        }
        self.0.merge(patch);
        Ok(())
    }

    /// The whole document as a value.
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// The whole text that it was read from, space around it included, unless it has changed.
    pub(crate) fn source(&self) -> Option<&Arc<str>> {
        self.0.as_object()?.source()
    }

    /// Notes that the conversation was active; an existing member keeps its place.
    pub(crate) fn mark_active(&mut self, now: DateTime<Utc>) {
        self.put(LAST_ACTIVITY, timestamp(now).into());
    }

    /// The list of turns, made if it is missing; `None` when something else stands in its place.
    pub(crate) fn history_mut(&mut self) -> Option<&mut Vec<Json>> {
        let members = self.0.as_object_mut()?;
        if members.get(HISTORY).is_none_or(Json::is_null) {
            members.insert(HISTORY, Vec::<Json>::new());
        }
        members.get_mut(HISTORY).and_then(Json::as_list_mut)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_str)
    }

    fn put(&mut self, key: &str, value: Json) {
        if let Some(members) = self.0.as_object_mut() {
            members.put(key, value);
        }
    }
}

/// A document without members.
impl Default for Document {
    fn default() -> Self {
        Self(JsonObject::new().into())
    }
}

/// Refuses everything but an object.
impl TryFrom<Json> for Document {
    type Error = Error;

    fn try_from(json: Json) -> Result<Self> {
        match json {
            Json::Object(_) => Ok(Self(json)),
            _ => Err(invalid("document", "must be a JSON object")),
        }
    }
}

/// Exact, as for [`Json`]; refuses everything but an object.
impl TryFrom<serde_json::Value> for Document {
    type Error = Error;

    fn try_from(value: serde_json::Value) -> Result<Self> {
        Self::try_from(Json::from(value))
    }
}

/// Lossy where `serde_json` has no room, as for [`Json`].
impl From<&Document> for serde_json::Value {
    fn from(document: &Document) -> Self {
        document.as_json().into()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What every write must leave as it was read: the app deletes documents that lack one of the first three, and a
/// document that names another user or tenant is not theirs.
#[derive(Clone, PartialEq)]
pub(crate) struct Identity {
    user: Option<Json>,
    tenant: Option<Json>,
    has_channel: bool,
    has_state: bool,
}

impl Identity {
    /// The identity of a document that was read.
    pub(crate) fn of(document: &Document) -> Self {
        Self {
            user: document.get(USER).cloned(),
            tenant: document.get(TENANT).cloned(),
            has_channel: document.get(CHANNEL).is_some(),
            has_state: document.get(STATE).is_some(),
        }
    }

    /// Whether a changed document may be stored.
    pub(crate) fn check(&self, document: &Document) -> Result<()> {
        if document.get(USER) != self.user.as_ref() {
            return Err(invalid(USER, "must not be changed"));
        }
        if document.get(TENANT) != self.tenant.as_ref() {
            return Err(invalid(TENANT, "must not be changed"));
        }
        for (key, was_there) in [(CHANNEL, self.has_channel), (STATE, self.has_state)] {
            if was_there && document.get(key).is_none() {
                return Err(invalid(key, "must not be removed"));
            }
        }
        if !document.0.is_shallow() {
            let limit = Json::MAX_DEPTH;
            return Err(invalid(
                "document",
                format_args!("must be at most {limit} levels deep"),
            ));
        }
        Ok(())
    }
}

fn invalid(field: &'static str, what: impl fmt::Display) -> Error {
    Error::field_invalid(codes::SESSIONS_INVALID_DOCUMENT, field, what)
}

/// As Python's `isoformat`: `+00:00`, six digits of a second, and none when all of them are zero.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    let has_fraction = at.nanosecond() >= 1000;
    let digits = if has_fraction {
        SecondsFormat::Micros
    } else {
        SecondsFormat::Secs
    };
    at.to_rfc3339_opts(digits, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(1_795_487_813_000_000 + micros).unwrap()
    }

    #[test]
    fn a_document_from_a_writer_is_the_one_that_a_reader_finds() {
        let text = r#"{"user_id": "549", "a\"b": [[1.0], {}], "state": "\u00f1"}"#;
        let place = |part: &str| {
            let begins = text.find(part).unwrap();
            begins..begins + part.len()
        };
        let members = [
            (place("user_id"), place(r#""549""#), 0),
            (place(r#"a\"b"#), place("[[1.0], {}]"), 2),
            (place("state"), place(r#""\u00f1""#), 0),
        ];
        let (mut written, mut read) = (
            Document::from_written(text, members),
            Document::parse(text).unwrap(),
        );
        assert_eq!((&written, written.to_text()), (&read, text.to_owned()));
        for document in [&mut written, &mut read] {
            assert_eq!(document.state(), Some("ñ"));
            document.set(["a\"b", "1", "x"], 2).unwrap();
        }
        assert_eq!(written.to_text(), read.to_text());
        assert_eq!(Document::from_written("{}", []), Document::default());
    }

    #[test]
    fn a_new_document_is_the_apps_to_the_byte() {
        let tenant = TenantId::parse("hotel-test").unwrap();
        let document = Document::begin("5491112345678", "whatsapp", Some(&tenant), at(41_624));
        assert_eq!(
            document.to_text(),
            concat!(
                r#"{"user_id": "5491112345678", "canal": "whatsapp", "state": "initial", "context": {}, "#,
                r#""tts_enabled": false, "created_at": "2026-11-24T02:36:53.041624+00:00", "#,
                r#""last_activity": "2026-11-24T02:36:53.041624+00:00", "tenant_id": "hotel-test"}"#
            )
        );
        let alone = Document::begin("ana@hotel.example", "gmail", None, at(0));
        assert_eq!(alone.tenant_id(), None);
        assert!(
            alone
                .to_text()
                .ends_with(r#""last_activity": "2026-11-24T02:36:53+00:00"}"#)
        );
    }

    #[test]
    fn a_fraction_below_a_microsecond_is_no_fraction() {
        let moment = DateTime::from_timestamp(0, 999).unwrap();
        assert_eq!(timestamp(moment), "1970-01-01T00:00:00+00:00");
    }

    #[test]
    fn only_objects_are_documents() {
        for text in ["[]", "null", "\"session\"", "1", "{"] {
            let error = Document::parse(text).unwrap_err();
            assert!(error.is(codes::SESSIONS_INVALID_DOCUMENT), "{text}");
        }
        let mut document = Document::parse("{}").unwrap();
        assert_eq!(document.merge(&Json::Null).unwrap_err().field(), Some("patch"));
        assert_eq!(document.set([], 1).unwrap_err().field(), Some("path"));
    }

    #[test]
    fn identity_is_neither_changed_nor_removed() {
        let read = Document::begin("549", "whatsapp", None, at(0));
        let identity = Identity::of(&read);
        for (patch, field) in [
            (r#"{"user_id": "550"}"#, "user_id"),
            (r#"{"user_id": null}"#, "user_id"),
            (r#"{"tenant_id": "other"}"#, "tenant_id"),
            (r#"{"canal": null}"#, "canal"),
            (r#"{"state": null}"#, "state"),
        ] {
            let mut changed = read.clone();
            changed.merge(&Json::parse(patch).unwrap()).unwrap();
            assert_eq!(identity.check(&changed).unwrap_err().field(), Some(field));
        }
        let mut moved = read.clone();
        moved.set_state("booking");
        identity.check(&moved).unwrap();
    }

    #[test]
    fn a_foreign_document_needs_no_identity() {
        let foreign = Document::parse(r#"{"compressed": true}"#).unwrap();
        Identity::of(&foreign).check(&foreign).unwrap();
    }
}
