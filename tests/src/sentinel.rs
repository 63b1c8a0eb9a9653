//! A Redis primary with a replica, watched by a sentinel.

use crate::process::wait_until;
use crate::redis::{RedisServer, ask};

/// A primary, a replica, and one sentinel that promotes the replica about a second after the primary dies.
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
        let sentinel = RedisServer::start_sentinel(&format!(
            "sentinel monitor {name} {host} {port} 1\nsentinel down-after-milliseconds {name} 500\n\
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

    /// Waits until the first replica says that it is the primary.
    pub fn wait_until_failed_over(&self) {
        wait_until("the replica is promoted", || {
            let state: String =
                ask(self.replica.url(), &["INFO", "replication"]).map_err(|failure| failure.to_string())?;
            state.contains("role:master").then_some(()).ok_or(state)
        });
    }
}
