//! Locks, stay holds, rate limits, and what the audit says of them.

use chrono::NaiveDate;
use posada::limits::RateLimit;
use posada::locks::{LockState, Resource};
use posada::{Stay, TenantId};
use serde_json::{Value, json};

use crate::arguments::{LimitOf, Limits, Locks};
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::{Printer, Report};
use crate::table::{moment, or_dash, rfc3339, table};

pub(super) async fn run(what: Locks, printer: &Printer) -> Outcome<Report> {
    with(Needs::Redis, async |posada| {
        let locks = posada.locks();
        match what {
            Locks::List { of } => {
                let held = locks.list(of.tenant.as_ref()).await?;
                let held: Vec<_> = held.iter().map(|(name, state)| (name.as_str(), state)).collect();
                Ok(states(&held))
            }
            Locks::Show { name, of } => {
                let state = locks.inspect(of.tenant.as_ref(), &name).await?;
                let state = state.ok_or_else(|| Failure::not_found(format!("{name} is free")))?;
                Ok(states(&[(&name, &state)]))
            }
            Locks::Release { name, reason, of } => {
                printer.confirm(
                    &format!("take the lock {name} from its holder, who may be at work"),
                    &name,
                )?;
                let owner = locks.force_release(of.tenant.as_ref(), &name, &reason).await?;
                let text = match &owner {
                    Some(owner) => format!("{name} was taken from {owner}."),
                    None => format!("{name} was free."),
                };
                Ok(Report::new(json!({"name": name, "owner": owner}), text))
            }
        }
    })
    .await
}

fn states(held: &[(&str, &LockState)]) -> Report {
    let rows = held.iter().map(|(name, state)| {
        [
            (*name).to_owned(),
            state.owner.clone(),
            state.fence.to_string(),
            moment(state.acquired_at),
            moment(state.expires_at),
            state.waiters.to_string(),
        ]
    });
    let text = table(
        ["lock", "owner", "fence", "since", "until", "waiting"],
        rows,
        "No lock is held.",
    );
    let data = held.iter().map(|(name, state)| {
        json!({
            "name": name,
            "owner": state.owner,
            "fence": state.fence,
            "acquired_at": rfc3339(state.acquired_at),
            "expires_at": rfc3339(state.expires_at),
            "waiters": state.waiters,
        })
    });
    Report::new(Value::Array(data.collect()), text)
}

pub(super) async fn holds(
    resource: &Resource,
    from: NaiveDate,
    to: NaiveDate,
    tenant: Option<&TenantId>,
) -> Outcome<Report> {
    let window = Stay::new(from, to)?;
    with(Needs::Redis, async |posada| {
        let holds = posada.locks().holds(tenant, resource, window).await?;
        let rows = holds.iter().map(|hold| {
            [
                hold.stay.to_string(),
                hold.quantity.to_string(),
                or_dash(hold.session_id.as_ref().or(hold.user_id.as_ref())),
                hold.fence.to_string(),
                moment(hold.expires_at),
            ]
        });
        let text = table(
            ["nights", "rooms", "for", "fence", "until"],
            rows,
            "Nothing is held for these nights.",
        );
        let data = holds.iter().map(|hold| {
            json!({
                "id": hold.id,
                "stay": {"check_in": hold.stay.check_in().to_string(), "check_out": hold.stay.check_out().to_string()},
                "quantity": hold.quantity,
                "session_id": hold.session_id,
                "user_id": hold.user_id,
                "fence": hold.fence,
                "acquired_at": rfc3339(hold.acquired_at),
                "expires_at": rfc3339(hold.expires_at),
                "extensions": hold.extensions,
            })
        });
        Ok(Report::new(Value::Array(data.collect()), text))
    })
    .await
}

pub(super) async fn limits(what: Limits, printer: &Printer) -> Outcome<Report> {
    let (Limits::Show(of) | Limits::Reset(of)) = &what;
    let limit = RateLimit::parse(&of.limit)?;
    let identifiers: Vec<&str> = of.identifiers.iter().map(String::as_str).collect();
    with(Needs::Redis, async |posada| {
        if matches!(what, Limits::Reset(_)) {
            let name = of.identifiers.join(" ");
            printer.confirm(&format!("forget what was counted for {name}"), &name)?;
            posada.limits().reset(&limit, &identifiers).await?;
        }
        Ok(left(of, posada.limits().peek(&limit, &identifiers).await?))
    })
    .await
}

fn left(of: &LimitOf, decision: posada::limits::Decision) -> Report {
    let text = format!(
        "{} of {} are left for {}; all of them again in {} s.",
        decision.remaining,
        decision.limit,
        of.identifiers.join(" "),
        decision.reset_after.as_secs()
    );
    let data = json!({
        "limit": decision.limit,
        "remaining": decision.remaining,
        "reset_after_ms": u64::try_from(decision.reset_after.as_millis()).unwrap_or(u64::MAX),
    });
    Report::new(data, text)
}

pub(super) async fn audit(lock_key: &str, limit: usize) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| {
        let rows = posada.locks().audit(lock_key, limit).await?;
        let lines = rows.iter().map(|row| {
            [
                moment(row.at),
                row.event.to_string(),
                or_dash(row.tenant.as_ref()),
                row.details.to_string(),
            ]
        });
        let text = table(
            ["when", "event", "tenant", "details"],
            lines,
            "The audit has nothing of this key.",
        );
        let data = rows.iter().map(|row| {
            json!({
                "lock_key": row.lock_key,
                "event": row.event.as_str(),
                "at": rfc3339(row.at),
                "tenant": row.tenant.as_ref().map(TenantId::as_str),
                "details": row.details,
            })
        });
        Ok(Report::new(Value::Array(data.collect()), text))
    })
    .await
}
