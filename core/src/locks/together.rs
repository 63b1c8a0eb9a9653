//! Several locks at once: all of them or none.
//!
//! Nobody waits for a lock while holding one that comes after it in the order of names. So no circle of waiters can
//! arise, however many locks are wanted by however many callers.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;

use super::claim::{Claim, may_pass};
use super::guard::LockGuard;
use super::in_place;
use super::model::{AcquireOptions, LockName};
use super::named::Named;
use super::store::{LockKey, Replicas};
use crate::error::{Error, Result, codes};

/// Most locks of one request; a script must not keep the server for long.
const MOST: usize = 100;

/// Takes the locks of these names, and answers their guards in the same order.
pub(super) async fn acquire_all(
    named: &Named,
    request: &[&str],
    options: &AcquireOptions,
) -> Result<Vec<LockGuard>> {
    options.check()?;
    let wanted = in_order(request)?;
    let keys: Vec<_> = wanted
        .iter()
        .map(|(name, _)| LockKey {
            tenant: options.tenant.clone(),
            name: name.clone(),
        })
        .collect();
    named.begin();
    let guards = take(named, keys, options).await?;
    Ok(in_place(wanted.iter().map(|(_, place)| *place).zip(guards)))
}

/// The names in their order, each with its place in the request.
fn in_order(names: &[&str]) -> Result<Vec<(LockName, usize)>> {
    let invalid = |what: &str| Error::field_invalid(codes::LOCKS_INVALID_NAME, "names", what);
    if names.len() > MOST {
        return Err(invalid("must be at most 100"));
    }
    let mut wanted = Vec::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        wanted.push((LockName::parse(name)?, place));
    }
    wanted.sort();
    let is_twice = |pair: &[(LockName, usize)]| matches!(pair, [(one, _), (other, _)] if one == other);
    if wanted.windows(2).any(is_twice) {
        return Err(invalid("must not be there twice"));
    }
    Ok(wanted)
}

async fn take(named: &Named, keys: Vec<LockKey>, options: &AcquireOptions) -> Result<Vec<LockGuard>> {
    let in_one_step = named.store().share_a_step(&keys.iter().collect::<Vec<_>>());
    let mut claims: VecDeque<_> = keys
        .into_iter()
        .map(|key| Claim::new(named, key, options, true))
        .collect();
    let begun = named.instant();
    let passed = || named.instant().saturating_duration_since(begun);
    let mut guards = Vec::with_capacity(claims.len());
    while !claims.is_empty() {
        if in_one_step && claims.len() > 1 {
            match Claim::attempt_together(&mut claims, options.wait.is_zero()).await {
                Ok(granted) => guards.extend(granted.into_iter().map(|one| named.admit(one, options))),
                // The first of them asks again by itself, as long as there is time.
                Err(error) if passed() < options.wait && may_pass(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(claim) = claims.pop_front() else { break };
        let granted = tokio::select! {
            outcome = claim.pursue(options.wait.saturating_sub(passed())) => outcome?,
            error = keep(named, &guards, options.ttl) => return Err(error),
        };
        guards.push(named.admit(granted, options));
    }
    if passed() > options.ttl / 12 {
        extend(named, &guards, options.ttl).await?;
    }
    finish(named, &mut guards, options).await?;
    Ok(guards)
}

/// What comes after the grants: replicas get them, and they extend themselves, if the options say so.
pub(super) async fn finish(named: &Named, guards: &mut [LockGuard], options: &AcquireOptions) -> Result<()> {
    if options.replicas > 0
        && let Err(error) = replicate(named, guards, options).await
    {
        for released in join_all(guards.iter_mut().map(LockGuard::give_back)).await {
            if let Err(failure) = released {
                tracing::warn!(%failure, "a lock without its replicas will be given back in the background");
            }
        }
        return Err(error);
    }
    for guard in guards {
        named.keep(guard, options);
    }
    Ok(())
}

/// Waits until replicas have these grants. The extension is what is waited for: it is written after every grant,
/// whoever's step made that, and on the connection that waits.
async fn replicate(named: &Named, guards: &[LockGuard], options: &AcquireOptions) -> Result<()> {
    let replicas = Replicas {
        count: options.replicas,
        within: options.replicas_within,
    };
    let locks: Vec<_> = guards
        .iter()
        .map(|guard| (&**guard.held(), options.ttl))
        .collect();
    let sent = named.instant();
    let (answers, reached) = named.extend_replicated(&locks, replicas).await?;
    for (guard, extension) in guards.iter().zip(answers) {
        guard.held().extended(extension, options.ttl, sent)?;
        guard.ensure_held()?;
    }
    if reached >= options.replicas {
        return Ok(());
    }
    let error = Error::new(
        codes::LOCKS_NOT_REPLICATED,
        "too few replicas had the lock in time",
    );
    let lock = guards.first().map_or("", |guard| guard.held().key.name.as_str());
    Err(error
        .with("lock", lock)
        .with("wanted", options.replicas)
        .with("reached", reached))
}

/// Keeps locks alive while another is waited for; ends when one of them is lost.
async fn keep(named: &Named, guards: &[LockGuard], ttl: Duration) -> Error {
    let mut pause = ttl / 3;
    loop {
        tokio::time::sleep(pause).await;
        pause = match extend(named, guards, ttl).await {
            Ok(()) => ttl / 3,
            Err(error) if error.is(codes::LOCKS_LOST) => return error,
            // The local deadlines bound how often this is tried.
            Err(_) => ttl / 10,
        };
        if let Some(error) = guards.iter().find_map(|guard| guard.ensure_held().err()) {
            return error;
        }
    }
}

async fn extend(named: &Named, guards: &[LockGuard], ttl: Duration) -> Result<()> {
    let locks: Vec<_> = guards.iter().map(|guard| (&**guard.held(), ttl)).collect();
    let sent = named.instant();
    let answers = named.extend_all(&locks).await;
    let mut each = guards.iter().zip(answers);
    each.try_for_each(|(guard, answer)| guard.held().extended(answer?, ttl, sent))
}
