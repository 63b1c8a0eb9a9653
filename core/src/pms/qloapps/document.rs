//! Reading XML: what the web service writes when it is not asked for JSON, or when something on the way, such as a proxy
//! that drops the query, keeps the server from hearing it.
//!
//! A document becomes the value that the JSON of the same answer would be, as far as that can be told: XML does not say
//! whether an element with one child is a list. It is one if its name is the plural of the child's, if the server
//! declares it (`nodeType`), or if its children carry ids.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// What the root is called, today and before QloApps had its own name.
const ROOTS: [&str; 2] = ["qloapps", "prestashop"];
/// Deeper documents are not read; the server's have nine levels.
const DEEPEST: usize = 32;

/// Reads the document in a text, if there is one. What stands before and after it is skipped.
pub(super) fn read(text: &str) -> Option<Value> {
    let start = ROOTS.iter().find_map(|root| text.find(&format!("<{root}")))?;
    let mut reader = Reader::from_str(text.get(start..)?);
    let mut open: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if open.len() < DEEPEST => open.push(Element::begin(&tag)),
            Event::Start(_) | Event::Eof => return None,
            Event::Empty(tag) => {
                let element = Element::begin(&tag);
                open.last_mut()?.take(element);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
            Event::GeneralRef(name) => {
                let character = match name.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name.decode().ok()?)?.to_owned(),
                };
                open.last_mut()?.text.push_str(&character);
            }
            Event::End(_) => {
                let element = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.take(element),
                    None => return element.answer(),
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// An element that is being read.
struct Element {
    name: String,
    /// The attribute `id`.
    id: Option<String>,
    is_declared_list: bool,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn begin(tag: &BytesStart<'_>) -> Self {
        let attribute = |name: &str| {
            let value = tag.try_get_attribute(name).ok()??.value;
            Some(String::from_utf8_lossy(&value).into_owned())
        };
        Self {
            name: String::from_utf8_lossy(tag.name().as_ref()).into_owned(),
            id: attribute("id"),
            is_declared_list: attribute("nodeType").is_some(),
            text: String::new(),
            children: Vec::new(),
        }
    }

    fn take(&mut self, child: Self) {
        self.children.push(child);
    }

    /// The root's value: the list of what a key sees has only names.
    fn answer(self) -> Option<Value> {
        if !ROOTS.contains(&self.name.as_str()) {
            return None;
        }
        match self.children.as_slice() {
            [api] if api.name == "api" => Some(
                api.children
                    .iter()
                    .map(|resource| Value::from(resource.name.as_str()))
                    .collect(),
            ),
            _ => Some(self.object()),
        }
    }

    fn value(self) -> Value {
        if self.children.is_empty() {
            return match self.id {
                // A list without details names its objects only here.
                Some(id) if self.text.trim().is_empty() => {
                    Value::Object(Map::from_iter([("id".to_owned(), id.into())]))
                }
                _ if self.text.trim().is_empty() => Value::from(""),
                _ => Value::from(self.text),
            };
        }
        if self.is_list() {
            return self.children.into_iter().map(Self::member).collect();
        }
        self.object()
    }

    fn object(self) -> Value {
        let fields = self
            .children
            .into_iter()
            .map(|child| (child.name.clone(), child.value()));
        Value::Object(fields.collect())
    }

    /// A member of a list. A text in one of several languages has the language's id beside it.
    fn member(self) -> Value {
        if self.name != "language" || !self.children.is_empty() {
            return self.value();
        }
        let id = self.id.map_or(Value::Null, Value::from);
        Value::Object(Map::from_iter([
            ("id".to_owned(), id),
            ("value".to_owned(), self.text.into()),
        ]))
    }

    fn is_list(&self) -> bool {
        let Some(first) = self.children.first() else {
            return self.is_declared_list;
        };
        let alike = self.children.iter().all(|child| child.name == first.name);
        let carry_ids = self.children.iter().all(|child| child.id.is_some());
        alike
            && (self.is_declared_list
                || carry_ids
                || self.children.len() > 1
                || is_plural(&self.name, &first.name))
    }
}

/// Whether one name is the plural of the other: `rooms` of `room`, `order_histories` of `order_history`.
fn is_plural(plural: &str, singular: &str) -> bool {
    match singular.strip_suffix('y') {
        Some(stem) => plural.strip_prefix(stem) == Some("ies"),
        None => plural.strip_prefix(singular) == Some("s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inside(xml: &str) -> Option<Value> {
        read(&format!(
            "<?xml version=\"1.0\"?>\n<qloapps xmlns:xlink=\"x\">{xml}</qloapps>\n"
        ))
    }

    #[test]
    fn one_member_makes_a_list_where_the_name_says_so() {
        assert_eq!(
            inside("<rooms><room><id>1</id></room></rooms>"),
            Some(json!({"rooms": [{"id": "1"}]}))
        );
        assert_eq!(
            inside("<hotels><hotel id=\"1\" xlink:href=\"h\"/></hotels>"),
            Some(json!({"hotels": [{"id": "1"}]}))
        );
        assert_eq!(
            inside("<booking><id>1</id></booking>"),
            Some(json!({"booking": {"id": "1"}}))
        );
        assert_eq!(
            inside("<currencies><currency><id>1</id></currency></currencies>"),
            Some(json!({"currencies": [{"id": "1"}]}))
        );
    }

    #[test]
    fn texts_are_whole_and_languages_stand_beside_each_other() {
        assert_eq!(
            inside("<m>a &amp; b&#33; <![CDATA[[<c>]]]></m>"),
            Some(json!({"m": "a & b! [<c>]"}))
        );
        assert_eq!(
            inside("<r><name><language id=\"1\">One</language><language id=\"2\">Uno</language></name></r>"),
            Some(json!({"r": {"name": [{"id": "1", "value": "One"}, {"id": "2", "value": "Uno"}]}}))
        );
    }

    #[test]
    fn the_list_of_what_a_key_sees_is_a_list_of_names() {
        assert_eq!(
            inside("<api shopName=\"s\"><hotels get=\"true\"/><orders/></api>"),
            Some(json!(["hotels", "orders"]))
        );
    }

    #[test]
    fn what_ends_early_is_too_deep_or_is_a_page_is_no_answer() {
        assert_eq!(read("<qloapps><hotels>"), None);
        assert_eq!(read("<html><body>qloapps</body></html>"), None);
        assert_eq!(inside("<a></b>"), None);
        assert_eq!(inside("&unknown;"), None);
        assert_eq!(inside(&"<a>".repeat(100_000)), None);
    }

    #[test]
    fn warnings_around_a_document_are_skipped() {
        let noisy = "<br />\n<b>Notice</b>: {\"x\"<br />\n<qloapps><orders>\n</orders></qloapps> bye";
        assert_eq!(read(noisy), Some(json!({"orders": ""})));
    }
}
