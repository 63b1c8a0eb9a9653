//! Phone numbers: E.164, and the other numbers under which the same line is known.
//!
//! Some countries changed how mobile numbers are written and messengers did not follow everywhere: Argentina (`+54 9`
//! or `+54`), Mexico (`+52 1` or `+52`) and Brazil (with or without the ninth digit), the Ivory Coast (ten digits
//! instead of eight, which begin with the operator's 01, 05 or 07) and Benin (01 in front of the old eight).
//! Which form a message carries cannot be known, so all forms are looked up.
//!
//! An extension (`;ext=5`, `x5`, `#5`) is left out: it is the same line, and E.164 has none.

use unicode_normalization::UnicodeNormalization as _;

use super::trunk;

/// Fewest and most digits: a short code, and what E.164 allows.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=MOST_DIGITS;
const MOST_DIGITS: usize = 15;

/// Reads the numbering plans of the world, and those closely in which a line has two numbers: the first number of a
/// process would take a tenth of a second otherwise, and the first of each of these countries some milliseconds.
pub(crate) fn read_numbering_plans() {
    for number in [
        "+5491112345678",
        "+5215512345678",
        "+5531987654321",
        "+2250708123456",
    ] {
        let _ = candidates(number);
    }
}

/// Reads a number, and answers its canonical form first and the equivalent ones behind it.
///
/// Numbers are read as international, with or without `+` or `00`; a number that begins with one zero is
/// national, stays as it is, and has no equivalents.
pub(super) fn candidates(text: &str) -> Option<Vec<String>> {
    let (plus, digits) = digits(text)?;
    let international = match digits.strip_prefix("00") {
        Some(rest) => rest,
        None if !plus && digits.starts_with('0') => {
            return DIGITS.contains(&digits.len()).then(|| vec![digits]);
        }
        None => &digits,
    };
    if !DIGITS.contains(&international.len()) || international.starts_with('0') {
        return None;
    }
    let given = format!("+{international}");
    // A plan changes nothing but a prefix.
    let asks_plan = trunk::may_follow_the_code(international);
    let planned = asks_plan.then(|| e164(&given)).flatten();
    let canonical = planned.unwrap_or_else(|| given.clone());
    let mut candidates = Vec::with_capacity(3);
    for number in [&canonical, &given] {
        for candidate in std::iter::once(number.clone()).chain(other_form(number)) {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    }
    Some(candidates)
}

/// Whether an international number, without its plus, is one of the numbering plan of its country.
pub(super) fn is_valid(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && e164(&format!("+{digits}")).is_some()
}

/// The digits of a text that holds nothing but a number and punctuation, and whether a `+` led them.
fn digits(text: &str) -> Option<(bool, String)> {
    let folded: String = text.nfkc().collect();
    let text = strip_extension(&folded);
    if is_of_a_spreadsheet(text) || has_second_number(text) {
        return None;
    }
    let (mut plus, mut digits) = (false, String::with_capacity(16));
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() && !plus => plus = true,
            _ if is_punctuation(c) => {}
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some((plus, digits))
}

/// Takes off `;ext=5`, `ext. 5`, `x5` and `#5`, and what else the URI of a number may carry behind it.
fn strip_extension(text: &str) -> &str {
    const MARKS: [&str; 6] = [";ext=", ";isub=", ";user=phone", "ext", "x", "#"];
    // Lower-casing ASCII moves nothing.
    let lower = text.to_ascii_lowercase();
    for mark in MARKS {
        let Some((number, extension)) = lower.split_once(mark) else {
            continue;
        };
        let extension = extension.trim_start_matches(['.', ':', ' ', 't', 'e', 'n', 's', 'i', 'o', '\u{e9}']);
        let is_extension = extension.len() <= 20 && extension.bytes().all(|digit| digit.is_ascii_digit());
        let is_number = number.bytes().filter(u8::is_ascii_digit).count() >= 6;
        if is_number && is_extension && (!extension.is_empty() || mark == ";user=phone") {
            return text.get(..number.len()).unwrap_or(text);
        }
    }
    text
}

/// A number that a spreadsheet took for one to reckon with: `5491112345678.0`, `5491112345678,00`.
fn is_of_a_spreadsheet(text: &str) -> bool {
    let mut parts = text.split(['.', ',']);
    let (Some(whole), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let whole = whole.trim().trim_start_matches('+');
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    digits(whole) && whole.len() >= 5 && digits(rest.trim()) && rest.trim().len() <= 2
}

/// A second number behind a stroke: `1234-5678/79`, where `030/1234567` has one number.
fn has_second_number(text: &str) -> bool {
    let mut parts = text.split('/');
    let (first, second, more) = (parts.next(), parts.next(), parts.next());
    let count = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    match (first, second) {
        (Some(first), Some(second)) => {
            let (first, second) = (count(first), count(second));
            more.is_some() || second < 4 || first >= 10 || (first >= 7 && second >= 6)
        }
        _ => false,
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '(' | ')' | '-' | '.' | '/')
        // Dashes, and the invisible direction marks that address books paste along with a number.
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// E.164 when the numbering plan of the country knows the number.
fn e164(number: &str) -> Option<String> {
    let parsed = phonenumber::parse(None, number).ok()?;
    // The crate's own formatter looks for the spaces of the country first, and E.164 has none.
    let formatted = format!("+{}{}", parsed.code().value(), parsed.national());
    let digits = formatted.strip_prefix('+')?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && DIGITS.contains(&digits.len());
    (plain && phonenumber::is_valid(&parsed)).then_some(formatted)
}

/// The other way to write the same mobile number, in the countries that have two.
fn other_form(number: &str) -> Option<String> {
    let digits = number.strip_prefix('+')?;
    match (digits.split_at_checked(2)?, digits.len()) {
        (("54", national), 13) => national.strip_prefix('9').map(|rest| format!("+54{rest}")),
        (("54", national), 12) if !national.starts_with('9') => Some(format!("+549{national}")),
        (("52", national), 13) => national.strip_prefix('1').map(|rest| format!("+52{rest}")),
        (("52", national), 12) => Some(format!("+521{national}")),
        (("55", national), 12 | 13) => other_brazilian_form(national),
        (("22", _), 11 | 13) => other_west_african_form(digits),
        _ => None,
    }
}

/// Since 2021 the mobile numbers of the Ivory Coast begin with the operator's two digits, which the second of the old
/// eight told; since 2024 all numbers of Benin begin with 01.
fn other_west_african_form(digits: &str) -> Option<String> {
    let (code, national) = digits.split_at_checked(3)?;
    let operator = |old: &str| match (code, old.as_bytes()) {
        ("225", [b'2' | b'3', ..]) => None,
        ("225", [_, b'0'..=b'3', ..]) | ("229", _) => Some("01"),
        ("225", [_, b'4'..=b'6', ..]) => Some("05"),
        ("225", [_, b'7'..=b'9', ..]) => Some("07"),
        _ => None,
    };
    if national.len() == 8 {
        return operator(national).map(|prefix| format!("+{code}{prefix}{national}"));
    }
    let (prefix, old) = national.split_at_checked(2)?;
    (old.len() == 8 && operator(old) == Some(prefix)).then(|| format!("+{code}{old}"))
}

/// Eight-digit mobile numbers began with 6 to 9 and got a 9 in front; landlines begin with 2 to 5 and did not.
fn other_brazilian_form(national: &str) -> Option<String> {
    let (area, subscriber) = national.split_at_checked(2)?;
    let was_mobile = |digits: &str| digits.starts_with(['6', '7', '8', '9']);
    if subscriber.len() == 8 {
        return was_mobile(subscriber).then(|| format!("+55{area}9{subscriber}"));
    }
    let short = subscriber.strip_prefix('9')?;
    was_mobile(short).then(|| format!("+55{area}{short}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_a_mobile_number_know_each_other() {
        for (one, other) in [
            ("+5491112345678", "+541112345678"),
            ("+5215512345678", "+525512345678"),
            ("+5531987654321", "+553187654321"),
            ("+2250708123456", "+22508123456"),
            ("+2250544123456", "+22544123456"),
            ("+2250101123456", "+22501123456"),
            ("+2290197123456", "+22997123456"),
        ] {
            assert!(candidates(one).unwrap().contains(&other.to_owned()), "{one}");
            assert!(candidates(other).unwrap().contains(&one.to_owned()), "{other}");
        }
    }

    #[test]
    fn a_brazilian_landline_is_nobodys_mobile_number() {
        assert_eq!(candidates("+551132654321").unwrap(), ["+551132654321"]);
        assert_eq!(candidates("+5511932654321").unwrap(), ["+5511932654321"]);
    }

    #[test]
    fn texts_that_are_no_numbers_are_refused() {
        for text in [
            "",
            "+",
            "12",
            "+1234567890123456",
            "12a45",
            "++5411",
            "54+11",
            "0000",
            "+0541112345678",
            "5491112345678.0",
            "+5491112345678.00",
            "5491112345678,0",
            "5.491E+12",
            "+54 9 11 1234-5678/79",
            "+54 9 11 1234-5678/1234-5679",
            "12/05/2026",
            "+5491112345678,5",
            "+5491112345678;phone-context=example.com",
        ] {
            assert_eq!(candidates(text), None, "{text}");
        }
    }

    #[test]
    fn valid_numbers_are_written_as_the_crate_writes_them() {
        for number in [
            "+5491112345678",
            "+390612345678",
            "+3901234567",
            "+525512345678",
            "+2250712345678",
        ] {
            let parsed = phonenumber::parse(None, number).unwrap();
            let theirs = phonenumber::format(&parsed)
                .mode(phonenumber::Mode::E164)
                .to_string();
            assert_eq!(e164(number), Some(theirs), "{number}");
        }
    }

    #[test]
    fn an_extension_and_usual_punctuation_are_left_out() {
        for text in [
            "+12025550143;ext=5",
            "+1 202 555 0143 x5",
            "+1 (202) 555-0143 ext. 512",
            "+1.202.555.0143",
            "+1-202-555-0143#12",
            "+1 202/5550143",
            "+12025550143;user=phone",
        ] {
            assert_eq!(candidates(text).unwrap(), ["+12025550143"], "{text}");
        }
        assert_eq!(candidates("+33.1.23.45.67.89").unwrap(), ["+33123456789"]);
    }

    #[test]
    fn an_old_landline_of_the_ivory_coast_has_no_other_form() {
        assert_eq!(candidates("+22520123456").unwrap(), ["+22520123456"]);
        assert_eq!(candidates("+2250544223456").unwrap()[1], "+22544223456");
    }

    /// What its numbering plan makes of every number, asked without a look at its prefix.
    fn planned(international: &str) -> String {
        let given = format!("+{international}");
        e164(&given).unwrap_or(given)
    }

    #[test]
    fn in_no_country_is_a_number_changed_that_is_not_given_to_its_plan() {
        let mut changed = 0;
        for code in 1..1000_u32 {
            // Beginnings that are prefixes somewhere, and some that are not.
            for first in 0..200_u32 {
                for rest in ["23456789", "5123456789"] {
                    let number = format!("{code}{first}{rest}");
                    if number.len() <= 15 && !trunk::may_follow_the_code(&number) {
                        assert_eq!(planned(&number), format!("+{number}"));
                    } else if number.len() <= 15 {
                        changed += usize::from(planned(&number) != format!("+{number}"));
                    }
                }
            }
        }
        assert!(changed > 1000, "{changed}");
    }

    #[test]
    fn a_trunk_prefix_goes_and_what_looks_like_one_stays() {
        for (given, canonical) in [
            ("+4402079460000", "+442079460000"),
            ("+5401112345678", "+541112345678"),
            ("+54111512345678", "+5491112345678"),
            ("+390612345678", "+390612345678"),
            ("+74951234567", "+74951234567"),
        ] {
            assert_eq!(candidates(given).unwrap()[0], canonical, "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_number_without_a_prefix_is_what_its_plan_would_make_of_it(number in "[1-9][0-9]{6,14}") {
            if !trunk::may_follow_the_code(&number) {
                prop_assert_eq!(planned(&number), format!("+{number}"));
            }
        }

        #[test]
        fn whatever_is_read_reads_again_as_itself(text in "[+]?[0-9() .-]{1,24}") {
            if let Some(all) = candidates(&text) {
                let again = candidates(&all[0]).unwrap();
                prop_assert_eq!(&again[0], &all[0]);
            }
        }

        #[test]
        fn plus_zeroes_and_punctuation_change_nothing(number in "[1-9][0-9]{9,12}") {
            let plain = candidates(&number).unwrap();
            prop_assert_eq!(&candidates(&format!("+{number}")).unwrap(), &plain);
            prop_assert_eq!(&candidates(&format!("00 {number}")).unwrap(), &plain);
            let (head, tail) = number.split_at(4);
            prop_assert_eq!(&candidates(&format!(" ({head}) {tail}\u{a0}")).unwrap(), &plain);
        }
    }
}
