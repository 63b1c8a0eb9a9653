//! Stands for `plan.rs` where the feature `phone` is left out: no country has a plan. A number counts as it was written
//! in international form, with the other forms of countries that renumbered; a national prefix inside it (`+44 020…`)
//! is not taken out, and a number that is too long for its country is not known to be.

use std::convert::Infallible;

/// Any number may be one of a telephone.
pub(super) const ARE_KNOWN: bool = false;

/// The numbering plan of a country code: there is none.
pub(super) struct Plan(Infallible);

impl Plan {
    pub(super) fn of(_number: &str) -> Option<(&'static Self, &str)> {
        None
    }

    pub(super) fn of_code(_code: &str) -> Option<&'static Self> {
        None
    }

    pub(super) fn may_have_prefix(&self, _national: &str) -> bool {
        match self.0 {}
    }

    pub(super) fn is_too_long(&self, _national: &str) -> bool {
        match self.0 {}
    }
}

/// The canonical form where the plan of the country knows the number: it knows none.
pub(super) fn canonical(_number: &str) -> Option<String> {
    None
}
