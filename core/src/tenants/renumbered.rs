//! Numbers that a country changed: one line, known under an old and a new number.
//!
//! Messengers did not follow everywhere, and which form a message carries cannot be known, so all forms are looked up.
//! Converted is what is unambiguous: the old form is no number of today, and one old form makes one new one.
//!
//! Not converted: what changed before 2013, when few of today's accounts existed; the landlines of the Ivory Coast and
//! the Philippines, whose new digit depends on the operator; Kosovo, whose old codes are numbers of Monaco and Slovenia
//! today.

/// Where the beginning of a number was replaced.
struct Renumbering {
    code: &'static str,
    /// The digits behind the code before the change.
    old_digits: usize,
    /// Beginnings of before, and what stands there now.
    beginnings: &'static [(&'static str, &'static str)],
}

const RENUMBERED: &[Renumbering] = &[
    // Vietnam, 2018: mobile numbers lost a digit.
    Renumbering {
        code: "84",
        old_digits: 10,
        beginnings: &[
            ("120", "70"),
            ("121", "79"),
            ("122", "77"),
            ("123", "83"),
            ("124", "84"),
            ("125", "85"),
            ("126", "76"),
            ("127", "81"),
            ("128", "78"),
            ("129", "82"),
            ("162", "32"),
            ("163", "33"),
            ("164", "34"),
            ("165", "35"),
            ("166", "36"),
            ("167", "37"),
            ("168", "38"),
            ("169", "39"),
            ("186", "56"),
            ("188", "58"),
            ("199", "59"),
        ],
    },
    // Gabon, 2019: a digit in front. Before, a zero was often written behind the code.
    Renumbering {
        code: "241",
        old_digits: 7,
        beginnings: &[
            ("1", "11"),
            ("2", "62"),
            ("4", "74"),
            ("5", "65"),
            ("6", "66"),
            ("7", "77"),
        ],
    },
    Renumbering {
        code: "241",
        old_digits: 8,
        beginnings: &[
            ("01", "11"),
            ("02", "62"),
            ("04", "74"),
            ("05", "65"),
            ("06", "66"),
            ("07", "77"),
        ],
    },
    // Colombia, 2021: landlines, 60 in front of the area.
    Renumbering {
        code: "57",
        old_digits: 8,
        beginnings: &[
            ("1", "601"),
            ("2", "602"),
            ("4", "604"),
            ("5", "605"),
            ("6", "606"),
            ("7", "607"),
            ("8", "608"),
        ],
    },
    // Cameroon, 2014: 6 in front of mobile numbers, 2 in front of landlines.
    Renumbering {
        code: "237",
        old_digits: 8,
        beginnings: &[("7", "67"), ("9", "69"), ("22", "222"), ("33", "233")],
    },
    // Mauritius, 2013: 5 in front of mobile numbers. What else had seven digits is a landline of today.
    Renumbering {
        code: "230",
        old_digits: 7,
        beginnings: &[("7", "57"), ("9", "59")],
    },
];

/// The other forms of an international number.
pub(super) fn other_forms(number: &str) -> Vec<String> {
    let Some(digits) = number.strip_prefix('+') else {
        return Vec::new();
    };
    let newest = newer(digits).unwrap_or_else(|| digits.to_owned());
    let older = older(&newest);
    let forms = std::iter::once(newest).chain(older);
    forms
        .filter(|form| form != digits)
        .map(|form| format!("+{form}"))
        .collect()
}

/// The form of today, when a number has one of before.
fn newer(digits: &str) -> Option<String> {
    let of_plan = |plan: &Renumbering| {
        let national = digits.strip_prefix(plan.code)?;
        let replaced = |(old, new): &(&str, &str)| {
            let rest = national.strip_prefix(old)?;
            Some(format!("{}{new}{rest}", plan.code))
        };
        (national.len() == plan.old_digits).then(|| plan.beginnings.iter().find_map(replaced))?
    };
    RENUMBERED.iter().find_map(of_plan).or_else(|| {
        let (code, national) = digits.split_at_checked(2)?;
        match (code, national.len()) {
            ("54", 10) if !national.starts_with('9') => Some(format!("549{national}")),
            ("52", 10) => Some(format!("521{national}")),
            ("55", 10) => {
                let (area, subscriber) = national.split_at_checked(2)?;
                was_brazilian_mobile(subscriber).then(|| format!("55{area}9{subscriber}"))
            }
            ("22", 9) => {
                let (code, old) = digits.split_at_checked(3)?;
                west_african_prefix(code, old).map(|prefix| format!("{code}{prefix}{old}"))
            }
            _ => None,
        }
    })
}

/// The forms of before, when a number has one of today.
fn older(digits: &str) -> Vec<String> {
    let of_plan = |plan: &Renumbering| {
        let national = digits.strip_prefix(plan.code)?;
        let replaced = |(old, new): &(&str, &str)| {
            let rest = national.strip_prefix(new)?;
            (old.len() + rest.len() == plan.old_digits).then(|| format!("{}{old}{rest}", plan.code))
        };
        plan.beginnings.iter().find_map(replaced)
    };
    let by_table = RENUMBERED.iter().filter_map(of_plan);
    by_table.chain(older_without_digit(digits)).collect()
}

/// The form of before where digits were put in.
fn older_without_digit(digits: &str) -> Option<String> {
    let (code, national) = digits.split_at_checked(2)?;
    match (code, national.len()) {
        ("54", 11) => national.strip_prefix('9').map(|old| format!("54{old}")),
        ("52", 11) => national.strip_prefix('1').map(|old| format!("52{old}")),
        ("55", 11) => {
            let (area, subscriber) = national.split_at_checked(2)?;
            let old = subscriber
                .strip_prefix('9')
                .filter(|old| was_brazilian_mobile(old))?;
            Some(format!("55{area}{old}"))
        }
        ("22", 11) => {
            let (code, national) = digits.split_at_checked(3)?;
            let (prefix, old) = national.split_at_checked(2)?;
            (west_african_prefix(code, old) == Some(prefix)).then(|| format!("{code}{old}"))
        }
        _ => None,
    }
}

/// Eight-digit mobile numbers began with 6 to 9 and got a 9 in front; landlines begin with 2 to 5 and did not.
fn was_brazilian_mobile(subscriber: &str) -> bool {
    subscriber.starts_with(['6', '7', '8', '9'])
}

/// What came in front of an old number of eight digits. Since 2021 the mobile numbers of the Ivory Coast begin with the
/// operator's two digits, which the second of the old eight told; since 2024 all numbers of Benin begin with 01.
fn west_african_prefix(code: &str, old: &str) -> Option<&'static str> {
    match (code, old.as_bytes()) {
        ("225", [b'2' | b'3', ..]) => None,
        ("225", [_, b'0'..=b'3', ..]) | ("229", _) => Some("01"),
        ("225", [_, b'4'..=b'6', ..]) => Some("05"),
        ("225", [_, b'7'..=b'9', ..]) => Some("07"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_number_know_each_other() {
        for (new, old) in [
            ("+5491112345678", "+541112345678"),
            ("+5215512345678", "+525512345678"),
            ("+5531987654321", "+553187654321"),
            ("+2250708123456", "+22508123456"),
            ("+2250544123456", "+22544123456"),
            ("+2250101123456", "+22501123456"),
            ("+2290197123456", "+22997123456"),
            ("+84321234567", "+841621234567"),
            ("+84831234567", "+841231234567"),
            ("+24166031234", "+2416031234"),
            ("+24166031234", "+24106031234"),
            ("+24177123456", "+24107123456"),
            ("+576012345678", "+5712345678"),
            ("+237671234567", "+23771234567"),
            ("+237222123456", "+23722123456"),
            ("+23057123456", "+2307123456"),
        ] {
            assert!(other_forms(new).contains(&old.to_owned()), "{new}");
            assert_eq!(other_forms(old)[0], new, "{old}");
        }
    }

    #[test]
    fn no_number_is_two_others_at_once() {
        for plan in RENUMBERED {
            for (old, new) in plan.beginnings {
                let rest = &"3456789"[..plan.old_digits - old.len()];
                let old = format!("+{}{old}{rest}", plan.code);
                let new = format!("+{}{new}{rest}", plan.code);
                assert_eq!(other_forms(&old)[0], new, "{old}");
                assert!(other_forms(&new).contains(&old), "{new}");
                assert_eq!(newer(new.trim_start_matches('+')), None, "{new}");
            }
        }
    }

    #[test]
    fn landlines_that_nobody_changed_have_no_other_form() {
        for number in [
            "+84901234567",
            "+22520123456",
            "+551132654321",
            "+2304012345",
            "+842838291234",
            "+5491112345",
        ] {
            assert_eq!(other_forms(number), [""; 0], "{number}");
        }
    }
}
