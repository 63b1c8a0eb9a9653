//! What every store of conversations promises, told through [`SessionManager`].
//!
//! The functions share a store with each other and with strangers: each works with tenants and users named after the
//! `word` that it is given, which nobody else may use.

use futures_util::future::join_all;

use crate::error::{Code, Error, Kind, codes};
use crate::sessions::{Json, Session, SessionManager, Turn};
use crate::tenants::TenantId;

/// Runs every function of this page, one after the other.
pub async fn every_promise(sessions: &SessionManager, word: &str) {
    a_conversation_begins_once(sessions, word).await;
    ten_creators_get_one_document(sessions, word).await;
    a_save_is_read_back_and_can_be_followed_by_another(sessions, word).await;
    a_save_of_an_old_version_is_a_conflict_and_changes_nothing(sessions, word).await;
    a_deleted_conversation_is_not_brought_back(sessions, word).await;
    a_patch_is_merged_into_what_is_stored(sessions, word).await;
    fifty_concurrent_updates_lose_none(sessions, word).await;
    concurrent_turns_are_all_kept_up_to_the_cap(sessions, word).await;
    a_turn_that_is_delivered_twice_is_kept_once(sessions, word).await;
    what_cannot_be_stored_leaves_what_is_stored(sessions, word).await;
    what_only_python_writes_survives(sessions, word).await;
    conversations_are_apart(sessions, word).await;
    any_printable_user_is_a_user(sessions, word).await;
    lists_and_counts_name_the_living(sessions, word).await;
    a_touch_answers_whether_there_is_a_conversation(sessions, word).await;
    a_tenant_is_purged_and_its_neighbour_is_not(sessions, word).await;
    a_user_is_purged_everywhere(sessions, word).await;
}

fn tenant(word: &str, name: &str) -> TenantId {
    TenantId::parse(&format!("{word}-{name}")).unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

async fn begin(sessions: &SessionManager, user: &str, tenant: &TenantId) -> Session {
    sessions
        .get_or_create(Some(tenant), user, "whatsapp")
        .await
        .unwrap()
}

async fn stored(sessions: &SessionManager, user: &str, tenant: &TenantId) -> String {
    let session = sessions.get(Some(tenant), user).await.unwrap();
    session.unwrap().document.to_text()
}

fn assert_is(error: &Error, kind: Kind, code: Code) {
    assert!(error.is(code) && error.kind() == kind, "{error:?}");
}

/// The first call begins the conversation in the app's form; the second, with another channel, finds it.
pub async fn a_conversation_begins_once(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "begin");
    assert!(sessions.get(&hotel, "549").await.unwrap().is_none());
    let first = begin(sessions, "549", &hotel).await;
    assert!(first.is_new());
    let keys: Vec<_> = first.document.as_json().as_object().unwrap().iter().collect();
    let keys: Vec<_> = keys.iter().map(|(key, _)| key.as_str().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "user_id",
            "canal",
            "state",
            "context",
            "tts_enabled",
            "created_at",
            "last_activity",
            "tenant_id"
        ]
    );
    let second = sessions.get_or_create(&hotel, "549", "gmail").await.unwrap();
    assert!(!second.is_new());
    assert_eq!(second.document, first.document);
    assert_eq!((second.id(), second.channel()), (first.id(), Some("whatsapp")));
    let left = second.expires().unwrap() - first.expires().unwrap();
    assert!(left.num_seconds().abs() <= 5, "a read renewed the life by {left}");
}

/// Ten callers at once, one document, and exactly one of them began it.
pub async fn ten_creators_get_one_document(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "creators");
    let created = join_all((0..10).map(|_| begin(sessions, "549", &hotel))).await;
    assert_eq!(created.iter().filter(|session| session.is_new()).count(), 1);
    assert!(
        created
            .iter()
            .all(|session| session.document == created[0].document)
    );
}

/// A saved session is of the version that it stored.
pub async fn a_save_is_read_back_and_can_be_followed_by_another(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "save");
    let mut session = begin(sessions, "549", &hotel).await;
    for nights in 1..=3 {
        session.document.set(["context", "nights"], nights).unwrap();
        sessions.save(&mut session).await.unwrap();
        assert_eq!(stored(sessions, "549", &hotel).await, session.document.to_text());
    }
}

/// Of two who read the same, the second to save learns that it was late.
pub async fn a_save_of_an_old_version_is_a_conflict_and_changes_nothing(
    sessions: &SessionManager,
    word: &str,
) {
    let hotel = tenant(word, "conflict");
    let mut winner = begin(sessions, "549", &hotel).await;
    let mut loser = begin(sessions, "549", &hotel).await;
    winner.document.set_state("booking");
    sessions.save(&mut winner).await.unwrap();
    loser.document.set_state("lost");
    let error = sessions.save(&mut loser).await.unwrap_err();
    assert_is(&error, Kind::Conflict, codes::SESSIONS_CONFLICT);
    assert_eq!(stored(sessions, "549", &hotel).await, winner.document.to_text());
}

/// Neither a save nor an update nor a turn brings back what was deleted.
pub async fn a_deleted_conversation_is_not_brought_back(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "gone");
    let mut session = begin(sessions, "549", &hotel).await;
    assert!(sessions.delete(&hotel, "549").await.unwrap());
    assert!(!sessions.delete(&hotel, "549").await.unwrap());
    let saved = sessions.save(&mut session).await.unwrap_err();
    assert_is(&saved, Kind::Conflict, codes::SESSIONS_GONE);
    let updated = sessions.update(&hotel, "549", &json(r#"{"a": 1}"#)).await;
    assert_is(&updated.unwrap_err(), Kind::Conflict, codes::SESSIONS_GONE);
    let appended = sessions
        .append_turn(&hotel, "549", Turn::new("user", "hola"))
        .await;
    assert_is(&appended.unwrap_err(), Kind::Conflict, codes::SESSIONS_GONE);
    assert!(sessions.get(&hotel, "549").await.unwrap().is_none());
    assert!(begin(sessions, "549", &hotel).await.is_new());
}

/// Members are set, merged and removed; the others stay, in their order.
pub async fn a_patch_is_merged_into_what_is_stored(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "patch");
    begin(sessions, "549", &hotel).await;
    for (patch, context) in [
        (
            r#"{"context": {"nights": 2, "room": {"type": 3}}}"#,
            r#"{"nights": 2, "room": {"type": 3}}"#,
        ),
        (
            r#"{"context": {"nights": null, "guests": [1]}}"#,
            r#"{"room": {"type": 3}, "guests": [1]}"#,
        ),
    ] {
        let session = sessions.update(&hotel, "549", &json(patch)).await.unwrap();
        assert_eq!(session.document.get("context").unwrap().to_text(), context);
        assert_eq!(stored(sessions, "549", &hotel).await, session.document.to_text());
    }
    let refused = sessions.update(&hotel, "549", &json("[1]")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.field()), (Kind::Invalid, Some("patch")));
}

/// The app keeps one of fifteen; here every one counts.
pub async fn fifty_concurrent_updates_lose_none(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "updates");
    begin(sessions, "549", &hotel).await;
    let updates = join_all((0..50).map(|number| {
        let patch = json(&format!(r#"{{"context": {{"key{number}": {number}}}}}"#));
        let (sessions, hotel) = (sessions.clone(), hotel.clone());
        async move { sessions.update(&hotel, "549", &patch).await }
    }));
    for update in updates.await {
        update.unwrap();
    }
    let session = begin(sessions, "549", &hotel).await;
    let context = session.document.context().unwrap();
    assert!((0..50).all(|number| context.get(&format!("key{number}")) == Some(&Json::from(number))));
}

/// Turns of concurrent callers are all there; beyond fifty the oldest go.
pub async fn concurrent_turns_are_all_kept_up_to_the_cap(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "turns");
    begin(sessions, "549", &hotel).await;
    let append = |content: String| sessions.append_turn(&hotel, "549", Turn::new("user", content));
    for outcome in join_all((0..20).map(|number| append(number.to_string()))).await {
        outcome.unwrap();
    }
    let contents = |session: &Session| -> Vec<String> {
        let history = session.document.history().unwrap();
        let content = |turn: &Json| turn.at(["content"]).unwrap().as_str().unwrap().to_owned();
        history.iter().map(content).collect()
    };
    let mut found = contents(&begin(sessions, "549", &hotel).await);
    found.sort_by_key(|content| content.parse::<u32>().unwrap());
    assert_eq!(
        found,
        (0..20).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    for number in 20..60 {
        append(number.to_string()).await.unwrap();
    }
    let found = contents(&begin(sessions, "549", &hotel).await);
    assert_eq!((found.len(), found[49].as_str()), (50, "59"));
}

/// Channels deliver messages more than once.
pub async fn a_turn_that_is_delivered_twice_is_kept_once(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "twice");
    begin(sessions, "549", &hotel).await;
    let id = "wamid.HBgNNTQ5MTE4NzY1NDMyMRUCABIYIDNFQjBDMEE4RDc0RjRBQjJDOUU2RjAxQjJEM0M0RTVGAA==";
    for _ in 0..2 {
        let turn = Turn::new("user", "hola").id(id);
        let session = sessions.append_turn(&hotel, "549", turn).await.unwrap();
        assert_eq!(session.document.history().unwrap().len(), 1);
    }
}

/// Too large, another identity, or too deep: refused before anything is written.
pub async fn what_cannot_be_stored_leaves_what_is_stored(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "refused");
    let session = begin(sessions, "549", &hotel).await;
    for (patch, code) in [
        (
            format!(r#"{{"note": "{}"}}"#, "x".repeat(300_000)),
            codes::SESSIONS_TOO_LARGE,
        ),
        (
            r#"{"user_id": "550"}"#.to_owned(),
            codes::SESSIONS_INVALID_DOCUMENT,
        ),
        (r#"{"state": null}"#.to_owned(), codes::SESSIONS_INVALID_DOCUMENT),
    ] {
        let mut changed = session.clone();
        changed.document.merge(&json(&patch)).unwrap();
        assert_is(
            &sessions.save(&mut changed).await.unwrap_err(),
            Kind::Invalid,
            code,
        );
        let updated = sessions.update(&hotel, "549", &json(&patch)).await;
        assert_is(&updated.unwrap_err(), Kind::Invalid, code);
    }
    let mut changed = session.clone();
    let deep = (0..Json::MAX_DEPTH).fold(Json::Null, |inner, _| Json::List(vec![inner]));
    changed.document.set(["deep"], deep).unwrap();
    let error = sessions.save(&mut changed).await.unwrap_err();
    assert_is(&error, Kind::Invalid, codes::SESSIONS_INVALID_DOCUMENT);
    assert_eq!(stored(sessions, "549", &hotel).await, session.document.to_text());
}

/// `NaN`, spellings of numbers, large integers, halves of emoji, empty lists and objects.
pub async fn what_only_python_writes_survives(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "python");
    let written = concat!(
        r#"{"score": NaN, "limit": -Infinity, "fee": 1.0, "tax": 1e-05, "id": 123456789012345678901234567890, "#,
        r#""cut": "a\ud83d", "whole": "\ud83d\ude00", "\udc00": {"empty": [], "none": {}}}"#
    );
    let mut session = begin(sessions, "549", &hotel).await;
    session.document.set(["context"], json(written)).unwrap();
    sessions.save(&mut session).await.unwrap();
    sessions
        .update(&hotel, "549", &json(r#"{"other": 1}"#))
        .await
        .unwrap();
    let session = begin(sessions, "549", &hotel).await;
    assert_eq!(session.document.get("context").unwrap().to_text(), written);
}

/// The same user with two tenants and with none, and ids whose parts look alike.
pub async fn conversations_are_apart(sessions: &SessionManager, word: &str) {
    let user = format!("{word}-apart");
    let places = [
        (Some(tenant(word, "a")), format!("b:{user}")),
        (Some(tenant(word, "a:b")), user.clone()),
        (Some(tenant(word, "a%3Ab")), user.clone()),
        (None, format!("{word}-a:b:{user}")),
        (None, user.clone()),
    ];
    for (number, (tenant, user)) in places.iter().enumerate() {
        let mut session = sessions
            .get_or_create(tenant.as_ref(), user, "whatsapp")
            .await
            .unwrap();
        assert!(session.is_new(), "{tenant:?} {user}");
        session.document.set(["number"], number).unwrap();
        sessions.save(&mut session).await.unwrap();
    }
    for (number, (tenant, user)) in places.iter().enumerate() {
        let session = sessions.get(tenant.as_ref(), user).await.unwrap().unwrap();
        assert_eq!(session.document.get("number"), Some(&Json::from(number)));
        assert!(sessions.delete(tenant.as_ref(), user).await.unwrap());
    }
}

/// Ids come from channels that posada does not know.
pub async fn any_printable_user_is_a_user(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "users");
    let users = [
        "5491112345678",
        "ana+hotel@example.com",
        "Ñandú",
        "{a}:{b}",
        "100%",
        "a b",
        "*?[x]\\",
        "😀",
        &"x".repeat(255),
    ];
    for user in users {
        assert!(begin(sessions, user, &hotel).await.is_new(), "{user}");
        assert_eq!(begin(sessions, user, &hotel).await.user(), user);
    }
    let mut listed: Vec<_> = sessions.list(Some(&hotel)).await.unwrap();
    listed.sort_by(|one, other| one.user.cmp(&other.user));
    let mut expected = users;
    expected.sort_unstable();
    assert_eq!(
        listed
            .iter()
            .map(|active| active.user.as_str())
            .collect::<Vec<_>>(),
        expected
    );
}

/// The index follows what begins and what is deleted.
pub async fn lists_and_counts_name_the_living(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "list");
    assert_eq!(sessions.count(Some(&hotel)).await.unwrap(), 0);
    for user in ["1", "2", "3"] {
        begin(sessions, user, &hotel).await;
    }
    sessions.delete(&hotel, "2").await.unwrap();
    let listed = sessions.list(Some(&hotel)).await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|active| active.user.as_str())
            .collect::<Vec<_>>(),
        ["1", "3"]
    );
    let ends = begin(sessions, "1", &hotel).await.expires().unwrap() - listed[0].expires;
    assert!(ends.num_seconds().abs() <= 5, "the list is off by {ends}");
    assert_eq!(sessions.count(Some(&hotel)).await.unwrap(), 2);
    assert!(sessions.measure().await.unwrap() >= 2);
}

/// A touch renews, and never begins.
pub async fn a_touch_answers_whether_there_is_a_conversation(sessions: &SessionManager, word: &str) {
    let hotel = tenant(word, "touch");
    assert!(!sessions.touch(&hotel, "549").await.unwrap());
    assert_eq!(sessions.count(Some(&hotel)).await.unwrap(), 0);
    let before = begin(sessions, "549", &hotel).await;
    assert!(sessions.touch(&hotel, "549").await.unwrap());
    assert_eq!(stored(sessions, "549", &hotel).await, before.document.to_text());
}

/// A purge ends where the tenant ends.
pub async fn a_tenant_is_purged_and_its_neighbour_is_not(sessions: &SessionManager, word: &str) {
    let (hotel, neighbour) = (tenant(word, "purge"), tenant(word, "purge:2"));
    for user in 0..40 {
        begin(sessions, &user.to_string(), &hotel).await;
    }
    begin(sessions, "549", &neighbour).await;
    assert_eq!(sessions.purge_tenant(&hotel).await.unwrap(), 40);
    assert_eq!(sessions.purge_tenant(&hotel).await.unwrap(), 0);
    assert_eq!(sessions.count(Some(&hotel)).await.unwrap(), 0);
    assert!(sessions.get(&hotel, "7").await.unwrap().is_none());
    assert!(sessions.get(&neighbour, "549").await.unwrap().is_some());
}

/// A guest who asks to be forgotten is forgotten by every hotel.
pub async fn a_user_is_purged_everywhere(sessions: &SessionManager, word: &str) {
    let (one, other, user) = (
        tenant(word, "one"),
        tenant(word, "other"),
        format!("{word}-forget"),
    );
    begin(sessions, &user, &one).await;
    begin(sessions, &user, &other).await;
    begin(sessions, "549", &one).await;
    sessions.get_or_create(None, &user, "gmail").await.unwrap();
    assert_eq!(sessions.purge_user(&user).await.unwrap(), 3);
    assert!(sessions.get(&one, &user).await.unwrap().is_none());
    assert_eq!(sessions.count(Some(&one)).await.unwrap(), 1);
}
