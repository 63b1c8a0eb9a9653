//! Conversations on real servers.

use futures_util::future::join_all;
use posada::error::codes;
use posada::sessions::Json;
use posada::{Posada, Settings, TenantId};
use posada_tests::{RedisServer, servers, unique, wait_until};

fn on(url: &str) -> Posada {
    Posada::builder()
        .settings(Settings::builder().redis_url(url).build().unwrap())
        .build()
        .unwrap()
}

fn hotel(word: &str) -> TenantId {
    TenantId::parse(&unique(word)).unwrap()
}

fn key(tenant: &TenantId, user: &str) -> String {
    format!("session:{tenant}:{user}")
}

#[tokio::test]
async fn one_redis_keeps_every_promise() {
    let posada = on(servers::redis().url());
    posada::testkit::sessions::every_promise(posada.sessions(), &unique("sessions")).await;
}

#[tokio::test]
async fn a_cluster_keeps_every_promise() {
    let posada = on(servers::cluster().url());
    posada::testkit::sessions::every_promise(posada.sessions(), &unique("sessions")).await;
}

#[tokio::test]
async fn the_key_and_its_life_are_the_apps() {
    let (server, tenant) = (servers::redis(), hotel("key"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let mut session = sessions
        .get_or_create(&tenant, "5491112345678", "whatsapp")
        .await
        .unwrap();
    let key = key(&tenant, "5491112345678");
    assert_eq!(session.id(), key);
    assert_eq!(
        server.command::<String>(&["GET", &key]),
        session.document.to_text()
    );
    assert!((1795..=1800).contains(&server.command::<i64>(&["TTL", &key])));

    server.command::<()>(&["EXPIRE", &key, "100"]);
    sessions
        .get_or_create(&tenant, "5491112345678", "whatsapp")
        .await
        .unwrap();
    sessions.get(&tenant, "5491112345678").await.unwrap();
    assert!(server.command::<i64>(&["TTL", &key]) <= 100);

    sessions.save(&mut session).await.unwrap();
    assert!((1795..=1800).contains(&server.command::<i64>(&["TTL", &key])));
    server.command::<()>(&["EXPIRE", &key, "100"]);
    assert!(sessions.touch(&tenant, "5491112345678").await.unwrap());
    assert!((1795..=1800).contains(&server.command::<i64>(&["TTL", &key])));
}

#[tokio::test]
async fn a_write_of_the_app_between_load_and_save_is_a_conflict() {
    let (server, tenant) = (servers::redis(), hotel("foreign"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let mut session = sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    let foreign = session.document.to_text().replace("initial", "escalated");
    server.command::<()>(&["SET", &key(&tenant, "549"), &foreign, "EX", "1800"]);
    session.document.set_state("booking");
    let error = sessions.save(&mut session).await.unwrap_err();
    assert!(error.is(codes::SESSIONS_CONFLICT), "{error}");
    assert_eq!(server.command::<String>(&["GET", &key(&tenant, "549")]), foreign);

    let patch = Json::parse(r#"{"context": {"nights": 2}}"#).unwrap();
    let merged = sessions.update(&tenant, "549", &patch).await.unwrap();
    assert_eq!(merged.document.state(), Some("escalated"));
}

#[tokio::test]
async fn a_conversation_of_the_app_is_listed_once_posada_has_met_it() {
    let (server, tenant) = (servers::redis(), hotel("index"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let text = r#"{"user_id": "549", "canal": "whatsapp", "state": "initial"}"#;
    server.command::<()>(&["SET", &key(&tenant, "549"), text, "EX", "1800"]);
    assert_eq!(sessions.count(Some(&tenant)).await.unwrap(), 0);
    sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    assert_eq!(sessions.list(Some(&tenant)).await.unwrap()[0].user, "549");
}

#[tokio::test]
async fn the_index_forgets_what_has_ended() {
    let (server, tenant) = (servers::redis(), hotel("ended"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let index = format!("posada:sessions:{tenant}");
    server.command::<()>(&["ZADD", &index, "1000", "long ago"]);
    assert_eq!(sessions.count(Some(&tenant)).await.unwrap(), 0);
    assert_eq!(sessions.list(Some(&tenant)).await.unwrap(), []);
    sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    assert_eq!(server.command::<i64>(&["ZCARD", &index]), 1);
    assert!(server.command::<i64>(&["TTL", &index]) > 1700);
}

#[tokio::test]
async fn a_broken_index_breaks_no_conversation() {
    let (server, tenant) = (RedisServer::start(), hotel("broken"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    server.command::<()>(&[
        "SET",
        &format!("posada:sessions:{tenant}"),
        "not a set",
        "EX",
        "60",
    ]);
    let mut session = sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    sessions.save(&mut session).await.unwrap();
    let error = sessions.count(Some(&tenant)).await.unwrap_err();
    assert!(error.is(codes::REDIS_WRONG_TYPE), "{error}");
    assert_eq!(
        error.fact("key"),
        Some(format!("posada:sessions:{tenant}").as_str())
    );
}

#[tokio::test]
async fn what_is_no_conversation_is_reported_and_left_as_it_is() {
    let (server, tenant) = (servers::redis(), hotel("corrupt"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let patch = Json::parse("{}").unwrap();
    for text in ["", "{\"a\": ", "[]", "a 43-character session id of somebody else"] {
        let key = key(&tenant, "549");
        server.command::<()>(&["SET", &key, text, "EX", "60"]);
        for error in [
            sessions
                .get_or_create(&tenant, "549", "whatsapp")
                .await
                .unwrap_err(),
            sessions.get(&tenant, "549").await.unwrap_err(),
            sessions.update(&tenant, "549", &patch).await.unwrap_err(),
            sessions.touch(&tenant, "549").await.unwrap_err(),
        ] {
            assert!(error.is(codes::SESSIONS_CORRUPT), "{error}");
            assert_eq!(error.fact("key"), Some(key.as_str()));
        }
        assert_eq!(server.command::<String>(&["GET", &key]), text);
        assert!(
            server.command::<i64>(&["TTL", &key]) <= 60,
            "its life was renewed"
        );
    }
    assert!(sessions.delete(&tenant, "549").await.unwrap());
}

#[tokio::test]
async fn a_key_of_another_type_is_reported_and_left_as_it_is() {
    let (server, tenant) = (servers::redis(), hotel("type"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let mut session = sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    let key = key(&tenant, "549");
    server.command::<()>(&["DEL", &key]);
    server.command::<()>(&["RPUSH", &key, "a list"]);
    for error in [
        sessions
            .get_or_create(&tenant, "549", "whatsapp")
            .await
            .unwrap_err(),
        sessions.get(&tenant, "549").await.unwrap_err(),
        sessions.save(&mut session).await.unwrap_err(),
        sessions.touch(&tenant, "549").await.unwrap_err(),
        sessions.delete(&tenant, "549").await.unwrap_err(),
    ] {
        assert!(error.is(codes::REDIS_WRONG_TYPE), "{error}");
        assert_eq!(error.fact("key"), Some(key.as_str()));
    }
    assert_eq!(server.command::<i64>(&["LLEN", &key]), 1);
}

#[tokio::test]
async fn a_conversation_that_ended_is_not_brought_back_by_a_save() {
    let (server, tenant) = (servers::redis(), hotel("expired"));
    let posada = on(server.url());
    let sessions = posada.sessions();
    let mut session = sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    server.command::<()>(&["PEXPIRE", &key(&tenant, "549"), "1"]);
    wait_until("the conversation ends", || {
        match server.command::<i64>(&["EXISTS", &key(&tenant, "549")]) {
            0 => Ok(()),
            _ => Err("it is there".to_owned()),
        }
    });
    let error = sessions.save(&mut session).await.unwrap_err();
    assert!(error.is(codes::SESSIONS_GONE), "{error}");
    assert_eq!(server.command::<i64>(&["EXISTS", &key(&tenant, "549")]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_of_several_processes_lose_none() {
    let (server, tenant) = (servers::redis(), hotel("processes"));
    let processes: Vec<_> = (0..5).map(|_| on(server.url())).collect();
    let created = join_all(
        processes
            .iter()
            .map(|process| process.sessions().get_or_create(&tenant, "549", "whatsapp")),
    );
    let created: Vec<_> = created.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(created.iter().filter(|session| session.is_new()).count(), 1);
    let updates = (0..50_usize).map(|number| {
        let sessions = processes[number % processes.len()].sessions().clone();
        let (tenant, patch) = (
            tenant.clone(),
            Json::parse(format!(r#"{{"context": {{"key{number}": {number}}}}}"#)),
        );
        tokio::spawn(async move { sessions.update(&tenant, "549", &patch.unwrap()).await })
    });
    for update in join_all(updates).await {
        update.unwrap().unwrap();
    }
    let session = processes[0].sessions().get(&tenant, "549").await;
    let session = session.unwrap().unwrap();
    assert_eq!(session.document.context().unwrap().len(), 50);
}

#[tokio::test]
async fn no_call_scans_and_each_is_one_round_trip() {
    let server = RedisServer::start();
    let (posada, tenant) = (on(server.url()), hotel("calls"));
    let sessions = posada.sessions();
    // How often the server has read from a socket: once for each round trip.
    let reads = || {
        let statistics = server.command::<String>(&["INFO", "stats"]);
        let line = statistics
            .lines()
            .find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.unwrap().trim().parse::<u32>().unwrap()
    };
    let mut session = sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    sessions.save(&mut session).await.unwrap();
    let asking = {
        let first = reads();
        reads() - first
    };
    let before = reads();
    sessions.get_or_create(&tenant, "549", "whatsapp").await.unwrap();
    assert_eq!(reads() - before - asking, 1, "a known conversation is met");
    let before = reads();
    sessions.get(&tenant, "549").await.unwrap();
    assert_eq!(reads() - before - asking, 1, "a conversation is read");
    let before = reads();
    sessions.save(&mut session).await.unwrap();
    assert_eq!(reads() - before - asking, 1, "the index has just been told");
    sessions.list(Some(&tenant)).await.unwrap();
    sessions.count(Some(&tenant)).await.unwrap();
    sessions.delete(&tenant, "549").await.unwrap();
    let statistics = server.command::<String>(&["INFO", "commandstats"]);
    assert!(!statistics.contains("cmdstat_scan:") && !statistics.contains("cmdstat_keys:"));
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_learns_them_again() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let mut session = posada
        .sessions()
        .get_or_create(None, "549", "whatsapp")
        .await
        .unwrap();
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    posada.sessions().save(&mut session).await.unwrap();
}

#[tokio::test]
async fn a_purge_finds_what_only_the_app_has_written_and_nothing_of_others() {
    let server = RedisServer::start();
    let posada = on(server.url());
    let sessions = posada.sessions();
    let tenant = TenantId::parse("inn").unwrap();
    let store = |key: &str, text: &str| server.command::<()>(&["SET", key, text, "EX", "1800"]);
    let of = |user: &str, tenant: &str| format!(r#"{{"user_id": "{user}", "tenant_id": "{tenant}"}}"#);
    store("session:inn:549", &of("549", "inn"));
    store("session:inn:550", &of("550", "inn"));
    // The app's own ambiguity, another tenant, another program's keys.
    store("session:inn:x:549", &of("549", "inn:x"));
    store("session:inn2:549", &of("549", "inn2"));
    store("session:inn:token", "not a conversation");
    server.command::<()>(&["RPUSH", "session:inn:list", "1"]);
    sessions.get_or_create(&tenant, "551", "whatsapp").await.unwrap();
    assert_eq!(sessions.purge_tenant(&tenant).await.unwrap(), 3);
    assert_eq!(
        server.command::<i64>(&["DBSIZE"]),
        5,
        "four of others and the list of tenants"
    );

    store("session:1549", r#"{"user_id": "1549"}"#);
    assert_eq!(sessions.purge_user("549").await.unwrap(), 2);
    assert_eq!(server.command::<i64>(&["EXISTS", "session:1549"]), 1);
}
