//! A snapshot: one view of the flags for a whole request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FeatureFlags;
use super::context::Context;
use super::model::{Evaluation, Reason};
use super::variant::FlagVariant;
use super::view::{Layer, View};
use crate::error::Error;
use crate::scope::OutOfScope;

/// One view of all flags, which does not change any more. Get one per request from
/// [`FeatureFlags::snapshot`], so that two looks at the same flag in one request agree. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct FlagSnapshot {
    view: Arc<View>,
    flags: FeatureFlags,
}

impl FlagSnapshot {
    pub(super) fn new(view: Arc<View>, flags: FeatureFlags) -> Self {
        Self { view, flags }
    }

    /// As [`FeatureFlags::is_enabled`].
    pub fn is_enabled(&self, flag: &str, context: &Context<'_>) -> bool {
        self.is_enabled_or(flag, context, false)
    }

    /// As [`FeatureFlags::is_enabled_or`].
    pub fn is_enabled_or(&self, flag: &str, context: &Context<'_>, default: bool) -> bool {
        let Ok(overrides) = self.flags.overrides(&self.view, context) else {
            return default;
        };
        self.view
            .is_on(flag, overrides, context, &*self.flags.0.clock)
            .unwrap_or(default)
    }

    /// As [`FeatureFlags::evaluate`].
    pub fn evaluate(&self, flag: &str, context: &Context<'_>) -> Evaluation {
        self.evaluate_or(flag, context, false)
    }

    /// As [`FeatureFlags::evaluate_or`].
    pub fn evaluate_or(&self, flag: &str, context: &Context<'_>, default: bool) -> Evaluation {
        self.flags.evaluate_in(&self.view, flag, context, default)
    }

    /// As [`FeatureFlags::variant`].
    pub fn variant(&self, flag: &str, context: &Context<'_>) -> Option<Arc<FlagVariant>> {
        self.evaluate(flag, context).variant
    }

    /// As [`FeatureFlags::evaluate_all`].
    pub fn evaluate_all(&self, context: &Context<'_>) -> BTreeMap<String, Evaluation> {
        let overrides = self.flags.overrides(&self.view, context);
        self.view
            .all(overrides.unwrap_or_default())
            .into_keys()
            .map(|flag| (flag.to_owned(), self.evaluate(flag, context)))
            .collect()
    }
}

impl FeatureFlags {
    /// The overrides of the context's tenant. A tenant that is met for the first time is looked up in the
    /// background; until then the global values speak.
    ///
    /// # Errors
    /// For another tenant than that of the scope.
    #[inline]
    pub(super) fn overrides<'v>(
        &self,
        view: &'v View,
        context: &Context<'_>,
    ) -> Result<Option<&'v Layer>, OutOfScope> {
        Ok(match view.overrides(self.1.choose(context.tenant)?) {
            Ok(overrides) => overrides,
            Err(unknown) => {
                self.ask_for(unknown);
                None
            }
        })
    }

    pub(super) fn evaluate_in(
        &self,
        view: &View,
        flag: &str,
        context: &Context<'_>,
        default: bool,
    ) -> Evaluation {
        let overrides = match self.overrides(view, context) {
            Ok(overrides) => overrides,
            Err(refusal) => return refused(refusal, default),
        };
        let found = view.find(flag, overrides, context, &*self.0.clock);
        let is_stored = matches!(
            found.source,
            super::FlagSource::Tenant | super::FlagSource::Global
        );
        let status = self.status();
        let reason = match found.reason {
            Reason::Error => Reason::Error,
            _ if is_stored && (found.lost || status.stale) => Reason::Stale,
            reason => reason,
        };
        Evaluation {
            value: found.value.unwrap_or(default),
            variant: found.variant,
            reason,
            source: found.source,
            age: status.age.filter(|_| is_stored),
            error: found.error,
        }
    }
}

/// Evaluation never fails: what is refused is the default of the call, and says why.
fn refused(refusal: OutOfScope, default: bool) -> Evaluation {
    Evaluation {
        value: default,
        variant: None,
        reason: Reason::Error,
        source: super::FlagSource::CallDefault,
        age: None,
        error: Some(Error::from(refusal).to_string().into()),
    }
}
