//! Whether a flag is on, for the caller.

use std::fmt;
use std::marker::PhantomData;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use posada::Posada;
use posada::flags::Context;

use crate::error::{Error, Result};
use crate::user;

/// The name of a flag, so that a handler can take it as a parameter: see [`Flag`].
pub trait FlagName {
    /// The name.
    const NAME: &'static str;
    /// What it is where it was never set.
    const DEFAULT: bool = false;
}

/// Whether a flag is on, for the user and the hotel of the token, or for everybody without one.
///
/// A token that is not accepted is refused. The answer comes from memory, also while the servers are down.
pub struct Flag<F> {
    is_on: bool,
    name: PhantomData<fn() -> F>,
}

impl<F> Flag<F> {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.is_on
    }
}

impl<F: FlagName> fmt::Debug for Flag<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flag({}: {})", F::NAME, self.is_on)
    }
}

impl<S, F> FromRequestParts<S> for Flag<F>
where
    S: Send + Sync,
    F: FlagName,
    Posada: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let posada = Posada::from_ref(state);
        let claims = user::claims(parts, &posada).await?;
        let mut context = Context::new();
        if let Some(claims) = &claims {
            context = context.tenant(claims.tenant.as_ref()).user(&claims.user_id);
        }
        Ok(Self {
            is_on: posada.flags().is_enabled_or(F::NAME, &context, F::DEFAULT),
            name: PhantomData,
        })
    }
}
