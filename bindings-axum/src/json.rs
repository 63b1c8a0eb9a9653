//! Bodies that are JSON, refused in the shape of every other refusal.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A body that is JSON, as [`axum::Json`], whose refusals are `{"detail": "…"}` and name the field that is wrong.
///
/// 422 for a value that posada or the program refuses, 400 for what is no JSON, 415 for a body that does not say that it
/// is, 413 for one that is too large.
///
/// ```
/// use posada::tenants::{NewTenant, Tenant};
/// use posada_axum::{Json, Result, Superuser};
/// # use axum::extract::State;
/// # use posada::Posada;
/// async fn create(_: Superuser, State(posada): State<Posada>, Json(new): Json<NewTenant>) -> Result<Json<Tenant>> {
///     Ok(Json(posada.tenants().create(new).await?))
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let axum::Json(value) = axum::Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

macro_rules! refused {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Error {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )*};
}

refused!(JsonRejection, PathRejection, QueryRejection);
