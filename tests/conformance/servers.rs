//! The servers themselves: each answers, and databases are apart from one another.

use posada_tests::{RedisSentinel, servers, unique};

#[test]
fn postgres_answers_and_its_databases_are_apart() {
    let server = servers::postgres();
    let (first, second) = (unique("apart"), unique("apart"));
    server.create_database(&first);
    server.create_database(&second);
    server.execute_in(&first, "CREATE TABLE here (id integer)");
    let count = server.execute_in(&second, "SELECT count(*) FROM pg_tables WHERE tablename = 'here'");
    assert_eq!(count, "0");
}

#[tokio::test]
async fn the_pooler_lends_a_server_connection_for_one_transaction_only() {
    let name = unique("pooled");
    servers::postgres().create_database(&name);
    let connect = || async {
        let options = servers::pgbouncer()
            .url(&name)
            .parse::<sqlx::postgres::PgConnectOptions>()
            .unwrap();
        <sqlx::PgConnection as sqlx::Connection>::connect_with(&options.extra_float_digits(None))
            .await
            .unwrap()
    };
    let pid = "SELECT pg_backend_pid()::text AS pid";
    let (mut first, mut second) = (connect().await, connect().await);
    let one = sqlx::raw_sql(pid).fetch_one(&mut first).await.unwrap();
    let other = sqlx::raw_sql(pid).fetch_one(&mut second).await.unwrap();
    let pid = |row: &sqlx::postgres::PgRow| sqlx::Row::get::<String, _>(row, "pid");
    assert_eq!(pid(&one), pid(&other));
}

#[test]
fn redis_answers() {
    let key = unique("answers");
    servers::redis().command::<()>(&["SET", &key, "1", "EX", "60"]);
    assert_eq!(servers::redis().command::<i64>(&["GET", &key]), 1);
}

#[test]
fn every_slot_of_the_cluster_is_served() {
    let nodes = servers::cluster()
        .url()
        .trim_start_matches("redis+cluster://")
        .split(',')
        .count();
    assert_eq!(nodes, 3);
}

#[test]
fn a_sentinel_promotes_the_replica_of_a_dead_primary() {
    let mut group = RedisSentinel::start();
    group.primary().command::<()>(&["SET", "kept", "1"]);
    assert_eq!(group.primary().command::<i64>(&["WAIT", "1", "5000"]), 1);
    group.primary().kill();
    group.fail_over();
    assert_eq!(group.replica().command::<i64>(&["GET", "kept"]), 1);
}
