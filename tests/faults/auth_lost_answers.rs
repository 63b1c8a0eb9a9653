//! Case 75: the answer to a commit is lost. The client repeats the call, and recovers.

use std::time::Duration;

use posada::auth::{NewUser, SignIn, TokenPair};
use posada::error::codes;
use posada::testkit::Proxy;
use posada::{Error, Kind, Posada, Settings};
use posada_tests::{servers, unique, wait_until};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

const KEY: &str = "c0ffee5ecret0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "el loro pinta mapas de cobre";
const SECOND: &str = "una llama silba en do menor";

/// A handle whose way to Postgres goes through a proxy, and somebody who is signed in.
struct Line {
    proxy: Proxy,
    posada: Posada,
    database: String,
    pair: TokenPair,
}

impl Line {
    async fn open() -> Self {
        let database = unique("lost");
        servers::postgres().create_database(&database);
        servers::postgres().execute_in(&database, &Posada::schema_sql());
        let proxy = Proxy::in_front_of(&servers::postgres().url_of(&database)).await;
        let settings = Settings::builder()
            .postgres_url(proxy.url())
            .postgres_statement_timeout(Duration::from_mins(1))
            .secret_key(KEY);
        let posada = Posada::builder()
            .settings(settings.build().unwrap())
            .build()
            .unwrap();
        let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
        posada.auth().create_user(ana).await.unwrap();
        let pair = posada.auth().login(&SignIn::new("ana", PASSWORD)).await.unwrap();
        Self {
            proxy,
            posada,
            database,
            pair,
        }
    }

    fn ask(&self, sql: &str) -> String {
        servers::postgres().execute_in(&self.database, sql)
    }

    /// Runs a call that writes to the table. When its last statement is about to commit, the answers are held back;
    /// when everybody can see the commit, the connection is reset.
    async fn lose_the_answer<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
        table: &str,
        probe: &'static str,
    ) {
        self.ask(&format!(
            "CREATE FUNCTION at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION at_the_gate()"
        ));
        let before = self.ask(probe);
        let mut gate = Gate::shut(&self.database).await;
        let loss = async {
            let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            self.wait_for_change(waiting, "0").await;
            self.proxy.hold_answers();
            gate.open().await;
            self.wait_for_change(probe, &before).await;
            self.proxy.reset();
        };
        let (outcome, ()) = tokio::join!(call, loss);
        self.proxy.heal();
        self.ask(&format!("DROP TRIGGER gate ON {table}"));
        let error = outcome.err().expect("the answer was lost");
        assert_eq!(error.kind(), Kind::Ambiguous, "{error}");
    }

    async fn wait_for_change(&self, probe: &'static str, before: &str) {
        let (database, before) = (self.database.clone(), before.to_owned());
        let waited = tokio::task::spawn_blocking(move || {
            wait_until(probe, || match servers::postgres().execute_in(&database, probe) {
                now if now == before => Err(now),
                _ => Ok(()),
            });
        });
        waited.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_75_a_refresh_whose_answer_is_lost_is_repeated_and_gives_the_one_lineage() {
    let line = Line::open().await;
    let auth = line.posada.auth();
    let refreshed = auth.refresh(&line.pair.refresh);
    line.lose_the_answer(refreshed, "user_sessions", "SELECT token_jti FROM user_sessions")
        .await;
    let next = auth.refresh(&line.pair.refresh).await.unwrap();
    auth.verify(&next.access).await.unwrap();
    let last = auth.refresh(&next.refresh).await.unwrap();
    auth.verify_privileged(&last.access).await.unwrap();
    let rows = line.ask("SELECT count(*), bool_or(is_revoked) FROM user_sessions");
    assert_eq!(rows, "1|f", "one lineage, and nobody was taken for a thief");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_75_a_logout_whose_answer_is_lost_has_happened_and_may_be_repeated() {
    let line = Line::open().await;
    let auth = line.posada.auth();
    let ended = auth.logout(&line.pair.access);
    line.lose_the_answer(ended, "user_sessions", "SELECT is_revoked FROM user_sessions")
        .await;
    auth.logout(&line.pair.access).await.unwrap();
    let error = auth.refresh(&line.pair.refresh).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_75_a_change_of_the_password_whose_answer_is_lost_is_told_by_the_next_sign_in() {
    let line = Line::open().await;
    let auth = line.posada.auth();
    let changed = auth.change_password(&line.pair.access, PASSWORD, SECOND);
    line.lose_the_answer(
        changed,
        "password_history",
        "SELECT count(*) FROM password_history",
    )
    .await;
    let error = auth.login(&SignIn::new("ana", PASSWORD)).await.unwrap_err();
    assert!(error.is(codes::AUTH_BAD_CREDENTIALS), "{error}");
    auth.login(&SignIn::new("ana", SECOND)).await.unwrap();
    let error = auth.verify_privileged(&line.pair.access).await.unwrap_err();
    assert!(error.is(codes::AUTH_SESSION_ENDED), "{error}");
}

/// A lock of ours in the database, which a transaction under test waits for.
struct Gate(PgConnection);

impl Gate {
    async fn shut(database: &str) -> Self {
        let options: PgConnectOptions = servers::postgres().url_of(database).parse().unwrap();
        let mut gate = Self(options.connect().await.unwrap());
        gate.run("SELECT pg_advisory_lock(7)").await;
        gate
    }

    async fn open(&mut self) {
        self.run("SELECT pg_advisory_unlock(7)").await;
    }

    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.0).await.unwrap();
    }
}
