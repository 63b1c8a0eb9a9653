//! A small strict reader of JSON for tokens, which come from strangers.
//!
//! Stricter than the standard where tokens must be: no duplicate member at any level, at most 16 levels, 64 members
//! an object and 1 KiB a text, no lone surrogate, no byte order mark, nothing after the value. A number is an exact
//! integer of 64 bits or a finite float. Nothing allocates before its size is checked.

use std::iter::Peekable;
use std::str::CharIndices;

const DEEPEST: usize = 16;
const MOST_MEMBERS: usize = 64;
const LONGEST_TEXT: usize = 1024;

/// A value of a token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// The members of an object in their order; names are unique.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Object(Vec<(String, Value)>);

impl Object {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

/// Reads a text that is exactly one object. The reason of a refusal never repeats the text.
pub(super) fn object(text: &str) -> Result<Object, &'static str> {
    let mut reader = Reader {
        text,
        rest: text.char_indices().peekable(),
    };
    let value = reader.value(0)?;
    reader.skip_space();
    match (value, reader.rest.next()) {
        (Value::Object(object), None) => Ok(object),
        (_, Some(_)) => Err("has something after its JSON"),
        (_, None) => Err("is not a JSON object"),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEEPEST {
            return Err("is nested too deeply");
        }
        self.skip_space();
        match self.rest.peek().map(|(_, next)| *next) {
            Some('{') => self.members(depth),
            Some('[') => self.items(depth),
            Some('"') => self.string().map(Value::Text),
            Some('t') => self.word("true", Value::Bool(true)),
            Some('f') => self.word("false", Value::Bool(false)),
            Some('n') => self.word("null", Value::Null),
            Some('-' | '0'..='9') => self.number(),
            _ => Err("is not JSON"),
        }
    }

    fn members(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.rest.next();
        let mut object = Object::default();
        self.skip_space();
        if self.takes('}') {
            return Ok(Value::Object(object));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.expect(':')?;
            let value = self.value(depth + 1)?;
            if object.get(&name).is_some() {
                return Err("has a member twice");
            }
            if object.0.len() == MOST_MEMBERS {
                return Err("has too many members");
            }
            object.0.push((name, value));
            self.skip_space();
            if self.takes('}') {
                return Ok(Value::Object(object));
            }
            self.expect(',')?;
        }
    }

    fn items(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.rest.next();
        let mut items = Vec::new();
        self.skip_space();
        if self.takes(']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if items.len() > MOST_MEMBERS {
                return Err("has too long a list");
            }
            self.skip_space();
            if self.takes(']') {
                return Ok(Value::List(items));
            }
            self.expect(',')?;
        }
    }

    fn string(&mut self) -> Result<String, &'static str> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            let (_, next) = self.rest.next().ok_or("is not JSON")?;
            let character = match next {
                '"' => return Ok(text),
                '\\' => self.escape()?,
                plain if plain < ' ' => return Err("has a control character in a text"),
                plain => plain,
            };
            text.push(character);
            if text.len() > LONGEST_TEXT {
                return Err("has too long a text");
            }
        }
    }

    fn escape(&mut self) -> Result<char, &'static str> {
        match self.rest.next().map(|(_, next)| next) {
            Some(same @ ('"' | '\\' | '/')) => Ok(same),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => self.code_point(),
            _ => Err("is not JSON"),
        }
    }

    fn code_point(&mut self) -> Result<char, &'static str> {
        const LONE: &str = "has half a character";
        let first = self.four_digits()?;
        let point = match first {
            0xD800..=0xDBFF => {
                if !(self.takes('\\') && self.takes('u')) {
                    return Err(LONE);
                }
                let second = self.four_digits()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(LONE);
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            point => point,
        };
        char::from_u32(point).ok_or(LONE)
    }

    fn four_digits(&mut self) -> Result<u32, &'static str> {
        let mut point = 0;
        for _ in 0..4 {
            let digit = self.rest.next().and_then(|(_, digit)| digit.to_digit(16));
            point = point * 16 + digit.ok_or("is not JSON")?;
        }
        Ok(point)
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let start = self.position();
        let mut is_integer = true;
        self.takes('-');
        // A number begins with one zero or with another digit.
        if !self.takes('0') && self.digits() == 0 {
            return Err("is not JSON");
        }
        if self.takes('.') {
            is_integer = false;
            if self.digits() == 0 {
                return Err("is not JSON");
            }
        }
        if self.takes('e') || self.takes('E') {
            is_integer = false;
            if !self.takes('+') {
                self.takes('-');
            }
            if self.digits() == 0 {
                return Err("is not JSON");
            }
        }
        let text = self.text.get(start..self.position()).unwrap_or_default();
        if is_integer {
            return text
                .parse()
                .map(Value::Integer)
                .map_err(|_| "has a number out of range");
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err("has a number out of range"),
        }
    }

    fn digits(&mut self) -> usize {
        let mut count = 0;
        while self.rest.next_if(|(_, next)| next.is_ascii_digit()).is_some() {
            count += 1;
        }
        count
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, &'static str> {
        for letter in word.chars() {
            self.expect(letter)?;
        }
        Ok(value)
    }

    fn position(&mut self) -> usize {
        self.rest
            .peek()
            .map_or(self.text.len(), |(position, _)| *position)
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.rest.next_if(|(_, next)| *next == wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), &'static str> {
        if self.takes(wanted) {
            Ok(())
        } else {
            Err("is not JSON")
        }
    }

    fn skip_space(&mut self) {
        while self
            .rest
            .next_if(|(_, next)| matches!(next, ' ' | '\t' | '\n' | '\r'))
            .is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_standard_allows_is_read() {
        let read =
            object(r#" {"a" : [1, -2.5e0, true, null, "\ud83d\ude00\n\u00e9/"], "b":{"c":{}}, "d":[]} "#)
                .unwrap();
        let Some(Value::List(items)) = read.get("a") else {
            panic!("a list: {read:?}")
        };
        assert_eq!(
            items[..2],
            [Value::Integer(1), Value::Float(-2.5)],
            "integers stay integers"
        );
        assert_eq!(items[4], Value::Text("\u{1f600}\né/".to_owned()));
        assert!(matches!(read.get("b"), Some(Value::Object(_))) && read.get("x").is_none());
    }

    #[test]
    fn what_is_not_one_plain_object_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            "\"x\"",
            "1",
            "{",
            "{}x",
            "{} {}",
            "\u{feff}{}",
            "{'a':1}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\x"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":tru}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            r#"{"a" 1}"#,
            r#"{"a":[1 2]}"#,
            "{1:2}",
        ] {
            assert!(object(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_breadth_and_length_have_limits() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(object(&nested(16)).is_ok());
        for levels in [17, 200, 2000, 100_000] {
            assert_eq!(object(&nested(levels)), Err("is nested too deeply"), "{levels}");
        }
        let wide = |members: usize| {
            let members: Vec<_> = (0..members).map(|member| format!("\"{member}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(object(&wide(64)).is_ok() && object(&wide(65)).is_err());
        let long = |letters: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(letters));
        assert!(object(&long(1024)).is_ok() && object(&long(1025)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_serde_accepts_as_well(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"a\"", "\"b\"", "\"\\u00e9\"", "1", "-0", "1.5", "1e3", "true", "null", " ", "x",
            ]), 0..12),
            inner in prop::bool::ANY,
        ) {
            let text = if inner { format!("{{{}}}", pieces.concat()) } else { pieces.concat() };
            if object(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn any_text_survives_as_a_member(member in "[^\u{0}-\u{1f}]{0,200}") {
            let text = serde_json::json!({ "a": member }).to_string();
            let read = object(&text).unwrap();
            prop_assert_eq!(read.get("a"), Some(&Value::Text(member)));
        }
    }
}
