//! Conversations on a bad day: nothing is overwritten, doubled or brought back.

use std::time::Duration;

use posada::error::codes;
use posada::sessions::{Json, Turn};
use posada::testkit::Proxy;
use posada::{Kind, Posada, Settings};
use posada_tests::{RedisServer, unique};

/// Longer than a busy machine stalls, because what the server does answer must come within it.
const DEADLINE: Duration = Duration::from_secs(1);

fn on(url: &str) -> Posada {
    let settings = Settings::builder()
        .redis_url(url)
        .redis_connect_timeout(DEADLINE)
        .redis_command_timeout(DEADLINE);
    Posada::builder()
        .settings(settings.build().unwrap())
        .build()
        .unwrap()
}

/// A conversation in the middle of a reservation, as the app stores it.
fn pending(server: &RedisServer, user: &str) -> String {
    let text = format!(
        r#"{{"user_id": "{user}", "canal": "whatsapp", "state": "payment", "reservation_pending": true}}"#
    );
    server.command::<()>(&["SET", &format!("session:{user}"), &text, "EX", "1800"]);
    text
}

fn stored(server: &RedisServer, user: &str) -> Option<String> {
    server.command(&["GET", &format!("session:{user}")])
}

#[tokio::test]
async fn a_read_that_times_out_never_begins_a_conversation_over_a_live_one() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (posada, user) = (on(proxy.url()), unique("hole"));
    let text = pending(&server, &user);
    posada.sessions().get(None, &user).await.unwrap();
    proxy.black_hole();
    for _ in 0..3 {
        let error = posada
            .sessions()
            .get_or_create(None, &user, "whatsapp")
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Timeout | Kind::Unavailable),
            "{error}"
        );
        assert!(posada.sessions().get(None, &user).await.is_err());
    }
    // Everything that was sent meanwhile arrives now.
    proxy.heal();
    let other = on(server.url());
    let session = other
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    assert!(!session.is_new());
    assert_eq!(stored(&server, &user), Some(text));
}

#[tokio::test]
async fn a_frozen_server_costs_the_deadline_and_no_conversation() {
    let mut server = RedisServer::start();
    let (posada, user) = (on(server.url()), unique("frozen"));
    let text = pending(&server, &user);
    posada.sessions().get(None, &user).await.unwrap();
    server.freeze();
    let error = posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap_err();
    assert!(error.is(codes::REDIS_TIMEOUT), "{error}");
    server.thaw();
    assert_eq!(stored(&server, &user), Some(text));
}

#[tokio::test]
async fn a_save_to_a_frozen_server_has_an_unknown_outcome_and_says_so() {
    let mut server = RedisServer::start();
    let (posada, user) = (on(server.url()), unique("unknown"));
    let mut session = posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    session.document.set_state("booking");
    server.freeze();
    let error = posada.sessions().save(&mut session).await.unwrap_err();
    assert!(error.is(codes::REDIS_OUTCOME_UNKNOWN), "{error}");
    server.thaw();
    // The truth is one read away, and the read gives a session that can be saved.
    let mut session = posada.sessions().get(None, &user).await.unwrap().unwrap();
    assert!(["initial", "booking"].contains(&session.document.state().unwrap()));
    posada.sessions().save(&mut session).await.unwrap();
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_is_found_to_have_happened() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (posada, user) = (on(proxy.url()), unique("lost"));
    let mut session = posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    posada.sessions().save(&mut session).await.unwrap();
    session.document.set_state("booking");
    proxy.hold_answers();
    let before = proxy.requests();
    let save = posada.sessions().save(&mut session);
    let accident = async {
        proxy.wait_for_requests(before + 1).await;
        proxy.reset();
        proxy.heal();
    };
    let (outcome, ()) = tokio::join!(save, accident);
    outcome.unwrap();
    assert_eq!(stored(&server, &user), Some(session.document.to_text()));
    posada.sessions().save(&mut session).await.unwrap();
}

#[tokio::test]
async fn a_turn_is_in_the_history_once_whenever_the_connection_breaks() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (posada, user) = (on(proxy.url()), unique("once"));
    let sessions = posada.sessions();
    sessions.get_or_create(None, &user, "whatsapp").await.unwrap();
    for number in 1..=10 {
        // The first request of the call is the read, the second the write; the accident hits them in turn.
        let victim = proxy.requests() + 1 + u64::try_from(number % 2).unwrap();
        let append = sessions.append_turn(None, &user, Turn::new("user", number.to_string()));
        let accident = async {
            proxy.wait_for_requests(victim).await;
            proxy.reset();
        };
        let (outcome, ()) = tokio::join!(append, accident);
        let session = outcome.unwrap();
        assert_eq!(session.document.history().unwrap().len(), number);
    }
}

#[tokio::test]
async fn a_conversation_that_died_with_its_server_is_not_brought_back() {
    let mut server = RedisServer::start();
    let (posada, user) = (on(server.url()), unique("died"));
    let mut session = posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    server.kill();
    let error = posada.sessions().save(&mut session).await.unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Unavailable | Kind::Ambiguous),
        "{error}"
    );
    server.start_again();
    let error = posada.sessions().save(&mut session).await.unwrap_err();
    assert!(error.is(codes::SESSIONS_GONE), "{error}");
    assert_eq!(stored(&server, &user), None);
}

#[tokio::test]
async fn a_full_server_refuses_and_keeps_what_it_has() {
    let server = RedisServer::start();
    let (posada, user) = (on(server.url()), unique("full"));
    let mut session = posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    let before = session.document.to_text();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    session.document.set_state("booking");
    let error = posada.sessions().save(&mut session).await.unwrap_err();
    assert!(error.is(codes::REDIS_OUT_OF_MEMORY), "{error}");
    assert_eq!(stored(&server, &user), Some(before));
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    posada.sessions().save(&mut session).await.unwrap();
}

#[tokio::test]
async fn an_update_that_nobody_awaits_any_more_is_still_made() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.url()).await;
    let (posada, user) = (on(proxy.url()), unique("dropped"));
    posada
        .sessions()
        .get_or_create(None, &user, "whatsapp")
        .await
        .unwrap();
    proxy.hold_answers();
    let before = proxy.requests();
    let patch = Json::parse(r#"{"context": {"nights": 2}}"#).unwrap();
    tokio::select! {
        _ = posada.sessions().update(None, &user, &patch) => panic!("the answers are held back"),
        () = proxy.wait_for_requests(before + 1) => {}
    }
    proxy.heal();
    posada.close().await.unwrap();
    let text = stored(&server, &user).unwrap();
    assert!(text.contains(r#""context": {"nights": 2}"#), "{text}");
}
