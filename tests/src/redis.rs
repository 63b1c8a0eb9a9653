//! A Redis server of our own.

use std::process::Command;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisResult};
use rustix::process::Signal;

use crate::clock::Clock;
use crate::ports::Port;
use crate::process::{Process, Scratch};

/// A Redis server, made for this test and gone with it. It keeps nothing on disk unless its arguments say so.
#[derive(Debug)]
pub struct RedisServer {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    process: Option<Process>,
    scratch: Scratch,
    port: Port,
    arguments: Vec<String>,
    clock: Option<Clock>,
}

impl RedisServer {
    /// Starts an empty server and waits until it answers; some 20 ms.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, such as `["--maxmemory", "2mb"]`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_on(Port::free(), arguments)
    }

    /// Starts a member of a cluster, which does not know the others yet.
    pub(crate) fn start_clustered() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        Self::start_on(Port::free_with_bus(), &arguments)
    }

    /// Starts a sentinel from a configuration, which it will rewrite.
    pub(crate) fn start_sentinel(configuration: &str) -> Self {
        let server = Self::stopped(Port::free(), &["sentinel.conf", "--sentinel"]);
        server
            .own
            .as_ref()
            .expect("it is ours")
            .scratch
            .write("sentinel.conf", configuration);
        server.started()
    }

    /// Starts a server whose clock can be [set](Self::move_clock).
    pub fn start_with_clock() -> Self {
        let mut server = Self::stopped(Port::free(), &["--save", "", "--appendonly", "no"]);
        let own = server.own();
        own.clock = Some(Clock::build(&own.scratch));
        server.started()
    }

    /// Moves the server's clock to so many seconds after the real one; negative is before. Every command that is sent
    /// from then on sees it.
    pub fn move_clock(&mut self, seconds: i64) {
        let clock = self.own().clock.as_ref();
        clock.expect("it was started with a clock").set(seconds);
    }

    fn start_on(port: Port, arguments: &[&str]) -> Self {
        let mut all = vec!["--save", "", "--appendonly", "no"];
        all.extend(arguments);
        Self::stopped(port, &all).started()
    }

    fn stopped(port: Port, arguments: &[&str]) -> Self {
        let scratch = Scratch::new("redis");
        let url = format!("redis://127.0.0.1:{}", port.number());
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self {
            url,
            own: Some(Own {
                process: None,
                scratch,
                port,
                arguments,
                clock: None,
            }),
        }
    }

    fn started(mut self) -> Self {
        self.start_again();
        self
    }

    /// A server that runs already and is not ours to stop.
    pub(crate) fn at(url: String) -> Self {
        Self { url, own: None }
    }

    /// The server's URL, without a database number.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host and port, `127.0.0.1:10123`.
    pub fn address(&self) -> String {
        self.url
            .rsplit_once("//")
            .map_or(self.url.as_str(), |(_, address)| address)
            .to_owned()
    }

    /// Runs one command on a connection of its own; for preparing and inspecting.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        ask(&self.url, words).unwrap_or_else(|failure| panic!("{words:?}: {failure}"))
    }

    /// Ends the server; connections are closed, and data is lost unless it was started to keep it.
    pub fn stop(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.stop();
        }
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.kill();
        }
    }

    /// Starts a stopped server on its old port and in its old folder.
    pub fn start_again(&mut self) {
        let url = self.url.clone();
        let own = self.own();
        assert!(own.process.is_none(), "the server runs already");
        let mut command: Command = own.scratch.command("redis-server");
        command
            .args(&own.arguments)
            .args(["--bind", "127.0.0.1", "--port", &own.port.number().to_string()]);
        if let Some(clock) = &own.clock {
            clock.give_to(&mut command);
        }
        let mut process = Process::start("redis", command, &own.scratch, Signal::TERM);
        process.wait_until_ready(|| {
            ask::<String>(&url, &["PING"])
                .map(drop)
                .map_err(|failure| failure.to_string())
        });
        own.process = Some(process);
    }

    /// Stops time for the server: connections stay open, and nothing answers.
    pub fn freeze(&mut self) {
        self.process().freeze();
    }

    /// Ends a freeze.
    pub fn thaw(&mut self) {
        self.process().thaw();
    }

    /// The server's own log.
    pub fn log(&mut self) -> String {
        self.process().log()
    }

    fn own(&mut self) -> &mut Own {
        self.own
            .as_mut()
            .expect("this server is shared with others: start one of your own to stop it")
    }

    fn process(&mut self) -> &mut Process {
        self.own().process.as_mut().expect("the server is stopped")
    }
}

/// One command on a connection of its own, within five seconds.
pub(crate) fn ask<T: FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let patience = Duration::from_secs(5);
    let mut connection = redis::Client::open(url)?.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    let mut command = Cmd::new();
    command.arg(words);
    command.query(&mut connection)
}
