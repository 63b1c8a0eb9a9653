//! Conversations. JavaScript holds one by a number and sends what it changed, so that numbers which JavaScript cannot
//! hold, and what other writers left, are stored as they were.

use posada::bridge::Work;
use posada::sessions::{Document, Json, Session, Turn};
use posada_bindings::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{read, write};
use crate::arguments::Arguments;
use crate::kept::gone;
use crate::outcome::{Outcome, json};
use crate::target::Services;

/// One change: the value at a path, or none where it was removed.
#[derive(Deserialize)]
struct Change {
    path: Vec<String>,
    value: Option<Json>,
    #[serde(default)]
    removed: bool,
}

pub(super) fn work(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let (sessions, tenant) = (services.posada.sessions().clone(), given.whose()?);
    let kept = services.sessions.clone();
    let user = || given.string("user");
    Ok(match name {
        "get" => {
            let (user, services) = (user()?, services.clone());
            read(async move {
                let found = sessions.get(tenant.as_ref(), &user).await?;
                json(&found.map(|session| shown(&services, session)))
            })
        }
        "getOrCreate" => {
            let (user, services) = (user()?, services.clone());
            let channel = given.string("channel")?;
            read(async move {
                let session = sessions.get_or_create(tenant.as_ref(), &user, &channel).await?;
                json(&shown(&services, session))
            })
        }
        "save" => {
            let (number, changes): (u32, Vec<Change>) = (given.value("session")?, given.value("changes")?);
            return write(services, async move {
                let mut place = kept.get(number).await?;
                let session = place.as_mut().ok_or_else(gone)?;
                let before = session.document.clone();
                let saved = match apply(&mut session.document, changes) {
                    Ok(()) => sessions.save(session).await.map_err(Refusal::from),
                    Err(refusal) => Err(refusal),
                };
                if let Err(refusal) = saved {
                    // The changes are still JavaScript's, which may save them on another reading.
                    session.document = before;
                    return Err(refusal);
                }
                json(&json!({"expires": session.expires().map(|at| at.timestamp_millis())}))
            });
        }
        "update" => {
            let (user, services, patch) = (user()?, services.clone(), Json::parse(given.raw("patch")?)?);
            let runtime = services.clone();
            return write(&runtime, async move {
                let session = sessions.update(tenant.as_ref(), &user, &patch).await?;
                json(&shown(&services, session))
            });
        }
        "appendTurn" => {
            let mut turn = Turn::new(given.string("role")?, given.string("content")?);
            if let Some(id) = given.optional::<String>("id")? {
                turn = turn.id(id);
            }
            let (user, services) = (user()?, services.clone());
            let runtime = services.clone();
            return write(&runtime, async move {
                let session = sessions.append_turn(tenant.as_ref(), &user, turn).await?;
                json(&shown(&services, session))
            });
        }
        "touch" => {
            let user = user()?;
            return write(services, async move {
                json(&sessions.touch(tenant.as_ref(), &user).await?)
            });
        }
        "delete" => {
            let user = user()?;
            return write(services, async move {
                json(&sessions.delete(tenant.as_ref(), &user).await?)
            });
        }
        "list" => read(async move {
            let listed = sessions.list(tenant.as_ref()).await?;
            let shown = listed
                .iter()
                .map(|one| json!({"user": one.user, "expires": one.expires.timestamp_millis()}));
            json(&shown.collect::<Vec<_>>())
        }),
        "count" => read(async move { json(&sessions.count(tenant.as_ref()).await?) }),
        _ => None,
    })
}

/// A conversation as JavaScript gets it. What is no JSON elsewhere, such as NaN, is written as `null`, and stays in the
/// store as it is.
#[derive(Serialize)]
struct Shown {
    user: String,
    tenant: Option<String>,
    channel: Option<String>,
    expires: Option<i64>,
    is_new: bool,
    document: Document,
    session: u32,
}

fn shown(services: &Services, session: Session) -> Shown {
    Shown {
        user: session.user().to_owned(),
        tenant: session.tenant().map(ToString::to_string),
        channel: session.channel().map(str::to_owned),
        expires: session.expires().map(|at| at.timestamp_millis()),
        is_new: session.is_new(),
        document: session.document.clone(),
        session: services.sessions.keep(session),
    }
}

fn apply(document: &mut Document, changes: Vec<Change>) -> Result<(), Refusal> {
    for change in changes {
        let path: Vec<&str> = change.path.iter().map(String::as_str).collect();
        if !change.removed {
            document.set(path, change.value.unwrap_or(Json::Null))?;
        } else if let [key] = path[..] {
            document.remove(key);
        } else if let Some((key, above)) = path.split_last()
            && let Some(mut members) = document.at(above.iter().copied()).cloned()
        {
            if let Some(object) = members.as_object_mut() {
                object.remove(key);
            }
            document.set(above.iter().copied(), members)?;
        }
    }
    Ok(())
}
