//! A permission in the hotel that the request is about.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use posada::auth::Permission;
use posada::{Claims, Posada};

use crate::error::{Error, Result};
use crate::{route, tenant, user};

/// Parameters of a path that name a hotel, in lower case and without `_` and `-`.
const HOTELS: [&str; 4] = ["tenant", "tenantid", "hotel", "hotelid"];
/// Parameters of a query that name one. A `hotel` there is usually a number of the hotel's system.
const TENANTS: [&str; 2] = ["tenant", "tenantid"];
/// In front of a parameter of a path that names a hotel: `/hotels/{id}/rates`.
const BEFORE_HOTELS: [&str; 6] = ["hotel", "hotels", "tenant", "tenants", "property", "properties"];

/// What a route asks for, so that a handler can take it as a parameter: see [`Permitted`].
pub trait Permit {
    /// Where the path names the hotel.
    const HOTEL: HotelOf = HotelOf::Named;
    /// Whether the store is asked now, as for [`Privileged`](crate::Privileged).
    const PRIVILEGED: bool = false;

    /// The permission.
    fn permission() -> Permission;
}

/// Where the path of a route names the hotel that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotelOf {
    /// In a parameter that can be told by its name or by what stands in front of it. A route whose parameters are all
    /// of other names lets no caller in, and says so in the log.
    Named,
    /// In this parameter.
    Parameter(&'static str),
    /// Nowhere: the route is about the user's own hotel, and its parameters name something else.
    Caller,
}

/// A user with a permission in the hotel of the request; 403 for everybody else.
///
/// The hotel is the user's own, and everything in the request that names a hotel must name that one: the header
/// `X-Tenant-ID`, the parameters `tenant`, `tenant_id`, `hotel` and `hotel_id` of the path (also as `hotelId`), one behind
/// `/hotels/`, `/tenants/` or `/properties/`, and the parameters `tenant` and `tenant_id` of the query. Users without a
/// hotel have permissions in none: see [`Superuser`](crate::Superuser). Where a hotel comes in another way, as in a body,
/// ask [`Claims::require_for`] in the handler.
///
/// ```
/// use axum::extract::Path;
/// use posada::auth::Permission;
/// use posada_axum::{Permit, Permitted};
///
/// struct ManageRates;
///
/// impl Permit for ManageRates {
///     fn permission() -> Permission {
///         Permission::MANAGE_RATES
///     }
/// }
///
/// // GET /hotels/{hotel}/rates
/// async fn rates(user: Permitted<ManageRates>, Path(hotel): Path<String>) -> String {
///     format!("{} may change the rates of {hotel}", user.user_id)
/// }
/// ```
pub struct Permitted<P> {
    claims: Claims,
    permit: PhantomData<fn() -> P>,
}

impl<P> Permitted<P> {
    /// What the token says.
    pub fn into_claims(self) -> Claims {
        self.claims
    }
}

impl<P> Deref for Permitted<P> {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

impl<P> fmt::Debug for Permitted<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permitted").field(&self.claims).finish()
    }
}

impl<S, P> FromRequestParts<S> for Permitted<P>
where
    S: Send + Sync,
    P: Permit,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let posada = Posada::from_ref(state);
        let claims = if P::PRIVILEGED {
            user::privileged_claims(parts, &posada).await?
        } else {
            let claims = user::claims(parts, &posada).await?;
            claims.ok_or_else(Error::unauthenticated)?
        };
        let path = path(parts, state).await?;
        let route = route::of_route(&parts.extensions);
        let hotels = match P::HOTEL {
            HotelOf::Named => named(route, &path, &parts.uri)?,
            HotelOf::Parameter(name) => vec![parameter(route, &path, name)?],
            HotelOf::Caller => Vec::new(),
        };
        let own = tenant::own_hotel(parts, &claims)?;
        for hotel in hotels {
            claims.narrow(Some(&hotel))?;
        }
        claims.require_for(own, &P::permission())?;
        Ok(Self {
            claims,
            permit: PhantomData,
        })
    }
}

/// The parameters of a path, with their decoded values.
type Parameters = Vec<(String, String)>;

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Parameters> {
    let refused = || Error::new(StatusCode::BAD_REQUEST, "the path is no text");
    let found = RawPathParams::from_request_parts(parts, state).await;
    let found = found.map_err(|_| refused())?;
    Ok(found
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Whether a parameter has one of these names, however it is spelled.
fn is_one_of(names: &[&str], name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    names.contains(&&*plain.to_lowercase())
}

/// What the path and the query name as hotels.
fn named(route: &str, path: &Parameters, uri: &Uri) -> Result<Vec<String>> {
    let behind: Vec<&str> = route::parameters(route)
        .filter(|(before, _)| BEFORE_HOTELS.contains(&&*before.to_lowercase()))
        .map(|(_, name)| name)
        .collect();
    let is_hotel = |name: &str| is_one_of(&HOTELS, name) || behind.contains(&name);
    let of_path = path.iter().filter(|(name, _)| is_hotel(name));
    let mut hotels: Vec<String> = of_path.map(|(_, value)| value.clone()).collect();
    if hotels.is_empty() && !path.is_empty() {
        return Err(Error::miswritten(format!(
            "Permitted on {route}: none of the parameters of the path names a hotel, as far as can be told; say in \
             `Permit::HOTEL` which one does, or that the route is about the user's own"
        )));
    }
    let query = Query::<Parameters>::try_from_uri(uri)
        .map_err(|_| Error::new(StatusCode::BAD_REQUEST, "the query cannot be read"))?;
    let of_query = query.0.into_iter().filter(|(name, _)| is_one_of(&TENANTS, name));
    hotels.extend(of_query.map(|(_, value)| value));
    Ok(hotels)
}

fn parameter(route: &str, path: &Parameters, name: &str) -> Result<String> {
    let found = path.iter().find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.clone())
        .ok_or_else(|| Error::miswritten(format!("Permitted on {route}: the path has no parameter {name}")))
}
