//! Stands for `definition.rs` and `engine.rs` where the feature `flags-unleash` is left out: flags are on or off, and
//! the JSON of a definition is one that cannot be used. The last good value is kept and the reason is
//! [`Error`](super::Reason::Error), as for any other.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use super::context::Context;
use super::model::Reason;
use super::variant::FlagVariant;
use crate::clock::Clock;

/// Longest definition, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A definition that can be evaluated: there is none.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) enabled: bool,
    none: Infallible,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this program was built without the feature `flags-unleash` of posada, so a flag is on or off",
        )
    }
}

/// What a definition says to a context.
pub(super) struct Verdict {
    pub(super) enabled: bool,
    pub(super) reason: Reason,
}

/// A flag that another one depends on.
pub(super) struct FeatureDependency {
    pub(super) feature: String,
    pub(super) enabled: Option<bool>,
}

impl Definition {
    pub(super) fn parse(_flag: &str, _text: &str) -> Result<Self, Fault> {
        Err(Fault)
    }

    pub(super) fn decide(
        &self,
        _context: &Context<'_>,
        _clock: &dyn Clock,
        _parents: &dyn Fn(&FeatureDependency) -> bool,
    ) -> Verdict {
        match self.none {}
    }

    pub(super) fn choose(
        &self,
        _verdict: &Verdict,
        _context: &Context<'_>,
    ) -> Option<(&Arc<FlagVariant>, Reason)> {
        match self.none {}
    }

    pub(super) fn satisfies(
        &self,
        _wanted: &FeatureDependency,
        _context: &Context<'_>,
        _clock: &dyn Clock,
    ) -> bool {
        match self.none {}
    }
}
