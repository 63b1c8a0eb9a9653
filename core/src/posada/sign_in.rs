//! Sign-in: what it is made of, and how a handle gives it.

use std::sync::Arc;

use super::{Parts, Posada, PosadaBuilder, on_postgres};
use crate::auth::{
    AuditSink, AuthOptions, AuthParts, AuthStore, Authenticator, Claims, Hotels, KeyRing, MemoryAuth,
    MemoryThrottle, NoCache, RedisSessionCache, RedisThrottle, SessionCache, Throttle,
};
use crate::error::{Error, Result, codes};
use crate::rng;
use crate::settings::Secret;
use crate::tenants::{MemoryTenants, TenantId};

/// What a program gave to the builder.
#[derive(Default)]
pub(super) struct SignInParts {
    options: Option<AuthOptions>,
    sink: Option<AuditSink>,
}

/// Sign-in.
impl PosadaBuilder {
    /// How sign-in behaves, instead of the defaults with the `jwt_expiry` of the settings.
    #[must_use]
    pub fn auth_options(mut self, options: AuthOptions) -> Self {
        self.sign_in.options = Some(options);
        self
    }

    /// Where the audit events of sign-in go besides `tracing`. It is called on the path of requests.
    #[must_use]
    pub fn audit_sink(mut self, sink: AuditSink) -> Self {
        self.sign_in.sink = Some(sink);
        self
    }
}

/// Sign-in.
impl Posada {
    /// Sign-in.
    pub fn auth(&self) -> &Authenticator {
        &self.0.auth
    }

    /// As [`for_tenant`](Self::for_tenant), for the hotel of a user. Claims with which a superuser
    /// [acts for another hotel](crate::Authenticator::act_across_tenants) are for that one.
    ///
    /// # Errors
    /// `auth.wrong_tenant` for a user without a hotel; `tenants.out_of_scope` when this handle is bound to another
    /// tenant.
    pub fn for_claims(&self, claims: &Claims) -> Result<Self> {
        let missing = || Error::new(codes::AUTH_WRONG_TENANT, "the user belongs to no hotel");
        self.for_tenant(claims.tenant.as_ref().ok_or_else(missing)?)
    }
}

/// Sign-in in memory asks the tenants in memory.
impl Hotels for MemoryTenants {
    fn is_active(&self, tenant: &TenantId) -> Option<bool> {
        self.is_active(tenant)
    }
}

impl Parts<'_> {
    pub(super) fn auth(&self, given: SignInParts) -> Result<Authenticator> {
        let store: Arc<dyn AuthStore> = match self.postgres {
            Some(postgres) => on_postgres::users(postgres),
            None => Arc::new(MemoryAuth::new(self.hotels.clone())),
        };
        let options = given
            .options
            .unwrap_or_else(|| AuthOptions::new().access_life(self.settings.jwt_expiry()));
        let keys = self.keys(&options)?;
        let throttle: Arc<dyn Throttle> = match self.redis {
            Some(redis) => Arc::new(RedisThrottle::new(redis.clone())),
            None => Arc::new(MemoryThrottle::new(self.clock.clone())),
        };
        // Without a key no user signs in, and nothing could be trusted that is shared.
        let cache: Arc<dyn SessionCache> = match (self.redis, &keys) {
            (Some(redis), Ok(keys)) => Arc::new(RedisSessionCache::new(
                redis.clone(),
                keys.clone(),
                self.clock.clone(),
            )),
            _ => Arc::new(NoCache),
        };
        let parts = AuthParts {
            store,
            cache,
            throttle,
            alone: Arc::new(MemoryThrottle::alone(self.clock.clone())),
            own: Arc::new(MemoryThrottle::own(self.clock.clone())),
            keys,
            options,
            app_life: self.settings.jwt_expiry(),
            sink: given.sink,
        };
        Ok(Authenticator::new(parts, self.clock.clone(), self.tasks.clone()))
    }

    /// The keys of tokens, or why no user can sign in: everything else works without. Where everything lives in this
    /// process, so may the key.
    ///
    /// # Errors
    /// For keys that are there and cannot be used: such a program must not start.
    fn keys(&self, options: &AuthOptions) -> Result<Result<KeyRing>> {
        let current = match self.settings.secret_key() {
            Some(secret) => KeyRing::new(secret)?,
            None if self.postgres.is_none() && self.redis.is_none() => {
                KeyRing::new(&Secret::new(format!("{}{}", rng::token(), rng::token())))?
            }
            None => {
                tracing::warn!("SECRET_KEY is not set, so no user can sign in");
                return Ok(Err(Error::field_invalid(
                    codes::SETTINGS_MISSING,
                    "SECRET_KEY",
                    "sign-in needs the key that signs tokens; make one with `openssl rand -hex 32`",
                )));
            }
        };
        let current = match self.settings.previous_key() {
            Some((secret, until)) => current.with_previous(secret, until)?,
            None => current,
        };
        let mut previous = options.previous_keys.iter();
        let keys = previous.try_fold(current, |keys, (secret, until)| {
            self.settings.check_signing_key("previous_keys", secret)?;
            keys.with_previous(secret, *until)
        });
        keys.map(Ok)
    }
}
