//! Values of the crate as the dataclasses of the Python package, by the names of their fields.
//!
//! A value that crosses is written down once here, with the names of its fields, and once in Python, as its dataclass.
//! [`records!`] makes the one into the other: a new field is one name in its list and one line of the dataclass, in
//! whatever order. When the two do not name the same fields the first value says which differ.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use posada::error::codes;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use rust_decimal::Decimal;

use crate::errors::Refusal;

/// Something that Python gets as an object of its own.
pub(crate) trait Value: Sized {
    /// The object. Called on a thread that holds the interpreter's lock, once for each value.
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>>;
}

/// A value on its way to Python, as the answer of a call.
pub(crate) struct Answer<T>(pub(crate) T);

impl<'py, T: Value> IntoPyObject<'py> for Answer<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.object(py)
    }
}

/// Several values as a list of Python's; those inside of a value are a tuple, because values do not change.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Value> Value for List<T> {
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(PyList::new(py, objects(self.0, py)?)?.into_any())
    }
}

impl<T: Value> Value for Vec<T> {
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(PyTuple::new(py, objects(self, py)?)?.into_any())
    }
}

fn objects<T: Value>(values: Vec<T>, py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    values.into_iter().map(|value| value.object(py)).collect()
}

impl<T: Value> Value for Option<T> {
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        self.map_or_else(|| Ok(py.None().into_bound(py)), |value| value.object(py))
    }
}

impl<A: Value, B: Value> Value for (A, B) {
    fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok((self.0.object(py)?, self.1.object(py)?)
            .into_pyobject(py)?
            .into_any())
    }
}

/// What PyO3 knows how to hand over.
macro_rules! plain {
    ($($kind:ty),* $(,)?) => {$(
        impl Value for $kind {
            fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                pyo3::IntoPyObjectExt::into_bound_py_any(self, py)
            }
        }
    )*};
}

plain!(
    bool,
    u32,
    u64,
    &'static str,
    String,
    Decimal,
    NaiveDate,
    NaiveTime,
    DateTime<Utc>,
    Duration,
);

/// The dataclass of a value.
pub(crate) struct Class {
    module: &'static str,
    name: &'static str,
    /// The fields, in the order in which Rust has their values.
    fields: &'static [&'static str],
    found: PyOnceLock<Found>,
}

struct Found {
    class: Py<PyAny>,
    /// For each argument of the class the place of its value.
    places: Vec<usize>,
}

impl Class {
    pub(crate) const fn new(
        module: &'static str,
        name: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        Self {
            module,
            name,
            fields,
            found: PyOnceLock::new(),
        }
    }

    /// An object of the class with these values of its fields.
    pub(crate) fn make<'py, const N: usize>(
        &self,
        py: Python<'py>,
        values: [Bound<'py, PyAny>; N],
    ) -> PyResult<Bound<'py, PyAny>> {
        let found = self.found.get_or_try_init(py, || self.find(py))?;
        let values = found.places.iter().filter_map(|place| values.get(*place));
        let arguments = PyTuple::new(py, values.collect::<Vec<_>>())?;
        found.class.bind(py).call1(arguments)
    }

    fn find(&self, py: Python<'_>) -> PyResult<Found> {
        let class = py.import(self.module)?.getattr(self.name)?;
        let arguments: Vec<String> = class.getattr("__match_args__")?.extract()?;
        let place = |name: &String| self.fields.iter().position(|field| field == name);
        let places: Vec<usize> = arguments.iter().filter_map(place).collect();
        if places.len() != arguments.len() || places.len() != self.fields.len() {
            let message = format!(
                "{} has {arguments:?} in Python and {:?} here",
                self.name, self.fields
            );
            return Err(Refusal::own(codes::POSADA_INTERNAL, message).into());
        }
        let class = class.unbind();
        Ok(Found { class, places })
    }
}

/// Values as dataclasses: `Type as "Class" { fields }` for those whose fields are public in Rust under the names that they
/// have in Python, `Type as "Class" of value { field = expression, … }` for the others.
macro_rules! records {
    (in $module:literal; $($kind:ident as $class:literal $(of $value:ident)? { $($fields:tt)* })*) => {$(
        $crate::values::records!(@ $module, $kind, $class, ($($value)?), $($fields)*);
    )*};
    (@ $module:literal, $kind:ident, $class:literal, (), $($field:ident),* $(,)?) => {
        $crate::values::records!(@ $module, $kind, $class, (value), $($field = value.$field),*);
    };
    (@ $module:literal, $kind:ident, $class:literal, ($value:ident), $($field:ident = $get:expr),* $(,)?) => {
        impl $crate::values::Value for $kind {
            fn object(self, py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Bound<'_, pyo3::PyAny>> {
                use $crate::values::{Class, Value};
                static CLASS: Class = Class::new($module, $class, &[$(stringify!($field)),*]);
                let $value = self;
                CLASS.make(py, [$(Value::object($get, py)?),*])
            }
        }
    };
}

pub(crate) use records;
