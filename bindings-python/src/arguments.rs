//! Values that Python hands in.

use std::time::Duration;

use chrono::NaiveDate;
use posada::{Channel, Stay, TenantId};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyFloat, PyInt};

use crate::errors::Refusal;
use crate::tenants::Tenant;

/// A tenant, by its id or as an object that a look-up answered.
pub(crate) struct Whose(pub(crate) TenantId);

impl<'py> FromPyObject<'_, 'py> for Whose {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(tenant) = given.cast::<Tenant>() {
            return Ok(Self(tenant.get().0.id.clone()));
        }
        let id: &str = given.extract()?;
        Ok(Self(TenantId::parse(id).map_err(Refusal::from)?))
    }
}

/// The id inside, where a tenant may be left out.
pub(crate) fn id_of(tenant: Option<Whose>) -> Option<TenantId> {
    tenant.map(|tenant| tenant.0)
}

/// A channel by its name, where it may be left out.
pub(crate) fn channel(name: Option<&str>) -> PyResult<Option<Channel>> {
    Ok(name.map(Channel::parse).transpose().map_err(Refusal::from)?)
}

/// A length of time: seconds or a `timedelta`, neither negative nor endless.
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// Reads the argument `name`.
    ///
    /// # Errors
    /// `TypeError` or `ValueError`, which name it.
    pub(crate) fn read(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
        let seconds = if let Ok(seconds) = given.cast::<PyFloat>() {
            seconds.value()
        } else if given.is_instance_of::<PyDelta>() {
            given
                .call_method0(intern!(given.py(), "total_seconds"))?
                .extract()?
        } else if given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>() {
            // More than a float can say is endless.
            given.extract().unwrap_or(f64::INFINITY)
        } else {
            return Err(PyTypeError::new_err(format!(
                "{name}: expected seconds or a timedelta, not {}",
                given.get_type().name()?
            )));
        };
        Duration::try_from_secs_f64(seconds).or_else(|_| {
            let given = given.repr()?;
            Err(PyValueError::new_err(format!(
                "{name}: expected a length of time of zero or more, not {given}"
            )))
        })
    }
}

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::read("seconds", &given).map(Self)
    }
}

/// The seconds of a length of time that was given for `name`.
#[pyfunction]
pub(crate) fn seconds(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    Ok(Span::read(name, given)?.as_secs_f64())
}

/// The nights of a `posada.Stay`.
pub(crate) struct Nights(pub(crate) Stay);

impl<'py> FromPyObject<'_, 'py> for Nights {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = given.py();
        let date = |name| given.getattr(name)?.extract();
        let (check_in, check_out) = (date(intern!(py, "check_in"))?, date(intern!(py, "check_out"))?);
        Ok(Self(Stay::new(check_in, check_out).map_err(Refusal::from)?))
    }
}

/// The dates of a stay.
pub(crate) fn dates(stay: Stay) -> (NaiveDate, NaiveDate) {
    (stay.check_in(), stay.check_out())
}
