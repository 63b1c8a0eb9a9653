//! Conversations.

use serde_json::{Value, json};

use crate::arguments::Sessions;
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::{Printer, Report};
use crate::table::{moment, or_dash, rfc3339, table};

pub(super) async fn run(what: Sessions, printer: &Printer) -> Outcome<Report> {
    with(Needs::Redis, async |posada| {
        let sessions = posada.sessions();
        match what {
            Sessions::List { of } => {
                let listed = sessions.list(of.tenant.as_ref()).await?;
                let rows = listed.iter().map(|one| [one.user.clone(), moment(one.expires)]);
                let text = table(["guest", "expires"], rows, "There are no conversations.");
                let data = listed
                    .iter()
                    .map(|one| json!({"user": one.user, "expires": rfc3339(one.expires)}));
                Ok(Report::new(Value::Array(data.collect()), text))
            }
            Sessions::Show { user, of } => {
                let found = sessions.get(of.tenant.as_ref(), &user).await?;
                let session =
                    found.ok_or_else(|| Failure::not_found(format!("{user} is in no conversation")))?;
                let written = session.document.to_text();
                // What is no JSON elsewhere, such as NaN, is shown as it is stored.
                let document =
                    serde_json::from_str(&written).unwrap_or_else(|_| Value::String(written.clone()));
                let text = format!(
                    "guest    {}\nchannel  {}\nexpires  {}\n{written}",
                    session.user(),
                    or_dash(session.channel()),
                    or_dash(session.expires().map(moment)),
                );
                let data = json!({
                    "user": session.user(),
                    "channel": session.channel(),
                    "expires": session.expires().map(rfc3339),
                    "document": document,
                });
                Ok(Report::new(data, text))
            }
            Sessions::Delete { user, of } => {
                printer.confirm(&format!("delete the conversation of {user}"), &user)?;
                let existed = sessions.delete(of.tenant.as_ref(), &user).await?;
                let text = if existed {
                    format!("The conversation of {user} is deleted.")
                } else {
                    format!("{user} was in no conversation.")
                };
                Ok(Report::new(json!({"user": user, "existed": existed}), text))
            }
        }
    })
    .await
}
