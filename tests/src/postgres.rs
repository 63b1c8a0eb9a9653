//! A Postgres server of our own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::ports::Port;
use crate::process::{Process, Scratch, find_program};

/// The user of every test database; a superuser, as whoever runs the migrations is.
pub(crate) const USER: &str = "posada";
/// Holds characters that must be escaped in a URL, so that the tests notice who forgets to.
pub(crate) const PASSWORD: &str = "se/cret:1";
const PASSWORD_IN_URL: &str = "se%2Fcret%3A1";

/// A Postgres server, made for this test and gone with it. Data is not safe against a crash of the machine.
#[derive(Debug)]
pub struct PostgresServer {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    // In the order in which they must be dropped: the process before its folder and its port.
    process: Option<Process>,
    scratch: Scratch,
    port: Port,
}

impl PostgresServer {
    /// Makes an empty server and waits until it answers; about a second.
    pub fn start() -> Self {
        let scratch = Scratch::unprivileged("postgres");
        let password = scratch.write("password", PASSWORD);
        let made = scratch
            .command("initdb")
            .args([
                "--no-sync",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--username",
                USER,
            ])
            .arg("--pwfile")
            .arg(password)
            .arg("--pgdata=data")
            .output()
            .expect("initdb can be started");
        assert!(
            made.status.success(),
            "initdb failed:\n{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = Port::free();
        let url = format!(
            "postgres://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{}/postgres",
            port.number()
        );
        let mut server = Self {
            url,
            own: Some(Own {
                process: None,
                scratch,
                port,
            }),
        };
        server.start_again();
        server
    }

    /// A server that runs already and is not ours to stop.
    pub(crate) fn at(url: String) -> Self {
        Self { url, own: None }
    }

    /// The URL of the database `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of another database, which need not exist.
    pub fn url_of(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// Makes an empty database and gives its URL. Names are lower-case words; see [`unique`](crate::unique).
    pub fn create_database(&self, name: &str) -> String {
        self.execute(&format!("CREATE DATABASE \"{name}\""));
        self.url_of(name)
    }

    /// Closes every connection of a database, as an administrator or a failover would.
    pub fn terminate_backends(&self, database: &str) {
        self.execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        ));
    }

    /// Runs SQL in the database `postgres` and gives the rows as text, `|` between columns.
    pub fn execute(&self, sql: &str) -> String {
        psql(&self.url, sql)
    }

    /// Runs SQL in another database.
    pub fn execute_in(&self, database: &str, sql: &str) -> String {
        psql(&self.url_of(database), sql)
    }

    /// Ends the server cleanly; open connections are closed and nothing committed is lost.
    pub fn stop(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.stop();
        }
    }

    /// Ends every process at once; the next start recovers from the log.
    pub fn kill(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.kill();
        }
    }

    /// Starts a stopped server on its old port, with its old data.
    pub fn start_again(&mut self) {
        let own = self.own();
        assert!(own.process.is_none(), "the server runs already");
        let number = own.port.number();
        let mut command = own.scratch.command("postgres");
        command.args(["-D", "data", "-p", &number.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=32MB",
            "fsync=off",
            "full_page_writes=off",
            "timezone=America/Argentina/Buenos_Aires",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::start("postgres", command, &own.scratch, Signal::QUIT);
        process.wait_until_ready(|| answers(number));
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

    /// The host and port, `127.0.0.1:10123`.
    pub fn address(&self) -> String {
        let after_user = self
            .url
            .rsplit_once('@')
            .map_or(self.url.as_str(), |(_, rest)| rest);
        after_user.split('/').next().unwrap_or_default().to_owned()
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

/// The host and port of a URL.
pub(crate) fn address_of(url: &str) -> &str {
    let rest = url
        .rsplit_once('@')
        .or_else(|| url.split_once("://"))
        .map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

/// Replaces the database in a URL and keeps its options.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (base, options) = url
        .split_once('?')
        .map_or((url, None), |(base, options)| (base, Some(options)));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    match options {
        Some(options) => format!("{server}/{database}?{options}"),
        None => format!("{server}/{database}"),
    }
}

/// Runs SQL through `psql`, so that it works from synchronous and asynchronous tests.
pub(crate) fn psql(url: &str, sql: &str) -> String {
    let ran = Command::new(find_program("psql"))
        .args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
        ])
        .arg(format!("--command={sql}"))
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .expect("psql can be started");
    let (output, errors) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{sql}\nfailed: {errors}");
    output.trim_end().to_owned()
}

/// Whether a Postgres server takes log-ins: it asks for the password, where one that is starting up refuses.
pub(crate) fn answers(port: u16) -> Result<(), String> {
    let parameters = format!("user\0{USER}\0database\0postgres\0\0");
    let length = u32::try_from(parameters.len() + 8).map_err(|failure| failure.to_string())?;
    let mut hello = length.to_be_bytes().to_vec();
    hello.extend(196_608_u32.to_be_bytes());
    hello.extend(parameters.as_bytes());
    let asked = || -> std::io::Result<u8> {
        let mut connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(&hello)?;
        let mut kind = [0];
        connection.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    match asked() {
        Ok(b'R') => Ok(()),
        Ok(kind) => Err(format!("it answers {:?}", char::from(kind))),
        Err(failure) => Err(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_follows_the_user() {
        assert_eq!(address_of("postgres://u:p@h:1/d?x=y"), "h:1");
        assert_eq!(address_of("redis://h:1"), "h:1");
    }

    #[test]
    fn another_database_keeps_the_options() {
        let url = with_database("postgres://u:p@h:1/old?sslmode=disable", "new");
        assert_eq!(url, "postgres://u:p@h:1/new?sslmode=disable");
        assert_eq!(
            with_database("postgres://u:p@h:1/old", "new"),
            "postgres://u:p@h:1/new"
        );
    }
}
