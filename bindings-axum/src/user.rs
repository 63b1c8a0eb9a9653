//! Who asks: the token of a request.

use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use posada::error::codes;
use posada::{Claims, Posada};

use crate::error::{Error, Result};

/// Whose access token the request carries.
///
/// 401 without a token, 403 for a token that is not accepted, 503 or 504 while the servers cannot tell.
/// `Option<Authenticated>` is `None` without a token, and refuses one that is not accepted.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Claims);

/// As [`Authenticated`], but the store is asked now: for routes that administer users, hotels or money.
#[derive(Debug, Clone)]
pub struct Privileged(pub Claims);

/// A user of the installation, who stands above the hotels, as the store says it now; 403 for everybody else.
#[derive(Debug, Clone)]
pub struct Superuser(pub Claims);

/// What the token of this request says, so that several extractors of one route verify it once.
#[derive(Clone)]
struct Verified(Claims);

/// What stands behind `Bearer`; a proxy may have written it in lower case.
fn token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The claims of a request that carries a token.
pub(crate) async fn claims(parts: &mut Parts, posada: &Posada) -> Result<Option<Claims>> {
    if let Some(Verified(claims)) = parts.extensions.get() {
        return Ok(Some(claims.clone()));
    }
    let Some(token) = token(parts) else {
        return Ok(None);
    };
    let claims = posada.auth().verify(token).await?;
    parts.extensions.insert(Verified(claims.clone()));
    Ok(Some(claims))
}

/// The claims as the store knows them now.
pub(crate) async fn privileged_claims(parts: &Parts, posada: &Posada) -> Result<Claims> {
    let token = token(parts).ok_or_else(Error::unauthenticated)?;
    Ok(posada.auth().verify_privileged(token).await?)
}

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let claims = claims(parts, &Posada::from_ref(state)).await?;
        claims.map(Self).ok_or_else(Error::unauthenticated)
    }
}

impl<S> OptionalFromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        Ok(claims(parts, &Posada::from_ref(state)).await?.map(Self))
    }
}

impl<S> FromRequestParts<S> for Privileged
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        privileged_claims(parts, &Posada::from_ref(state)).await.map(Self)
    }
}

impl<S> FromRequestParts<S> for Superuser
where
    S: Send + Sync,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let claims = privileged_claims(parts, &Posada::from_ref(state)).await?;
        if claims.is_superuser {
            return Ok(Self(claims));
        }
        Err(Error::refused(
            codes::AUTH_FORBIDDEN,
            "only a superuser may do this",
        ))
    }
}

macro_rules! is_claims {
    ($($value:ty),*) => {$(
        impl Deref for $value {
            type Target = Claims;

            fn deref(&self) -> &Claims {
                &self.0
            }
        }
    )*};
}

is_claims!(Authenticated, Privileged, Superuser);
