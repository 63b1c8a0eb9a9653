//! Cases 119 to 250: every step of sign-in, and the check of a rate limit, under every fault of the real servers.
//!
//! What a step must do is what [`AUTH_FAILURE_POLICY`] says. Whatever it is, the answer comes within its deadline,
//! no fault looks like a 401 or 403, nothing that was refused is used up, no attempt is counted, and two seconds
//! after the fault has ended everything works again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use posada::auth::{
    AUTH_FAILURE_POLICY, AuthDependency, AuthEvent, AuthEventKind, AuthFallback, AuthOptions, AuthStep,
    NewUser, SignIn, TokenPair,
};
use posada::limits::RateLimit;
use posada::testkit::Proxy;
use posada::{Error, Kind, Posada, Settings};
use posada_tests::{PostgresServer, RedisServer, unique};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";
/// The time limits of the handle under test.
const POSTGRES_DEADLINE: Duration = Duration::from_secs(1);
const REDIS_DEADLINE: Duration = Duration::from_millis(600);
/// No step takes longer, on the busiest machine; what hangs takes for ever.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest time between the end of a fault and the first success. The contract says two seconds, of a machine
/// that has them.
const RECOVERY: Duration = Duration::from_secs(20);

/// Makes every statement on users meet what stands in the table `fault`: the real server answers with that state.
const FAULTY_USERS: &str = "
    CREATE TABLE fault (state text NOT NULL, message text NOT NULL);
    CREATE FUNCTION fault() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
        DECLARE wanted fault%ROWTYPE;
        BEGIN
            SELECT * INTO wanted FROM fault;
            IF NOT FOUND THEN RETURN TRUE; END IF;
            IF wanted.state = 'terminate' THEN
                PERFORM pg_terminate_backend(pg_backend_pid());
                RETURN TRUE;
            END IF;
            RAISE EXCEPTION USING ERRCODE = wanted.state, MESSAGE = wanted.message;
        END $$;
    ALTER TABLE users RENAME TO real_users;
    CREATE VIEW users AS SELECT * FROM real_users WHERE fault();";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    PostgresStopped,
    PostgresFrozen,
    PostgresHalfOpen,
    /// The server answers with this state and these words.
    PostgresAnswers(&'static str, &'static str),
    /// The server ends the connection in the middle of the statement.
    PostgresTerminates,
    PostgresTakesNoWrites,
    /// Every connection of the pool waits for somebody's lock.
    PostgresPoolExhausted,
    RedisStopped,
    RedisFrozen,
    RedisHalfOpen,
    RedisLoading,
    RedisIsReplica,
    RedisLostItsMaster,
    RedisOutOfMemory,
    RedisHoldsOtherTypes,
    RedisForgotScripts,
}

impl Fault {
    /// Whether Redis answers nothing of use.
    fn silences_redis(self) -> bool {
        !matches!(self, Self::RedisHoldsOtherTypes | Self::RedisForgotScripts)
    }

    fn dependency(self) -> AuthDependency {
        if format!("{self:?}").starts_with("Postgres") {
            AuthDependency::Postgres
        } else {
            AuthDependency::Redis
        }
    }

    /// Whether the error may say that somebody else was faster, again and again, instead of a 503 kind.
    fn is_contention(self) -> bool {
        matches!(self, Self::PostgresAnswers("40001" | "40P01", _))
    }

    /// What the step must do: the policy, except that a server which only takes no writes still answers reads.
    fn expected(self, step: AuthStep, policy: AuthFallback) -> AuthFallback {
        match (self, step) {
            (Self::PostgresTakesNoWrites, AuthStep::VerifyUnknown | AuthStep::VerifyPrivileged) => {
                AuthFallback::Unaffected
            }
            _ => policy,
        }
    }
}

/// The servers, with a proxy in front of each, and a user whose hash all others share.
struct Fixture {
    postgres: PostgresServer,
    redis: RedisServer,
    postgres_proxy: Proxy,
    redis_proxy: Proxy,
    database: String,
    lock: Option<PgConnection>,
    reload: Option<std::thread::JoinHandle<()>>,
}

/// One step that will be taken under the fault, with a user of its own.
struct Row {
    step: AuthStep,
    policy: AuthFallback,
    name: String,
    pair: TokenPair,
}

impl Fixture {
    async fn build() -> Self {
        let postgres = PostgresServer::start();
        let redis = RedisServer::start_with(&["--enable-debug-command", "yes"]);
        let database = unique("matrix");
        postgres.create_database(&database);
        postgres.execute_in(&database, &Posada::schema_sql());
        let postgres_proxy = Proxy::in_front_of(&postgres.url_of(&database)).await;
        let redis_proxy = Proxy::in_front_of(redis.url()).await;
        let fixture = Self {
            postgres,
            redis,
            postgres_proxy,
            redis_proxy,
            database,
            lock: None,
            reload: None,
        };
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        let (posada, _) = fixture.posada();
        posada.auth().create_user(ana).await.unwrap();
        posada.close().await.unwrap();
        fixture.sql(FAULTY_USERS);
        fixture
    }

    fn sql(&self, sql: &str) {
        self.postgres.execute_in(&self.database, sql);
    }

    /// A new handle, which knows nothing, and the events that it raises.
    fn posada(&self) -> (Posada, Arc<Mutex<Vec<AuthEventKind>>>) {
        let settings = Settings::builder()
            .postgres_url(self.postgres_proxy.url())
            .postgres_pool_size(2)
            .postgres_max_overflow(0)
            .postgres_acquire_timeout(POSTGRES_DEADLINE / 2)
            .postgres_statement_timeout(POSTGRES_DEADLINE)
            .redis_url(self.redis_proxy.url())
            .redis_connect_timeout(REDIS_DEADLINE)
            .redis_command_timeout(REDIS_DEADLINE)
            .secret_key(KEY)
            .build()
            .unwrap();
        let events: Arc<Mutex<Vec<AuthEventKind>>> = Arc::default();
        let kept = events.clone();
        let posada = Posada::builder()
            .settings(settings)
            .auth_options(
                AuthOptions::new()
                    // Longer than a column takes, so that what is known stays known.
                    .max_staleness(Duration::from_mins(1))
                    .grace(Duration::from_secs(30)),
            )
            .audit_sink(Arc::new(move |event: &AuthEvent| {
                kept.lock().unwrap().push(event.kind);
            }))
            .build()
            .unwrap();
        (posada, events)
    }

    /// A user with the password of the first one, who is signed in.
    async fn signed_in(&self, posada: &Posada) -> (String, TokenPair) {
        let name = unique("user");
        self.sql(&format!(
            "INSERT INTO real_users SELECT (jsonb_populate_record(u, jsonb_build_object('id', '{name}', \
             'username', '{name}', 'email', '{name}@example.com'))).* FROM real_users u WHERE username = 'ana'"
        ));
        let pair = posada.auth().login(&SignIn::new(&name, PASSWORD)).await.unwrap();
        (name, pair)
    }

    async fn rows(&self, posada: &Posada, dependency: AuthDependency) -> Vec<Row> {
        let mut rows = Vec::new();
        for (step, _, policy) in AUTH_FAILURE_POLICY
            .into_iter()
            .filter(|(_, needed, _)| *needed == dependency)
        {
            let (name, pair) = self.signed_in(posada).await;
            if step == AuthStep::VerifyKnown {
                posada.auth().verify(&pair.access).await.unwrap();
            }
            rows.push(Row {
                step,
                policy,
                name,
                pair,
            });
        }
        rows
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::PostgresStopped => self.postgres.stop(),
            Fault::PostgresFrozen => self.postgres.freeze(),
            Fault::PostgresHalfOpen => self.postgres_proxy.black_hole(),
            Fault::PostgresAnswers(state, message) => {
                self.sql(&format!("INSERT INTO fault VALUES ('{state}', '{message}')"));
            }
            Fault::PostgresTerminates => self.sql("INSERT INTO fault VALUES ('terminate', '')"),
            Fault::PostgresTakesNoWrites => {
                let database = &self.database;
                self.postgres.execute(&format!(
                    "ALTER DATABASE {database} SET default_transaction_read_only = on"
                ));
                self.postgres.terminate_backends(database);
            }
            Fault::PostgresPoolExhausted => {
                let options: PgConnectOptions = self.postgres.url_of(&self.database).parse().unwrap();
                let mut lock = options.connect().await.unwrap();
                let take = "BEGIN; LOCK TABLE real_users IN ACCESS EXCLUSIVE MODE";
                sqlx::raw_sql(take).execute(&mut lock).await.unwrap();
                self.lock = Some(lock);
            }
            Fault::RedisStopped => self.redis.stop(),
            Fault::RedisFrozen => self.redis.freeze(),
            Fault::RedisHalfOpen => self.redis_proxy.black_hole(),
            Fault::RedisLoading => self.load_slowly(),
            Fault::RedisIsReplica => self.redis.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]),
            Fault::RedisLostItsMaster => {
                self.redis
                    .command::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
                self.redis.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
            }
            Fault::RedisOutOfMemory => self.redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]),
            Fault::RedisHoldsOtherTypes => {
                // A rate limit whose key is no counter is somebody's mistake, not an outage, and says so.
                let keys = self.redis.command::<Vec<String>>(&["KEYS", "*"]);
                for key in keys.iter().filter(|key| !key.starts_with("LIMITS")) {
                    self.redis.command::<()>(&["DEL", key]);
                    self.redis.command::<()>(&["LPUSH", key, "x"]);
                }
            }
            Fault::RedisForgotScripts => self.redis.command::<()>(&["SCRIPT", "FLUSH"]),
        }
    }

    /// Makes Redis load its own data, a hundredth of a second for each key, until the fault ends.
    fn load_slowly(&mut self) {
        let fill = "for i = 1, 20000 do redis.call('SET', 'ballast:' .. i, string.rep('x', 300)) end";
        self.redis.command::<()>(&["EVAL", fill, "0"]);
        for (option, value) in [
            ("key-load-delay", "10000"),
            ("loading-process-events-interval-bytes", "1024"),
        ] {
            self.redis.command::<()>(&["CONFIG", "SET", option, value]);
        }
        let url = self.redis.url().to_owned();
        self.reload = Some(std::thread::spawn(move || {
            let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
            redis::cmd("DEBUG").arg("RELOAD").exec(&mut connection).unwrap();
        }));
        posada_tests::wait_until("Redis loads", || {
            let state: String = self.redis.command(&["INFO", "persistence"]);
            state
                .contains("loading:1")
                .then_some(())
                .ok_or_else(|| "it does not load yet".to_owned())
        });
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::PostgresStopped => self.postgres.start_again(),
            Fault::PostgresFrozen => self.postgres.thaw(),
            Fault::PostgresHalfOpen => self.postgres_proxy.heal(),
            Fault::PostgresAnswers(..) | Fault::PostgresTerminates => self.sql("DELETE FROM fault"),
            Fault::PostgresTakesNoWrites => {
                let database = &self.database;
                self.postgres.execute(&format!(
                    "ALTER DATABASE {database} RESET default_transaction_read_only"
                ));
                // The sessions that began read-only go with the failover that ended it.
                self.postgres.terminate_backends(database);
            }
            Fault::PostgresPoolExhausted => {
                if let Some(lock) = self.lock.take() {
                    lock.close().await.unwrap();
                }
            }
            Fault::RedisStopped => self.redis.start_again(),
            Fault::RedisFrozen => self.redis.thaw(),
            Fault::RedisHalfOpen => self.redis_proxy.heal(),
            Fault::RedisLoading => {
                self.redis
                    .command::<()>(&["CONFIG", "SET", "key-load-delay", "0"]);
                self.reload.take().unwrap().join().unwrap();
            }
            Fault::RedisIsReplica => self.redis.command::<()>(&["REPLICAOF", "NO", "ONE"]),
            Fault::RedisLostItsMaster => {
                self.redis.command::<()>(&["REPLICAOF", "NO", "ONE"]);
                self.redis
                    .command::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
            }
            Fault::RedisOutOfMemory => self.redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]),
            Fault::RedisHoldsOtherTypes => self.redis.command::<()>(&["FLUSHALL"]),
            Fault::RedisForgotScripts => {}
        }
    }

    async fn column(&mut self, fault: Fault) {
        let (posada, events) = self.posada();
        let rows = self.rows(&posada, fault.dependency()).await;
        let (_, control) = self.signed_in(&posada).await;
        posada.limits().check(&hourly(), &["matrix"]).await.unwrap();
        self.begin(fault).await;
        let mut outcomes = Vec::new();
        for row in &rows {
            let what = format!("{:?} under {fault:?}", row.step);
            let outcome = tokio::time::timeout(LONGEST, take(&posada, row, fault)).await;
            outcomes.push((
                outcome.unwrap_or_else(|_| panic!("{what}: no answer in time")),
                what,
            ));
        }
        let limit = hourly();
        let checked = posada.limits().check(&limit, &["matrix"]);
        let checked = tokio::time::timeout(LONGEST, checked).await;
        let decision = checked
            .unwrap()
            .unwrap_or_else(|error| panic!("rate check under {fault:?}: {error}"));
        let is_degraded = fault.dependency() == AuthDependency::Redis && fault.silences_redis();
        assert_eq!(decision.degraded, is_degraded, "rate check under {fault:?}");
        assert!(decision.allowed, "rate check under {fault:?}");
        self.end(fault).await;
        recovers(&posada, &control, fault).await;
        for (row, (outcome, what)) in rows.iter().zip(outcomes) {
            match fault.expected(row.step, row.policy) {
                AuthFallback::Refuses => {
                    is_infrastructure(&outcome, fault, &what);
                    take(&posada, row, fault)
                        .await
                        .unwrap_or_else(|error| panic!("{what}, and once more after it: {error}"));
                }
                _ => outcome.unwrap_or_else(|error| panic!("{what}: {error}")),
            }
            if matches!(row.step, AuthStep::Revoke | AuthStep::ChangePassword) {
                let verdict = posada.auth().verify(&row.pair.access).await;
                let error = verdict
                    .err()
                    .unwrap_or_else(|| panic!("{what}: the session goes on"));
                assert!(
                    error.is(posada::error::codes::AUTH_SESSION_ENDED),
                    "{what}: {error}"
                );
            }
        }
        if is_degraded {
            let raised = events.lock().unwrap().contains(&AuthEventKind::Degraded);
            assert!(
                raised,
                "{fault:?}: nobody was told that a revocation was not shared"
            );
        }
        posada.close().await.unwrap();
    }
}

fn hourly() -> RateLimit {
    RateLimit::parse("1000/hour").unwrap()
}

/// Takes the step of the row. Sign-in is tried more often than an account may fail.
async fn take(posada: &Posada, row: &Row, fault: Fault) -> Result<(), Error> {
    let (auth, pair) = (posada.auth(), &row.pair);
    match row.step {
        AuthStep::VerifyKnown | AuthStep::VerifyUnknown => auth.verify(&pair.access).await.map(drop),
        AuthStep::VerifyPrivileged => auth.verify_privileged(&pair.access).await.map(drop),
        AuthStep::Login => {
            let attempt = SignIn::new(&row.name, PASSWORD);
            let times = if fault.dependency() == AuthDependency::Postgres {
                6
            } else {
                1
            };
            let attempts = join_all((1..times).map(|_| auth.login(&attempt))).await;
            for error in attempts.into_iter().filter_map(Result::err) {
                if matches!(error.kind(), Kind::Unauthenticated | Kind::Denied) {
                    return Err(error);
                }
            }
            auth.login(&attempt).await.map(drop)
        }
        AuthStep::Refresh => auth.refresh(&pair.refresh).await.map(drop),
        AuthStep::Revoke => auth.logout(&pair.access).await,
        AuthStep::ChangePassword => auth
            .change_password(&pair.access, PASSWORD, SECOND)
            .await
            .map(drop),
    }
}

/// Counted from the end of the fault.
async fn recovers(posada: &Posada, control: &TokenPair, fault: Fault) {
    let healed = Instant::now();
    loop {
        let verified = posada.auth().verify_privileged(&control.access).await;
        let checked = posada.limits().check(&hourly(), &["matrix"]).await;
        match (verified, checked) {
            (Ok(_), Ok(decision)) if !decision.degraded => return,
            outcome => assert!(healed.elapsed() < RECOVERY, "{fault:?} is over: {outcome:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[track_caller]
fn is_infrastructure(outcome: &Result<(), Error>, fault: Fault, what: &str) {
    let error = outcome.as_ref().expect_err(what);
    let is_503 = matches!(
        error.kind(),
        Kind::Unavailable | Kind::Timeout | Kind::Exhausted | Kind::Ambiguous
    );
    let is_contended = fault.is_contention() && error.kind() == Kind::Conflict;
    assert!(is_503 || is_contended, "{what}: {error}");
    let shown = format!("{error} {error:?}");
    for secret in [PASSWORD, SECOND, KEY, "eyJ", "se/cret", "se%2Fcret"] {
        assert!(!shown.contains(secret), "{what} shows a secret");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_119_to_250_every_step_under_every_fault_of_postgres() {
    let mut fixture = Fixture::build().await;
    for fault in [
        Fault::PostgresStopped,
        Fault::PostgresFrozen,
        Fault::PostgresHalfOpen,
        Fault::PostgresTerminates,
        Fault::PostgresAnswers("40001", "could not serialize access"),
        Fault::PostgresAnswers("40P01", "deadlock detected"),
        Fault::PostgresAnswers("53300", "too many connections"),
        Fault::PostgresAnswers("57P01", "terminating connection"),
        Fault::PostgresAnswers("57P03", "the database system is starting up"),
        Fault::PostgresAnswers(
            "XX000",
            "ECHECKOUTTIMEOUT: unable to check out connection from the pool",
        ),
        Fault::PostgresTakesNoWrites,
        Fault::PostgresPoolExhausted,
    ] {
        fixture.column(fault).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_119_to_250_every_step_under_every_fault_of_redis() {
    let mut fixture = Fixture::build().await;
    for fault in [
        Fault::RedisStopped,
        Fault::RedisFrozen,
        Fault::RedisHalfOpen,
        Fault::RedisLoading,
        Fault::RedisIsReplica,
        Fault::RedisLostItsMaster,
        Fault::RedisOutOfMemory,
        Fault::RedisHoldsOtherTypes,
        Fault::RedisForgotScripts,
    ] {
        fixture.column(fault).await;
    }
}
