//! Tokens: signed with HS256, read by a strict parser of our own, checked claim by claim.
//!
//! Two profiles, which a verifier never mixes up. *Legacy* is what the app's own code makes and takes: header
//! `{"alg":"HS256","typ":"JWT"}`, the kind in the claim `type`, no audience. *Strict* has the kind in the header
//! (`at+jwt`, `rt+jwt`), a key id, an issuer, an audience, and needs every claim.

#[cfg(any(test, feature = "testkit"))]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop, loudly"
)]
pub(crate) mod anything;
mod claims;
mod json;
mod keys;
mod strict;
#[cfg(test)]
mod tests;
mod verified;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use claims::TokenClaims;
pub(crate) use keys::KeyRing;
pub(crate) use verified::VerifiedTokens;

use self::claims::Fault;
use self::strict::Unverified;
use super::role::Role;
use crate::TenantId;
use crate::error::{Error, Result, codes};
use crate::text::Shown;

/// What tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// As the app's python-jose and PyJWT make and take them.
    Legacy,
    /// Typed, with key id, issuer and audience; every claim is required.
    Strict,
}

/// What a token is for. A token of one kind never passes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Opens the API for minutes.
    Access,
    /// Gets the next pair, once.
    Refresh,
    /// Lets its holder set a new password.
    ResetPassword,
    /// Proves that an e-mail arrived.
    VerifyEmail,
    /// Says that its user signed in on this device before.
    Device,
}

impl Profile {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Strict => "strict",
        }
    }

    /// Reads `legacy` or `strict`.
    ///
    /// # Errors
    /// `settings.invalid` (field `profile`) for any other text.
    pub fn parse(name: &str) -> Result<Self> {
        let mut known = [Self::Legacy, Self::Strict].into_iter();
        known.find(|profile| profile.as_str() == name).ok_or_else(|| {
            let message = format_args!("must be legacy or strict, is {}", Shown(name));
            Error::field_invalid(codes::SETTINGS_INVALID, "profile", message)
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Access,
        Self::Refresh,
        Self::ResetPassword,
        Self::VerifyEmail,
        Self::Device,
    ];

    /// The stable lower-case name, which is the claim `type` of legacy tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::ResetPassword => "reset_password",
            Self::VerifyEmail => "verify_email",
            Self::Device => "device",
        }
    }

    /// Reads a kind.
    ///
    /// # Errors
    /// `auth.invalid_token` (field `kind`) when no kind has that name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::from_legacy(name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let message = format_args!("must be one of {names}, is {}", Shown(name));
            Error::field_invalid(codes::AUTH_INVALID_TOKEN, "kind", message)
        })
    }

    const fn as_strict(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
            Self::ResetPassword => "reset+jwt",
            Self::VerifyEmail => "verify+jwt",
            Self::Device => "device+jwt",
        }
    }

    fn from_legacy(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn from_strict(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_strict() == name)
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How tokens are made and which are taken.
#[derive(Debug, Clone)]
pub(crate) struct TokenRules {
    pub(crate) issues: Profile,
    pub(crate) accepts: Vec<Profile>,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// How far clocks may be apart, for the strict profile; at most 30 seconds.
    pub(crate) leeway: Duration,
    /// The life of every token that the app's `create_access_token` makes.
    pub(crate) app_life: Duration,
    /// The longest life that an access token may claim.
    pub(crate) longest_access: Duration,
    /// The longest life of any other token.
    pub(crate) longest_other: Duration,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            issues: Profile::Legacy,
            accepts: vec![Profile::Legacy, Profile::Strict],
            issuer: "posada".to_owned(),
            audience: "posada".to_owned(),
            leeway: Duration::from_secs(5),
            app_life: Duration::from_hours(1),
            longest_access: Duration::from_hours(24),
            longest_other: Duration::from_hours(24 * 400),
        }
    }
}

impl TokenRules {
    const LONGEST_LEEWAY: Duration = Duration::from_secs(30);

    fn leeway_seconds(&self) -> i64 {
        seconds(self.leeway.min(Self::LONGEST_LEEWAY))
    }

    /// The first second in which a token with these claims has expired.
    fn end_of(&self, claims: &TokenClaims) -> i64 {
        // python-jose takes a token in the very second in which it ends; the strict profile does not.
        match claims.profile {
            Profile::Legacy => claims.expires_at + 1,
            Profile::Strict => claims.expires_at + self.leeway_seconds(),
        }
    }

    fn app_life_seconds(&self) -> i64 {
        seconds(self.app_life)
    }

    fn longest_seconds(&self, kind: TokenKind) -> i64 {
        seconds(match kind {
            TokenKind::Access => self.longest_access,
            _ => self.longest_other,
        })
    }
}

/// What a new token says.
pub(crate) struct NewToken<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) subject: &'a str,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) life: Duration,
    pub(crate) id: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) tenant: Option<&'a TenantId>,
    pub(crate) role: Option<Role>,
    /// A mark of the moment at which the password was set.
    pub(crate) mark: Option<&'a str>,
}

/// Members in the order of the app's tokens, and what the app does not know after them.
#[derive(Serialize)]
struct Members<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    exp: i64,
    iat: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pwv: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Makes a token. The same question gives the same token.
pub(crate) fn mint(keys: &KeyRing, rules: &TokenRules, new: &NewToken<'_>) -> Result<String> {
    let strict = rules.issues == Profile::Strict;
    let header = if strict {
        format!(
            r#"{{"alg":"HS256","typ":"{}","kid":"{}"}}"#,
            new.kind.as_strict(),
            keys.id()
        )
    } else {
        r#"{"alg":"HS256","typ":"JWT"}"#.to_owned()
    };
    let issued_at = new.issued_at.timestamp();
    let members = Members {
        sub: new.subject,
        r#type: (!strict).then_some(new.kind.as_str()),
        exp: issued_at.saturating_add(seconds(new.life)),
        iat: issued_at,
        jti: new.id,
        role: new.role.map(Role::as_str),
        permissions: new.role.map(|role| {
            role.permissions()
                .iter()
                .map(super::role::Permission::named)
                .collect()
        }),
        sid: new.session,
        tid: new.tenant.map(TenantId::as_str),
        pwv: new.mark,
        iss: strict.then_some(&rules.issuer),
        aud: strict.then_some(&rules.audience),
    };
    let claims = serde_json::to_vec(&members).map_err(|failure| {
        Error::new(codes::POSADA_INTERNAL, "a token could not be written").caused_by(failure)
    })?;
    let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    token.push_str(&BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = keys.sign(&token);
    token.push('.');
    token.push_str(&signature);
    Ok(token)
}

/// Reads a token of that kind: form, signature, then claims. No I/O.
///
/// # Errors
/// `auth.token_expired` for one that was good once, `auth.invalid_token` for every other reason.
pub(crate) fn read(
    keys: &KeyRing,
    rules: &TokenRules,
    kind: TokenKind,
    token: &str,
    now: DateTime<Utc>,
) -> Result<TokenClaims> {
    read_in_full(keys, rules, kind, token, now).map(|(claims, _)| claims)
}

/// Reads an access token, in full only if this process does not know it; see [`VerifiedTokens`]. No I/O.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_known(
    keys: &KeyRing,
    rules: &TokenRules,
    known: &VerifiedTokens,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Arc<TokenClaims>> {
    // What is too long to be a token is not worth a digest.
    let key = (token.len() <= strict::LONGEST)
        .then(|| verified::Key::of(token))
        .flatten();
    if let Some(claims) = key.and_then(|key| known.get(key, now)) {
        return Ok(claims);
    }
    let (claims, key_until) = read_in_full(keys, rules, TokenKind::Access, token, now)?;
    let claims = Arc::new(claims);
    if let Some(key) = key {
        // A key's last second is not kept: it may end within it.
        let until = rules.end_of(&claims).min(key_until.timestamp());
        known.put(key, claims.clone(), now, until);
    }
    Ok(claims)
}

/// What the token says, and until when its key verifies.
fn read_in_full(
    keys: &KeyRing,
    rules: &TokenRules,
    kind: TokenKind,
    token: &str,
    now: DateTime<Utc>,
) -> Result<(TokenClaims, DateTime<Utc>)> {
    let unverified = Unverified::read(token).map_err(invalid)?;
    let (signer, key_until) = keys
        .verifies(&unverified, now)
        .ok_or_else(|| invalid("is not signed with a key of ours"))?;
    let members = unverified.claims().map_err(invalid)?;
    let typ = unverified.typ.as_deref();
    match claims::check(&members, typ, signer, rules, now.timestamp()) {
        Ok(claims) if claims.kind == kind => Ok((claims, key_until)),
        Ok(_) => Err(invalid("is for another purpose")),
        Err(Fault::Bad(reason)) => Err(invalid(reason)),
        Err(Fault::Expired) => Err(Error::new(codes::AUTH_TOKEN_EXPIRED, "the token has expired")),
    }
}

/// The error of a token that was never good. It is the same for every reason, because errors are shown to clients, and
/// a reason would tell a forger what to try next; the reason is for the log. Neither repeats the token.
pub(crate) fn invalid(reason: &'static str) -> Error {
    tracing::debug!(reason, "a token was refused");
    Error::new(codes::AUTH_INVALID_TOKEN, "the token is not valid")
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
