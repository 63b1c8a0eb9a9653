//! Sign-in while somebody else writes to its Redis: nothing that is written there lets anybody in.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use posada::auth::{AuthOptions, ClaimsSource, NewUser, SignIn, TokenPair};
use posada::clock::{ManualClock, SystemClock};
use posada::error::codes;
use posada::{Claims, Error, Posada, PosadaBuilder, Retry, Settings};
use posada_tests::{RedisServer, servers, unique, wait_until};
use ring::hmac;
use serde_json::{Value, json};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";

struct Fixture {
    database: String,
    redis: RedisServer,
}

impl Fixture {
    fn new() -> Self {
        Self::on(RedisServer::start())
    }

    fn on(redis: RedisServer) -> Self {
        let database = unique("trust");
        servers::postgres().create_database(&database);
        servers::postgres().execute_in(&database, &Posada::schema_sql());
        Self { database, redis }
    }

    /// One more process, which knows nothing yet.
    fn process(&self, options: AuthOptions) -> Posada {
        self.builder(options).build().unwrap()
    }

    fn builder(&self, options: AuthOptions) -> PosadaBuilder {
        let settings = Settings::builder()
            .postgres_url(servers::postgres().url_of(&self.database))
            .redis_url(self.redis.url())
            .secret_key(KEY)
            .build()
            .unwrap();
        Posada::builder().settings(settings).auth_options(options)
    }

    async fn verify(&self, pair: &TokenPair) -> Result<Claims, Error> {
        self.process(AuthOptions::default())
            .auth()
            .verify(&pair.access)
            .await
    }

    fn shared(pair: &TokenPair) -> String {
        format!("posada:auth:session:{}", pair.session)
    }

    fn stored(&self, pair: &TokenPair) -> String {
        self.redis.command(&["GET", &Self::shared(pair)])
    }

    fn store(&self, pair: &TokenPair, value: &str) {
        self.redis.command::<()>(&["SET", &Self::shared(pair), value]);
    }
}

async fn sign_in(posada: &Posada, name: &str, superuser: bool) -> TokenPair {
    let mut user = NewUser::new(name, &format!("{name}@example.com"), PASSWORD).unwrap();
    if superuser {
        user = user.superuser();
    }
    posada.auth().create_user(user).await.unwrap();
    let pair = posada.auth().login(&SignIn::new(name, PASSWORD)).await.unwrap();
    posada.auth().verify(&pair.access).await.unwrap();
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn case_259_who_writes_to_redis_makes_no_superuser_and_takes_no_session_over() {
    let fixture = Fixture::new();
    let posada = fixture.process(AuthOptions::default());
    let (bea, root) = (
        sign_in(&posada, "bea", false).await,
        sign_in(&posada, "root", true).await,
    );
    let believed = fixture.verify(&bea).await.unwrap();
    assert_eq!(
        believed.source,
        ClaimsSource::Redis,
        "what posada shares is believed"
    );
    let stored = fixture.stored(&bea);
    let (signature, text) = stored.split_once('.').unwrap();
    let with = |name: &str, value: Value| {
        let mut state: Value = serde_json::from_str(text).unwrap();
        state[name] = value;
        state.to_string()
    };
    let superuser = with("superuser", json!(true));
    let own_key = hmac::Key::new(hmac::HMAC_SHA256, b"a key that nobody gave to the attacker");
    let own = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&own_key, superuser.as_bytes()));
    let mut forged: Vec<String> = [
        ("superuser", json!(true)),
        ("role", json!("admin")),
        ("tenant", json!("hotel-b")),
        ("active", json!(false)),
        ("must_change", json!(true)),
        ("expires", json!(i64::MAX)),
        ("changed", json!(0)),
        ("asked_there", json!(u64::MAX)),
        ("asked_here", json!(0)),
    ]
    .into_iter()
    .map(|(name, value)| format!("{signature}.{}", with(name, value)))
    .collect();
    let root_text = fixture.stored(&root);
    forged.extend([
        superuser.clone(),
        format!(".{superuser}"),
        format!("{}.{superuser}", "A".repeat(43)),
        format!("{own}.{superuser}"),
        // What an older version of posada shared.
        superuser.replace(",\"asked", ",\"was"),
        // What another session's state says, which is signed.
        root_text.clone(),
        format!("{signature}.{}", root_text.split_once('.').unwrap().1),
        String::new(),
        "null".to_owned(),
        "endeD".to_owned(),
        format!("{stored} "),
        stored.replacen("\"user\"", " \"user\"", 1),
        "x".repeat(1_000_000),
        format!("{signature}.{}", "[".repeat(100_000)),
    ]);
    for value in forged {
        fixture.store(&bea, &value);
        let claims = fixture
            .verify(&bea)
            .await
            .unwrap_or_else(|error| panic!("{value:.80}: {error}"));
        assert!(!claims.is_superuser, "{value:.80}");
        assert_eq!(claims.source, ClaimsSource::Store, "{value:.80}");
        let shown: String = fixture.stored(&bea);
        assert_ne!(shown, value, "the next process shares what is true");
    }
    for words in [["LPUSH", "x", ""], ["HSET", "superuser", "true"]] {
        let key = Fixture::shared(&bea);
        fixture.redis.command::<()>(&["DEL", &key]);
        let words: Vec<&str> = [words[0], &key, words[1], words[2]]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
        fixture.redis.command::<()>(&words);
        let claims = fixture
            .verify(&bea)
            .await
            .expect("a value of another type is no answer");
        assert_eq!((claims.is_superuser, claims.source), (false, ClaimsSource::Store));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_260_an_older_signed_state_revives_no_session_beyond_the_staleness() {
    let fixture = Fixture::new();
    let options = || AuthOptions::new().max_staleness(Duration::from_secs(1));
    let posada = fixture.process(options());
    let pair = sign_in(&posada, "ana", false).await;
    let alive = fixture.stored(&pair);
    posada.auth().logout(&pair.access).await.unwrap();
    assert_eq!(fixture.stored(&pair), "ended");
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        wait_until("the replay is not believed any more", || {
            // For ever, as an attacker would.
            fixture.store(&pair, &alive);
            let verdict =
                runtime.block_on(async { fixture.process(options()).auth().verify(&pair.access).await });
            match verdict {
                Ok(claims) => {
                    assert_eq!(claims.source, ClaimsSource::Redis);
                    assert!(claims.age < Duration::from_secs(1), "{:?}", claims.age);
                    Err(format!("{:?} old", claims.age))
                }
                Err(error) => {
                    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
                    Ok(())
                }
            }
        });
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_260_a_state_is_as_old_as_its_signature_says_whatever_life_its_key_was_given() {
    let fixture = Fixture::new();
    let long = AuthOptions::new().max_staleness(Duration::from_mins(1));
    let posada = fixture.process(long);
    let pair = sign_in(&posada, "ana", false).await;
    fixture.redis.command::<()>(&["PERSIST", &Fixture::shared(&pair)]);
    let first = fixture.verify(&pair).await.unwrap();
    assert_eq!(first.source, ClaimsSource::Redis);
    let short = AuthOptions::new().max_staleness(Duration::from_millis(1));
    let second = fixture.process(short).auth().verify(&pair.access).await.unwrap();
    assert_eq!(
        second.source,
        ClaimsSource::Store,
        "a minute is not a millisecond"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn case_261_a_redis_that_lies_about_the_time_is_not_believed() {
    let fixture = Fixture::on(RedisServer::start_with_clock());
    let posada = fixture.process(AuthOptions::default());
    let pair = sign_in(&posada, "ana", false).await;
    let alive = fixture.stored(&pair);
    for (seconds, source) in [
        (0, ClaimsSource::Redis),
        (20, ClaimsSource::Redis),
        (60, ClaimsSource::Store),
        (-60, ClaimsSource::Store),
    ] {
        // As fresh as ever by the clock of Redis, and older, or of the future, by this process's own.
        let clock = ManualClock::at(SystemClock::shared().now() + chrono::Duration::seconds(seconds));
        fixture.store(&pair, &alive);
        let other = fixture
            .builder(AuthOptions::default())
            .clock(clock.shared())
            .build()
            .unwrap();
        let claims = other.auth().verify(&pair.access).await.unwrap();
        assert_eq!(claims.source, source, "{seconds}");
    }
    let mut fixture = fixture;
    for (seconds, source) in [
        (2, ClaimsSource::Redis),
        (-30, ClaimsSource::Store),
        (600, ClaimsSource::Store),
    ] {
        fixture.redis.move_clock(seconds);
        fixture.store(&pair, &alive);
        let claims = fixture.verify(&pair).await.unwrap();
        assert_eq!(claims.source, source, "{seconds}");
        if source == ClaimsSource::Redis {
            assert!(claims.age >= Duration::from_secs(2), "{:?}", claims.age);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_262_attempts_that_are_forgotten_in_redis_are_still_counted_by_each_process() {
    let fixture = Fixture::new();
    let clock = ManualClock::at(SystemClock::shared().now());
    let posada = fixture
        .builder(AuthOptions::default())
        .clock(clock.shared())
        .build()
        .unwrap();
    let mut judged = 0;
    let guess = SignIn::new("ana", "wrong").address([203, 0, 113, 9].into());
    let wait = loop {
        let error = posada.auth().login(&guess).await.unwrap_err();
        if error.is(codes::AUTH_THROTTLED) {
            break error.retry();
        }
        judged += 1;
        fixture.redis.command::<()>(&["FLUSHALL"]);
    };
    assert_eq!((judged, wait), (10, Retry::After(Duration::from_secs(1))));
    for (name, value) in [
        ("count", "-1000000"),
        ("row", "-1e300"),
        ("until", "nonsense"),
        ("until", "inf"),
        ("until", "9e15"),
    ] {
        // A process that admits what that makes Redis say, and begins its own count.
        let other = fixture.process(AuthOptions::default());
        for key in fixture
            .redis
            .command::<Vec<String>>(&["KEYS", "posada:auth:account:*"])
        {
            fixture.redis.command::<()>(&["HSET", &key, name, value]);
        }
        let error = other.auth().login(&guess).await.unwrap_err();
        let is_judged = error.is(codes::AUTH_BAD_CREDENTIALS) || error.is(codes::AUTH_THROTTLED);
        assert!(is_judged, "{name} {value}: {error}");
    }
    fixture.redis.command::<()>(&["FLUSHALL"]);
    clock.advance(Duration::from_mins(15));
    let error = posada.auth().login(&guess).await.unwrap_err();
    assert!(
        error.is(codes::AUTH_BAD_CREDENTIALS),
        "nobody is kept out for good: {error}"
    );
}
