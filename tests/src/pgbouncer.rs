//! PgBouncer in transaction mode, as Supabase's pooler is.

use rustix::process::Signal;

use crate::ports::Port;
use crate::postgres::{PASSWORD, PostgresServer, USER, address_of, answers, psql, with_database};
use crate::process::{Process, Scratch};

/// A PgBouncer in front of a Postgres server. It lends a server connection for one transaction only, knows
/// nothing of prepared statements (before version 1.21), and offers every database of the server.
#[derive(Debug)]
pub struct PgBouncer {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    process: Option<Process>,
    scratch: Scratch,
    port: Port,
}

impl PgBouncer {
    /// Starts one with at most `pool_size` server connections per database.
    pub fn start(server: &PostgresServer, pool_size: u32) -> Self {
        Self::start_with(server, pool_size, "")
    }

    /// The same with further lines for its configuration.
    pub fn start_with(server: &PostgresServer, pool_size: u32, lines: &str) -> Self {
        let scratch = Scratch::unprivileged("pgbouncer");
        let port = Port::free();
        let url = server
            .url()
            .replace(&server.address(), &format!("127.0.0.1:{}", port.number()));
        let address = server.address();
        let (host, server_port) = address.split_once(':').expect("an address has a port");
        scratch.write("users.txt", &format!("\"{USER}\" \"{PASSWORD}\"\n"));
        scratch.write(
            "pgbouncer.ini",
            &format!(
                "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = users.txt\n\
                 admin_users = {USER}\npool_mode = transaction\ndefault_pool_size = {pool_size}\n\
                 max_client_conn = 1000\nserver_lifetime = 3600\nserver_idle_timeout = 600\n{lines}\n",
                port.number()
            ),
        );
        let mut bouncer = Self {
            url,
            own: Some(Own {
                process: None,
                scratch,
                port,
            }),
        };
        bouncer.start_again();
        bouncer
    }

    /// A pooler that runs already and is not ours to stop.
    pub(crate) fn at(url: String) -> Self {
        Self { url, own: None }
    }

    /// The URL of a database through the pooler.
    pub fn url(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// The host and port, `127.0.0.1:10123`.
    pub fn address(&self) -> String {
        address_of(&self.url).to_owned()
    }

    /// Runs a command of PgBouncer's console, such as `PAUSE` or `KILL name`, and gives its rows as text.
    pub fn admin(&self, command: &str) -> String {
        psql(&self.url("pgbouncer"), command)
    }

    /// Runs SQL in a database through the pooler and gives the rows as text, `|` between columns.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        psql(&self.url(database), sql)
    }

    /// Ends the pooler; its connections are closed.
    pub fn stop(&mut self) {
        if let Some(process) = self.own().process.take() {
            process.stop();
        }
    }

    /// Starts a stopped pooler on its old port.
    pub fn start_again(&mut self) {
        let own = self.own();
        assert!(own.process.is_none(), "the pooler runs already");
        let number = own.port.number();
        let mut command = own.scratch.command("pgbouncer");
        command.arg("pgbouncer.ini");
        let mut process = Process::start("pgbouncer", command, &own.scratch, Signal::TERM);
        process.wait_until_ready(|| answers(number));
        own.process = Some(process);
    }

    /// Stops time for the pooler: connections stay open, and nothing answers.
    pub fn freeze(&mut self) {
        self.process().freeze();
    }

    /// Ends a freeze.
    pub fn thaw(&mut self) {
        self.process().thaw();
    }

    fn own(&mut self) -> &mut Own {
        self.own
            .as_mut()
            .expect("this pooler is shared with others: start one of your own to stop it")
    }

    fn process(&mut self) -> &mut Process {
        self.own().process.as_mut().expect("the pooler is stopped")
    }
}
