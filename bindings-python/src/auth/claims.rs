//! What a token proves.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use posada::auth::Permission;
use posada::error::codes;
use posada::{Claims as CoreClaims, TenantId};
use pyo3::prelude::*;

use crate::arguments::{Given, Whose, optional_text, text};
use crate::errors::Refusal;

/// Who is asking, for which hotel, with which rights. Made by `verify` only.
#[pyclass(frozen, module = "posada")]
pub(crate) struct Claims(pub(crate) CoreClaims);

/// Most permissions of its own that a program may declare.
const MOST_OWN: usize = 256;

/// The permissions that the program has declared.
fn own() -> MutexGuard<'static, HashSet<String>> {
    static OWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A named permission, or one that the program has declared.
pub(super) fn wanted(name: &str) -> Result<Permission, Refusal> {
    let is_own = own().contains(name);
    Ok(if is_own {
        Permission::own(name)?
    } else {
        Permission::parse(name)?
    })
}

/// Declares a permission of the program's own, and answers its name.
#[pyfunction]
pub(crate) fn own_permission(name: &str) -> PyResult<String> {
    let permission = Permission::own(name).map_err(Refusal::from)?;
    let mut own = own();
    if own.len() == MOST_OWN && !own.contains(name) {
        let message = "name: expected a constant: this process has declared 256 permissions already";
        let refusal = Refusal::invalid(codes::POSADA_INVALID_ARGUMENT, "name", message.to_owned());
        return Err(refusal.into());
    }
    own.insert(name.to_owned());
    Ok(permission.to_string())
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
        self.0.source.as_str()
    }

    /// How old that answer is at most.
    #[getter]
    fn age(&self) -> std::time::Duration {
        self.0.age
    }

    /// Whether the role has a permission: what to show in a menu. Before anything is done, ask `require_for`.
    ///
    /// Raises `InvalidError` (`auth.invalid_permission`) for what is none.
    fn has_permission(&self, permission: Given<'_, '_>) -> PyResult<bool> {
        let permission = text("permission", permission)?;
        Ok(self.0.has_permission(&wanted(permission)?))
    }

    /// Whether this user may do that in this hotel: the hotel of what is read or changed. A refusal is an event of the
    /// audit.
    ///
    /// Raises `DeniedError`: `auth.wrong_tenant` when it is not the hotel of the claims, `auth.forbidden` when the role
    /// lacks the permission.
    fn require_for(&self, tenant: Given<'_, '_>, permission: Given<'_, '_>) -> PyResult<()> {
        let tenant = Whose::read("tenant", tenant)?;
        let permission = wanted(text("permission", permission)?)?;
        Ok(self.0.require_for(&tenant, &permission).map_err(Refusal::from)?)
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
