//! Hotels and the identifiers of their guests.

use posada::Posada;
use posada::tenants::{BusinessHours, Channel, NewTenant, Resolution, Tenant, TenantUpdate};
use serde_json::{Value, json};

use crate::arguments::{Hours, Identifiers, Tenants};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::{Printer, Report};
use crate::table::{moment, or_dash, rfc3339, table};

pub(super) async fn run(what: Tenants) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| {
        let tenants = posada.tenants();
        let tenant = match what {
            Tenants::List => return Ok(listed(&tenants.list().await?)),
            Tenants::Show { tenant } => {
                let found = tenants.get(&tenant).await?;
                let found =
                    found.ok_or_else(|| Failure::not_found(format!("there is no tenant {tenant}")))?;
                return Ok(shown(&found));
            }
            Tenants::Create {
                tenant,
                name,
                status,
                hours,
            } => {
                let hours = BusinessHours::new(hours.opens, hours.closes, hours.timezone.as_deref())?;
                let new = NewTenant::new(&tenant, &name)?;
                tenants
                    .create(new.status(status.unwrap_or_default()).business_hours(hours))
                    .await?
            }
            Tenants::Update {
                tenant,
                name,
                status,
                hours,
            } => {
                let mut update = changes(&hours)?;
                if let Some(name) = name {
                    update = update.name(&name)?;
                }
                if let Some(status) = status {
                    update = update.status(status);
                }
                tenants.update(&tenant, update).await?
            }
            Tenants::Suspend { tenant } => tenants.suspend(&tenant).await?,
        };
        Ok(shown(&tenant))
    })
    .await
}

fn changes(hours: &Hours) -> Outcome<TenantUpdate> {
    let mut update = TenantUpdate::new();
    if hours.opens.is_some() {
        update = update.start(hours.opens)?;
    }
    if hours.closes.is_some() {
        update = update.end(hours.closes)?;
    }
    if hours.timezone.is_some() {
        update = update.timezone(hours.timezone.as_deref())?;
    }
    Ok(update)
}

pub(super) async fn identifiers(what: Identifiers, printer: &Printer) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| match what {
        Identifiers::Add {
            tenant,
            identifier,
            on,
        } => {
            let added = posada
                .tenants()
                .add_identifier(&tenant, &identifier, on.channel)
                .await?;
            let data = json!({"tenant": tenant.as_str(), "identifier": added.to_string()});
            Ok(Report::new(
                data,
                format!("The guests who write to {added} reach {tenant}."),
            ))
        }
        Identifiers::Remove {
            tenant,
            identifier,
            on,
        } => {
            printer.confirm(&format!("take {identifier} from {tenant}"), tenant.as_str())?;
            posada
                .tenants()
                .remove_identifier(&tenant, &identifier, on.channel)
                .await?;
            let data = json!({"tenant": tenant.as_str(), "identifier": identifier});
            Ok(Report::new(data, format!("{tenant} has {identifier} no longer.")))
        }
        Identifiers::Resolve { identifier, on } => resolve(posada, &identifier, on.channel).await,
    })
    .await
}

async fn resolve(posada: &Posada, identifier: &str, channel: Option<Channel>) -> Outcome<Report> {
    let resolution = posada.tenants().resolve(identifier, channel).await?;
    let (tenants, exit): (Vec<&Tenant>, _) = match &resolution {
        Resolution::Found { tenant, .. } => (vec![&**tenant], Exit::Done),
        Resolution::Suspended { tenant } => (vec![&**tenant], Exit::Unclean),
        Resolution::Ambiguous { tenants } => {
            (tenants.iter().map(|tenant| &**tenant).collect(), Exit::Unclean)
        }
        Resolution::Unknown => (Vec::new(), Exit::Unclean),
    };
    let names: Vec<_> = tenants
        .iter()
        .map(|tenant| format!("{} ({})", tenant.id, tenant.name))
        .collect();
    let text = match &resolution {
        Resolution::Found { source, .. } => format!("{} [{source}]", names.join(", ")),
        Resolution::Unknown => format!("{identifier} is unknown."),
        other => format!("{}: {}", other.as_str(), names.join(", ")),
    };
    let data = json!({
        "resolution": resolution.as_str(),
        "tenants": tenants.iter().map(|tenant| tenant.id.as_str()).collect::<Vec<_>>(),
    });
    Ok(Report::new(data, text).ending(exit))
}

fn listed(tenants: &[Tenant]) -> Report {
    let rows = tenants.iter().map(|tenant| {
        [
            tenant.id.to_string(),
            tenant.name.clone(),
            tenant.status.to_string(),
            hours(&tenant.business_hours),
        ]
    });
    Report::new(
        Value::Array(tenants.iter().map(as_json).collect()),
        table(
            ["tenant", "name", "status", "hours"],
            rows,
            "There are no tenants.",
        ),
    )
}

fn shown(tenant: &Tenant) -> Report {
    let rows = [
        ["tenant".to_owned(), tenant.id.to_string()],
        ["name".to_owned(), tenant.name.clone()],
        ["status".to_owned(), tenant.status.to_string()],
        ["hours".to_owned(), hours(&tenant.business_hours)],
        ["created".to_owned(), or_dash(tenant.created_at.map(moment))],
        ["updated".to_owned(), or_dash(tenant.updated_at.map(moment))],
    ];
    Report::new(as_json(tenant), table(["what", "value"], rows, ""))
}

fn hours(hours: &BusinessHours) -> String {
    match (hours.start, hours.end) {
        (None, None) => "-".to_owned(),
        (start, end) => format!(
            "{}-{} {}",
            or_dash(start),
            or_dash(end),
            hours.timezone.as_deref().unwrap_or_default()
        )
        .trim_end()
        .to_owned(),
    }
}

fn as_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id.as_str(),
        "name": tenant.name,
        "status": tenant.status.as_str(),
        "business_hours": {
            "start": tenant.business_hours.start,
            "end": tenant.business_hours.end,
            "timezone": tenant.business_hours.timezone,
        },
        "created_at": tenant.created_at.map(rfc3339),
        "updated_at": tenant.updated_at.map(rfc3339),
    })
}
