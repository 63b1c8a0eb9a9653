//! How sign-in behaves.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::password::PasswordPolicy;
use super::token::{Profile, TokenRules};
use crate::settings::Secret;

/// How sign-in behaves. The defaults suit an installation whose Python app still reads the tokens.
#[derive(Debug, Clone)]
pub struct AuthOptions {
    /// What new tokens look like. Tokens of both profiles are accepted.
    pub profile: Profile,
    /// Keys that only verify, and until when (UTC): at most two. The key that signs is the one of the settings. Here
    /// stand the key that signed before and, while programs with the old key still run, the key that signs next:
    /// SETTINGS.md says in which order a change of the key loses nobody.
    pub previous_keys: Vec<(Secret, DateTime<Utc>)>,
    /// Whether tokens that the app made without a session are accepted. They hold no rights of their own: the user
    /// must exist, be active, and has the role that the database says.
    pub accept_sessionless: bool,
    /// Issuer of strict tokens.
    pub issuer: String,
    /// Audience of strict tokens.
    pub audience: String,
    /// Life of an access token. Between one minute and 24 hours.
    pub access_life: Duration,
    /// A session that is not refreshed for this long ends.
    pub idle_life: Duration,
    /// A session ends this long after it began, however often it is refreshed.
    pub absolute_life: Duration,
    /// For how long a refresh token that was just used gives the same pair again, for clients whose answer was lost;
    /// at most 30 seconds.
    pub grace: Duration,
    /// How old the knowledge may be that a session is alive; at most one minute. A revocation is seen at once by the
    /// process that made it, and by all others within this time.
    pub max_staleness: Duration,
    /// Live sessions of one user; the oldest gives way to the newest.
    pub session_limit: usize,
    /// Rules for new passwords.
    pub password_policy: PasswordPolicy,
    /// How many old passwords cannot be used again, the current one not counted.
    pub password_history: usize,
    /// After this long a password must be changed. `None`: never, as NIST advises.
    pub password_life: Option<Duration>,
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
