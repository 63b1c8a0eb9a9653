//! New passwords.
//!
//! Hashing happens before the transaction; inside, the old hash is compared, so that of two simultaneous changes one
//! wins. A change ends every session in the same transaction, also the one that made it, which gets a new pair.

use std::time::Duration;

use super::events::AuthEventKind;
use super::model::TokenPair;
use super::password::{self, Password, Verdict};
use super::signing_in::{bad_credentials, owner_of};
use super::store::{Owner, PasswordChange, StoredUser};
use super::throttle::Counters;
use super::token::{self, NewToken, TokenKind};
use super::verifying::ended;
use super::{Authenticator, LONGEST_ID};
use crate::TenantId;
use crate::error::{Error, Result, codes};
use crate::metrics as names;
use crate::{rng, text};

/// Life of a token that resets a password or verifies an e-mail.
const ERRAND_LIFE: Duration = Duration::from_mins(15);

/// Passwords.
impl Authenticator {
    /// Changes the password of the user of the access token, also when nothing else is allowed. Every session ends;
    /// the answer begins a new one. Detached.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); `auth.bad_credentials` for a wrong current password; `auth.weak_password`,
    /// `auth.password_reused`, `auth.invalid_password`; `auth.password_conflict` when another change was faster;
    /// `auth.hashing_busy` and `postgres.*` (503): nothing has changed then. Attempts count like sign-ins.
    #[tracing::instrument(level = "debug", name = "posada.auth.change_password", skip_all)]
    pub async fn change_password(&self, access: &str, current: &str, new: &str) -> Result<TokenPair> {
        let claims = self.verify_within(access, Duration::ZERO, true).await?;
        let stored = self.0.store.user(&owner_of(&claims)).await?.ok_or_else(ended)?;
        let counted = Counters {
            accounts: self.keys()?.derive_each("change", &[&stored.user.id], self.now()),
            address: None,
        };
        if let Some(wait) = self.0.throttling.attempt(&counted).await? {
            return Err(Error::new(codes::AUTH_THROTTLED, "too many attempts; wait")
                .retry_when(crate::error::Retry::After(wait)));
        }
        let (typed, hash) = (Password::typed(current)?, Some(stored.hash.clone()));
        let verdict = password::verify(&self.0.pool, &self.0.clock, typed, hash)
            .await
            .map(|verification| verification.verdict);
        match verdict {
            Ok(Verdict::Right { .. }) => self.0.throttling.succeeded(&counted).await,
            Ok(Verdict::Wrong) => {
                self.refuse_change(&stored, "wrong password");
                return Err(bad_credentials());
            }
            Err(error) => {
                self.0.throttling.undo(&counted).await;
                return Err(error);
            }
        }
        let stored = self.replace(stored, new, false).await?;
        self.begin(&stored.user, None).await?.ok_or_else(conflict)
    }

    /// Sets a user's password, for administrators; `must_change` makes the user set another one at the next
    /// sign-in. Every session of the user ends. The caller has checked that it may. Detached.
    ///
    /// # Errors
    /// `auth.user_not_found`, also for a user of another hotel; otherwise as
    /// [`change_password`](Self::change_password).
    #[tracing::instrument(level = "debug", name = "posada.auth.set_password", skip_all)]
    pub async fn set_password<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
        new: &str,
        must_change: bool,
    ) -> Result<()> {
        let stored = self.stored(tenant.into(), user).await?;
        self.replace(stored, new, must_change).await.map(drop)
    }

    /// A token that lets its holder do one thing for a user, for a quarter of an hour: set a new password
    /// ([`TokenKind::ResetPassword`]) or prove that an e-mail arrived ([`TokenKind::VerifyEmail`]). It opens nothing
    /// while the user may not sign in. Cancel-safe read.
    ///
    /// # Errors
    /// `auth.user_not_found`; `auth.invalid_token` for the other kinds, which only a sign-in gives; `postgres.*`.
    #[tracing::instrument(level = "debug", name = "posada.auth.issue", skip_all)]
    pub async fn issue<'t>(
        &self,
        tenant: impl Into<Option<&'t TenantId>>,
        user: &str,
        kind: TokenKind,
    ) -> Result<String> {
        if !matches!(kind, TokenKind::ResetPassword | TokenKind::VerifyEmail) {
            return Err(token::invalid("is of a kind that only a sign-in gives"));
        }
        let stored = self.stored(tenant.into(), user).await?;
        let mark = self.password_mark(stored.user.password_changed_at)?;
        let new = NewToken {
            kind,
            subject: &stored.user.id,
            issued_at: self.now(),
            life: ERRAND_LIFE,
            id: &rng::token(),
            session: None,
            tenant: stored.user.tenant.as_ref(),
            role: None,
            mark: Some(&mark),
        };
        let token = token::mint(self.keys()?, &self.0.rules, &new)?;
        let what = if kind == TokenKind::ResetPassword {
            "reset_password"
        } else {
            "verify_email"
        };
        let stored = &stored.user;
        self.raise(
            AuthEventKind::TokenCreated,
            Some(&stored.id),
            stored.tenant.as_ref(),
            what,
        );
        Ok(token)
    }

    /// Sets the password of the user of a token of [`issue`](Self::issue). Works once, because it dies with the old
    /// password. Every session ends. Detached.
    ///
    /// # Errors
    /// `auth.invalid_token`, `auth.token_expired`, `auth.session_ended` for a token that was used;
    /// otherwise as [`change_password`](Self::change_password).
    #[tracing::instrument(level = "debug", name = "posada.auth.reset_password", skip_all)]
    pub async fn reset_password(&self, reset: &str, new: &str) -> Result<()> {
        let read = token::read(
            self.keys()?,
            &self.0.rules,
            TokenKind::ResetPassword,
            reset,
            self.now(),
        )?;
        self.1.admit(read.tenant.as_ref())?;
        let owner = Owner {
            user: read.subject,
            tenant: read.tenant,
        };
        let stored = self.0.store.user(&owner).await?.ok_or_else(ended)?;
        let marks = self.password_marks(stored.user.password_changed_at)?;
        if read.mark.as_ref() != read.signer.of(&marks) || !stored.may_sign_in(self.now()) {
            return Err(ended());
        }
        self.replace(stored, new, false).await.map(drop)
    }

    async fn replace(&self, stored: StoredUser, new: &str, must_change: bool) -> Result<StoredUser> {
        let outcome = self.try_to_replace(stored, new, must_change).await;
        let result = outcome.as_ref().map_or_else(Error::code, |_| "success");
        metrics::counter!(names::PASSWORD_ROTATIONS_TOTAL, "result" => result).increment(1);
        outcome
    }

    async fn try_to_replace(
        &self,
        mut stored: StoredUser,
        new: &str,
        must_change: bool,
    ) -> Result<StoredUser> {
        let password = Password::new(new)?;
        let tenant = stored.user.tenant.as_ref().map_or("", TenantId::as_str);
        let context = [stored.user.username.as_str(), stored.user.email.as_str(), tenant];
        let policy = self.0.options.password_policy;
        if let Err(error) = password::judge(&self.0.pool, policy, new, context).await {
            if error.is(codes::AUTH_WEAK_PASSWORD) {
                self.refuse_change(&stored, "weak");
            }
            return Err(error);
        }
        let owner = stored.owner();
        // When the history cannot be read the change is refused: the error of the store comes out here.
        let history = self.0.options.password_history;
        let mut used = self.0.store.history(&owner, history).await?;
        used.insert(0, stored.hash.clone());
        if password::is_any_of(&self.0.pool, new, used).await? {
            self.refuse_change(&stored, "used recently");
            let message = format!("Password was used recently. Cannot reuse last {history} passwords");
            return Err(Error::field_invalid(
                codes::AUTH_PASSWORD_REUSED,
                "password",
                message,
            ));
        }
        let new_hash = password::hash(&self.0.pool, password).await?;
        // A token issued in this very moment belongs to the old password or to the new one, never to both.
        let now = self
            .now()
            .max(stored.user.password_changed_at + chrono::Duration::milliseconds(1));
        let change = PasswordChange {
            owner,
            old_hash: stored.hash.clone(),
            new_hash: new_hash.clone(),
            must_change,
            now,
            history,
        };
        let Some(sessions) = self.0.store.change_password(&change).await? else {
            self.refuse_change(&stored, "conflict");
            return Err(conflict());
        };
        self.0.live.forget_user(&stored.user.id);
        self.note_ended(&sessions).await;
        self.forget_attempts(&stored.user).await;
        stored.hash = new_hash;
        stored.user.must_change_password = must_change;
        stored.user.password_changed_at = now;
        let changed = &stored.user;
        self.raise(
            AuthEventKind::PasswordChanged,
            Some(&changed.id),
            changed.tenant.as_ref(),
            "changed",
        );
        Ok(stored)
    }

    async fn stored(&self, tenant: Option<&TenantId>, user: &str) -> Result<StoredUser> {
        let owner = Owner {
            user: user.to_owned(),
            tenant: self.1.choose(tenant)?.cloned(),
        };
        let missing = || Error::new(codes::AUTH_USER_NOT_FOUND, "there is no such user in that hotel");
        // No user has an id that the store cannot hold.
        text::check(user, LONGEST_ID).map_err(|_| missing())?;
        self.0.store.user(&owner).await?.ok_or_else(missing)
    }

    fn refuse_change(&self, stored: &StoredUser, why: &'static str) {
        let user = &stored.user;
        self.raise(
            AuthEventKind::PasswordChangeFail,
            Some(&user.id),
            user.tenant.as_ref(),
            why,
        );
    }
}

fn conflict() -> Error {
    Error::new(
        codes::AUTH_PASSWORD_CONFLICT,
        "another caller changed the password at the same time",
    )
}
