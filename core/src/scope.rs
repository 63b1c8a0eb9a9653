//! What a handle may touch: the data of one tenant, or of all.

use crate::TenantId;
use crate::error::{Error, Result, codes};

/// The tenant to which a handle and its services are bound, if they are. See
/// [`Posada::for_tenant`](crate::Posada::for_tenant) for what callers are promised.
///
/// Every public method of a service asks here before it does anything, so that no argument reaches another tenant. The
/// answers are small enough for methods that are called for every flag of every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope(Option<TenantId>);

/// Something of another tenant was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfScope;

impl Scope {
    /// Bound to this tenant.
    pub(crate) fn of(tenant: &TenantId) -> Self {
        Self(Some(tenant.clone()))
    }

    /// The tenant, if there is one.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.0.as_ref()
    }

    /// The tenant that an argument means: without one it is that of the scope.
    #[inline]
    pub(crate) fn choose<'a>(
        &'a self,
        given: Option<&'a TenantId>,
    ) -> Result<Option<&'a TenantId>, OutOfScope> {
        match (&self.0, given) {
            (None, given) => Ok(given),
            (Some(own), Some(given)) if own != given => Err(OutOfScope),
            (Some(own), _) => Ok(Some(own)),
        }
    }

    /// Lets a thing pass that belongs to this tenant, or to none: a conversation, a user, the proof of a hold. What
    /// belongs to none is not the scope's.
    #[inline]
    pub(crate) fn admit(&self, whose: Option<&TenantId>) -> Result<(), OutOfScope> {
        match &self.0 {
            Some(own) if whose != Some(own) => Err(OutOfScope),
            _ => Ok(()),
        }
    }

    /// The tenant as a part of a name that others may share: `:` and `/` end such parts, so in an id they are escaped.
    pub(crate) fn key_part(&self) -> Option<String> {
        let id = self.0.as_ref()?.as_str();
        Some(id.replace('%', "%25").replace(':', "%3A").replace('/', "%2F"))
    }

    /// Refuses what is about all tenants.
    pub(crate) fn ensure_all(&self) -> Result<(), OutOfScope> {
        self.admit(None)
    }
}

impl From<OutOfScope> for Error {
    fn from(_: OutOfScope) -> Self {
        // The other tenant is not named: a caller that may see this error may see its own tenant only.
        Self::new(
            codes::TENANTS_OUT_OF_SCOPE,
            "this handle is bound to one tenant, and may do nothing about another or about all",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    #[test]
    fn without_a_scope_every_argument_means_itself() {
        let (all, centro) = (Scope::default(), tenant("hotel-centro"));
        assert_eq!(all.choose(Some(&centro)), Ok(Some(&centro)));
        assert_eq!(all.choose(None), Ok(None));
        assert_eq!(all.admit(None), Ok(()));
        assert_eq!(all.admit(Some(&centro)), Ok(()));
        assert_eq!(all.ensure_all(), Ok(()));
    }

    #[test]
    fn a_scope_stands_for_a_missing_tenant_and_refuses_every_other() {
        let (centro, norte) = (tenant("hotel-centro"), tenant("hotel-norte"));
        let scope = Scope::of(&centro);
        assert_eq!(scope.choose(None), Ok(Some(&centro)));
        assert_eq!(scope.choose(Some(&centro)), Ok(Some(&centro)));
        assert_eq!(scope.choose(Some(&norte)), Err(OutOfScope));
        assert_eq!(scope.admit(Some(&centro)), Ok(()));
        assert_eq!(scope.admit(Some(&norte)), Err(OutOfScope));
        assert_eq!(scope.admit(None), Err(OutOfScope));
        assert_eq!(scope.ensure_all(), Err(OutOfScope));
    }

    #[test]
    fn two_tenants_never_share_a_part_of_a_key() {
        let parts =
            ["a", "a/b", "a%2Fb", "a:b", "a%3Ab"].map(|id| Scope::of(&tenant(id)).key_part().unwrap());
        assert_eq!(parts, ["a", "a%2Fb", "a%252Fb", "a%3Ab", "a%253Ab"]);
    }

    #[test]
    fn the_refusal_names_no_tenant_and_is_one_of_permission() {
        let error = Error::from(OutOfScope);
        assert_eq!(error.kind(), crate::error::Kind::Denied);
        assert_eq!(error.context().count(), 0);
    }
}
