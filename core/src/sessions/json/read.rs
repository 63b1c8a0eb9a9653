//! The reader: what Python's `json.loads` takes, in one pass over UTF-8.

use std::fmt;

use super::number::JsonNumber;
use super::object::JsonObject;
use super::scan::plain_length;
use super::text::JsonText;
use super::value::Json;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    at: usize,
    what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Reads exactly one value, at most `depth` lists and objects deep.
pub(super) fn read(bytes: &[u8], depth: usize) -> Result<Json, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|fault| Fault {
        at: fault.valid_up_to(),
        what: "not UTF-8",
    })?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(depth)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("more text after the value")),
    }
}

/// `at` always stands on a character boundary: the reader only ever steps over whole ASCII bytes and whole runs
/// that end before one.
struct Reader<'text> {
    text: &'text str,
    at: usize,
}

impl<'text> Reader<'text> {
    fn value(&mut self, depth: usize) -> Result<Json, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => self.object(self.deeper(depth)?),
            Some(b'[') => self.list(self.deeper(depth)?),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.fault("not the beginning of a value")),
            None => Err(self.fault("the text ends where a value should be")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        depth
            .checked_sub(1)
            .ok_or_else(|| self.fault("lists and objects stand too deep in each other"))
    }

    fn object(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut members = JsonObject::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key in double quotes should be here"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.fault("a colon should be here"));
            }
            members.insert(key, self.value(depth)?);
            self.skip_space();
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or the end of the object should be here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Json::List(items));
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or the end of the list should be here"));
            }
        }
    }

    fn number(&mut self) -> Result<Json, Fault> {
        let start = self.at;
        let negative = self.take(b'-');
        if (!negative && self.take_word("NaN")) || self.take_word("Infinity") {
            return Ok(self.number_since(start));
        }
        if !self.take(b'0') && self.take_digits() == 0 {
            return Err(self.fault("not a number"));
        }
        // Like Python, a fraction or exponent without digits is left to the next step, which finds it misplaced.
        let whole = self.at;
        if self.take(b'.') && self.take_digits() == 0 {
            self.at = whole;
        }
        let mantissa = self.at;
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            if self.take_digits() == 0 {
                self.at = mantissa;
            }
        }
        Ok(self.number_since(start))
    }

    fn number_since(&self, start: usize) -> Json {
        let spelling = self.text.get(start..self.at).unwrap_or_default();
        Json::Number(JsonNumber::from_checked(spelling))
    }

    fn string(&mut self) -> Result<JsonText, Fault> {
        self.at += 1;
        let plain = self.run()?;
        if self.take(b'"') {
            return Ok(plain.into());
        }
        let mut builder = Builder::new(plain);
        while self.take(b'\\') {
            match self.escape()? {
                Escaped::Character(character) => builder.push(character),
                Escaped::Lone(surrogate) => builder.push_lone(surrogate),
            }
            builder.push_str(self.run()?);
        }
        self.at += 1;
        Ok(builder.finish())
    }

    /// The characters up to the next quote or backslash, which is there.
    fn run(&mut self) -> Result<&'text str, Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = plain_length(rest.as_bytes(), |byte| {
            byte == b'"' || byte == b'\\' || byte < 0x20
        });
        let end = self.at + length;
        match self.text.as_bytes().get(end) {
            None => Err(self.fault("the text ends inside a string")),
            Some(0..=0x1f) => {
                self.at = end;
                Err(self.fault("a control character inside a string"))
            }
            Some(_) => {
                self.at = end;
                Ok(rest.get(..length).unwrap_or_default())
            }
        }
    }

    fn escape(&mut self) -> Result<Escaped, Fault> {
        let character = match self.peek() {
            Some(same @ (b'"' | b'\\' | b'/')) => char::from(same),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.fault("not an escape")),
        };
        self.at += 1;
        Ok(Escaped::Character(character))
    }

    /// One `\uXXXX`, or two that form a pair.
    fn unicode_escape(&mut self) -> Result<Escaped, Fault> {
        let unit = self.hexadecimal()?;
        let after = self.at;
        if (0xd800..0xdc00).contains(&unit) && self.take_word("\\u") {
            let second = self.hexadecimal()?;
            if let Some(Ok(character)) = char::decode_utf16([unit, second]).next() {
                return Ok(Escaped::Character(character));
            }
            self.at = after;
        }
        Ok(match char::from_u32(u32::from(unit)) {
            Some(character) => Escaped::Character(character),
            None => Escaped::Lone(unit),
        })
    }

    fn hexadecimal(&mut self) -> Result<u16, Fault> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.fault("an escape needs four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Fault> {
        if self.take_word(word) {
            Ok(value)
        } else {
            Err(self.fault("not the beginning of a value"))
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word));
        if found {
            self.at += word.len();
        }
        found
    }

    fn take_digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

enum Escaped {
    Character(char),
    /// Half of a surrogate pair, without the other half.
    Lone(u16),
}

/// Joins runs and escapes, as UTF-16 units once a surrogate stands alone.
struct Builder {
    whole: String,
    broken: Option<Vec<u16>>,
}

impl Builder {
    fn new(plain: &str) -> Self {
        Self {
            whole: plain.to_owned(),
            broken: None,
        }
    }

    fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    fn push_str(&mut self, run: &str) {
        match &mut self.broken {
            Some(units) => units.extend(run.encode_utf16()),
            None => self.whole.push_str(run),
        }
    }

    fn push_lone(&mut self, surrogate: u16) {
        let units = self
            .broken
            .get_or_insert_with(|| self.whole.encode_utf16().collect());
        units.push(surrogate);
    }

    fn finish(self) -> JsonText {
        match self.broken {
            Some(units) => JsonText::from_utf16(units),
            None => self.whole.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
