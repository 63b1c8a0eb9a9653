//! Phone numbers: E.164, and the other numbers under which the same line is known.
//!
//! Some countries changed how numbers are written and messengers did not follow everywhere: Argentina (`+54 9` or
//! `+54`), Mexico (`+52 1` or `+52`), Brazil (with or without the ninth digit), and those of [`renumbered`]. Which form
//! a message carries cannot be known, so all forms are looked up.
//!
//! An extension (`;ext=5`, `x5`, `#5`) is left out: it is the same line, and E.164 has none. A number with more digits
//! than its country has, or with more behind a number that is complete, is refused: what follows is a second number or
//! an extension without its mark, and the whole would be the number of another line.

use unicode_normalization::UnicodeNormalization as _;

use super::plan::{self, Plan};
use super::renumbered::other_forms;
use super::spelling;

/// Fewest and most digits: a short code, and what E.164 allows.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=MOST_DIGITS;
const MOST_DIGITS: usize = 15;
/// The fewest digits of a number between points, such as `+1.202.555.0143`; a version of a program has fewer.
const DOTTED: usize = 7;
/// The fewest digits of an international number behind which others can be too many.
const COMPLETE: usize = 7;

/// Why a text is no phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPhone {
    /// It is something else.
    NoNumber,
    /// It has more digits than a number of its country.
    TooLong,
}

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

/// Reads a number, and returns its canonical form first and the equivalent ones behind it.
///
/// Numbers are read as international, with or without `+` or `00`; a number that begins with one zero is
/// national, stays as it is, and has no equivalents.
pub(super) fn candidates(text: &str) -> Result<Vec<String>, NoPhone> {
    let read = WrittenNumber::read(text)?;
    let international = match read.digits.strip_prefix("00") {
        Some(rest) => rest,
        None if !read.plus && read.digits.starts_with('0') => {
            return within_limits(&read.digits).map(|()| vec![read.digits.clone()]);
        }
        None => &read.digits,
    };
    within_limits(international)?;
    if international.starts_with('0') {
        return Err(NoPhone::NoNumber);
    }
    let given = format!("+{international}");
    let planned = planned(&given, international);
    let known = planned.is_some() || !other_forms(&given).is_empty();
    if !known {
        read.check_against_plan(international)?;
    }
    let canonical = planned.unwrap_or_else(|| given.clone());
    let mut candidates = Vec::with_capacity(3);
    for number in [&canonical, &given] {
        for candidate in std::iter::once(number.clone()).chain(other_forms(number)) {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    }
    Ok(candidates)
}

fn within_limits(digits: &str) -> Result<(), NoPhone> {
    match digits.len() {
        count if DIGITS.contains(&count) => Ok(()),
        count if count > MOST_DIGITS => Err(NoPhone::TooLong),
        _ => Err(NoPhone::NoNumber),
    }
}

/// The canonical form, where the plan of the country changes something: nothing but a prefix.
fn planned(given: &str, international: &str) -> Option<String> {
    let (plan, national) = Plan::of(international)?;
    plan.may_have_prefix(national).then(|| e164(given)).flatten()
}

/// Whether an international number, without its plus, is one of the numbering plan of its country; whether it may be
/// one, where the plans are not known.
pub(super) fn is_valid(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && (!plan::ARE_KNOWN || e164(&format!("+{digits}")).is_some())
}

/// The digits of a text that holds nothing but a number and punctuation.
struct WrittenNumber {
    plus: bool,
    digits: String,
    /// Where punctuation stands: after that number of digits.
    gaps: Vec<usize>,
    has_point: bool,
}

impl WrittenNumber {
    fn read(text: &str) -> Result<Self, NoPhone> {
        let folded: String = text.nfkc().collect();
        let text = strip_extension(&folded);
        if spelling::is_address(text) || spelling::is_changed(text) {
            return Err(NoPhone::NoNumber);
        }
        let mut read = Self {
            plus: false,
            digits: String::with_capacity(16),
            gaps: Vec::new(),
            has_point: text.contains('.'),
        };
        for c in text.chars() {
            match c {
                '0'..='9' => read.digits.push(c),
                '+' if read.digits.is_empty() && !read.plus => read.plus = true,
                _ if is_punctuation(c) => read.gaps.push(read.digits.len()),
                _ => return Err(NoPhone::NoNumber),
            }
        }
        if read.digits.is_empty() || (read.has_point && read.digits.len() < DOTTED) {
            Err(NoPhone::NoNumber)
        } else if has_second_number(text) || ends_in_parentheses(text) {
            Err(NoPhone::TooLong)
        } else {
            Ok(read)
        }
    }

    /// Refuses more digits than a number of the country has, and digits behind a number that is complete. Points
    /// without a plus make a number only of what the country has: `256.1.1.1` is none.
    fn check_against_plan(&self, international: &str) -> Result<(), NoPhone> {
        let Some((plan, national)) = Plan::of(international) else {
            // The length of a number of no country is unknown.
            return if self.is_explicit() {
                Ok(())
            } else {
                Err(NoPhone::NoNumber)
            };
        };
        let prefix = self.digits.len() - international.len();
        let heads: Vec<_> = self
            .gaps
            .iter()
            .filter_map(|gap| international.get(..gap.checked_sub(prefix)?))
            .filter(|head| (COMPLETE..international.len()).contains(&head.len()))
            .collect();
        let is_too_long = plan.is_too_long(national);
        if !is_too_long && heads.is_empty() && self.is_explicit() {
            return Ok(());
        }
        // Asked last, because it is slow.
        if is_valid(international) {
            Ok(())
        } else if is_too_long || heads.into_iter().any(is_valid) {
            Err(NoPhone::TooLong)
        } else if self.is_explicit() {
            Ok(())
        } else {
            Err(NoPhone::NoNumber)
        }
    }

    /// Whether the text says that it is a number, or is nothing else at least.
    fn is_explicit(&self) -> bool {
        self.plus || !self.has_point || self.digits.starts_with("00")
    }
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

/// Something behind a number: `1234-5678 (79)`. Parentheses stand around an area.
fn ends_in_parentheses(text: &str) -> bool {
    text.trim_end()
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('))
        .is_some_and(|(number, _)| number.bytes().any(|c| c.is_ascii_digit()))
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
    let formatted = plan::canonical(number)?;
    let digits = formatted.strip_prefix('+')?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && DIGITS.contains(&digits.len());
    plain.then_some(formatted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            "12a45",
            "++5411",
            "54+11",
            "0000",
            "+0541112345678",
            "5491112345678.0",
            "5.491E+12",
            "1.2.3.4",
            "192.168.100.200",
            "256.1.1.1",
            "192.168.100",
            "1.2.3",
            "+1.2.3",
            "115.0.5790.102",
            "2.2507123456",
            "+5491112345678,5",
            "+5491112345678;phone-context=example.com",
        ] {
            assert_eq!(candidates(text), Err(NoPhone::NoNumber), "{text}");
        }
    }

    #[test]
    fn what_runs_together_with_something_behind_it_is_refused() {
        for text in [
            "+1234567890123456",
            "+1 415 555 2671-72",
            "+1 415 555 2671 72",
            "+1 415 555 2671 (72)",
            "+1 415 555 2671 2672",
            "+1.415.555.2671.72",
            "1-415-555-2671-72",
            "1415555267172",
            "0014155552671 72",
            "+54 9 11 1234-5678-79",
            "+54 9 11 1234 5678 79",
            "+54 9 11 1234-5678 (79)",
            "+54 9 11 1234-5678/79",
            "+54 9 11 1234-5678/1234-5679",
            "+54 11 1234-5678-7",
            "+52 55 1234 5678 9",
            "+55 11 3265-4321 5",
            "+44 (0)20 7946 0000-12",
            "+33 1 23 45 67 89 90",
            "+225 07 08 12 34 56 57",
            "(011) 4444-5555 (56)",
        ] {
            assert_eq!(candidates(text), Err(NoPhone::TooLong), "{text}");
        }
    }

    #[test]
    fn long_numbers_that_their_country_has_are_read() {
        for (text, canonical) in [
            ("+49 30 12345678-0", "+4930123456780"),
            ("+43 1 12345-678", "+43112345678"),
            ("+39 06 1234 5678", "+390612345678"),
            ("+41 860 44 668 18 00", "+41860446681800"),
            ("+44 (0)20 7946 0000", "+442079460000"),
            ("+52 1 55 1234 5678", "+5215512345678"),
            ("+84 162 123 4567", "+841621234567"),
            ("+229 01 97 12 34 56", "+2290197123456"),
            ("34.600.111.222", "+34600111222"),
            ("33.1.23.45.67.89", "+33123456789"),
            ("01.23.45.67.89", "0123456789"),
            ("+1.4155552671", "+14155552671"),
            ("+1 555 123 4567", "+15551234567"),
        ] {
            assert_eq!(candidates(text).unwrap()[0], canonical, "{text}");
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

    fn may_have_prefix(number: &str) -> bool {
        Plan::of(number).is_some_and(|(plan, national)| plan.may_have_prefix(national))
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
                    if number.len() <= 15 && !may_have_prefix(&number) {
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
            if !may_have_prefix(&number) {
                prop_assert_eq!(planned(&number), format!("+{number}"));
            }
        }

        #[test]
        fn whatever_is_read_reads_again_as_itself(text in "[+]?[0-9() .-]{1,24}") {
            if let Ok(all) = candidates(&text) {
                let again = candidates(&all[0]).unwrap();
                prop_assert_eq!(&again[0], &all[0]);
            }
        }

        #[test]
        fn plus_zeroes_and_punctuation_change_nothing(number in "[1-9][0-9]{9,12}") {
            let plain = candidates(&number);
            prop_assert_eq!(&candidates(&format!("+{number}")), &plain);
            prop_assert_eq!(&candidates(&format!("00 {number}")), &plain);
            let (head, tail) = number.split_at(4);
            prop_assert_eq!(&candidates(&format!(" ({head}) {tail}\u{a0}")), &plain);
        }
    }
}
