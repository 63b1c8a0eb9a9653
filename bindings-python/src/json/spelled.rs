//! Numbers of one conversation that keep the digits with which they were stored.

use std::collections::HashMap;

use pyo3::prelude::*;

/// The digits of numbers, by the objects that were made of them. The pairs that it was made of keep those alive, so
/// that no other object is in their place.
pub(crate) struct Spelled<'py> {
    digits: HashMap<usize, String>,
    /// As Python has them.
    pairs: Bound<'py, PyAny>,
}

impl<'py> Spelled<'py> {
    /// From what [`read`](super::read) told of a document.
    ///
    /// # Errors
    /// `TypeError` for anything else.
    pub(crate) fn new(pairs: Bound<'py, PyAny>) -> PyResult<Self> {
        let each: Vec<(Bound<'py, PyAny>, String)> = pairs.extract()?;
        let digits = each
            .into_iter()
            .map(|(number, digits)| (place(&number), digits))
            .collect();
        Ok(Self { digits, pairs })
    }

    pub(super) fn get(&self, number: &Bound<'_, PyAny>) -> Option<&str> {
        self.digits.get(&place(number)).map(String::as_str)
    }

    pub(super) fn pairs(&self) -> &Bound<'py, PyAny> {
        &self.pairs
    }
}

fn place(number: &Bound<'_, PyAny>) -> usize {
    number.as_ptr().addr()
}
