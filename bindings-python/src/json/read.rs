//! Text becomes Python's own objects, as `json.loads` makes them.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyString};

use super::MAX_DEPTH;
use super::keys::Known;
use super::scan::plain_length;

/// What the text of a conversation means, by Python's own reader if it is not a usual one, and the numbers whose digits
/// Python would not write again: pairs of the number and its digits, or `None` when there are none.
///
/// # Errors
/// As `json.loads`, which nothing that was stored gives reason for.
pub(crate) fn read<'py>(
    py: Python<'py>,
    text: &str,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match usual(py, text, true) {
        Some(document) => Ok((document, None)),
        None => READ.import(py, "posada._json", "read")?.call1((text,))?.extract(),
    }
}

/// As `json.loads`, of a text that has no surrogates of its own.
#[pyfunction]
#[pyo3(name = "_read_json")]
pub(crate) fn read_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match usual(py, text, false) {
        Some(document) => Ok(document),
        None => LOADS.import(py, "json", "loads")?.call1((text,)),
    }
}

fn usual<'py>(py: Python<'py>, text: &str, keeps_digits: bool) -> Option<Bound<'py, PyAny>> {
    let mut reader = Reader {
        py,
        text,
        at: 0,
        keys: Known::open(),
        unescaped: String::new(),
        keeps_digits,
    };
    reader.document()
}

/// A function that returns `None` has met something that is not usual: the text may be anything then.
struct Reader<'py, 'text> {
    py: Python<'py>,
    text: &'text str,
    at: usize,
    keys: Known,
    /// The string that is being read, if it has escapes.
    unescaped: String,
    /// Whether a number is unusual when Python would not write its digits again.
    keeps_digits: bool,
}

/// What a string means.
enum Content<'text> {
    /// What it says.
    Plain(&'text str),
    /// What the reader keeps as `unescaped`.
    Unescaped,
}

impl<'py, 'text> Reader<'py, 'text> {
    fn document(&mut self) -> Option<Bound<'py, PyAny>> {
        self.space();
        let value = self.value(MAX_DEPTH)?;
        self.space();
        (self.at == self.text.len()).then_some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let content = match self.string()? {
                    Content::Plain(content) => content,
                    Content::Unescaped => &self.unescaped,
                };
                Some(PyString::new(self.py, content).into_any())
            }
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.list(depth.checked_sub(1)?),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", PyBool::new(self.py, true).to_owned().into_any()),
            b'f' => self.word("false", PyBool::new(self.py, false).to_owned().into_any()),
            b'n' => self.word("null", self.py.None().into_bound(self.py)),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        let object = PyDict::new(self.py);
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Some(object.into_any());
        }
        loop {
            if !self.take(b'"') {
                return None;
            }
            let key = match self.string()? {
                Content::Plain(key) => self.keys.get(self.py, key),
                Content::Unescaped => PyString::new(self.py, &self.unescaped),
            };
            self.space();
            if !self.take(b':') {
                return None;
            }
            self.space();
            let value = self.value(depth)?;
            object.set_item(key, value).ok()?;
            self.space();
            if self.take(b'}') {
                return Some(object.into_any());
            }
            if !self.take(b',') {
                return None;
            }
            self.space();
        }
    }

    fn list(&mut self, depth: usize) -> Option<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Some(list.into_any());
        }
        loop {
            list.append(self.value(depth)?).ok()?;
            self.space();
            if self.take(b']') {
                return Some(list.into_any());
            }
            if !self.take(b',') {
                return None;
            }
            self.space();
        }
    }

    /// What stands before the next quote, which is stepped over.
    #[inline]
    fn string(&mut self) -> Option<Content<'text>> {
        let run = self.run()?;
        if self.take(b'"') {
            return Some(Content::Plain(run));
        }
        self.unescaped.clear();
        self.unescaped.push_str(run);
        while !self.take(b'"') {
            let meant = self.escape()?;
            self.unescaped.push(meant);
            let run = self.run()?;
            self.unescaped.push_str(run);
        }
        Some(Content::Unescaped)
    }

    /// The printable ASCII characters up to the next quote, backslash or whatever else is there.
    #[inline]
    fn run(&mut self) -> Option<&'text str> {
        let start = self.at;
        self.at += plain_length(self.text.as_bytes().get(start..)?);
        self.text.get(start..self.at)
    }

    fn escape(&mut self) -> Option<char> {
        if !self.take(b'\\') {
            return None;
        }
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                match unit {
                    0xd800..=0xdbff => {
                        if !(self.take(b'\\') && self.take(b'u')) {
                            return None;
                        }
                        let low = self.unit()?;
                        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                        char::from_u32(0x10000 + ((unit - 0xd800) << 10 | low))?
                    }
                    // Half of a pair is no character.
                    unit => char::from_u32(unit)?,
                }
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..)?.first_chunk::<4>()?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    }

    fn number(&mut self) -> Option<Bound<'py, PyAny>> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let whole = self.at;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let spelling = self.text.get(start..self.at)?;
        if self.at == whole {
            let integer: i64 = spelling.parse().ok()?;
            return integer.into_bound_py_any(self.py).ok();
        }
        let float: f64 = spelling.parse().ok()?;
        let float = PyFloat::new(self.py, float);
        if self.keeps_digits && !is_short(spelling) && float.repr().ok()?.to_str().ok()? != spelling {
            return None;
        }
        Some(float.into_any())
    }

    /// Steps over at least one digit.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str, value: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let found = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        found.then_some(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Whether these digits are surely those that Python writes: few of them, not all behind zeros, and no zero at the end
/// that could be left away. What this does not know is asked of Python.
fn is_short(spelling: &str) -> bool {
    let digits = spelling.strip_prefix('-').unwrap_or(spelling);
    let Some((whole, decimals)) = digits.split_once('.') else {
        return false;
    };
    let is_plain = decimals.bytes().all(|digit| digit.is_ascii_digit());
    let is_least = decimals == "0" || !decimals.ends_with('0');
    is_plain
        && is_least
        && whole.len() + decimals.len() <= 15
        && !(whole == "0" && decimals.starts_with("000"))
}
