//! Starts all servers, runs a command with their URLs in its environment, and stops them.
//!
//! `cargo run -q -p posada-tests --bin servers -- COMMAND…`: the exit status is the command's.

#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};

use posada_tests::{PgBouncer, PostgresServer, RedisCluster, RedisServer, servers};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!(
            "usage: servers COMMAND…   runs COMMAND with Postgres, PgBouncer, Redis and a Redis Cluster"
        );
        return ExitCode::from(2);
    };
    let postgres = PostgresServer::start();
    let pgbouncer = PgBouncer::start(&postgres, servers::POOL_SIZE);
    let redis = RedisServer::start();
    let cluster = RedisCluster::start(3);
    let ran = Command::new(&program)
        .args(words)
        .env(servers::POSTGRES_URL, postgres.url())
        .env(servers::PGBOUNCER_URL, pgbouncer.url("postgres"))
        .env(servers::REDIS_URL, redis.url())
        .env(servers::CLUSTER_URL, cluster.url())
        .env("DATABASE_URL", postgres.url())
        .env("REDIS_URL", redis.url())
        .status();
    match ran {
        // A command that a signal ended has no code; shells say 1 or more, and so do we.
        Ok(status) => ExitCode::from(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
        ),
        Err(failure) => {
            eprintln!("{} cannot be started: {failure}", program.display());
            ExitCode::from(127)
        }
    }
}
