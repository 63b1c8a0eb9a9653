//! What is taken apart only where it is looked at behaves as what is taken apart at once: a plain model of documents
//! reads, changes and writes the same.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A document without any cleverness.
#[derive(Debug, Clone, PartialEq)]
enum Model {
    /// `null`, `true`, `false` or a number.
    Bare(String),
    Text(Vec<u16>),
    List(Vec<Model>),
    /// As it is spelt: a key may occur again.
    Object(Vec<(String, Model)>),
}

impl Model {
    /// As a reader understands it: of each key the last value, at the place of the first.
    fn settled(&self) -> Self {
        match self {
            Self::List(items) => Self::List(items.iter().map(Self::settled).collect()),
            Self::Object(members) => {
                let mut settled = Self::Object(Vec::new());
                for (key, value) in members {
                    settled.insert(key, value.settled());
                }
                settled
            }
            same => same.clone(),
        }
    }

    fn insert(&mut self, key: &str, value: Self) {
        if let Self::Object(members) = self {
            match members.iter_mut().find(|(known, _)| known == key) {
                Some((_, place)) => *place = value,
                None => members.push((key.to_owned(), value)),
            }
        }
    }

    fn remove(&mut self, key: &str) {
        if let Self::Object(members) = self {
            members.retain(|(known, _)| known != key);
        }
    }

    fn merge(&mut self, patch: &Self) {
        let Self::Object(changes) = patch else {
            *self = patch.clone();
            return;
        };
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        for (key, change) in changes {
            if *change == Self::Bare("null".into()) {
                self.remove(key);
                continue;
            }
            let Self::Object(members) = &mut *self else {
                return;
            };
            let known = members.iter().find(|(known, _)| known == key);
            let mut merged = known.map_or(Self::Bare("null".into()), |(_, value)| value.clone());
            merged.merge(change);
            self.insert(key, merged);
        }
    }

    /// The part to which a path of choices leads.
    fn place(&mut self, path: &[usize]) -> &mut Self {
        let parts = match self {
            Self::List(items) => items.len(),
            Self::Object(members) => members.len(),
            _ => 0,
        };
        let (Some((choice, path)), 1..) = (path.split_first(), parts) else {
            return self;
        };
        match self {
            Self::List(items) => items[choice % parts].place(path),
            Self::Object(members) => members[choice % parts].1.place(path),
            _ => unreachable!("it has parts"),
        }
    }

    /// Taken apart from the beginning.
    fn eager(&self) -> Json {
        match self {
            Self::Bare(word) => match &**word {
                "null" => Json::Null,
                "true" => true.into(),
                "false" => false.into(),
                number => JsonNumber::from_checked(number).into(),
            },
            Self::Text(units) => JsonText::from_utf16(units.clone()).into(),
            Self::List(items) => Json::List(items.iter().map(Self::eager).collect()),
            Self::Object(members) => {
                let mut object = JsonObject::new();
                for (key, value) in members {
                    object.insert(key.as_str(), value.eager());
                }
                object.into()
            }
        }
    }

    /// Spelt in a way that `style` chooses.
    fn spell(&self, style: &mut Style) -> String {
        let mut text = String::new();
        self.spell_to(&mut text, style);
        text
    }

    fn spell_to(&self, out: &mut String, style: &mut Style) {
        match self {
            Self::Bare(word) => out.push_str(word),
            Self::Text(units) => spell_text(out, units, style),
            Self::List(items) => {
                out.push('[');
                out.push_str(style.space(""));
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                        out.push_str(style.space(" "));
                    }
                    item.spell_to(out, style);
                    out.push_str(style.space(""));
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                out.push_str(style.space(""));
                for (position, (key, value)) in members.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                        out.push_str(style.space(" "));
                    }
                    spell_text(out, &key.encode_utf16().collect::<Vec<_>>(), style);
                    out.push_str(style.space(""));
                    out.push(':');
                    out.push_str(style.space(" "));
                    value.spell_to(out, style);
                    out.push_str(style.space(""));
                }
                out.push('}');
            }
        }
    }

    /// What Python's `json.dumps` would write.
    fn dumps(&self) -> String {
        self.settled().spell(&mut Style::python())
    }
}

/// Chooses between spellings: now and then another one than Python's, as often as there are ones among the choices.
struct Style {
    choices: Vec<u8>,
    next: usize,
}

impl Style {
    fn python() -> Self {
        Self {
            choices: vec![0],
            next: 0,
        }
    }

    fn choose(&mut self) -> u8 {
        self.next += 1;
        self.choices[self.next % self.choices.len()]
    }

    fn space(&mut self, pythons: &'static str) -> &'static str {
        match self.choose() {
            1 => "",
            2 => "\n\t",
            3 => " ",
            4 => " \r",
            _ => pythons,
        }
    }
}

fn spell_text(out: &mut String, units: &[u16], style: &mut Style) {
    out.push('"');
    for character in char::decode_utf16(units.iter().copied()) {
        let escaped = |out: &mut String, unit: u16| write!(out, "\\u{unit:04x}").unwrap();
        match (character, style.choose()) {
            (Err(lone), _) => escaped(out, lone.unpaired_surrogate()),
            (Ok('"'), _) => out.push_str("\\\""),
            (Ok('\\'), _) => out.push_str("\\\\"),
            (Ok('/'), 1) => out.push_str("\\/"),
            (Ok(character), 1) if character >= '\x7f' => out.push(character),
            (Ok(character), 2) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}").unwrap();
                }
            }
            (Ok('\n'), _) => out.push_str("\\n"),
            (Ok('\r'), _) => out.push_str("\\r"),
            (Ok('\t'), _) => out.push_str("\\t"),
            (Ok('\x08'), _) => out.push_str("\\b"),
            (Ok('\x0c'), _) => out.push_str("\\f"),
            (Ok(character @ ' '..='~'), _) => out.push(character),
            (Ok(character), _) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    escaped(out, *unit);
                }
            }
        }
    }
    out.push('"');
}

/// What happens to a document.
#[derive(Debug, Clone)]
enum Event {
    Look(Vec<usize>),
    Write(Vec<usize>),
    Copy,
    Insert(Vec<usize>, String, Model),
    Remove(Vec<usize>, String),
    Replace(Vec<usize>, Model),
    Push(Vec<usize>, Model),
    Merge(Vec<usize>, Model),
}

fn place<'json>(json: &'json mut Json, path: &[usize]) -> &'json mut Json {
    let parts = parts_of(json);
    let (Some((choice, path)), 1..) = (path.split_first(), parts) else {
        return json;
    };
    match json {
        Json::List(items) => place(&mut items[choice % parts], path),
        Json::Object(members) => {
            let (key, _) = members.iter().nth(choice % parts).unwrap();
            let key = key.to_string();
            place(members.get_mut(&key).unwrap(), path)
        }
        _ => unreachable!("it has parts"),
    }
}

fn parts_of(json: &Json) -> usize {
    match json {
        Json::List(items) => items.len(),
        Json::Object(members) => members.len(),
        _ => 0,
    }
}

fn look<'json>(json: &'json Json, path: &[usize]) -> &'json Json {
    let Some((choice, path)) = path.split_first() else {
        return json;
    };
    match json {
        Json::List(items) if !items.is_empty() => look(&items[choice % items.len()], path),
        Json::Object(members) if !members.is_empty() => {
            let (_, value) = members.iter().nth(choice % members.len()).unwrap();
            look(value, path)
        }
        _ => json,
    }
}

fn any_model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        "null|true|false|NaN|-Infinity|-0|1\\.0|1E400|[1-9][0-9]{0,30}".prop_map(Model::Bare),
        "[a-z /\"\\\\\n\r\t\u{c}\u{8}\u{7f}ñ😀]{0,20}"
            .prop_map(|text| Model::Text(text.encode_utf16().collect())),
        prop::collection::vec(0xd7fe..0xe002_u16, 0..4).prop_map(Model::Text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Model::List),
            prop::collection::vec((any_key(), inner), 0..6).prop_map(Model::Object),
        ]
    })
}

/// Few, so that they meet each other.
fn any_key() -> impl Strategy<Value = String> {
    "[abñ/]|\"\n|a key that is longer than the keys that are kept in place, 😀|[a-z]{2}"
}

fn any_event() -> impl Strategy<Value = Event> {
    let path = || prop::collection::vec(0..6_usize, 0..4);
    prop_oneof![
        path().prop_map(Event::Look),
        path().prop_map(Event::Write),
        Just(Event::Copy),
        (path(), any_key(), any_model()).prop_map(|(path, key, value)| Event::Insert(path, key, value)),
        (path(), any_key()).prop_map(|(path, key)| Event::Remove(path, key)),
        (path(), any_model()).prop_map(|(path, value)| Event::Replace(path, value)),
        (path(), any_model()).prop_map(|(path, value)| Event::Push(path, value)),
        (path(), any_model()).prop_map(|(path, patch)| Event::Merge(path, patch)),
    ]
}

/// Mostly as Python would write, sometimes not at all.
fn any_style() -> impl Strategy<Value = Style> {
    let rarely = prop_oneof![9 => Just(0), 1 => 0..5_u8];
    prop_oneof![
        Just(vec![0]),
        prop::collection::vec(rarely, 1..40),
        prop::collection::vec(0..5_u8, 1..40)
    ]
    .prop_map(|choices| Style { choices, next: 0 })
}

impl std::fmt::Debug for Style {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.choices)
    }
}

fn read(model: &Model, style: &mut Style) -> Json {
    Json::parse(model.spell(style)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_document_that_was_read_is_the_one_that_was_built(model in any_model(), mut style in any_style()) {
        let text = model.spell(&mut style);
        let (read, built) = (Json::parse(&text).unwrap(), model.eager());
        prop_assert_eq!(read.to_text(), model.dumps());
        prop_assert_eq!(built.to_text(), model.dumps());
        let fresh = Json::parse(&text).unwrap();
        prop_assert_eq!(&built, &fresh);
        let fresh = Json::parse(&text).unwrap();
        prop_assert_eq!(&fresh, &built);
        prop_assert_eq!(format!("{fresh:?}"), format!("{built:?}"));
        prop_assert_eq!(&fresh, &Json::parse(model.dumps()).unwrap());
    }

    #[test]
    fn documents_are_equal_when_their_members_are(one in any_model(), other in any_model(), mut style in any_style()) {
        let are_equal = one.eager() == other.eager();
        prop_assert_eq!(read(&one, &mut style) == read(&other, &mut style), are_equal);
        prop_assert_eq!(read(&one, &mut style) == other.eager(), are_equal);
    }

    #[test]
    fn whatever_happens_to_a_document_it_is_written_as_a_plain_one_would_be(
        model in any_model(),
        mut style in any_style(),
        events in prop::collection::vec(any_event(), 0..8),
    ) {
        let mut json = read(&model, &mut style);
        let mut model = model.settled();
        let mut copies = Vec::new();
        for event in events {
            match event {
                Event::Look(path) => {
                    prop_assert_eq!(look(&json, &path), &model.place(&path).eager());
                }
                Event::Write(path) => {
                    prop_assert_eq!(look(&json, &path).to_text(), model.place(&path).dumps());
                }
                Event::Copy => copies.push((json.clone(), model.clone())),
                Event::Insert(path, key, value) => {
                    model.place(&path).insert(&key, value.settled());
                    if let Json::Object(members) = place(&mut json, &path) {
                        members.insert(key.as_str(), read(&value, &mut style));
                    }
                }
                Event::Remove(path, key) => {
                    let mut before = model.place(&path).clone();
                    model.place(&path).remove(&key);
                    if let Json::Object(members) = place(&mut json, &path) {
                        let removed = members.remove(&key);
                        before.merge(&Model::Object(Vec::new()));
                        let Model::Object(known) = before else { unreachable!() };
                        let known = known.into_iter().find(|(known, _)| *known == key);
                        prop_assert_eq!(removed, known.map(|(_, value)| value.eager()));
                    }
                }
                Event::Replace(path, value) => {
                    *model.place(&path) = value.settled();
                    *place(&mut json, &path) = read(&value, &mut style);
                }
                Event::Push(path, value) => {
                    if let (Model::List(items), Json::List(others)) = (model.place(&path), place(&mut json, &path)) {
                        items.push(value.settled());
                        others.push(read(&value, &mut style));
                    }
                }
                Event::Merge(path, patch) => {
                    model.place(&path).merge(&patch.settled());
                    place(&mut json, &path).merge(&read(&patch, &mut style));
                }
            }
        }
        copies.push((json, model));
        for (json, model) in copies {
            prop_assert_eq!(json.to_text(), model.dumps());
            prop_assert_eq!(json, model.eager());
        }
    }
}

/// Texts that `json.dumps` would write otherwise.
const ODD: &[(&str, &str)] = &[
    (r#"{"a":1}"#, r#"{"a": 1}"#),
    (r#"{ "a": 1}"#, r#"{"a": 1}"#),
    (r#"{"a" : 1}"#, r#"{"a": 1}"#),
    (r#"{"a":  1}"#, r#"{"a": 1}"#),
    (r#"{"a": 1 }"#, r#"{"a": 1}"#),
    ("{\"a\":\t1}", r#"{"a": 1}"#),
    (r#"{"a": 1,"b": 2}"#, r#"{"a": 1, "b": 2}"#),
    (r#"{"a": 1 , "b": 2}"#, r#"{"a": 1, "b": 2}"#),
    (r"{ }", r"{}"),
    (r#"{"a": [ ]}"#, r#"{"a": []}"#),
    (r#"{"a": [1,2]}"#, r#"{"a": [1, 2]}"#),
    (r#"{"a": [ 1, 2]}"#, r#"{"a": [1, 2]}"#),
    (r#"{"a": [1, 2 ]}"#, r#"{"a": [1, 2]}"#),
    (r#"{"a": "\/"}"#, r#"{"a": "/"}"#),
    (r#"{"a": "\u00F1"}"#, r#"{"a": "\u00f1"}"#),
    (r#"{"a": "\u0041"}"#, r#"{"a": "A"}"#),
    (r#"{"a": "\u000a"}"#, r#"{"a": "\n"}"#),
    (r#"{"a": "\u0022"}"#, r#"{"a": "\""}"#),
    (r#"{"a": "ñ\u00f1"}"#, r#"{"a": "\u00f1\u00f1"}"#),
    ("{\"a\": \"\u{7f}\"}", r#"{"a": "\u007f"}"#),
    (r#"{"a": 1, "a": 1}"#, r#"{"a": 1}"#),
    (r#"{"a": 1, "\u0061": 2}"#, r#"{"a": 2}"#),
    (
        r#"{"a": [{"b": 1, "c": 2, "b": 3}]}"#,
        r#"{"a": [{"b": 3, "c": 2}]}"#,
    ),
];

#[test]
fn what_json_dumps_would_write_otherwise_is_not_copied() {
    for (odd, expected) in ODD {
        let json = Json::parse(odd).unwrap();
        assert_eq!(json.as_object().unwrap().canonical_text(), None, "{odd}");
        assert_eq!(json.to_text(), *expected, "{odd}");
        let around = Json::parse(format!("[{odd}, {expected}]")).unwrap();
        assert_eq!(around.to_text(), format!("[{expected}, {expected}]"));
        let again = Json::parse(expected).unwrap();
        assert_eq!(again.as_object().unwrap().canonical_text(), Some(*expected));
    }
}

#[test]
fn a_key_that_comes_again_among_many_is_found() {
    for length in [2, 15, 16, 17, 18, 100] {
        let keys: Vec<_> = (0..length)
            .map(|number| format!("\"key{}\": 0", number * 7 % length))
            .collect();
        let unique = format!("{{{}}}", keys.join(", "));
        assert_eq!(
            Json::parse(&unique)
                .unwrap()
                .as_object()
                .unwrap()
                .canonical_text(),
            Some(&*unique)
        );
        for again in 0..length {
            let twice = format!("{{{}, \"key{again}\": 0}}", keys.join(", "));
            let json = Json::parse(&twice).unwrap();
            assert_eq!(
                json.as_object().unwrap().canonical_text(),
                None,
                "{again} of {length}"
            );
            assert_eq!(json.to_text(), unique);
        }
    }
}

#[test]
fn what_was_read_is_as_deep_as_it_was_wherever_it_is_put() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, is_shallow) in [(Json::MAX_DEPTH - 3, true), (Json::MAX_DEPTH - 2, false)] {
        let part = format!(r#"{{"a": {{"b": {}}}}}"#, lists(depth));
        let around = Json::List(vec![Json::parse(&part).unwrap()]);
        assert_eq!(around.is_shallow(), is_shallow, "as it was read");
        let mut changed = around.clone();
        changed.set(["0", "c"], 1).unwrap();
        assert_eq!(changed.is_shallow(), is_shallow, "a text in a changed object");
        changed.set(["0", "a", "c"], 1).unwrap();
        assert_eq!(changed.is_shallow(), is_shallow, "changed inside");
        assert_eq!(Json::parse(changed.to_text()).is_ok(), is_shallow);
    }
}

#[test]
fn an_empty_object_is_a_level_too() {
    for (depth, is_shallow) in [(Json::MAX_DEPTH, true), (Json::MAX_DEPTH + 1, false)] {
        let innermost = Json::from(JsonObject::new());
        let nested = (1..depth).fold(innermost, |inner, _| JsonObject::from_iter([("a", inner)]).into());
        assert_eq!(nested.is_shallow(), is_shallow);
    }
}

#[test]
fn an_object_with_more_members_is_another() {
    let (fewer, more) = (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#);
    for (one, other) in [(fewer, more), (more, fewer)] {
        assert_ne!(Json::parse(one).unwrap(), Json::parse(other).unwrap());
    }
}

#[test]
fn what_is_as_json_dumps_writes_it_is_copied_whatever_stands_around() {
    let same_keys = r#"{"a": {"b": 1, "a": {}}, "b": [{"a": 2}]}"#;
    assert_eq!(
        Json::parse(same_keys)
            .unwrap()
            .as_object()
            .unwrap()
            .canonical_text(),
        Some(same_keys)
    );
    let odd = Json::parse(r#"{"a":1, "b": {"c": 2}}"#).unwrap();
    let part = odd.at(["b"]).unwrap().as_object().unwrap();
    assert_eq!(part.canonical_text(), Some(r#"{"c": 2}"#));
}

#[test]
fn a_change_is_not_seen_by_a_copy() {
    let original = Json::parse(r#"{"a": {"b": [{"c": 1}]}, "d": "e"}"#).unwrap();
    let (mut one, mut other) = (original.clone(), original.clone());
    one.set(["a", "b", "0", "c"], 2).unwrap();
    other.set(["d"], "f").unwrap();
    assert_eq!(original.to_text(), r#"{"a": {"b": [{"c": 1}]}, "d": "e"}"#);
    assert_eq!(one.to_text(), r#"{"a": {"b": [{"c": 2}]}, "d": "e"}"#);
    assert_eq!(other.to_text(), r#"{"a": {"b": [{"c": 1}]}, "d": "f"}"#);
}

#[test]
fn a_member_is_found_in_what_nobody_looked_at() {
    let text = r#"{"\u0069d": "first", "id": "last", "other": {"id": "inner"}}"#;
    let lists = Json::parse(format!("[{text}]")).unwrap();
    let fresh = lists.as_list().unwrap()[0].as_object().unwrap();
    let has = |object: &JsonObject, id: &str| object.has("id", &id.into());
    assert!(has(fresh, "last") && !has(fresh, "first") && !has(fresh, "inner"));
    assert_eq!(fresh.len(), 2);
    assert!(has(fresh, "last") && !has(fresh, "first"));
    let mut changed = fresh.clone();
    changed.insert("id", "changed");
    assert!(has(&changed, "changed") && has(fresh, "last"));
}
