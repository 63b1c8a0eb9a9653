//! The servers that the tests of one process share, each started when it is first asked for.
//!
//! Where one of the variables below is set, that server is used and none is started: so that one set of servers
//! serves all test programs of a run, in every language. The program `servers` of this crate sets them.

use std::sync::LazyLock;

use crate::{PgBouncer, PostgresServer, RedisCluster, RedisServer};

/// The variable with the URL of a Postgres server, as a superuser.
pub const POSTGRES_URL: &str = "POSADA_TEST_POSTGRES_URL";
/// The variable with the URL of a pooler in transaction mode in front of that server.
pub const PGBOUNCER_URL: &str = "POSADA_TEST_PGBOUNCER_URL";
/// The variable with the URL of a Redis server.
pub const REDIS_URL: &str = "POSADA_TEST_REDIS_URL";
/// The variable with the URL of a Redis Cluster.
pub const CLUSTER_URL: &str = "POSADA_TEST_CLUSTER_URL";

/// The variable with the address of a QloApps server that the tests may book in, and cancel afterwards.
pub const QLOAPPS_URL: &str = "POSADA_TEST_QLOAPPS_URL";
/// The variable with a key of that QloApps server's web service that may do everything.
pub const QLOAPPS_KEY: &str = "POSADA_TEST_QLOAPPS_KEY";

/// Server connections per database that the shared pooler has.
pub const POOL_SIZE: u32 = 5;

/// The shared Postgres server. Make a database of your own in it.
pub fn postgres() -> &'static PostgresServer {
    static SHARED: LazyLock<PostgresServer> =
        LazyLock::new(|| variable(POSTGRES_URL).map_or_else(PostgresServer::start, PostgresServer::at));
    &SHARED
}

/// The shared pooler in front of [`postgres`].
pub fn pgbouncer() -> &'static PgBouncer {
    static SHARED: LazyLock<PgBouncer> =
        LazyLock::new(|| match (variable(PGBOUNCER_URL), variable(POSTGRES_URL)) {
            (Some(url), Some(_)) => PgBouncer::at(url),
            _ => PgBouncer::start(postgres(), POOL_SIZE),
        });
    &SHARED
}

/// The shared Redis server. Use tenants and names of your own in it.
pub fn redis() -> &'static RedisServer {
    static SHARED: LazyLock<RedisServer> =
        LazyLock::new(|| variable(REDIS_URL).map_or_else(RedisServer::start, RedisServer::at));
    &SHARED
}

/// The shared Redis Cluster of three primaries.
pub fn cluster() -> &'static RedisCluster {
    static SHARED: LazyLock<RedisCluster> =
        LazyLock::new(|| variable(CLUSTER_URL).map_or_else(|| RedisCluster::start(3), RedisCluster::at));
    &SHARED
}

/// Address and key of the QloApps server that was given, if one was.
pub fn qloapps() -> Option<(String, String)> {
    let url = variable(QLOAPPS_URL)?;
    let key = variable(QLOAPPS_KEY);
    Some((
        url,
        key.expect("a QloApps server in POSADA_TEST_QLOAPPS_URL needs POSADA_TEST_QLOAPPS_KEY"),
    ))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
