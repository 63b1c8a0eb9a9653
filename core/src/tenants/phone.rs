//! Phone numbers: E.164, and the other numbers under which the same line is known.
//!
//! Three countries changed how mobile numbers are written and messengers did not follow everywhere:
//! Argentina (`+54 9` or `+54`), Mexico (`+52 1` or `+52`) and Brazil (with or without the ninth digit).
//! Which form a message carries cannot be known, so all forms are looked up.

use unicode_normalization::UnicodeNormalization as _;

use super::trunk;

/// Fewest and most digits: a short code, and what E.164 allows.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// Reads the numbering plans of the world, and those closely in which a line has two numbers: the first number of a
/// process would take a tenth of a second otherwise, and the first of each of these countries some milliseconds.
pub(crate) fn read_numbering_plans() {
    for number in ["+5491112345678", "+5215512345678", "+5531987654321"] {
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

/// The digits of a text that holds nothing but a number and punctuation, and whether a `+` led them.
fn digits(text: &str) -> Option<(bool, String)> {
    let (mut plus, mut digits) = (false, String::with_capacity(16));
    for c in strip_scheme(text).nfkc() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() && !plus => plus = true,
            _ if is_punctuation(c) => {}
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some((plus, digits))
}

fn strip_scheme(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, number))
            if ["tel", "sms", "whatsapp"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            number
        }
        _ => text,
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
        _ => None,
    }
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
