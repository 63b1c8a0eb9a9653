//! A text that must not be shown.

use std::fmt;

use super::sourced::Fault;

/// A password or key. `Debug` and `Display` show `***`; only [`expose`](Secret::expose) gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Hand it to a server, never to a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it cannot be guessed from an example, and it does not repeat a few letters.
    pub(crate) fn is_strong(&self) -> bool {
        self.check_strength(1).is_ok()
    }

    /// Refuses what anybody can guess: a text that stands in a guide or an example file, one that is shorter than
    /// `shortest` bytes, and one that repeats a few letters. The fault does not repeat the text.
    pub(super) fn check_strength(&self, shortest: usize) -> Result<(), Fault> {
        match self.weakness(shortest) {
            Some(weakness) => Err(Fault::dummy_secret(format!("{weakness}; {ADVICE}"))),
            None => Ok(()),
        }
    }

    /// What is wrong with the secret, in words that follow its name and do not repeat it.
    pub(crate) fn weakness(&self, shortest: usize) -> Option<String> {
        if is_placeholder(&self.0) {
            return Some("is a placeholder from an example, which production refuses".to_owned());
        }
        let length = self.0.len();
        if length < shortest {
            return Some(format!(
                "has {length} bytes, and production needs at least {shortest}"
            ));
        }
        let mut letters: Vec<char> = self.0.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        (letters.len() < LEAST_LETTERS)
            .then(|| format!("repeats fewer than {LEAST_LETTERS} different characters"))
    }
}

/// How to get a good one.
pub(crate) const ADVICE: &str = "make one with `openssl rand -hex 32`";
/// Random texts of 16 characters hold fewer different ones only once in many millions.
const LEAST_LETTERS: usize = 5;
/// Beginnings of texts that stand in examples, in lower case, letters and digits only.
const PLACEHOLDERS: [&str; 17] = [
    "admin",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "devkey",
    "devpmskey",
    "dummy",
    "example",
    "generatesecurekey",
    "insecure",
    "password",
    "placeholder",
    "replaceme",
    "secretkey",
    "supersecret",
    "todo",
];
/// Texts that are placeholders only when they stand alone, or before a word such as `key`.
const WORDS: [&str; 4] = ["dev", "secret", "test", "your"];

/// Whether a text is one of the examples, whatever its case and punctuation.
fn is_placeholder(text: &str) -> bool {
    let bare: String = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    if bare.is_empty() || PLACEHOLDERS.iter().any(|known| bare.starts_with(known)) {
        return true;
    }
    // `your-secret-key-here`, `dev_secret`, `test key`: nothing but such words.
    let mut words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase);
    words.next().is_some_and(|first| WORDS.contains(&first.as_str()))
        && words.all(|word| word.chars().all(char::is_alphabetic))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn texts_from_examples_are_placeholders() {
        for text in [
            "generate_secure_key_here",
            "dev-pms-key",
            "changeme",
            "CHANGE_ME_IN_PRODUCTION_PLEASE_0123456789",
            "change-this-to-a-long-random-string",
            "your-secret-key-here-with-many-more-words",
            "your_secure_password",
            "secret",
            "supersecretsupersecretsupersecret",
            "test",
            "dev secret",
            "<placeholder>",
            "password123",
            "----",
        ] {
            let fault = Secret::new(text).check_strength(1).unwrap_err();
            let error = fault.blame("SECRET_KEY");
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{text}");
            assert!(!error.to_string().contains(&format!("{text} ")), "{error}");
        }
    }

    #[test]
    fn random_texts_are_not_placeholders() {
        for text in [
            "c0ffee5ecret0123456789abcdef0123456789abcdef",
            "QLOAPPSTESTKEYALLPERMISSIONS0001",
            "test7Qm2xL0vRk9ZpW4sNbYc8dHfJ1gT",
            "Zx9-dev-4nWq8LkT0pYb6RmVs2CjHfUe",
            "devoted-Qm2xL0vRk9ZpW4sNbYc8dHfJ",
        ] {
            assert!(Secret::new(text).check_strength(32).is_ok(), "{text}");
        }
    }

    #[test]
    fn short_and_monotonous_secrets_are_refused() {
        for (text, why) in [
            ("Qm2xL0vRk9ZpW4sNbYc8dHfJ1gTeUa3", "31 bytes"),
            ("abababababababababababababababababab", "different characters"),
        ] {
            let error = Secret::new(text)
                .check_strength(32)
                .unwrap_err()
                .blame("SECRET_KEY");
            assert!(error.is(codes::SETTINGS_DUMMY_SECRET));
            assert!(error.message().contains(why), "{error}");
        }
    }
}
