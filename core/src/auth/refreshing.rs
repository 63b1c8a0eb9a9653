//! The next pair for the last one, once; and the end of sessions.
//!
//! A refresh is one compare-and-set on `user_sessions.token_jti`. The next id is not random but computed from the old
//! one with the key that signed it, and carries the moment of the exchange: `<43 characters>.<milliseconds>`. So
//! the caller that comes second with the same token, because an answer was lost or fifty requests ran at once, can tell
//! from the row alone that it was the token before the present one, and how long ago: within the grace it gets the very
//! same pair, and there is one lineage. Everything else is a stolen token, and ends the session. While the key is
//! changed, the process that comes second may sign with another key; it can verify the token, so it has the key of its
//! mark, and the pair is the same but for the signature.

use chrono::{DateTime, Utc};

use super::events::AuthEventKind;
use super::model::{Claims, SignInSession, TokenPair};
use super::signing_in::owner_of;
use super::store::{Owner, Rotation, SessionSet, SessionState};
use super::token::{self, TokenClaims, TokenKind};
use super::verifying::ended;
use super::{Authenticator, LONGEST_ID};
use crate::error::{Error, Result, codes};
use crate::metrics as names;
use crate::text;

/// What the mark in the id of the next refresh token is derived for.
const NEXT: &str = "refresh";

/// Sessions.
impl Authenticator {
    /// The next pair. Detached: when the answer is lost, the same token gives the same pair within the grace.
    ///
    /// # Errors
    /// `auth.invalid_token`, `auth.token_expired`, `auth.session_ended`, and `auth.token_reused` (all 401) for a token
    /// that was used before: its session is revoked then. `postgres.*` (503) when Postgres is down: the token is not
    /// used up. Redis is not needed.
    #[tracing::instrument(level = "debug", name = "posada.auth.refresh", skip_all)]
    pub async fn refresh(&self, refresh: &str) -> Result<TokenPair> {
        self.observed("refresh_token", self.exchange(refresh)).await
    }

    async fn exchange(&self, refresh: &str) -> Result<TokenPair> {
        let now = self.now();
        let read = token::read(self.keys()?, &self.0.rules, TokenKind::Refresh, refresh, now)?;
        self.1.admit(read.tenant.as_ref())?;
        let (Some(session), Some(old)) = (read.session.clone(), read.id.clone()) else {
            return Err(token::invalid("has no session"));
        };
        let mark = self.keys()?.derive_with(read.signer, NEXT, &[&session, &old]);
        let rotation = Rotation {
            session: session.clone(),
            owner: Owner {
                user: read.subject.clone(),
                tenant: read.tenant.clone(),
            },
            next: format!("{mark}.{}", now.timestamp_millis()),
            old,
            now,
            expires_at: now + self.0.options.idle_life,
            longest: self.0.options.absolute_life,
        };
        if let Some(state) = self.0.store.rotate(&rotation).await? {
            self.raise(
                AuthEventKind::SessionRenewed,
                Some(&read.subject),
                read.tenant.as_ref(),
                "refresh",
            );
            return self.pair(&session, &state, now);
        }
        self.second_use(&read, &session, &rotation).await
    }

    /// Ends the session of an access or refresh token. Detached.
    ///
    /// # Errors
    /// As [`verify`](Self::verify) for a token that is no good; `postgres.*` (503) when Postgres is down: then the
    /// session has not ended. When Redis is down other processes learn of it within the staleness.
    #[tracing::instrument(level = "debug", name = "posada.auth.logout", skip_all)]
    pub async fn logout(&self, token: &str) -> Result<()> {
        let (keys, now) = (self.keys()?, self.now());
        let read = token::read(keys, &self.0.rules, TokenKind::Access, token, now)
            .or_else(|_| token::read(keys, &self.0.rules, TokenKind::Refresh, token, now))?;
        self.1.admit(read.tenant.as_ref())?;
        let Some(session) = read.session else {
            return Err(token::invalid("has no session"));
        };
        let owner = Owner {
            user: read.subject,
            tenant: read.tenant,
        };
        let which = SessionSet::One(session.clone());
        let ended = self.observed("logout", self.end(&owner, &which)).await?;
        if ended.is_empty() {
            // It had ended before, of which this process may not have heard. The token proves whose it was.
            self.note_ended(&[session]).await;
        }
        Ok(())
    }

    /// Ends one session of the user of the claims; answers whether there was one. Detached.
    ///
    /// # Errors
    /// `postgres.*` when Postgres is down: then the session has not ended.
    #[tracing::instrument(level = "debug", name = "posada.auth.logout_session", skip_all)]
    pub async fn logout_session(&self, claims: &Claims, session: &str) -> Result<bool> {
        self.1.admit(claims.tenant.as_ref())?;
        // No session has an id that the store cannot hold.
        if text::check(session, LONGEST_ID).is_err() {
            return Ok(false);
        }
        let ended = self
            .end(&owner_of(claims), &SessionSet::One(session.to_owned()))
            .await?;
        Ok(!ended.is_empty())
    }

    /// Ends every session of the user of the claims, or all but the one of the claims; answers how many. Detached.
    ///
    /// # Errors
    /// `postgres.*` when Postgres is down: then no session has ended.
    #[tracing::instrument(level = "debug", name = "posada.auth.logout_everywhere", skip_all)]
    pub async fn logout_everywhere(&self, claims: &Claims, keep_current: bool) -> Result<usize> {
        self.1.admit(claims.tenant.as_ref())?;
        let which = match &claims.session {
            Some(session) if keep_current => SessionSet::AllBut(session.clone()),
            _ => SessionSet::All,
        };
        let owner = owner_of(claims);
        let ended = self.observed("revoke_token", self.end(&owner, &which)).await?;
        Ok(ended.len())
    }

    /// Where the user of the claims is signed in, the newest first. Cancel-safe read.
    ///
    /// # Errors
    /// `postgres.*` when Postgres is down.
    pub async fn sessions(&self, claims: &Claims) -> Result<Vec<SignInSession>> {
        self.1.admit(claims.tenant.as_ref())?;
        self.0.store.sessions(&owner_of(claims), self.now()).await
    }

    /// Counts the live sessions of all users, and shows the number as the gauges `active_sessions_total` and
    /// `jwt_sessions_active`. For a scheduler, once a minute or so. Cancel-safe read.
    ///
    /// # Errors
    /// `postgres.*` when Postgres is down: the gauges keep their last value.
    pub async fn measure(&self) -> Result<u64> {
        self.1.ensure_all()?;
        let live = self.0.store.count(self.now()).await?;
        let shown = f64::from(u32::try_from(live).unwrap_or(u32::MAX));
        metrics::gauge!(names::ACTIVE_SESSIONS_TOTAL).set(shown);
        metrics::gauge!(names::JWT_SESSIONS_ACTIVE).set(shown);
        Ok(live)
    }

    async fn end(&self, owner: &Owner, which: &SessionSet) -> Result<Vec<String>> {
        let ended = self.0.store.revoke(owner, which).await?;
        if ended.is_empty() || !matches!(which, SessionSet::One(_)) {
            // Others may have ended some before, of which this process has not heard. An id that ended nothing may be
            // that of another user's session, so nothing is said about it.
            self.0.live.forget_user(&owner.user);
        }
        if !ended.is_empty() {
            self.note_ended(&ended).await;
            self.raise(
                AuthEventKind::TokenRevoked,
                Some(&owner.user),
                owner.tenant.as_ref(),
                "logout",
            );
        }
        Ok(ended)
    }

    /// The compare-and-set failed: the session is over, or another call used this token before.
    async fn second_use(&self, read: &TokenClaims, session: &str, rotation: &Rotation) -> Result<TokenPair> {
        let state = self.0.store.session(session, read.tenant.as_ref()).await?;
        let Some(state) = state.filter(|state| is_alive(state, read, rotation.now)) else {
            return Err(self.used_after_end(read));
        };
        // A pair that was given twice can be signed with either key, and either may have been exchanged first.
        let marks = self.keys()?.derive_all(NEXT, &[session, &rotation.old]);
        let exchanged = state
            .token
            .split_once('.')
            .filter(|(present, _)| marks.iter().any(|mark| mark == present));
        let at = exchanged
            .and_then(|(_, millis)| millis.parse().ok())
            .and_then(DateTime::<Utc>::from_timestamp_millis);
        if let Some(at) = at
            && rotation
                .now
                .signed_duration_since(at)
                .abs()
                .to_std()
                .unwrap_or_default()
                <= self.0.options.grace
        {
            return self.pair(session, &state, at);
        }
        let revoked = self
            .0
            .store
            .revoke(&rotation.owner, &SessionSet::One(session.to_owned()))
            .await?;
        if revoked.is_empty() {
            // Another call ended it in the meantime: it is over, and this was not why.
            return Err(self.used_after_end(read));
        }
        self.note_ended(&revoked).await;
        self.raise(
            AuthEventKind::TokenReuse,
            Some(&read.subject),
            read.tenant.as_ref(),
            "refresh",
        );
        Err(Error::new(
            codes::AUTH_TOKEN_REUSED,
            "this token was used before; its session has ended",
        ))
    }

    fn used_after_end(&self, read: &TokenClaims) -> Error {
        self.raise(
            AuthEventKind::SessionUsedAfterEnd,
            Some(&read.subject),
            read.tenant.as_ref(),
            "refresh",
        );
        ended()
    }
}

fn is_alive(state: &SessionState, read: &TokenClaims, now: DateTime<Utc>) -> bool {
    !state.is_revoked && state.is_active && now < state.expires_at && state.user == read.subject
}
