//! What each method does: its arguments are read before any I/O, and its work answers as JSON.

mod auth;
mod handle;
mod locks;
mod pms;
mod sessions;
mod tenants;

use std::future::Future;

use posada::bridge::{Work, to_the_end};
use posada::error::codes;
use posada_bindings::Refusal;

use crate::arguments::Arguments;
use crate::outcome::Outcome;
use crate::target::Services;

/// The work of a method, by its name such as `sessions.get`.
pub(crate) fn work(services: &Services, method: &str, given: &Arguments) -> Result<Work<Outcome>, Refusal> {
    let (service, name) = method.split_once('.').unwrap_or(("", method));
    let found = match service {
        "" => handle::work(services, name)?,
        "tenants" => tenants::work(services, name, given)?,
        "sessions" => sessions::work(services, name, given)?,
        "flags" => tenants::flags(services, name, given)?,
        "locks" => match locks::work(services, name, given)? {
            None => locks::stay_holds(services, name, given)?,
            work => work,
        },
        "pms" => pms::work(services, name, given)?,
        "auth" => auth::work(services, name, given)?,
        "limits" => auth::limits(services, name, given)?,
        _ => None,
    };
    found.ok_or_else(|| {
        let message = format!("there is no method {method}");
        Refusal::invalid(codes::POSADA_INVALID_ARGUMENT, "method", message)
    })
}

/// Work that may be given up at any time.
#[allow(clippy::unnecessary_wraps, reason = "every arm of a match has the same shape")]
fn read(work: impl Future<Output = Outcome> + Send + 'static) -> Option<Work<Outcome>> {
    Some(Box::pin(work))
}

/// Work that ends although its caller gives up.
fn write(
    services: &Services,
    work: impl Future<Output = Outcome> + Send + 'static,
) -> Result<Option<Work<Outcome>>, Refusal> {
    let runtime = services.runtime.handle()?;
    Ok(Some(Box::pin(to_the_end(runtime, work))))
}
