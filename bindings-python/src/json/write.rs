//! Python's own objects become text, as `json.dumps` writes it.

use std::io::Write as _;
use std::ops::Range;

use posada::bridge::written_document;
use posada::sessions::Document;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::MAX_DEPTH;
use super::scan::plain_length;
use super::spelled::Spelled;
use crate::errors::Refusal;

/// As long a text as most need, and as many members.
const TYPICAL: usize = 2048;
const MEMBERS: usize = 16;

/// Where a key stands, without its quotes, where its value stands, and how many lists and objects stand in each other
/// there.
type Member = (Range<usize>, Range<usize>, u8);

/// The text of a mapping that was given for `name`, by Python's own writer if there is anything unusual in it.
///
/// # Errors
/// `TypeError` when it is no mapping, or has what JSON has no word for; `sessions.invalid_document` for what cannot be
/// stored. The name stands before the message.
pub(crate) fn write(name: &str, document: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match write_usual(document, None, |_| {}) {
        Some(text) => Ok(text),
        None => write_by_python(name, document, None),
    }
}

/// The document of a conversation that is a mapping. What is written here is not read again.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_document(
    document: &Bound<'_, PyAny>,
    spelled: Option<&Spelled<'_>>,
) -> PyResult<Document> {
    let mut members = Vec::with_capacity(MEMBERS);
    if let Some(text) = write_usual(document, spelled, |member| members.push(member)) {
        return Ok(written_document(&String::from_utf8(text)?, members));
    }
    let text = write_by_python("document", document, spelled)?;
    Ok(Document::parse(text).map_err(Refusal::from)?)
}

/// As `json.dumps`, of a mapping.
#[pyfunction]
#[pyo3(name = "_write_json")]
pub(crate) fn write_json(name: &str, document: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(String::from_utf8(write(name, document)?)?)
}

fn write_by_python(
    name: &str,
    document: &Bound<'_, PyAny>,
    spelled: Option<&Spelled<'_>>,
) -> PyResult<Vec<u8>> {
    static WRITE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let write = WRITE.import(document.py(), "posada._json", "write")?;
    let text: String = write
        .call1((name, document, spelled.map(Spelled::pairs)))?
        .extract()?;
    Ok(text.into_bytes())
}

// A function that returns `None` has met something that is not usual: the text is worth nothing then. Otherwise it is
// how many lists and objects stand in each other. No code of Python runs in between, so nothing can change while it is
// written.

fn write_usual(
    document: &Bound<'_, PyAny>,
    spelled: Option<&Spelled<'_>>,
    visit: impl FnMut(Member),
) -> Option<Vec<u8>> {
    let object = document.cast_exact::<PyDict>().ok()?;
    let mut text = Vec::with_capacity(TYPICAL);
    write_object(&mut text, object, spelled, MAX_DEPTH, visit)?;
    Some(text)
}

fn write_value(
    text: &mut Vec<u8>,
    value: &Bound<'_, PyAny>,
    spelled: Option<&Spelled<'_>>,
    depth: usize,
) -> Option<u8> {
    if let Ok(string) = value.cast_exact::<PyString>() {
        write_string(text, string.to_str().ok()?);
    } else if let Ok(object) = value.cast_exact::<PyDict>() {
        return write_object(text, object, spelled, depth, |_| {});
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        return write_items(text, list.iter(), spelled, depth);
    } else if value.is_none() {
        text.extend_from_slice(b"null");
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        let truth: &[u8] = if truth.is_true() { b"true" } else { b"false" };
        text.extend_from_slice(truth);
    } else if let Some(digits) = spelled.and_then(|spelled| spelled.get(value)) {
        text.extend_from_slice(digits.as_bytes());
    } else if value.is_exact_instance_of::<PyInt>() {
        let integer: i64 = value.extract().ok()?;
        write!(text, "{integer}").ok()?;
    } else if let Ok(float) = value.cast_exact::<PyFloat>() {
        write_float(text, float)?;
    } else {
        return write_items(text, value.cast_exact::<PyTuple>().ok()?.iter(), spelled, depth);
    }
    Some(0)
}

fn write_object(
    text: &mut Vec<u8>,
    object: &Bound<'_, PyDict>,
    spelled: Option<&Spelled<'_>>,
    depth: usize,
    mut visit: impl FnMut(Member),
) -> Option<u8> {
    let depth = depth.checked_sub(1)?;
    text.push(b'{');
    let (mut is_first, mut deepest) = (true, 0);
    for (key, value) in object {
        if !std::mem::take(&mut is_first) {
            text.extend_from_slice(b", ");
        }
        let key_begins = text.len() + 1;
        write_string(text, key.cast_exact::<PyString>().ok()?.to_str().ok()?);
        let key_ends = text.len() - 1;
        text.extend_from_slice(b": ");
        let begins = text.len();
        let height = write_value(text, &value, spelled, depth)?;
        visit((key_begins..key_ends, begins..text.len(), height));
        deepest = deepest.max(height);
    }
    text.push(b'}');
    Some(deepest + 1)
}

fn write_items<'py>(
    text: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    spelled: Option<&Spelled<'_>>,
    depth: usize,
) -> Option<u8> {
    let depth = depth.checked_sub(1)?;
    text.push(b'[');
    let (mut is_first, mut deepest) = (true, 0);
    for item in items {
        if !std::mem::take(&mut is_first) {
            text.extend_from_slice(b", ");
        }
        deepest = deepest.max(write_value(text, &item, spelled, depth)?);
    }
    text.push(b']');
    Some(deepest + 1)
}

fn write_string(text: &mut Vec<u8>, mut content: &str) {
    text.push(b'"');
    loop {
        let (plain, rest) = content
            .split_at_checked(plain_length(content.as_bytes()))
            .unwrap_or((content, ""));
        text.extend_from_slice(plain.as_bytes());
        let mut rest = rest.chars();
        match rest.next() {
            None => break,
            Some(character) => write_escape(text, character),
        }
        content = rest.as_str();
    }
    text.push(b'"');
}

fn write_escape(text: &mut Vec<u8>, character: char) {
    let letter = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let digit = |shift: u16| digit(*unit >> shift & 0xf);
                text.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            }
            return;
        }
    };
    text.extend_from_slice(&[b'\\', letter]);
}

/// The digit of a number below 16.
fn digit(value: u16) -> u8 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    DIGITS.get(usize::from(value)).copied().unwrap_or_default()
}

/// By Python's own hand: Rust rounds the last digit of 1801514316094494.25 up, Python to the even one. `NaN` and the
/// infinities are not usual.
fn write_float(text: &mut Vec<u8>, float: &Bound<'_, PyFloat>) -> Option<()> {
    if !float.value().is_finite() {
        return None;
    }
    text.extend_from_slice(float.repr().ok()?.to_str().ok()?.as_bytes());
    Some(())
}
