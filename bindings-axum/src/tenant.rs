//! The hotel of the caller, and the handle that is bound to it.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use posada::error::codes;
use posada::tenants::Tenant;
use posada::{Claims, Posada, TenantId};

use crate::error::{Error, Result};
use crate::user;

/// The hotel of the user.
///
/// A header `X-Tenant-ID` may repeat it, and cannot choose another: 403, as for a user without a hotel and for a hotel
/// that is suspended; 404 when it is gone.
#[derive(Debug, Clone)]
pub struct CurrentTenant(pub Arc<Tenant>);

/// The handle, bound to the hotel of the user: see [`Posada::for_tenant`].
///
/// A handler that has this and no `State<Posada>` cannot touch another hotel. It needs no close. Where the hotel is not
/// that of a user, as in a webhook, bind the handle in the handler: `posada.for_tenant(&tenant.id)`; where a superuser
/// acts for a hotel, [`Posada::for_claims`]. It refuses as [`CurrentTenant`] does.
#[derive(Debug, Clone)]
pub struct Scope(pub Posada);

/// The hotel of the user, which every header `X-Tenant-ID` must name if there is one.
pub(crate) fn own_hotel<'c>(parts: &Parts, claims: &'c Claims) -> Result<&'c TenantId> {
    for named in parts.headers.get_all("x-tenant-id") {
        // What is no text is no hotel's id either.
        claims.narrow(Some(&String::from_utf8_lossy(named.as_bytes())))?;
    }
    claims
        .narrow(None)?
        .ok_or_else(|| Error::refused(codes::AUTH_WRONG_TENANT, "the user belongs to no hotel"))
}

impl<S> FromRequestParts<S> for CurrentTenant
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let posada = Posada::from_ref(state);
        let claims = user::claims(parts, &posada).await?;
        let claims = claims.ok_or_else(Error::unauthenticated)?;
        let found = posada.tenants().get(own_hotel(parts, &claims)?).await?;
        let tenant =
            found.ok_or_else(|| Error::refused(codes::TENANTS_NOT_FOUND, "the hotel of the user is gone"))?;
        if tenant.is_active() {
            return Ok(Self(tenant));
        }
        Err(Error::refused(codes::AUTH_FORBIDDEN, "the hotel is suspended"))
    }
}

impl<S> FromRequestParts<S> for Scope
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let CurrentTenant(tenant) = CurrentTenant::from_request_parts(parts, state).await?;
        Ok(Self(Posada::from_ref(state).for_tenant(&tenant.id)?))
    }
}
