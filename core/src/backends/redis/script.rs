//! Lua scripts: sent by their hash, and by their text when the server does not know it yet.

use std::sync::OnceLock;
use std::time::Duration;

use redis::{Arg, Cmd, FromRedisValue, RedisWrite as _, ToRedisArgs, cmd};
use sha1::{Digest, Sha1};

use super::link::Request;
use super::{Effect, Failure, Redis};
use crate::hex::hex;

/// A script of ours. Scripts are atomic on the server, so each is one indivisible step.
pub(crate) struct Script {
    name: &'static str,
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// A script and the name under which spans and errors show it.
    pub(crate) const fn new(name: &'static str, source: &'static str) -> Self {
        Self {
            name,
            source,
            hash: OnceLock::new(),
        }
    }

    /// The SHA-1 of the text, in lower-case hexadecimal digits, as `EVALSHA` wants it.
    fn hash(&self) -> &str {
        self.hash.get_or_init(|| hex(&Sha1::digest(self.source)))
    }
}

/// A script that is made of several files, in this order. Their paths are relative to the file that names them.
macro_rules! script {
    ($name:literal, $($file:literal),+ $(,)?) => {
        $crate::backends::redis::Script::new($name, concat!($(include_str!($file)),+))
    };
}
pub(crate) use script;

/// One call of a script, being put together.
#[must_use = "a script call does nothing until it is read or written"]
pub(crate) struct Call<'a> {
    redis: &'a Redis,
    script: &'static Script,
    /// Not a command by itself: a command keeps all its words in one piece of memory.
    keys: Cmd,
    /// The script by its hash, once all keys are known.
    command: Option<Cmd>,
}

impl<'a> Call<'a> {
    pub(super) fn new(redis: &'a Redis, script: &'static Script) -> Self {
        Self {
            redis,
            script,
            // As much as most calls need.
            keys: Cmd::with_capacity(3, 128),
            command: None,
        }
    }

    /// The next of `KEYS`; they come before the arguments. On a cluster all keys of one call must share a slot.
    pub(crate) fn key(mut self, key: impl ToRedisArgs) -> Self {
        debug_assert!(self.command.is_none(), "a key after an argument");
        key.write_redis_args(&mut self.keys);
        self
    }

    /// The next of `ARGV`; a slice or tuple adds several.
    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        argument.write_redis_args(self.by_hash());
        self
    }

    /// Runs a script that changes nothing, or that may run twice without harm.
    pub(crate) async fn read<T: FromRedisValue>(self) -> Result<T, Failure> {
        self.run(Effect::Read).await
    }

    /// Runs a script that does nothing when it runs again. Repeated once when the connection broke; when no answer
    /// comes then either, it is [`Failure::OutcomeUnknown`].
    pub(crate) async fn write_once<T: FromRedisValue>(self) -> Result<T, Failure> {
        self.run(Effect::Once).await
    }

    /// Runs a script that must not run twice. A lost answer is [`Failure::OutcomeUnknown`].
    pub(crate) async fn write<T: FromRedisValue>(self) -> Result<T, Failure> {
        self.run(Effect::Write).await
    }

    /// Runs a script that may run twice without harm, and waits until `replicas` replicas have what it wrote; answers
    /// also how many do. Cancel-safe. It has a connection of its own.
    pub(crate) async fn replicated<T: FromRedisValue>(
        mut self,
        replicas: u32,
        within: Duration,
    ) -> Result<(T, u32), Failure> {
        let redis = &self.redis.0;
        if redis.tasks.is_closed() {
            return Err(Failure::Closed);
        }
        let outcome = redis.replicated.run(&mut self, replicas, within).await;
        outcome.map_err(|failure| failure.at(&redis.place))
    }

    pub(super) fn by_hash(&mut self) -> &mut Cmd {
        self.command.get_or_insert_with(|| {
            // As much as most calls need.
            let mut command = Cmd::with_capacity(14, 384);
            let keys = words(&self.keys);
            command
                .arg("EVALSHA")
                .arg(self.script.hash())
                .arg(keys.clone().count());
            keys.for_each(|key| command.write_arg(key));
            command
        })
    }

    pub(super) fn by_text(&mut self) -> Cmd {
        let source = self.script.source;
        let mut command = cmd("EVAL");
        command.arg(source);
        words(self.by_hash())
            .skip(2)
            .for_each(|word| command.write_arg(word));
        command
    }

    /// What says which server of a cluster it is for.
    pub(super) fn first_key(&self) -> &[u8] {
        words(&self.keys).next().unwrap_or_default()
    }

    async fn run<T: FromRedisValue>(mut self, effect: Effect) -> Result<T, Failure> {
        let redis = self.redis;
        match redis.call(Request::One(self.by_hash()), effect).await {
            Err(Failure::UnknownScript) => {
                tracing::debug!(
                    script = self.script.name,
                    "the server does not know the script yet"
                );
                redis.call(Request::One(&self.by_text()), effect).await
            }
            outcome => outcome,
        }
    }
}

fn words(command: &Cmd) -> impl Iterator<Item = &[u8]> + Clone {
    command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    })
}
