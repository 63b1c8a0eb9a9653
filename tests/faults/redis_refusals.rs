//! A Redis that is there and refuses to work: nothing was done, the failure policy of limits decides, the process is not
//! ready, and the doctor shows the server's words and what to do about them.

use posada::doctor::Severity;
use posada::error::codes;
use posada::health::Check;
use posada::limits::{FailurePolicy, RateLimit};
use posada::{Error, Kind, Posada, Settings};
use posada_tests::{RedisServer, ScriptedRedis, unique, wait_until};

fn on(url: &str) -> Posada {
    let settings = Settings::builder().redis_url(url).build().unwrap();
    Posada::builder().settings(settings).build().unwrap()
}

/// What a guest's request meets: the limit is counted here, and the error of everything else says what is wrong.
async fn meets(posada: &Posada) -> Error {
    let limit = RateLimit::parse("2/hour").unwrap();
    let address = unique("203.0.113.9");
    let who = [address.as_str(), "/webhooks/whatsapp"];
    let limits = posada.limits();
    for expected in [true, true, false] {
        let decision = limits.check(&limit, &who).await.unwrap();
        assert!(decision.degraded, "{decision:?}");
        assert_eq!(decision.allowed, expected, "{decision:?}");
    }
    let open = limits.clone().failure_policy(FailurePolicy::Open);
    assert!(open.check(&limit, &who).await.unwrap().allowed);
    let closed = limits.clone().failure_policy(FailurePolicy::Closed);
    let of_script = closed.check(&limit, &who).await.unwrap_err();
    let of_command = posada.flags().set(None, "ai_enabled", true).await.unwrap_err();
    assert_eq!(of_script.code(), of_command.code(), "{of_script} {of_command}");
    of_script
}

/// The whole judgement of a server that refuses.
async fn judge(posada: &Posada, code: codes::Code, finding: &str, words: &str, remedy: &str) {
    let error = meets(posada).await;
    assert!(error.is(code), "{error}");
    assert!(
        matches!(error.kind(), Kind::Unavailable | Kind::Exhausted),
        "{error}"
    );
    let health = posada.health().await;
    assert_eq!(health.redis, Check::Error(code.name), "{words}");
    assert!(!health.is_ready() && !health.is_healthy());
    let diagnosis = posada.doctor().await;
    let found = diagnosis
        .finding(finding)
        .unwrap_or_else(|| panic!("{diagnosis}"));
    assert_eq!(found.severity, Severity::Error, "{diagnosis}");
    assert!(found.seen.contains(words), "{found}");
    assert!(found.remedy.as_deref().unwrap().contains(remedy), "{found}");
}

async fn is_well(posada: &Posada) {
    let limit = RateLimit::parse("9/hour").unwrap();
    let mut attempts = 0;
    while posada
        .limits()
        .check(&limit, &["203.0.113.10"])
        .await
        .unwrap()
        .degraded
    {
        attempts += 1;
        assert!(attempts < 1000, "it works again, and is not believed");
        tokio::task::yield_now().await;
    }
    assert!(posada.health().await.is_healthy());
}

const UNAVAILABLE: codes::Code = codes::REDIS_UNAVAILABLE;

#[tokio::test]
async fn too_few_replicas_are_an_outage_of_writes() {
    let server = RedisServer::start();
    let posada = on(server.url());
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    judge(
        &posada,
        UNAVAILABLE,
        "redis.serving",
        "NOREPLICAS",
        "min-replicas-to-write",
    )
    .await;
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_fails_is_an_outage_of_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let server = RedisServer::start_with(&["--save", "3600 1", "--dir", &path]);
    let posada = on(server.url());
    is_well(&posada).await;
    // No file can be made in a folder that is gone.
    folder.close().unwrap();
    server.command::<String>(&["BGSAVE"]);
    wait_until("the snapshot has failed", || {
        let state: String = server.command(&["INFO", "persistence"]);
        let failed = state.contains("rdb_last_bgsave_status:err");
        failed.then_some(()).ok_or(state)
    });
    judge(&posada, UNAVAILABLE, "redis.serving", "MISCONF", "disk").await;
    server.command::<()>(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    is_well(&posada).await;
    // A server that cannot save would not end.
    server.command::<()>(&["CONFIG", "SET", "save", ""]);
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_full_memory_is_an_outage_of_writes() {
    let server = RedisServer::start();
    let posada = on(server.url());
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    judge(
        &posada,
        codes::REDIS_OUT_OF_MEMORY,
        "redis.serving",
        "no memory",
        "maxmemory",
    )
    .await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_replica_is_an_outage_of_writes_whether_it_serves_reads_or_not() {
    let server = RedisServer::start();
    let posada = on(server.url());
    is_well(&posada).await;
    // Nothing listens on the port of that primary.
    server.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    judge(&posada, UNAVAILABLE, "redis.serving", "READONLY", "primary").await;
    server.command::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    judge(&posada, UNAVAILABLE, "redis.serving", "READONLY", "primary").await;
    server.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_held_up_by_a_script_is_an_outage() {
    let server = RedisServer::start_with(&["--busy-reply-threshold", "1"]);
    let posada = on(server.url());
    is_well(&posada).await;
    let url = server.url().to_owned();
    let endless = std::thread::spawn(move || {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query::<redis::Value>(&mut connection)
            .unwrap_err()
    });
    // A connection that was there before: a new one may not even say hello.
    let limit = RateLimit::parse("1000000/hour").unwrap();
    let closed = posada.limits().clone().failure_policy(FailurePolicy::Closed);
    let error = loop {
        match closed.check(&limit, &["203.0.113.9"]).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(error.message().contains("BUSY"), "{error}");
    judge(&posada, UNAVAILABLE, "redis.serving", "BUSY", "SCRIPT KILL").await;
    server.command::<()>(&["SCRIPT", "KILL"]);
    assert!(endless.join().unwrap().to_string().contains("killed"));
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_an_outage() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let mut administrator = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut limit = |most: u32| -> String {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxclients").arg(most);
        command.query(&mut administrator).unwrap()
    };
    limit(1);
    judge(
        &posada,
        UNAVAILABLE,
        "redis.serving",
        "max number of clients",
        "maxclients",
    )
    .await;
    limit(100);
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_user_without_rights_and_a_password_that_changed_are_an_outage_until_somebody_acts() {
    let server = RedisServer::start();
    let user = ["ACL", "SETUSER", "clerk", "on", ">wr0ng-Word", "~*", "&*"];
    server.command::<()>(&[&user[..], &["+@all", "-@write", "-@scripting"]].concat());
    let url = server.url().replace("redis://", "redis://clerk:wr0ng-Word@");
    let posada = on(&url);
    judge(
        &posada,
        codes::REDIS_REFUSED,
        "redis.permissions",
        "clerk",
        "ACL SETUSER",
    )
    .await;
    server.command::<()>(&[&user[..], &["+@all"]].concat());
    is_well(&posada).await;
    // Changing a user's password ends no connection; deleting the user does.
    server.command::<i64>(&["ACL", "DELUSER", "clerk"]);
    judge(
        &posada,
        codes::REDIS_REFUSED,
        "redis.refused",
        "WRONGPASS",
        "REDIS_URL",
    )
    .await;
    server.command::<()>(&[&user[..], &["+@all"]].concat());
    is_well(&posada).await;
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_fault_of_the_settings() {
    let server = RedisServer::start();
    let posada = on(&format!("{}/16", server.url()));
    let error = posada.flags().set(None, "ai_enabled", true).await.unwrap_err();
    assert!(error.is(codes::SETTINGS_INVALID), "{error}");
    assert_eq!(error.field(), Some("REDIS_URL"));
    assert!(error.message().contains("DB index is out of range"), "{error}");
    assert_eq!(posada.health().await.redis, Check::Error("settings.invalid"));
    let limit = RateLimit::parse("2/hour").unwrap();
    assert!(posada.limits().check(&limit, &["a"]).await.unwrap().degraded);
    let diagnosis = posada.doctor().await;
    let found = diagnosis
        .finding("settings.refused")
        .unwrap_or_else(|| panic!("{diagnosis}"));
    assert!(found.seen.contains("no database 16"), "{found}");
    posada.close().await.unwrap();
    assert!(on(&format!("{}/15", server.url())).health().await.is_healthy());
}

#[tokio::test]
async fn words_of_other_servers_and_of_proxies_are_an_outage_and_are_shown() {
    let server = ScriptedRedis::start();
    for (words, remedy) in [
        ("LOADING Dragonfly is loading the dataset in memory", "wait"),
        ("CLUSTERDOWN The cluster is down", "CLUSTER INFO"),
        (
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTER INFO",
        ),
        (
            "EXECABORT Transaction discarded because of previous errors.",
            "own words",
        ),
        (
            "UNKILLABLE Sorry the script already executed write commands against the dataset.",
            "SCRIPT KILL",
        ),
        (
            "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.",
            "plan",
        ),
        ("ERR max concurrent connections exceeded", "maxclients"),
        ("ERR upstream failure", "proxy"),
        ("ERR no upstream host", "proxy"),
        ("THROTTLED try again in a while", "plan"),
        ("REDIRECT 127.0.0.1:6381", "primary"),
        (
            "ERR Error running script (call to f_8a7b5d9e1): @user_script: 12: -NOREPLICAS Not enough good slaves to write.",
            "min-replicas-to-write",
        ),
        ("TEAPOT short and stout", "own words"),
    ] {
        server.refuse(words);
        let posada = on(server.url());
        judge(&posada, UNAVAILABLE, "redis.serving", words, remedy).await;
        posada.close().await.unwrap();
    }
    // A mistake of ours stays one, however busy the server is.
    server.refuse("ERR user_script:7: attempt to index a nil value script: 8a7b5d9e1, on @user_script:7.");
    let posada = on(server.url());
    let limit = RateLimit::parse("2/hour").unwrap();
    let error = posada.limits().check(&limit, &["a"]).await.unwrap_err();
    assert!(error.is(codes::REDIS_INTERNAL), "{error}");
    posada.close().await.unwrap();
}
