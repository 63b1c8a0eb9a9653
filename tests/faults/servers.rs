//! The faults themselves: servers that stop come back, frozen ones say nothing.

use posada_tests::{PostgresServer, RedisServer};

#[test]
fn postgres_comes_back_on_its_port_with_its_data_after_a_stop_and_after_a_crash() {
    let mut server = PostgresServer::start();
    let url = server.url().to_owned();
    server.execute("CREATE TABLE kept (id integer); INSERT INTO kept VALUES (1)");
    server.stop();
    server.start_again();
    server.execute("INSERT INTO kept VALUES (2)");
    server.kill();
    server.start_again();
    assert_eq!(
        (server.execute("SELECT count(*) FROM kept").as_str(), server.url()),
        ("2", url.as_str())
    );
}

#[test]
fn redis_comes_back_empty_unless_it_keeps_its_data() {
    for (arguments, expected) in [
        (vec![], 0),
        (vec!["--appendonly", "yes", "--appendfsync", "always"], 1),
    ] {
        let mut server = RedisServer::start_with(&arguments);
        server.command::<()>(&["SET", "key", "value"]);
        server.stop();
        server.start_again();
        assert_eq!(server.command::<i64>(&["EXISTS", "key"]), expected);
    }
}

#[tokio::test]
async fn a_frozen_postgres_keeps_its_connections_and_answers_after_the_thaw() {
    use sqlx::Connection;
    let mut server = PostgresServer::start();
    let mut connection = sqlx::PgConnection::connect(server.url()).await.unwrap();
    server.freeze();
    let silent = tokio::time::timeout(std::time::Duration::from_millis(300), async {
        sqlx::raw_sql("SELECT 1").execute(&mut connection).await
    });
    assert!(silent.await.is_err(), "a frozen server answered");
    server.thaw();
    let mut connection = sqlx::PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql("SELECT 1").execute(&mut connection).await.unwrap();
}

#[test]
fn a_server_goes_with_the_process_that_started_it() {
    let server = RedisServer::start();
    let address = server.address();
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}
