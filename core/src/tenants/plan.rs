//! What is asked of the numbering plan of a country before the crate `phonenumber` is: which national (trunk) prefixes
//! it has, such as the `0` that people leave in `+44 020…`, and how long its numbers are.
//!
//! The crate keeps at most 100 compiled patterns for the whole world, behind a lock. A process that meets numbers of
//! twenty countries compiles them again and again: 10 ms for a number on average, and up to 40 ms, on the thread of an
//! event loop. Nearly all numbers have no prefix and a usual length, which one pattern of their country tells.

use std::sync::OnceLock;

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use regex::Regex;

/// Whether a number that no plan has is none.
pub(super) const ARE_KNOWN: bool = true;
/// Country codes have one to three digits.
const CODES: usize = 1000;
/// The most digits of an international number, as E.164 has it.
const MOST_DIGITS: usize = 15;

/// The plan of each country, by its code, read at its first number; nothing where no country is.
static COUNTRIES: [OnceLock<Option<Plan>>; CODES] = [const { OnceLock::new() }; CODES];

/// The numbering plan of a country code, which several countries may share.
pub(super) struct Plan {
    prefixes: Box<[Prefix]>,
    /// The most digits behind the code that a telephone has, fixed or mobile.
    longest: usize,
}

/// A prefix that a part of a country has.
enum Prefix {
    Digits(&'static str),
    /// It also matches where there is none, without any digit.
    Pattern(Regex),
}

impl Plan {
    /// The plan of an international number, given without its plus, and the digits behind the country code.
    pub(super) fn of(number: &str) -> Option<(&'static Self, &str)> {
        (1..=3).find_map(|length| {
            let (code, national) = number.split_at_checked(length)?;
            Some((Self::of_code(code)?, national))
        })
    }

    /// The plan of a country code.
    pub(super) fn of_code(code: &str) -> Option<&'static Self> {
        if code.starts_with('0') {
            return None;
        }
        let code: u16 = code.parse().ok()?;
        let read = || {
            let parts = DATABASE.by_code(&code)?;
            Some(Self {
                longest: parts
                    .iter()
                    .filter_map(|part| longest(part))
                    .max()
                    .unwrap_or(MOST_DIGITS),
                prefixes: parts.into_iter().flat_map(Prefix::all_of).collect(),
            })
        };
        COUNTRIES.get(usize::from(code))?.get_or_init(read).as_ref()
    }

    /// Whether the digits behind the code may begin with a national prefix. When they do not, the plan leaves the
    /// number as it is.
    pub(super) fn may_have_prefix(&self, national: &str) -> bool {
        self.prefixes.iter().any(|prefix| prefix.begins(national))
    }

    /// Whether the digits behind the code are more than a telephone of this country has, also without a prefix.
    pub(super) fn is_too_long(&self, national: &str) -> bool {
        let prefix = |prefix: &Prefix| match prefix {
            Prefix::Digits(digits) if national.starts_with(digits) => digits.len(),
            Prefix::Digits(_) | Prefix::Pattern(_) => 0,
        };
        national.len() > self.longest + self.prefixes.iter().map(prefix).max().unwrap_or(0)
    }
}

/// The number with its code and without a national prefix, when the plan of its country knows it.
pub(super) fn canonical(number: &str) -> Option<String> {
    let parsed = phonenumber::parse(None, number).ok()?;
    // The crate's own formatter looks for the spaces of the country first, and E.164 has none.
    phonenumber::is_valid(&parsed).then(|| format!("+{}{}", parsed.code().value(), parsed.national()))
}

impl Prefix {
    fn all_of(part: &'static Metadata) -> Vec<Self> {
        let digits = part.national_prefix().map(Self::Digits);
        // What cannot be read may match anything.
        let pattern = part.national_prefix_for_parsing().map(|pattern| {
            Regex::new(&format!("(?x)^(?:{})", pattern.as_str())).map_or(Self::Digits(""), Self::Pattern)
        });
        digits.into_iter().chain(pattern).collect()
    }

    fn begins(&self, national: &str) -> bool {
        match self {
            Self::Digits(digits) => national.starts_with(digits),
            Self::Pattern(pattern) => pattern.find(national).is_some_and(|found| found.end() > 0),
        }
    }
}

/// The length of the longest fixed or mobile number of a part of a country; of any number where there are no such,
/// as behind 800. The crate leaves the lengths of the whole plan empty.
fn longest(part: &Metadata) -> Option<usize> {
    let parts = part.descriptors();
    let longest = |kinds: &[Option<&Descriptor>]| {
        let lengths = kinds.iter().flatten().flat_map(|kind| kind.possible_length());
        lengths.max().map(|length| usize::from(*length))
    };
    longest(&[parts.fixed_line(), parts.mobile()]).or_else(|| {
        longest(&[
            parts.toll_free(),
            parts.shared_cost(),
            parts.premium_rate(),
            parts.voip(),
            parts.uan(),
        ])
    })
}
