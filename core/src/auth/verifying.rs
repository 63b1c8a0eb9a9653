//! From a token to claims.
//!
//! Form, signature and claims first, without I/O. Then: is the session alive? This process's memory, Redis, the
//! store, in this order, and never older than the staleness. One look-up at a time for each session.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Authenticator;
use super::audit::Audit;
use super::events::AuthEventKind;
use super::live::Known;
use super::model::{Claims, ClaimsSource};
use super::role::Permission;
use super::store::{SessionState, StoredUser, UserKey};
use super::token::{self, TokenClaims};
use crate::TenantId;
use crate::clock::millis;
use crate::error::{Error, Result, codes};

/// How long the end of a session is remembered by this process, beyond what can be in flight.
const REMEMBER_END: Duration = Duration::from_mins(5);

/// Verification.
impl Authenticator {
    /// Whose access token it is. A known session costs no I/O. Cancel-safe read.
    ///
    /// # Errors
    /// `auth.invalid_token`, `auth.token_expired`, `auth.session_ended` (401); `auth.password_must_change` (403);
    /// `settings.*` without a usable key. When Postgres is down and the session is not known: `postgres.*` (503),
    /// never 401. When Redis is down, Postgres is asked.
    pub async fn verify(&self, access: &str) -> Result<Claims> {
        self.verify_within(access, self.0.options.max_staleness, false)
            .await
    }

    /// As [`verify`](Self::verify), but the store is asked now: for requests that administer users, hotels or money.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); `postgres.*` whenever Postgres is down.
    #[tracing::instrument(level = "debug", name = "posada.auth.verify_privileged", skip_all)]
    pub async fn verify_privileged(&self, access: &str) -> Result<Claims> {
        self.verify_within(access, Duration::ZERO, false).await
    }

    /// Whether the role of the claims has a permission; in which hotel is another question, which
    /// [`Claims::require_for`] asks too.
    pub fn has_permission(&self, claims: &Claims, permission: &Permission) -> bool {
        self.1.admit(claims.tenant.as_ref()).is_ok() && claims.has_permission(permission)
    }

    /// Claims with which a superuser acts for another hotel. Raises an event with `reason`; a constant that says why
    /// the program does it. The store is asked now whether the hotel is there and active. Cancel-safe read.
    ///
    /// # Errors
    /// `auth.forbidden` (403) for users who are not superusers, whether there is such a hotel or not;
    /// `tenants.not_found` for a hotel that does not exist; `tenants.inactive` (403) for one that is not active;
    /// `postgres.*` when Postgres is down.
    #[tracing::instrument(level = "debug", name = "posada.auth.act_across_tenants", skip_all)]
    pub async fn act_across_tenants(
        &self,
        tenant: &TenantId,
        claims: &Claims,
        reason: &'static str,
    ) -> Result<Claims> {
        self.1.admit(Some(tenant))?;
        self.1.admit(claims.tenant.as_ref())?;
        if !claims.is_superuser {
            self.raise(
                AuthEventKind::AuthorizationFail,
                Some(&claims.user_id),
                Some(tenant),
                "not a superuser",
            );
            return Err(Error::new(
                codes::AUTH_FORBIDDEN,
                "only superusers may act for other hotels",
            ));
        }
        self.require_active(claims, tenant).await?;
        self.raise(
            AuthEventKind::ActedAcrossTenants,
            Some(&claims.user_id),
            Some(tenant),
            reason,
        );
        Ok(Claims {
            tenant: Some(tenant.clone()),
            ..claims.clone()
        })
    }

    async fn require_active(&self, claims: &Claims, tenant: &TenantId) -> Result<()> {
        let (detail, error) = match self.0.store.is_active(tenant).await? {
            Some(true) => return Ok(()),
            Some(false) => (
                "an inactive hotel",
                Error::new(codes::TENANTS_INACTIVE, "the tenant is not active"),
            ),
            None => (
                "an unknown hotel",
                Error::new(codes::TENANTS_NOT_FOUND, "there is no tenant of that id"),
            ),
        };
        let kind = AuthEventKind::AuthorizationFail;
        self.raise(kind, Some(&claims.user_id), Some(tenant), detail);
        Err(error.with("tenant", tenant))
    }

    pub(super) async fn verify_within(
        &self,
        access: &str,
        staleness: Duration,
        may_change: bool,
    ) -> Result<Claims> {
        let now = self.now();
        let read = token::read_known(self.keys()?, &self.0.rules, &self.0.verified, access, now)?;
        // The app's own tokens may name no tenant; whose such a user is, only the store knows.
        if read.tenant.is_some() {
            self.1.admit(read.tenant.as_ref())?;
        }
        let (mut known, mut age) = match &read.session {
            Some(session) => self.session_of(session, read.tenant.as_ref(), staleness).await?,
            None => self.sessionless(&read).await?,
        };
        // A refresh may have put the end off since this was read.
        if let Some(session) = &read.session
            && known.source != ClaimsSource::Store
            && !known.state.is_revoked
            && now >= known.state.expires_at
        {
            (known, age) = self
                .session_of(session, read.tenant.as_ref(), Duration::ZERO)
                .await?;
        }
        self.1
            .admit(known.state.tenant.as_ref().or(read.tenant.as_ref()))?;
        self.check(&read, &known, now)?;
        let state = known.state;
        if self.must_change(&state, now) && !may_change {
            return Err(Error::new(
                codes::AUTH_PASSWORD_MUST_CHANGE,
                "the password must be changed first",
            ));
        }
        Ok(Claims {
            user_id: state.user.clone(),
            tenant: state.tenant.clone(),
            role: state.role,
            is_superuser: state.is_superuser,
            session: read.session.clone(),
            expires_at: DateTime::from_timestamp(read.expires_at, 0).unwrap_or(now),
            source: known.source,
            age,
            audit: Audit::of(self),
        })
    }

    pub(super) fn must_change(&self, state: &SessionState, now: DateTime<Utc>) -> bool {
        let expired = self
            .0
            .options
            .password_life
            .is_some_and(|life| now >= state.password_changed_at + life);
        state.must_change || expired
    }

    /// Remembers, here and at once, that sessions have ended, and tells the others as well as Redis lets us.
    pub(super) async fn note_ended(&self, ids: &[String]) {
        let now = self.0.clock.coarse_millis();
        for id in ids {
            let state = Arc::new(SessionState {
                user: String::new(),
                tenant: None,
                role: super::role::Role::Guest,
                is_active: false,
                is_superuser: false,
                must_change: false,
                is_revoked: true,
                token: String::new(),
                expires_at: DateTime::UNIX_EPOCH,
                password_changed_at: DateTime::UNIX_EPOCH,
            });
            let known = Known {
                state,
                marks: Arc::default(),
                source: ClaimsSource::Local,
                read_at: now,
                until: now + millis(REMEMBER_END),
            };
            self.0.live.put(id, &known, now);
        }
        // Whatever was shared about a live session is forgotten within the staleness, so the end need not stay longer
        // than anything that is on its way.
        let told = futures_util::future::join_all(ids.iter().map(|id| self.0.cache.revoke(id, REMEMBER_END)));
        if told.await.iter().any(Result::is_err) {
            self.raise(AuthEventKind::Degraded, None, None, "a revocation was not shared");
        }
    }

    async fn session_of(
        &self,
        id: &str,
        tenant: Option<&TenantId>,
        staleness: Duration,
    ) -> Result<(Known, Duration)> {
        let now = self.0.clock.coarse_millis();
        // An end is believed by every call, however fresh its answer must be.
        if let Some(known) = self.0.live.get(id, now)
            && (known.state.is_revoked || !staleness.is_zero())
        {
            let age = Duration::from_millis(now.saturating_sub(known.read_at));
            let source = ClaimsSource::Local;
            return Ok((Known { source, ..known }, age));
        }
        let found = if staleness.is_zero() {
            self.ask_store(id, tenant).await?
        } else {
            let key = format!("{}|{id}", tenant.map_or("", TenantId::as_str));
            self.0.live.once(&key, self.look_elsewhere(id, tenant)).await?
        };
        let mut known = found.ok_or_else(ended)?;
        let mut now = self.0.clock.coarse_millis();
        // What another process shared may have grown too old while it was waited for.
        if known.source == ClaimsSource::Redis && !known.state.is_revoked && known.until <= now {
            known = self.ask_store(id, tenant).await?.ok_or_else(ended)?;
            now = self.0.clock.coarse_millis();
        }
        let age = Duration::from_millis(now.saturating_sub(known.read_at));
        let source = known.source;
        let holds = self.0.live.put(id, &known, now);
        Ok((Known { source, ..holds }, age))
    }

    async fn look_elsewhere(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<Known>> {
        // Every age counts from before its question.
        let now = self.0.clock.coarse_millis();
        let longest = self.0.options.max_staleness;
        let asked = match self.0.cache.get(id).await {
            Ok(shared) => match shared.state {
                Some((state, age))
                    if state.is_revoked || state.tenant.as_ref() == tenant && age < longest =>
                {
                    return Ok(Some(Known {
                        marks: self.password_marks(state.password_changed_at)?,
                        state: Arc::new(state),
                        source: ClaimsSource::Redis,
                        read_at: now.saturating_sub(millis(age)),
                        until: now + millis(longest.saturating_sub(age)),
                    }));
                }
                _ => Some(shared.asked),
            },
            Err(error) => {
                tracing::debug!(%error, "Redis is silent; the store is asked");
                None
            }
        };
        let found = self.ask_store(id, tenant).await?;
        if let (Some(known), Some(asked)) = (&found, asked)
            && !known.state.is_revoked
        {
            let _slower_for_others = self.0.cache.put(id, &known.state, asked, longest).await;
        }
        Ok(found)
    }

    async fn ask_store(&self, id: &str, tenant: Option<&TenantId>) -> Result<Option<Known>> {
        // The age counts from before the question.
        let read_at = self.0.clock.coarse_millis();
        let Some(state) = self.0.store.session(id, tenant).await? else {
            return Ok(None);
        };
        Ok(Some(Known {
            marks: self.password_marks(state.password_changed_at)?,
            state: Arc::new(state),
            source: ClaimsSource::Store,
            read_at,
            until: read_at + millis(self.0.options.max_staleness),
        }))
    }

    /// The app's own tokens have no session. Their subject is a username, or the id of a user if they are typed.
    async fn sessionless(&self, read: &TokenClaims) -> Result<(Known, Duration)> {
        if !self.0.options.accept_sessionless || read.profile == token::Profile::Strict {
            return Err(token::invalid("has no session"));
        }
        let who = if read.is_typed {
            UserKey::Id(&read.subject)
        } else {
            UserKey::Username(&read.subject)
        };
        let found = self.0.store.find(who, read.tenant.as_ref()).await?;
        let stored = found.ok_or_else(ended)?;
        let (state, now) = (state_of(&stored, read.expires_at), self.0.clock.coarse_millis());
        let known = Known {
            marks: self.password_marks(state.password_changed_at)?,
            state: Arc::new(state),
            source: ClaimsSource::Store,
            read_at: now,
            until: now,
        };
        Ok((known, Duration::ZERO))
    }

    fn check(&self, read: &TokenClaims, known: &Known, now: DateTime<Utc>) -> Result<()> {
        let state = &known.state;
        let is_theirs = read.session.is_none() || state.user == read.subject && state.tenant == read.tenant;
        let is_alive = !state.is_revoked && state.is_active && now < state.expires_at;
        if !is_alive || !is_theirs {
            // The app's own tokens may name the user otherwise; the mark in the audit is that of the id.
            let user = read.session.as_ref().map_or(&state.user, |_| &read.subject);
            self.raise(
                AuthEventKind::SessionUsedAfterEnd,
                Some(user),
                read.tenant.as_ref(),
                "verify",
            );
            return Err(ended());
        }
        let is_current = match &read.mark {
            Some(mark) => read.signer.of(&known.marks) == Some(mark),
            None => read.earliest_issue >= state.password_changed_at.timestamp(),
        };
        if is_current { Ok(()) } else { Err(ended()) }
    }
}

fn state_of(stored: &StoredUser, expires_at: i64) -> SessionState {
    SessionState {
        user: stored.user.id.clone(),
        tenant: stored.user.tenant.clone(),
        role: stored.user.role,
        is_active: stored.user.is_active && stored.tenant_active,
        is_superuser: stored.user.is_superuser,
        must_change: stored.user.must_change_password,
        is_revoked: false,
        token: String::new(),
        // One second more, because a token of the app lives in its last second.
        expires_at: DateTime::from_timestamp(expires_at.saturating_add(1), 0).unwrap_or_default(),
        password_changed_at: stored.user.password_changed_at,
    }
}

/// The session is over, whatever ended it.
pub(super) fn ended() -> Error {
    Error::new(codes::AUTH_SESSION_ENDED, "the session has ended; sign in again")
}
