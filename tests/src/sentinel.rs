//! A Redis primary with a replica, watched by a sentinel.

use crate::process::wait_until;
use crate::redis::{RedisServer, ask};

/// A primary, a replica, and one sentinel that promotes the replica when it is told to.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinel: RedisServer,
    primary: RedisServer,
    replica: RedisServer,
}

impl RedisSentinel {
    /// The name by which the sentinel knows the primary.
    pub const PRIMARY_NAME: &'static str = "posada";

    /// Starts all three and waits until the replica follows and the sentinel knows it.
    pub fn start() -> Self {
        let primary = RedisServer::start();
        let address = primary.address();
        let (host, port) = address.split_once(':').expect("an address has a port");
        let fast = ["--repl-diskless-sync-delay", "0", "--replicaof", host, port];
        let replica = RedisServer::start_with(&fast);
        let name = Self::PRIMARY_NAME;
        // On a busy machine a living primary may be silent for seconds; a failover begins when a test says so.
        let sentinel = RedisServer::start_sentinel(&format!(
            "sentinel monitor {name} {host} {port} 1\nsentinel down-after-milliseconds {name} 60000\n\
             sentinel failover-timeout {name} 2000\n"
        ));
        wait_until("the sentinel knows the replica", || {
            let known: String =
                ask(sentinel.url(), &["INFO", "sentinel"]).map_err(|failure| failure.to_string())?;
            (known.contains("status=ok") && known.contains("slaves=1"))
                .then_some(())
                .ok_or(known)
        });
        wait_until("the replica follows", || {
            let state: String =
                ask(replica.url(), &["INFO", "replication"]).map_err(|failure| failure.to_string())?;
            state.contains("master_link_status:up").then_some(()).ok_or(state)
        });
        Self {
            sentinel,
            primary,
            replica,
        }
    }

    /// The URL of the group, `redis+sentinel://127.0.0.1:10001/posada`.
    pub fn url(&self) -> String {
        format!(
            "redis+sentinel://{}/{}",
            self.sentinel.address(),
            Self::PRIMARY_NAME
        )
    }

    /// The sentinel.
    pub fn sentinel(&self) -> &RedisServer {
        &self.sentinel
    }

    /// The server that is the primary at first.
    pub fn primary(&mut self) -> &mut RedisServer {
        &mut self.primary
    }

    /// The server that is the replica at first.
    pub fn replica(&mut self) -> &mut RedisServer {
        &mut self.replica
    }

    /// Has the sentinel promote the first replica, and waits until that says that it is the primary.
    pub fn fail_over(&self) {
        wait_until("the replica is promoted", || {
            // Refused while one is under way, or while the replica is not known to be fit.
            let begun: Result<(), _> =
                ask(self.sentinel.url(), &["SENTINEL", "FAILOVER", Self::PRIMARY_NAME]);
            let state: String =
                ask(self.replica.url(), &["INFO", "replication"]).map_err(|failure| failure.to_string())?;
            let promoted = state.contains("role:master");
            promoted
                .then_some(())
                .ok_or_else(|| format!("{begun:?}\n{state}"))
        });
    }
}
