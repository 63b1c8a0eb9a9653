//! Texts of the server, before anybody sees them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::redact::redacted;
use crate::settings::Secret;

/// Shortest run of hexadecimal digits that may be a password's digest or a key of a customer.
const DIGEST: usize = 32;
const HIDDEN: &str = "***";
/// Behind these words an error repeats the whole request.
const REQUEST: &str = "Original XML";

/// What stands around a path in a sentence.
const AROUND_PATHS: &str = "\"'<>()[]{},;=|";

/// Hides the key of the web service however it is sent, paths of the server, guests, what looks like a digest, and
/// repeated requests.
pub(super) struct Redactor {
    /// The key, and what stands for it in the header of a request.
    key: Vec<Secret>,
}

impl Redactor {
    pub(super) fn new(key: &Secret) -> Self {
        let user = format!("{}:", key.expose());
        let mut forms = vec![key.expose().to_owned()];
        for text in [user.as_str(), key.expose()] {
            forms.push(STANDARD.encode(text));
            forms.push(STANDARD_NO_PAD.encode(text));
            forms.push(URL_SAFE_NO_PAD.encode(text));
        }
        Self {
            key: forms
                .into_iter()
                .filter(|form| !form.is_empty())
                .map(Secret::from)
                .collect(),
        }
    }

    /// The beginning of a text, on one line and without secrets.
    pub(super) fn shorten(&self, text: &str, chars: usize) -> String {
        let text = self.without_key(text);
        let text = text.split(REQUEST).next().unwrap_or_default();
        let plain: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let text = redacted(&without_paths(&plain)).into_owned();
        without_digests(&text).chars().take(chars).collect()
    }

    /// The address to which a redirect points, without what it carries.
    pub(super) fn address(&self, location: &str, chars: usize) -> String {
        let plain = location.split(['?', '#']).next().unwrap_or_default();
        let plain: String = self
            .without_key(plain)
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        without_digests(&redacted(&plain)).chars().take(chars).collect()
    }

    fn without_key(&self, text: &str) -> String {
        self.key
            .iter()
            .fold(text.to_owned(), |text, form| text.replace(form.expose(), HIDDEN))
    }
}

/// PHP tells where on the server's disk something failed.
fn without_paths(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || AROUND_PATHS.contains(c);
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(is_end) {
        let body = word.trim_end_matches(is_end);
        shown.push_str(if is_path(body) { HIDDEN } else { body });
        shown.push_str(word.get(body.len()..).unwrap_or_default());
    }
    shown
}

fn is_path(word: &str) -> bool {
    let is_date = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/');
    let steps = word.matches(['/', '\\']).count();
    let is_rooted = word.len() > 1 && word.starts_with(['/', '\\']);
    (steps >= 2 && !is_date)
        || is_rooted
        || word.contains(":\\")
        || word.to_ascii_lowercase().contains(".php")
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

    const KEY: &str = "QLOAPPSTESTKEYALLPERMISSIONS0001";

    #[test]
    fn the_key_is_hidden_however_it_is_sent() {
        let redactor = Redactor::new(&Secret::new(KEY));
        for (text, shown) in [
            (
                format!("Authorization: Basic {}", STANDARD.encode(format!("{KEY}:"))),
                "Authorization: Basic ***",
            ),
            (
                format!("user {}", STANDARD_NO_PAD.encode(format!("{KEY}:"))),
                "user ***",
            ),
            (format!("key {}", STANDARD.encode(KEY)), "key ***"),
        ] {
            assert_eq!(redactor.shorten(&text, 200), shown);
        }
        let location = format!("https://shop.example/api/?ws_key={KEY}&x=1");
        assert_eq!(redactor.address(&location, 200), "https://shop.example/api/");
    }

    #[test]
    fn paths_of_the_server_are_hidden_and_words_stay() {
        let redactor = Redactor::new(&Secret::new(KEY));
        for (text, shown) in [
            (
                "failed in /var/www/html/classes/Order.php on line 12",
                "failed in *** on line 12",
            ),
            (
                "include(C:\\xampp\\htdocs\\a.tpl): failed",
                "include(***): failed",
            ),
            (r#"{"file":"\/home\/u123\/shop\/x"}"#, r#"{"file":"***"}"#),
            ("Order.php(88) said no", "***(88) said no"),
            ("arrival 10/03/2027 and/or n/a", "arrival 10/03/2027 and/or n/a"),
        ] {
            assert_eq!(redactor.shorten(text, 200), shown);
        }
    }

    #[test]
    fn the_key_and_digests_are_hidden() {
        let redactor = Redactor::new(&Secret::new(KEY));
        let text =
            "ws_key=QLOAPPSTESTKEYALLPERMISSIONS0001\nsecure_key: a4db54b279e735c673dea11e3950b6d2, id 12";
        assert_eq!(redactor.shorten(text, 200), "ws_key=*** secure_key: ***, id 12");
        assert_eq!(redactor.shorten("abc", 2), "ab");
    }

    #[test]
    fn guests_and_what_they_sent_are_hidden() {
        let redactor = Redactor::new(&Secret::new(KEY));
        let text = "no mail to ana@example.com, +54 9 11 8765-4321 today. Original XML : {\"passwd\": \"x\"}";
        assert_eq!(redactor.shorten(text, 200), "no mail to ***, ***21 today. ");
    }
}
