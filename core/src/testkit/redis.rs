//! A probe of the Redis backend: plain commands, a script and a subscription, as the services use them.

use std::sync::Arc;
use std::time::Duration;

use crate::backends::redis::{Event, Redis, Script, Subscription};
use crate::error::Result;
use crate::settings::RedisSettings;
use crate::task::Tasks;

/// A handle to the backend that the services share.
#[derive(Clone)]
pub struct Probe {
    redis: Redis,
    tasks: Tasks,
}

static APPEND: Script = Script::new("probe.append", "return redis.call('APPEND', KEYS[1], ARGV[1])");

impl Probe {
    /// A probe of this server; nothing connects yet.
    pub fn new(settings: &RedisSettings) -> Result<Self> {
        let tasks = Tasks::new();
        Ok(Self {
            redis: Redis::new(settings, tasks.clone())?,
            tasks,
        })
    }

    /// `GET`, as a read.
    pub async fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.redis.read(::redis::cmd("GET").arg(key)).await?)
    }

    /// `INCR`, as a write.
    pub async fn increment(&self, key: &str) -> Result<i64> {
        Ok(self.redis.write(::redis::cmd("INCR").arg(key)).await?)
    }

    /// A script that appends; answers the new length.
    pub async fn append(&self, key: &str, text: &str) -> Result<usize> {
        Ok(self.redis.script(&APPEND).key(key).arg(text).write().await?)
    }

    /// Sends a message.
    pub async fn publish(&self, channel: &str, message: &str) -> Result<()> {
        Ok(self.redis.publish(channel, message.as_bytes()).await?)
    }

    /// Listens on a channel.
    pub fn subscribe(&self, channel: &str) -> Listener {
        Listener(self.redis.subscribe(channel))
    }

    /// Closes the handle.
    pub async fn close(&self) -> usize {
        self.tasks.close(Duration::from_secs(5)).await
    }
}

/// A subscription.
pub struct Listener(Subscription);

impl Listener {
    /// The next message, or `None` when messages may have been missed.
    pub async fn next(&mut self) -> Option<Arc<[u8]>> {
        match self.0.next().await {
            Event::Message(payload) => Some(payload),
            Event::Reconnected => None,
        }
    }
}
