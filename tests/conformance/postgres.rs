//! The Postgres backend on a server and behind a pooler.

use posada::settings::{Pooling, PostgresSettings};
use posada::testkit::postgres::{Probe, Report};
use posada_tests::{PgBouncer, servers, unique};

fn settings(url: &str, pooling: Pooling) -> PostgresSettings {
    let mut settings = PostgresSettings::parse(url).unwrap();
    settings.pooling = pooling;
    settings.pool_size = 12;
    settings.max_overflow = 0;
    settings
}

fn all_ok(executions: i64) -> Report {
    Report {
        ok: executions.unsigned_abs(),
        wrong: 0,
        errors: 0,
    }
}

/// A database with the table that the probe writes to.
fn database() -> String {
    let name = unique("probe");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, "CREATE TABLE probe (id text)");
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_transaction_pooler_every_statement_gets_its_own_answer() {
    let pooler = PgBouncer::start(servers::postgres(), 3);
    let probe = Probe::new(&settings(&pooler.url("postgres"), Pooling::Transaction)).unwrap();
    assert_eq!(probe.interleave(12, 12, 99_996).await, all_ok(99_996));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_the_settings_do_not_know_of_is_noticed_and_mixes_nothing_up() {
    let pooler = PgBouncer::start(servers::postgres(), 3);
    let probe = Probe::new(&settings(&pooler.url("postgres"), Pooling::Session)).unwrap();
    assert_eq!(probe.interleave(12, 12, 6_000).await, all_ok(6_000));
}

#[tokio::test]
async fn on_a_connection_of_our_own_statements_stay_prepared() {
    let url = servers::postgres().url_of(&database());
    let mut settings = settings(&url, Pooling::Session);
    settings.pool_size = 1;
    let probe = Probe::new(&settings).unwrap();
    assert_eq!(probe.interleave(12, 1, 120).await, all_ok(120));
    let prepared = probe.prepared_statements().await.unwrap();
    assert!(prepared.len() >= 12, "{prepared:?}");
}

#[tokio::test]
async fn a_transaction_happens_whole_or_not_at_all() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let probe = Probe::new(&settings(&servers::postgres().url_of(&database()), pooling)).unwrap();
        probe.insert_twice("kept").await.unwrap();
        assert_eq!(probe.count().await.unwrap(), 2);
        let error = probe.insert_and_give_up("undone").await.unwrap_err();
        assert_eq!(error.message(), "changed its mind");
        assert_eq!(probe.count().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_transaction_whose_failed_statement_was_ignored_is_not_called_a_success() {
    let url = servers::postgres().url_of(&database());
    let probe = Probe::new(&settings(&url, Pooling::Session)).unwrap();
    let error = probe
        .insert_after_a_failure_that_is_ignored("lost")
        .await
        .unwrap_err();
    assert_eq!(error.fact("sqlstate"), Some("25P02"));
    assert_eq!(probe.count().await.unwrap(), 0);
}

#[tokio::test]
async fn limits_of_a_transaction_do_not_leak_to_the_next_client_of_the_pooler() {
    let name = database();
    let pooler = PgBouncer::start(servers::postgres(), 1);
    let probe = Probe::new(&settings(&pooler.url(&name), Pooling::Transaction)).unwrap();
    probe.insert_twice("one").await.unwrap();
    let shown = "SELECT current_setting('statement_timeout') || current_setting('lock_timeout')";
    assert_eq!(pooler.execute(&name, shown), "00");
}
