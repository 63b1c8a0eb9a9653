//! One consistent view of all layers, and how a flag is found in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::context::Context;
use super::definition::{Definition, FeatureDependency};
use super::model::{FlagSource, Reason, is_truthy, plain_fault};
use super::variant::FlagVariant;
use crate::clock::Clock;
use crate::redact::Quiet;
use crate::tenants::TenantId;

/// A flag in a layer: whose override, or the global one.
pub(super) type FlagKey = (Option<TenantId>, Arc<str>);

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
    /// Redis lost it, although this process knows of no write that says so.
    pub(super) lost: bool,
    /// What a Redis that went back in time has in its place, if it has the field.
    pub(super) instead: Option<Arc<str>>,
}

/// What a field means.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    Plain(bool),
    Definition(Arc<Definition>),
    /// Unusable, and there was no good one before.
    Broken,
    /// The field was unset, and came back in a Redis that went back in time.
    Unset,
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
                    let before = before.filter(|before| !before.is_unset());
                    before.map_or(Rule::Broken, |before| before.rule.clone())
                },
                |definition| Rule::Definition(Arc::new(definition)),
            )
        } else {
            // An emptied field is how some switch a flag off.
            error = plain_fault(raw).filter(|_| !raw.is_empty()).map(|fault| {
                tracing::warn!(flag, %fault, "a flag is off because its value means nothing");
                fault.into()
            });
            Rule::Plain(is_truthy(raw))
        };
        Self {
            raw: raw.into(),
            rule,
            error,
            lost: false,
            instead: None,
        }
    }

    /// A field that is not there, although Redis has this in its place.
    pub(super) fn unset(instead: &str) -> Self {
        Self {
            raw: "".into(),
            rule: Rule::Unset,
            error: None,
            lost: true,
            instead: Some(instead.into()),
        }
    }

    /// The same, lost to what Redis has instead, if anything.
    pub(super) fn lost_to(&self, instead: Option<&str>) -> Self {
        Self {
            lost: true,
            instead: instead.map(Into::into),
            ..self.clone()
        }
    }

    /// Whether the last good state is that there is no such field.
    pub(super) fn is_unset(&self) -> bool {
        matches!(self.rule, Rule::Unset)
    }

    /// Whether a text of Redis is what is known here.
    pub(super) fn is_text(&self, text: &str) -> bool {
        !self.is_unset() && *self.raw == *text
    }

    /// Whether it is switched on, whatever the context is.
    pub(super) fn is_switched_on(&self) -> bool {
        match &self.rule {
            Rule::Plain(on) => *on,
            Rule::Definition(definition) => definition.enabled,
            Rule::Broken | Rule::Unset => false,
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
    /// The global flags, or what a tenant overrides.
    pub(super) fn layer(&self, tenant: Option<&TenantId>) -> Arc<Layer> {
        match tenant {
            None => self.global.clone(),
            Some(tenant) => {
                let overrides = self.tenants.get(tenant);
                overrides
                    .map(|overrides| overrides.flags.clone())
                    .unwrap_or_default()
            }
        }
    }

    /// Puts a layer in the place of the one that is there.
    pub(super) fn replace(&mut self, tenant: Option<TenantId>, flags: Arc<Layer>) {
        match tenant {
            None => self.global = flags,
            Some(tenant) => {
                let asked = true.into();
                self.tenants.insert(tenant, Arc::new(Overrides { flags, asked }));
            }
        }
    }

    /// Marks a flag as lost, as an earlier process found it.
    pub(super) fn lose(&mut self, (tenant, flag): FlagKey, instead: Option<&str>) {
        let mut layer = Layer::clone(&self.layer(tenant.as_ref()));
        let lost = match (layer.get(&flag), instead) {
            (Some(entry), instead) => entry.lost_to(instead),
            (None, Some(instead)) => Entry::unset(instead),
            (None, None) => return,
        };
        layer.insert(flag, lost);
        self.replace(tenant, Arc::new(layer));
    }

    /// The overrides of a tenant; `Err` names one that was never looked up.
    #[inline]
    pub(super) fn overrides<'v, 'c>(
        &'v self,
        tenant: Option<&'c TenantId>,
    ) -> Result<Option<&'v Layer>, &'c TenantId> {
        let Some(tenant) = tenant else {
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
                Some(Rule::Broken | Rule::Unset) | None => {}
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
                Rule::Broken | Rule::Unset => continue,
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
                Some(Rule::Broken | Rule::Unset) | None => {}
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
            for (flag, entry) in layer.into_iter().flatten().filter(|(_, entry)| !entry.is_unset()) {
                all.insert(&**flag, (source, Some(entry)));
            }
        }
        all
    }
}
