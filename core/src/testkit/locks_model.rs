//! The scripts of named locks against their specification in memory: the same random steps, the same answers.

use std::fmt::Write as _;
use std::time::Duration;

use crate::backends::redis::Redis;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::locks::{
    Attempt, Extension, Grant, Lease, LockKey, LockName, LockStore, MemoryLocks, RedisLocks, Released,
    Renewal,
};
use crate::settings::RedisSettings;
use crate::task::Tasks;
use crate::testkit::Dice;

/// Longer than a run, so that nothing ends by itself: the two clocks would not agree on the moment.
const TTL: Duration = Duration::from_mins(1);
/// After this long the claims of a run might end by themselves.
const LONGEST_RUN: Duration = Duration::from_millis(900);
const OWNERS: u64 = 6;

/// Takes random steps of six callers in two processes on three locks, on this Redis and in memory, and compares every
/// answer. Answers how many steps there was time for.
///
/// # Errors
/// `redis.*`; a difference panics with the seed and the step.
pub async fn redis_agrees_with_memory(
    settings: &RedisSettings,
    name: &str,
    seed: u64,
    steps: usize,
) -> Result<usize> {
    let redis = RedisLocks::new(Redis::new(settings, Tasks::new())?);
    let memory = MemoryLocks::new(SystemClock::shared());
    // Of one group, so that a cluster takes them together.
    let mut keys = Vec::new();
    for number in 0..3 {
        keys.push(LockKey {
            tenant: None,
            name: LockName::parse(&format!("{{{name}}}{number}"))?,
        });
    }
    redis.inspect(&keys[0]).await?;
    let begun = SystemClock.instant();
    let mut dice = Dice::new(seed | 1);
    for step in 0..steps {
        if begun.elapsed() > LONGEST_RUN {
            return Ok(step);
        }
        let roll = dice.below(u64::MAX);
        let (action, caller) = (roll / OWNERS % 14, roll % OWNERS);
        // Most steps on one of the locks, so that the callers meet there.
        keys.rotate_left(usize::from(dice.below(4) == 0));
        let (there, here) = (
            take_step(&redis, &keys, action, caller).await?,
            take_step(&memory, &keys, action, caller).await?,
        );
        assert_eq!(
            there, here,
            "seed {seed}, step {step}: caller {caller}, action {action}"
        );
    }
    Ok(steps)
}

/// Takes one step; answers what does not depend on the clock.
async fn take_step(store: &dyn LockStore, keys: &[LockKey], action: u64, caller: u64) -> Result<String> {
    let key = &keys[0];
    // The last two callers are one owner, who may enter again.
    let (token, owner) = (format!("{caller:032x}"), format!("owner {}", caller.min(4)));
    let process = if caller.is_multiple_of(2) { "one" } else { "two" };
    let shown = |lease: Option<Lease>| format!("{:?}", lease.map(|lease| (lease.token, lease.owner)));
    let attempt = |key, waits| Attempt {
        key,
        token: &token,
        owner: &owner,
        ttl: TTL,
        process,
        waits,
        again: caller >= 4,
    };
    let outcome = |grant| match grant {
        Grant::Granted(lease) => format!("granted {}", shown(Some(lease))),
        Grant::Busy { holder, ahead, .. } => format!("busy {holder} {ahead}"),
        Grant::Full => "full".to_owned(),
    };
    Ok(match action {
        0..=4 => outcome(store.acquire(attempt(key, action != 0)).await?.answer),
        5 => {
            let renewal = Renewal {
                key,
                token: &token,
                ttl: TTL,
            };
            let mut outcome = String::new();
            for answer in store.extend(&[renewal, renewal]).await {
                let _ = match answer?.answer {
                    Extension::Extended(lease) => write!(outcome, "extended {} ", lease.token),
                    Extension::Lost => write!(outcome, "lost "),
                };
            }
            outcome
        }
        6..=8 => {
            let answer = store.release(key, &token, process).await?.answer;
            let released = match answer.released {
                Released::Done(release, lease) => format!("{release:?} {}", shown(lease)),
                Released::Left => "left".to_owned(),
                Released::NotOwner => "not the owner".to_owned(),
            };
            format!("{released}, next {}", shown(answer.next))
        }
        9 => shown(store.force_release(key).await?.answer),
        10 => {
            let beat = store.beat(key, process).await?.answer;
            format!("{} {} {}", beat.tokens, beat.was_dead, beat.is_next)
        }
        11 => {
            assert!(store.share_a_step(&keys.iter().collect::<Vec<_>>()));
            let attempts: Vec<_> = keys.iter().map(|key| attempt(key, false)).collect();
            let whole = caller.is_multiple_of(3);
            let found = store.acquire_together(&attempts, whole).await?;
            let grants: Vec<_> = found.into_iter().map(|found| outcome(found.answer)).collect();
            grants.join(", ")
        }
        _ => {
            let state = store.inspect(key).await?;
            format!("{:?}", state.map(|state| (state.owner, state.waiters)))
        }
    })
}
