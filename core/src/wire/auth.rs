//! Users, and what their tokens say. Tokens and passwords stay out: a [`TokenPair`](crate::auth::TokenPair) is answered
//! member by member, so that none gets into an answer by accident. So do the address and the name of a
//! [`User`], who may be a guest. [`Claims`] are not read: only a token vouches for them.

use crate::auth::{Claims, ClaimsSource, Permission, Role, SignInSession, TokenKind, User};

texts! { Permission, Role, TokenKind }
names! { ClaimsSource }

members! {
    Claims { user_id, tenant, role, is_superuser, session, expires_at, source, age: super::seconds }
    SignInSession { id, created_at, expires_at, user_agent, address }
    User { id, username, tenant, role, is_active, is_superuser, must_change_password, password_changed_at }
}
