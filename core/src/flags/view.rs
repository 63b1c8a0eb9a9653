//! One consistent view of all layers, and how a flag is found in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use unleash_types::client_features::FeatureDependency;

use super::context::Context;
use super::definition::Definition;
use super::model::{FlagSource, FlagVariant, Reason, is_truthy};
use crate::clock::Clock;
use crate::redact::Quiet;
use crate::tenants::TenantId;

/// A map for hot look-ups. The hasher is seeded per process.
pub(super) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The flags of one hash.
pub(super) type Layer = Map<Arc<str>, Entry>;

/// One field of a hash, ready to evaluate.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) raw: Arc<str>,
    pub(super) rule: Rule,
    /// What is wrong with `raw`; the rule is then the last good one, if there was one.
    pub(super) error: Option<Arc<str>>,
    /// Redis lost the field without anybody having unset it.
    pub(super) lost: bool,
}

/// What a field means.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    Plain(bool),
    Definition(Arc<Definition>),
    /// Unusable, and there was no good one before.
    Broken,
}

impl Entry {
    /// Reads a field. An unusable definition keeps the rule of `before`.
    pub(super) fn read(flag: &str, raw: &str, before: Option<&Self>) -> Self {
        let mut error = None;
        let rule = if raw.starts_with('{') {
            Definition::parse(flag, raw).map_or_else(
                |fault| {
                    tracing::warn!(flag, fault = %Quiet(&fault), "a flag's definition is unusable");
                    error = Some(fault.to_string().into());
                    before.map_or(Rule::Broken, |before| before.rule.clone())
                },
                |definition| Rule::Definition(Arc::new(definition)),
            )
        } else {
            Rule::Plain(is_truthy(raw))
        };
        Self {
            raw: raw.into(),
            rule,
            error,
            lost: false,
        }
    }

    /// Whether it is switched on, whoever asks.
    pub(super) fn is_switched_on(&self) -> bool {
        match &self.rule {
            Rule::Plain(on) => *on,
            Rule::Definition(definition) => definition.enabled,
            Rule::Broken => false,
        }
    }
}

/// The overrides of one tenant, and whether anybody asked for them since the last poll.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) flags: Arc<Layer>,
    pub(super) asked: AtomicBool,
}

/// All layers at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) global: Arc<Layer>,
    pub(super) tenants: Map<TenantId, Arc<Overrides>>,
    pub(super) defaults: Arc<Map<Arc<str>, bool>>,
}

/// What the layers say about a flag.
#[derive(Debug)]
pub(super) struct Found {
    /// `None` leaves the decision to the default of the call.
    pub(super) value: Option<bool>,
    pub(super) variant: Option<Arc<FlagVariant>>,
    pub(super) reason: Reason,
    pub(super) source: FlagSource,
    pub(super) lost: bool,
    pub(super) error: Option<Arc<str>>,
}

impl View {
    /// The overrides of the context's tenant; `Err` names a tenant that was never looked up.
    #[inline]
    pub(super) fn overrides<'v, 'c>(
        &'v self,
        context: &Context<'c>,
    ) -> Result<Option<&'v Layer>, &'c TenantId> {
        let Some(tenant) = context.tenant else {
            return Ok(None);
        };
        let overrides = self.tenants.get(tenant).ok_or(tenant)?;
        // Written only when it changes: a line that every core writes would be slower than the whole look-up.
        if !overrides.asked.load(Ordering::Relaxed) {
            overrides.asked.store(true, Ordering::Relaxed);
        }
        Ok(Some(&overrides.flags))
    }

    /// Whether a flag is on; `None` when no layer knows it.
    #[inline]
    pub(super) fn is_on(
        &self,
        flag: &str,
        overrides: Option<&Layer>,
        context: &Context<'_>,
        clock: &dyn Clock,
    ) -> Option<bool> {
        let layers = [overrides.filter(|layer| !layer.is_empty()), Some(&*self.global)];
        for layer in layers.into_iter().flatten() {
            match layer.get(flag).map(|entry| &entry.rule) {
                Some(Rule::Plain(on)) => return Some(*on),
                Some(Rule::Definition(definition)) => {
                    let parents =
                        |wanted: &FeatureDependency| self.permits(wanted, overrides, context, clock);
                    return Some(definition.decide(context, clock, &parents).enabled);
                }
                Some(Rule::Broken) | None => {}
            }
        }
        self.defaults.get(flag).copied()
    }

    /// Everything there is to say about a flag.
    pub(super) fn find(
        &self,
        flag: &str,
        overrides: Option<&Layer>,
        context: &Context<'_>,
        clock: &dyn Clock,
    ) -> Found {
        let mut error = None;
        let layers = [
            (FlagSource::Tenant, overrides),
            (FlagSource::Global, Some(&*self.global)),
        ];
        for (source, layer) in layers {
            let Some(entry) = layer.and_then(|layer| layer.get(flag)) else {
                continue;
            };
            error = error.or_else(|| entry.error.clone());
            let (value, variant, reason) = match &entry.rule {
                Rule::Broken => continue,
                Rule::Plain(on) => (*on, None, Reason::Static),
                Rule::Definition(definition) => {
                    let parents =
                        |wanted: &FeatureDependency| self.permits(wanted, overrides, context, clock);
                    let verdict = definition.decide(context, clock, &parents);
                    match definition.choose(&verdict, context) {
                        Some((variant, reason)) => (true, Some(variant.clone()), reason),
                        None => (verdict.enabled, None, verdict.reason),
                    }
                }
            };
            return Found {
                value: Some(value),
                variant,
                reason: if error.is_some() { Reason::Error } else { reason },
                source,
                lost: entry.lost,
                error,
            };
        }
        let value = self.defaults.get(flag).copied();
        Found {
            value,
            variant: None,
            reason: if error.is_some() {
                Reason::Error
            } else {
                Reason::Default
            },
            source: value.map_or(FlagSource::CallDefault, |_| FlagSource::CodeDefault),
            lost: false,
            error,
        }
    }

    /// Whether a flag that another one depends on is as that one wants it, in the same layers.
    fn permits(
        &self,
        wanted: &FeatureDependency,
        overrides: Option<&Layer>,
        context: &Context<'_>,
        clock: &dyn Clock,
    ) -> bool {
        let layers = [overrides, Some(&*self.global)];
        for layer in layers.into_iter().flatten() {
            match layer.get(wanted.feature.as_str()).map(|entry| &entry.rule) {
                Some(Rule::Plain(on)) => return *on == wanted.enabled.unwrap_or(true),
                Some(Rule::Definition(parent)) => return parent.satisfies(wanted, context, clock),
                Some(Rule::Broken) | None => {}
            }
        }
        self.defaults
            .get(wanted.feature.as_str())
            .is_some_and(|on| *on == wanted.enabled.unwrap_or(true))
    }

    /// Every flag that some layer knows, with the entry that decides, sorted by name.
    pub(super) fn all<'v>(
        &'v self,
        overrides: Option<&'v Layer>,
    ) -> BTreeMap<&'v str, (FlagSource, Option<&'v Entry>)> {
        let mut all = BTreeMap::new();
        for flag in self.defaults.keys() {
            all.insert(&**flag, (FlagSource::CodeDefault, None));
        }
        let layers = [
            (FlagSource::Global, Some(&*self.global)),
            (FlagSource::Tenant, overrides),
        ];
        for (source, layer) in layers {
            for (flag, entry) in layer.into_iter().flatten() {
                all.insert(&**flag, (source, Some(entry)));
            }
        }
        all
    }
}
