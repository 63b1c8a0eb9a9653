//! From a password to a pair of tokens.
//!
//! Count the attempt, find the user, verify, and only then look at the user's state: unknown, inactive, locked and
//! wrong take the same way and the same work, and give the same answer. An attempt that the infrastructure could not
//! judge is given back.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Authenticator;
use super::events::AuthEventKind;
use super::model::{self, Claims, NewUser, SignIn, TokenPair, User};
use super::password::{self, Password, Verdict};
use super::store::{NewSession, Owner, SessionState, StoredUser, UserKey};
use super::throttle::{Counters, DEVICES, bucket};
use super::token::{self, KeyRing, NewToken, TokenKind};
use crate::error::{Error, Result, Retry, codes};
use crate::{rng, text};

/// For how long a device is known.
const DEVICE_LIFE: Duration = Duration::from_hours(24 * 365);
/// The longest name that is looked up, in bytes.
const LONGEST_NAME: usize = 255;

/// Users and sign-in.
impl Authenticator {
    /// Makes a user. Detached.
    ///
    /// The e-mail address is stored as given and compared without regard to case: no user gets the address of another
    /// user in other letters. Users of the app whose addresses differ in case only stay what they are.
    ///
    /// # Errors
    /// `auth.weak_password` or `auth.invalid_password` as the policy says, `auth.user_exists`, `auth.invalid_user` for
    /// a hotel that does not exist, `auth.hashing_busy` (503), `postgres.*` when Postgres is down.
    #[tracing::instrument(level = "debug", name = "posada.auth.create_user", skip_all)]
    pub async fn create_user(&self, new: NewUser) -> Result<User> {
        let tenant = self.1.choose(new.tenant.as_ref())?.cloned();
        let new = NewUser { tenant, ..new };
        if new.is_superuser {
            // A role that acts for other hotels is of the installation.
            self.1.ensure_all()?;
        }
        let typed = new.password.expose();
        // Its length is known before any work is done.
        let password = Password::new(typed)?;
        let tenant = new.tenant.as_ref().map_or("", |tenant| tenant.as_str());
        let policy = self.0.options.password_policy;
        let context = [new.username.as_str(), new.email.as_str(), tenant];
        password::judge(&self.0.pool, policy, typed, context).await?;
        let hash = password::hash(&self.0.pool, password).await?;
        let now = self.now();
        let stored = StoredUser {
            user: User {
                id: rng::token(),
                username: new.username,
                email: new.email,
                full_name: new.full_name,
                tenant: new.tenant,
                role: new.role,
                is_active: true,
                is_superuser: new.is_superuser,
                must_change_password: new.must_change,
                password_changed_at: now,
            },
            hash,
            tenant_active: true,
            needs_second_factor: false,
            locked_until: None,
        };
        self.0.store.insert(&stored, now).await?;
        let user = stored.user;
        self.raise(
            AuthEventKind::UserCreated,
            Some(&user.id),
            user.tenant.as_ref(),
            user.role.as_str(),
        );
        Ok(user)
    }

    /// Signs in. Detached: when the caller goes away a session may have begun whose token is lost; it ends by itself.
    ///
    /// # Errors
    /// `auth.bad_credentials` (401) for every reason that lies with the user; `auth.throttled` with the time to wait;
    /// `auth.second_factor_required` (403) for accounts that need one; `auth.hashing_busy` (503); `postgres.*` (503)
    /// when Postgres is down. When Redis is down this process counts attempts alone, four times as strict. None of
    /// the 503 kinds counts as an attempt. After a hundred attempts in a row without a success an account is tried
    /// once a day, until it gets a new password; a known device
    /// ([`device_cookie`](Self::device_cookie)) has a quota of its own.
    #[tracing::instrument(level = "debug", name = "posada.auth.login", skip_all)]
    pub async fn login(&self, attempt: &SignIn) -> Result<TokenPair> {
        let tenant = self.1.choose(attempt.tenant.as_ref())?;
        let attempt = &SignIn {
            tenant: tenant.cloned(),
            ..attempt.clone()
        };
        self.observed("authenticate", self.count_and_judge(attempt)).await
    }

    async fn count_and_judge(&self, attempt: &SignIn) -> Result<TokenPair> {
        let keys = self.keys()?;
        let username = model::name("username", &attempt.username).unwrap_or_default();
        let accounts = match self.known_device(attempt, &username).await? {
            Some(device) => keys.derive_each("device", &[&device.to_string(), &username], self.now()),
            None => accounts(keys, &username, self.now()),
        };
        let counted = Counters {
            accounts,
            address: attempt.address.map(bucket),
        };
        if let Some(wait) = self.0.throttling.attempt(&counted).await? {
            let tenant = attempt.tenant.as_ref();
            self.raise_for(
                AuthEventKind::LoginThrottled,
                None,
                tenant,
                "login",
                Some((&username, attempt)),
            );
            return Err(
                Error::new(codes::AUTH_THROTTLED, "too many attempts to sign in; wait")
                    .retry_when(Retry::After(wait)),
            );
        }
        match self.judge(attempt, &username).await {
            Ok(pair) => {
                self.0.throttling.succeeded(&counted).await;
                Ok(pair)
            }
            Err(error) => {
                let is_theirs = error.is(codes::AUTH_BAD_CREDENTIALS)
                    || error.is(codes::AUTH_SECOND_FACTOR_REQUIRED)
                    || error.is(codes::AUTH_INVALID_PASSWORD);
                if !is_theirs {
                    self.0.throttling.undo(&counted).await;
                }
                Err(error)
            }
        }
    }

    /// A new password proves enough: guesses at the old one are no reason to keep its owner out.
    pub(super) async fn forget_attempts(&self, user: &User) {
        let Ok(keys) = self.keys() else { return };
        let counted = Counters {
            accounts: accounts(keys, &user.username, self.now()),
            address: None,
        };
        self.0.throttling.succeeded(&counted).await;
    }

    /// A cookie for the device of a user who is signed in: with it, attempts from this device count apart. Keep it
    /// for a year, `HttpOnly` and `Secure`; give it to no other client.
    ///
    /// It is good until the password is changed, and all cookies of one user share eight quotas, however many there
    /// are: who collects them wins no guesses.
    ///
    /// # Errors
    /// `auth.session_ended` for claims without a session or whose user is gone; `postgres.*`.
    pub async fn device_cookie(&self, claims: &Claims) -> Result<String> {
        self.1.admit(claims.tenant.as_ref())?;
        let owner = owner_of(claims);
        let stored = self
            .0
            .store
            .user(&owner)
            .await?
            .ok_or_else(super::verifying::ended)?;
        let new = NewToken {
            kind: TokenKind::Device,
            subject: &stored.user.username,
            issued_at: self.now(),
            life: DEVICE_LIFE,
            id: &rng::token(),
            session: None,
            tenant: None,
            role: None,
            mark: Some(&self.password_mark(stored.user.password_changed_at)?),
        };
        let cookie = token::mint(self.keys()?, &self.0.rules, &new)?;
        self.raise(
            AuthEventKind::TokenCreated,
            Some(&claims.user_id),
            claims.tenant.as_ref(),
            "device",
        );
        Ok(cookie)
    }

    /// The quota of a device, if its cookie is good, belongs to that user, and is not older than the password.
    async fn known_device(&self, attempt: &SignIn, username: &str) -> Result<Option<u8>> {
        let Some(cookie) = &attempt.device else {
            return Ok(None);
        };
        let keys = self.keys()?;
        let kind = TokenKind::Device;
        let Ok(read) = token::read(keys, &self.0.rules, kind, cookie.expose(), self.now()) else {
            return Ok(None);
        };
        let (Some(id), true) = (&read.id, read.subject == username) else {
            return Ok(None);
        };
        // Only who has a signed cookie makes us look.
        let Some(stored) = self.0.store.find(UserKey::Username(username), None).await? else {
            return Ok(None);
        };
        self.1.admit(stored.user.tenant.as_ref())?;
        let marks = self.password_marks(stored.user.password_changed_at)?;
        let place = keys
            .derive_with(read.signer, "place of a device", &[id])
            .bytes()
            .next()
            .unwrap_or(0)
            % DEVICES;
        let is_current = read.mark.as_ref() == read.signer.of(&marks);
        Ok(is_current.then_some(place))
    }

    async fn judge(&self, attempt: &SignIn, username: &str) -> Result<TokenPair> {
        let typed = Password::typed(attempt.password.expose())?;
        let tenant = attempt.tenant.as_ref();
        let found = if text::check(username, LONGEST_NAME).is_ok() {
            self.0.store.find(UserKey::Username(username), tenant).await?
        } else {
            None
        };
        self.learn_floor().await;
        let hash = found.as_ref().map(|stored| stored.hash.clone());
        let verification = password::verify(&self.0.pool, &self.0.clock, typed.clone(), hash).await?;
        if verification.is_unusual {
            self.0.floor.learn(verification.took);
        }
        let now = self.now();
        let refused = |stored: Option<&StoredUser>, why| {
            let user = stored.map(|stored| stored.user.id.as_str());
            let tenant = stored.map_or(tenant, |stored| stored.user.tenant.as_ref());
            let from = Some((username, attempt));
            self.raise_for(AuthEventKind::LoginFail, user, tenant, why, from);
        };
        let verdict = verification.verdict;
        let (stored, is_outdated, must_change) = match (found, verdict) {
            (
                Some(stored),
                Verdict::Right {
                    is_outdated,
                    must_change,
                },
            ) if stored.may_sign_in(now) => (stored, is_outdated, must_change),
            (found, verdict) => {
                // The audit may know what the answer does not say.
                let closed = found.as_ref().filter(|_| verdict != Verdict::Wrong);
                let why = closed.and_then(|stored| stored.closed_by(now));
                refused(found.as_ref(), why.unwrap_or("login"));
                tokio::time::sleep(self.0.floor.left_after(verification.took)).await;
                return Err(bad_credentials());
            }
        };
        if stored.needs_second_factor {
            refused(Some(&stored), "second factor");
            return Err(Error::new(
                codes::AUTH_SECOND_FACTOR_REQUIRED,
                "this account needs a second factor",
            ));
        }
        let owner = stored.owner();
        let mut user = stored.user;
        // Both are improvements: their failure is no reason to refuse a sign-in. The better hash is made here and not
        // with the verdict, so that it takes no time where a right password is refused.
        if is_outdated {
            self.note_failed(self.improve(&owner, &stored.hash, typed).await.err());
        }
        if must_change {
            user.must_change_password = true;
            self.note_failed(self.0.store.require_change(&owner).await.err());
        }
        let pair = self
            .begin(&user, Some((username, attempt)))
            .await?
            .ok_or_else(bad_credentials)?;
        self.raise_for(
            AuthEventKind::LoginSuccess,
            Some(&user.id),
            user.tenant.as_ref(),
            "login",
            Some((username, attempt)),
        );
        Ok(pair)
    }

    /// A better hash of a password that is right.
    async fn improve(&self, owner: &Owner, old: &str, typed: Password) -> Result<()> {
        let better = password::hash(&self.0.pool, typed).await?;
        self.0.store.rehash(owner, old, &better).await.map(drop)
    }

    /// Before a process refuses anybody it tries the costliest hash that is stored, so that the first user with such a
    /// hash is not told apart either. What fails here is tried again by the next sign-in.
    async fn learn_floor(&self) {
        let learn = async || {
            if let Some(hash) = self.0.store.costliest_hash().await? {
                let nothing = Password::typed("")?;
                let tried = password::verify(&self.0.pool, &self.0.clock, nothing, Some(hash)).await?;
                self.0.floor.learn(tried.took);
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = self.0.costliest.get_or_try_init(learn).await {
            tracing::debug!(%error, "what the costliest hash takes is not known yet");
        }
    }

    /// Begins a session; `None` if the user changed in the meantime. `from` is the name that was typed and the attempt,
    /// where there was one.
    pub(super) async fn begin(
        &self,
        user: &User,
        from: Option<(&str, &SignIn)>,
    ) -> Result<Option<TokenPair>> {
        let attempt = from.map(|(_, attempt)| attempt);
        let address = attempt.and_then(SignIn::origin);
        let now = self.now();
        let session = NewSession {
            id: rng::token(),
            owner: Owner {
                user: user.id.clone(),
                tenant: user.tenant.clone(),
            },
            token: rng::token(),
            now,
            expires_at: now + self.0.options.idle_life,
            user_agent: attempt.and_then(|attempt| attempt.user_agent.clone()),
            address: address.map(|address| address.to_string()),
            password_changed_at: user.password_changed_at,
            limit: self.0.options.session_limit,
        };
        let Some(surplus) = self.0.store.begin(&session).await? else {
            return Ok(None);
        };
        if !surplus.is_empty() {
            self.note_ended(&surplus).await;
            self.raise_for(
                AuthEventKind::SessionsExceeded,
                Some(&user.id),
                user.tenant.as_ref(),
                "login",
                from,
            );
        }
        self.raise_for(
            AuthEventKind::TokenCreated,
            Some(&user.id),
            user.tenant.as_ref(),
            "session",
            from,
        );
        let state = SessionState {
            user: user.id.clone(),
            tenant: user.tenant.clone(),
            role: user.role,
            is_active: true,
            is_superuser: user.is_superuser,
            must_change: user.must_change_password,
            is_revoked: false,
            token: session.token,
            expires_at: session.expires_at,
            password_changed_at: user.password_changed_at,
        };
        self.pair(&session.id, &state, now).map(Some)
    }

    /// The pair of a session as of `issued_at`. The same question gives the same pair.
    pub(super) fn pair(
        &self,
        session: &str,
        state: &SessionState,
        issued_at: DateTime<Utc>,
    ) -> Result<TokenPair> {
        let keys = self.keys()?;
        let mark = self.password_mark(state.password_changed_at)?;
        let access_id = keys.derive("access", &[session, &state.token]);
        let new = |kind, id, life, role| NewToken {
            kind,
            subject: &state.user,
            issued_at,
            life,
            id,
            session: Some(session),
            tenant: state.tenant.as_ref(),
            role,
            mark: Some(&mark),
        };
        let left = (state.expires_at - issued_at).to_std().unwrap_or_default();
        let access_life = self.0.options.access_life.min(left);
        let access = new(
            TokenKind::Access,
            access_id.as_str(),
            access_life,
            Some(state.role),
        );
        let refresh = new(TokenKind::Refresh, state.token.as_str(), left, None);
        Ok(TokenPair {
            access: token::mint(keys, &self.0.rules, &access)?,
            refresh: token::mint(keys, &self.0.rules, &refresh)?,
            access_expires_at: issued_at + access_life,
            refresh_expires_at: state.expires_at,
            session: session.to_owned(),
            must_change_password: self.must_change(state, issued_at),
        })
    }

    fn note_failed(&self, failure: Option<Error>) {
        if let Some(error) = failure {
            tracing::warn!(%error, "a stored password could not be improved");
            self.raise(
                AuthEventKind::Degraded,
                None,
                None,
                "a stored password was not improved",
            );
        }
    }
}

/// What stands for an account where attempts are counted, one mark for each key: no name. The same whichever hotel an
/// attempt names, and however the name is written, so that neither gives more guesses.
fn accounts(keys: &KeyRing, username: &str, now: DateTime<Utc>) -> Vec<String> {
    keys.derive_each("account", &["", &username.to_lowercase()], now)
}

/// Whose claims they are.
pub(super) fn owner_of(claims: &Claims) -> Owner {
    Owner {
        user: claims.user_id.clone(),
        tenant: claims.tenant.clone(),
    }
}

pub(super) fn bad_credentials() -> Error {
    Error::new(codes::AUTH_BAD_CREDENTIALS, "wrong username or password")
}
