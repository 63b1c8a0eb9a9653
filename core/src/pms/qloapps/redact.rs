//! Texts of the server, before anybody sees them.

use crate::settings::Secret;

/// Shortest run of hexadecimal digits that may be a password's digest or a key of a customer.
const DIGEST: usize = 32;
const HIDDEN: &str = "***";
/// Behind these words an error repeats the whole request.
const REQUEST: &str = "Original XML";

/// Hides the key of the web service, addresses of guests, what looks like a digest, and repeated requests.
pub(super) struct Redactor {
    key: Secret,
}

impl Redactor {
    pub(super) fn new(key: Secret) -> Self {
        Self { key }
    }

    /// The beginning of a text, on one line and without secrets.
    pub(super) fn shorten(&self, text: &str, chars: usize) -> String {
        let key = self.key.expose();
        let text = if key.is_empty() {
            text.to_owned()
        } else {
            text.replace(key, HIDDEN)
        };
        let text = text.split(REQUEST).next().unwrap_or_default();
        let text = without_digests(&without_addresses(text));
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.take(chars).collect()
    }
}

fn without_addresses(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        if word.contains('@') {
            shown.push_str(HIDDEN);
            shown.push(' ');
        } else {
            shown.push_str(word);
        }
    }
    shown
}

fn without_digests(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let run = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        if run.len() >= DIGEST {
            shown.push_str(HIDDEN);
            shown.push_str(part.get(run.len()..).unwrap_or_default());
        } else {
            shown.push_str(part);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_digests_are_hidden() {
        let redactor = Redactor::new(Secret::new("QLOAPPSTESTKEYALLPERMISSIONS0001"));
        let text =
            "ws_key=QLOAPPSTESTKEYALLPERMISSIONS0001\nsecure_key: a4db54b279e735c673dea11e3950b6d2, id 12";
        assert_eq!(redactor.shorten(text, 200), "ws_key=*** secure_key: ***, id 12");
        assert_eq!(redactor.shorten("abc", 2), "ab");
    }

    #[test]
    fn guests_and_what_they_sent_are_hidden() {
        let redactor = Redactor::new(Secret::new("k"));
        let text = "no mail to ana@example.com today. Original XML : {\"passwd\": \"x\"}";
        assert_eq!(redactor.shorten(text, 200), "no mail to *** today. ");
    }
}
