//! Reading what QloApps writes: numbers that are texts, texts that are numbers, empty objects that are lists.
//!
//! The same field has other types on another PHP version, after a write, and in a server with two languages. So
//! nothing here is read by its JSON type: a [`Node`] answers what a field means, or nothing.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;
use serde_json::Value;

use super::answer::not_understood;
use super::document;
use crate::error::Result;

/// How many places are tried for the beginning of the JSON in an answer with noise around it.
const BEGINNINGS: usize = 32;
/// Digits after the point that QloApps stores; more of them are noise of its floats.
const DECIMALS: u32 = 6;

/// Parses a body: JSON, or XML where the server did not hear that JSON was asked for. PHP may print warnings before it
/// and anything after it; both are skipped.
pub(super) fn parse(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return (value.is_object() || value.is_array()).then_some(value);
    }
    // Texts in a document may hold JSON, so it is looked for first.
    if let Some(value) = document::read(text) {
        return Some(value);
    }
    // A list without a root is empty, or has the names of what a key sees.
    let last = text.lines().next_back().filter(|line| line.starts_with('['));
    if let Some(Ok(list)) = last.map(serde_json::from_str::<Vec<Value>>) {
        return Some(Value::Array(list));
    }
    // A warning holds brackets too, so the first value that is an object with something in it counts.
    text.match_indices("{\"")
        .take(BEGINNINGS)
        .find_map(|(start, _)| first_value(text.get(start..)?))
}

fn first_value(text: &str) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values.next()?.ok()
}

/// A place in an answer; it may be empty.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(Option<&'a Value>);

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// A field; an empty node when it is missing.
    pub(super) fn field(self, name: &str) -> Node<'a> {
        Node(self.0.and_then(|value| value.get(name)))
    }

    pub(super) fn is_missing(self) -> bool {
        self.0.is_none()
    }

    /// Everything that stands here, as JSON.
    pub(super) fn written(self) -> String {
        self.0.map(Value::to_string).unwrap_or_default()
    }

    /// The text. QloApps writes `""`, `null` and `false` for unset ones, and one entry per language where a server
    /// has several: the first that is not empty counts.
    pub(super) fn text(self) -> Option<String> {
        match self.0? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(languages) => languages
                .iter()
                .find_map(|language| Node(language.get("value")).text()),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(self) -> Option<u64> {
        match self.0? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(on) => Some(u64::from(*on)),
            _ => None,
        }
    }

    /// The number of a thing: above zero.
    pub(super) fn id(self) -> Option<u64> {
        self.number().filter(|id| *id > 0)
    }

    /// A number of things. More than can be is as many as can be.
    pub(super) fn count(self) -> Option<u32> {
        self.number()
            .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// An amount, rounded to what QloApps stores.
    pub(super) fn decimal(self) -> Option<Decimal> {
        let text = match self.0? {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => return None,
        };
        let exact = text.parse::<Decimal>().ok();
        let number = exact.or_else(|| Decimal::from_scientific(&text).ok())?;
        Some(number.round_dp(DECIMALS))
    }

    /// Whether a switch is on. A missing one is off.
    pub(super) fn flag(self) -> bool {
        match self.0 {
            Some(Value::Bool(on)) => *on,
            Some(Value::String(text)) => !matches!(text.as_str(), "" | "0" | "false"),
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            _ => false,
        }
    }

    /// The members: of a list, or of an object whose keys are ids. An empty object is written as an empty list.
    pub(super) fn list(self) -> Vec<Node<'a>> {
        match self.0 {
            Some(Value::Array(items)) => items.iter().map(Node::new).collect(),
            Some(Value::Object(items)) => items.values().map(Node::new).collect(),
            _ => Vec::new(),
        }
    }

    /// A date, alone or with a time behind it.
    pub(super) fn date(self) -> Option<NaiveDate> {
        let text = self.text()?;
        NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()
    }

    /// A moment in the server's own time; `0000-00-00 00:00:00` is none.
    pub(super) fn moment(self) -> Option<NaiveDateTime> {
        NaiveDateTime::parse_from_str(&self.text()?, "%Y-%m-%d %H:%M:%S").ok()
    }

    /// A time of day, `12:00` or `12:00:00`.
    pub(super) fn time(self) -> Option<NaiveTime> {
        let text = self.text()?;
        let minutes = NaiveTime::parse_from_str(&text, "%H:%M");
        minutes
            .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"))
            .ok()
    }

    /// A field that must be there, read by one of the functions above.
    ///
    /// # Errors
    /// `pms.unexpected_answer`, naming the field.
    pub(super) fn required<T>(
        self,
        name: &'static str,
        read: impl FnOnce(Node<'a>) -> Option<T>,
    ) -> Result<T> {
        read(self.field(name))
            .ok_or_else(|| not_understood("a field is missing or unreadable").with("name", name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_may_be_written_as_anything() {
        for written in [json!(7), json!("7"), json!(" 7 ")] {
            assert_eq!(Node::new(&written).number(), Some(7));
        }
        for written in [json!(""), json!(null), json!([]), json!("seven"), json!(-1)] {
            assert_eq!(Node::new(&written).number(), None, "{written}");
        }
    }

    #[test]
    fn an_amount_loses_the_noise_of_floats_and_nothing_else() {
        for (written, amount) in [
            (json!("2080.000000"), "2080.000000"),
            (json!(81.2), "81.2"),
            (json!(1_872.000_000_000_000_2), "1872.000000"),
            (json!(1e3), "1000"),
        ] {
            assert_eq!(Node::new(&written).decimal(), amount.parse().ok(), "{written}");
        }
    }

    #[test]
    fn a_text_may_stand_in_several_languages() {
        let names = json!([{"id": 1, "value": ""}, {"id": 2, "value": "Habitación"}]);
        assert_eq!(Node::new(&names).text().as_deref(), Some("Habitación"));
        assert_eq!(Node::new(&json!(false)).text(), None);
    }

    #[test]
    fn a_list_may_be_an_object_and_an_empty_one_is_always_a_list() {
        assert_eq!(Node::new(&json!({"2": {"id_room": 2}})).list().len(), 1);
        assert_eq!(Node::new(&json!([])).list().len(), 0);
        assert_eq!(Node::new(&json!("")).list().len(), 0);
    }

    #[test]
    fn warnings_around_the_json_are_skipped() {
        let noisy = b"<br />\n<b>Warning</b>: Undefined {\"x\" in a.php\n{\"hotels\":[{\"id\":1}]}\n<br />";
        assert_eq!(parse(noisy), Some(json!({"hotels": [{"id": 1}]})));
        assert_eq!(parse(b"<b>Notice</b><br />\n[]"), Some(json!([])));
        assert_eq!(
            parse(b"<b>Notice</b><br />\n[\"hotels\"]"),
            Some(json!(["hotels"]))
        );
        assert_eq!(parse(b"Fatal error"), None);
        assert_eq!(parse(b"\"a text\""), None);
    }

    #[test]
    fn a_time_of_none_is_none() {
        assert_eq!(Node::new(&json!("0000-00-00 00:00:00")).moment(), None);
        assert_eq!(Node::new(&json!("0000-00-00")).date(), None);
    }
}
