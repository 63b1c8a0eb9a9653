//! Keys of this process only.

use async_trait::async_trait;

use super::store::{KEPT, KeyRecord, KeyStore};
use crate::backends::memory::{Change, ExpiringMap};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::pms::id::IdempotencyKey;

/// By the name of the system and the key as it is stored.
pub(crate) struct MemoryKeys(ExpiringMap<(String, String), KeyRecord>);

impl MemoryKeys {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self(ExpiringMap::new(clock))
    }
}

#[async_trait]
impl KeyStore for MemoryKeys {
    async fn read(&self, system: &str, key: &IdempotencyKey) -> Result<KeyRecord> {
        let known = self.0.get(&(system.to_owned(), key.stored().into_owned()));
        Ok(known.unwrap_or_default())
    }

    async fn write(&self, system: &str, key: &IdempotencyKey, record: &KeyRecord) -> Result<()> {
        let put = Change::Put(record.clone(), Some(KEPT));
        self.0
            .update((system.to_owned(), key.stored().into_owned()), |_| (put, ()));
        Ok(())
    }
}
