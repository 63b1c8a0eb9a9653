//! Sign-in while the key that signs tokens is changed: processes with different rings on the same servers.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use posada::auth::{AuthOptions, ClaimsSource, NewUser, SignIn, TokenKind, TokenPair};
use posada::clock::ManualClock;
use posada::error::codes;
use posada::{Claims, Posada, Settings};
use posada_tests::{RedisServer, servers, unique};

const OLD: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const NEW: &str = "0ther5ecret0123456789abcdef0123456789abcdef00";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

/// Processes that share a database, a Redis and a clock.
struct Installation {
    database: String,
    redis: String,
    clock: ManualClock,
    start: DateTime<Utc>,
}

impl Installation {
    fn new() -> Self {
        let database = unique("keys");
        servers::postgres().create_database(&database);
        servers::postgres().execute_in(&database, &Posada::schema_sql());
        let start = DateTime::<Utc>::from(std::time::SystemTime::now()).trunc_subsecs(3);
        Self {
            database,
            redis: servers::redis().url().to_owned(),
            clock: ManualClock::at(start),
            start,
        }
    }

    /// A process that signs with one key and verifies with others for a week.
    fn process(&self, key: &str, others: &[&str]) -> Posada {
        let until = self.start + Duration::from_hours(24 * 7);
        let settings = Settings::builder()
            .postgres_url(servers::postgres().url_of(&self.database))
            .redis_url(self.redis.as_str())
            .secret_key(key)
            .build()
            .unwrap();
        Posada::builder()
            .settings(settings)
            .clock(self.clock.shared())
            .auth_options(
                AuthOptions::new()
                    .previous_keys(others.iter().map(|other| ((*other).into(), until)))
                    .password_history(0),
            )
            .build()
            .unwrap()
    }

    async fn user(&self, posada: &Posada, name: &str) {
        let user = NewUser::new(name, &format!("{name}@example.com"), PASSWORD).unwrap();
        posada.auth().create_user(user).await.unwrap();
    }

    /// The same by variables alone.
    fn process_by_variables(&self, key: &str, other: &str) -> Posada {
        let until = self.start + Duration::from_hours(24 * 7);
        let settings = Settings::from_vars(
            [
                ("DATABASE_URL", servers::postgres().url_of(&self.database)),
                ("REDIS_URL", self.redis.clone()),
                ("SECRET_KEY", key.to_owned()),
                ("POSADA_PREVIOUS_SECRET_KEY", other.to_owned()),
                ("POSADA_PREVIOUS_SECRET_KEY_UNTIL", until.to_rfc3339()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Posada::builder()
            .settings(settings.unwrap())
            .clock(self.clock.shared())
            .auth_options(AuthOptions::new().password_history(0))
            .build()
            .unwrap()
    }

    fn end_the_grace(&self) {
        self.clock.advance(Duration::from_secs(11));
    }
}

async fn login(posada: &Posada, name: &str, password: &str) -> TokenPair {
    posada.auth().login(&SignIn::new(name, password)).await.unwrap()
}

/// The access token is good at each of the processes, and its session is the same.
async fn is_in(processes: &[&Posada], pair: &TokenPair) -> Claims {
    let mut found = None;
    for (place, posada) in processes.iter().enumerate() {
        let claims = posada
            .auth()
            .verify_privileged(&pair.access)
            .await
            .unwrap_or_else(|error| panic!("process {place}: {error}"));
        posada.auth().verify(&pair.access).await.unwrap();
        assert_eq!(claims.session.as_deref(), Some(pair.session.as_str()));
        found = Some(claims);
    }
    found.unwrap()
}

/// Everything that one process signs is good at the other.
async fn the_other_takes_over(installation: &Installation, one: &Posada, other: &Posada, name: &str) {
    installation.user(one, name).await;
    let first = login(one, name, PASSWORD).await;
    let claims = is_in(&[one, other], &first).await;
    let second = other.auth().refresh(&first.refresh).await.unwrap();
    assert_eq!(second.session, first.session);
    // The answer was lost, and the repetition reaches either process.
    for posada in [one, other, one] {
        let again = posada.auth().refresh(&first.refresh).await.unwrap();
        assert_eq!(again.session, first.session);
        is_in(&[one, other], &again).await;
    }
    let third = one.auth().refresh(&second.refresh).await.unwrap();
    is_in(&[one, other], &third).await;
    is_in(&[one, other], &first).await;
    let cookie = one.auth().device_cookie(&claims).await.unwrap();
    let guess = SignIn::new(name, "wrong");
    while other
        .auth()
        .login(&guess)
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {}
    let known = SignIn::new(name, PASSWORD).device_cookie(cookie);
    let from_a_device = other.auth().login(&known).await.expect("the device is known");
    let reset = one
        .auth()
        .issue(None, &claims.user_id, TokenKind::ResetPassword)
        .await
        .unwrap();
    other.auth().reset_password(&reset, SECOND).await.unwrap();
    let error = one.auth().reset_password(&reset, PASSWORD).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "it works once: {error}");
    for pair in [&third, &from_a_device] {
        for posada in [one, other] {
            let error = posada.auth().verify_privileged(&pair.access).await.unwrap_err();
            assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
        }
    }
    let last = login(one, name, SECOND).await;
    let changed = other
        .auth()
        .change_password(&last.access, SECOND, PASSWORD)
        .await
        .unwrap();
    is_in(&[one, other], &changed).await;
    other.auth().logout(&changed.access).await.unwrap();
    let error = one.auth().refresh(&changed.refresh).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
}

#[tokio::test]
async fn variables_alone_change_a_key_and_lose_nobody() {
    let installation = Installation::new();
    let (learning, changed) = (
        installation.process_by_variables(OLD, NEW),
        installation.process_by_variables(NEW, OLD),
    );
    the_other_takes_over(&installation, &learning, &changed, "ana").await;
    the_other_takes_over(&installation, &changed, &learning, "luis").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_255_every_step_of_a_change_of_the_key_ends_no_session_in_any_order() {
    let installation = Installation::new();
    let steps = [
        installation.process(OLD, &[]),
        installation.process(OLD, &[NEW]),
        installation.process(NEW, &[OLD]),
        installation.process(NEW, &[]),
    ];
    // The processes of two steps run side by side. Those of the first sign nothing that the last would have to take.
    for (one, other) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)] {
        let name = format!("user{one}{other}");
        the_other_takes_over(&installation, &steps[one], &steps[other], &name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_255_a_repetition_at_a_process_of_the_other_key_is_no_theft() {
    let installation = Installation::new();
    let (old, new) = (installation.process(OLD, &[]), installation.process(NEW, &[OLD]));
    installation.user(&old, "ana").await;
    for (first, second) in [(&old, &new), (&new, &old)] {
        let pair = login(&old, "ana", PASSWORD).await;
        is_in(&[&new, &old], &pair).await;
        let next = first.auth().refresh(&pair.refresh).await.unwrap();
        let again = second.auth().refresh(&pair.refresh).await.unwrap();
        assert_eq!(again.session, next.session);
        for pair in [&next, &again] {
            is_in(&[&new], pair).await;
            new.auth().refresh(&pair.refresh).await.unwrap();
        }
        installation.end_the_grace();
        let error = new.auth().refresh(&pair.refresh).await.unwrap_err();
        assert!(
            error.is(codes::AUTH_TOKEN_REUSED),
            "a theft is one with any key: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_255_a_pair_that_was_given_with_both_keys_is_one_lineage() {
    let installation = Installation::new();
    let (before, after) = (
        installation.process(OLD, &[NEW]),
        installation.process(NEW, &[OLD]),
    );
    installation.user(&before, "ana").await;
    let mut pair = login(&before, "ana", PASSWORD).await;
    for _ in 0..3 {
        let given = [&before, &after].map(|posada| posada.auth().refresh(&pair.refresh));
        let [one, other] = futures_util::future::join_all(given).await.try_into().unwrap();
        let (one, other): (TokenPair, TokenPair) = (one.unwrap(), other.unwrap());
        // Two windows of a browser go on, each with what it was given, at whichever process.
        let next = before.auth().refresh(&other.refresh).await.unwrap();
        let again = after.auth().refresh(&one.refresh).await.unwrap();
        assert_eq!(next.session, again.session);
        pair = again;
    }
    is_in(&[&before, &after], &pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_256_when_the_old_key_retires_its_tokens_end_and_the_sessions_go_on() {
    let installation = Installation::new();
    let (old, new) = (installation.process(OLD, &[]), installation.process(NEW, &[OLD]));
    installation.user(&old, "ana").await;
    let (left, taken) = (
        login(&old, "ana", PASSWORD).await,
        login(&old, "ana", PASSWORD).await,
    );
    installation.clock.advance(Duration::from_hours(6 * 24));
    let next = new.auth().refresh(&taken.refresh).await.unwrap();
    installation
        .clock
        .advance(Duration::from_millis(24 * 3_600_000 - 1));
    let next = new.auth().refresh(&next.refresh).await.unwrap();
    let last = new.auth().refresh(&left.refresh).await.expect("the last moment");
    installation.clock.advance(Duration::from_millis(1));
    let after = installation.process(NEW, &[]);
    for posada in [&new, &after] {
        for token in [&taken.refresh, &left.refresh] {
            let error = posada.auth().refresh(token).await.unwrap_err();
            assert!(error.is(codes::AUTH_INVALID_TOKEN), "{error}");
        }
    }
    is_in(&[&new, &after], &next).await;
    is_in(&[&new, &after], &last).await;
    let next = after.auth().refresh(&next.refresh).await.unwrap();
    is_in(&[&new, &after], &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_257_a_token_of_the_old_password_is_refused_with_either_key() {
    let installation = Installation::new();
    let (before, after) = (
        installation.process(OLD, &[NEW]),
        installation.process(NEW, &[OLD]),
    );
    installation.user(&before, "ana").await;
    let claims = is_in(&[&before], &login(&before, "ana", PASSWORD).await).await;
    for (issues, changes, new) in [(&before, &after, SECOND), (&after, &before, PASSWORD)] {
        let reset = issues
            .auth()
            .issue(None, &claims.user_id, TokenKind::ResetPassword)
            .await
            .unwrap();
        changes
            .auth()
            .set_password(None, &claims.user_id, new, false)
            .await
            .unwrap();
        for posada in [&before, &after] {
            let error = posada
                .auth()
                .reset_password(&reset, "otra cosa muy distinta")
                .await
                .unwrap_err();
            assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_258_what_processes_share_is_believed_by_those_that_have_its_key() {
    let installation = Installation::new();
    let (old, new) = (installation.process(OLD, &[]), installation.process(NEW, &[OLD]));
    installation.user(&old, "ana").await;
    let pair = login(&old, "ana", PASSWORD).await;
    let first = old.auth().verify(&pair.access).await.unwrap();
    let second = new.auth().verify(&pair.access).await.unwrap();
    assert_eq!(
        (first.source, second.source),
        (ClaimsSource::Store, ClaimsSource::Redis)
    );
    let next = login(&old, "ana", PASSWORD).await;
    let first = new.auth().verify(&next.access).await.unwrap();
    let second = old.auth().verify(&next.access).await.unwrap();
    assert_eq!(
        (first.source, second.source),
        (ClaimsSource::Store, ClaimsSource::Store)
    );
    let third = new.auth().refresh(&next.refresh).await.unwrap();
    new.auth().logout(&third.access).await.unwrap();
    let error = installation
        .process(OLD, &[])
        .auth()
        .verify(&next.access)
        .await
        .unwrap_err();
    assert!(
        error.is(codes::AUTH_SESSION_ENDED),
        "an end is believed whoever tells it: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn case_258_guesses_count_for_processes_with_either_key() {
    let mut installation = Installation::new();
    let redis = RedisServer::start();
    redis.url().clone_into(&mut installation.redis);
    let rings: [(&str, &[&str]); 4] = [(OLD, &[]), (OLD, &[NEW]), (NEW, &[OLD]), (NEW, &[])];
    for (step, steps) in rings.windows(2).enumerate() {
        for order in [[0, 1], [1, 0]] {
            let processes = order.map(|place| installation.process(steps[place].0, steps[place].1));
            let guess = SignIn::new("ana", "wrong");
            for posada in &processes {
                let error = posada.auth().login(&guess).await.unwrap_err();
                assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
            }
            let keys: Vec<String> = redis.command(&["KEYS", "posada:auth:account:*"]);
            let counted = keys
                .iter()
                .map(|key| redis.command::<u32>(&["HGET", key, "count"]));
            assert_eq!(
                counted.max(),
                Some(2),
                "step {step}, {order:?}: one counter has seen both"
            );
            redis.command::<()>(&["FLUSHALL"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_36_a_previous_key_obeys_the_rules_of_the_one_that_signs() {
    let start = |environment: &str, previous: &[&str]| {
        let settings = Settings::builder()
            .vars(
                [("ENVIRONMENT", environment), ("PMS_TYPE", "mock")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            )
            .unwrap()
            .postgres_url("memory:")
            .redis_url("memory:")
            .secret_key(NEW)
            .build()
            .unwrap();
        let until = std::time::SystemTime::now().into();
        let options = AuthOptions::new().previous_keys(previous.iter().map(|key| ((*key).into(), until)));
        Posada::builder().settings(settings).auth_options(options).build()
    };
    assert!(start("production", &[OLD]).is_ok());
    for weak in ["aB3dE5fG7hJ9kL2mN4pQ6rS8", "generate_secure_key_here"] {
        assert!(start("development", &[weak]).is_ok());
        let error = start("production", &[OLD, weak]).unwrap_err();
        assert!(error.is(codes::SETTINGS_DUMMY_SECRET), "{error}");
        assert_eq!(error.field(), Some("previous_keys"));
        assert!(!format!("{error:?}").contains(weak));
    }
    for (environment, keys) in [("development", &[""][..]), ("development", &[OLD, NEW, OLD][..])] {
        let error = start(environment, keys).unwrap_err();
        assert_eq!(error.field(), Some("previous_keys"), "{error}");
    }
}
