//! Answers of this process only.

use std::time::Duration;

use async_trait::async_trait;

use super::store::{AnswerStore, Kept, Place};
use crate::backends::memory::{Change, ExpiringMap};
use crate::clock::SharedClock;
use crate::error::Result;

pub(crate) struct MemoryAnswers {
    texts: ExpiringMap<Place, Vec<u8>>,
    changes: ExpiringMap<(String, String), i64>,
}

impl MemoryAnswers {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            texts: ExpiringMap::new(clock.clone()),
            changes: ExpiringMap::new(clock),
        }
    }
}

#[async_trait]
impl AnswerStore for MemoryAnswers {
    async fn read(&self, place: &Place) -> Result<Kept> {
        Ok(Kept {
            text: self.texts.get(place),
            changed_at: self.changes.get(&(place.system.clone(), place.part.clone())),
        })
    }

    async fn write(&self, place: &Place, text: Vec<u8>, ttl: Duration) -> Result<()> {
        let put = Change::Put(text, Some(ttl));
        self.texts.update(place.clone(), |_| (put, ()));
        Ok(())
    }

    async fn change(&self, system: &str, part: &str, at: i64, ttl: Duration) -> Result<()> {
        let put = Change::Put(at, Some(ttl));
        self.changes
            .update((system.to_owned(), part.to_owned()), |_| (put, ()));
        Ok(())
    }
}
