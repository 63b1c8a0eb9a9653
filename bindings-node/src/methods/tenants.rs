//! Tenants and flags.

use posada::TenantId;
use posada::bridge::Work;
use posada::flags::FlagValue;
use posada::tenants::{Channel, NewTenant, TenantUpdate};
use posada_bindings::Refusal;

use super::{read, write};
use crate::arguments::Arguments;
use crate::outcome::{Outcome, json};
use crate::target::Services;

pub(super) fn work(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let tenants = services.posada.tenants().clone();
    Ok(match name {
        "resolve" => {
            let (identifier, channel) = identifier(given)?;
            read(async move { json(&tenants.resolve(&identifier, channel).await?) })
        }
        "resolveMany" => {
            let identifiers: Vec<String> = given.value("identifiers")?;
            let channel: Option<Channel> = given.optional("channel")?;
            read(async move {
                let resolved = tenants.resolve_many(&identifiers, channel).await;
                json(&resolved.into_iter().map(Result::ok).collect::<Vec<_>>())
            })
        }
        "get" => {
            let tenant: TenantId = given.value("tenant")?;
            read(async move { json(&tenants.get(&tenant).await?.as_deref()) })
        }
        "list" => read(async move { json(&tenants.list().await?) }),
        "create" => {
            let new: NewTenant = given.value("new")?;
            return write(services, async move { json(&tenants.create(new).await?) });
        }
        "update" => {
            let (tenant, update): (TenantId, TenantUpdate) = (given.value("tenant")?, given.value("update")?);
            return write(
                services,
                async move { json(&tenants.update(&tenant, update).await?) },
            );
        }
        "suspend" => {
            let tenant: TenantId = given.value("tenant")?;
            return write(services, async move { json(&tenants.suspend(&tenant).await?) });
        }
        "addIdentifier" => {
            let tenant: TenantId = given.value("tenant")?;
            let (identifier, channel) = identifier(given)?;
            return write(services, async move {
                json(
                    &tenants
                        .add_identifier(&tenant, &identifier, channel)
                        .await?
                        .to_string(),
                )
            });
        }
        "removeIdentifier" => {
            let tenant: TenantId = given.value("tenant")?;
            let (identifier, channel) = identifier(given)?;
            return write(services, async move {
                json(&tenants.remove_identifier(&tenant, &identifier, channel).await?)
            });
        }
        "refresh" => read(async move { json(&tenants.refresh().await?) }),
        _ => None,
    })
}

fn identifier(given: &Arguments) -> Result<(String, Option<Channel>), Refusal> {
    Ok((given.string("identifier")?, given.optional("channel")?))
}

pub(super) fn flags(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let flags = services.posada.flags().clone();
    let tenant = given.whose()?;
    Ok(match name {
        "set" => {
            let (flag, value): (String, FlagValue) = (given.string("flag")?, given.value("value")?);
            return write(services, async move {
                json(&flags.set(tenant.as_ref(), &flag, value).await?)
            });
        }
        "unset" => {
            let flag = given.string("flag")?;
            return write(services, async move {
                json(&flags.unset(tenant.as_ref(), &flag).await?)
            });
        }
        "list" => read(async move { json(&flags.list(tenant.as_ref()).await?) }),
        "refresh" => read(async move { json(&flags.refresh().await?) }),
        "warm" => {
            let tenants: Vec<TenantId> = given.value("tenants")?;
            read(async move { json(&flags.warm(&tenants).await?) })
        }
        _ => None,
    })
}
