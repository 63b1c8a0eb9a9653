//! Keys in Redis: one JSON text each.

use async_trait::async_trait;
use redis::cmd;

use super::store::{KEPT, KeyRecord, KeyStore};
use crate::backends::redis::{Redis, keys};
use crate::error::{Error, Result, codes};
use crate::pms::id::IdempotencyKey;

pub(crate) struct RedisKeys {
    redis: Redis,
}

impl RedisKeys {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl KeyStore for RedisKeys {
    async fn read(&self, system: &str, key: &IdempotencyKey) -> Result<KeyRecord> {
        let question = cmd("GET")
            .arg(keys::booking_key(system, &key.stored()))
            .to_owned();
        let text: Option<Vec<u8>> = self.redis.read(&question).await?;
        match text {
            // What cannot be read was not written by us; the system itself still tells what is booked.
            Some(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
            None => Ok(KeyRecord::default()),
        }
    }

    async fn write(&self, system: &str, key: &IdempotencyKey, record: &KeyRecord) -> Result<()> {
        let text = serde_json::to_vec(record).map_err(|cause| {
            Error::new(codes::POSADA_INTERNAL, "a key could not be written down").caused_by(cause)
        })?;
        let mut command = cmd("SET");
        command
            .arg(keys::booking_key(system, &key.stored()))
            .arg(text)
            .arg("EX")
            .arg(KEPT.as_secs());
        // Writing the same again changes nothing, so a lost answer may be followed by another try.
        self.redis.read::<()>(&command).await?;
        Ok(())
    }
}
