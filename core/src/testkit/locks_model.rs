//! The scripts of named locks against their specification in memory: the same random steps, the same answers.

use std::time::Duration;

use crate::backends::redis::Redis;
use crate::clock::SystemClock;
use crate::error::Result;
use crate::locks::{
    Attempt, Extension, Grant, LockKey, LockName, LockStore, MemoryLocks, RedisLocks, Released,
};
use crate::settings::RedisSettings;
use crate::task::Tasks;

/// Longer than a run, so that nothing ends by itself: the two clocks would not agree on the moment.
const TTL: Duration = Duration::from_mins(1);
const OWNERS: u64 = 5;

/// Takes random steps of five callers on one lock, on this Redis and in memory, and compares every answer.
///
/// # Errors
/// `redis.*`; a difference panics with the seed and the step.
pub async fn redis_agrees_with_memory(
    settings: &RedisSettings,
    name: &str,
    seed: u64,
    steps: usize,
) -> Result<()> {
    let redis = RedisLocks::new(Redis::new(settings, Tasks::new())?);
    let memory = MemoryLocks::new(SystemClock::shared());
    let key = LockKey {
        tenant: None,
        name: LockName::parse(name)?,
    };
    let mut dice = seed | 1;
    for step in 0..steps {
        // xorshift64: small, and a run can be repeated.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let (action, caller) = (dice / OWNERS % 6, dice % OWNERS);
        let (there, here) = (
            take_step(&redis, &key, action, caller).await?,
            take_step(&memory, &key, action, caller).await?,
        );
        assert_eq!(
            there, here,
            "seed {seed}, step {step}: caller {caller}, action {action}"
        );
    }
    Ok(())
}

/// Takes one step; answers what does not depend on the clock.
async fn take_step(store: &dyn LockStore, key: &LockKey, action: u64, caller: u64) -> Result<String> {
    let (token, owner) = (format!("{caller:032x}"), format!("owner {caller}"));
    Ok(match action {
        0..=2 => {
            let attempt = Attempt {
                key,
                token: &token,
                owner: &owner,
                ttl: TTL,
                process: (action != 0).then_some("a process"),
            };
            match store.acquire(attempt).await?.answer {
                Grant::Granted(lease) => format!("granted {} {}", lease.token, lease.owner),
                Grant::Busy { holder, ahead, .. } => format!("busy {holder} {ahead}"),
            }
        }
        3 => match store.extend(key, &token, TTL).await?.answer {
            Extension::Extended(lease) => format!("extended {}", lease.token),
            Extension::Lost => "lost".to_owned(),
        },
        4 => match store.release(key, &token).await?.answer {
            Released::Done(release, lease) => format!("{release:?} {:?}", lease.map(|lease| lease.token)),
            Released::NotOwner => "not the owner".to_owned(),
        },
        _ => {
            let state = store.inspect(key).await?;
            format!("{:?}", state.map(|state| (state.owner, state.waiters)))
        }
    })
}
