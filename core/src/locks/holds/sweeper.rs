//! Which resources have holds that end soon: what the sweep looks at, and nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::store::ResourceKey;
use crate::rng;
use crate::sync::lock;

/// How often ended holds are looked for. They do not count from the moment they end; this only says when the audit
/// learns of it.
const PERIOD: Duration = Duration::from_mins(1);
/// Resources that are remembered. Holds of others are noticed by the next request for their nights.
const CAPACITY: usize = 100_000;
/// Different values of the label `room_id`; the rest counts as `other`.
const LABELS: usize = 500;

/// The resources of which this process made holds.
#[derive(Debug, Default)]
pub(super) struct Sweeper(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    running: bool,
    /// When the first hold ends, as far as we know.
    ends: HashMap<ResourceKey, Instant>,
    labels: HashSet<String>,
}

impl Sweeper {
    /// Remembers that a hold of this resource ends then. Says whether the sweep is still to be started.
    pub(super) fn expect(&self, key: &ResourceKey, end: Instant) -> bool {
        let mut known = lock(&self.0);
        if let Some(first) = known.ends.get_mut(key) {
            *first = end.min(*first);
        } else if known.ends.len() < CAPACITY {
            known.ends.insert(key.clone(), end);
        }
        !std::mem::replace(&mut known.running, true)
    }

    /// Takes the resources of which a hold has ended by now.
    pub(super) fn due(&self, now: Instant) -> Vec<ResourceKey> {
        let mut known = lock(&self.0);
        known
            .ends
            .extract_if(|_, end| *end <= now)
            .map(|(key, _)| key)
            .collect()
    }

    /// The value of the label `room_id`, bounded in number, because dashboards keep every value for ever.
    pub(super) fn label(&self, key: &ResourceKey) -> String {
        let mut known = lock(&self.0);
        let label = key.resource.id();
        if known.labels.contains(&label) || known.labels.len() < LABELS {
            known.labels.insert(label.clone());
            return label;
        }
        "other".to_owned()
    }
}

/// How long until the next sweep: a moment of its own within each period, so that processes do not sweep together.
pub(super) fn pause() -> Duration {
    PERIOD / 2 + rng::jitter(PERIOD)
}
