//! Keys in Redis: one JSON text each, and a sorted set of those that are unsettled, by when they are due.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use redis::cmd;

use super::store::{AT_ONCE, KEPT, KeyRecord, KeyStore, PUT_OFF};
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

    /// Writes from when on a key may be finished; with `XX` only when it is still unsettled.
    async fn put_off(&self, system: &str, key: &str, due: DateTime<Utc>, only: Option<&str>) -> Result<()> {
        let mut command = cmd("ZADD");
        command.arg(keys::unsettled_bookings(system));
        if let Some(only) = only {
            command.arg(only);
        }
        command.arg(due.timestamp_millis()).arg(key);
        self.redis.read::<i64>(&command).await?;
        Ok(())
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

    async fn unsettle(&self, system: &str, key: &IdempotencyKey, due: DateTime<Utc>) -> Result<()> {
        self.put_off(system, &key.stored(), due, None).await
    }

    async fn settle(&self, system: &str, key: &IdempotencyKey) -> Result<()> {
        let mut command = cmd("ZREM");
        command.arg(keys::unsettled_bookings(system)).arg(&*key.stored());
        self.redis.read::<i64>(&command).await?;
        Ok(())
    }

    async fn unsettled(&self, system: &str, key: &IdempotencyKey) -> Result<Option<DateTime<Utc>>> {
        let mut question = cmd("ZSCORE");
        question.arg(keys::unsettled_bookings(system)).arg(&*key.stored());
        let due: Option<String> = self.redis.read(&question).await?;
        let millis = due.and_then(|due| due.split('.').next()?.parse().ok());
        Ok(millis.and_then(DateTime::from_timestamp_millis))
    }

    async fn overdue(&self, system: &str, now: DateTime<Utc>) -> Result<Vec<IdempotencyKey>> {
        let mut question = cmd("ZRANGEBYSCORE");
        question
            .arg(keys::unsettled_bookings(system))
            .arg("-inf")
            .arg(format!("({}", now.timestamp_millis()))
            .arg("LIMIT")
            .arg(0)
            .arg(AT_ONCE);
        let overdue: Vec<String> = self.redis.read(&question).await?;
        let mut taken = Vec::new();
        for key in overdue {
            self.put_off(system, &key, now + PUT_OFF, Some("XX")).await?;
            taken.extend(IdempotencyKey::parse(&key));
        }
        Ok(taken)
    }
}
