//! Options that Python hands over by their names, for [`posada_bindings::arguments`].

use std::time::Duration;

use posada::TenantId;
use posada_bindings::arguments::{Record, expect_only};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Span, Switch, Whose, text, whole};
use crate::errors::Refusal;

/// Keyword arguments. `None` means that an option is left out, unless it is a truth value or a number.
pub(crate) struct Options<'a, 'py>(Option<&'a Bound<'py, PyDict>>);

/// How Python refuses an option.
pub(crate) struct Refused(pub(crate) PyErr);

impl From<posada_bindings::Refusal> for Refused {
    fn from(refusal: posada_bindings::Refusal) -> Self {
        Self(Refusal::from(refusal).into())
    }
}

impl<'a, 'py> Options<'a, 'py> {
    /// # Errors
    /// `TypeError` for a name that is none of the options.
    pub(crate) fn new(given: Option<&'a Bound<'py, PyDict>>, known: &[&str]) -> PyResult<Self> {
        let names: Vec<String> = match given {
            Some(given) => given.keys().extract()?,
            None => Vec::new(),
        };
        expect_only(names.iter().map(String::as_str), known)
            .map_err(|name| PyTypeError::new_err(format!("{name}: there is no such option")))?;
        Ok(Self(given))
    }

    fn get<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
    ) -> Result<Option<T>, Refused> {
        let given = self.0.map(|given| given.get_item(name)).transpose();
        let given = given.map_err(Refused)?.flatten();
        given.map(|given| read(&given)).transpose().map_err(Refused)
    }

    fn get_unless_none<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
    ) -> Result<Option<T>, Refused> {
        let read = |given: &Bound<'py, PyAny>| (!given.is_none()).then(|| read(given)).transpose();
        Ok(self.get(name, read)?.flatten())
    }
}

impl Record for Options<'_, '_> {
    type Error = Refused;

    fn text(&self, name: &'static str) -> Result<Option<String>, Refused> {
        self.get_unless_none(name, |given| text(name, given).map(str::to_owned))
    }

    fn switch(&self, name: &'static str) -> Result<Option<bool>, Refused> {
        self.get(name, |given| given.extract::<Switch>()?.read(name, given.py()))
    }

    fn count(&self, name: &'static str) -> Result<Option<u32>, Refused> {
        self.get(name, |given| whole(name, given))
    }

    fn duration(&self, name: &'static str) -> Result<Option<Duration>, Refused> {
        self.get_unless_none(name, |given| Span::read(name, given))
    }

    fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, Refused> {
        self.get_unless_none(name, |given| Whose::read(name, given))
    }
}
