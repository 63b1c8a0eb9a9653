//! What happened, in the words of the OWASP logging vocabulary: through `tracing` (targets below `posada::auth`), and
//! to a sink of the program. No event holds a secret, a token or a name; users and the names that were typed show as
//! short keyed marks, so that events of one user can be put together and nothing else. A user's mark is that of the
//! user's id, in all events. Events of a sign-in also have the mark of the name that was typed, which may belong to no
//! user, and the address.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::TenantId;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthEventKind {
    /// A user signed in.
    LoginSuccess,
    /// Wrong name or password (`login`), or the right password of a user who may not sign in: `inactive`, `locked` by
    /// the app, of a `hotel` that is suspended or gone, without a `second factor`.
    LoginFail,
    /// An attempt came too early.
    LoginThrottled,
    /// A user was made.
    UserCreated,
    /// A session began and its first pair of tokens was given, or a token that opens one thing: a new password, the
    /// proof of an e-mail address, a device's quota.
    TokenCreated,
    /// A refresh token was used twice; its session is revoked.
    TokenReuse,
    /// A session was ended on purpose.
    TokenRevoked,
    /// A session was refreshed.
    SessionRenewed,
    /// A token of an ended session was used.
    SessionUsedAfterEnd,
    /// A session gave way to a newer one.
    SessionsExceeded,
    /// A password was changed.
    PasswordChanged,
    /// A password was not changed: wrong, weak, used before, or another change was faster.
    PasswordChangeFail,
    /// A user lacked a permission, or asked for another hotel: refused by
    /// [`Claims::require_for`](super::Claims::require_for),
    /// [`Claims::narrow`](super::Claims::narrow) or
    /// [`act_across_tenants`](super::Authenticator::act_across_tenants).
    AuthorizationFail,
    /// A superuser acts for another hotel.
    ActedAcrossTenants,
    /// Something works with less than it should: the shared store was silent.
    Degraded,
}

impl AuthEventKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::LoginSuccess,
        Self::LoginFail,
        Self::LoginThrottled,
        Self::UserCreated,
        Self::TokenCreated,
        Self::TokenReuse,
        Self::TokenRevoked,
        Self::SessionRenewed,
        Self::SessionUsedAfterEnd,
        Self::SessionsExceeded,
        Self::PasswordChanged,
        Self::PasswordChangeFail,
        Self::AuthorizationFail,
        Self::ActedAcrossTenants,
        Self::Degraded,
    ];

    /// The name in the vocabulary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginSuccess => "authn_login_success",
            Self::LoginFail => "authn_login_fail",
            Self::LoginThrottled => "excess_rate_limit_exceeded",
            Self::UserCreated => "user_created",
            Self::TokenCreated => "authn_token_created",
            Self::TokenReuse => "authn_token_reuse",
            Self::TokenRevoked => "authn_token_revoked",
            Self::SessionRenewed => "session_renewed",
            Self::SessionUsedAfterEnd => "session_use_after_expire",
            Self::SessionsExceeded => "excess_sessions_exceeded",
            Self::PasswordChanged => "authn_password_change",
            Self::PasswordChangeFail => "authn_password_change_fail",
            Self::AuthorizationFail => "authz_fail",
            Self::ActedAcrossTenants => "authz_admin",
            Self::Degraded => "sys_monitor_disabled",
        }
    }

    /// Whether a person should look at it.
    pub const fn is_warning(self) -> bool {
        matches!(
            self,
            Self::LoginFail
                | Self::LoginThrottled
                | Self::TokenReuse
                | Self::SessionUsedAfterEnd
                | Self::PasswordChangeFail
                | Self::AuthorizationFail
                | Self::ActedAcrossTenants
                | Self::Degraded
        )
    }
}

impl fmt::Display for AuthEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthEvent {
    /// What happened.
    pub kind: AuthEventKind,
    /// A mark of the user, eight characters; the same user has the same mark while the key is the same. `None` where
    /// it is not known whose attempt it is.
    pub user: Option<String>,
    /// Of a sign-in: a mark of the name that was typed, eight characters, also when no user has it.
    pub account: Option<String>,
    /// Of a sign-in: the address that the program gave with it.
    pub address: Option<IpAddr>,
    /// The hotel: the user's, or the one that was asked for.
    pub tenant: Option<TenantId>,
    /// More about it, from a fixed list of words.
    pub detail: &'static str,
}

/// Where events go besides `tracing`. It is called on the path of the request, so it must be quick and not block.
pub type AuditSink = Arc<dyn Fn(&AuthEvent) + Send + Sync>;

/// Where the events of one handle go.
#[derive(Clone, Default)]
pub(super) struct Events {
    sink: Option<AuditSink>,
}

impl Events {
    pub(super) fn with_sink(sink: AuditSink) -> Self {
        Self { sink: Some(sink) }
    }

    pub(super) fn raise(&self, event: &AuthEvent) {
        let tenant = event.tenant.as_ref().map(TenantId::as_str);
        let (name, user) = (event.kind.as_str(), event.user.as_deref());
        let account = event.account.as_deref();
        let address = event.address.map(tracing::field::display);
        if event.kind.is_warning() {
            tracing::warn!(
                event = name,
                user,
                account,
                address,
                tenant,
                detail = event.detail
            );
        } else {
            tracing::info!(
                event = name,
                user,
                account,
                address,
                tenant,
                detail = event.detail
            );
        }
        if let Some(sink) = &self.sink {
            sink(event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("sink", &self.sink.is_some())
            .finish()
    }
}
