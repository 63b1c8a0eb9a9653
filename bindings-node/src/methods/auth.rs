//! Sign-in and rate limits.

use std::net::IpAddr;

use posada::auth::{Claims, NewUser, Permission, Role, SignIn, TokenPair};
use posada::bridge::Work;
use posada::error::codes;
use posada::limits::{RateLimit, Strategy};
use posada::settings::Secret;
use posada_bindings::Refusal;
use serde_json::{Value, json};

use super::{read, write};
use crate::arguments::Arguments;
use crate::outcome::{Outcome, json};
use crate::target::Services;

pub(super) fn work(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let (auth, tenant) = (services.posada.auth().clone(), given.whose()?);
    Ok(match name {
        "createUser" => {
            let password: Secret = given.value("password")?;
            let mut new = NewUser::new(&given.string("username")?, &given.string("email")?, password)?
                .tenant(tenant.as_ref());
            if let Some(role) = given.optional::<Role>("role")? {
                new = new.role(role);
            }
            if let Some(full_name) = given.optional::<String>("full_name")? {
                new = new.full_name(&full_name)?;
            }
            if given.optional("superuser")?.unwrap_or(false) {
                new = new.superuser();
            }
            if given.optional("must_change_password")?.unwrap_or(false) {
                new = new.must_change_password();
            }
            return write(services, async move { json(&auth.create_user(new).await?) });
        }
        "login" => {
            let password: Secret = given.value("password")?;
            let mut attempt = SignIn::new(&given.string("username")?, password).tenant(tenant.as_ref());
            if let Some(address) = given.optional::<IpAddr>("address")? {
                attempt = attempt.address(address);
            }
            if let Some(agent) = given.optional::<String>("user_agent")? {
                attempt = attempt.user_agent(&agent);
            }
            read(async move { json(&pair(&auth.login(&attempt).await?)) })
        }
        "verify" | "verifyPrivileged" => {
            let (token, now) = (given.string("token")?, name == "verifyPrivileged");
            let permission: Option<Permission> = given.optional("permission")?;
            read(async move {
                let claims = if now {
                    auth.verify_privileged(&token).await?
                } else {
                    auth.verify(&token).await?
                };
                admit(&claims, tenant.as_ref(), permission.as_ref())?;
                json(&claims)
            })
        }
        "refresh" => {
            let token = given.string("token")?;
            return write(services, async move { json(&pair(&auth.refresh(&token).await?)) });
        }
        "logout" => {
            let token = given.string("token")?;
            return write(services, async move { json(&auth.logout(&token).await?) });
        }
        "changePassword" => {
            let (token, current, new) = (
                given.string("token")?,
                given.string("current")?,
                given.string("new")?,
            );
            return write(services, async move {
                json(&pair(&auth.change_password(&token, &current, &new).await?))
            });
        }
        "setPassword" => {
            let (user, new) = (given.string("user")?, given.string("new")?);
            let must_change = given.optional("must_change")?.unwrap_or(true);
            return write(services, async move {
                json(
                    &auth
                        .set_password(tenant.as_ref(), &user, &new, must_change)
                        .await?,
                )
            });
        }
        _ => None,
    })
}

/// What the caller asks of the claims beside that they are true.
fn admit(
    claims: &Claims,
    tenant: Option<&posada::TenantId>,
    permission: Option<&Permission>,
) -> Result<(), Refusal> {
    match (tenant, permission) {
        (Some(tenant), Some(permission)) => Ok(claims.require_for(tenant, permission)?),
        (None, Some(permission)) if !claims.has_permission(permission) => Err(Refusal::own(
            codes::AUTH_FORBIDDEN,
            format!("the permission {permission} is needed"),
        )),
        _ => Ok(()),
    }
}

fn pair(pair: &TokenPair) -> Value {
    json!({
        "access": pair.access,
        "refresh": pair.refresh,
        "access_expires_at": pair.access_expires_at.timestamp_millis(),
        "refresh_expires_at": pair.refresh_expires_at.timestamp_millis(),
        "session": pair.session,
        "must_change_password": pair.must_change_password,
    })
}

pub(super) fn limits(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let limits = services.posada.limits().clone();
    let mut limit: RateLimit = given.value("limit")?;
    if let Some(strategy) = given.optional::<String>("strategy")? {
        limit = limit.strategy(Strategy::parse(&strategy)?);
    }
    let identifiers: Vec<String> = given.value("identifiers")?;
    let cost: u32 = given.optional("cost")?.unwrap_or(1);
    let kind = match name {
        "check" => 0,
        "peek" => 1,
        "reset" => 2,
        _ => return Ok(None),
    };
    Ok(read(async move {
        let identifiers: Vec<&str> = identifiers.iter().map(String::as_str).collect();
        match kind {
            0 => json(&limits.check_cost(&limit, &identifiers, cost).await?),
            1 => json(&limits.peek(&limit, &identifiers).await?),
            _ => json(&limits.reset(&limit, &identifiers).await?),
        }
    }))
}
