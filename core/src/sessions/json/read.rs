//! The reader: checks a text as a whole, and makes values of its parts.

use std::ops::Range;
use std::sync::Arc;

use super::check::{Checked, Checker, Fault, pass_member};
use super::decode::decode;
use super::members::{Read, Slots};
use super::number::JsonNumber;
use super::object::JsonObject;
use super::value::Json;

/// Reads exactly one value, at most `depth` lists and objects deep.
pub(super) fn read(bytes: &[u8], depth: usize) -> Result<Json, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|fault| Fault {
        at: fault.valid_up_to(),
        what: "not UTF-8",
    })?;
    let mut slots = Slots::of_length(text.len());
    let value = Checker::new(text, 0).document(depth, |key, member| slots.read(text, key, member))?;
    let shared = Arc::from(text);
    Ok(if is_object(text, &value) {
        Json::Object(JsonObject::of_text(Read::with_members(shared, value, slots)))
    } else {
        build(&shared, &value)
    })
}

/// Takes an object from code that wrote its text and knows its members: the places of each one's key, between the
/// quotes, and of its value, and how deep that is.
pub(super) fn written(
    text: &str,
    members: impl IntoIterator<Item = (Range<usize>, Range<usize>, u8)>,
) -> Json {
    let mut slots = Slots::of_length(text.len());
    let known = |place: Range<usize>, height| Checked {
        start: place.start,
        end: place.end,
        height,
        is_canonical: true,
    };
    let mut deepest = 0;
    for (key, value, height) in members {
        deepest = deepest.max(height);
        slots.read(text, key, known(value, height));
    }
    let object = known(0..text.len(), deepest + 1);
    debug_assert!(
        Checker::new(text, 0).document(Json::MAX_DEPTH, pass_member) == Ok(object),
        "a text that is said to be written is what it should be"
    );
    Json::Object(JsonObject::of_text(Read::with_members(
        Arc::from(text),
        object,
        slots,
    )))
}

/// Makes a value of its text. Objects stay text.
pub(super) fn build(text: &Arc<str>, value: &Checked) -> Json {
    let spelling = value.of(text);
    match spelling.as_bytes() {
        [b'"', .., b'"'] => Json::Text(decode(spelling.get(1..spelling.len() - 1).unwrap_or_default())),
        [b'{', ..] => Json::Object(JsonObject::of_text(Read::new(text.clone(), *value))),
        [b'[', ..] => {
            let mut items = Vec::new();
            let outcome = build_items(
                &mut Checker::new(text, value.start),
                text,
                Json::MAX_DEPTH,
                &mut items,
            );
            debug_assert!(outcome.is_ok(), "a text that was checked stays as it is");
            Json::List(items)
        }
        b"true" => Json::Bool(true),
        b"false" => Json::Bool(false),
        b"null" => Json::Null,
        _ => Json::Number(JsonNumber::from_checked(spelling)),
    }
}

/// Makes the items of a list, and of the lists among them, in one pass; returns the height of the list.
fn build_items(
    checker: &mut Checker<'_>,
    text: &Arc<str>,
    depth: usize,
    items: &mut Vec<Json>,
) -> Result<u8, Fault> {
    checker.list(depth, |checker, depth| {
        if checker.peek() != Some(b'[') {
            let item = checker.value(depth, pass_member)?;
            items.push(build(text, &item));
            return Ok(item.height);
        }
        let mut inner = Vec::new();
        let height = build_items(checker, text, depth, &mut inner)?;
        items.push(Json::List(inner));
        Ok(height)
    })
}

/// Takes an object apart. Its members stay text.
pub(super) fn take_apart(text: &Arc<str>, object: &Checked) -> Slots {
    let mut slots = Slots::of_length(object.end - object.start);
    let outcome =
        Checker::new(text, object.start).object(Json::MAX_DEPTH, |key, member| slots.read(text, key, member));
    debug_assert!(outcome.is_ok(), "a text that was checked stays as it is");
    slots
}

/// The value of a key in an object.
pub(super) fn find(text: &str, object: &Checked, key: &str) -> Option<Checked> {
    let mut found = None;
    let outcome = Checker::new(text, object.start).object(Json::MAX_DEPTH, |place, member| {
        if decode(text.get(place).unwrap_or_default()) == *key {
            found = Some(member);
        }
    });
    debug_assert!(outcome.is_ok(), "a text that was checked stays as it is");
    found
}

fn is_object(text: &str, value: &Checked) -> bool {
    value.of(text).starts_with('{')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sessions::JsonText;

    fn rewritten(text: &str) -> String {
        Json::read(text.as_bytes()).unwrap().to_text()
    }

    #[test]
    fn what_python_writes_is_written_back_byte_for_byte() {
        for text in [
            r#"{"nan": NaN, "up": Infinity, "down": -Infinity, "list": [1.0, 1, -0, -0.0, 1e-05, 1E400, 1.5e+300]}"#,
            r#"{"large": 123456789012345678901234567890, "half": "a\ud83d", "pair": "\ud83d\ude00", "low": "\ude00z"}"#,
            r#"{"\ud800": {"\udfff": []}, "high high": "\ud83d\ud83d\ude00", "": {}}"#,
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn other_spellings_of_texts_become_pythons() {
        assert_eq!(
            rewritten("\t[ \"\\/ñ\\u00F1\" ,\r\n{} ]\n"),
            r#"["/\u00f1\u00f1", {}]"#
        );
    }

    #[test]
    fn a_key_that_occurs_twice_is_found_among_few_and_among_many() {
        for count in [2, 16, 17, 300] {
            let once: Vec<_> = (0..count).map(|number| format!(r#""k{number}": 0"#)).collect();
            let text = |members: &[String]| format!("{{{}}}", members.join(", "));
            assert_eq!(Json::parse(text(&once)).unwrap().to_text(), text(&once));
            let twice = [&once[..], &[r#""k1": 0"#.to_owned()]].concat();
            assert_eq!(Json::parse(text(&twice)).unwrap().to_text(), text(&once));
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_value_counts_at_the_first_place() {
        assert_eq!(rewritten(r#"{"a": 1, "b": 2, "a": 3}"#), r#"{"a": 3, "b": 2}"#);
    }

    #[test]
    fn what_json_loads_refuses_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "tru",
            "-",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-NaN",
            "nan",
            "Inf",
            "--1",
            "{",
            "[",
            "\"",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":}",
            "[1 2]",
            "1 2",
            "\"\n\"",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u+123""#,
            r#""\u123ñ""#,
            r#""\"#,
            r#""\ud83d\u12""#,
            "\u{feff}1",
            "'a'",
            "/* */1",
            "[1]]",
            "\u{a0}1",
        ] {
            assert!(Json::read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Json::read(b"\"\xff\"").is_err());
        assert!(Json::read(b"\"\xed\xa0\x80\"").is_err());
    }

    #[test]
    fn faults_name_the_place() {
        let fault = Json::read(br#"{"a": 1 "b": 2}"#).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "a comma or the end of the object should be here at byte 8"
        );
    }

    #[test]
    fn a_hostile_depth_is_a_fault_and_not_a_crash() {
        for opening in ["[", r#"{"a":"#, r#"[{"a":"#] {
            let fault = Json::read(opening.repeat(1_000_000).as_bytes()).unwrap_err();
            assert!(fault.to_string().contains("too deep"));
        }
    }

    fn any_text() -> impl Strategy<Value = JsonText> {
        prop_oneof![
            any::<String>().prop_map(JsonText::from),
            prop::collection::vec(any::<u16>(), 0..8).prop_map(JsonText::from_utf16),
            prop::collection::vec(0xd7f0..0xe010_u16, 0..6).prop_map(JsonText::from_utf16),
        ]
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?"
                .prop_map(|spelling| JsonNumber::from_checked(&spelling).into()),
            any_text().prop_map(Json::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::List),
                prop::collection::vec((any_text(), inner), 0..6)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_serde() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_a_round_trip(json in any_json()) {
            let text = json.to_text();
            prop_assert!(text.is_ascii());
            let again = Json::read(text.as_bytes()).unwrap();
            prop_assert_eq!(again.to_text(), text);
            prop_assert_eq!(again, json);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Json::read(&bytes);
        }

        #[test]
        fn almost_json_never_panics(text in r#"[\[\]{}:,"\\u0dD8eE+.\-NaIinfty ñ😀0-9]{0,60}"#) {
            let outcome = Json::read(text.as_bytes());
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                prop_assert!(outcome.is_ok());
            }
        }

        #[test]
        fn valid_json_means_what_serde_json_says(value in any_serde(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let json = Json::read(text.as_bytes()).unwrap();
            let reread = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(reread(&json.to_text()), reread(&text));
            prop_assert_eq!(serde_json::Value::from(&json), value);
        }
    }
}
