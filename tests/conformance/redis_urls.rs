//! Ways to reach a Redis: sockets, certificates of one's own, sentinels with a password.

use std::net::TcpListener;

use posada::error::codes;
use posada::settings::RedisSettings;
use posada::testkit::redis::Probe;
use posada::{Error, Posada, Settings};
use posada_tests::{Certificates, RedisSentinel, RedisServer};

async fn increment(url: &str) -> Result<i64, Error> {
    let probe = Probe::new(&RedisSettings::parse(url)?)?;
    let value = probe.increment("n").await;
    let mut listener = probe.subscribe("news");
    if value.is_ok() {
        assert_eq!(listener.next().await, None, "the subscription stands");
    }
    probe.close().await;
    value
}

#[tokio::test]
async fn a_socket_serves_commands_scripts_and_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let server = RedisServer::start_with(&["--unixsocket", path]);
    assert_eq!(increment(&format!("unix://{path}")).await.unwrap(), 1);
    assert_eq!(
        increment(&format!("redis+socket://{path}?virtual_host=0"))
            .await
            .unwrap(),
        2
    );
    assert_eq!(increment(&format!("unix://{path}?db=5")).await.unwrap(), 1);
    let settings = [("REDIS_HOST", path)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let posada = Posada::connect(Settings::from_vars(settings).unwrap())
        .await
        .unwrap();
    assert!(posada.health().await.is_healthy());
    posada.close().await.unwrap();
    drop(server);
    let error = increment(&format!("unix://{path}")).await.unwrap_err();
    assert!(error.is(codes::REDIS_UNAVAILABLE), "{error}");
    assert!(error.message().contains(path), "{error}");
}

#[tokio::test]
async fn certificates_of_ones_own_prove_the_server_and_the_client() {
    let made = Certificates::make();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let files = ["server.crt", "server.key", "ours.crt"].map(|name| made.path(name));
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &files[0],
        "--tls-key-file",
        &files[1],
        "--tls-ca-cert-file",
        &files[2],
        "--tls-auth-clients",
        "optional",
    ]);
    let url = |options: &str| format!("rediss://localhost:{port}?{options}");
    let (ours, other) = (made.path("ours.crt"), made.path("other.crt"));
    assert_eq!(increment(&url(&format!("ssl_ca_certs={ours}"))).await.unwrap(), 1);
    for options in [String::new(), format!("ssl_ca_certs={other}")] {
        let error = increment(&url(&options)).await.unwrap_err();
        assert!(error.is(codes::REDIS_UNAVAILABLE), "{options}: {error}");
        assert!(error.message().contains("UnknownIssuer"), "{options}: {error}");
    }
    let wrong_name = format!("rediss://127.0.0.1:{port}?ssl_ca_certs={ours}");
    assert!(
        increment(&wrong_name)
            .await
            .unwrap_err()
            .is(codes::REDIS_UNAVAILABLE)
    );

    server.command::<()>(&["CONFIG", "SET", "tls-auth-clients", "yes"]);
    let error = increment(&url(&format!("ssl_ca_certs={ours}")))
        .await
        .unwrap_err();
    assert!(error.is(codes::REDIS_UNAVAILABLE), "{error}");
    let (certificate, key) = (made.path("client.crt"), made.path("client.key"));
    let options = format!("ssl_ca_certs={ours}&ssl_certfile={certificate}&ssl_keyfile={key}");
    assert_eq!(increment(&url(&options)).await.unwrap(), 2);
    // What is no certificate is said at the start.
    for options in [
        format!("ssl_ca_certs={key}"),
        format!("ssl_certfile={certificate}&ssl_keyfile={certificate}"),
    ] {
        let error = increment(&url(&options)).await.unwrap_err();
        assert!(error.is(codes::SETTINGS_INVALID), "{options}: {error}");
    }
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let group = RedisSentinel::start();
    let guarded = ["ACL", "SETUSER", "default", "resetpass", ">s3ntinel-Word"];
    group.sentinel().command::<()>(&guarded);
    let error = increment(&group.url()).await.unwrap_err();
    assert!(error.is(codes::REDIS_REFUSED), "{error}");
    let url = format!("{}?sentinel_password=s3ntinel-Word", group.url());
    assert_eq!(increment(&url).await.unwrap(), 1);
    let wrong = format!("{}?sentinel_password=wr0ng-Word", group.url());
    let error = increment(&wrong).await.unwrap_err();
    assert!(error.is(codes::REDIS_REFUSED), "{error}");
    assert!(!format!("{error:?}").contains("wr0ng-Word"), "{error:?}");
}
