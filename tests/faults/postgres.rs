//! The Postgres backend on a bad day: every call keeps its deadline, says the truth about writes, leaves no
//! transaction open, and recovers without a new handle.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use posada::Error;
use posada::clock::{Clock, ManualClock, SystemClock};
use posada::error::codes;
use posada::settings::{Pooling, PostgresSettings, Secret};
use posada::testkit::Proxy;
use posada::testkit::postgres::Probe;
use posada_tests::{PgBouncer, PostgresServer, servers, unique, wait_until};

const DEADLINE: Duration = Duration::from_secs(1);
const TABLE: &str = "CREATE TABLE probe (id text)";
/// Makes the end of a transaction take a while, so that a test can do something about it.
const SLOW_COMMIT: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON probe DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION slow()";

fn settings(url: &str) -> PostgresSettings {
    let mut settings = PostgresSettings::parse(url).unwrap();
    settings.pooling = Pooling::Session;
    settings.statement_timeout = DEADLINE;
    settings.acquire_timeout = DEADLINE;
    settings.connect_timeout = DEADLINE;
    settings
}

fn probe(url: &str) -> Probe {
    Probe::new(&settings(url)).unwrap()
}

fn patient_probe(url: &str, pooling: Pooling) -> Probe {
    let mut settings = settings(url);
    settings.pooling = pooling;
    settings.statement_timeout = Duration::from_secs(20);
    Probe::new(&settings).unwrap()
}

/// A database on the shared server with the table that the probe writes to.
fn database() -> String {
    let name = unique("probe");
    servers::postgres().create_database(&name);
    run(&name, TABLE);
    name
}

fn run(database: &str, sql: &str) -> String {
    servers::postgres().execute_in(database, sql)
}

fn count(database: &str) -> String {
    run(database, "SELECT count(*) FROM probe")
}

/// How many backends of the database are in this state, which may hold `%`.
fn backends(database: &str, condition: &str) -> String {
    servers::postgres().execute(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {condition}"
    ))
}

fn wait_until_equal(what: &str, expected: &str, mut found: impl FnMut() -> String) {
    wait_until(what, || match found() {
        value if value == expected => Ok(()),
        value => Err(format!("{value} is not {expected}")),
    });
}

/// Runs an operation that must fail, and checks that it failed within its deadline.
async fn fails_in_time<T: std::fmt::Debug>(operation: impl Future<Output = Result<T, Error>>) -> Error {
    let started = Instant::now();
    let error = operation.await.unwrap_err();
    let took = started.elapsed();
    assert!(took < DEADLINE * 10, "{error} took {took:?}");
    error
}

/// Repeats an operation until it works; fails the test after twenty seconds.
async fn until_it_works<T>(what: &str, mut operation: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let started = Instant::now();
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{what}: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Polls an operation at most so often and then drops it; answers whether it was done by then.
async fn dropped_after<T>(polls: usize, operation: impl Future<Output = T>) -> bool {
    let mut operation = pin!(operation);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match operation.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn assert_nothing_is_left_open(probe: &Probe, database: &str) {
    wait_until("every connection is given back", || match probe.connections().0 {
        0 => Ok(()),
        lent => Err(format!("{lent} are lent out")),
    });
    assert_eq!(backends(database, "state LIKE 'idle in transaction%'"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_at_any_poll_happens_once_and_leaves_no_transaction_open() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let name = database();
        let probe = patient_probe(&servers::postgres().url_of(&name), pooling);
        let mut begun = 0;
        for polls in 1.. {
            begun += 1;
            if dropped_after(polls, probe.insert_twice("pair")).await {
                break;
            }
        }
        for polls in 1.. {
            begun += 1;
            // One row instead of two, so every single write is made twice.
            let (one, other) = (probe.insert("single"), probe.insert("single"));
            let done = dropped_after(polls, one).await;
            if dropped_after(polls, other).await && done {
                break;
            }
        }
        assert_nothing_is_left_open(&probe, &name);
        assert_eq!(probe.count().await.unwrap(), begun * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_dropped_at_any_time_happens_once_and_leaves_no_transaction_open() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let name = database();
        let proxy = Proxy::in_front_of(&servers::postgres().url_of(&name)).await;
        proxy.delay(Duration::from_millis(2));
        let probe = patient_probe(proxy.url(), pooling);
        let mut begun = 0;
        // The steps are shorter than a message's way, so that every step of the conversation is hit.
        for step in 0.. {
            begun += 1;
            let patience = Duration::from_millis(step);
            if tokio::time::timeout(patience, probe.insert_twice("pair"))
                .await
                .is_ok()
            {
                break;
            }
        }
        assert!(begun > 5, "the conversation was too short to be interrupted");
        assert_nothing_is_left_open(&probe, &name);
        assert_eq!(probe.count().await.unwrap(), begun * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_that_are_dropped_midway_are_finished_once() {
    let name = database();
    let probe = patient_probe(&servers::postgres().url_of(&name), Pooling::Session);
    assert!(!dropped_after(1, probe.migrate()).await);
    assert_eq!(probe.close().await, 0);
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations")).unwrap();
    let numbered = files
        .filter(|file| {
            file.as_ref()
                .unwrap()
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"0")
        })
        .count();
    assert_eq!(
        run(&name, "SELECT count(*) FROM posada.migrations"),
        numbered.to_string()
    );
    assert_eq!(backends(&name, "state LIKE 'idle in transaction%'"), "0");
}

#[tokio::test]
async fn a_stopped_server_is_unavailable_at_once_and_a_restarted_one_is_found_without_a_new_handle() {
    let mut server = PostgresServer::start();
    server.execute(TABLE);
    let probe = probe(server.url());
    probe.insert("before").await.unwrap();
    server.stop();
    for error in [
        fails_in_time(probe.count()).await,
        fails_in_time(probe.insert("never")).await,
    ] {
        assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
        let settings = settings(server.url());
        let named = format!("Postgres ({}:{}) ", settings.host, settings.port);
        assert!(error.message().starts_with(&named), "{error}");
    }
    server.start_again();
    probe.insert("after").await.unwrap();
    assert_eq!(probe.count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_crashed_server_costs_a_read_nothing_once_it_is_back() {
    let mut server = PostgresServer::start();
    server.execute(TABLE);
    let probe = probe(server.url());
    probe.count().await.unwrap();
    server.kill();
    server.start_again();
    assert_eq!(probe.count().await.unwrap(), 0);
}

#[tokio::test]
async fn terminated_backends_cost_neither_a_read_nor_a_write_anything() {
    let name = database();
    let probe = probe(&servers::postgres().url_of(&name));
    probe.count().await.unwrap();
    servers::postgres().terminate_backends(&name);
    probe.insert("once").await.unwrap();
    servers::postgres().terminate_backends(&name);
    assert_eq!(probe.count().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_backend_is_terminated_midway_is_repeated() {
    let name = database();
    let probe = patient_probe(&servers::postgres().url_of(&name), Pooling::Session);
    let sleeping = tokio::spawn({
        let probe = probe.clone();
        async move { probe.sleep(1.0).await }
    });
    wait_until_equal("the statement is under way", "1", || {
        backends(&name, "query LIKE '%pg_sleep%'")
    });
    servers::postgres().terminate_backends(&name);
    sleeping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_black_hole_reads_time_out_writes_are_unknown_and_afterwards_all_is_well() {
    let name = database();
    let proxy = Proxy::in_front_of(&servers::postgres().url_of(&name)).await;
    let probe = probe(proxy.url());
    probe.insert("before").await.unwrap();
    proxy.hold_answers();
    let error = fails_in_time(probe.insert("unknown")).await;
    assert!(error.is(codes::POSTGRES_OUTCOME_UNKNOWN), "{error}");
    wait_until_equal("the write happened all the same", "2", || count(&name));
    proxy.heal();
    probe.count().await.unwrap();
    proxy.black_hole();
    let error = fails_in_time(probe.count()).await;
    assert!(error.is(codes::POSTGRES_TIMEOUT), "{error}");
    let error = fails_in_time(probe.insert_twice("never")).await;
    assert!(
        error.is(codes::POSTGRES_UNAVAILABLE) || error.is(codes::POSTGRES_TIMEOUT),
        "{error}"
    );
    proxy.heal();
    until_it_works("a write after the black hole", async || {
        probe.insert("after").await
    })
    .await;
    assert_nothing_is_left_open(&probe, &name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_keeps_nobody_waiting_beyond_the_deadline() {
    let mut server = PostgresServer::start();
    server.execute(TABLE);
    let probe = probe(server.url());
    probe.count().await.unwrap();
    server.freeze();
    let error = fails_in_time(probe.count()).await;
    assert!(
        error.is(codes::POSTGRES_TIMEOUT) || error.is(codes::POSTGRES_UNAVAILABLE),
        "{error}"
    );
    server.thaw();
    until_it_works("a read after the thaw", async || probe.count().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_not_repeated() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let name = database();
        run(&name, SLOW_COMMIT);
        let proxy = Proxy::in_front_of(&servers::postgres().url_of(&name)).await;
        let probe = patient_probe(proxy.url(), pooling);
        let writing = tokio::spawn({
            let probe = probe.clone();
            async move { probe.insert_twice("pair").await }
        });
        wait_until_equal("the commit is under way", "1", || {
            backends(&name, "query = 'COMMIT' AND state = 'active'")
        });
        proxy.reset();
        let error = writing.await.unwrap().unwrap_err();
        assert!(error.is(codes::POSTGRES_OUTCOME_UNKNOWN), "{error}");
        wait_until_equal("the transaction is there", "2", || count(&name));
        assert_nothing_is_left_open(&probe, &name);
        assert_eq!(probe.count().await.unwrap(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_cut_before_its_commit_is_run_again_and_happens_once() {
    let name = database();
    run(
        &name,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON probe FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let proxy = Proxy::in_front_of(&servers::postgres().url_of(&name)).await;
    let probe = patient_probe(proxy.url(), Pooling::Session);
    let writing = tokio::spawn({
        let probe = probe.clone();
        async move { probe.insert_twice("pair").await }
    });
    wait_until_equal("the insert is under way", "1", || {
        backends(&name, "query LIKE 'INSERT%' AND state = 'active'")
    });
    proxy.reset();
    writing.await.unwrap().unwrap();
    assert_eq!(count(&name), "2");
}

#[tokio::test]
async fn a_connection_that_broke_while_it_was_idle_is_found_out_before_a_write() {
    let name = database();
    let proxy = Proxy::in_front_of(&servers::postgres().url_of(&name)).await;
    let clock = ManualClock::at(SystemClock.now());
    let probe = Probe::with_clock(&settings(proxy.url()), clock.shared()).unwrap();
    probe.insert("before").await.unwrap();
    proxy.reset();
    clock.advance(Duration::from_secs(2));
    probe.insert("after").await.unwrap();
    assert_eq!(count(&name), "2");
}

#[tokio::test]
async fn surplus_connections_are_closed_when_idle_and_the_others_kept() {
    let name = database();
    let clock = ManualClock::at(SystemClock.now());
    let mut settings = settings(&servers::postgres().url_of(&name));
    (settings.pool_size, settings.max_overflow) = (1, 2);
    let probe = Probe::with_clock(&settings, clock.shared()).unwrap();
    let (one, two, three) = tokio::join!(probe.sleep(0.2), probe.sleep(0.2), probe.sleep(0.2));
    one.and(two).and(three).unwrap();
    assert_eq!(probe.connections(), (0, 3));
    clock.advance(Duration::from_secs(11));
    while probe.connections() != (0, 1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(backends(&name, "TRUE"), "1");
}

#[tokio::test]
async fn a_slow_statement_is_given_up_by_the_server_too_and_its_connection_kept() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let name = database();
        let mut settings = settings(&servers::postgres().url_of(&name));
        settings.pooling = pooling;
        let probe = Probe::new(&settings).unwrap();
        let error = fails_in_time(probe.sleep(30.0)).await;
        assert!(error.is(codes::POSTGRES_TIMEOUT), "{error}");
        assert_eq!(backends(&name, "state = 'active'"), "0");
        assert_eq!(probe.connections(), (0, 1));
    }
}

#[tokio::test]
async fn a_pool_that_stays_busy_is_exhausted_and_says_so() {
    let mut settings = settings(&servers::postgres().url_of(&database()));
    (settings.pool_size, settings.max_overflow) = (1, 0);
    settings.acquire_timeout = Duration::from_millis(200);
    let probe = Probe::new(&settings).unwrap();
    probe.connect().await.unwrap();
    let (slept, refused) = tokio::join!(probe.sleep(0.6), probe.count());
    slept.unwrap();
    let error = refused.unwrap_err();
    assert!(error.is(codes::POSTGRES_EXHAUSTED), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_server_without_free_connections_is_exhausted() {
    let name = database();
    let role = unique("clerk");
    run(
        &name,
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'one' CONNECTION LIMIT 1"),
    );
    let mut settings = settings(&servers::postgres().url_of(&name));
    (settings.user, settings.password) = (role, Some(Secret::new("one")));
    let (first, second) = (Probe::new(&settings).unwrap(), Probe::new(&settings).unwrap());
    first.connect().await.unwrap();
    let error = fails_in_time(second.connect()).await;
    assert!(error.is(codes::POSTGRES_EXHAUSTED), "{error}");
    first.close().await;
    until_it_works("the free place is found", async || second.connect().await).await;
}

#[tokio::test]
async fn a_wrong_password_or_database_is_refused_and_no_secret_is_shown() {
    let mut wrong_password = settings(servers::postgres().url());
    wrong_password.password = Some(Secret::new("hunter2"));
    let mut no_database = settings(servers::postgres().url());
    no_database.database = "no_such_database".to_owned();
    for settings in [wrong_password, no_database] {
        let error = fails_in_time(Probe::new(&settings).unwrap().connect()).await;
        assert!(error.is(codes::POSTGRES_REFUSED), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_missing_table_is_named_with_the_remedy() {
    let name = unique("bare");
    servers::postgres().create_database(&name);
    let error = probe(&servers::postgres().url_of(&name))
        .count()
        .await
        .unwrap_err();
    assert!(error.is(codes::POSTGRES_SCHEMA), "{error}");
    assert!(
        error.message().contains("\"probe\"") && error.message().contains("migrate"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_unavailable_for_writing() {
    let name = database();
    run(
        &name,
        &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
    );
    let probe = probe(&servers::postgres().url_of(&name));
    assert_eq!(probe.count().await.unwrap(), 0);
    let error = fails_in_time(probe.insert("refused")).await;
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    run(
        "postgres",
        &format!("ALTER DATABASE {name} SET default_transaction_read_only = off"),
    );
    probe.insert("accepted").await.unwrap();
}

#[tokio::test]
async fn a_column_that_changes_its_type_under_prepared_statements_is_not_noticed() {
    let name = database();
    let probe = probe(&servers::postgres().url_of(&name));
    probe.rows().await.unwrap();
    run(&name, "ALTER TABLE probe ADD COLUMN later text");
    probe.rows().await.unwrap();
}

#[tokio::test]
async fn a_stopped_pooler_and_a_stopped_server_behind_it_are_unavailable_until_they_are_back() {
    let mut server = PostgresServer::start();
    server.execute(TABLE);
    let mut pooler = PgBouncer::start(&server, 3);
    let mut settings = settings(&pooler.url("postgres"));
    settings.pooling = Pooling::Transaction;
    let probe = Probe::new(&settings).unwrap();
    probe.insert("before").await.unwrap();
    pooler.stop();
    let error = fails_in_time(probe.insert("never")).await;
    assert!(error.is(codes::POSTGRES_UNAVAILABLE), "{error}");
    pooler.start_again();
    until_it_works("a write after the pooler is back", async || {
        probe.insert("after").await
    })
    .await;
    server.stop();
    let error = fails_in_time(probe.insert("never")).await;
    assert!(
        error.is(codes::POSTGRES_UNAVAILABLE)
            || error.is(codes::POSTGRES_TIMEOUT)
            || error.is(codes::POSTGRES_EXHAUSTED),
        "{error}"
    );
    server.start_again();
    until_it_works("a write after the server is back", async || {
        probe.insert("again").await
    })
    .await;
    assert_eq!(server.execute("SELECT count(*) FROM probe"), "3");
}

#[tokio::test]
async fn a_closed_handle_refuses_everything_and_leaves_no_connection() {
    let name = database();
    let probe = probe(&servers::postgres().url_of(&name));
    probe.insert("before").await.unwrap();
    assert_eq!(probe.close().await, 0);
    assert!(probe.count().await.unwrap_err().is(codes::POSADA_CLOSED));
    wait_until_equal("the server sees them go", "0", || backends(&name, "TRUE"));
}
