//! The pass that checks a text: what Python's `json.loads` takes, in one pass over UTF-8 that takes nothing apart.
//!
//! It also finds out what saves work later: how deep the text is, and whether `json.dumps` would write it just so.

use std::fmt;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::scan::{ending, plain_length, special};

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A value that was found to be JSON: where it stands in its text, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) start: usize,
    pub(super) end: usize,
    /// How many lists and objects stand in each other: none in a number.
    pub(super) height: u8,
    /// Whether Python's `json.dumps` would write it with the same bytes.
    pub(super) is_canonical: bool,
}

impl Checked {
    pub(super) fn of<'text>(&self, text: &'text str) -> &'text str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Up to how many keys of an object are compared each with each.
const FEW_KEYS: usize = 16;

/// `at` always stands on a character boundary: the checker only ever steps over whole ASCII bytes and whole runs
/// that end before one.
pub(super) struct Checker<'text> {
    bytes: &'text [u8],
    at: usize,
    /// How many things so far `json.dumps` would write otherwise.
    oddities: usize,
    /// Where the keys stand of the objects that are not over yet, the innermost object's last.
    keys: Vec<Range<usize>>,
    /// What the keys of a large object hash to, while twins are looked for.
    hashes: Vec<u64>,
}

impl<'text> Checker<'text> {
    /// Begins at a byte of a text.
    pub(super) fn new(text: &'text str, at: usize) -> Self {
        Self {
            bytes: text.as_bytes(),
            at,
            oddities: 0,
            keys: Vec::with_capacity(FEW_KEYS),
            hashes: Vec::new(),
        }
    }

    /// A whole text: one value and space around it. Shows the members of an object as [`object`](Self::object).
    pub(super) fn document(
        &mut self,
        depth: usize,
        visit: impl FnMut(Range<usize>, Checked),
    ) -> Result<Checked, Fault> {
        self.space(false);
        let value = self.value(depth, visit)?;
        self.space(false);
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.fault("more text after the value")),
        }
    }

    pub(super) fn value(
        &mut self,
        depth: usize,
        visit: impl FnMut(Range<usize>, Checked),
    ) -> Result<Checked, Fault> {
        let (start, oddities) = (self.at, self.oddities);
        let height = match self.peek() {
            Some(b'"') => self.string().map(|_| 0),
            Some(b'{') => self.object(self.deeper(depth)?, visit),
            Some(b'[') => self.list(self.deeper(depth)?, pass_item),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => Err(self.fault("not the beginning of a value")),
            None => Err(self.fault("the text ends where a value should be")),
        }?;
        Ok(Checked {
            start,
            end: self.at,
            height,
            is_canonical: self.oddities == oddities,
        })
    }

    /// How deep the members may be of an object, or the items of a list, that is at most `depth` deep.
    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        depth
            .checked_sub(1)
            .ok_or_else(|| self.fault("lists and objects stand too deep in each other"))
    }

    /// Checks an object whose members are at most `depth` deep, shows each with the place of its key between the
    /// quotes, and returns its height.
    pub(super) fn object(
        &mut self,
        depth: usize,
        mut visit: impl FnMut(Range<usize>, Checked),
    ) -> Result<u8, Fault> {
        let (first_key, oddities) = (self.keys.len(), self.oddities);
        let mut height = 0;
        self.at += 1;
        self.space(false);
        if self.take(b'}') {
            return Ok(1);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key in double quotes should be here"));
            }
            let key = self.string()?;
            self.keys.push(key.clone());
            self.space(false);
            if !self.take(b':') {
                return Err(self.fault("a colon should be here"));
            }
            self.space(true);
            let member = self.value(depth, pass_member)?;
            height = height.max(member.height);
            visit(key, member);
            self.space(false);
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or the end of the object should be here"));
            }
            self.space(true);
        }
        if self.oddities == oddities && self.has_twins(first_key) {
            self.oddities += 1;
        }
        self.keys.truncate(first_key);
        Ok(height + 1)
    }

    /// Checks a list whose items are at most `depth` deep and returns its height. `item` steps over the next item
    /// and returns the item's.
    pub(super) fn list(
        &mut self,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<u8, Fault>,
    ) -> Result<u8, Fault> {
        let mut height = 0;
        self.at += 1;
        self.space(false);
        if self.take(b']') {
            return Ok(1);
        }
        loop {
            height = height.max(item(self, depth)?);
            self.space(false);
            if self.take(b']') {
                return Ok(height + 1);
            }
            if !self.take(b',') {
                return Err(self.fault("a comma or the end of the list should be here"));
            }
            self.space(true);
        }
    }

    /// Whether one of the last keys occurs twice. They are spelt as `json.dumps` spells them, so equal keys look equal.
    fn has_twins(&mut self, first_key: usize) -> bool {
        let bytes = self.bytes;
        let spelling = |key: &Range<usize>| bytes.get(key.clone()).unwrap_or_default();
        let are_twins = |(one, other): (&Range<usize>, &Range<usize>)| {
            one.len() == other.len() && spelling(one) == spelling(other)
        };
        let keys = self.keys.get_mut(first_key..).unwrap_or_default();
        if keys.len() > FEW_KEYS {
            // Sorting texts takes much longer than sorting numbers, and hardly anybody has twins.
            let state = RandomState::default();
            self.hashes.clear();
            self.hashes
                .extend(keys.iter().map(|key| state.hash_one(spelling(key))));
            self.hashes.sort_unstable();
            if self.hashes.is_sorted_by(|one, other| one < other) {
                return false;
            }
            keys.sort_unstable_by(|one, other| spelling(one).cmp(spelling(other)));
            return keys.iter().zip(keys.iter().skip(1)).any(are_twins);
        }
        let mut later = keys.iter();
        keys.iter().any(|key| {
            later.next();
            later.clone().any(|other| are_twins((key, other)))
        })
    }

    fn number(&mut self) -> Result<u8, Fault> {
        let negative = self.take(b'-');
        if (!negative && self.take_word(b"NaN")) || self.take_word(b"Infinity") {
            return Ok(0);
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
        Ok(0)
    }

    /// Steps over a string and answers where it stands, without its quotes.
    fn string(&mut self) -> Result<Range<usize>, Fault> {
        self.at += 1;
        let start = self.at;
        loop {
            self.run()?;
            if self.take(b'"') {
                return Ok(start..self.at - 1);
            }
            self.at += 1;
            self.escape()?;
        }
    }

    /// Steps over the characters up to the next quote or backslash, which is there.
    fn run(&mut self) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut length = plain_length(rest, special);
        if rest.get(length).is_some_and(|byte| *byte >= 0x7f) {
            self.oddities += 1;
            let rest = rest.get(length..).unwrap_or_default();
            length += plain_length(rest, ending);
        }
        match rest.get(length) {
            None => Err(self.fault("the text ends inside a string")),
            Some(0..=0x1f) => {
                self.at += length;
                Err(self.fault("a control character inside a string"))
            }
            Some(_) => {
                self.at += length;
                Ok(())
            }
        }
    }

    /// Steps over what follows a backslash.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'/') => {
                self.at += 1;
                self.oddities += 1;
            }
            Some(b'u') => {
                self.at += 1;
                self.hexadecimal()?;
            }
            _ => return Err(self.fault("not an escape")),
        }
        Ok(())
    }

    fn hexadecimal(&mut self) -> Result<(), Fault> {
        let digits = self
            .bytes
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<4>)
            .copied();
        let unit = digits.and_then(unit_of);
        let (Some(digits), Some(unit)) = (digits, unit) else {
            return Err(self.fault("an escape needs four hexadecimal digits"));
        };
        let has_shorter_spelling = matches!(unit, 0x20..=0x7e | 0x08..=0x0a | 0x0c | 0x0d);
        if has_shorter_spelling || digits.iter().any(u8::is_ascii_uppercase) {
            self.oddities += 1;
        }
        self.at += 4;
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<u8, Fault> {
        if self.take_word(word) {
            Ok(0)
        } else {
            Err(self.fault("not the beginning of a value"))
        }
    }

    /// Steps over space. `json.dumps` writes one blank or nothing.
    fn space(&mut self, expects_blank: bool) {
        let has_blank = self.take(b' ');
        if has_blank == expects_blank && !self.is_at_space() {
            return;
        }
        self.oddities += 1;
        while self.is_at_space() {
            self.at += 1;
        }
    }

    fn is_at_space(&self) -> bool {
        matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r'))
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &[u8]) -> bool {
        let found = self
            .bytes
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

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

// Functions, because a closure would have a type of its own at every depth.
pub(super) fn pass_member(_key: Range<usize>, _value: Checked) {}

fn pass_item(checker: &mut Checker<'_>, depth: usize) -> Result<u8, Fault> {
    Ok(checker.value(depth, pass_member)?.height)
}

/// The UTF-16 unit that four hexadecimal digits name.
pub(super) fn unit_of(digits: [u8; 4]) -> Option<u16> {
    digits.iter().try_fold(0, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}
