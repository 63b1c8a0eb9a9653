//! The arguments of a method: members of one JSON object.

use std::time::Duration;

use posada::TenantId;
use posada::error::{Code, codes};
use posada_bindings::Refusal;
use posada_bindings::arguments::{self as shared, Record};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a method was given. `null` and what is left out are the same.
pub(crate) struct Arguments(Map<String, Value>);

/// A wrong argument has no code of its own where no value of the crate refuses it.
const WRONG: Code = codes::POSADA_INVALID_ARGUMENT;

impl Arguments {
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| Refusal::invalid(WRONG, "arguments", error.to_string()))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A value of the crate that may be missing.
    pub(crate) fn optional<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Refusal> {
        let read = self.get(name).map(|value| serde_json::from_value(value.clone()));
        read.transpose()
            .map_err(|error| Refusal::invalid(WRONG, name, error.to_string()))
    }

    /// A value of the crate.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Refusal> {
        self.optional(name)?
            .ok_or_else(|| Refusal::invalid(WRONG, name, format!("{name} is needed")))
    }

    /// A text.
    pub(crate) fn string(&self, name: &'static str) -> Result<String, Refusal> {
        self.value(name)
    }

    /// The tenant, when one is named.
    pub(crate) fn whose(&self) -> Result<Option<TenantId>, Refusal> {
        self.tenant("tenant")
    }

    /// The JSON text of a member, as it was written.
    pub(crate) fn raw(&self, name: &'static str) -> Result<String, Refusal> {
        let value = self.get(name);
        let value = value.ok_or_else(|| Refusal::invalid(WRONG, name, format!("{name} is needed")))?;
        Ok(value.to_string())
    }

    /// A member that is an object of further arguments.
    pub(crate) fn within(&self, name: &'static str) -> Result<Self, Refusal> {
        Ok(Self(self.optional(name)?.unwrap_or_default()))
    }
}

impl Record for Arguments {
    type Error = Refusal;

    fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        self.optional(name)
    }

    fn switch(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.optional(name)
    }

    fn count(&self, name: &'static str) -> Result<Option<u32>, Refusal> {
        self.optional(name)
    }

    /// Lengths of time cross in milliseconds.
    fn duration(&self, name: &'static str) -> Result<Option<Duration>, Refusal> {
        let Some(millis) = self.optional::<f64>(name)? else {
            return Ok(None);
        };
        shared::seconds(millis / 1000.0).map(Some).ok_or_else(|| {
            Refusal::invalid(
                WRONG,
                name,
                "must be a number of milliseconds, zero or more".to_owned(),
            )
        })
    }

    fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, Refusal> {
        let id: Option<String> = self.optional(name)?;
        id.map(|id| shared::tenant(&id)).transpose()
    }
}
