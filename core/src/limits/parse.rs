//! Limit strings in the notation of `limits`: `30/minute`, `5 per 2 hours`, `1/second; 30/minute`.

use super::model::{Granularity, RateLimit, Strategy};
use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// The longest window, in seconds: a hundred of `limits`' years. Servers and arithmetic bear every time within it.
const LONGEST_WINDOW: u64 = 100 * 360 * 24 * 60 * 60;

impl RateLimit {
    /// Reads one limit, counted in a fixed window.
    ///
    /// # Errors
    /// `limits.invalid` (field `limit`), also when the text holds several limits.
    pub fn parse(text: &str) -> Result<Self> {
        match *Self::parse_many(text)?.as_slice() {
            [limit] => Ok(limit),
            ref several => Err(invalid(
                text,
                &format!("holds {} limits where one is expected", several.len()),
            )),
        }
    }

    /// Reads limits that are separated by `,`, `;` or `|`.
    ///
    /// # Errors
    /// `limits.invalid` (field `limit`), saying which part is wrong.
    pub fn parse_many(text: &str) -> Result<Vec<Self>> {
        text.split([',', ';', '|'])
            .map(|part| one(part).map_err(|reason| invalid(text, reason)))
            .collect()
    }
}

fn one(text: &str) -> Result<RateLimit, &'static str> {
    let (amount, rest) = number(text.trim()).ok_or("must begin with a number of requests")?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest,
        None => word(rest, "per").ok_or("must have `/` or `per` after the number")?,
    };
    let (multiples, unit) = number(rest.trim_start()).unwrap_or((1, rest.trim_start()));
    if multiples == 0 {
        return Err("must have a window of at least one unit");
    }
    let granularity =
        granularity(unit.trim()).ok_or("must end with second, minute, hour, day, month or year")?;
    let limit = RateLimit {
        amount,
        multiples,
        granularity,
        strategy: Strategy::FixedWindow,
    };
    if limit.seconds() > LONGEST_WINDOW {
        return Err("must have a window of at most 100 years");
    }
    Ok(limit)
}

/// The number at the beginning and the rest.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// What follows the word, in any case.
fn word<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(expected.len())?;
    head.eq_ignore_ascii_case(expected).then_some(rest)
}

fn granularity(unit: &str) -> Option<Granularity> {
    let unit = unit.to_ascii_lowercase();
    let singular = unit.strip_suffix('s').unwrap_or(&unit);
    Granularity::ALL
        .into_iter()
        .find(|granularity| granularity.name() == singular)
}

fn invalid(text: &str, reason: &str) -> Error {
    Error::field_invalid(
        codes::LIMITS_INVALID,
        "limit",
        format_args!("{} {reason}", Shown(text)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notations_of_limits_are_read() {
        for (text, shown, seconds) in [
            ("30/minute", "30 per 1 minute", 60),
            (" 5 per 2 hours ", "5 per 2 hour", 7200),
            ("10PER Second", "10 per 1 second", 1),
            ("1/ 3 DAYS", "1 per 3 day", 3 * 86_400),
            ("7 / month", "7 per 1 month", 30 * 86_400),
            ("0/year", "0 per 1 year", 360 * 86_400),
        ] {
            let limit = RateLimit::parse(text).unwrap();
            assert_eq!(
                (limit.to_string().as_str(), limit.seconds()),
                (shown, seconds),
                "{text}"
            );
        }
        let many: Vec<_> = RateLimit::parse_many("1/second; 30 per minute|5/day,9/hour")
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            many,
            ["1 per 1 second", "30 per 1 minute", "5 per 1 day", "9 per 1 hour"]
        );
    }

    #[test]
    fn anything_else_is_refused_and_the_field_named() {
        for text in [
            "",
            "minute",
            "5",
            "5/",
            "5/fortnight",
            "5/0minute",
            "-1/minute",
            "1.5/minute",
            "5/minute;",
            "99999999999/minute",
            "5 pro minute",
            "5/minutess",
            "5/4294967295year",
            "5/4294967295 months",
            "5/4294967295second",
            "5/101 years",
            "1/second; 5/101year",
        ] {
            let error = RateLimit::parse(text).unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                ("limits.invalid", Some("limit")),
                "{text}"
            );
        }
        let (longest, shown) = (
            RateLimit::parse("4294967295/100 years").unwrap(),
            "4294967295 per 100 year",
        );
        assert_eq!(
            (longest.to_string().as_str(), longest.seconds()),
            (shown, LONGEST_WINDOW)
        );
        let error = RateLimit::parse(&"5/".repeat(1_000_000)).unwrap_err();
        assert!(error.message().len() < 300, "{error}");
        assert!(
            RateLimit::parse("1/second;2/second")
                .unwrap_err()
                .to_string()
                .contains("2 limits")
        );
    }
}
