//! `posada.locks`: named locks in [`guard`], stay holds in [`hold`].

mod guard;
mod hold;

use std::time::Duration;

use chrono::{DateTime, Utc};
use posada::LockManager;
use posada::locks::{
    AcquireOptions as CoreOptions, AuditEntry, Hold as CoreHold, LockState, Resource,
    StayHold as CoreStayHold,
};
use posada_bindings::arguments;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Given, Nights, Span, Whose, id_of, text};
use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::handle::Handle;
use crate::record::Options;
pub(crate) use guard::{Guard, Taken};
pub(crate) use hold::Hold;
use hold::{Granted, Stated, stated};

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Locks(pub(crate) ProcessBound<LockManager>);

/// (owner, fence, acquired_at, expires_at, waiters)
type LockSeen = (String, u64, DateTime<Utc>, DateTime<Utc>, usize);

/// (lock_key, event, at, tenant, details as JSON)
type Audited = (String, &'static str, DateTime<Utc>, Option<String>, String);

fn seen(state: LockState) -> LockSeen {
    let LockState {
        owner,
        fence,
        acquired_at,
        expires_at,
        waiters,
        ..
    } = state;
    (owner, fence, acquired_at, expires_at, waiters)
}

fn audited(entry: AuditEntry) -> Audited {
    let AuditEntry {
        lock_key,
        event,
        at,
        tenant,
        details,
        ..
    } = entry;
    let tenant = tenant.map(|tenant| tenant.to_string());
    (lock_key, event.as_str(), at, tenant, details.to_string())
}

/// How a lock is wanted; what is left out has the crate's default.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct AcquireOptions(CoreOptions);

#[pymethods]
impl AcquireOptions {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let given = Options::new(options, arguments::ACQUIRE)?;
        let options = arguments::acquire_options(&given).map_err(|refused| refused.0)?;
        Ok(Self(options))
    }
}

/// Which nights are wanted; what is left out has the crate's default.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct StayHold(CoreStayHold);

#[pymethods]
impl StayHold {
    #[new]
    #[pyo3(signature = (resource, stay, /, **options))]
    fn new(resource: Given<'_, '_>, stay: Nights, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let given = Options::new(options, arguments::HOLD_STAY)?;
        let request = arguments::stay_hold(text("resource", resource)?, stay.0, &given);
        Ok(Self(request.map_err(|refused| refused.0)?))
    }
}

/// The statement that makes a write under a lock safe.
#[pyfunction]
pub(crate) fn fence_guard_sql() -> &'static str {
    LockManager::fence_guard_sql()
}

#[pymethods]
impl Locks {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self(handle.keep(|posada| posada.locks().clone())?))
    }

    fn acquire(&self, py: Python<'_>, name: String, options: &AcquireOptions) -> PyResult<Operation> {
        let (options, runtime) = (options.0.clone(), self.0.runtime().clone());
        self.0.call(py, async move |locks: LockManager| {
            Ok(Taken::new(locks.acquire(&name, &options).await?, name, runtime))
        })
    }

    fn try_acquire(&self, py: Python<'_>, name: String, options: &AcquireOptions) -> PyResult<Operation> {
        let (options, runtime) = (options.0.clone(), self.0.runtime().clone());
        self.0.call(py, async move |locks: LockManager| {
            let guard = locks.try_acquire(&name, &options).await?;
            Ok(guard.map(|guard| Taken::new(guard, name, runtime)))
        })
    }

    fn acquire_all(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        options: &AcquireOptions,
    ) -> PyResult<Operation> {
        let (options, runtime) = (options.0.clone(), self.0.runtime().clone());
        self.0.call(py, async move |locks: LockManager| {
            let asked: Vec<&str> = names.iter().map(String::as_str).collect();
            let guards = locks.acquire_all(&asked, &options).await?;
            let taken = guards.into_iter().zip(&names);
            Ok(taken
                .map(|(guard, name)| Taken::new(guard, name.clone(), runtime.clone()))
                .collect::<Vec<_>>())
        })
    }

    fn check_fence(&self, py: Python<'_>, resource: String, fence: u64) -> PyResult<Operation> {
        self.0.finish(py, async move |locks: LockManager| {
            Ok(locks.check_fence(&resource, fence).await?)
        })
    }

    #[pyo3(signature = (name, tenant=None))]
    fn inspect(&self, py: Python<'_>, name: String, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.call(py, async move |locks: LockManager| {
            Ok(locks.inspect(tenant.as_ref(), &name).await?.map(seen))
        })
    }

    #[pyo3(signature = (tenant=None))]
    fn list(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.call(py, async move |locks: LockManager| {
            let held = locks.list(tenant.as_ref()).await?.into_iter();
            Ok(held
                .map(|(name, state)| (name.to_string(), seen(state)))
                .collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (name, token, tenant=None))]
    fn release(
        &self,
        py: Python<'_>,
        name: String,
        token: String,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.finish(py, async move |locks: LockManager| {
            Ok(locks.release(tenant.as_ref(), &name, &token).await?.as_str())
        })
    }

    #[pyo3(signature = (name, reason, tenant=None))]
    fn force_release(
        &self,
        py: Python<'_>,
        name: String,
        reason: String,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.finish(py, async move |locks: LockManager| {
            Ok(locks.force_release(tenant.as_ref(), &name, &reason).await?)
        })
    }

    fn hold_stay(&self, py: Python<'_>, request: &StayHold) -> PyResult<Operation> {
        let (request, runtime) = (request.0.clone(), self.0.runtime().clone());
        self.0.call(py, async move |locks: LockManager| {
            Ok(Granted::new(locks.hold_stay(&request).await?, runtime))
        })
    }

    fn hold_stays(&self, py: Python<'_>, requests: Vec<PyRef<'_, StayHold>>) -> PyResult<Operation> {
        let runtime = self.0.runtime().clone();
        let requests: Vec<CoreStayHold> = requests.iter().map(|request| request.0.clone()).collect();
        self.0.finish(py, async move |locks: LockManager| {
            let held = locks.hold_stays(&requests).await?.into_iter();
            Ok(held
                .map(|hold: CoreHold| Granted::new(hold, runtime.clone()))
                .collect::<Vec<_>>())
        })
    }

    fn resume_hold(&self, py: Python<'_>, ticket: String) -> PyResult<Operation> {
        let runtime = self.0.runtime().clone();
        self.0.call(py, async move |locks: LockManager| {
            Ok(Granted::new(locks.resume_hold(&ticket).await?, runtime))
        })
    }

    #[pyo3(signature = (resource, window, tenant=None))]
    fn holds(
        &self,
        py: Python<'_>,
        resource: &str,
        window: Nights,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let resource = Resource::parse(resource).map_err(Refusal::from)?;
        let tenant = id_of(tenant);
        self.0.call(py, async move |locks: LockManager| {
            let live = locks.holds(tenant.as_ref(), &resource, window.0).await?;
            Ok(live.into_iter().map(stated).collect::<Vec<Stated>>())
        })
    }

    fn sweep(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0
            .finish(py, async |locks: LockManager| Ok(locks.sweep().await?))
    }

    fn flush_audit(&self, py: Python<'_>, deadline: Span) -> PyResult<Operation> {
        let deadline: Duration = deadline.0;
        self.0.call(py, async move |locks: LockManager| {
            Ok(locks.flush_audit(deadline).await?)
        })
    }

    fn audit(&self, py: Python<'_>, lock_key: String, limit: usize) -> PyResult<Operation> {
        self.0.call(py, async move |locks: LockManager| {
            let entries = locks.audit(&lock_key, limit).await?;
            Ok(entries.into_iter().map(audited).collect::<Vec<_>>())
        })
    }
}
