//! What a token proves.

use chrono::{DateTime, Utc};
use posada::{Claims as CoreClaims, ClaimsSource, Permission, TenantId};
use pyo3::prelude::*;

use crate::arguments::{Given, optional_text, text};
use crate::errors::Refusal;

/// Who is asking, for which hotel, with which rights. Made by `verify` only.
#[pyclass(frozen, module = "posada")]
pub(crate) struct Claims(pub(super) CoreClaims);

fn wanted(name: &str) -> Result<Permission, Refusal> {
    Ok(Permission::parse(name)?)
}

/// Checks the name of a permission and answers it as the crate spells it.
#[pyfunction]
pub(crate) fn permission(name: &str) -> PyResult<String> {
    Ok(wanted(name)?.to_string())
}

/// The permissions of a role.
#[pyfunction]
pub(crate) fn role_permissions(role: &str) -> PyResult<Vec<String>> {
    let role = super::role(role)?;
    Ok(role.permissions().iter().map(ToString::to_string).collect())
}

#[pymethods]
impl Claims {
    /// The user's id.
    #[getter]
    fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The hotel that the user belongs to.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_ref().map(TenantId::as_str)
    }

    /// The role, as the database says now.
    #[getter]
    fn role(&self) -> &'static str {
        self.0.role.as_str()
    }

    /// Whether the user may act for other hotels, by an explicit call.
    #[getter]
    fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// The session; `None` for a token that the app made without one.
    #[getter]
    fn session(&self) -> Option<&str> {
        self.0.session.as_deref()
    }

    /// When the token ends (UTC).
    #[getter]
    fn expires_at(&self) -> DateTime<Utc> {
        self.0.expires_at
    }

    /// Who said that the session is alive: `local`, `redis` or `store`.
    #[getter]
    fn source(&self) -> &'static str {
        match self.0.source {
            ClaimsSource::Local => "local",
            ClaimsSource::Redis => "redis",
            ClaimsSource::Store => "store",
        }
    }

    /// How old that answer is at most.
    #[getter]
    fn age(&self) -> std::time::Duration {
        self.0.age
    }

    /// Whether the role has a permission.
    ///
    /// Raises `InvalidError` (`auth.invalid_permission`) for what cannot be the name of one.
    fn has_permission(&self, permission: Given<'_, '_>) -> PyResult<bool> {
        let permission = text("permission", permission)?;
        Ok(self.0.has_permission(&wanted(permission)?))
    }

    /// Raises `DeniedError` (`auth.forbidden`) when the role lacks the permission.
    fn require(&self, permission: Given<'_, '_>) -> PyResult<()> {
        let permission = text("permission", permission)?;
        Ok(self.0.require(&wanted(permission)?).map_err(Refusal::from)?)
    }

    /// The hotel that a request is for. The token decides; a header such as `X-Tenant-ID` may repeat it.
    ///
    /// Raises `DeniedError` (`auth.wrong_tenant`) when the header names any other hotel.
    #[pyo3(signature = (header=None))]
    fn narrow(&self, header: Option<Given<'_, '_>>) -> PyResult<Option<&str>> {
        let header = optional_text("header", header)?;
        let tenant = self.0.narrow(header).map_err(Refusal::from)?;
        Ok(tenant.map(TenantId::as_str))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| self.0 == other.get().0)
    }

    fn __repr__(&self) -> String {
        format!(
            "Claims(user_id={:?}, tenant={:?}, role={:?}, expires_at={})",
            self.0.user_id,
            self.0.tenant.as_ref().map(TenantId::as_str),
            self.0.role.as_str(),
            self.0.expires_at
        )
    }
}
