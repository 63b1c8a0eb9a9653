//! Sign-in while Postgres or Redis are away: never a 401, nothing used up, and back at once.

use std::time::Duration;

use posada::auth::{NewUser, SignIn, TokenPair};
use posada::clock::ManualClock;
use posada::error::codes;
use posada::{Error, Kind, Posada, Settings};
use posada_tests::{PostgresServer, RedisServer};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

struct Fixture {
    postgres: PostgresServer,
    redis: RedisServer,
    posada: Posada,
    clock: ManualClock,
}

impl Fixture {
    async fn start() -> (Self, TokenPair) {
        let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
        postgres.execute(&Posada::schema_sql());
        let clock = ManualClock::at(std::time::SystemTime::now().into());
        let settings = Settings::builder()
            .postgres_url(postgres.url())
            .redis_url(redis.url())
            .secret_key(KEY);
        let posada = Posada::builder()
            .settings(settings.build().unwrap())
            .clock(clock.shared())
            .build()
            .unwrap();
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        posada.auth().create_user(ana).await.unwrap();
        let fixture = Self {
            postgres,
            redis,
            posada,
            clock,
        };
        let pair = fixture.login().await.unwrap();
        (fixture, pair)
    }

    async fn login(&self) -> Result<TokenPair, Error> {
        self.posada.auth().login(&SignIn::new("ana", PASSWORD)).await
    }
}

#[track_caller]
fn is_503<T>(outcome: Result<T, Error>, what: &str) {
    let error = outcome.err().unwrap_or_else(|| panic!("{what} was allowed"));
    let infrastructure = matches!(
        error.kind(),
        Kind::Unavailable | Kind::Timeout | Kind::Exhausted | Kind::Ambiguous
    );
    assert!(infrastructure, "{what}: {error}");
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains(PASSWORD) && !shown.contains(KEY) && !shown.contains("eyJ"),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_every_step_is_a_503_and_nothing_is_used_up() {
    let (mut fixture, pair) = Fixture::start().await;
    let auth = fixture.posada.auth().clone();
    let claims = auth.verify(&pair.access).await.unwrap();
    fixture.postgres.stop();
    auth.verify(&pair.access).await.expect("a known session goes on");
    for _ in 0..8 {
        is_503(fixture.login().await, "login");
    }
    is_503(auth.refresh(&pair.refresh).await, "refresh");
    is_503(auth.verify_privileged(&pair.access).await, "verify_privileged");
    is_503(auth.logout(&pair.access).await, "logout");
    is_503(auth.logout_everywhere(&claims, false).await, "logout_everywhere");
    is_503(auth.sessions(&claims).await, "sessions");
    is_503(
        auth.change_password(&pair.access, PASSWORD, SECOND).await,
        "change_password",
    );
    is_503(
        auth.set_password(None, &claims.user_id, SECOND, false).await,
        "set_password",
    );
    fixture.clock.advance(Duration::from_secs(5));
    fixture.redis.command::<()>(&["FLUSHALL"]);
    is_503(
        auth.verify(&pair.access).await,
        "verify of a session that is not known",
    );
    fixture.postgres.start_again();
    auth.verify(&pair.access).await.unwrap();
    let next = auth
        .refresh(&pair.refresh)
        .await
        .expect("the refresh token was not used up");
    fixture.login().await.expect("faults are no failed attempts");
    auth.logout(&next.access).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_in_the_middle_use_nothing_up() {
    let (fixture, mut pair) = Fixture::start().await;
    let auth = fixture.posada.auth();
    for _ in 0..10 {
        fixture.postgres.terminate_backends("postgres");
        let next = loop {
            match auth.refresh(&pair.refresh).await {
                Ok(next) => break next,
                Err(error) => {
                    let passes = matches!(error.kind(), Kind::Unavailable | Kind::Timeout | Kind::Ambiguous);
                    assert!(passes, "case 75: {error}");
                }
            }
        };
        auth.verify(&next.access).await.unwrap();
        pair = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_works_and_attempts_are_stricter() {
    let (mut fixture, pair) = Fixture::start().await;
    let auth = fixture.posada.auth().clone();
    fixture.redis.stop();
    fixture.clock.advance(Duration::from_secs(5));
    auth.verify(&pair.access).await.expect("Postgres is asked");
    let next = auth
        .refresh(&pair.refresh)
        .await
        .expect("refreshing needs no Redis");
    let again = auth.refresh(&pair.refresh).await.expect("nor does the grace");
    assert_eq!(again.refresh, next.refresh);
    let other = fixture.login().await.unwrap();
    auth.logout(&other.access).await.unwrap();
    assert!(
        auth.verify(&other.access)
            .await
            .unwrap_err()
            .is(codes::AUTH_SESSION_ENDED)
    );
    let changed = auth
        .change_password(&next.access, PASSWORD, SECOND)
        .await
        .unwrap();
    auth.verify(&changed.access).await.unwrap();
    let guess = SignIn::new("ana", "wrong");
    let mut judged = 0;
    while auth
        .login(&guess)
        .await
        .unwrap_err()
        .is(codes::AUTH_BAD_CREDENTIALS)
    {
        judged += 1;
    }
    assert_eq!(judged, 2, "case 111: this process counts alone, and stricter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_costs_a_deadline_and_no_answer() {
    let (mut fixture, pair) = Fixture::start().await;
    let auth = fixture.posada.auth().clone();
    fixture.redis.freeze();
    fixture.clock.advance(Duration::from_secs(5));
    auth.verify(&pair.access).await.unwrap();
    auth.refresh(&pair.refresh).await.unwrap();
    fixture.redis.thaw();
    fixture.login().await.unwrap();
}
