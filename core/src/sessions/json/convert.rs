//! Conversions from Rust values, and from and to `serde_json`.

use super::number::JsonNumber;
use super::object::JsonObject;
use super::text::JsonText;
use super::value::Json;

macro_rules! from_numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Json {
            fn from(value: $number) -> Self {
                Self::Number(value.into())
            }
        })*
    };
}

from_numbers!(i32, i64, u32, u64, usize, f64);

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<JsonText> for Json {
    fn from(text: JsonText) -> Self {
        Self::Text(text)
    }
}

impl From<JsonNumber> for Json {
    fn from(number: JsonNumber) -> Self {
        Self::Number(number)
    }
}

impl From<JsonObject> for Json {
    fn from(members: JsonObject) -> Self {
        Self::Object(members)
    }
}

impl<Item: Into<Json>> From<Vec<Item>> for Json {
    fn from(items: Vec<Item>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// Nothing is `null`.
impl<Value: Into<Json>> From<Option<Value>> for Json {
    fn from(value: Option<Value>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Exact; the order of members is the order of the source.
impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(from_serde_number(&number)),
            Value::String(text) => text.into(),
            Value::Array(items) => items.into(),
            Value::Object(members) => Self::Object(members.into_iter().collect()),
        }
    }
}

fn from_serde_number(number: &serde_json::Number) -> JsonNumber {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.into(),
        _ => JsonNumber::from_checked(&number.to_string()),
    }
}

/// Lossy where `serde_json` has no room: `NaN`, the infinities and floats beyond range become `null`, integers
/// beyond 64 bits become the nearest float, lone surrogates become U+FFFD, the spelling of numbers is forgotten,
/// and so is the order of members unless the feature `preserve_order` of `serde_json` is on.
impl From<&Json> for serde_json::Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => to_serde_number(number),
            Json::Text(text) => Self::String(text.to_lossy().into_owned()),
            Json::List(items) => Self::Array(items.iter().map(Into::into).collect()),
            Json::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(key, value)| (key.to_lossy().into_owned(), value.into()))
                    .collect(),
            ),
        }
    }
}

fn to_serde_number(number: &JsonNumber) -> serde_json::Value {
    if let Some(integer) = number.as_u64() {
        integer.into()
    } else if let Some(integer) = number.as_i64() {
        integer.into()
    } else {
        serde_json::Number::from_f64(number.as_f64()).map_or(serde_json::Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_json_can_hold_goes_there_and_back() {
        let value = serde_json::json!({"a": [1, -2, 1.5, true, null, "ñ"], "b": {"c": u64::MAX}});
        assert_eq!(serde_json::Value::from(&Json::from(value.clone())), value);
    }

    #[test]
    fn what_serde_json_cannot_hold_becomes_what_is_documented() {
        let json = Json::parse(r#"[NaN, 123456789012345678901234567890, "\ud800"]"#).unwrap();
        assert_eq!(
            serde_json::Value::from(&json),
            serde_json::json!([null, 123_456_789_012_345_678_901_234_567_890.0, "\u{fffd}"])
        );
    }
}
