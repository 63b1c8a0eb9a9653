//! Acquiring: one lock, or several at once, all of them or none.
//!
//! No caller waits for a lock while holding one that comes after it in the order of names. So no circle of waiters can
//! arise, however many locks are wanted by however many callers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::acquisition::{Acquisition, may_pass};
use super::engine::{Granted, LockEngine};
use super::guard::LockGuard;
use super::held::HeldLock;
use super::model::{AcquireOptions, LockName};
use super::order::in_place;
use super::store::{LockKey, Replicas};
use crate::error::{Error, Result, codes};

/// Most locks of one request; a script must not keep the server for long.
const MOST: usize = 100;

/// Takes one lock. `audited`: whether a refusal is worth a row of the audit.
pub(super) async fn acquire(
    engine: &LockEngine,
    name: &str,
    options: &AcquireOptions,
    audited: bool,
) -> Result<LockGuard> {
    let key = LockKey::parse(options.tenant.as_ref(), name)?;
    options.check()?;
    engine.begin();
    let granted = Acquisition::new(engine, key, options, audited)
        .until_granted(options.wait)
        .await?;
    let mut guard = admit(engine, granted, options);
    finish(engine, std::slice::from_mut(&mut guard), options).await?;
    Ok(guard)
}

/// Takes the locks of these names, and returns their guards in the same order.
pub(super) async fn acquire_all(
    engine: &LockEngine,
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
    engine.begin();
    let guards = take(engine, keys, options).await?;
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

async fn take(engine: &LockEngine, keys: Vec<LockKey>, options: &AcquireOptions) -> Result<Vec<LockGuard>> {
    let in_one_step = engine
        .server()
        .store()
        .share_a_step(&keys.iter().collect::<Vec<_>>());
    let mut acquisitions: VecDeque<_> = keys
        .into_iter()
        .map(|key| Acquisition::new(engine, key, options, true))
        .collect();
    let begun = engine.instant();
    let passed = || engine.instant().saturating_duration_since(begun);
    let mut guards = Vec::with_capacity(acquisitions.len());
    while !acquisitions.is_empty() {
        if in_one_step && acquisitions.len() > 1 {
            match Acquisition::attempt_together(&mut acquisitions, options.wait.is_zero()).await {
                Ok(granted) => guards.extend(granted.into_iter().map(|one| admit(engine, one, options))),
                // The first of them asks again by itself, as long as there is time.
                Err(error) if passed() < options.wait && may_pass(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(acquisition) = acquisitions.pop_front() else {
            break;
        };
        let taken = held(&guards);
        let granted = tokio::select! {
            outcome = acquisition.until_granted(options.wait.saturating_sub(passed())) => outcome?,
            error = keep(engine, &taken, options.ttl) => return Err(error),
        };
        guards.push(admit(engine, granted, options));
    }
    if passed() > options.ttl / 12 {
        engine.extend_all(&held(&guards), options.ttl).await?;
    }
    finish(engine, &mut guards, options).await?;
    Ok(guards)
}

fn admit(engine: &LockEngine, granted: Granted, options: &AcquireOptions) -> LockGuard {
    LockGuard::new(engine.clone(), engine.admit(granted, options.ttl))
}

fn held(guards: &[LockGuard]) -> Vec<Arc<HeldLock>> {
    guards.iter().map(|guard| guard.held().clone()).collect()
}

/// What comes after the grants: replicas get them, and they extend themselves, if the options say so.
async fn finish(engine: &LockEngine, guards: &mut [LockGuard], options: &AcquireOptions) -> Result<()> {
    if options.replicas > 0
        && let Err(error) = replicate(engine, guards, options).await
    {
        for released in join_all(guards.iter_mut().map(LockGuard::give_back)).await {
            if let Err(failure) = released {
                tracing::warn!(%failure, "a lock without its replicas will be given back in the background");
            }
        }
        return Err(error);
    }
    for guard in guards {
        engine.keep(guard.held(), options);
    }
    Ok(())
}

/// Waits until replicas have these grants. The extension is what is waited for: it is written after every grant,
/// in which step it came, and on the connection that waits.
async fn replicate(engine: &LockEngine, guards: &[LockGuard], options: &AcquireOptions) -> Result<()> {
    let replicas = Replicas {
        count: options.replicas,
        within: options.replicas_within,
    };
    let renewals: Vec<_> = guards
        .iter()
        .map(|guard| guard.held().renewal(options.ttl))
        .collect();
    let sent = engine.instant();
    let (answers, reached) = engine.server().extend_replicated(&renewals, replicas).await?;
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
async fn keep(engine: &LockEngine, locks: &[Arc<HeldLock>], ttl: Duration) -> Error {
    let mut pause = ttl / 3;
    loop {
        tokio::time::sleep(pause).await;
        pause = match engine.extend_all(locks, ttl).await {
            Ok(()) => ttl / 3,
            Err(error) if error.is(codes::LOCKS_LOST) => return error,
            // The local deadlines bound how often this is tried.
            Err(_) => ttl / 10,
        };
        if let Some(error) = locks.iter().find_map(|held| held.ensure_held().err()) {
            return error;
        }
    }
}
