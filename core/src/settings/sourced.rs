//! A value together with the name under which it was given, so that an error can blame that name.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Code, Error, Result, codes};

/// What is wrong with a value, in words that follow the name of the setting. Never repeats a secret, nor any piece
/// of a URL that could not be read.
#[derive(Debug)]
pub(super) struct Fault {
    code: Code,
    message: Cow<'static, str>,
}

impl Fault {
    /// A name that posada does not know.
    pub(super) fn unknown(message: String) -> Self {
        Self {
            code: codes::SETTINGS_UNKNOWN,
            message: message.into(),
        }
    }

    /// A secret that protects nothing.
    pub(super) fn dummy_secret(message: String) -> Self {
        Self {
            code: codes::SETTINGS_DUMMY_SECRET,
            message: message.into(),
        }
    }

    /// The same fault of a part of the setting.
    pub(super) fn about(self, what: &str) -> Self {
        Self {
            message: format!("{what} {}", self.message).into(),
            ..self
        }
    }

    /// The error that blames a setting.
    pub(super) fn blame(self, field: &'static str) -> Error {
        Error::field_invalid(self.code, field, self.message)
    }
}

impl From<&'static str> for Fault {
    fn from(message: &'static str) -> Self {
        Self {
            code: codes::SETTINGS_INVALID,
            message: message.into(),
        }
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self {
            code: codes::SETTINGS_INVALID,
            message: message.into(),
        }
    }
}

/// A value and the variable or builder option that gave it.
#[derive(Debug, Clone)]
pub(super) struct Sourced<T> {
    /// As it was given; ranges are checked when the settings are built.
    pub(super) value: T,
    /// `DATABASE_URL`, or `postgres_url` for the builder.
    pub(super) field: &'static str,
}

impl<T> Sourced<T> {
    /// An error that blames this setting.
    pub(super) fn invalid(&self, message: impl fmt::Display) -> Error {
        Error::field_invalid(codes::SETTINGS_INVALID, self.field, message)
    }
}

/// The place of one option. What code gave stays; a variable only fills the place or replaces another variable.
#[derive(Debug, Clone)]
pub(super) struct Slot<T> {
    given: Option<Sourced<T>>,
    by_code: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            given: None,
            by_code: false,
        }
    }
}

impl<T> Slot<T> {
    /// What the builder's setters call: the last one wins.
    pub(super) fn set_by_code(&mut self, field: &'static str, value: impl Into<T>) {
        let value = value.into();
        self.given = Some(Sourced { value, field });
        self.by_code = true;
    }

    /// What reading variables calls.
    pub(super) fn set_by_variable(&mut self, field: &'static str, value: impl Into<T>) {
        if !self.by_code {
            let value = value.into();
            self.given = Some(Sourced { value, field });
        }
    }

    /// Value and name, if anything was given.
    pub(super) fn get(&self) -> Option<&Sourced<T>> {
        self.given.as_ref()
    }

    /// The value alone.
    pub(super) fn value(&self) -> Option<&T> {
        self.get().map(|given| &given.value)
    }
}

impl<T: PartialOrd + Copy + fmt::Debug> Slot<T> {
    /// The value if there is one, or the default; refused outside the range.
    pub(super) fn within(&self, range: RangeInclusive<T>, default: T) -> Result<T> {
        match self.get() {
            None => Ok(default),
            Some(given) if range.contains(&given.value) => Ok(given.value),
            Some(given) => {
                let (least, most) = (range.start(), range.end());
                Err(given.invalid(format_args!(
                    "must be between {least:?} and {most:?}, is {:?}",
                    given.value
                )))
            }
        }
    }
}

/// Reads a whole number.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| "must be a whole number that is not too large".into())
}

/// Reads a number of seconds, such as `1800` or `0.25`.
pub(super) fn seconds(text: &str) -> Result<Duration, Fault> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>()
        .ok()
        .filter(|_| plain)
        .and_then(|value| Duration::try_from_secs_f64(value).ok())
        .ok_or_else(|| "must be a number of seconds such as 1800 or 0.25".into())
}

/// Reads a yes or no in the spellings that pydantic, the app's reader, accepts.
pub(super) fn yes_or_no(text: &str) -> Result<bool, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("must be true or false".into()),
    }
}

/// The known name that is most like a wrong one, if any is like it: for "did you mean".
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).clamp(1, 6);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance: how many letters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (done, letter) in one.chars().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, against) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = *cell;
            *cell = replaced.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_plain_numbers() {
        assert_eq!(seconds("1800").unwrap(), Duration::from_mins(30));
        assert_eq!(seconds("0.25").unwrap(), Duration::from_millis(250));
        for wrong in [
            "-1",
            "1e3",
            "inf",
            "NaN",
            "30s",
            "",
            ".",
            "1.2.3",
            &"9".repeat(400),
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_code_gave_stays_whatever_the_order() {
        let mut slot = Slot::<u32>::default();
        slot.set_by_variable("A", 1_u32);
        slot.set_by_variable("B", 2_u32);
        assert_eq!(slot.value(), Some(&2));
        slot.set_by_code("code", 3_u32);
        slot.set_by_variable("A", 4_u32);
        assert_eq!(slot.value(), Some(&3));
        assert_eq!(slot.get().unwrap().field, "code");
    }

    #[test]
    fn a_value_outside_its_range_names_the_setting_and_the_range() {
        let mut slot = Slot::<u32>::default();
        slot.set_by_variable("POSTGRES_POOL_SIZE", 0_u32);
        let error = slot.within(1..=9, 5).unwrap_err();
        assert_eq!(error.field(), Some("POSTGRES_POOL_SIZE"));
        assert_eq!(
            error.message(),
            "POSTGRES_POOL_SIZE: must be between 1 and 9, is 0"
        );
        assert_eq!(Slot::default().within(1..=9, 5).unwrap(), 5);
    }

    #[test]
    fn the_edit_distance_counts_single_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("sslmode", "ssl_mode", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn only_a_name_that_is_alike_is_suggested() {
        let known = ["sslmode", "sslrootcert", "application_name"];
        assert_eq!(nearest("ssl_mode", known), Some("sslmode"));
        assert_eq!(nearest("aplication_nam", known), Some("application_name"));
        assert_eq!(nearest("target", known), None);
    }
}
