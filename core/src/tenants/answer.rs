//! Answers, the places that hold them, and what those who wait for one get.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::question::Target;
use super::resolution::{Resolution, ResolutionSource, Verdict};
use crate::error::Error;
use crate::single_flight::{Follower, Leader};

/// An answer of the store. Times are milliseconds of [`coarse_millis`](crate::clock::Clock::coarse_millis).
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) fetched: i64,
    pub(super) source: ResolutionSource,
    pub(super) generation: u64,
}

impl Answer {
    pub(super) fn resolution(&self, now: i64) -> Resolution {
        match &self.verdict {
            Verdict::Found(tenant) => Resolution::Found {
                tenant: tenant.clone(),
                source: self.source,
                age: self.age(now),
            },
            Verdict::Suspended(tenant) => Resolution::Suspended {
                tenant: tenant.clone(),
            },
            Verdict::Unknown => Resolution::Unknown,
            Verdict::Ambiguous(tenants) => Resolution::Ambiguous {
                tenants: tenants.clone(),
            },
        }
    }

    /// The same, served although its time is over.
    pub(super) fn as_stale(&self) -> Self {
        let mut stale = self.clone();
        if stale.source == ResolutionSource::Fresh {
            stale.source = ResolutionSource::Stale;
        }
        stale
    }

    fn age(&self, now: i64) -> Duration {
        Duration::from_millis(u64::try_from(now - self.fetched).unwrap_or(0))
    }
}

/// The place of one identifier or tenant.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) fresh_until: AtomicI64,
    pub(super) refresh_at: AtomicI64,
    pub(super) refreshing: AtomicBool,
    pub(super) answer: ArcSwapOption<Answer>,
    /// What a change made wrong. Only those see it who cannot wait for the store.
    pub(super) outdated: ArcSwapOption<Answer>,
    pub(super) target: Target,
}

impl Slot {
    /// A place that holds nothing yet.
    pub(super) fn new(target: Target) -> Self {
        Self {
            fresh_until: AtomicI64::new(i64::MIN),
            refresh_at: AtomicI64::new(i64::MIN),
            refreshing: AtomicBool::new(false),
            answer: ArcSwapOption::empty(),
            outdated: ArcSwapOption::empty(),
            target,
        }
    }

    /// It has to be asked for again; what it held may still be served as stale.
    pub(super) fn expire(&self) {
        self.fresh_until.store(i64::MIN, Ordering::Release);
    }

    /// What it held is wrong.
    pub(super) fn forget(&self) {
        self.expire();
        if let Some(answer) = self.answer.swap(None) {
            self.outdated.store(Some(answer));
        }
    }
}

/// What a reader finds without any lock.
pub(super) struct Hit {
    pub(super) resolution: Resolution,
    /// It is time to ask again, and no caller does yet.
    pub(super) due: bool,
}

/// How a question ended, for everybody who waits for it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Answered {
        answer: Arc<Answer>,
        slot: Option<Arc<Slot>>,
    },
    Failed(Arc<Error>),
}

pub(super) type Waiting = Follower<Outcome>;

/// The duty to answer a question that is under way.
pub(super) struct OpenQuestion {
    pub(super) generation: u64,
    pub(super) leader: Leader<Box<str>, Outcome>,
}

/// What entering the index with a question gives.
pub(super) enum Entry {
    /// Another caller learnt the answer in the meantime, or under another spelling.
    Known(Arc<Answer>, Arc<Slot>),
    /// Another caller asks already.
    Join(Waiting, Option<Arc<Answer>>),
    /// The caller has to ask.
    Lead(OpenQuestion, Waiting, Option<Arc<Answer>>),
}
