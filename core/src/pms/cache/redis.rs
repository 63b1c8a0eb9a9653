//! Answers in Redis. All keys of one part stand in one slot, so that one command reads an answer and the last change.

use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;

use super::store::{AnswerStore, Kept, Place};
use crate::backends::redis::{Redis, keys};
use crate::clock::life_millis;
use crate::error::Result;

pub(crate) struct RedisAnswers {
    redis: Redis,
}

impl RedisAnswers {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl AnswerStore for RedisAnswers {
    async fn read(&self, place: &Place) -> Result<Kept> {
        let question = cmd("MGET")
            .arg(keys::pms_answer(&place.system, &place.part, &place.question))
            .arg(keys::pms_change(&place.system, &place.part))
            .to_owned();
        let (text, changed_at): (Option<Vec<u8>>, Option<Vec<u8>>) = self.redis.read(&question).await?;
        let changed_at = changed_at.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        Ok(Kept { text, changed_at })
    }

    async fn write(&self, place: &Place, text: Vec<u8>, ttl: Duration) -> Result<()> {
        let mut command = cmd("SET");
        command
            .arg(keys::pms_answer(&place.system, &place.part, &place.question))
            .arg(text)
            .arg("PX")
            .arg(life_millis(ttl));
        // Writing the same again changes nothing, so a lost answer may be followed by another try.
        self.redis.read::<()>(&command).await?;
        Ok(())
    }

    async fn change(&self, system: &str, part: &str, at: i64, ttl: Duration) -> Result<()> {
        let mut command = cmd("SET");
        command
            .arg(keys::pms_change(system, part))
            .arg(at)
            .arg("PX")
            .arg(life_millis(ttl));
        self.redis.read::<()>(&command).await?;
        Ok(())
    }
}
