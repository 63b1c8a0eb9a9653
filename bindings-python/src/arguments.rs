//! Values that Python hands in.
//!
//! What is of another type than it should be is a `TypeError`, a mistake of the program; what is of the right type and
//! cannot be meant is `posada.invalid_argument`, because it may come from a guest.
//!
//! What a method of Rust that has no wrapper in Python is given for its arguments is read here by their names: PyO3 names
//! an argument in a note of the exception, which Python 3.10 does not have.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use posada::error::{Code, codes};
use posada::sessions::JsonText;
use posada::tenants::Channel;
use posada::{Stay, TenantId};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyUnicodeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDelta, PyFloat, PyInt, PyMapping, PyString, PyType};

use crate::errors::Refusal;
use crate::tenant::Tenant;

/// An argument as it was given.
pub(crate) type Given<'a, 'py> = &'a Bound<'py, PyAny>;

#[cold]
fn unexpected(name: &str, expected: &str, kind: &Bound<'_, PyType>) -> PyErr {
    match kind.name() {
        Ok(kind) => PyTypeError::new_err(format!("{name}: expected {expected}, not {kind}")),
        Err(failure) => failure,
    }
}

/// The refusal of a value that cannot be meant.
#[cold]
fn invalid(name: &str, message: &str) -> PyErr {
    refused(codes::POSADA_INVALID_ARGUMENT, name, message)
}

#[cold]
fn refused(code: Code, name: &str, message: &str) -> PyErr {
    Refusal::invalid(code, name, format!("{name}: {message}")).into()
}

/// Reads a text.
///
/// # Errors
/// `TypeError`, or `posada.invalid_argument` for one that cannot be written as UTF-8; both name the argument.
#[inline]
pub(crate) fn text<'a>(name: &str, given: Given<'a, '_>) -> PyResult<&'a str> {
    text_or(codes::POSADA_INVALID_ARGUMENT, name, given)
}

/// Reads a text; `code` is that of one that cannot be written as UTF-8.
///
/// # Errors
/// `TypeError` or `code`; both name the argument.
#[inline]
pub(crate) fn text_or<'a>(code: Code, name: &str, given: Given<'a, '_>) -> PyResult<&'a str> {
    let read = given.cast::<PyString>().map(|text| text.to_str());
    match read {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(_)) => Err(refused(code, name, NO_UNICODE)),
        Err(_) => Err(unexpected(name, "str", &given.get_type())),
    }
}

const NO_UNICODE: &str = "expected Unicode text, has half a surrogate pair";

/// Reads what a person has written, which may be anything that Python takes for a text: half of an emoji is kept.
///
/// # Errors
/// `TypeError`, which names the argument.
pub(crate) fn any_text(name: &str, given: Given<'_, '_>) -> PyResult<JsonText> {
    let Ok(text) = given.cast::<PyString>() else {
        return Err(unexpected(name, "str", &given.get_type()));
    };
    if let Ok(text) = text.to_str() {
        return Ok(text.into());
    }
    let units: Vec<u8> = text
        .call_method1("encode", ("utf-16-le", "surrogatepass"))?
        .extract()?;
    let (pairs, _) = units.as_chunks::<2>();
    Ok(JsonText::from_utf16(
        pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect(),
    ))
}

/// Reads a text that may be left out.
///
/// # Errors
/// As [`text`].
#[inline]
pub(crate) fn optional_text<'a>(name: &str, given: Option<Given<'a, '_>>) -> PyResult<Option<&'a str>> {
    given.map(|given| text(name, given)).transpose()
}

/// Reads a whole number of zero or more.
///
/// # Errors
/// `TypeError` or `posada.invalid_argument`, which name the argument.
pub(crate) fn whole<'py, N>(name: &str, given: Given<'_, 'py>) -> PyResult<N>
where
    N: for<'a> FromPyObject<'a, 'py>,
{
    if !given.is_instance_of::<PyInt>() || given.is_instance_of::<PyBool>() {
        return Err(unexpected(name, "int", &given.get_type()));
    }
    given.extract().map_err(|_| invalid(name, "is out of range"))
}

/// Reads the place of a file or folder.
///
/// # Errors
/// `TypeError` or `posada.invalid_argument`, which name the argument.
pub(crate) fn path(name: &str, given: Given<'_, '_>) -> PyResult<PathBuf> {
    given.extract().map_err(|refusal: PyErr| {
        if refusal.is_instance_of::<PyTypeError>(given.py()) {
            unexpected(name, "str or os.PathLike", &given.get_type())
        } else {
            invalid(name, NO_UNICODE)
        }
    })
}

/// Reads texts by their names.
///
/// # Errors
/// As [`text`].
pub(crate) fn words(name: &str, given: Given<'_, '_>) -> PyResult<HashMap<String, String>> {
    let Ok(mapping) = given.cast::<PyMapping>() else {
        return Err(unexpected(name, "a mapping", &given.get_type()));
    };
    let mut words = HashMap::new();
    for item in mapping.items()? {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        words.insert(text(name, &key)?.to_owned(), text(name, &value)?.to_owned());
    }
    Ok(words)
}

/// A truth value, or the class of what was given in its place.
pub(crate) struct Switch(Result<bool, Py<PyType>>);

impl Switch {
    pub(crate) const OFF: Self = Self(Ok(false));

    /// Reads the argument `name`.
    ///
    /// # Errors
    /// `TypeError`, which names it.
    pub(crate) fn read(self, name: &str, py: Python<'_>) -> PyResult<bool> {
        self.0.map_err(|kind| unexpected(name, "bool", kind.bind(py)))
    }
}

impl<'py> FromPyObject<'_, 'py> for Switch {
    type Error = Infallible;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        let value = given.cast::<PyBool>().map(|value| value.is_true());
        Ok(Self(value.map_err(|_| given.get_type().unbind())))
    }
}

/// What PyO3 reads part by part. A part that cannot be is refused in its own words, behind its name: PyO3 would only say
/// which part it is, in a `TypeError` of its own that hides the refusal.
pub(crate) struct Parts<T>(pub(crate) T);

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Parts<T> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        given
            .extract::<T>()
            .map(Self)
            .map_err(|refusal| innermost(refusal.into(), given.py()))
    }
}

#[cold]
fn innermost(mut refusal: PyErr, py: Python<'_>) -> PyErr {
    let mut name = None;
    while refusal.is_instance_of::<PyTypeError>(py)
        && let Some(cause) = refusal.cause(py)
    {
        let wrapped = refusal.value(py).to_string();
        let Some(part) = wrapped.strip_prefix("failed to extract field ") else {
            break;
        };
        name = part.rsplit('.').next().map(str::to_owned);
        refusal = cause;
    }
    let message = refusal.value(py).to_string();
    let Some(name) = name.filter(|name| !message.starts_with(&format!("{name}:"))) else {
        return refusal;
    };
    if refusal.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("{name}: {message}"))
    } else if refusal.is_instance_of::<PyUnicodeError>(py) {
        invalid(&name, NO_UNICODE)
    } else if refusal.is_instance_of::<PyOverflowError>(py) {
        invalid(&name, "is out of range")
    } else {
        refusal
    }
}

/// A tenant, by its id or as an object that a look-up answered.
pub(crate) struct Whose(pub(crate) TenantId);

impl Whose {
    /// Reads the argument `name`.
    ///
    /// # Errors
    /// `TypeError` or `tenants.invalid_id`, which name it.
    pub(crate) fn read(name: &str, given: Given<'_, '_>) -> PyResult<TenantId> {
        if let Ok(tenant) = given.cast::<Tenant>() {
            return Ok(tenant.get().0.id.clone());
        }
        if !given.is_instance_of::<PyString>() {
            return Err(unexpected(name, "str or posada.Tenant", &given.get_type()));
        }
        let id = text_or(codes::TENANTS_INVALID_ID, name, given)?;
        Ok(TenantId::parse(id).map_err(Refusal::from)?)
    }
}

// Arguments of this type are called `tenant`.
impl<'py> FromPyObject<'_, 'py> for Whose {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::read("tenant", &given).map(Self)
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
    /// `TypeError` or `posada.invalid_argument`, which name it.
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
            return Err(unexpected(name, "seconds or a timedelta", &given.get_type()));
        };
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            let message = format!("expected a length of time of zero or more, not {seconds} seconds");
            invalid(name, &message)
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
