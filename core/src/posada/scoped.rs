//! Handles that are bound to one tenant.

use std::sync::Arc;

use super::{Inner, Posada};
use crate::error::Result;
use crate::scope::Scope;
use crate::tenants::TenantId;

/// A handle for one tenant.
impl Posada {
    /// The same handle, bound to one tenant: a request of one hotel cannot read or write anything of another through
    /// it, whatever it is given. Make one for each request; that costs about as much as a cached resolve, does no
    /// I/O, and does not ask whether the tenant exists. It shares everything else with this handle: dropping or
    /// [closing](Self::close) it closes nothing, and it ends with the handle that it was made from.
    ///
    /// Where a method takes a tenant, none means this one, and any other is refused (`tenants.out_of_scope`, of kind
    /// [`Denied`](crate::Kind::Denied)) before anything is asked of a server; so is a session, a ticket, a proof of a
    /// hold, claims or a token of another. Where only the answer tells whose something is, it is refused after it was
    /// read. The error names no tenant.
    ///
    /// | Service | Bound to the tenant | Refused |
    /// |---|---|---|
    /// | [`tenants`](Self::tenants) | `resolve`, `resolve_many`, `get`, `update`, `suspend`, `add_identifier`, `remove_identifier`. An identifier of another tenant, or of several, is refused; `cached` and `remembered` do not know it. `stats` is that of the process. | `list`, `create`, `refresh`, `warm` |
    /// | [`sessions`](Self::sessions) | `get_or_create`, `get`, `save`, `update`, `append_turn`, `touch`, `delete`, `list`, `count`, `purge_tenant`; `purge_user` deletes the conversation with this tenant. | `measure` |
    /// | [`flags`](Self::flags) | `set`, `unset`, `list`, `warm`, `refresh`; an evaluation takes this tenant's overrides. Evaluation never fails: for another tenant it is the default of the call, with [`Reason::Error`](crate::flags::Reason::Error). `watch` leaves out the overrides of others. `status` is that of the process. | `adopt` |
    /// | [`locks`](Self::locks) | `acquire`, `try_acquire`, `acquire_all`, `inspect`, `list`, `release`, `force_release`, `hold_stay`, `hold_stays`, `resume_hold`, `holds`, `check_fence`, `audit`. `flush_audit` waits for the whole process. | `sweep` |
    /// | [`limits`](Self::limits) | `check`, `check_cost`, `check_many`, `peek`, `reset`: the quotas of a tenant are its own, on keys that begin with `tenant:{id}/`. Outside of a scope keys are those of the Python package `limits`. | |
    /// | [`auth`](Self::auth) | `create_user` (no superuser), `login`, `device_cookie`, `verify`, `verify_privileged`, `has_permission` (false for others), `refresh`, `logout`, `logout_session`, `logout_everywhere`, `sessions`, `change_password`, `set_password`, `issue`, `reset_password`. Users without a tenant are refused, too. | `measure`, `act_across_tenants` to or from another tenant |
    /// | [`pms`](Self::pms) | `book` takes holds of this tenant only. Everything else is that of the one system of the handle. | |
    /// | the handle | `for_tenant` of this tenant, `for_claims` of its users; `close` closes nothing. `settings`, `health` and `doctor` are those of the process. | `migrate`, `migration_status`, `maintain` |
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> posada::Result<()> {
    /// use posada::{Posada, TenantId};
    ///
    /// let posada = Posada::embedded();
    /// let hotel = posada.for_tenant(&TenantId::parse("hotel-centro")?)?;
    /// hotel.sessions().get_or_create(None, "5491187654321", "whatsapp").await?;
    ///
    /// let other = TenantId::parse("hotel-norte")?;
    /// let refused = hotel.sessions().get(&other, "5491187654321").await.unwrap_err();
    /// assert_eq!(refused.code(), "tenants.out_of_scope");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `tenants.out_of_scope` when this handle is bound to another tenant.
    pub fn for_tenant(&self, tenant: &TenantId) -> Result<Self> {
        self.0.scope.choose(Some(tenant))?;
        if self.0.scope.tenant().is_some() {
            return Ok(self.clone());
        }
        let (inner, scope) = (&*self.0, Scope::of(tenant));
        Ok(Self(Arc::new(Inner {
            base: inner.base.clone(),
            tenants: inner.tenants.scoped(&scope),
            sessions: inner.sessions.scoped(&scope),
            flags: inner.flags.scoped(&scope),
            locks: inner.locks.scoped(&scope),
            limits: inner.limits.scoped(&scope),
            #[cfg(feature = "auth")]
            auth: inner.auth.scoped(&scope),
            pms: inner.pms.scoped(&scope),
            scope,
        })))
    }

    /// The tenant to which this handle is bound; `None` for a handle of all tenants.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.0.scope.tenant()
    }
}
