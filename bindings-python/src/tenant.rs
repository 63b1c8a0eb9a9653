//! A hotel company, which other services take for its id.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use posada::tenants::Tenant as CoreTenant;
use pyo3::prelude::*;

/// A hotel company, as Postgres knows it. Shared with the cache.
#[pyclass(frozen, module = "posada", from_py_object)]
#[derive(Clone)]
pub(crate) struct Tenant(pub(crate) Arc<CoreTenant>);

#[pymethods]
impl Tenant {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn status(&self) -> &'static str {
        self.0.status.as_str()
    }

    #[getter]
    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    #[getter]
    fn business_hours_start(&self) -> Option<u8> {
        self.0.business_hours.start
    }

    #[getter]
    fn business_hours_end(&self) -> Option<u8> {
        self.0.business_hours.end
    }

    #[getter]
    fn timezone(&self) -> Option<&str> {
        self.0.business_hours.timezone.as_deref()
    }

    #[getter]
    fn created_at(&self) -> Option<DateTime<Utc>> {
        self.0.created_at
    }

    #[getter]
    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.0.updated_at
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| self.0 == other.get().0)
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        self.0.id.hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!(
            "Tenant(id={:?}, name={:?}, status={:?})",
            self.0.id.as_str(),
            self.0.name,
            self.0.status.as_str()
        )
    }
}
