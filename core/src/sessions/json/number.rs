//! Numbers that keep their spelling.

use std::fmt;

/// A JSON number as it was written: `1.0`, `1`, `1e0`, `123456789012345678901234567890`, and Python's `NaN`,
/// `Infinity` and `-Infinity`. Two numbers are equal when they are spelt the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonNumber(Box<str>);

impl JsonNumber {
    /// A spelling that the reader has checked.
    pub(super) fn from_checked(spelling: &str) -> Self {
        Self(spelling.into())
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, if it was written as an integer and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The value, if it was written as an integer that is not negative and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The nearest float. Too large a number is infinite, as in Python.
    pub fn as_f64(&self) -> f64 {
        match &*self.0 {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            spelling => spelling.parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether strict JSON readers refuse this number (`NaN`, `Infinity`, `-Infinity`).
    pub fn is_beyond_json(&self) -> bool {
        matches!(&*self.0, "NaN" | "Infinity" | "-Infinity")
    }
}

/// Spells the float as Python's `repr` does.
impl From<f64> for JsonNumber {
    fn from(value: f64) -> Self {
        let spelling = if value.is_nan() {
            "NaN".to_owned()
        } else if value.is_infinite() {
            if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        } else {
            spell(value)
        };
        Self(spelling.into())
    }
}

/// The shortest digits that read back as the same float, positional between 1e-4 and 1e16.
fn spell(value: f64) -> String {
    let scientific = shortest(value);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let decimals = decimals_of(digits) - exponent;
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(0).max(1))
}

/// Of two equally short spellings that are equally near, Python takes the one with an even last digit, as rounding to
/// that number of digits does. Rust takes the greater.
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let (digits, _) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let rounded = format!("{value:.*e}", usize::try_from(decimals_of(digits)).unwrap_or(0));
    if rounded.parse() == Ok(value) {
        rounded
    } else {
        shortest
    }
}

/// How many digits stand behind the point.
fn decimals_of(digits: &str) -> i32 {
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    i32::try_from(decimals).unwrap_or(0)
}

macro_rules! from_integers {
    ($($integer:ty),*) => {
        $(impl From<$integer> for JsonNumber {
            fn from(value: $integer) -> Self {
                Self(value.to_string().into())
            }
        })*
    };
}

from_integers!(i32, i64, u32, u64, usize);

impl fmt::Display for JsonNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JsonNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelt_as_python_spells_them() {
        for (value, spelling) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1_801_514_316_094_494.0 + 0.25, "1801514316094494.2"),
            (140_737_488_355_328.0 + 0.125, "140737488355328.12"),
            (-140_737_488_355_328.0 - 0.375, "-140737488355328.38"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (123_456.789, "123456.789"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(JsonNumber::from(value).as_str(), spelling);
        }
    }

    #[test]
    fn integers_that_do_not_fit_are_not_rounded() {
        let large = JsonNumber::from_checked("123456789012345678901234567890");
        assert_eq!(large.as_i64(), None);
        assert_eq!(large.as_str(), "123456789012345678901234567890");
        assert_eq!(JsonNumber::from(u64::MAX).as_u64(), Some(u64::MAX));
    }

    #[test]
    fn a_spelling_is_part_of_the_number() {
        assert_ne!(JsonNumber::from(1.0), JsonNumber::from(1));
        assert_eq!(JsonNumber::from(1.0).as_i64(), None);
    }
}
