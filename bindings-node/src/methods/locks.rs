//! Locks and stay holds.

use posada::Stay;
use posada::bridge::Work;
use posada::locks::{Hold, LockGuard, Resource};
use posada_bindings::Refusal;
use posada_bindings::arguments as shared;
use posada_bindings::arguments::Record as _;
use serde_json::{Value, json};

use super::{read, write};
use crate::arguments::Arguments;
use crate::kept::gone;
use crate::outcome::{Outcome, json};
use crate::target::Services;

pub(super) fn work(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let locks = services.posada.locks().clone();
    let guards = services.guards.clone();
    let number = || given.value::<u32>("number");
    Ok(match name {
        "acquire" | "tryAcquire" => {
            let (lock, waits) = (given.string("name")?, name == "acquire");
            let options = shared::acquire_options(&given.within("options")?)?;
            let services = services.clone();
            read(async move {
                let guard = if waits {
                    Some(locks.acquire(&lock, &options).await?)
                } else {
                    locks.try_acquire(&lock, &options).await?
                };
                json(&guard.map(|guard| locked(&services, guard)))
            })
        }
        "extendLock" => {
            let (number, ttl) = (number()?, given.duration("ttl")?.unwrap_or_default());
            return write(services, async move {
                let place = guards.get(number).await?;
                let guard = place.as_ref().ok_or_else(gone)?;
                guard.extend(ttl).await?;
                json(&guard.expires_at().timestamp_millis())
            });
        }
        "releaseLock" => {
            let number = number()?;
            return write(services, async move {
                let guard = guards.get(number).await?.take().ok_or_else(gone)?;
                let released = guard.release().await;
                guards.forget(number);
                json(&released?.as_str())
            });
        }
        "inspect" => {
            let (lock, tenant) = (given.string("name")?, given.whose()?);
            read(async move {
                let state = locks.inspect(tenant.as_ref(), &lock).await?;
                json(&state.map(|state| {
                    json!({
                        "owner": state.owner,
                        "fence": state.fence.to_string(),
                        "acquired_at": state.acquired_at.timestamp_millis(),
                        "expires_at": state.expires_at.timestamp_millis(),
                        "waiters": state.waiters,
                    })
                }))
            })
        }
        "checkFence" => {
            let (resource, fence) = (given.string("resource")?, given.string("fence")?);
            let fence = fence.parse().map_err(|_| {
                let message = "fence must be a whole number, as text".to_owned();
                Refusal::invalid(posada::error::codes::LOCKS_INVALID_FENCE, "fence", message)
            })?;
            return write(services, async move {
                json(&locks.check_fence(&resource, fence).await?)
            });
        }
        _ => None,
    })
}

pub(super) fn stay_holds(
    services: &Services,
    name: &str,
    given: &Arguments,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let (locks, holds) = (services.posada.locks().clone(), services.holds.clone());
    let number = || given.value::<u32>("number");
    Ok(match name {
        "holdStay" => {
            let (resource, stay): (String, Stay) = (given.string("resource")?, given.value("stay")?);
            let request = shared::stay_hold(&resource, stay, &given.within("options")?)?;
            let services = services.clone();
            read(async move { json(&held(&services, locks.hold_stay(&request).await?)) })
        }
        "resumeHold" => {
            let (ticket, services) = (given.string("ticket")?, services.clone());
            read(async move { json(&held(&services, locks.resume_hold(&ticket).await?)) })
        }
        "extendHold" => {
            let (number, extra) = (number()?, given.duration("extra")?);
            return write(services, async move {
                let place = holds.get(number).await?;
                let hold = place.as_ref().ok_or_else(gone)?;
                hold.extend(extra).await?;
                json(&described(hold))
            });
        }
        "moveHold" => {
            let (number, stay): (u32, Stay) = (number()?, given.value("stay")?);
            let capacity = given.count("capacity")?.unwrap_or(1);
            return write(services, async move {
                let mut place = holds.get(number).await?;
                let hold = place.as_mut().ok_or_else(gone)?;
                hold.move_to(stay, capacity).await?;
                json(&described(hold))
            });
        }
        "releaseHold" => {
            let number = number()?;
            return write(services, async move {
                let released = {
                    let mut place = holds.get(number).await?;
                    let hold = place.as_ref().ok_or_else(gone)?;
                    let released = hold.release().await?;
                    *place = None;
                    released
                };
                holds.forget(number);
                json(&released.as_str())
            });
        }
        "holds" => {
            let (resource, window): (Resource, Stay) = (given.value("resource")?, given.value("window")?);
            let tenant = given.whose()?;
            read(async move {
                let listed = locks.holds(tenant.as_ref(), &resource, window).await?;
                let shown = listed.iter().map(|state| {
                    json!({
                        "id": state.id,
                        "stay": state.stay,
                        "quantity": state.quantity,
                        "session_id": state.session_id,
                        "user_id": state.user_id,
                        "fence": state.fence.to_string(),
                        "acquired_at": state.acquired_at.timestamp_millis(),
                        "expires_at": state.expires_at.timestamp_millis(),
                        "extensions": state.extensions,
                    })
                });
                json(&shown.collect::<Vec<_>>())
            })
        }
        _ => None,
    })
}

fn locked(services: &Services, guard: LockGuard) -> Value {
    json!({
        // A fence may have more digits than a JavaScript number.
        "fence": guard.fence().to_string(),
        "token": guard.token(),
        "expires_at": guard.expires_at().timestamp_millis(),
        "number": services.guards.keep(guard),
    })
}

fn described(hold: &Hold) -> Value {
    json!({
        "id": hold.id(),
        "resource": hold.resource(),
        "stay": hold.stay(),
        "quantity": hold.quantity(),
        "fence": hold.fence().to_string(),
        "ticket": hold.ticket(),
        "expires_at": hold.expires_at().timestamp_millis(),
    })
}

fn held(services: &Services, hold: Hold) -> Value {
    let mut value = described(&hold);
    if let Some(members) = value.as_object_mut() {
        members.insert("number".to_owned(), services.holds.keep(hold).into());
    }
    value
}
