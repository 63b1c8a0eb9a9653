//! One subscribing connection per handle, which serves every channel that has a listener.
//!
//! Messages of Redis are fire and forget: a dropped connection loses them without a sign. So every subscriber is
//! told [`Event::Reconnected`] whenever messages may have been missed, and must look again itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use redis::RedisError;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{sleep, timeout};

use super::link::Connector;
use crate::rng;
use crate::sync;
use crate::task::Tasks;

/// Messages that a slow subscriber may lag behind before it is told to look for itself.
const BACKLOG: usize = 1024;
/// How often an idle connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a subscriber learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message.
    Message(Arc<[u8]>),
    /// The subscription (again) stands; messages before this moment may be lost.
    Reconnected,
}

/// A listener on one channel.
#[derive(Debug)]
pub(crate) struct Subscription(broadcast::Receiver<Event>);

impl Subscription {
    /// The next event; never again after `close()`. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        match self.0.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => Event::Reconnected,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

type Channels = Arc<Mutex<HashMap<String, broadcast::Sender<Event>>>>;

pub(super) struct PubSub {
    channels: Channels,
    added: mpsc::UnboundedSender<String>,
    start: Mutex<Option<Listener>>,
    tasks: Tasks,
}

/// The task behind the subscriptions.
struct Listener {
    connector: Arc<Connector>,
    connect_timeout: Duration,
    channels: Channels,
    added: mpsc::UnboundedReceiver<String>,
}

impl PubSub {
    pub(super) fn new(connector: Arc<Connector>, connect_timeout: Duration, tasks: Tasks) -> Self {
        let channels = Channels::default();
        let (added, receiver) = mpsc::unbounded_channel();
        let listener = Listener {
            connector,
            connect_timeout,
            channels: channels.clone(),
            added: receiver,
        };
        Self {
            channels,
            added,
            start: Mutex::new(Some(listener)),
            tasks,
        }
    }

    /// Listens on a channel; the first call starts the connection.
    pub(super) fn subscribe(&self, channel: &str) -> Subscription {
        if let Some(listener) = sync::lock(&self.start).take() {
            self.tasks.run_until_closed(listener.run());
        }
        let mut channels = sync::lock(&self.channels);
        let sender = channels.entry(channel.to_owned()).or_insert_with(|| {
            // The listener may be gone after close(); then no receiver waits for messages either.
            let _ = self.added.send(channel.to_owned());
            broadcast::channel(BACKLOG).0
        });
        Subscription(sender.subscribe())
    }
}

impl Listener {
    async fn run(mut self) {
        let mut pause = SHORTEST_PAUSE;
        for turn in 0.. {
            match self.connect(turn).await {
                Ok((sink, stream)) => {
                    pause = SHORTEST_PAUSE;
                    self.tell_all();
                    self.listen(sink, stream).await;
                    tracing::warn!("the Redis subscription broke; subscribing again");
                }
                Err(reason) => tracing::debug!(%reason, "cannot subscribe to Redis"),
            }
            sleep(pause / 2 + rng::jitter(pause / 2)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&mut self, turn: usize) -> Result<(PubSubSink, PubSubStream), String> {
        let attempt = async {
            let client = self.connector.subscriber(turn).await?;
            let (mut sink, stream) = client.get_async_pubsub().await?.split();
            // What was announced until now is in the map already.
            while self.added.try_recv().is_ok() {}
            let names: Vec<String> = sync::lock(&self.channels).keys().cloned().collect();
            for name in names {
                sink.subscribe(name).await?;
            }
            Ok::<_, RedisError>((sink, stream))
        };
        match timeout(self.connect_timeout, attempt).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no subscription within {:?}", self.connect_timeout)),
        }
    }

    /// Hands messages on until the connection breaks or stays silent.
    async fn listen(&mut self, mut sink: PubSubSink, mut stream: PubSubStream) {
        let mut beat = tokio::time::interval(PING_EVERY);
        beat.reset();
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => {
                        let event = Event::Message(message.get_payload_bytes().into());
                        self.tell(message.get_channel_name(), event);
                        beat.reset();
                    }
                    None => return,
                },
                added = self.added.recv() => {
                    let Some(name) = added else { return };
                    match timeout(self.connect_timeout, sink.subscribe(&name)).await {
                        Ok(Ok(())) => self.tell(&name, Event::Reconnected),
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
                _ = beat.tick() => {
                    match timeout(self.connect_timeout, sink.ping::<redis::Value>()).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(_)) | Err(_) => return,
                    }
                }
            }
        }
    }

    fn tell(&self, channel: &str, event: Event) {
        if let Some(sender) = sync::lock(&self.channels).get(channel) {
            // No listener at the moment is fine.
            let _ = sender.send(event);
        }
    }

    fn tell_all(&self) {
        for sender in sync::lock(&self.channels).values() {
            let _ = sender.send(Event::Reconnected);
        }
    }
}
