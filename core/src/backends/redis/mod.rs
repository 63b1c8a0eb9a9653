//! Redis behind a small face: commands and scripts with deadlines, and one subscription per process.
//!
//! Promises:
//! * Every call ends within the command timeout, reconnection included (redis-rs alone blocks on a reconnect for
//!   seconds and never leaves a half-open connection).
//! * A read is repeated once when its connection broke, and so is a script that knows its repetition; a write never
//!   is. A write without an answer is [`Failure::OutcomeUnknown`], because it may have happened.
//! * Nothing connects before the first call, and a lost server is found again by the next call.
//! * The same face over one server, a Sentinel group and a cluster. On a cluster the driver follows redirections
//!   and repeats what a node refused; our scripts are safe to repeat.

mod connection_slot;
mod driver_task;
mod failure;
pub(crate) mod keys;
mod link;
#[cfg(unix)]
mod loop_registration;
mod pubsub;
mod refusal;
mod replicated;
mod rights;
mod script;
#[cfg(unix)]
mod socket;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::cluster_routing::Slot;
use redis::{Cmd, FromRedisValue, Pipeline, Value};
use tokio::time::{Instant, timeout_at};

pub(crate) use failure::{Effect, Failure};
pub(crate) use pubsub::{Event, Subscription};
#[cfg(test)]
pub(crate) use replicated::LONGEST_WAIT;
pub(crate) use rights::Right;
pub(crate) use script::{Call, Script, script};

use crate::error::Result as ApiResult;
use crate::settings::{RedisSettings, RedisTopology};
use crate::sync;
use crate::task::Tasks;
use connection_slot::{ConnectionSlot, SlotFactory};
use link::{Connector, Request};
use pubsub::PubSub;
use replicated::Replicated;

/// A handle to Redis. Clones share one connection (per node).
#[derive(Clone)]
pub(crate) struct Redis(Arc<Inner>);

struct Inner {
    factory: Arc<SlotFactory>,
    /// The connection that all share.
    slot: Arc<ConnectionSlot>,
    /// Those of event loops.
    #[cfg(unix)]
    loop_slots: Mutex<Vec<Arc<ConnectionSlot>>>,
    #[cfg(unix)]
    fits_event_loops: bool,
    command_timeout: Duration,
    is_cluster: bool,
    /// Where the settings say that the server is, for people who read an error.
    place: Arc<str>,
    tasks: Tasks,
    pubsub: PubSub,
    replicated: Replicated,
}

impl Redis {
    /// A handle for these settings; nothing connects yet.
    pub(crate) fn new(settings: &RedisSettings, tasks: Tasks) -> ApiResult<Self> {
        let connector = Arc::new(Connector::new(settings)?);
        let factory = Arc::new(SlotFactory {
            connector: connector.clone(),
            connect_timeout: settings.connect_timeout,
            tasks: tasks.clone(),
        });
        Ok(Self(Arc::new(Inner {
            slot: ConnectionSlot::new(factory.clone(), None),
            #[cfg(unix)]
            loop_slots: Mutex::default(),
            #[cfg(unix)]
            fits_event_loops: connector.fits_event_loops(),
            factory,
            command_timeout: settings.command_timeout,
            is_cluster: matches!(settings.topology, RedisTopology::Cluster(_)),
            place: settings.topology.to_string().into(),
            pubsub: PubSub::new(connector, settings.connect_timeout, tasks.clone()),
            replicated: Replicated::new(settings)?,
            tasks,
        })))
    }

    /// Whether keys of different hash tags live on different servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.0.is_cluster
    }

    /// The part of the server that has this key: scripts may have all keys of one part.
    pub(crate) fn part(&self, key: &str) -> Option<Slot> {
        self.0.is_cluster.then(|| Slot::for_key(key))
    }

    /// Whether one script may have all these keys.
    pub(crate) fn share_a_part(&self, keys: impl IntoIterator<Item = String>) -> bool {
        let mut parts = keys.into_iter().map(|key| self.part(&key));
        let first = parts.next();
        parts.all(|part| Some(part) == first)
    }

    /// Asks the server for a sign of life.
    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        self.read::<Value>(&redis::cmd("PING")).await.map(drop)
    }

    /// Whether the server takes writes. Asks by a write that changes nothing, and meets every reason for which Redis
    /// refuses writes: no memory, no replicas, a snapshot that failed, a replica. Every part of a cluster is asked.
    /// Cancel-safe.
    pub(crate) async fn may_write(&self) -> Result<(), Failure> {
        let write = async |key: &str| {
            // An empty text at the beginning of nothing makes no key.
            let command = redis::cmd("SETRANGE").arg(key).arg(0).arg("").to_owned();
            self.read::<Value>(&command).await.map(drop)
        };
        if self.0.is_cluster {
            try_join_all(keys::HEALTH_OF_PARTS.map(write)).await.map(drop)
        } else {
            write(keys::HEALTH).await
        }
    }

    /// Runs a command that changes nothing. Repeated once when the connection broke. Cancel-safe.
    pub(crate) async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.call(Request::One(command), Effect::Read).await
    }

    /// Runs commands that change nothing, in one round trip and in this order; others may come in between. On a
    /// cluster their keys must share a slot. Repeated once when the connection broke. Cancel-safe.
    pub(crate) async fn read_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Failure> {
        self.call(Request::All(commands), Effect::Read).await
    }

    /// Runs a command once. When the caller stops waiting, the command may still be executed.
    pub(crate) async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.call(Request::One(command), Effect::Write).await
    }

    /// Begins a call of a script.
    pub(crate) fn script(&self, script: &'static Script) -> Call<'_> {
        Call::new(self, script)
    }

    /// Listens on a channel. All subscriptions of a handle share one connection.
    pub(crate) fn subscribe(&self, channel: &str) -> Subscription {
        self.0.pubsub.subscribe(channel)
    }

    /// Sends a message to every subscriber of a channel, wherever it is connected.
    pub(crate) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), Failure> {
        self.write::<Value>(redis::cmd("PUBLISH").arg(channel).arg(payload))
            .await
            .map(drop)
    }

    /// Closes every connection; one that a call uses, after that. For the end: then only work in the background that
    /// comes even later makes another one, which is closed with the handle.
    pub(crate) fn close(&self) {
        #[cfg(unix)]
        for slot in self.loop_slots().drain(..) {
            slot.clear();
        }
        self.0.slot.clear();
        self.0.replicated.leave();
    }

    async fn call<T: FromRedisValue>(&self, request: Request<'_>, effect: Effect) -> Result<T, Failure> {
        let value = self.exchange(request, effect).await;
        T::from_redis_value(value.map_err(|failure| failure.at(&self.0.place))?)
            .map_err(|error| Failure::Unexpected(error.to_string()))
    }

    async fn exchange(&self, request: Request<'_>, effect: Effect) -> Result<Value, Failure> {
        #[allow(clippy::disallowed_methods, reason = "it is tokio's timer that waits for it")]
        let deadline = Instant::now() + self.0.command_timeout;
        let slot = self.slot();
        let mut repeated = false;
        // The first attempt may have done it, whatever becomes of the second.
        let failed = |failure: Failure, repeated: bool| match failure {
            failure @ (Failure::UnknownScript | Failure::Closed) => failure,
            _ if repeated && effect == Effect::Once => Failure::OutcomeUnknown,
            failure => failure,
        };
        loop {
            let link = match slot.live() {
                Some(link) => Ok(link),
                None => timeout_at(deadline, slot.connect())
                    .await
                    .unwrap_or_else(|_| Err(Failure::unavailable("no connection within the deadline"))),
            };
            let link = link.map_err(|failure| failed(failure, repeated))?;
            let error = match link.send(request, deadline).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => {
                    // One late answer is a slow server; several in a row are a half-open connection, which nothing else would end.
                    if link.timed_out() {
                        tracing::warn!("Redis left several commands unanswered; making a new connection");
                        slot.discard(&link);
                    }
                    return Err(Failure::unanswered(effect));
                }
            };
            let broken = link.is_broken_by(&error);
            if broken {
                slot.discard(&link);
            }
            // A read, and a script that knows its repetition, may run twice. A write may have been done, and an error that
            // the server itself sent would be the same again.
            if !broken || repeated || effect == Effect::Write || !error.is_io_error() {
                return Err(failed(Failure::from_driver(&error, effect), repeated));
            }
            repeated = true;
        }
    }

    /// The connection of the event loop whose thread this is, or the one that all share.
    fn slot(&self) -> Arc<ConnectionSlot> {
        #[cfg(unix)]
        if self.0.fits_event_loops
            && let Some(event_loop) = crate::loop_connections::LoopConnections::entered()
        {
            return self.slot_of(&event_loop);
        }
        self.0.slot.clone()
    }

    #[cfg(unix)]
    fn slot_of(&self, event_loop: &crate::loop_connections::LoopConnections) -> Arc<ConnectionSlot> {
        let mut slots = self.loop_slots();
        let known = slots
            .iter()
            .find(|slot| slot.event_loop.as_ref().is_some_and(|of| event_loop.is(of)));
        if let Some(slot) = known {
            return slot.clone();
        }
        // The connections of loops that are gone. Looked for here, because here alone their number grows.
        slots.retain(|slot| {
            slot.event_loop
                .as_ref()
                .is_some_and(|event_loop| event_loop.strong_count() > 0)
        });
        let slot = ConnectionSlot::new(self.0.factory.clone(), Some(event_loop.downgrade()));
        slots.push(slot.clone());
        slot
    }

    #[cfg(unix)]
    fn loop_slots(&self) -> MutexGuard<'_, Vec<Arc<ConnectionSlot>>> {
        sync::lock(&self.0.loop_slots)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::settings::RedisNode;

    fn settings(port: u16) -> RedisSettings {
        RedisSettings {
            topology: RedisTopology::Single(RedisNode {
                host: "127.0.0.1".to_owned(),
                port,
            }),
            connect_timeout: Duration::from_millis(200),
            command_timeout: Duration::from_millis(200),
            ..RedisSettings::default()
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_unavailable_at_once() {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let redis = Redis::new(&settings(free), Tasks::new()).unwrap();
        let failure = redis
            .write::<Value>(redis::cmd("SET").arg("k").arg("v"))
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Unavailable { .. }), "{failure}");
        let named = format!("Redis (127.0.0.1:{free}) cannot be reached: ");
        assert!(failure.to_string().starts_with(&named), "{failure}");
    }

    #[tokio::test]
    async fn every_kind_of_redis_that_is_not_there_is_named_without_user_and_password() {
        for (url, place) in [
            ("redis://ana:hunter2@127.0.0.1:1/3", "127.0.0.1:1"),
            (
                "redis+cluster://ana:hunter2@127.0.0.1:1,127.0.0.1:2",
                "the cluster at 127.0.0.1:1, 127.0.0.1:2",
            ),
            (
                "redis+sentinel://ana:hunter2@127.0.0.1:1,127.0.0.1:2/mymaster/0",
                "the primary mymaster of the sentinels 127.0.0.1:1, 127.0.0.1:2",
            ),
        ] {
            let redis = Redis::new(&RedisSettings::parse(url).unwrap(), Tasks::new()).unwrap();
            let error = crate::Error::from(redis.ping().await.unwrap_err());
            assert!(error.is(crate::error::codes::REDIS_UNAVAILABLE), "{error}");
            let named = format!("Redis ({place}) cannot be reached: ");
            assert!(error.message().starts_with(&named), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("ana"), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_costs_one_deadline() {
        // Accepts in the kernel's backlog and stays silent, like a host behind a dead link.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let redis = Redis::new(&settings(silent.local_addr().unwrap().port()), Tasks::new()).unwrap();
        let failure = redis.ping().await.unwrap_err();
        assert!(matches!(failure, Failure::Unavailable { .. }), "{failure}");
    }

    #[tokio::test]
    async fn a_closed_handle_says_so() {
        let tasks = Tasks::new();
        let redis = Redis::new(&settings(1), tasks.clone()).unwrap();
        tasks.close(Duration::from_secs(1)).await;
        assert!(matches!(redis.ping().await.unwrap_err(), Failure::Closed));
    }
}
