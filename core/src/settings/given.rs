//! A value together with the name under which it was given, so that an error can blame that name.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result, codes};

/// A value and the variable or builder option that gave it.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) field: &'static str,
}

impl<T> Given<T> {
    pub(super) fn new(field: &'static str, value: impl Into<T>) -> Self {
        Self {
            value: value.into(),
            field,
        }
    }

    /// An error that blames this setting.
    pub(super) fn invalid(&self, message: impl fmt::Display) -> Error {
        Error::field_invalid(codes::SETTINGS_INVALID, self.field, message)
    }
}

/// Reads a whole number.
pub(super) fn number<T: FromStr>(field: &'static str, text: &str) -> Result<Given<T>> {
    match text.parse() {
        Ok(value) => Ok(Given { value, field }),
        Err(_) => Err(Error::field_invalid(
            codes::SETTINGS_INVALID,
            field,
            format_args!("must be a whole number, is {text:?}"),
        )),
    }
}

/// Reads a number of seconds, such as `1800` or `0.25`.
pub(super) fn seconds(field: &'static str, text: &str) -> Result<Given<Duration>> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text
        .parse::<f64>()
        .ok()
        .filter(|_| plain)
        .and_then(|value| Duration::try_from_secs_f64(value).ok())
    {
        Some(value) => Ok(Given { value, field }),
        None => Err(Error::field_invalid(
            codes::SETTINGS_INVALID,
            field,
            format_args!("must be a number of seconds such as 1800 or 0.25, is {text:?}"),
        )),
    }
}

/// Reads a yes or no in the spellings of pydantic.
pub(super) fn switch(field: &'static str, text: &str) -> Result<Given<bool>> {
    let value = match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => true,
        "0" | "false" | "f" | "no" | "n" | "off" => false,
        _ => {
            return Err(Error::field_invalid(
                codes::SETTINGS_INVALID,
                field,
                format_args!("must be true or false, is {text:?}"),
            ));
        }
    };
    Ok(Given { value, field })
}

/// The value if it was given, or the default; refused outside the range.
pub(super) fn ranged<T: PartialOrd + Copy + fmt::Debug>(
    given: Option<&Given<T>>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T> {
    match given {
        None => Ok(default),
        Some(given) if range.contains(&given.value) => Ok(given.value),
        Some(given) => Err(given.invalid(format_args!(
            "must be between {:?} and {:?}, is {:?}",
            range.start(),
            range.end(),
            given.value
        ))),
    }
}
