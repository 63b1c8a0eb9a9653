//! What is heard while the service runs: flags that change, bookings that are moved or cancelled by a recheck, and what
//! the front desk changes in the hotel's own system.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use posada::Posada;
use posada::clock::{Clock as _, SystemClock};
use posada::pms::{ChangeCursor, Feature, Support};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

/// How many pieces of news are kept.
const KEPT: usize = 100;
/// How often the hotel's system is asked what changed.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// What was heard lately.
#[derive(Debug, Clone, Default)]
pub struct News(Arc<Mutex<VecDeque<Value>>>);

impl News {
    fn tell(&self, about: &str, what: &impl Serialize) {
        let piece = json!({"about": about, "what": what});
        tracing::info!("{piece}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(piece);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// All that is kept, the latest last.
    pub fn read(&self) -> Vec<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

/// Watches until the handle is closed. Cancel-safe: what is heard is told at once.
///
/// A service that keeps something in step with the hotel's system stores the cursor; this one begins with the changes
/// from now on.
pub async fn watch(posada: &Posada, news: &News) {
    let mut flags = posada.flags().watch().into_stream();
    let mut rechecks = posada.pms().events().into_stream();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let can_look = posada.pms().capabilities().has(Feature::Changes) != Support::No;
    let mut changes = posada.pms().changes_since(ChangeCursor::since(SystemClock.now()));
    loop {
        tokio::select! {
            change = flags.next() => match change {
                Some(change) => news.tell("flags", &change),
                None => return,
            },
            Some(event) = rechecks.next() => news.tell("rechecks", &event),
            _ = looks.tick(), if can_look => {
                let mut stream = changes.stream();
                while let Some(change) = stream.next().await {
                    match change {
                        Ok(change) => news.tell("bookings", &change),
                        // The next look asks again from the same place.
                        Err(error) => tracing::warn!("what changed in the hotel is not known: {error}"),
                    }
                }
            }
        }
    }
}
