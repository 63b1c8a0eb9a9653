//! How many attempts to sign in are allowed: the numbers, and the fallback when Redis is silent.
//!
//! * An account has five attempts; then the next must wait 1, 2, 4, … seconds, at most fifteen minutes, and a quarter
//!   of an hour of silence gives the five back. No user is ever locked out for good, and a success forgets everything.
//! * An account is a username, in whatever case, and whichever hotel is named with it. Devices that a user has signed
//!   in from have quotas of their own, of which a user has eight.
//! * After a hundred attempts without a success in between, however slow, an account is tried once a day. Its owner
//!   comes in from a known device, whose quota is its own, or with a new password, which forgets everything too.
//! * An address has ten attempts a minute and a burst of twenty; addresses of IPv6 count by their /64.
//! * An attempt counts before its password is looked at, in one step, so that a hundred at once are no way around.
//! * Whatever Redis says, each process also counts what it admits itself, a little more generously: a program that
//!   writes to Redis, and so forgets attempts there, still has no free guesses.
//! * While the key is changed, an attempt counts under the marks that all keys make of the account, so that processes
//!   with another ring see it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::store::{Attempt, Throttle};
use crate::error::Result;
use crate::seldom::Seldom;

/// How many quotas the known devices of one user share.
pub(super) const DEVICES: u8 = 8;

/// The numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    /// Attempts before the first wait.
    pub(super) free: u32,
    pub(super) longest_wait: Duration,
    /// An account without an attempt for this long, beyond its wait, has its free attempts again.
    pub(super) memory: Duration,
    /// Attempts in a row, without a success, after which an account waits for a day each time.
    pub(super) most: u32,
    /// How long that is, and for how long the row is remembered beyond the wait.
    pub(super) day: Duration,
    /// The steady pace of an address.
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

impl Quota {
    pub(super) const NORMAL: Self = Self {
        free: 5,
        longest_wait: Duration::from_mins(15),
        memory: Duration::from_mins(15),
        most: 100,
        day: Duration::from_hours(24),
        interval: Duration::from_secs(6),
        burst: 20,
    };
    /// While Redis is silent each process counts alone, so each allows a quarter.
    pub(super) const ALONE: Self = Self {
        free: 2,
        interval: Duration::from_secs(24),
        burst: 5,
        ..Self::NORMAL
    };
    /// What one process admits at most, whatever the shared store says. More generous than that store, because a
    /// success or a new password elsewhere is not heard of here, and must not keep anybody out for longer than a
    /// minute.
    pub(super) const OWN: Self = Self {
        free: 10,
        longest_wait: Duration::from_mins(1),
        most: u32::MAX,
        burst: 40,
        ..Self::NORMAL
    };

    /// How long the account waits after its `recent`th attempt of late, which is the `row`th without a success.
    pub(super) fn wait_after(&self, recent: u32, row: u32) -> Duration {
        if row >= self.most {
            return self.day;
        }
        match recent.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => Duration::from_secs(1 << beyond.min(30)).min(self.longest_wait),
        }
    }
}

/// The bucket of an address.
pub(super) fn bucket(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}.{b:x}.{c:x}.{d:x}/64")
        }
    }
}

/// Where one attempt counts.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    /// The account, or the device, as each key marks it: not the name itself.
    pub(super) accounts: Vec<String>,
    pub(super) address: Option<String>,
}

impl Counters {
    /// One attempt for each mark; the address counts once.
    fn attempts(&self) -> Vec<Attempt> {
        let mut address = self.address.clone();
        let accounts = self.accounts.iter().cloned();
        accounts
            .map(|account| Attempt {
                account,
                address: address.take(),
            })
            .collect()
    }
}

/// Counts in the shared store, alone and stricter while that is silent, and for this process in any case.
pub(super) struct Throttling {
    shared: Arc<dyn Throttle>,
    alone: Arc<dyn Throttle>,
    own: Arc<dyn Throttle>,
}

impl Throttling {
    pub(super) fn new(shared: Arc<dyn Throttle>, alone: Arc<dyn Throttle>, own: Arc<dyn Throttle>) -> Self {
        Self { shared, alone, own }
    }

    pub(super) async fn attempt(&self, counters: &Counters) -> Result<Option<Duration>> {
        let attempts = counters.attempts();
        if let Some(wait) = count(&*self.own, &attempts).await? {
            return Ok(Some(wait));
        }
        let wait = match count(&*self.shared, &attempts).await {
            Ok(wait) => wait,
            Err(error) => {
                static SELDOM: Seldom = Seldom::new();
                if let Some(before) = SELDOM.turn() {
                    tracing::warn!(%error, before, "attempts to sign in are counted by this process alone");
                }
                count(&*self.alone, &attempts).await?
            }
        };
        if wait.is_some() {
            for attempt in &attempts {
                let _never_fails = self.own.undo(attempt).await;
            }
        }
        Ok(wait)
    }

    /// Failing to forget an attempt only makes us stricter, so it is no reason to refuse.
    pub(super) async fn succeeded(&self, counters: &Counters) {
        for attempt in counters.attempts() {
            let _stricter = self.shared.succeeded(&attempt).await;
            let _never_fails = self.alone.succeeded(&attempt).await;
            let _never_fails = self.own.succeeded(&attempt).await;
        }
    }

    pub(super) async fn undo(&self, counters: &Counters) {
        for attempt in counters.attempts() {
            let _stricter = self.shared.undo(&attempt).await;
            let _never_fails = self.alone.undo(&attempt).await;
            let _never_fails = self.own.undo(&attempt).await;
        }
    }
}

/// Counts under every mark, or under none if one of them has to wait.
async fn count(throttle: &dyn Throttle, attempts: &[Attempt]) -> Result<Option<Duration>> {
    for (counted, attempt) in attempts.iter().enumerate() {
        let Some(wait) = throttle.attempt(attempt).await? else {
            continue;
        };
        for attempt in attempts.iter().take(counted) {
            let account = Attempt {
                address: None,
                ..attempt.clone()
            };
            let _stricter = throttle.undo(&account).await;
        }
        return Ok(Some(wait));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_109_waits_double_and_have_an_end() {
        let waits: Vec<u64> = [1, 4, 5, 6, 7, 14, 15, 99]
            .map(|count| Quota::NORMAL.wait_after(count, count).as_secs())
            .into();
        assert_eq!(waits, [0, 0, 1, 2, 4, 512, 900, 900]);
        let day = Duration::from_hours(24);
        assert_eq!(Quota::NORMAL.wait_after(1, 100), day, "a hundred in a row");
    }

    #[test]
    fn neighbours_in_a_64_share_a_bucket_and_mapped_addresses_are_v4() {
        let of = |text: &str| bucket(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.9"), "203.0.113.9");
    }
}
