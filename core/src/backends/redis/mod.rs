//! Redis behind a small face: commands and scripts with deadlines, and one subscription per process.
//!
//! Promises:
//! * Every call ends within the command timeout, reconnection included (redis-rs alone blocks on a reconnect for
//!   seconds and never leaves a half-open connection).
//! * A read is repeated once when its connection broke; a write never is. A write without an answer is
//!   [`Failure::OutcomeUnknown`], because it may have happened.
//! * Nothing connects before the first call, and a lost server is found again by the next call.
//! * The same face over one server, a Sentinel group and a cluster. On a cluster the driver follows redirections
//!   and repeats what a node refused; our scripts are safe to repeat.

mod failure;
pub(crate) mod keys;
mod link;
mod pubsub;
mod replicated;
mod rights;
mod script;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::cluster_routing::Slot;
use redis::{Cmd, FromRedisValue, Pipeline, Value};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use failure::{Effect, Failure};
pub(crate) use pubsub::{Event, Subscription};
#[cfg(test)]
pub(crate) use replicated::LONGEST_WAIT;
pub(crate) use rights::Right;
pub(crate) use script::{Call, Script, script};

use crate::error::Result as ApiResult;
use crate::settings::{RedisSettings, RedisTopology};
use crate::task::Tasks;
use link::{Connector, Link, Request};
use pubsub::PubSub;
use replicated::Replicated;

/// A handle to Redis. Clones share one connection (per node).
#[derive(Clone)]
pub(crate) struct Redis(Arc<Inner>);

struct Inner {
    connector: Arc<Connector>,
    live: ArcSwapOption<Link>,
    attempt: Mutex<Option<Attempt>>,
    connect_timeout: Duration,
    command_timeout: Duration,
    is_cluster: bool,
    /// Where the settings say that the server is, for people who read an error.
    place: Arc<str>,
    tasks: Tasks,
    pubsub: PubSub,
    replicated: Replicated,
}

/// A running attempt to connect, which any number of callers await.
type Attempt = watch::Receiver<Option<Result<Arc<Link>, Failure>>>;

impl Redis {
    /// A handle for these settings; nothing connects yet.
    pub(crate) fn new(settings: &RedisSettings, tasks: Tasks) -> ApiResult<Self> {
        let connector = Arc::new(Connector::new(settings)?);
        Ok(Self(Arc::new(Inner {
            live: ArcSwapOption::empty(),
            attempt: Mutex::default(),
            connect_timeout: settings.connect_timeout,
            command_timeout: settings.command_timeout,
            is_cluster: matches!(settings.topology, RedisTopology::Cluster(_)),
            place: settings.topology.to_string().into(),
            pubsub: PubSub::new(connector.clone(), settings.connect_timeout, tasks.clone()),
            replicated: Replicated::new(settings)?,
            connector,
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

    async fn call<T: FromRedisValue>(&self, request: Request<'_>, effect: Effect) -> Result<T, Failure> {
        let mut sent_on = None;
        let value = match timeout(
            self.0.command_timeout,
            self.exchange(request, effect, &mut sent_on),
        )
        .await
        {
            Ok(outcome) => outcome.map_err(|failure| failure.at(&self.0.place))?,
            Err(_) => return Err(self.gave_up_on(sent_on, effect).at(&self.0.place)),
        };
        T::from_redis_value(value).map_err(|error| Failure::Unexpected(error.to_string()))
    }

    /// What it means that the deadline passed, after the command was sent on this connection or on none.
    fn gave_up_on(&self, link: Option<Arc<Link>>, effect: Effect) -> Failure {
        let Some(link) = link else {
            return Failure::unavailable("no connection within the deadline");
        };
        if link.timed_out() {
            tracing::warn!("Redis left several commands unanswered; making a new connection");
            self.give_up(&link);
        }
        Failure::unanswered(effect)
    }

    async fn exchange(
        &self,
        request: Request<'_>,
        effect: Effect,
        sent_on: &mut Option<Arc<Link>>,
    ) -> Result<Value, Failure> {
        let mut repeated = false;
        loop {
            let link = self.link().await?;
            *sent_on = Some(link.clone());
            let error = match link.send(request).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let broken = link.is_broken_by(&error);
            if broken {
                self.give_up(&link);
            }
            if !broken || repeated || effect == Effect::Write || !error.is_io_error() {
                return Err(Failure::from_driver(&error, effect));
            }
            repeated = true;
            *sent_on = None;
        }
    }

    /// The live connection, or a new one.
    async fn link(&self) -> Result<Arc<Link>, Failure> {
        if let Some(link) = &*self.0.live.load()
            && !link.is_gone()
        {
            return Ok(link.clone());
        }
        if self.0.tasks.is_closed() {
            return Err(Failure::Closed);
        }
        let mut attempt = self.attempt();
        match attempt.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(link))) => Ok(link.clone()),
            Ok(Some(Err(failure))) => Err(failure.clone()),
            Ok(None) | Err(_) => Err(Failure::unavailable("the attempt to connect was given up")),
        }
    }

    /// Joins the running attempt to connect or starts one. It runs by itself, so that a caller with a short
    /// deadline does not abort it for the others.
    fn attempt(&self) -> Attempt {
        let mut running = self.0.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = &*running {
            return attempt.clone();
        }
        let (done, attempt) = watch::channel(None);
        *running = Some(attempt.clone());
        let inner = self.0.clone();
        self.0.tasks.in_background(async move {
            let outcome = match timeout(inner.connect_timeout, inner.connector.connect()).await {
                Ok(Ok(link)) => Ok(Arc::new(link)),
                Ok(Err(error)) => Err(Failure::while_connecting(&error)),
                Err(_) => Err(Failure::unavailable(format_args!(
                    "no connection within {:?}",
                    inner.connect_timeout
                ))),
            };
            inner.live.store(outcome.as_ref().ok().cloned());
            inner
                .attempt
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            done.send_replace(Some(outcome));
        });
        attempt
    }

    /// Forgets a connection, unless somebody has replaced it already.
    fn give_up(&self, link: &Arc<Link>) {
        let live = self.0.live.load();
        if live.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            self.0.live.compare_and_swap(&*live, None);
        }
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
            tls: false,
            username: None,
            password: None,
            database: 0,
            connect_timeout: Duration::from_millis(200),
            command_timeout: Duration::from_millis(200),
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
            assert!(error.is(crate::codes::REDIS_UNAVAILABLE), "{error}");
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
