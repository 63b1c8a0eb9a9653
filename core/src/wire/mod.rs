//! How values are written as JSON and read from it, or any other form that `serde` knows, in the shapes that the values
//! of Python have: the names of the members are those of their fields. The heads of the files and the documentation of
//! the crate say what is left out. `tests/vectors/values/values.json` holds the shapes; every language reads it.
//!
//! What is read is checked as by the value's own `parse` or `new`, and refused with the same words.

use std::time::Duration;

use serde::de;

use crate::error::Error;

/// Values that are written as their `Display` and read by their `FromStr`.
macro_rules! texts {
    ($($value:ty),* $(,)?) => {$(
        impl ::serde::Serialize for $value {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $value {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err($crate::wire::refused)
            }
        }
    )*};
}

/// Values that are written as their stable lower-case name.
macro_rules! names {
    ($($value:ty),* $(,)?) => {$(
        impl ::serde::Serialize for $value {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )*};
}

/// Values that are written as an object of some of their fields. `field: form` writes what the function `form` makes of
/// the field.
macro_rules! members {
    ($($value:ident { $($name:ident $(: $form:path)?),* $(,)? })*) => {$(
        impl ::serde::Serialize for $value {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ::serde::ser::SerializeStruct as _;
                let count = [$(stringify!($name)),*].len();
                let mut object = serializer.serialize_struct(stringify!($value), count)?;
                $(object.serialize_field(stringify!($name), members!(@ &self.$name $(, $form)?))?;)*
                object.end()
            }
        }
    )*};
    (@ $field:expr) => { $field };
    (@ $field:expr, $form:path) => { &$form($field) };
}

/// Values that are made of something that can be read already.
macro_rules! made_of {
    ($($value:ty: $given:ty => $make:expr;)*) => {$(
        impl<'de> ::serde::Deserialize<'de> for $value {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let make: fn($given) -> $crate::error::Result<Self> = $make;
                make(<$given>::deserialize(deserializer)?).map_err($crate::wire::refused)
            }
        }
    )*};
}

#[cfg(feature = "auth")]
mod auth;
mod basics;
mod bookings;
mod flags;
mod health;
mod json;
mod offers;
mod prices;
mod tenants;
#[cfg(test)]
mod tests;

/// A refusal of a value as the error of the reader: it names the field, says what is wrong, and has the code.
fn refused<E: de::Error>(error: Error) -> E {
    E::custom(error)
}

/// A length of time, as a number of seconds.
fn seconds(time: &Duration) -> f64 {
    time.as_secs_f64()
}

#[allow(clippy::ref_option, reason = "a form is given the field")]
fn seconds_if_known(time: &Option<Duration>) -> Option<f64> {
    time.as_ref().map(seconds)
}
