//! Sign-in on real servers while everybody does everything at once, and rows that others have touched.

use std::time::Duration;

use futures_util::future::join_all;
use posada::auth::{AuthOptions, ClaimsSource, NewUser, SignIn};
use posada::clock::ManualClock;
use posada::error::codes;
use posada::settings::{Pooling, SettingsBuilder};
use posada::testkit::Dice;
use posada::testkit::auth_history::race;
use posada::{Kind, Posada, Settings};
use posada_tests::{servers, unique, wait_until};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

fn database() -> String {
    let name = unique("races");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, &Posada::schema_sql());
    name
}

fn direct(database: &str) -> SettingsBuilder {
    Settings::builder().postgres_url(servers::postgres().url_of(database))
}

/// Two handles, as two processes would have them, on a clock that stands still; and ana.
async fn two(settings: impl Fn() -> SettingsBuilder) -> [Posada; 2] {
    let clock = ManualClock::at(std::time::SystemTime::now().into());
    let handles = [(); 2].map(|()| {
        Posada::builder()
            .settings(settings().secret_key(KEY).build().unwrap())
            .clock(clock.shared())
            .auth_options(AuthOptions::new().password_history(0))
            .build()
            .unwrap()
    });
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    handles[0].auth().create_user(ana).await.unwrap();
    handles
}

/// Sessions that two processes refresh and look at while one of them ends them.
async fn the_end_wins(handles: &[Posada; 2], seed: u64, runs: u32) {
    let [one, other] = handles.each_ref().map(Posada::auth);
    let mut dice = Dice::new(seed);
    let (mut passwords, mut close) = ([PASSWORD, SECOND], 0);
    for run in 0..runs {
        let pair = one.login(&SignIn::new("ana", passwords[0])).await.unwrap();
        let claims = one.verify(&pair.access).await.unwrap();
        let end = async {
            match run % 8 {
                0 | 4 => one.logout_everywhere(&claims, false).await.map(drop),
                1 | 5 => one.logout_session(&claims, &pair.session).await.map(drop),
                7 => one.set_password(None, &claims.user_id, passwords[1], false).await,
                _ => one.logout(&pair.access).await,
            }
        };
        close += usize::from(race(&[one, other], &pair, &mut dice, end).await > 0);
        if run % 8 == 7 {
            passwords.reverse();
        }
    }
    assert!(close > 5, "only {close} races were close");
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_73_and_74_in_random_races_of_two_processes_the_end_of_a_session_wins() {
    let (name, redis) = (database(), servers::redis().url());
    let handles = two(|| direct(&name).redis_url(redis)).await;
    the_end_wins(&handles, 0x00C0_FFEE_0DD5, 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_73_and_74_behind_a_pooler_the_end_of_a_session_wins() {
    let name = database();
    let handles = two(|| {
        Settings::builder()
            .postgres_url(servers::pgbouncer().url(&name))
            .postgres_pooler(Pooling::Transaction)
    })
    .await;
    the_end_wins(&handles, 0x0BAD_5EED_0001, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_77_everybody_is_out_after_a_logout_everywhere_among_a_hundred_validations() {
    let name = database();
    let handles = two(|| direct(&name)).await;
    let auth = handles[0].auth();
    let mut pairs = Vec::new();
    for _ in 0..5 {
        pairs.push(auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap());
    }
    let claims = auth.verify(&pairs[0].access).await.unwrap();
    let validations = (0..100).map(|number| {
        let access = &pairs[number % 5].access;
        async move {
            match auth.verify(access).await {
                Ok(_) => {}
                Err(error) => assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}"),
            }
        }
    });
    let (ended, _) = tokio::join!(auth.logout_everywhere(&claims, false), join_all(validations));
    assert_eq!(ended.unwrap(), 5);
    for pair in &pairs {
        assert!(
            auth.verify(&pair.access)
                .await
                .unwrap_err()
                .is(codes::AUTH_SESSION_ENDED)
        );
        assert!(
            auth.refresh(&pair.refresh)
                .await
                .unwrap_err()
                .is(codes::AUTH_SESSION_ENDED)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_76_a_crash_between_the_commit_and_redis_hides_a_revocation_for_the_staleness_only() {
    let (name, redis) = (database(), servers::redis().url());
    let handle = || {
        let settings = direct(&name).redis_url(redis).secret_key(KEY).build().unwrap();
        let options = AuthOptions::new().max_staleness(Duration::from_secs(1));
        Posada::builder()
            .settings(settings)
            .auth_options(options)
            .build()
            .unwrap()
    };
    let (one, other) = (handle(), handle());
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    one.auth().create_user(ana).await.unwrap();
    let pair = one.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    one.auth().verify(&pair.access).await.unwrap();
    let shared = other.auth().verify(&pair.access).await.unwrap();
    assert!(matches!(shared.source, ClaimsSource::Redis | ClaimsSource::Store));
    // What a process leaves behind that dies after its commit.
    servers::postgres().execute_in(&name, "UPDATE user_sessions SET is_revoked = TRUE");
    for posada in [one, other] {
        let access = pair.access.clone();
        let runtime = tokio::runtime::Handle::current();
        let told = tokio::task::spawn_blocking(move || {
            wait_until("the revocation is seen", || {
                match runtime.block_on(posada.auth().verify(&access)) {
                    Ok(claims) => Err(format!("{:?}, {:?} old", claims.source, claims.age)),
                    Err(error) => {
                        assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
                        Ok(())
                    }
                }
            });
        });
        told.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_84_the_zone_of_the_database_means_nothing() {
    for zone in ["America/Buenos_Aires", "Asia/Tokyo"] {
        let name = database();
        servers::postgres().execute(&format!("ALTER DATABASE {name} SET timezone = '{zone}'"));
        let clock = ManualClock::at(std::time::SystemTime::now().into());
        let posada = Posada::builder()
            .settings(direct(&name).secret_key(KEY).build().unwrap())
            .clock(clock.shared())
            .build()
            .unwrap();
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        posada.auth().create_user(ana).await.unwrap();
        let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        let stored = "SELECT (extract(epoch FROM expires_at) * 1000)::bigint FROM user_sessions";
        assert_eq!(
            servers::postgres().execute_in(&name, stored),
            pair.refresh_expires_at.timestamp_millis().to_string(),
            "{zone}"
        );
        clock.advance(Duration::from_millis(7 * 24 * 3_600_000 - 1));
        posada.auth().refresh(&pair.refresh).await.unwrap();
        let last = posada.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        clock.advance(Duration::from_hours(24 * 7));
        assert!(posada.auth().refresh(&last.refresh).await.is_err(), "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_86_an_id_that_is_taken_refuses_a_sign_in_and_nothing_else() {
    let name = database();
    let handles = two(|| direct(&name)).await;
    let auth = handles[0].auth();
    let first = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    servers::postgres().execute_in(
        &name,
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.token_jti := (SELECT token_jti FROM user_sessions LIMIT 1); RETURN NEW; END $$;
         CREATE TRIGGER same BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION same()",
    );
    for _ in 0..6 {
        let error = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{error}");
    }
    auth.verify(&first.access).await.unwrap();
    servers::postgres().execute_in(&name, "DROP TRIGGER same ON user_sessions");
    auth.login(&SignIn::new("ana", PASSWORD))
        .await
        .expect("it was no failed attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_95_a_sign_in_that_improves_a_hash_never_overwrites_a_new_password() {
    // Made by passlib for "Verano2025!!"; see tests/vectors/auth/generate.py.
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/auth/passwords.json")).unwrap();
    let bcrypt = vectors.as_array().unwrap().last().unwrap()["hash"]
        .as_str()
        .unwrap();
    let name = database();
    let handles = two(|| direct(&name)).await;
    let auth = handles[0].auth();
    let pair = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap();
    let user = auth.verify(&pair.access).await.unwrap().user_id;
    for run in 0..4 {
        let set = format!("UPDATE users SET hashed_password = '{bcrypt}'");
        servers::postgres().execute_in(&name, &set);
        let new = format!("una llama silba en do menor {run}");
        let old = SignIn::new("ana", "Verano2025!!");
        let (signed_in, changed) = tokio::join!(
            handles[1].auth().login(&old),
            auth.set_password(None, &user, &new, false)
        );
        let conflict = |error: &posada::Error| error.is(codes::AUTH_PASSWORD_CONFLICT);
        match changed {
            Ok(()) => drop(
                auth.login(&SignIn::new("ana", &*new))
                    .await
                    .expect("the new password survives"),
            ),
            // The better hash came first, and the change is told to try again.
            Err(error) => assert!(conflict(&error) && signed_in.is_ok(), "{error}"),
        }
    }
}
