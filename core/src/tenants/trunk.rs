//! National (trunk) prefixes: what people dial before a number inside their country and often leave in it, such as the
//! `0` in `+44 020…`.
//!
//! The crate `phonenumber` looks for one in every number, and takes ten times as long as everything else that is done
//! with a number: it finds its patterns by their whole text, behind a lock. Most numbers have none, and one pattern of
//! their country says so.

use std::sync::OnceLock;

use phonenumber::metadata::{DATABASE, Metadata};
use regex::Regex;

/// Country codes have one to three digits.
const CODES: usize = 1000;

/// The prefixes of each country, by its code, found when somebody asks; nothing where no country is.
static COUNTRIES: [OnceLock<Option<Box<[Prefix]>>>; CODES] = [const { OnceLock::new() }; CODES];

/// A prefix that a part of a country has.
enum Prefix {
    Digits(&'static str),
    /// It also matches where there is none, without any digit.
    Pattern(Regex),
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

/// Whether a number, given as its country code and the rest, may begin with a prefix behind the code. When it does not,
/// its numbering plan leaves it as it is.
pub(super) fn may_follow_the_code(number: &str) -> bool {
    (1..=3)
        .find_map(|length| {
            let (code, national) = number.split_at_checked(length)?;
            Some((prefixes(code)?, national))
        })
        .is_some_and(|(prefixes, national)| prefixes.iter().any(|prefix| prefix.begins(national)))
}

fn prefixes(code: &str) -> Option<&'static [Prefix]> {
    let code: u16 = code.parse().ok()?;
    let find = || {
        let parts = DATABASE.by_code(&code)?;
        Some(parts.into_iter().flat_map(Prefix::all_of).collect())
    };
    COUNTRIES.get(usize::from(code))?.get_or_init(find).as_deref()
}
