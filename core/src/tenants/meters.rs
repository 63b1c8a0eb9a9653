//! What the resolver counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::resolution::{Resolution, ResolutionSource};
use crate::metrics as names;

/// Handles to the metrics, taken once: looking them up by name on every request would cost more than the answer.
/// So a recorder has to be installed before the resolver is made.
pub(super) struct Meters {
    hit: Counter,
    unknown: Counter,
    default: Counter,
    suspended: Counter,
    ambiguous: Counter,
    error: Counter,
    stale: Counter,
    tenants: Gauge,
    cached: Gauge,
    latency: Histogram,
    lookups: AtomicU64,
}

impl Meters {
    pub(super) fn new() -> Self {
        let result = |name: &'static str| counter!(names::TENANT_RESOLUTION_TOTAL, "result" => name);
        Self {
            hit: result("hit"),
            unknown: result("miss_strict"),
            default: result("default"),
            suspended: result("suspended"),
            ambiguous: result("ambiguous"),
            error: result("error"),
            stale: counter!(names::TENANT_STALE_SERVED_TOTAL),
            tenants: gauge!(names::TENANTS_ACTIVE_TOTAL),
            cached: gauge!(names::TENANT_IDENTIFIERS_CACHED_TOTAL),
            latency: histogram!(names::TENANT_REFRESH_LATENCY_SECONDS),
            lookups: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self, resolution: &Resolution) {
        match resolution {
            Resolution::Found { source, .. } => match source {
                ResolutionSource::Fresh => self.hit.increment(1),
                ResolutionSource::Default => self.default.increment(1),
                ResolutionSource::Stale | ResolutionSource::Disk => {
                    self.hit.increment(1);
                    self.stale.increment(1);
                }
            },
            Resolution::Unknown => self.unknown.increment(1),
            Resolution::Suspended { .. } => self.suspended.increment(1),
            Resolution::Ambiguous { .. } => self.ambiguous.increment(1),
        }
    }

    pub(super) fn failed(&self) {
        self.error.increment(1);
    }

    /// A look-up in the store ended, well or badly.
    pub(super) fn asked(&self, took: Duration) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.latency.record(took);
    }

    pub(super) fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::Relaxed)
    }

    pub(super) fn tenants(&self, active: usize) {
        self.tenants.set(to_float(active));
    }

    pub(super) fn cached(&self, entries: usize) {
        self.cached.set(to_float(entries));
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of hotels fit a float exactly")]
fn to_float(count: usize) -> f64 {
    count as f64
}
