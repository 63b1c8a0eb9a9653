//! `posada.locks`: named locks in [`guard`], stay holds in [`hold`].

mod guard;
mod hold;

use std::time::Duration;

use chrono::{DateTime, Utc};
use posada::LockManager;
use posada::locks::{AcquireOptions, AuditEntry, Hold as CoreHold, LockState, Resource, StayHold};
use pyo3::prelude::*;

use crate::arguments::{Given, Nights, Parts, Span, Switch, Whose, id_of, optional_text, whole};
use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::open::Handle;
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

/// How a lock is wanted; whatever is left out has the crate's default.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Wanted(AcquireOptions);

#[pymethods]
impl Wanted {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        py: Python<'_>,
        ttl: Option<Given<'_, '_>>,
        wait: Option<Given<'_, '_>>,
        owner: Option<Given<'_, '_>>,
        auto_extend: Switch,
        max_hold: Option<Given<'_, '_>>,
        tenant: Option<Whose>,
        reentrant: Switch,
        audit_misses: Switch,
        replicas: Given<'_, '_>,
        replicas_within: Option<Given<'_, '_>>,
    ) -> PyResult<Self> {
        let mut options = AcquireOptions::new()
            .auto_extend(auto_extend.read("auto_extend", py)?)
            .reentrant(reentrant.read("reentrant", py)?)
            .audit_misses(audit_misses.read("audit_misses", py)?)
            .replicas(whole("replicas", replicas)?);
        if let Some(within) = replicas_within {
            options = options.replicas_within(Span::read("replicas_within", within)?);
        }
        if let Some(ttl) = ttl {
            options = options.ttl(Span::read("ttl", ttl)?);
        }
        if let Some(wait) = wait {
            options = options.wait(Span::read("wait", wait)?);
        }
        if let Some(owner) = optional_text("owner", owner)? {
            options = options.owner(owner);
        }
        if let Some(max_hold) = max_hold {
            options = options.max_hold(Span::read("max_hold", max_hold)?);
        }
        if let Some(tenant) = tenant {
            options = options.tenant(&tenant.0);
        }
        Ok(Self(options))
    }
}

/// Which nights are wanted, as Python hands them in.
#[derive(FromPyObject)]
pub(crate) struct WantedStay {
    #[pyo3(item(0))]
    resource: String,
    #[pyo3(item(1))]
    stay: Nights,
    #[pyo3(item(2))]
    quantity: u32,
    #[pyo3(item(3))]
    capacity: u32,
    #[pyo3(item(4))]
    tenant: Option<Whose>,
    #[pyo3(item(5))]
    session_id: Option<String>,
    #[pyo3(item(6))]
    user_id: Option<String>,
    #[pyo3(item(7))]
    ttl: Option<Span>,
}

impl WantedStay {
    fn request(self) -> Result<StayHold, Refusal> {
        let mut request = StayHold::new(Resource::parse(&self.resource)?, self.stay.0)
            .quantity(self.quantity)
            .capacity(self.capacity);
        if let Some(tenant) = self.tenant {
            request = request.tenant(&tenant.0);
        }
        if let Some(session) = self.session_id {
            request = request.session_id(session);
        }
        if let Some(user) = self.user_id {
            request = request.user_id(user);
        }
        if let Some(ttl) = self.ttl {
            request = request.ttl(ttl.0);
        }
        Ok(request)
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

    fn acquire(&self, py: Python<'_>, name: String, wanted: &Wanted) -> PyResult<Operation> {
        let (options, home) = (wanted.0.clone(), self.0.home().clone());
        self.0.read(py, async move |locks: LockManager| {
            Ok(Taken::new(locks.acquire(&name, &options).await?, name, home))
        })
    }

    fn try_acquire(&self, py: Python<'_>, name: String, wanted: &Wanted) -> PyResult<Operation> {
        let (options, home) = (wanted.0.clone(), self.0.home().clone());
        self.0.read(py, async move |locks: LockManager| {
            let guard = locks.try_acquire(&name, &options).await?;
            Ok(guard.map(|guard| Taken::new(guard, name, home)))
        })
    }

    fn acquire_all(&self, py: Python<'_>, names: Vec<String>, wanted: &Wanted) -> PyResult<Operation> {
        let (options, home) = (wanted.0.clone(), self.0.home().clone());
        self.0.read(py, async move |locks: LockManager| {
            let asked: Vec<&str> = names.iter().map(String::as_str).collect();
            let guards = locks.acquire_all(&asked, &options).await?;
            let taken = guards.into_iter().zip(&names);
            Ok(taken
                .map(|(guard, name)| Taken::new(guard, name.clone(), home.clone()))
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
        self.0.read(py, async move |locks: LockManager| {
            Ok(locks.inspect(tenant.as_ref(), &name).await?.map(seen))
        })
    }

    #[pyo3(signature = (tenant=None))]
    fn list(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.read(py, async move |locks: LockManager| {
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

    fn hold_stay(&self, py: Python<'_>, wanted: Parts<WantedStay>) -> PyResult<Operation> {
        let (request, home) = (wanted.0.request()?, self.0.home().clone());
        self.0.read(py, async move |locks: LockManager| {
            Ok(Granted::new(locks.hold_stay(&request).await?, home))
        })
    }

    fn hold_stays(&self, py: Python<'_>, wanted: Parts<Vec<WantedStay>>) -> PyResult<Operation> {
        let home = self.0.home().clone();
        let requests = wanted
            .0
            .into_iter()
            .map(WantedStay::request)
            .collect::<Result<Vec<_>, _>>()?;
        self.0.finish(py, async move |locks: LockManager| {
            let held = locks.hold_stays(&requests).await?.into_iter();
            Ok(held
                .map(|hold: CoreHold| Granted::new(hold, home.clone()))
                .collect::<Vec<_>>())
        })
    }

    fn resume_hold(&self, py: Python<'_>, ticket: String) -> PyResult<Operation> {
        let home = self.0.home().clone();
        self.0.read(py, async move |locks: LockManager| {
            Ok(Granted::new(locks.resume_hold(&ticket).await?, home))
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
        self.0.read(py, async move |locks: LockManager| {
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
        self.0.read(py, async move |locks: LockManager| {
            Ok(locks.flush_audit(deadline).await?)
        })
    }

    fn audit(&self, py: Python<'_>, lock_key: String, limit: usize) -> PyResult<Operation> {
        self.0.read(py, async move |locks: LockManager| {
            let entries = locks.audit(&lock_key, limit).await?;
            Ok(entries.into_iter().map(audited).collect::<Vec<_>>())
        })
    }
}
