//! Announcements through Redis. A lost one costs freshness until the cache expires, never correctness.

use async_trait::async_trait;

use super::invalidation::{Invalidation, Listener, ListenerEvent};
use crate::backends::redis::{Event, Redis, Subscription, keys};
use crate::error::Result;

/// The channel of all processes that share a Redis.
pub(crate) struct RedisInvalidation {
    redis: Redis,
}

impl RedisInvalidation {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Invalidation for RedisInvalidation {
    async fn announce(&self, message: Vec<u8>) -> Result<()> {
        Ok(self.redis.publish(keys::TENANTS_CHANNEL, &message).await?)
    }

    fn listen(&self) -> Box<dyn Listener> {
        Box::new(RedisListener(self.redis.subscribe(keys::TENANTS_CHANNEL)))
    }
}

struct RedisListener(Subscription);

#[async_trait]
impl Listener for RedisListener {
    async fn next(&mut self) -> ListenerEvent {
        match self.0.next().await {
            Event::Message(message) => ListenerEvent::Message(message.to_vec()),
            Event::Reconnected => ListenerEvent::Gap,
        }
    }
}
