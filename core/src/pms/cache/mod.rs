//! Answers of the system that are kept for a while: to spare it, and to have something to say when it is down.
//!
//! * A kept answer is *fresh* up to an age, unless we changed something in its part since it was asked for.
//! * One question is under way once in a process; every other caller waits for it.
//! * A question that cannot be answered now gets the old answer, marked as such, for up to a day.
//! * Without Redis everything is asked, and nothing fails for that.

mod memory;
mod offers;
mod redis;
mod store;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::SharedClock;
use crate::error::{Error, Result, codes};
use crate::metrics::{PMS_CACHE_HITS_TOTAL, PMS_CACHE_MISSES_TOTAL};
use crate::seldom::Seldom;
use crate::single_flight::{Leader, SingleFlight};
use crate::task::{Need, Tasks};
pub(crate) use memory::MemoryAnswers;
pub(super) use offers::{KeptOffer, question};
pub(crate) use redis::RedisAnswers;
pub(crate) use store::{AnswerStore, Place};

/// How long an answer is kept for the day on which the system is down.
const KEPT: Duration = Duration::from_hours(24);

/// How long it is tried to note a change: longer than answers count as fresh by default.
const NOTED: Duration = Duration::from_hours(1);

/// An answer and how old it is.
#[derive(Debug)]
pub(super) struct Aged<T> {
    pub(super) value: T,
    pub(super) age: Duration,
    /// Whether it is older than it should be, because the system could not be asked.
    pub(super) is_stale: bool,
}

/// A text as it is kept.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    /// When it was asked for, in milliseconds of the Unix epoch: what changed while the system thought makes it old.
    at: i64,
    value: T,
}

/// What came of a question, for all callers who waited.
type Outcome = Arc<Result<Vec<u8>>>;

/// The answers of one system. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Cache {
    store: Arc<dyn AnswerStore>,
    system: String,
    clock: SharedClock,
    tasks: Tasks,
    flights: SingleFlight<Place, Outcome>,
}

impl Cache {
    pub(super) fn new(store: Arc<dyn AnswerStore>, system: &str, clock: SharedClock, tasks: Tasks) -> Self {
        Self {
            store,
            system: system.to_owned(),
            clock,
            tasks,
            flights: SingleFlight::default(),
        }
    }

    /// The answer to a question about a part of the system: a fresh one that is kept, or what `load` brings, or else
    /// an old one. `load` ends although the caller goes away. Cancel-safe.
    ///
    /// # Errors
    /// Those of `load`, when nothing is kept.
    pub(super) async fn read<T, F>(
        &self,
        part: &str,
        question: &str,
        fresh: Duration,
        load: impl FnOnce() -> F + Send,
    ) -> Result<Aged<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let place = Place {
            system: self.system.clone(),
            part: part.to_owned(),
            question: question.to_owned(),
        };
        let kept = match self.store.read(&place).await {
            Ok(kept) => kept,
            Err(error) => {
                static SELDOM: Seldom = Seldom::new();
                if let Some(before) = SELDOM.turn() {
                    tracing::warn!(%error, before, "what is kept of the PMS could not be read");
                }
                store::Kept::default()
            }
        };
        // What cannot be read was written by another version.
        let entry: Option<Entry<T>> = kept.text.and_then(|text| serde_json::from_slice(&text).ok());
        let unchanged = |entry: &Entry<T>| kept.changed_at.is_none_or(|changed| entry.at > changed);
        let entry = match entry {
            Some(entry) if self.age(&entry) < fresh && unchanged(&entry) => {
                metrics::counter!(PMS_CACHE_HITS_TOTAL, "operation" => "generic").increment(1);
                return Ok(self.aged(entry, false));
            }
            entry => entry,
        };
        metrics::counter!(PMS_CACHE_MISSES_TOTAL, "operation" => "generic").increment(1);
        match self.ask(place, load).await {
            Ok(entry) => Ok(Aged {
                value: entry.value,
                age: Duration::ZERO,
                is_stale: false,
            }),
            Err(error) if error.is_retryable() => match entry {
                Some(entry) => {
                    static SELDOM: Seldom = Seldom::new();
                    if let Some(before) = SELDOM.turn() {
                        tracing::warn!(%error, before, "the PMS is not to be had; an old answer serves");
                    }
                    Ok(self.aged(entry, true))
                }
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Notes that we changed something in a part: what was asked before is not fresh any more.
    pub(super) async fn changed(&self, part: &str) {
        // Who asks from now on must not get an answer that was asked for before.
        self.flights.retire(|place| place.part == part);
        if self.note_change(part).await.is_err() {
            let (this, part) = (self.clone(), part.to_owned());
            let what = "the note that something changed in the PMS";
            self.tasks.until_done(what, Need::Sure, NOTED, move || {
                let (this, part) = (this.clone(), part.clone());
                async move { this.note_change(&part).await }
            });
        }
    }

    /// Notes that whatever was asked for until now is not fresh any more.
    async fn note_change(&self, part: &str) -> Result<()> {
        let now = self.clock.now().timestamp_millis();
        self.store.change(&self.system, part, now, KEPT).await
    }

    fn age<T>(&self, entry: &Entry<T>) -> Duration {
        let millis = self.clock.now().timestamp_millis().saturating_sub(entry.at);
        // Another machine's clock may be a little ahead.
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    fn aged<T>(&self, entry: Entry<T>, is_stale: bool) -> Aged<T> {
        Aged {
            age: self.age(&entry),
            value: entry.value,
            is_stale,
        }
    }

    /// Asks, or waits for the answer to the same question that is under way.
    async fn ask<T, F>(&self, place: Place, load: impl FnOnce() -> F + Send) -> Result<Entry<T>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (follower, leader) = self.flights.join(&place);
        if let Some(leader) = leader {
            self.tasks
                .in_background(self.clone().load_once(place, leader, load()));
        }
        let outcome = follower.outcome().await.ok_or_else(lost)?;
        match outcome.as_ref() {
            Ok(text) => serde_json::from_slice(text).map_err(|cause| lost().caused_by(cause)),
            Err(error) => Err(error.repeat()),
        }
    }

    async fn load_once<T>(
        self,
        place: Place,
        leader: Leader<Place, Outcome>,
        load: impl Future<Output = Result<T>> + Send,
    ) where
        T: Serialize + Send,
    {
        let at = self.clock.now().timestamp_millis();
        let text = load.await.and_then(|value| {
            serde_json::to_vec(&Entry { at, value }).map_err(|cause| lost().caused_by(cause))
        });
        if let Ok(text) = &text
            && let Err(error) = self.store.write(&place, text.clone(), KEPT).await
        {
            static SELDOM: Seldom = Seldom::new();
            if let Some(before) = SELDOM.turn() {
                tracing::warn!(%error, before, "an answer of the PMS could not be kept");
            }
        }
        leader.complete(Arc::new(text));
    }
}

fn lost() -> Error {
    Error::new(
        codes::POSADA_INTERNAL,
        "an answer of the PMS could not be handed over",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::clock::ManualClock;

    const FRESH: Duration = Duration::from_mins(5);

    struct World {
        clock: ManualClock,
        store: Arc<MemoryAnswers>,
        asked: Arc<AtomicU32>,
    }

    impl World {
        fn new() -> Self {
            let clock = ManualClock::at(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000));
            Self {
                store: Arc::new(MemoryAnswers::new(clock.shared())),
                asked: Arc::default(),
                clock,
            }
        }

        fn process(&self) -> Cache {
            Cache::new(self.store.clone(), "shop", self.clock.shared(), Tasks::new())
        }

        async fn read(&self, process: &Cache, up: bool) -> Result<Aged<u32>> {
            let asked = self.asked.clone();
            let load = || async move {
                tokio::task::yield_now().await;
                let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
                if up {
                    Ok(number)
                } else {
                    Err(Error::new(codes::PMS_UNAVAILABLE, "down"))
                }
            };
            process.read("hotel-1", "question", FRESH, load).await
        }
    }

    #[tokio::test]
    async fn an_answer_serves_every_process_until_it_is_old() {
        let world = World::new();
        assert_eq!(world.read(&world.process(), true).await.unwrap().value, 1);
        world.clock.advance(Duration::from_secs(299));
        let kept = world.read(&world.process(), true).await.unwrap();
        assert_eq!(
            (kept.value, kept.age, kept.is_stale),
            (1, Duration::from_secs(299), false)
        );
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.read(&world.process(), true).await.unwrap().value, 2);
    }

    #[tokio::test]
    async fn what_we_change_makes_answers_old_at_once() {
        let world = World::new();
        let process = world.process();
        world.read(&process, true).await.unwrap();
        world.clock.advance(Duration::from_millis(1));
        world.process().changed("hotel-2").await;
        assert_eq!(world.read(&process, true).await.unwrap().value, 1);
        world.process().changed("hotel-1").await;
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(world.read(&process, true).await.unwrap().value, 2);
        assert_eq!(world.read(&process, true).await.unwrap().value, 2);
    }

    #[tokio::test]
    async fn when_the_system_is_down_an_old_answer_serves_for_a_day_and_says_so() {
        let world = World::new();
        let process = world.process();
        assert!(world.read(&process, false).await.is_err(), "nothing is kept yet");
        world.read(&process, true).await.unwrap();
        world.clock.advance(Duration::from_hours(23));
        let old = world.read(&process, false).await.unwrap();
        assert_eq!(
            (old.value, old.age, old.is_stale),
            (2, Duration::from_hours(23), true)
        );
        world.clock.advance(Duration::from_hours(1));
        let error = world.read(&process, false).await.unwrap_err();
        assert!(error.is(codes::PMS_UNAVAILABLE));
    }

    #[tokio::test]
    async fn a_crowd_with_one_question_asks_once_also_when_it_fails() {
        let world = World::new();
        let process = world.process();
        for (up, asked) in [(false, 1), (true, 2)] {
            let answers = join_all((0..20).map(|_| world.read(&process, up))).await;
            assert!(answers.iter().all(|answer| answer.is_ok() == up));
            assert_eq!(world.asked.load(Ordering::Relaxed), asked);
        }
    }

    #[tokio::test]
    async fn who_asks_after_a_change_does_not_join_who_asked_before() {
        let world = World::new();
        let process = world.process();
        let (before, after) = tokio::join!(world.read(&process, true), async {
            tokio::task::yield_now().await;
            process.changed("hotel-1").await;
            world.read(&process, true).await
        });
        assert_eq!((before.unwrap().value, after.unwrap().value), (1, 2));
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_fails_nobody_else() {
        let world = World::new();
        let process = world.process();
        let mut first = Box::pin(world.read(&process, true));
        tokio::select! {
            biased;
            answer = &mut first => panic!("{answer:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        assert_eq!(world.read(&process, true).await.unwrap().value, 1);
    }
}
