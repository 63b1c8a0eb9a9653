//! Filters, fields and order of a list, as the web service applies them.

use std::cmp::Ordering;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// The query of a request, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Times of writing are fields only when the query says so.
    fn knows(&self, field: &str) -> Result<(), (u64, String)> {
        let hidden = matches!(field, "date_add" | "date_upd") && self.get("date") != Some("1");
        if hidden { Err(no_filter()) } else { Ok(()) }
    }

    /// The objects that pass every filter, in order, with the fields that were asked for.
    ///
    /// # Errors
    /// The code and text with which the web service refuses the query.
    pub(super) fn apply(&self, objects: Vec<Value>) -> Result<Vec<Value>, (u64, String)> {
        let mut objects = objects;
        for (name, condition) in &self.0 {
            let Some(field) = name
                .strip_prefix("filter[")
                .and_then(|rest| rest.strip_suffix(']'))
            else {
                continue;
            };
            self.knows(field)?;
            if condition.is_empty() {
                return Err((33, format!("The filter \"{field}\" is malformed.")));
            }
            if objects.first().is_some_and(|object| object.get(field).is_none()) {
                return Err(no_filter());
            }
            objects.retain(|object| passes(&text(&object[field]), condition));
        }
        if let Some(order) = self.get("sort") {
            for field in order.trim_matches(['[', ']']).rsplit(',') {
                let (field, falls) = match field.strip_suffix("_DESC") {
                    Some(field) => (field, true),
                    None => (field.strip_suffix("_ASC").unwrap_or(field), false),
                };
                self.knows(field)?;
                // Sorting is stable, so the last field is sorted by first.
                objects.sort_by(|a, b| {
                    let order = compare(&text(&a[field]), &text(&b[field]));
                    if falls { order.reverse() } else { order }
                });
            }
        }
        if let Some(limit) = self.get("limit") {
            let (skip, take) = limit.split_once(',').unwrap_or(("0", limit));
            let (skip, take) = (skip.parse().unwrap_or(0), take.parse().unwrap_or(usize::MAX));
            objects = objects.into_iter().skip(skip).take(take).collect();
        }
        Ok(match self.get("display") {
            Some("full") => objects,
            Some(fields) => {
                let shown = |object| some_of(object, fields);
                objects.iter().map(shown).collect::<Result<_, _>>()?
            }
            None => objects.iter().map(|object| json!({"id": object["id"]})).collect(),
        })
    }
}

fn no_filter() -> (u64, String) {
    (32, "This filter does not exist.".into())
}

fn some_of(object: &Value, fields: &str) -> Result<Value, (u64, String)> {
    let fields = fields
        .strip_prefix('[')
        .and_then(|fields| fields.strip_suffix(']'));
    let fields = fields.ok_or_else(|| (36, String::from("The 'display' syntax is wrong.")))?;
    let mut chosen = Map::new();
    for field in fields.split(',') {
        let value = object.get(field);
        let value = value.ok_or_else(|| (35, format!("Unable to display this field \"{field}\".")))?;
        chosen.insert(field.to_owned(), value.clone());
    }
    Ok(Value::Object(chosen))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `[v]`, `[a|b]`, `[from,to]`, `>[v]`, `<[v]`, `![v]`, `[v]%`, `%[v]%`, or a bare value.
fn passes(value: &str, condition: &str) -> bool {
    let inside = |text: &str| text.trim_matches(['[', ']']).to_owned();
    match condition.as_bytes().first() {
        Some(b'>') => compare(value, &inside(&condition[1..])) == Ordering::Greater,
        Some(b'<') => compare(value, &inside(&condition[1..])) == Ordering::Less,
        Some(b'!') => !passes(value, &condition[1..]),
        Some(b'%') => value.contains(&inside(condition.trim_matches('%'))),
        Some(b'[') if condition.ends_with('%') => value.starts_with(&inside(condition.trim_matches('%'))),
        Some(b'[') => {
            let inside = inside(condition);
            match inside.split_once(',') {
                Some((from, to)) => compare(value, from).is_ge() && compare(value, to).is_le(),
                // The database takes upper and lower case for the same.
                None => inside.split('|').any(|one| one.eq_ignore_ascii_case(value)),
            }
        }
        _ => value == condition,
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        // The database completes a date with midnight.
        _ => day_start(a).cmp(&day_start(b)),
    }
}

fn day_start(text: &str) -> String {
    if text.len() == 10 && text.as_bytes()[4] == b'-' {
        format!("{text} 00:00:00")
    } else {
        text.to_owned()
    }
}

/// Whether a body is a document: PHP's reader takes nothing that is not well-formed, and no prefix that is not declared.
pub(super) fn is_document(xml: &str) -> bool {
    let xml = xml.trim().trim_start_matches("xml=");
    let declared = !xml.contains("xlink:href") || xml.contains("xmlns:xlink");
    let tags = without_sections(xml);
    let tags = tags.split('<').skip(1).filter(|tag| !tag.starts_with('?'));
    let (mut opened, mut closed) = (0, 0);
    for tag in tags.filter(|tag| !tag.contains("/>")) {
        *(if tag.starts_with('/') {
            &mut closed
        } else {
            &mut opened
        }) += 1;
    }
    xml.starts_with('<') && xml.ends_with('>') && opened == closed && declared
}

/// The text inside the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).into_iter().next()
}

/// The texts inside all elements of this name; elements of that name inside them are not looked for.
pub(super) fn elements(xml: &str, name: &str) -> Vec<String> {
    let xml = without_sections(xml);
    let mut found = Vec::new();
    for part in xml.split(&format!("<{name}>")).skip(1) {
        if let Some((inside, _)) = part.split_once(&format!("</{name}>")) {
            found.push(plain(inside));
        }
    }
    found
}

/// The leaf elements of a document.
pub(super) fn leaves(xml: &str) -> HashMap<String, String> {
    let mut leaves = HashMap::new();
    let xml = without_sections(xml);
    let parts: Vec<&str> = xml.split('<').skip(1).collect();
    for pair in parts.windows(2) {
        let Some((tag, text)) = pair[0].split_once('>') else {
            continue;
        };
        let name = tag.split_whitespace().next().unwrap_or_default();
        if !name.starts_with(['/', '?'])
            && pair[1]
                .strip_prefix('/')
                .is_some_and(|end| end.starts_with(&format!("{name}>")))
        {
            leaves.insert(name.to_owned(), plain(text));
        }
    }
    leaves
}

/// The same document without CDATA sections.
fn without_sections(xml: &str) -> String {
    let mut parts = xml.split("<![CDATA[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (text, rest) = part.split_once("]]><").unwrap_or((part, ""));
        plain.push_str(
            &text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;"),
        );
        plain.push('<');
        plain.push_str(rest);
    }
    plain
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(query: &str) -> Vec<i64> {
        let objects = (1..=4)
            .map(|id| json!({"id": id, "date_from": format!("2027-04-0{id} 00:00:00"), "source": format!("Key-{id}")}))
            .collect();
        let found = Query::parse(query).apply(objects).unwrap();
        found
            .iter()
            .map(|object| object["id"].as_i64().unwrap())
            .collect()
    }

    #[test]
    fn filters_mean_what_they_mean_in_a_shop() {
        assert_eq!(ids("filter[id]=[2|4]"), [2, 4]);
        assert_eq!(ids("filter%5Bid%5D=%5B2,3%5D"), [2, 3]);
        assert_eq!(ids("filter[id]=>[2]&sort=[id_DESC]"), [4, 3]);
        assert_eq!(ids("filter[id]=![1|2|3]"), [4]);
        assert_eq!(
            ids("filter[date_from]=<[2027-04-02]"),
            [1],
            "a day begins at midnight"
        );
        assert_eq!(ids("filter[source]=[key-3]"), [3], "case does not matter");
        assert_eq!(ids("limit=1,2"), [2, 3]);
    }

    #[test]
    fn lists_are_sorted_by_several_fields() {
        let objects = [(1, "b"), (2, "a"), (3, "b")].map(|(id, source)| json!({"id": id, "source": source}));
        let found = Query::parse("sort=[source_ASC,id_DESC]&display=full").apply(objects.into());
        let ids: Vec<_> = found.unwrap().iter().map(|object| object["id"].clone()).collect();
        assert_eq!(ids, [2, 3, 1]);
    }

    #[test]
    fn times_of_writing_are_hidden_unless_asked_for() {
        let objects = || vec![json!({"id": 1, "date_upd": "2027-01-01 09:00:00"})];
        let asked = Query::parse("date=1&filter[date_upd]=[2027-01-01,2027-01-02]").apply(objects());
        assert_eq!(asked.unwrap().len(), 1);
        let hidden = Query::parse("filter[date_upd]=[2027-01-01,2027-01-02]").apply(objects());
        assert_eq!(hidden.unwrap_err().0, 32);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let refused = Query::parse("filter[nope]=[1]").apply(vec![json!({"id": 1})]);
        assert_eq!(refused.unwrap_err().0, 32);
    }

    #[test]
    fn only_leaves_have_a_text() {
        let leaves = leaves("<a><b>1 &amp; 2</b><c id=\"7\"><![CDATA[[x] & y]]></c></a>");
        assert_eq!((leaves["b"].as_str(), leaves.get("a")), ("1 & 2", None));
        assert_eq!(leaves["c"], "[x] & y");
    }
}
