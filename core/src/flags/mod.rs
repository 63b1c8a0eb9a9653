//! Feature flags: switches that operators throw in Redis, read by every request without asking Redis.
//!
//! The hash `feature_flags` holds the global values, as the production app writes and reads them;
//! `feature_flags:{tenant}` holds what one hotel overrides. A flag is looked for in the tenant's layer, then the
//! global one, then the code defaults, then the default of the call. A value that begins with `{` is the JSON of
//! an Unleash feature: strategies, constraints, gradual rollouts, variants, dependencies.
//!
//! Promises:
//! * An evaluation is synchronous, takes no lock and never waits; a plain flag also allocates nothing.
//! * A change is seen by every process: at once through posada's own notice, within the poll (30 seconds) when
//!   a program wrote to Redis directly, as the Python app does.
//! * When Redis fails, the last good values are served, marked [`Reason::Stale`]; a flag never falls back to its
//!   default because a server is down. When Redis comes back empty, or with older flags than this process knows (a
//!   restart from an older snapshot, the promotion of a replica that was behind), that is not believed either.
//! * An unusable definition affects its own flag only: the last good one is kept, and the reason is
//!   [`Reason::Error`].
//! * A late answer of Redis never undoes a newer [`set`](FeatureFlags::set) of this process.
//!
//! ```
//! use posada::flags::{Context, FlagValue};
//! use posada::{Posada, TenantId};
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let posada = Posada::embedded();
//! let (flags, tenant) = (posada.flags(), TenantId::parse("hotel-test")?);
//! assert!(!flags.is_enabled("canary.enabled", &Context::new().tenant(&tenant)));
//!
//! flags.set(&tenant, "canary.enabled", true).await?;
//! assert!(flags.is_enabled("canary.enabled", &Context::new().tenant(&tenant)));
//! assert!(!flags.is_enabled("canary.enabled", &Context::new()));
//!
//! let half = FlagValue::parse(r#"{"enabled": true, "strategies": [
//!     {"name": "flexibleRollout", "parameters": {"rollout": 50, "stickiness": "userId"}}]}"#)?;
//! flags.set(None, "new.greeting", half).await?;
//! let evaluation = flags.evaluate("new.greeting", &Context::new().user("5491112345678"));
//! assert_eq!(evaluation.reason.as_str(), "SPLIT");
//! # posada.close().await
//! # }).unwrap();
//! ```

mod adopt;
#[cfg(feature = "flags-unleash")]
mod bucket;
mod context;
#[cfg_attr(not(feature = "flags-unleash"), path = "plain.rs")]
mod definition;
#[cfg(feature = "flags-unleash")]
mod engine;
mod fields;
mod file;
mod follow;
mod history;
mod load;
mod memory;
mod model;
mod redis;
#[cfg(feature = "flags-unleash")]
mod selection;
mod snapshot;
mod status;
mod store;
mod variant;
mod view;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::SharedClock;
use crate::error::Result;
use crate::scope::Scope;
use crate::task::Tasks;
use crate::tenants::TenantId;

pub use context::Context;
pub use model::{DEFAULT_FLAGS, Evaluation, Flag, FlagChange, FlagDefinition, FlagSource, FlagValue, Reason};
pub use snapshot::FlagSnapshot;
pub use status::FlagStatus;
pub use variant::{FlagPayload, FlagVariant};
pub use watch::FlagWatch;

pub(crate) use memory::MemoryFlags;
pub(crate) use model::FlagOptions;
pub(crate) use redis::RedisFlags;
pub(crate) use store::FlagStore;

use follow::Follower;
use load::Extent;
use model::check_key;
use view::{Entry, View};

/// The feature flags: the hash `feature_flags` that the Python app shares, and `feature_flags:{tenant}` with what
/// one hotel overrides. Clones share everything.
///
/// Evaluation never waits and never fails. While Redis does not answer, or has lost what it held, the last good
/// values are served as [`Reason::Stale`]; [`adopt`](Self::adopt) is for the operator who emptied Redis on
/// purpose. [`status`](Self::status) says how fresh the values are, [`watch`](Self::watch) tells changes.
#[derive(Clone)]
pub struct FeatureFlags(Arc<Inner>, Scope);

struct Inner {
    view: ArcSwap<View>,
    follower: Follower,
    clock: SharedClock,
    tasks: Tasks,
}

/// How the service is made.
impl FeatureFlags {
    /// A service over a store. Nothing is loaded yet: [`connect`](Self::connect) does, or else the first use
    /// inside a tokio runtime begins it in the background.
    pub(crate) fn new(
        store: Arc<dyn FlagStore>,
        clock: SharedClock,
        tasks: Tasks,
        options: FlagOptions,
    ) -> Self {
        let defaults = options
            .defaults
            .iter()
            .map(|(flag, value)| (flag.as_str().into(), *value))
            .collect();
        let view = View {
            defaults: Arc::new(defaults),
            ..View::default()
        };
        let inner = Inner {
            view: ArcSwap::from_pointee(view),
            follower: Follower::new(store, options),
            clock,
            tasks,
        };
        Self::over(Arc::new(inner))
    }

    /// The flags for everybody.
    fn over(inner: Arc<Inner>) -> Self {
        Self(inner, Scope::default())
    }

    /// The same flags, for one tenant.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self(self.0.clone(), scope.clone())
    }

    /// Loads the flags and begins to follow them. Waits at most the `first_load` of the options and does not
    /// fail: until Redis answers, the snapshot file speaks, or else the code defaults. Detached.
    pub(crate) async fn connect(&self) {
        self.start();
        if tokio::time::timeout(self.0.follower.options.first_load, self.refresh())
            .await
            .is_err()
        {
            tracing::warn!("flags are not loaded yet; the last good ones or the defaults serve until then");
        }
    }
}

/// Reading. None of these waits, fails, or touches a server.
impl FeatureFlags {
    /// Whether a flag is on for this context; `false` when it is unknown.
    #[inline]
    pub fn is_enabled(&self, flag: &str, context: &Context<'_>) -> bool {
        self.is_enabled_or(flag, context, false)
    }

    /// Whether a flag is on for this context, or `default` when no layer knows it. The default belongs to this
    /// call alone; the next caller may give another one.
    #[inline]
    pub fn is_enabled_or(&self, flag: &str, context: &Context<'_>, default: bool) -> bool {
        self.start_if_needed();
        let view = self.0.view.load();
        let Ok(overrides) = self.overrides(&view, context) else {
            return default;
        };
        view.is_on(flag, overrides, context, &*self.0.clock)
            .unwrap_or(default)
    }

    /// The value with its variant, its reason, its layer and its age; `false` when the flag is unknown.
    pub fn evaluate(&self, flag: &str, context: &Context<'_>) -> Evaluation {
        self.evaluate_or(flag, context, false)
    }

    /// As [`evaluate`](Self::evaluate), with the default of this call.
    pub fn evaluate_or(&self, flag: &str, context: &Context<'_>, default: bool) -> Evaluation {
        self.start_if_needed();
        self.evaluate_in(&self.0.view.load(), flag, context, default)
    }

    /// The variant for this context; `None` when the flag is off or has no variants.
    pub fn variant(&self, flag: &str, context: &Context<'_>) -> Option<Arc<FlagVariant>> {
        self.evaluate(flag, context).variant
    }

    /// Every flag that some layer knows, evaluated on one view.
    pub fn evaluate_all(&self, context: &Context<'_>) -> BTreeMap<String, Evaluation> {
        self.snapshot().evaluate_all(context)
    }

    /// One view for a whole request: whatever changes meanwhile, its answers fit together.
    pub fn snapshot(&self) -> FlagSnapshot {
        self.start_if_needed();
        FlagSnapshot::new(self.0.view.load_full(), self.clone())
    }

    /// How fresh the values are.
    pub fn status(&self) -> FlagStatus {
        self.0
            .follower
            .health
            .status(&*self.0.clock, self.0.follower.options.poll)
    }

    /// Tells every change from now on, also when flags become stale and fresh again.
    pub fn watch(&self) -> FlagWatch {
        self.start_if_needed();
        let events = self.0.follower.events.subscribe();
        FlagWatch::new(events, self.0.tasks.stopping(), self.1.clone())
    }
}

/// Asking and changing the store.
impl FeatureFlags {
    /// Sets a flag for everybody, or for one tenant. When this returns, this process evaluates the new value;
    /// the others follow within milliseconds. Detached: once begun, it ends although the caller stops waiting.
    ///
    /// # Errors
    /// `flags.invalid_key`; `redis.*` when Redis did not take it, in which case nothing changed here;
    /// `redis.outcome_unknown` when no answer came: the flags are then read again in the background.
    pub async fn set<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        flag: &str,
        value: impl Into<FlagValue>,
    ) -> Result<()> {
        check_key(flag)?;
        let tenant = self.1.choose(tenant.into())?.cloned();
        let (flag, value) = (flag.to_owned(), value.into());
        self.write(move |flags| async move {
            let store = &flags.0.follower.store;
            let written = store.set(tenant.as_ref(), &flag, value.as_str()).await?;
            flags.apply(tenant, &flag, Some(value.as_str()), &written);
            Ok(())
        })
        .await
    }

    /// Removes a flag's global value, or a tenant's override, so that the next layer speaks. Returns whether
    /// there was one. Detached.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn unset<'t>(&self, tenant: impl Into<Option<&'t TenantId>>, flag: &str) -> Result<bool> {
        check_key(flag)?;
        let (flag, tenant) = (flag.to_owned(), self.1.choose(tenant.into())?.cloned());
        self.write(move |flags| async move {
            let written = flags.0.follower.store.unset(tenant.as_ref(), &flag).await?;
            flags.apply(tenant, &flag, None, &written);
            Ok(written.was_set)
        })
        .await
    }

    /// Every known flag with the layer that decides, sorted by name: of one tenant, or global. Looks the tenant
    /// up when it is new; when Redis does not answer, lists what is known. Cancel-safe read.
    ///
    /// # Errors
    /// None but those of a [scope](crate::Posada::for_tenant).
    pub async fn list<'t>(&self, tenant: impl Into<Option<&'t TenantId>>) -> Result<Vec<Flag>> {
        let tenant = self.1.choose(tenant.into())?;
        self.start_if_needed();
        if let Some(tenant) = tenant
            && !self.0.view.load().tenants.contains_key(tenant)
        {
            // A failure shows in the entries, which are stale then.
            let _ = self.warm(std::slice::from_ref(tenant)).await;
        }
        let view = self.0.view.load();
        let overrides = tenant.and_then(|tenant| view.tenants.get(tenant));
        let is_stale = self.status().stale;
        let flags = view
            .all(overrides.map(|overrides| &*overrides.flags))
            .into_iter()
            .map(|(flag, (source, entry))| {
                let default = FlagValue::from(view.defaults.get(flag).copied().unwrap_or_default());
                Flag {
                    key: flag.to_owned(),
                    value: entry.map_or(default.as_str(), |entry| &entry.raw).to_owned(),
                    enabled: entry.map_or(default == FlagValue::Bool(true), Entry::is_switched_on),
                    source,
                    stale: entry.is_some_and(|entry| is_stale || entry.lost),
                    error: entry.and_then(|entry| entry.error.clone()),
                }
            })
            .collect();
        Ok(flags)
    }

    /// Loads the overrides of these tenants now. Overrides that were set through posada are followed anyway;
    /// those that a foreign program wrote are looked up in the background when a context first names their
    /// tenant, which this spares the first request. Detached.
    ///
    /// # Errors
    /// `redis.*`; the last good values stay.
    pub async fn warm(&self, tenants: &[TenantId]) -> Result<()> {
        for tenant in tenants {
            self.1.admit(Some(tenant))?;
        }
        let tenants = tenants.to_vec();
        let flags = self.clone();
        self.0
            .tasks
            .detach(async move { flags.load(Extent::Tenants(tenants), false).await })
            .await
    }

    /// Reads everything from Redis now; of a handle that is bound to a tenant, the global flags and its overrides.
    /// Detached.
    ///
    /// # Errors
    /// `redis.*`; the last good values stay, and are stale.
    pub async fn refresh(&self) -> Result<()> {
        if let Some(tenant) = self.1.tenant() {
            return self.warm(std::slice::from_ref(tenant)).await;
        }
        let flags = self.clone();
        self.0
            .tasks
            .detach(async move { flags.load(Extent::All, false).await })
            .await
    }

    /// Reads everything from Redis now and believes it, also when flags have vanished there: for the operator
    /// who emptied the hash on purpose, without posada. Every process has its own opinion; ask each. Detached.
    ///
    /// # Errors
    /// `redis.*`; the last good values stay, and are stale.
    pub async fn adopt(&self) -> Result<()> {
        self.1.ensure_all()?;
        let flags = self.clone();
        self.0
            .tasks
            .detach(async move { flags.load(Extent::All, true).await })
            .await
    }
}

impl fmt::Debug for FeatureFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureFlags")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod going_back;
#[cfg(test)]
mod tests;
