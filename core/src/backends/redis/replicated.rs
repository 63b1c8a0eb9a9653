//! Scripts whose effect is to reach replicas before they are answered.
//!
//! `WAIT` speaks of what its own connection has written, and holds up everything that comes behind it there. So these
//! calls have connections to themselves: one call at a time on each, a few of which are kept for the next calls.

use std::sync::Mutex;
use std::time::Duration;

use redis::{FromRedisValue, Pipeline, Value};
use tokio::time::timeout;

use super::link::{Connector, Link};
use super::script::Call;
use super::{Effect, Failure};
use crate::clock::millis;
use crate::error::Result as ApiResult;
use crate::settings::RedisSettings;
use crate::sync;

/// How many connections are kept while none is needed.
const KEPT: usize = 4;

/// The longest time to wait for replicas.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The connections of such calls.
pub(super) struct Replicated {
    connector: Connector,
    idle: Mutex<Vec<Link>>,
    connect_timeout: Duration,
    command_timeout: Duration,
}

impl Replicated {
    pub(super) fn new(settings: &RedisSettings) -> ApiResult<Self> {
        // The driver of a cluster has a deadline of its own, which must not end a longer wait.
        let patient = RedisSettings {
            command_timeout: settings.command_timeout + LONGEST_WAIT,
            ..settings.clone()
        };
        Ok(Self {
            connector: Connector::new(&patient)?,
            idle: Mutex::default(),
            connect_timeout: settings.connect_timeout,
            command_timeout: settings.command_timeout,
        })
    }

    /// Runs a script that may run twice without harm, and waits for replicas; returns also how many have it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &mut Call<'_>,
        replicas: u32,
        within: Duration,
    ) -> Result<(T, u32), Failure> {
        let key = call.first_key().to_vec();
        match self.attempt(call.by_hash().clone(), &key, replicas, within).await {
            Err(Failure::UnknownScript) => self.attempt(call.by_text(), &key, replicas, within).await,
            outcome => outcome,
        }
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        script: redis::Cmd,
        key: &[u8],
        replicas: u32,
        within: Duration,
    ) -> Result<(T, u32), Failure> {
        let mut commands = Pipeline::new();
        commands.add_command(script);
        // Zero would wait for ever.
        let longest = millis(within).max(1);
        commands.cmd("WAIT").arg(replicas).arg(longest);
        // A connection that was kept may have been closed meanwhile; a new one says so at once.
        if let Some(link) = self.kept()
            && let Ok(outcome) = self.exchange(link, &commands, key, within).await
        {
            return outcome;
        }
        let link = timeout(self.connect_timeout, self.connector.connect(None)).await;
        let link = link
            .map_err(|_| Failure::unavailable("no connection within the deadline"))?
            .map_err(|error| Failure::while_connecting(&error))?;
        self.exchange(link, &commands, key, within).await?
    }

    /// The outer failure says that the connection broke.
    async fn exchange<T: FromRedisValue>(
        &self,
        link: Link,
        commands: &Pipeline,
        key: &[u8],
        within: Duration,
    ) -> Result<Result<(T, u32), Failure>, Failure> {
        let answered = timeout(self.command_timeout + within, link.send_to_owner(commands, key)).await;
        let Ok(answers) = answered else {
            return Ok(Err(Failure::unanswered(Effect::Read)));
        };
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) if error.is_io_error() => return Err(Failure::from_driver(&error, Effect::Read)),
            Err(error) => return Ok(Err(Failure::from_driver(&error, Effect::Read))),
        };
        self.keep(link);
        Ok(read(answers))
    }

    /// Closes what is kept.
    pub(super) fn leave(&self) {
        sync::lock(&self.idle).clear();
    }

    fn kept(&self) -> Option<Link> {
        let mut idle = sync::lock(&self.idle);
        while let Some(link) = idle.pop() {
            if !link.is_gone() {
                return Some(link);
            }
        }
        None
    }

    fn keep(&self, link: Link) {
        let mut idle = sync::lock(&self.idle);
        if idle.len() < KEPT {
            idle.push(link);
        }
    }
}

fn read<T: FromRedisValue>(answers: Vec<Value>) -> Result<(T, u32), Failure> {
    let mut values = Vec::with_capacity(answers.len());
    for answer in answers {
        let value = answer.extract_error();
        values.push(value.map_err(|error| Failure::from_driver(&error, Effect::Read))?);
    }
    <(T, u32)>::from_redis_value(Value::Array(values)).map_err(|error| Failure::Unexpected(error.to_string()))
}
