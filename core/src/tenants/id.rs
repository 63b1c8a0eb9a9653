//! The tenant's id: the one value that every module shares.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result, codes};
use crate::text;

/// The id of a hotel company, such as `hotel-centro`.
///
/// The production app creates ids of lower-case letters, digits, `_` and `-`, but older rows may hold other
/// texts, so anything of 1 to 255 bytes without control characters and surrounding white space is accepted here;
/// [`TenantResolver::create`](crate::TenantResolver::create) is stricter. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Longest id, in bytes: what the column `tenants.tenant_id` holds.
    pub const MAX_BYTES: usize = 255;

    /// Reads an id.
    ///
    /// # Errors
    /// `tenants.invalid_id` when it is empty, too long, or holds control characters or surrounding white space.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid =
            |fault: &dyn fmt::Display| Error::field_invalid(codes::TENANTS_INVALID_ID, "tenant", fault);
        text::check(text, Self::MAX_BYTES).map_err(|fault| invalid(&fault))?;
        if text.trim() != text {
            return Err(invalid(&"must not begin or end with white space"));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({:?})", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_app_parse() {
        for id in ["hotel-test", "hotel_centro", "default", "Ñandú Inn"] {
            assert_eq!(TenantId::parse(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn bad_ids_name_the_field() {
        for id in ["", " a", "a\n", "a\0b", &"x".repeat(256)] {
            let error = TenantId::parse(id).unwrap_err();
            assert!(error.is(codes::TENANTS_INVALID_ID), "{id:?}");
            assert_eq!(error.field(), Some("tenant"));
        }
    }
}
