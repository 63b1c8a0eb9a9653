//! The values of sign-in: who signs in, what they get, what a token proves.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use unicode_normalization::UnicodeNormalization as _;

use super::audit::Audit;
use super::role::{Permission, Role};
use crate::TenantId;
use crate::error::{Error, Result, codes};
use crate::settings::Secret;
use crate::text;

/// Longest name and address, in bytes: what the columns hold.
const LONGEST: usize = 255;
/// Longest user agent that is kept, in bytes.
const LONGEST_AGENT: usize = 512;

/// A user, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// A random id.
    pub id: String,
    /// Unique in the whole database, case-sensitive, in Unicode's composed form.
    pub username: String,
    /// Unique in the whole database, in whatever case, among the users that were made here.
    pub email: String,
    /// For people.
    pub full_name: Option<String>,
    /// The hotel; `None` for a user of the installation.
    pub tenant: Option<TenantId>,
    /// A database without the column `role` knows administrators (superusers) and guests only.
    pub role: Role,
    /// Whether the user may sign in.
    pub is_active: bool,
    /// Whether the user may act for other hotels, by an explicit call.
    pub is_superuser: bool,
    /// Whether nothing but a change of the password is possible.
    pub must_change_password: bool,
    /// When the password was set (UTC).
    pub password_changed_at: DateTime<Utc>,
}

/// A user to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) password: Secret,
    pub(super) full_name: Option<String>,
    pub(super) tenant: Option<TenantId>,
    pub(super) role: Role,
    pub(super) is_superuser: bool,
    pub(super) must_change: bool,
}

impl NewUser {
    /// A guest without a hotel.
    ///
    /// # Errors
    /// `auth.invalid_user`, with the field, for a name or address that is empty, longer than 255 bytes, surrounded by
    /// white space, or holds control characters.
    pub fn new(username: &str, email: &str, password: impl Into<Secret>) -> Result<Self> {
        let email = name("email", email)?;
        if !email.contains('@') {
            return Err(Error::field_invalid(
                codes::AUTH_INVALID_USER,
                "email",
                "must contain @",
            ));
        }
        Ok(Self {
            username: name("username", username)?,
            email,
            password: password.into(),
            full_name: None,
            tenant: None,
            role: Role::Guest,
            is_superuser: false,
            must_change: false,
        })
    }

    /// The hotel.
    #[must_use]
    pub fn tenant<'t>(mut self, tenant: impl Into<Option<&'t TenantId>>) -> Self {
        self.tenant = tenant.into().cloned();
        self
    }

    /// What the user may do.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// A name for people.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn full_name(mut self, full_name: &str) -> Result<Self> {
        self.full_name = Some(name("full_name", full_name)?);
        Ok(self)
    }

    /// Lets the user act for other hotels, by an explicit call.
    #[must_use]
    pub fn superuser(mut self) -> Self {
        self.is_superuser = true;
        self
    }

    /// Makes the user set another password after the first sign-in.
    #[must_use]
    pub fn must_change_password(mut self) -> Self {
        self.must_change = true;
        self
    }
}

/// Reads a name: composed, 1 to 255 bytes, no control characters, no white space around it.
pub(super) fn name(field: &'static str, given: &str) -> Result<String> {
    let invalid = |fault: &dyn fmt::Display| Error::field_invalid(codes::AUTH_INVALID_USER, field, fault);
    text::check(given, LONGEST).map_err(|fault| invalid(&fault))?;
    if given.trim() != given {
        return Err(invalid(&"must not begin or end with white space"));
    }
    let composed: String = given.nfc().collect();
    text::check(&composed, LONGEST).map_err(|fault| invalid(&fault))?;
    Ok(composed)
}

/// An attempt to sign in, and where it comes from. The password is never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) tenant: Option<TenantId>,
    pub(super) address: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
    pub(super) device: Option<Secret>,
}

impl SignIn {
    /// The caller, who claims to be that user.
    pub fn new(username: &str, password: impl Into<Secret>) -> Self {
        Self {
            username: username.to_owned(),
            password: password.into(),
            tenant: None,
            address: None,
            user_agent: None,
            device: None,
        }
    }

    /// Only as a user of that hotel.
    #[must_use]
    pub fn tenant<'t>(mut self, tenant: impl Into<Option<&'t TenantId>>) -> Self {
        self.tenant = tenant.into().cloned();
        self
    }

    /// The address that the connection came from. Take it from the socket, or from a proxy of your own, never from
    /// a header that anybody can send.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The program that asks; cut at 512 bytes, control characters are dropped.
    #[must_use]
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        let mut kept: String = user_agent.chars().filter(|letter| !letter.is_control()).collect();
        let mut end = LONGEST_AGENT.min(kept.len());
        while !kept.is_char_boundary(end) {
            end -= 1;
        }
        kept.truncate(end);
        self.user_agent = Some(kept);
        self
    }

    /// The address as it is written everywhere: one that is mapped into IPv6 is IPv4.
    pub(super) fn origin(&self) -> Option<IpAddr> {
        self.address.map(|address| address.to_canonical())
    }

    /// The cookie that [`Authenticator::device_cookie`](super::Authenticator::device_cookie) gave this device. It
    /// has a quota of attempts of its own, so that strangers who guess cannot keep its owner out.
    #[must_use]
    pub fn device_cookie(mut self, cookie: impl Into<Secret>) -> Self {
        self.device = Some(cookie.into());
        self
    }
}

/// What a sign-in gives. `Debug` shows no token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenPair {
    /// Opens the API; send it as `Authorization: Bearer …`.
    pub access: String,
    /// Gets the next pair, once.
    pub refresh: String,
    /// When the access token ends (UTC).
    pub access_expires_at: DateTime<Utc>,
    /// When the session ends unless it is refreshed before (UTC).
    pub refresh_expires_at: DateTime<Utc>,
    /// The id of the session.
    pub session: String,
    /// Whether nothing but a change of the password is possible with it.
    pub must_change_password: bool,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("access_expires_at", &self.access_expires_at)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .field("must_change_password", &self.must_change_password)
            .finish_non_exhaustive()
    }
}

/// Where the answer to "is this session still alive?" came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClaimsSource {
    /// The memory of this process.
    Local,
    /// Redis.
    Redis,
    /// Postgres (or the embedded store), asked for this call.
    Store,
}

impl ClaimsSource {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Redis => "redis",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for ClaimsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a token proves: who is asking, for which hotel, with which rights. Role and rights are those of the database,
/// not those of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user's id.
    pub user_id: String,
    /// The hotel that the user belongs to.
    pub tenant: Option<TenantId>,
    /// The role.
    pub role: Role,
    /// Whether the user may act for other hotels, by an explicit call.
    pub is_superuser: bool,
    /// The session; `None` for a token that the app made without one.
    pub session: Option<String>,
    /// When the token ends (UTC).
    pub expires_at: DateTime<Utc>,
    /// Who said that the session is alive.
    pub source: ClaimsSource,
    /// How old that answer is at most.
    pub age: Duration,
    /// Where refusals are told.
    pub(crate) audit: Audit,
}

impl Claims {
    /// Whether the role has a permission: what to show in a menu. It does not say in which hotel; before anything is
    /// done, ask [`require_for`](Self::require_for).
    pub fn has_permission(&self, permission: &Permission) -> bool {
        self.role.allows(permission)
    }

    /// Whether this user may do that in this hotel: the hotel of what is read or changed, which is often one that the
    /// request names. Every role is one in the user's own hotel, [`Admin`](Role::Admin) and [`System`](Role::System)
    /// too. A user without a hotel has rights in none; a superuser gets claims for a hotel by
    /// [`act_across_tenants`](super::Authenticator::act_across_tenants). A refusal is an event of the audit.
    ///
    /// # Errors
    /// `auth.wrong_tenant` (403) when it is not the hotel of the claims; `auth.forbidden` (403) when the role lacks the
    /// permission.
    pub fn require_for(&self, tenant: &TenantId, permission: &Permission) -> Result<()> {
        if self.tenant.as_ref() != Some(tenant) {
            self.audit.refused(self, Some(tenant), "another hotel");
            return Err(wrong_tenant());
        }
        if self.has_permission(permission) {
            return Ok(());
        }
        self.audit.refused(self, Some(tenant), "permission");
        Err(
            Error::new(codes::AUTH_FORBIDDEN, "the role does not have this permission")
                .with("permission", permission)
                .with("role", self.role),
        )
    }

    /// The hotel that a request is for. The token decides; a header such as `X-Tenant-ID` may repeat it, and for
    /// anybody without a hotel it can name none.
    ///
    /// # Errors
    /// `auth.wrong_tenant` (403) when the header names any other hotel than the token's, or is no id at all.
    pub fn narrow(&self, header: Option<&str>) -> Result<Option<&TenantId>> {
        match header {
            None => Ok(self.tenant.as_ref()),
            Some(name) if self.tenant.as_ref().is_some_and(|tenant| tenant.as_str() == name) => {
                Ok(self.tenant.as_ref())
            }
            Some(name) => {
                let asked = TenantId::parse(name).ok();
                self.audit.refused(self, asked.as_ref(), "another hotel");
                Err(wrong_tenant())
            }
        }
    }
}

fn wrong_tenant() -> Error {
    Error::new(codes::AUTH_WRONG_TENANT, "the token is for another hotel")
}

/// One place where a user is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInSession {
    /// The id of the session.
    pub id: String,
    /// When it began (UTC).
    pub created_at: DateTime<Utc>,
    /// When it ends unless it is refreshed before (UTC).
    pub expires_at: DateTime<Utc>,
    /// The program.
    pub user_agent: Option<String>,
    /// The address at the sign-in.
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_90_names_that_break_logs_or_columns_are_refused() {
        for bad in ["", " ana", "ana ", "a\0b", "a\r\nb", &"x".repeat(256)] {
            let error = NewUser::new(bad, "a@b", "p").unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                ("auth.invalid_user", Some("username")),
                "{bad:?}"
            );
        }
        for good in ["ana", "ADMIN", "İ", "'; DROP", "%_", "аdmin", "🦤\u{200d}x"] {
            assert_eq!(NewUser::new(good, "a@b", "p").unwrap().username, good);
        }
        assert_eq!(NewUser::new("n\u{303}", "a@b", "p").unwrap().username, "\u{f1}");
        assert_eq!(
            NewUser::new("ana", "not-an-address", "p").unwrap_err().field(),
            Some("email")
        );
    }

    #[test]
    fn case_253_no_value_shows_a_secret() {
        let pair = TokenPair {
            access: "Zq9Xk".into(),
            refresh: "Zq9Xk".into(),
            access_expires_at: DateTime::UNIX_EPOCH,
            refresh_expires_at: DateTime::UNIX_EPOCH,
            session: "Zq9Xk".into(),
            must_change_password: false,
        };
        let attempt = SignIn::new("ana", "Zq9Xk").device_cookie("Zq9Xk");
        let shown = format!(
            "{pair:?} {attempt:?} {:?}",
            NewUser::new("ana", "a@b", "Zq9Xk").unwrap()
        );
        assert!(!shown.contains("Zq9Xk"), "{shown}");
    }

    #[test]
    fn a_user_agent_is_cut_between_letters() {
        let attempt = SignIn::new("ana", "p").user_agent(&format!("a\r\n{}", "ñ".repeat(400)));
        let kept = attempt.user_agent.unwrap();
        assert!(kept.len() <= 512 && kept.starts_with("añ"), "{}", kept.len());
    }
}
