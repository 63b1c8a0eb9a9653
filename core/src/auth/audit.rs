//! Where claims tell that they were not enough.

use std::fmt;
use std::sync::Weak;

use super::events::AuthEventKind;
use super::model::Claims;
use super::{Authenticator, Inner};
use crate::TenantId;
use crate::scope::Scope;

/// The handle that made some claims, as long as it lives. All are equal: claims do not depend on the handle that made
/// them.
#[derive(Clone)]
pub(crate) struct Audit(Weak<Inner>);

impl Audit {
    pub(super) fn of(auth: &Authenticator) -> Self {
        Self(std::sync::Arc::downgrade(&auth.0))
    }

    pub(super) fn refused(&self, claims: &Claims, tenant: Option<&TenantId>, why: &'static str) {
        if let Some(inner) = self.0.upgrade() {
            let kind = AuthEventKind::AuthorizationFail;
            Authenticator(inner, Scope::default()).raise(kind, Some(&claims.user_id), tenant, why);
        }
    }
}

impl PartialEq for Audit {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Audit {}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit")
    }
}
