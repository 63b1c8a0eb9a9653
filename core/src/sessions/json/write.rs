//! The writer: Python's `json.dumps` with its defaults, character for character.

use super::members::Part;
use super::object::JsonObject;
use super::scan::{plain_length, special};
use super::text::JsonText;
use super::value::Json;

/// Writes one value. Recursive, so the caller keeps documents shallow.
pub(super) fn write(json: &Json) -> String {
    let read = json.as_object().map_or(0, JsonObject::length_hint);
    let mut out = String::with_capacity(read + 64);
    write_value(&mut out, json);
    out
}

fn write_value(out: &mut String, json: &Json) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => out.push_str(number.as_str()),
        Json::Text(text) => write_text(out, text),
        Json::List(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => match members.canonical_text() {
            Some(text) => out.push_str(text),
            None => write_members(out, members),
        },
    }
}

fn write_members(out: &mut String, members: &JsonObject) {
    out.push('{');
    for (position, (key, part)) in members.parts().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write_text(out, key);
        out.push_str(": ");
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value(value) => write_value(out, value),
        }
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &JsonText) {
    out.push('"');
    match text.as_str() {
        Some(text) => write_whole(out, text),
        None => text.broken_units().iter().for_each(|unit| write_unit(out, *unit)),
    }
    out.push('"');
}

/// Copies runs of plain characters at once: nearly all of a document is that.
fn write_whole(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        // No byte of a character beyond ASCII is plain, so the text is cut between characters.
        let (plain, special_first) = rest.split_at(plain_length(rest.as_bytes(), special));
        out.push_str(plain);
        let mut characters = special_first.chars();
        let Some(character) = characters.next() else {
            return;
        };
        for unit in character.encode_utf16(&mut [0; 2]) {
            write_unit(out, *unit);
        }
        rest = characters.as_str();
    }
}

fn write_unit(out: &mut String, unit: u16) {
    match unit {
        0x22 => out.push_str("\\\""),
        0x5c => out.push_str("\\\\"),
        0x0a => out.push_str("\\n"),
        0x0d => out.push_str("\\r"),
        0x09 => out.push_str("\\t"),
        0x0c => out.push_str("\\f"),
        0x08 => out.push_str("\\b"),
        0x20..=0x7e => out.push(char::from(u8::try_from(unit).unwrap_or(b'?'))),
        _ => {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from_digit(u32::from(unit >> shift) & 0xf, 16).unwrap_or('0'));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_python_escapes_them() {
        for (text, written) in [
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            ("\n\r\t\u{c}\u{8}", r#""\n\r\t\f\b""#),
            ("\0\u{1f}\u{7f}", r#""\u0000\u001f\u007f""#),
            ("ñ€😀", r#""\u00f1\u20ac\ud83d\ude00""#),
        ] {
            assert_eq!(Json::from(text).to_text(), written);
        }
        let broken = JsonText::from_utf16(vec![0x41, 0x22, 0xde00, 0x0a]);
        assert_eq!(Json::from(broken).to_text(), r#""A\"\ude00\n""#);
    }

    #[test]
    fn parts_are_separated_as_python_separates_them() {
        let json = Json::parse(r#"{"a":[1,2,[]],"b":{},"c":null}"#).unwrap();
        assert_eq!(json.to_text(), r#"{"a": [1, 2, []], "b": {}, "c": null}"#);
    }
}
