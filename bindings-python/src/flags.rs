//! `posada.flags`. Reading is synchronous.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use posada::error::codes;
use posada::flags::{Context, Evaluation, FlagChange, FlagSnapshot, FlagValue, FlagWatch};
use posada::{FeatureFlags, TenantId};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::arguments::{Given, Parts, Switch, Whose, id_of, optional_text, text, words};
use crate::bridge::{Operation, ProcessBound, Unread};
use crate::errors::Refusal;
use crate::handle::Handle;

/// (value, variant, reason, source, age, error); a variant is (name, payload), a payload (kind, value).
type Evaluated = (
    bool,
    Option<Variant>,
    &'static str,
    &'static str,
    Option<Duration>,
    Option<String>,
);
type Variant = (String, Option<(String, String)>);

/// (key, value, enabled, source, stale, error)
type Listed = (String, String, bool, &'static str, bool, Option<String>);

#[pyclass(frozen, subclass, module = "posada._native")]
pub(crate) struct Flags(pub(crate) ProcessBound<FeatureFlags>, Bound);

/// The tenant to which the flags are bound. Evaluation in Rust cannot refuse, and in Python it can.
#[derive(Clone)]
struct Bound(Option<TenantId>);

impl Bound {
    #[inline]
    fn admit(&self, tenant: Option<&TenantId>) -> Result<(), Refusal> {
        match (&self.0, tenant) {
            (Some(own), Some(tenant)) if own != tenant => Err(out_of_scope()),
            _ => Ok(()),
        }
    }
}

#[cold]
fn out_of_scope() -> Refusal {
    let message = "this handle is bound to one tenant, and may do nothing about another or about all";
    Refusal::own(codes::TENANTS_OUT_OF_SCOPE, message.to_owned())
}

/// One view of all flags.
#[pyclass(frozen, subclass, module = "posada._native")]
pub(crate) struct Snapshot(ProcessBound<FlagSnapshot>, Bound);

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Watch(ProcessBound<Changes>);

type Changes = (Arc<Mutex<FlagWatch>>, Unread<Option<Told>>);

/// (what, flag, tenant, missed)
type Told = (&'static str, Option<String>, Option<String>, u64);

/// For whom a flag is asked, as Python hands it in.
#[derive(FromPyObject)]
pub(crate) struct Asker {
    #[pyo3(item(0))]
    tenant: Option<Whose>,
    #[pyo3(item(1))]
    user: Option<String>,
    #[pyo3(item(2))]
    session: Option<String>,
    #[pyo3(item(3))]
    remote_address: Option<String>,
    #[pyo3(item(4))]
    environment: Option<String>,
    #[pyo3(item(5))]
    app_name: Option<String>,
    #[pyo3(item(6))]
    properties: Option<HashMap<String, String>>,
}

impl Asker {
    fn context(&self) -> Context<'_> {
        let tenant = self.tenant.as_ref().map(|tenant| &tenant.0);
        let mut context = context(
            tenant,
            self.user.as_deref(),
            self.session.as_deref(),
            self.remote_address.as_deref(),
            self.environment.as_deref(),
            self.app_name.as_deref(),
        );
        for (name, value) in self.properties.iter().flatten() {
            context = context.property(name.as_str(), value.as_str());
        }
        context
    }
}

fn context<'a>(
    tenant: Option<&'a TenantId>,
    user: Option<&'a str>,
    session: Option<&'a str>,
    remote_address: Option<&'a str>,
    environment: Option<&'a str>,
    app_name: Option<&'a str>,
) -> Context<'a> {
    let mut context = Context::new().tenant(tenant);
    if let Some(user) = user {
        context = context.user(user);
    }
    if let Some(session) = session {
        context = context.session(session);
    }
    if let Some(address) = remote_address {
        context = context.remote_address(address);
    }
    if let Some(environment) = environment {
        context = context.environment(environment);
    }
    if let Some(app_name) = app_name {
        context = context.app_name(app_name);
    }
    context
}

fn evaluated(evaluation: Evaluation) -> Evaluated {
    let Evaluation {
        value,
        variant,
        reason,
        source,
        age,
        error,
        ..
    } = evaluation;
    let variant = variant.map(|variant| {
        let payload = variant.payload.as_ref();
        (
            variant.name.clone(),
            payload.map(|payload| (payload.kind.clone(), payload.value.clone())),
        )
    });
    let error = error.map(|error| error.to_string());
    (value, variant, reason.as_str(), source.as_str(), age, error)
}

fn all(evaluations: BTreeMap<String, Evaluation>) -> Vec<(String, Evaluated)> {
    evaluations
        .into_iter()
        .map(|(flag, evaluation)| (flag, evaluated(evaluation)))
        .collect()
}

/// The methods that flags and their snapshot share, beside those of each.
macro_rules! reading {
    ($class:ident { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            /// Whether a flag is on for this context, or `default` when no layer knows it. Never waits, never fails
            /// because a server is down: then the last good value is served.
            #[pyo3(signature = (flag, *, default=Switch::OFF, tenant=None, user=None, session=None, remote_address=None,
                                environment=None, app_name=None, properties=None),
                   text_signature = "($self, flag, *, default=False, tenant=None, user=None, session=None, \
                                     remote_address=None, environment=None, app_name=None, properties=None)")]
            #[allow(clippy::too_many_arguments, reason = "Python names them")]
            fn is_enabled(
                &self,
                py: Python<'_>,
                flag: Given<'_, '_>,
                default: Switch,
                tenant: Option<Whose>,
                user: Option<Given<'_, '_>>,
                session: Option<Given<'_, '_>>,
                remote_address: Option<Given<'_, '_>>,
                environment: Option<Given<'_, '_>>,
                app_name: Option<Given<'_, '_>>,
                properties: Option<Given<'_, '_>>,
            ) -> PyResult<bool> {
                let flag = text("flag", flag)?;
                let default = default.read("default", py)?;
                let tenant = id_of(tenant);
                self.1.admit(tenant.as_ref())?;
                let mut context = context(
                    tenant.as_ref(),
                    optional_text("user", user)?,
                    optional_text("session", session)?,
                    optional_text("remote_address", remote_address)?,
                    optional_text("environment", environment)?,
                    optional_text("app_name", app_name)?,
                );
                let properties = properties.map(|given| words("properties", given)).transpose()?;
                for (name, value) in properties.iter().flatten() {
                    context = context.property(name.as_str(), value.as_str());
                }
                Ok(self.0.get()?.is_enabled_or(flag, &context, default))
            }

            fn _evaluate(&self, flag: &str, default: bool, asker: Parts<Asker>) -> PyResult<Evaluated> {
                self.1.admit(asker.0.tenant.as_ref().map(|tenant| &tenant.0))?;
                Ok(evaluated(self.0.get()?.evaluate_or(flag, &asker.0.context(), default)))
            }

            fn _evaluate_all(&self, asker: Parts<Asker>) -> PyResult<Vec<(String, Evaluated)>> {
                self.1.admit(asker.0.tenant.as_ref().map(|tenant| &tenant.0))?;
                Ok(all(self.0.get()?.evaluate_all(&asker.0.context())))
            }

            $($own)*
        }
    };
}

reading!(Snapshot {
    #[new]
    fn new(flags: &Flags) -> PyResult<Self> {
        let snapshot = flags.0.get()?.snapshot();
        Ok(Self(
            ProcessBound::new(snapshot, flags.0.runtime().clone()),
            flags.1.clone(),
        ))
    }
});

reading!(Flags {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        let flags = handle.keep(|posada| posada.flags().clone())?;
        // Python evaluates outside of the runtime, where following could not begin.
        let inside = flags.runtime().handle().map_err(Refusal::from)?.enter();
        let _ = flags.get()?.snapshot();
        drop(inside);
        Ok(Self(flags, Bound(handle.bound_to()?)))
    }

    /// (ready, stale, age, lost)
    fn _status(&self) -> PyResult<(bool, bool, Option<Duration>, usize)> {
        let status = self.0.get()?.status();
        Ok((status.ready, status.stale, status.age, status.lost))
    }

    fn _watch(&self) -> PyResult<Watch> {
        let watch = Arc::new(Mutex::new(self.0.get()?.watch()));
        Ok(Watch(ProcessBound::new((watch, Unread::new()), self.0.runtime().clone())))
    }

    #[pyo3(signature = (flag, value, tenant=None))]
    fn _set(&self, py: Python<'_>, flag: String, value: Value, tenant: Option<Whose>) -> PyResult<Operation> {
        let (value, tenant) = (value.parse()?, id_of(tenant));
        self.0.call(py, async move |flags: FeatureFlags| {
            Ok(flags.set(tenant.as_ref(), &flag, value).await?)
        })
    }

    #[pyo3(signature = (flag, tenant=None))]
    fn _unset(&self, py: Python<'_>, flag: String, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.call(py, async move |flags: FeatureFlags| {
            Ok(flags.unset(tenant.as_ref(), &flag).await?)
        })
    }

    #[pyo3(signature = (tenant=None))]
    fn _list(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.call(py, async move |flags: FeatureFlags| {
            let listed = flags.list(tenant.as_ref()).await?;
            let listed = listed.into_iter().map(|flag| {
                let error = flag.error.map(|error| error.to_string());
                (
                    flag.key,
                    flag.value,
                    flag.enabled,
                    flag.source.as_str(),
                    flag.stale,
                    error,
                )
            });
            Ok(listed.collect::<Vec<Listed>>())
        })
    }

    fn _warm(&self, py: Python<'_>, tenants: Vec<Whose>) -> PyResult<Operation> {
        let tenants: Vec<TenantId> = tenants.into_iter().map(|tenant| tenant.0).collect();
        self.0
            .call(py, async move |flags: FeatureFlags| Ok(flags.warm(&tenants).await?))
    }

    fn _refresh(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0
            .call(py, async |flags: FeatureFlags| Ok(flags.refresh().await?))
    }

    fn _adopt(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0
            .call(py, async |flags: FeatureFlags| Ok(flags.adopt().await?))
    }
});

#[pymethods]
impl Watch {
    /// (what, flag, tenant, missed); `None` when the handle was closed.
    fn next(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.call(py, async |(watch, unread): Changes| {
            let next = async { Ok(watch.lock().await.next().await.map(told)) };
            unread.or_next(next).await
        })
    }
}

fn told(change: FlagChange) -> Told {
    match change {
        FlagChange::Changed { flag, tenant } => (
            "changed",
            Some(flag.to_string()),
            tenant.map(|tenant| tenant.to_string()),
            0,
        ),
        FlagChange::Stale => ("stale", None, None, 0),
        FlagChange::Fresh => ("fresh", None, None, 0),
        FlagChange::Missed(count) => ("missed", None, None, count),
    }
}

/// A switch, or the JSON of a rich definition.
#[derive(FromPyObject)]
pub(crate) enum Value {
    Switch(bool),
    Definition(String),
}

impl Value {
    fn parse(self) -> Result<FlagValue, Refusal> {
        match self {
            Self::Switch(on) => Ok(FlagValue::from(on)),
            Self::Definition(text) => Ok(FlagValue::parse(&text)?),
        }
    }
}

/// The flags that are known without anybody having set them.
#[pyfunction]
pub(crate) fn default_flags() -> Vec<(&'static str, bool)> {
    posada::flags::DEFAULT_FLAGS.to_vec()
}
