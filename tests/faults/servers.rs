//! The faults themselves: servers that stop come back, frozen ones say nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use posada_tests::{PgBouncer, PostgresServer, RedisServer, wait_until};

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
    let silent = tokio::time::timeout(Duration::from_millis(300), async {
        sqlx::raw_sql("SELECT 1").execute(&mut connection).await
    });
    assert!(silent.await.is_err(), "a frozen server answered");
    server.thaw();
    let mut connection = sqlx::PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql("SELECT 1").execute(&mut connection).await.unwrap();
}

#[test]
fn a_server_goes_with_the_value_that_stands_for_it() {
    let server = RedisServer::start();
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn all_servers_go_although_the_process_that_started_them_was_killed() {
    let ran = Command::new(env!("CARGO_BIN_EXE_servers"))
        .args([
            "sh",
            "-c",
            "echo $POSADA_TEST_POSTGRES_URL; echo $POSADA_TEST_REDIS_URL; kill -KILL $PPID",
        ])
        .output()
        .unwrap();
    assert!(!ran.status.success());
    let urls = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(urls.lines().count(), 2);
    for url in urls.lines() {
        let address = url
            .rsplit_once('@')
            .or(url.split_once("//"))
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap();
        wait_until("the orphaned server is gone", || {
            match TcpStream::connect(address) {
                Err(failure) if failure.kind() == ErrorKind::ConnectionRefused => Ok(()),
                outcome => Err(format!("{address}: {outcome:?}")),
            }
        });
    }
}

#[test]
fn the_launcher_gives_the_urls_and_answers_with_the_exit_status_of_its_command() {
    let script = "test -n \"$DATABASE_URL$REDIS_URL\" && test -n \"$POSADA_TEST_CLUSTER_URL\" && exit 7";
    let ran = Command::new(env!("CARGO_BIN_EXE_servers"))
        .args(["sh", "-c", script])
        .status()
        .unwrap();
    assert_eq!(ran.code(), Some(7));
}

#[test]
fn the_pooler_comes_back_on_its_port_and_is_silent_while_it_is_frozen() {
    let server = PostgresServer::start();
    let mut pooler = PgBouncer::start(&server, 2);
    let url = pooler.url("postgres");
    pooler.stop();
    pooler.start_again();
    assert_eq!(pooler.url("postgres"), url);
    assert!(pooler.admin("SHOW POOLS").contains("transaction"));

    let mut connection = TcpStream::connect(pooler.address()).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    pooler.freeze();
    // A request for encryption, which a live pooler answers at once.
    connection.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let silence = connection.read(&mut [0]).unwrap_err();
    assert!(matches!(
        silence.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    pooler.thaw();
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 1);
}
