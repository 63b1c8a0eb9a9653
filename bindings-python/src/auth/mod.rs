//! `posada.auth`.

mod claims;
pub(crate) mod events;
mod options;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use posada::Authenticator;
use posada::auth::{NewUser, Role, SignIn, SignInSession, TokenKind, TokenPair, User};
use posada::error::codes;
use pyo3::prelude::*;

use crate::arguments::{Parts, Whose, id_of};
use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::handle::Handle;
pub(crate) use claims::{Claims, own_permission, permission, role_permissions};
pub(crate) use events::{AuthEvents, AuthWatch};
pub(crate) use options::{Options, legacy_password_hash, password_matches, password_violations};

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Auth {
    service: ProcessBound<Authenticator>,
    events: AuthEvents,
}

/// (access, refresh, access_expires_at, refresh_expires_at, session, must_change_password)
type Pair = (String, String, DateTime<Utc>, DateTime<Utc>, String, bool);

/// (id, username, email, full_name, tenant, role, is_active, is_superuser, must_change_password,
/// password_changed_at)
type Account = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    &'static str,
    bool,
    bool,
    bool,
    DateTime<Utc>,
);

/// (id, created_at, expires_at, user_agent, address)
type SignedIn = (
    String,
    DateTime<Utc>,
    DateTime<Utc>,
    Option<String>,
    Option<String>,
);

fn pair(tokens: TokenPair) -> Pair {
    let TokenPair {
        access,
        refresh,
        access_expires_at,
        refresh_expires_at,
        session,
        must_change_password,
        ..
    } = tokens;
    (
        access,
        refresh,
        access_expires_at,
        refresh_expires_at,
        session,
        must_change_password,
    )
}

fn account(user: User) -> Account {
    let User {
        id,
        username,
        email,
        full_name,
        tenant,
        role,
        is_active,
        is_superuser,
        must_change_password,
        password_changed_at,
        ..
    } = user;
    (
        id,
        username,
        email,
        full_name,
        tenant.map(|tenant| tenant.to_string()),
        role.as_str(),
        is_active,
        is_superuser,
        must_change_password,
        password_changed_at,
    )
}

fn signed_in(session: SignInSession) -> SignedIn {
    let SignInSession {
        id,
        created_at,
        expires_at,
        user_agent,
        address,
        ..
    } = session;
    (id, created_at, expires_at, user_agent, address)
}

/// The role of that name.
pub(super) fn role(name: &str) -> Result<Role, Refusal> {
    Ok(Role::parse(name)?)
}

/// Most reasons for acting across tenants that a process may have.
const MOST_REASONS: usize = 256;

/// Longest such reason, in bytes.
const LONGEST_REASON: usize = 200;

/// Reasons are constants of the program, and the crate wants them to live for ever: each is kept once.
fn constant(reason: &str) -> Result<&'static str, Refusal> {
    static REASONS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let invalid = |message: &str| {
        let message = format!("reason: {message}");
        Refusal::invalid(codes::POSADA_INVALID_ARGUMENT, "reason", message)
    };
    let mut reasons = REASONS.lock().unwrap_or_else(PoisonError::into_inner);
    let reasons = reasons.get_or_insert_with(HashSet::new);
    if let Some(known) = reasons.get(reason) {
        return Ok(known);
    }
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return Err(invalid("expected 1 to 200 bytes"));
    }
    if reasons.len() == MOST_REASONS {
        return Err(invalid(
            "expected a constant: this process has given 256 different reasons already",
        ));
    }
    let kept: &'static str = Box::leak(reason.into());
    reasons.insert(kept);
    Ok(kept)
}

/// A sign-in, as Python hands it in.
#[derive(FromPyObject)]
pub(crate) struct Attempt {
    #[pyo3(item(0))]
    username: String,
    #[pyo3(item(1))]
    password: String,
    #[pyo3(item(2))]
    tenant: Option<Whose>,
    #[pyo3(item(3))]
    address: Option<String>,
    #[pyo3(item(4))]
    user_agent: Option<String>,
    #[pyo3(item(5))]
    device_cookie: Option<String>,
}

impl Attempt {
    fn sign_in(self) -> Result<SignIn, Refusal> {
        let mut attempt = SignIn::new(&self.username, self.password);
        if let Some(tenant) = self.tenant {
            attempt = attempt.tenant(&tenant.0);
        }
        if let Some(address) = self.address {
            let address: IpAddr = address.parse().map_err(|_| {
                Refusal::invalid(
                    codes::AUTH_INVALID_USER,
                    "address",
                    "expected an IP address such as 203.0.113.9".to_owned(),
                )
            })?;
            attempt = attempt.address(address);
        }
        if let Some(user_agent) = self.user_agent {
            attempt = attempt.user_agent(&user_agent);
        }
        if let Some(cookie) = self.device_cookie {
            attempt = attempt.device_cookie(cookie);
        }
        Ok(attempt)
    }
}

/// A user to be made, as Python hands it in.
#[derive(FromPyObject)]
pub(crate) struct Newcomer {
    #[pyo3(item(0))]
    username: String,
    #[pyo3(item(1))]
    email: String,
    #[pyo3(item(2))]
    password: String,
    #[pyo3(item(3))]
    full_name: Option<String>,
    #[pyo3(item(4))]
    tenant: Option<Whose>,
    #[pyo3(item(5))]
    role: String,
    #[pyo3(item(6))]
    is_superuser: bool,
    #[pyo3(item(7))]
    must_change_password: bool,
}

impl Newcomer {
    fn user(self) -> Result<NewUser, Refusal> {
        let mut user = NewUser::new(&self.username, &self.email, self.password)?.role(role(&self.role)?);
        if let Some(full_name) = &self.full_name {
            user = user.full_name(full_name)?;
        }
        if let Some(tenant) = &self.tenant {
            user = user.tenant(&tenant.0);
        }
        if self.is_superuser {
            user = user.superuser();
        }
        if self.must_change_password {
            user = user.must_change_password();
        }
        Ok(user)
    }
}

#[pymethods]
impl Auth {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self {
            service: handle.keep(|posada| posada.auth().clone())?,
            events: handle.events.clone(),
        })
    }

    fn events(&self) -> AuthWatch {
        self.events.listen(self.service.runtime())
    }

    fn create_user(&self, py: Python<'_>, new: Parts<Newcomer>) -> PyResult<Operation> {
        let new = new.0.user()?;
        self.service.finish_in_task(py, async move |auth: Authenticator| {
            Ok(account(auth.create_user(new).await?))
        })
    }

    fn login(&self, py: Python<'_>, attempt: Parts<Attempt>) -> PyResult<Operation> {
        let attempt = attempt.0.sign_in()?;
        self.service.finish_in_task(py, async move |auth: Authenticator| {
            Ok(pair(auth.login(&attempt).await?))
        })
    }

    fn device_cookie(&self, py: Python<'_>, claims: &Claims) -> PyResult<Operation> {
        let claims = claims.0.clone();
        self.service.call(py, async move |auth: Authenticator| {
            Ok(auth.device_cookie(&claims).await?)
        })
    }

    fn refresh(&self, py: Python<'_>, refresh: String) -> PyResult<Operation> {
        self.service.finish(py, async move |auth: Authenticator| {
            Ok(pair(auth.refresh(&refresh).await?))
        })
    }

    fn logout(&self, py: Python<'_>, token: String) -> PyResult<Operation> {
        self.service.finish(py, async move |auth: Authenticator| {
            Ok(auth.logout(&token).await?)
        })
    }

    fn logout_session(&self, py: Python<'_>, claims: &Claims, session: String) -> PyResult<Operation> {
        let claims = claims.0.clone();
        self.service.finish(py, async move |auth: Authenticator| {
            Ok(auth.logout_session(&claims, &session).await?)
        })
    }

    fn logout_everywhere(&self, py: Python<'_>, claims: &Claims, keep_current: bool) -> PyResult<Operation> {
        let claims = claims.0.clone();
        self.service.finish(py, async move |auth: Authenticator| {
            Ok(auth.logout_everywhere(&claims, keep_current).await?)
        })
    }

    fn sessions(&self, py: Python<'_>, claims: &Claims) -> PyResult<Operation> {
        let claims = claims.0.clone();
        self.service.call(py, async move |auth: Authenticator| {
            let sessions = auth.sessions(&claims).await?;
            Ok(sessions.into_iter().map(signed_in).collect::<Vec<_>>())
        })
    }

    fn measure(&self, py: Python<'_>) -> PyResult<Operation> {
        self.service
            .call(py, async |auth: Authenticator| Ok(auth.measure().await?))
    }

    fn change_password(
        &self,
        py: Python<'_>,
        access: String,
        current: String,
        new: String,
    ) -> PyResult<Operation> {
        self.service.finish_in_task(py, async move |auth: Authenticator| {
            Ok(pair(auth.change_password(&access, &current, &new).await?))
        })
    }

    fn set_password(
        &self,
        py: Python<'_>,
        user: String,
        tenant: Option<Whose>,
        new: String,
        must_change: bool,
    ) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.service.finish_in_task(py, async move |auth: Authenticator| {
            Ok(auth
                .set_password(tenant.as_ref(), &user, &new, must_change)
                .await?)
        })
    }

    fn issue(&self, py: Python<'_>, user: String, tenant: Option<Whose>, kind: &str) -> PyResult<Operation> {
        let kind = TokenKind::parse(kind).map_err(Refusal::from)?;
        let tenant = id_of(tenant);
        self.service.call(py, async move |auth: Authenticator| {
            Ok(auth.issue(tenant.as_ref(), &user, kind).await?)
        })
    }

    fn reset_password(&self, py: Python<'_>, reset: String, new: String) -> PyResult<Operation> {
        self.service.finish_in_task(py, async move |auth: Authenticator| {
            Ok(auth.reset_password(&reset, &new).await?)
        })
    }

    fn verify(&self, py: Python<'_>, access: String) -> PyResult<Operation> {
        self.service.call(py, async move |auth: Authenticator| {
            Ok(Claims(auth.verify(&access).await?))
        })
    }

    fn verify_privileged(&self, py: Python<'_>, access: String) -> PyResult<Operation> {
        self.service.call(py, async move |auth: Authenticator| {
            Ok(Claims(auth.verify_privileged(&access).await?))
        })
    }

    fn has_permission(&self, claims: &Claims, permission: &str) -> PyResult<bool> {
        let permission = claims::wanted(permission)?;
        Ok(self.service.get()?.has_permission(&claims.0, &permission))
    }

    fn act_across_tenants(
        &self,
        py: Python<'_>,
        claims: &Claims,
        tenant: Whose,
        reason: &str,
    ) -> PyResult<Operation> {
        let (claims, reason) = (claims.0.clone(), constant(reason)?);
        self.service.call(py, async move |auth: Authenticator| {
            Ok(Claims(auth.act_across_tenants(&tenant.0, &claims, reason).await?))
        })
    }
}
