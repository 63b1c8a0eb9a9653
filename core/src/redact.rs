//! Personal data in texts of others, on their way into errors and the log.
//!
//! Names of locks, owners, keys and what a server says are chosen by others, who may put a guest into them. What looks
//! like a phone number, an e-mail address or the id of a message (which holds the number) is hidden there; the rest stays,
//! so that the thing can still be found.

use std::borrow::Cow;
use std::fmt;

/// What stands in place of what is hidden.
const HIDDEN: &str = "***";
/// The fewest digits of a phone number with its country, in one piece.
const PHONE: usize = 8;
/// The fewest digits of one that is spelt in groups, behind a plus sign or brackets.
const GROUPED: usize = 7;
/// How many digits of a number are still shown, to tell two of them apart.
const SHOWN: usize = 2;
/// How the ids of WhatsApp's messages begin.
const MESSAGE: &str = "wamid.";

/// The text without phone numbers, e-mail addresses and ids of messages.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    let suspicious = text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() >= GROUPED;
    if !suspicious && !text.contains(MESSAGE) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        let body = word.trim_end_matches(ends_word);
        let end = word.get(body.len()..).unwrap_or_default();
        if body.contains('@') && body.len() > 1 {
            shown.push_str(HIDDEN);
        } else if let Some((before, _)) = body.split_once(MESSAGE) {
            shown.push_str(before);
            shown.push_str(MESSAGE);
            shown.push_str(HIDDEN);
        } else {
            shown.push_str(body);
        }
        shown.push_str(end);
    }
    Cow::Owned(without_numbers(&shown))
}

/// What stands between the words of a key, a sentence or a list.
fn ends_word(character: char) -> bool {
    character.is_whitespace() || ":,;<>()[]{}\"'|".contains(character)
}

fn without_numbers(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(') {
        let (before, from) = rest.split_at(start);
        shown.push_str(before);
        let (run, digits) = number(from);
        let fewest = if from.starts_with(['+', '(']) {
            GROUPED
        } else {
            PHONE
        };
        let (number, behind) = from.split_at(run);
        if digits >= fewest {
            shown.push_str(HIDDEN);
            let mut shown_digits: Vec<char> = number
                .chars()
                .filter(char::is_ascii_digit)
                .rev()
                .take(SHOWN)
                .collect();
            shown_digits.reverse();
            shown.extend(shown_digits);
        } else {
            shown.push_str(number);
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// How long a number at the beginning of a text is, at least one byte, and how many digits it has. Groups belong
/// together behind a plus sign or a bracket only: a date is a number in groups, too.
fn number(text: &str) -> (usize, usize) {
    let grouped = text.starts_with(['+', '(']);
    let (mut length, mut digits) = (1, 0);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                length = place + 1;
            }
            b'+' | b'(' | b')' | b' ' | b'-' | b'.' | b'/' if grouped => {}
            _ => break,
        }
    }
    (length, digits)
}

/// A text of others, in the log.
pub(crate) struct Quiet<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Quiet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_hidden_and_the_rest_stays() {
        for (text, shown) in [
            ("session:hotel-c:5491187654321", "session:hotel-c:***21"),
            ("guest5491187654321x", "guest***21x"),
            ("+54 9 11 8765-4321 called", "***21 called"),
            ("(011) 8765-4321", "***21"),
            ("+5491187654321", "***21"),
            ("22587654321@lid", "***"),
            ("session:ana.perez@hotel.example", "session:***"),
            ("no mail to <ana@example.com>, sorry", "no mail to <***>, sorry"),
            (
                "whatsapp-wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYFjNFQjBD+/A=:reply",
                "whatsapp-wamid.***:reply",
            ),
        ] {
            assert_eq!(redacted(text), shown);
        }
        for same in [
            "",
            "room:101",
            "room_type:1/3 2027-03-10..2027-03-12",
            "housekeeping:1234567",
            "pms:qloapps:hotel:12",
            "1 + 2 (3)",
            "@",
            "ñandú 2027-03-10T14:00:00.123Z",
        ] {
            assert_eq!(redacted(same), same);
        }
    }
}
