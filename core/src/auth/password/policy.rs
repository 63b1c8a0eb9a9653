//! Which passwords may be set.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::estimate::is_guessable;
use crate::error::{Error, Result, codes};

/// The rules for new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordPolicy {
    /// The app's rules: twelve characters, and one of each of four classes. Same order, same messages.
    Legacy,
    /// What NIST SP 800-63B asks for: a length, and nothing that attackers try first. No classes of characters.
    Nist {
        /// The fewest characters, at least eight; fifteen where a password is all there is.
        min_length: usize,
    },
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self::Nist { min_length: 12 }
    }
}

/// The punctuation that the app calls special: all of ASCII but `` ` `` and `~`.
const SPECIAL: &str = r#"!@#$%^&*()_+-=[]{};':"\|,.<>/?"#;
/// The same, as the app's message spells it.
const SPECIAL_SHOWN: &str = r#"!@#$%^&*()_+\-=\[\]{};':\"\\|,.<>\/?"#;
const LEGACY_LENGTH: usize = 12;
/// Words that guests and thieves of a hotel try first, and the most common passwords; one a line, in lower case.
static BLOCKLIST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("blocklist.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

impl PasswordPolicy {
    /// What is wrong with a password, in a fixed order; empty if nothing is. `context` are words that belong to the
    /// user or the hotel, such as the username, the e-mail and the tenant's id.
    ///
    /// How easy it is to guess is estimated only when nothing else is wrong. That takes up to tens of milliseconds of
    /// the calling thread: do not call it where others wait. No I/O, and it never panics.
    pub fn violations(&self, password: &str, context: &[&str]) -> Vec<String> {
        match self {
            Self::Legacy => legacy(password),
            Self::Nist { min_length } => nist(password, (*min_length).max(8), context),
        }
    }

    /// # Errors
    /// `auth.weak_password`, with the violations in its facts. It never repeats the password.
    pub(crate) fn check(&self, password: &str, context: &[&str]) -> Result<()> {
        let violations = self.violations(password, context);
        if violations.is_empty() {
            return Ok(());
        }
        let error = Error::field_invalid(
            codes::AUTH_WEAK_PASSWORD,
            "password",
            "Password does not meet policy requirements",
        );
        Err(violations
            .iter()
            .fold(error, |error, violation| error.with("violation", violation)))
    }
}

fn legacy(password: &str) -> Vec<String> {
    let lacks = |found: fn(char) -> bool| !password.chars().any(found);
    let mut violations = Vec::new();
    if password.chars().count() < LEGACY_LENGTH {
        violations.push(format!(
            "Password must be at least {LEGACY_LENGTH} characters long"
        ));
    }
    if lacks(|letter| letter.is_ascii_uppercase()) {
        violations.push("Password must contain at least one uppercase letter".to_owned());
    }
    if lacks(|letter| letter.is_ascii_lowercase()) {
        violations.push("Password must contain at least one lowercase letter".to_owned());
    }
    if lacks(is_decimal_digit) {
        violations.push("Password must contain at least one digit".to_owned());
    }
    if lacks(|letter| SPECIAL.contains(letter)) {
        violations.push(format!(
            "Password must contain at least one special character from: {SPECIAL_SHOWN}"
        ));
    }
    violations
}

/// Python's `\d`: decimal digits of every script.
fn is_decimal_digit(letter: char) -> bool {
    // The blocks of decimal digits in Unicode begin at these code points and have ten each.
    const ZEROS: [u32; 70] = [
        0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
        0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
        0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30,
        0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0,
        0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2,
        0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E950, 0x1FBF0, 0x10D40, 0x11DE0,
    ];
    let point = u32::from(letter);
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&point))
}

fn nist(password: &str, min_length: usize, context: &[&str]) -> Vec<String> {
    let mut violations = Vec::new();
    if password.chars().count() < min_length {
        violations.push(format!("must have at least {min_length} characters"));
    }
    let lower = password.to_lowercase();
    let bare: String = lower.chars().filter(|letter| letter.is_alphabetic()).collect();
    if [lower.as_str(), bare.as_str()].iter().any(|text| is_common(text)) {
        violations.push("is a word that is tried first".to_owned());
    }
    let words: Vec<String> = context
        .iter()
        .flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric()))
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= 4)
        .collect();
    if words.iter().any(|word| lower.contains(word.as_str())) {
        violations.push("contains a name of the user or the hotel".to_owned());
    }
    let known: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .chain(BLOCKLIST.iter().copied())
        .collect();
    // What is refused already is not worth the work of an estimate.
    if violations.is_empty() && is_guessable(password, &known) {
        violations.push("is easy to guess".to_owned());
    }
    violations
}

/// A word of the list, or several in a row: `hoteldemo`, `veranoverano`.
fn is_common(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let letters: Vec<(usize, char)> = text.char_indices().take(64).collect();
    let mut reachable: HashSet<usize> = HashSet::from([0]);
    for (start, _) in &letters {
        if !reachable.contains(start) {
            continue;
        }
        let ends = letters.iter().map(|(end, _)| *end).chain([text.len()]);
        reachable.extend(ends.filter(|end| {
            text.get(*start..*end)
                .is_some_and(|word| BLOCKLIST.contains(word))
        }));
    }
    reachable.contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_101_the_apps_messages_in_the_apps_order() {
        assert_eq!(
            PasswordPolicy::Legacy.violations("", &[]),
            [
                "Password must be at least 12 characters long",
                "Password must contain at least one uppercase letter",
                "Password must contain at least one lowercase letter",
                "Password must contain at least one digit",
                "Password must contain at least one special character from: \
                 !@#$%^&*()_+\\-=\\[\\]{};':\\\"\\\\|,.<>\\/?",
            ]
        );
        assert!(PasswordPolicy::Legacy.violations("Verano2025!!", &[]).is_empty());
        assert!(
            PasswordPolicy::Legacy.violations("Aaaaaaaaaaa٣!", &[]).is_empty(),
            "digits of every script"
        );
    }

    #[test]
    fn the_app_takes_thirty_special_characters() {
        let special = (' '..='~')
            .filter(|letter| {
                PasswordPolicy::Legacy
                    .violations(&format!("Aaaaaaaaaaa1{letter}"), &[])
                    .is_empty()
            })
            .filter(char::is_ascii_punctuation)
            .count();
        assert_eq!(special, 30);
    }

    #[test]
    fn case_101_what_is_tried_first_is_refused() {
        let policy = PasswordPolicy::default();
        for password in [
            "Verano2025!!",
            "HotelDemo2025!",
            "password123456",
            "qwertyuiop1234",
            "123456789012",
            "contraseña1234",
            "recepcion2026!",
            "aaaaaaaaaaaaaaa",
            "short",
            "bienvenidobienvenido",
        ] {
            assert!(!policy.violations(password, &[]).is_empty(), "{password}");
        }
        for password in [
            "correct horse battery staple",
            "vQ9#kTz2!mWp7x",
            "el loro pinta mapas de cobre",
        ] {
            assert!(
                policy.violations(password, &[]).is_empty(),
                "{password}: {:?}",
                policy.violations(password, &[])
            );
        }
    }

    #[test]
    fn case_101_names_of_the_user_and_the_hotel_are_refused_inside() {
        let policy = PasswordPolicy::default();
        let context = ["anabelen", "ana@costanera.example", "hotel-costanera"];
        assert!(!policy.violations("xx-Costanera-kTz2!mWp7x", &context).is_empty());
        let error = policy.check("anabelen-kTz2!mWp7x", &context).unwrap_err();
        assert!(error.is(codes::AUTH_WEAK_PASSWORD) && !format!("{error:?}").contains("kTz2"));
    }

    #[test]
    fn hostile_passwords_get_a_verdict() {
        let policy = PasswordPolicy::default();
        let signs = "4@8({[<3691!|0$5+7%2";
        let hostile = [
            "1@".repeat(9),
            "1@".repeat(36),
            "1@1@1@1@1@1@1@1@1@x".to_owned(),
            signs.to_owned(),
            signs.repeat(4),
            "vQ9#kTz2".repeat(128),
            "a1@A".repeat(18),
            "\u{130}".repeat(72),
            "٣".repeat(72),
            "\u{1F9A4}\u{200d}".repeat(36),
            "75".repeat(36),
            "1/1/٣".repeat(9),
            "x".repeat(100_000),
        ];
        for password in &hostile {
            let verdict = policy.violations(password, &["ana", "ana@costanera.example", "hotel-costanera"]);
            assert!(verdict.len() <= 3, "{password}");
        }
        for weak in [&hostile[0], &hostile[1], &hostile[2], &hostile[6], &hostile[10]] {
            assert!(!policy.violations(weak, &[]).is_empty(), "{weak}");
        }
    }

    #[test]
    fn the_estimate_is_not_made_for_what_is_refused_anyway() {
        assert_eq!(
            PasswordPolicy::default().violations("short", &[]),
            ["must have at least 12 characters"]
        );
    }
}
