//! Feature flags.

use posada::flags::FlagValue;
use serde_json::{Value, json};

use crate::arguments::{Flags, OfTenant};
use crate::failure::Outcome;
use crate::installation::{Needs, with};
use crate::report::Report;
use crate::table::table;

pub(super) async fn run(what: Flags) -> Outcome<Report> {
    with(Needs::Redis, async |posada| {
        let flags = posada.flags();
        match what {
            Flags::List { of } => {
                flags.refresh().await?;
                let listed = flags.list(of.tenant.as_ref()).await?;
                let rows = listed.iter().map(|flag| {
                    let value = flag
                        .error
                        .as_ref()
                        .map_or(flag.value.as_str(), |_| "(cannot be read)");
                    [flag.key.clone(), value.to_owned(), flag.source.to_string()]
                });
                let text = table(["flag", "value", "from"], rows, "There are no flags.");
                let data = listed.iter().map(|flag| {
                    json!({
                        "key": flag.key,
                        "value": flag.value,
                        "enabled": flag.enabled,
                        "source": flag.source.as_str(),
                        "stale": flag.stale,
                        "error": flag.error.as_deref(),
                    })
                });
                Ok(Report::new(Value::Array(data.collect()), text))
            }
            Flags::Set { flag, value, of } => {
                let parsed = FlagValue::parse(&value)?;
                flags.set(of.tenant.as_ref(), &flag, parsed).await?;
                let data = json!({"key": flag, "value": value, "tenant": named(&of)});
                Ok(Report::new(data, format!("{flag} is {value} {}.", for_whom(&of))))
            }
            Flags::Unset { flag, of } => {
                let was_set = flags.unset(of.tenant.as_ref(), &flag).await?;
                let data = json!({"key": flag, "was_set": was_set, "tenant": named(&of)});
                let text = if was_set {
                    format!("{flag} has no value of its own any more {}.", for_whom(&of))
                } else {
                    format!("{flag} had no value of its own {}.", for_whom(&of))
                };
                Ok(Report::new(data, text))
            }
        }
    })
    .await
}

fn named(of: &OfTenant) -> Option<&str> {
    of.tenant.as_ref().map(posada::TenantId::as_str)
}

fn for_whom(of: &OfTenant) -> String {
    named(of).map_or_else(|| "for all hotels".to_owned(), |tenant| format!("for {tenant}"))
}
