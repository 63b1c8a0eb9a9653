//! Keys of this process only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::store::{AT_ONCE, KEPT, KeyRecord, KeyStore, PUT_OFF};
use crate::backends::memory::{Change, ExpiringMap};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::pms::id::IdempotencyKey;
use crate::sync::lock;

/// By the name of the system and the key as it is stored.
type Name = (String, String);

pub(crate) struct MemoryKeys {
    records: ExpiringMap<Name, KeyRecord>,
    unsettled: Mutex<BTreeMap<Name, DateTime<Utc>>>,
}

fn name(system: &str, key: &IdempotencyKey) -> Name {
    (system.to_owned(), key.stored().into_owned())
}

impl MemoryKeys {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            records: ExpiringMap::new(clock),
            unsettled: Mutex::default(),
        }
    }
}

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn read(&self, system: &str, key: &IdempotencyKey) -> Result<KeyRecord> {
        Ok(self.records.get(&name(system, key)).unwrap_or_default())
    }

    async fn write(&self, system: &str, key: &IdempotencyKey, record: &KeyRecord) -> Result<()> {
        let put = Change::Put(record.clone(), Some(KEPT));
        self.records.update(name(system, key), |_| (put, ()));
        Ok(())
    }

    async fn unsettle(&self, system: &str, key: &IdempotencyKey, due: DateTime<Utc>) -> Result<()> {
        lock(&self.unsettled).insert(name(system, key), due);
        Ok(())
    }

    async fn settle(&self, system: &str, key: &IdempotencyKey) -> Result<()> {
        lock(&self.unsettled).remove(&name(system, key));
        Ok(())
    }

    async fn unsettled(&self, system: &str, key: &IdempotencyKey) -> Result<Option<DateTime<Utc>>> {
        Ok(lock(&self.unsettled).get(&name(system, key)).copied())
    }

    async fn overdue(&self, system: &str, now: DateTime<Utc>) -> Result<Vec<IdempotencyKey>> {
        let mut unsettled = lock(&self.unsettled);
        let overdue = unsettled
            .iter_mut()
            .filter(|((of, _), due)| of == system && **due < now)
            .take(AT_ONCE);
        let taken = overdue.map(|((_, key), due)| {
            *due = now + PUT_OFF;
            IdempotencyKey::parse(key)
        });
        taken.collect()
    }
}
