//! Sign-in: users, passwords, tokens and their sessions, on the app's tables `users`, `user_sessions` and
//! `password_history`.
//!
//! Promises:
//! * A token alone proves nothing: its session must be alive, and role and hotel are those of the database. A session
//!   that ended is refused at once by the process that ended it, and by every other within
//!   [`AuthOptions::max_staleness`].
//! * A refresh token works once. Fifty simultaneous uses give one lineage; a later second use ends the session.
//! * Unknown, inactive, locked and wrong do the same work and give the same answer.
//! * Hashes are computed a few at a time and never on the runtime.
//! * A fault of Postgres, Redis or the hash pool is never a 401 or 403, and never a failed attempt;
//!   [`AUTH_FAILURE_POLICY`] is the whole table.
//! * The token's hotel is the authority. A header may repeat it, every statement binds it, and only
//!   [`act_across_tenants`](Authenticator::act_across_tenants), which is audited, leaves it.
//! * A right is always one in a hotel: [`Claims::require_for`] asks for both.
//! * No user signs in, goes on or gets a new password for a hotel that is suspended or gone; a new hotel of the same id
//!   does not inherit the users of the old one.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use posada::Posada;
//! use posada::auth::{NewUser, Permission, Role, SignIn};
//! let posada = Posada::embedded();
//! let auth = posada.auth();
//! let ana = NewUser::new("ana", "ana@example.com", "el loro pinta mapas de cobre")?.role(Role::Receptionist);
//! auth.create_user(ana).await?;
//! let tokens = auth.login(&SignIn::new("ana", "el loro pinta mapas de cobre")).await?;
//! let claims = auth.verify(&tokens.access).await?;
//! assert!(claims.has_permission(&Permission::GUEST_CHECKIN));
//! let next = auth.refresh(&tokens.refresh).await?;
//! auth.logout(&next.access).await?;
//! assert_eq!(auth.verify(&next.access).await.unwrap_err().code(), "auth.session_ended");
//! # Ok::<(), posada::Error>(()) }).unwrap();
//! ```

mod audit;
mod changing;
mod events;
mod failure;
mod live;
mod memory;
mod model;
mod options;
mod password;
#[cfg(feature = "postgres")]
mod postgres;
mod redis;
mod refreshing;
mod role;
mod signing_in;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod verifying;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::sync::OnceCell;

pub use events::{AuditSink, AuthEvent, AuthEventKind};
pub use failure::{AUTH_FAILURE_POLICY, AuthDependency, AuthFallback, AuthStep};
pub(crate) use memory::{MemoryAuth, MemoryThrottle};
pub use model::{Claims, ClaimsSource, NewUser, SignIn, SignInSession, TokenPair, User};
pub use options::AuthOptions;
pub use password::{PasswordPolicy, legacy_password_hash, password_matches};
#[cfg(feature = "postgres")]
pub(crate) use postgres::PostgresAuth;
pub(crate) use redis::{RedisSessionCache, RedisThrottle};
pub use role::{Permission, Role};
pub(crate) use store::{AuthStore, Hotels, NoCache, SessionCache, Throttle};
pub(crate) use token::KeyRing;
#[cfg(any(test, feature = "testkit"))]
pub(crate) use token::anything;
pub use token::{Profile, TokenKind};

use self::events::Events;
use self::live::LiveSessions;
use self::password::{Floor, HashPool};
use self::throttle::Throttling;
use self::token::{TokenRules, VerifiedTokens};
use crate::TenantId;
use crate::clock::SharedClock;
use crate::error::{Error, Result};
use crate::metrics as names;
use crate::scope::Scope;
use crate::task::Tasks;

/// Who is asking, and may they? Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>, Scope);

struct Inner {
    store: Arc<dyn AuthStore>,
    cache: Arc<dyn SessionCache>,
    throttling: Throttling,
    live: LiveSessions,
    verified: VerifiedTokens,
    /// The keys, or why there are none: everything else of posada works without.
    keys: Result<KeyRing>,
    rules: TokenRules,
    options: AuthOptions,
    pool: HashPool,
    floor: Floor,
    /// Set when the floor knows the costliest hash that is stored.
    costliest: OnceCell<()>,
    events: Events,
    clock: SharedClock,
}

/// What an [`Authenticator`] is made of.
pub(crate) struct AuthParts {
    pub(crate) store: Arc<dyn AuthStore>,
    pub(crate) cache: Arc<dyn SessionCache>,
    pub(crate) throttle: Arc<dyn Throttle>,
    /// Counts attempts while `throttle` is silent.
    pub(crate) alone: Arc<dyn Throttle>,
    /// Counts what this process admits, whatever `throttle` says.
    pub(crate) own: Arc<dyn Throttle>,
    pub(crate) keys: Result<KeyRing>,
    pub(crate) options: AuthOptions,
    /// The life of the app's own tokens, which have no session and do not say when they were made.
    pub(crate) app_life: Duration,
    pub(crate) sink: Option<AuditSink>,
}

impl Authenticator {
    pub(crate) fn new(parts: AuthParts, clock: SharedClock, tasks: Tasks) -> Self {
        let options = parts.options.bounded();
        let inner = Inner {
            store: parts.store,
            cache: parts.cache,
            throttling: Throttling::new(parts.throttle, parts.alone, parts.own),
            live: LiveSessions::default(),
            verified: VerifiedTokens::default(),
            keys: parts.keys,
            rules: options.rules(parts.app_life),
            options,
            pool: HashPool::new(tasks),
            floor: Floor::default(),
            costliest: OnceCell::new(),
            events: parts.sink.map(Events::with_sink).unwrap_or_default(),
            clock,
        };
        Self(Arc::new(inner), Scope::default())
    }

    /// The same sign-in, for users of one tenant.
    pub(crate) fn scoped(&self, scope: &Scope) -> Self {
        Self(self.0.clone(), scope.clone())
    }

    /// The present, in the milliseconds that tokens and columns can hold.
    fn now(&self) -> DateTime<Utc> {
        self.0.clock.now().trunc_subsecs(3)
    }

    /// Counts and times an operation under the name that the app's dashboards know.
    async fn observed<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let start = self.0.clock.instant();
        let outcome = work.await;
        let took = self.0.clock.instant().saturating_duration_since(start);
        metrics::histogram!(names::AUTH_DURATION_SECONDS, "operation" => operation).record(took);
        let status = outcome.as_ref().map_or_else(Error::code, |_| "success");
        metrics::counter!(names::AUTH_OPERATIONS_TOTAL, "operation" => operation, "status" => status)
            .increment(1);
        outcome
    }

    fn keys(&self) -> Result<&KeyRing> {
        self.0.keys.as_ref().map_err(Error::repeat)
    }

    /// A mark of the password's moment for tokens that are signed now.
    fn password_mark(&self, changed_at: DateTime<Utc>) -> Result<String> {
        let moment = changed_at.timestamp_micros().to_string();
        Ok(short(self.keys()?.derive(MARK, &[&moment])))
    }

    /// The marks of the password's moment, one for each key: a token that holds another one than that of its own key
    /// is older than the password.
    fn password_marks(&self, changed_at: DateTime<Utc>) -> Result<Arc<[String]>> {
        let moment = changed_at.timestamp_micros().to_string();
        let marks = self.keys()?.derive_all(MARK, &[&moment]);
        Ok(marks.into_iter().map(short).collect())
    }

    fn raise(
        &self,
        kind: AuthEventKind,
        user: Option<&str>,
        tenant: Option<&TenantId>,
        detail: &'static str,
    ) {
        self.raise_for(kind, user, tenant, detail, None);
    }

    /// Raises an event. `user` is an id; `from` the name that was typed and the attempt.
    fn raise_for(
        &self,
        kind: AuthEventKind,
        user: Option<&str>,
        tenant: Option<&TenantId>,
        detail: &'static str,
        from: Option<(&str, &SignIn)>,
    ) {
        if kind == AuthEventKind::LoginFail {
            metrics::counter!(names::FAILED_LOGIN_ATTEMPTS_TOTAL).increment(1);
        }
        let mark = |purpose, text: Option<&str>| {
            text.zip(self.keys().ok()).map(|(text, keys)| {
                let mut mark = keys.derive(purpose, &[text]);
                mark.truncate(8);
                mark
            })
        };
        self.0.events.raise(&AuthEvent {
            kind,
            user: mark("event", user),
            account: mark("event of a name", from.map(|(name, _)| name)),
            address: from.and_then(|(_, attempt)| attempt.origin()),
            tenant: tenant.cloned(),
            detail,
        });
    }
}

/// The longest id of a user or session, in bytes: what the columns hold.
const LONGEST_ID: usize = 255;

/// What marks of a password's moment are derived for.
const MARK: &str = "password";

/// As much of a derived text as a mark needs.
fn short(mut derived: String) -> String {
    derived.truncate(8);
    derived
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
