//! How sign-in behaves.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::password::PasswordPolicy;
use super::token::{Profile, TokenRules};
use crate::settings::Secret;

/// How sign-in behaves. The defaults suit an installation whose Python app still reads the tokens. A value outside its
/// bounds is the nearest one inside.
///
/// ```
/// use std::time::Duration;
/// use posada::Posada;
/// use posada::auth::{AuthOptions, Profile};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> posada::Result<()> {
/// let options = AuthOptions::new().profile(Profile::Strict).idle_life(Duration::from_hours(8)).session_limit(3);
/// let posada = Posada::builder().auth_options(options).build()?;
/// # posada.close().await
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthOptions {
    pub(super) profile: Profile,
    pub(crate) previous_keys: Vec<(Secret, DateTime<Utc>)>,
    pub(super) accept_sessionless: bool,
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) access_life: Duration,
    pub(super) idle_life: Duration,
    pub(super) absolute_life: Duration,
    pub(super) grace: Duration,
    pub(super) max_staleness: Duration,
    pub(super) session_limit: usize,
    pub(super) password_policy: PasswordPolicy,
    pub(super) password_history: usize,
    pub(super) password_life: Option<Duration>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            profile: Profile::Legacy,
            previous_keys: Vec::new(),
            accept_sessionless: true,
            issuer: "posada".to_owned(),
            audience: "posada".to_owned(),
            access_life: Duration::from_hours(1),
            idle_life: Duration::from_hours(24 * 7),
            absolute_life: Duration::from_hours(24 * 30),
            grace: Duration::from_secs(10),
            max_staleness: Duration::from_secs(5),
            session_limit: 10,
            password_policy: PasswordPolicy::default(),
            password_history: 5,
            password_life: None,
        }
    }
}

impl AuthOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What new tokens look like. Tokens of both profiles are accepted.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Keys that only verify, and until when (UTC): at most two. The key that signs is the one of the settings. Here
    /// stand the key that signed before and, while programs with the old key still run, the key that signs next:
    /// SETTINGS.md says in which order a change of the key signs no user out.
    #[must_use]
    pub fn previous_keys(mut self, keys: impl IntoIterator<Item = (Secret, DateTime<Utc>)>) -> Self {
        self.previous_keys = keys.into_iter().collect();
        self
    }

    /// Whether tokens that the app made without a session are accepted. They hold no rights of their own: the user
    /// must exist, be active, and has the role that the database says.
    #[must_use]
    pub fn accept_sessionless(mut self, accept: bool) -> Self {
        self.accept_sessionless = accept;
        self
    }

    /// Issuer of strict tokens.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Audience of strict tokens.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Life of an access token. Between one minute and 24 hours.
    #[must_use]
    pub fn access_life(mut self, access_life: Duration) -> Self {
        self.access_life = access_life;
        self
    }

    /// A session that is not refreshed for this long ends.
    #[must_use]
    pub fn idle_life(mut self, idle_life: Duration) -> Self {
        self.idle_life = idle_life;
        self
    }

    /// A session ends this long after it began, however often it is refreshed.
    #[must_use]
    pub fn absolute_life(mut self, absolute_life: Duration) -> Self {
        self.absolute_life = absolute_life;
        self
    }

    /// For how long a refresh token that was just used gives the same pair again, for clients whose answer was lost;
    /// at most 30 seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How old the knowledge may be that a session is alive; at most one minute. A revocation is seen at once by the
    /// process that made it, and by all others within this time.
    #[must_use]
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// Live sessions of one user; the oldest gives way to the newest.
    #[must_use]
    pub fn session_limit(mut self, session_limit: usize) -> Self {
        self.session_limit = session_limit;
        self
    }

    /// Rules for new passwords.
    #[must_use]
    pub fn password_policy(mut self, password_policy: PasswordPolicy) -> Self {
        self.password_policy = password_policy;
        self
    }

    /// How many old passwords cannot be used again, the current one not counted.
    #[must_use]
    pub fn password_history(mut self, password_history: usize) -> Self {
        self.password_history = password_history;
        self
    }

    /// After this long a password must be changed. `None`: never, as NIST advises.
    #[must_use]
    pub fn password_life(mut self, password_life: impl Into<Option<Duration>>) -> Self {
        self.password_life = password_life.into();
        self
    }

    const LONGEST_ACCESS: Duration = Duration::from_hours(24);
    const LONGEST_GRACE: Duration = Duration::from_secs(30);
    const LONGEST_STALENESS: Duration = Duration::from_mins(1);

    /// The options with every value inside its bounds.
    pub(super) fn bounded(mut self) -> Self {
        self.access_life = self
            .access_life
            .clamp(Duration::from_mins(1), Self::LONGEST_ACCESS);
        self.grace = self.grace.min(Self::LONGEST_GRACE);
        self.max_staleness = self.max_staleness.min(Self::LONGEST_STALENESS);
        self.session_limit = self.session_limit.max(1);
        self.idle_life = self.idle_life.min(self.absolute_life);
        self
    }

    /// The rules for tokens, when those that the app makes without a session live for `app_life`.
    pub(super) fn rules(&self, app_life: Duration) -> TokenRules {
        TokenRules {
            issues: self.profile,
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            app_life,
            longest_access: Self::LONGEST_ACCESS.max(app_life),
            ..TokenRules::default()
        }
    }
}
