//! `posada.tenants`.

use std::sync::Arc;

use posada::TenantResolver;
use posada::error::codes;
use posada::tenants::{
    BusinessHours, Channel, Identifier, NewTenant, Resolution as Resolved, TenantStatus, TenantUpdate,
};
use pyo3::prelude::*;

use crate::arguments::{Given, Whose, channel, optional_text, text_or};
use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::handle::Handle;
use crate::tenant::Tenant;

/// Whose guest a sender is.
#[pyclass(frozen, module = "posada")]
pub(crate) struct Resolution(Resolved);

#[pyclass(frozen, subclass, module = "posada._native")]
pub(crate) struct Tenants(pub(crate) ProcessBound<TenantResolver>);

#[pymethods]
impl Resolution {
    #[getter]
    fn outcome(&self) -> &'static str {
        self.0.as_str()
    }

    #[getter]
    fn tenant(&self) -> Option<Tenant> {
        self.0.tenant().cloned().map(Tenant)
    }

    #[getter]
    fn suspended(&self) -> Option<Tenant> {
        match &self.0 {
            Resolved::Suspended { tenant } => Some(Tenant(tenant.clone())),
            Resolved::Found { .. } | Resolved::Unknown | Resolved::Ambiguous { .. } => None,
        }
    }

    #[getter]
    fn candidates(&self) -> Vec<Tenant> {
        match &self.0 {
            Resolved::Ambiguous { tenants } => tenants.iter().cloned().map(Tenant).collect(),
            Resolved::Found { .. } | Resolved::Suspended { .. } | Resolved::Unknown => Vec::new(),
        }
    }

    #[getter]
    fn source(&self) -> Option<&'static str> {
        match &self.0 {
            Resolved::Found { source, .. } => Some(source.as_str()),
            Resolved::Suspended { .. } | Resolved::Unknown | Resolved::Ambiguous { .. } => None,
        }
    }

    #[getter]
    fn age(&self) -> Option<std::time::Duration> {
        match &self.0 {
            Resolved::Found { age, .. } => Some(*age),
            Resolved::Suspended { .. } | Resolved::Unknown | Resolved::Ambiguous { .. } => None,
        }
    }

    fn __bool__(&self) -> bool {
        self.0.tenant().is_some()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| self.0 == other.get().0)
    }

    fn __repr__(&self) -> String {
        match &self.0 {
            Resolved::Found { tenant, source, age } => format!(
                "Resolution(outcome='found', tenant={:?}, source={:?}, age={age:?})",
                tenant.id.as_str(),
                source.as_str()
            ),
            Resolved::Suspended { tenant } => {
                format!(
                    "Resolution(outcome='suspended', suspended={:?})",
                    tenant.id.as_str()
                )
            }
            Resolved::Unknown => "Resolution(outcome='unknown')".to_owned(),
            Resolved::Ambiguous { tenants } => {
                let ids: Vec<&str> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
                format!("Resolution(outcome='ambiguous', candidates={ids:?})")
            }
        }
    }
}

/// Reads what is to be resolved.
fn asked<'a>(
    identifier: Given<'a, '_>,
    channel: Option<Given<'_, '_>>,
) -> PyResult<(&'a str, Option<Channel>)> {
    let channel = self::channel(optional_text("channel", channel)?)?;
    let identifier = text_or(codes::TENANTS_INVALID_IDENTIFIER, "identifier", identifier)?;
    Ok((identifier, channel))
}

/// Reads hours as the Python class keeps them.
fn hours(start: Option<u8>, end: Option<u8>, timezone: Option<&str>) -> PyResult<BusinessHours> {
    Ok(BusinessHours::new(start, end, timezone).map_err(Refusal::from)?)
}

fn status(name: &str) -> PyResult<TenantStatus> {
    Ok(TenantStatus::parse(name).map_err(Refusal::from)?)
}

/// The kind, the canonical spelling and all spellings.
fn spelled(identifier: &Identifier) -> (&'static str, String, Vec<String>) {
    (
        identifier.kind().as_str(),
        identifier.canonical().to_owned(),
        identifier.candidates().to_vec(),
    )
}

/// Reads an identifier without any look-up.
#[pyfunction]
#[pyo3(signature = (identifier, channel=None))]
pub(crate) fn parse_identifier(
    identifier: &str,
    channel: Option<&str>,
) -> PyResult<(&'static str, String, Vec<String>)> {
    let channel = self::channel(channel)?;
    let identifier = Identifier::parse(identifier, channel).map_err(Refusal::from)?;
    Ok(spelled(&identifier))
}

#[pymethods]
impl Tenants {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self(handle.keep(|posada| posada.tenants().clone())?))
    }

    /// What `resolve` would answer at once, or `None` when it has something to do: ask Postgres, or begin a refresh
    /// in the background. Never waits.
    #[pyo3(signature = (identifier, channel=None))]
    fn cached(
        &self,
        identifier: Given<'_, '_>,
        channel: Option<Given<'_, '_>>,
    ) -> PyResult<Option<Resolution>> {
        let (identifier, channel) = asked(identifier, channel)?;
        Ok(self.0.get()?.cached(identifier, channel).map(Resolution))
    }

    /// What memory holds, however old within the stale limit; `None` when nothing is known. Never waits.
    #[pyo3(signature = (identifier, channel=None))]
    fn remembered(
        &self,
        identifier: Given<'_, '_>,
        channel: Option<Given<'_, '_>>,
    ) -> PyResult<Option<Resolution>> {
        let (identifier, channel) = asked(identifier, channel)?;
        Ok(self.0.get()?.remembered(identifier, channel).map(Resolution))
    }

    #[pyo3(signature = (identifier, channel=None))]
    fn _resolve(&self, py: Python<'_>, identifier: String, channel: Option<&str>) -> PyResult<Operation> {
        let channel = self::channel(channel)?;
        self.0.call(py, async move |tenants: TenantResolver| {
            Ok(Resolution(tenants.resolve(&identifier, channel).await?))
        })
    }

    #[pyo3(signature = (identifiers, channel=None))]
    fn _resolve_many(
        &self,
        py: Python<'_>,
        identifiers: Vec<String>,
        channel: Option<&str>,
    ) -> PyResult<Operation> {
        let channel = self::channel(channel)?;
        self.0.call(py, async move |tenants: TenantResolver| {
            let answers = tenants.resolve_many(&identifiers, channel).await;
            Ok(answers.into_iter().map(Answered).collect::<Vec<_>>())
        })
    }

    fn _get(&self, py: Python<'_>, tenant: Whose) -> PyResult<Operation> {
        self.0.call(py, async move |tenants: TenantResolver| {
            Ok(tenants.get(&tenant.0).await?.map(Tenant))
        })
    }

    fn _list(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.call(py, async |tenants: TenantResolver| {
            let all = tenants.list().await?;
            Ok(all
                .into_iter()
                .map(|tenant| Tenant(Arc::new(tenant)))
                .collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (tenant_id, name, status, start=None, end=None, timezone=None))]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn _create(
        &self,
        py: Python<'_>,
        tenant_id: &str,
        name: &str,
        status: &str,
        start: Option<u8>,
        end: Option<u8>,
        timezone: Option<&str>,
    ) -> PyResult<Operation> {
        let new = NewTenant::new(tenant_id, name)
            .map_err(Refusal::from)?
            .status(self::status(status)?)
            .business_hours(hours(start, end, timezone)?);
        self.0.finish(py, async move |tenants: TenantResolver| {
            Ok(Tenant(Arc::new(tenants.create(new).await?)))
        })
    }

    /// The hours and the zone are lists of none or one value, because `None` means "forget it".
    #[pyo3(signature = (tenant, name, status, start, end, timezone))]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn _update(
        &self,
        py: Python<'_>,
        tenant: Whose,
        name: Option<&str>,
        status: Option<&str>,
        start: Vec<Option<u8>>,
        end: Vec<Option<u8>>,
        timezone: Vec<Option<String>>,
    ) -> PyResult<Operation> {
        let update = changes(name, status, start, end, timezone)?;
        self.0.finish(py, async move |tenants: TenantResolver| {
            Ok(Tenant(Arc::new(tenants.update(&tenant.0, update).await?)))
        })
    }

    fn _suspend(&self, py: Python<'_>, tenant: Whose) -> PyResult<Operation> {
        self.0.finish(py, async move |tenants: TenantResolver| {
            Ok(Tenant(Arc::new(tenants.suspend(&tenant.0).await?)))
        })
    }

    #[pyo3(signature = (tenant, identifier, channel=None))]
    fn _add_identifier(
        &self,
        py: Python<'_>,
        tenant: Whose,
        identifier: String,
        channel: Option<&str>,
    ) -> PyResult<Operation> {
        let channel = self::channel(channel)?;
        self.0.finish(py, async move |tenants: TenantResolver| {
            Ok(spelled(
                &tenants.add_identifier(&tenant.0, &identifier, channel).await?,
            ))
        })
    }

    #[pyo3(signature = (tenant, identifier, channel=None))]
    fn _remove_identifier(
        &self,
        py: Python<'_>,
        tenant: Whose,
        identifier: String,
        channel: Option<&str>,
    ) -> PyResult<Operation> {
        let channel = self::channel(channel)?;
        self.0.finish(py, async move |tenants: TenantResolver| {
            Ok(tenants.remove_identifier(&tenant.0, &identifier, channel).await?)
        })
    }

    fn _refresh(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0
            .call(py, async |tenants: TenantResolver| Ok(tenants.refresh().await?))
    }

    fn _warm(&self, py: Python<'_>, limit: usize) -> PyResult<Operation> {
        self.0.call(py, async move |tenants: TenantResolver| {
            Ok(tenants.warm(limit).await?)
        })
    }

    /// (cached, unknown, lookups, changes)
    fn _stats(&self) -> PyResult<(usize, usize, u64, u64)> {
        let stats = self.0.get()?.stats();
        Ok((stats.cached, stats.unknown, stats.lookups, stats.changes))
    }
}

/// What is to be changed; what is not named stays.
fn changes(
    name: Option<&str>,
    status: Option<&str>,
    start: Vec<Option<u8>>,
    end: Vec<Option<u8>>,
    timezone: Vec<Option<String>>,
) -> Result<TenantUpdate, Refusal> {
    let mut update = TenantUpdate::new();
    if let Some(name) = name {
        update = update.name(name)?;
    }
    if let Some(status) = status {
        update = update.status(TenantStatus::parse(status)?);
    }
    if let Some(hour) = start.into_iter().next() {
        update = update.start(hour)?;
    }
    if let Some(hour) = end.into_iter().next() {
        update = update.end(hour)?;
    }
    if let Some(zone) = timezone.into_iter().next() {
        update = update.timezone(zone.as_deref())?;
    }
    Ok(update)
}

/// One of many answers: a resolution or an exception as a value.
struct Answered(posada::Result<Resolved>);

impl<'py> IntoPyObject<'py> for Answered {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.0 {
            Ok(resolved) => Ok(Bound::new(py, Resolution(resolved))?.into_any()),
            Err(error) => Ok(PyErr::from(Refusal::from(error))
                .into_value(py)
                .into_bound(py)
                .into_any()),
        }
    }
}
