//! Flags: what they are set to, and what an evaluation answers. A value is read from `true`, from a text that
//! [`FlagValue::parse`] takes, or from the object of a definition.

use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::seconds_if_known;
use crate::error::{Error, codes};
use crate::flags::{
    Evaluation, Flag, FlagChange, FlagPayload, FlagSource, FlagStatus, FlagValue, FlagVariant, Reason,
};
use crate::sessions::Json;

names! { FlagSource, FlagValue, Reason }

members! {
    Evaluation { value, variant: variant, reason, source, age: seconds_if_known, error: text }
    Flag { key, value, enabled, source, stale, error: text }
    FlagPayload { kind, value }
    FlagStatus { ready, stale, age: seconds_if_known, lost }
    FlagVariant { name, payload }
}

#[allow(clippy::ref_option, reason = "a form is given the field")]
fn text(text: &Option<Arc<str>>) -> Option<&str> {
    text.as_deref()
}

#[allow(clippy::ref_option, reason = "a form is given the field")]
fn variant(variant: &Option<Arc<FlagVariant>>) -> Option<&FlagVariant> {
    variant.as_deref()
}

made_of! {
    FlagValue: Json => |given| match &given {
        Json::Bool(value) => Ok((*value).into()),
        Json::Text(text) => FlagValue::parse(&text.to_lossy()),
        Json::Object(_) => FlagValue::parse(&given.to_text()),
        _ => Err(Error::field_invalid(
            codes::FLAGS_INVALID_VALUE,
            "value",
            "must be true, false, a text or a definition",
        )),
    };
}

impl Serialize for FlagChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (what, flag, tenant, missed) = match self {
            Self::Changed { flag, tenant } => ("changed", Some(&**flag), tenant.as_ref(), 0),
            Self::Stale => ("stale", None, None, 0),
            Self::Fresh => ("fresh", None, None, 0),
            Self::Missed(count) => ("missed", None, None, *count),
        };
        let mut object = serializer.serialize_struct("FlagChange", 4)?;
        object.serialize_field("what", what)?;
        object.serialize_field("flag", &flag)?;
        object.serialize_field("tenant", &tenant)?;
        object.serialize_field("missed", &missed)?;
        object.end()
    }
}
