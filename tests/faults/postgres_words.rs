//! What poolers, proxies and servers say when they refuse: words of all kinds, at the start of a connection and in
//! the middle of its life. None of it is a defect of posada, whoever invents it.

use std::time::Duration;

use posada::doctor::Severity;
use posada::error::codes;
use posada::settings::{Pooling, PostgresSettings};
use posada::testkit::postgres::Probe;
use posada::{Code, Posada, Settings};
use posada_tests::{PgBouncer, PostgresServer, Spokesman, servers, unique, wait_until};

const TABLE: &str = "CREATE TABLE probe (id text)";

/// State, words, and what they are when a connection is made.
const SAID: [(&str, &str, Code); 18] = [
    (
        "XX000",
        "(ENOTFOUND) tenant/user postgres.abcdefghijklmnopqrst not found",
        codes::POSTGRES_REFUSED,
    ),
    (
        "XX000",
        "(ECIRCUITBREAKER) too many authentication failures, new connections are temporarily blocked",
        codes::POSTGRES_UNAVAILABLE,
    ),
    (
        "XX000",
        "(EDBHANDLEREXITED) connection to database closed. Check logs for more information",
        codes::POSTGRES_UNAVAILABLE,
    ),
    (
        "XX000",
        "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
        codes::POSTGRES_EXHAUSTED,
    ),
    (
        "XX000",
        "(EPOOLTERMINATING) pool terminating: 57P01",
        codes::POSTGRES_UNAVAILABLE,
    ),
    (
        "XX000",
        "(ENEXTYEAR) words that no list has",
        codes::POSTGRES_REFUSED,
    ),
    (
        "08006",
        "(ESSLHANDSHAKE) SSL handshake failed: closed",
        codes::POSTGRES_UNAVAILABLE,
    ),
    (
        "08P01",
        "client connections exceeded (max_user_client_connections)",
        codes::POSTGRES_EXHAUSTED,
    ),
    (
        "08P01",
        "client_login_timeout (server down)",
        codes::POSTGRES_UNAVAILABLE,
    ),
    ("08P01", "admin forced disconnect", codes::POSTGRES_UNAVAILABLE),
    ("08P01", "bouncer config error", codes::POSTGRES_REFUSED),
    (
        "28000",
        "This RDS proxy has no credentials for the role hotel. Check the credentials for this role.",
        codes::POSTGRES_REFUSED,
    ),
    (
        "53300",
        "too many connections for role \"hotel\"",
        codes::POSTGRES_EXHAUSTED,
    ),
    (
        "57P03",
        "the database system is in recovery mode",
        codes::POSTGRES_UNAVAILABLE,
    ),
    (
        "42704",
        "unrecognized configuration parameter \"row_security\"",
        codes::POSTGRES_REFUSED,
    ),
    (
        "53100",
        "could not write to file \"base/pgsql_tmp/pgsql_tmp4711.0\": No space left on device",
        codes::POSTGRES_UNAVAILABLE,
    ),
    ("53200", "out of memory", codes::POSTGRES_UNAVAILABLE),
    ("P9999", "palabras de otro idioma", codes::POSTGRES_REFUSED),
];

/// A database with the table of the probe, behind a spokesman; its settings.
fn behind_a_spokesman(pooling: Pooling) -> (Spokesman, PostgresSettings, String) {
    let name = unique("words");
    servers::postgres().create_database(&name);
    servers::postgres().execute_in(&name, TABLE);
    let address = servers::postgres().address();
    let spokesman = Spokesman::before(&address);
    let url = servers::postgres()
        .url_of(&name)
        .replace(&address, &spokesman.address());
    let mut settings = PostgresSettings::parse(&url).unwrap();
    settings.pooling = pooling;
    (spokesman, settings, name)
}

fn count(database: &str) -> String {
    servers::postgres().execute_in(database, "SELECT count(*) FROM probe")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_said_to_a_newcomer_is_a_refusal_or_an_outage_with_the_words_and_the_code() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let (spokesman, settings, _) = behind_a_spokesman(pooling);
        for (state, words, expected) in SAID {
            spokesman.refuse("FATAL", state, words, 1_000);
            let error = Probe::new(&settings).unwrap().connect().await.unwrap_err();
            assert!(error.is(expected), "{pooling:?} {state} {words}: {error}");
            let message = error.message();
            assert!(message.contains(words) && message.contains(state), "{message}");
            assert!(!message.contains("mixed up"), "{message}");
        }
        spokesman.fall_silent();
        Probe::new(&settings).unwrap().connect().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_live_connection_costs_a_read_nothing_and_a_transaction_neither() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let (spokesman, settings, database) = behind_a_spokesman(pooling);
        let probe = Probe::new(&settings).unwrap();
        let refusals = ["ENOTFOUND", "ECIRCUITBREAKER", "no credentials"];
        let mut written = 0;
        for (state, words, _) in SAID {
            if refusals.iter().any(|refusal| words.contains(refusal)) {
                continue;
            }
            probe.connect().await.unwrap();
            for severity in ["FATAL", "ERROR"] {
                if severity == "ERROR" && !matches!(state, "XX000" | "08P01") {
                    continue;
                }
                spokesman.interrupt(severity, state, words, 1);
                let read = probe.count().await;
                assert_eq!(read.ok(), Some(written), "{pooling:?} {severity} {state} {words}");
                spokesman.interrupt(severity, state, words, 1);
                probe.insert_twice("pair").await.unwrap();
                written += 2;
            }
        }
        assert_eq!(count(&database), written.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_write_that_a_pooler_cuts_off_is_unknown_and_not_made_twice() {
    let (spokesman, settings, database) = behind_a_spokesman(Pooling::Session);
    let probe = Probe::new(&settings).unwrap();
    for (state, words) in [
        ("08P01", "server conn crashed?"),
        ("XX000", "(EDBHANDLEREXITED) DbHandler exited"),
        (
            "57P02",
            "terminating connection because of crash of another server process",
        ),
        ("08P01", "words of PgBouncer 2"),
    ] {
        probe.connect().await.unwrap();
        spokesman.interrupt("FATAL", state, words, 1);
        let error = probe.insert("once").await.unwrap_err();
        assert!(error.is(codes::POSTGRES_OUTCOME_UNKNOWN), "{words}: {error}");
    }
    // The server's own farewell says that nothing was done.
    probe.connect().await.unwrap();
    spokesman.interrupt(
        "FATAL",
        "57P01",
        "terminating connection due to administrator command",
        1,
    );
    probe.insert("once").await.unwrap();
    assert_eq!(count(&database), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_disk_space_or_memory_did_nothing_and_is_no_defect_of_posada() {
    for (state, words) in [
        (
            "53100",
            "could not extend file \"base/16384/24576\": No space left on device",
        ),
        ("53200", "out of shared memory"),
        (
            "53400",
            "temporary file size exceeds \"temp_file_limit\" (65536kB)",
        ),
        (
            "58030",
            "could not read block 7 in file \"base/16384/24576\": Input/output error",
        ),
    ] {
        for pooling in [Pooling::Session, Pooling::Transaction] {
            let (_spokesman, settings, database) = behind_a_spokesman(pooling);
            // The server's own words, which it says in a trigger: filling the disk of the machine would hurt others.
            servers::postgres().execute_in(
                &database,
                &format!(
                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     RAISE EXCEPTION USING MESSAGE = '{words}', ERRCODE = '{state}'; END $$; \
                     CREATE TRIGGER refuse BEFORE INSERT ON probe FOR EACH ROW EXECUTE FUNCTION refuse()"
                ),
            );
            let probe = Probe::new(&settings).unwrap();
            for error in [
                probe.insert("once").await.unwrap_err(),
                probe.insert_twice("pair").await.unwrap_err(),
            ] {
                assert!(
                    error.is(codes::POSTGRES_UNAVAILABLE),
                    "{pooling:?} {state}: {error}"
                );
                assert!(error.is_retryable(), "{error}");
                let message = error.message();
                assert!(message.contains(words) && message.contains(state), "{message}");
                assert!(message.contains("changed nothing"), "{message}");
            }
            assert_eq!(probe.count().await.unwrap(), 0);
            servers::postgres().execute_in(&database, "DROP TRIGGER refuse ON probe");
            probe.insert("once").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_on_and_on_is_an_outage_and_only_proof_is_called_a_mixed_up_session() {
    let (spokesman, settings, _) = behind_a_spokesman(Pooling::Transaction);
    let probe = Probe::new(&settings).unwrap();
    probe.connect().await.unwrap();
    spokesman.interrupt("FATAL", "08P01", "words of PgBouncer 2", 1_000);
    let error = probe.count().await.unwrap_err();
    assert!(
        error.is(codes::POSTGRES_UNAVAILABLE) && error.is_retryable(),
        "{error}"
    );
    assert!(error.message().contains("words of PgBouncer 2"), "{error}");
    for state in ["26000", "42P05"] {
        spokesman.interrupt("ERROR", state, "prepared statement \"sqlx_s_1\"", 1_000);
        let error = probe.count().await.unwrap_err();
        assert!(error.is(codes::POSTGRES_INTERNAL), "{error}");
        assert!(error.message().contains("mixed up"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_options_is_used_as_a_pooler_in_whatever_words_he_says_it() {
    for (state, words) in [
        (
            "0A000",
            "Feature not supported: RDS Proxy currently doesn\u{2019}t support command-line options.",
        ),
        ("08P01", "unsupported startup parameter: options"),
        ("08P01", "unsupported startup parameter in options: row_security"),
        (
            "08P01",
            "unsupported options startup parameter: only '-c config=val' is allowed",
        ),
        ("22023", "no options here"),
    ] {
        let (spokesman, settings, _) = behind_a_spokesman(Pooling::Session);
        spokesman.take_no_options(state, words);
        let probe = Probe::new(&settings).unwrap();
        assert_eq!(probe.count().await.unwrap(), 0, "{words}");
        assert_eq!(spokesman.refused(), 1, "{words}");
        probe.insert_twice("pair").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_shows_the_words_and_a_remedy_for_their_family() {
    let (spokesman, settings, _) = behind_a_spokesman(Pooling::Transaction);
    let password = settings.password.clone().unwrap();
    let url = servers::postgres()
        .url()
        .replace(&servers::postgres().address(), &spokesman.address());
    let leak = format!("no entry for posada with {}", password.expose());
    for (state, words, code, remedy) in [
        (
            "XX000",
            "(ENOTFOUND) tenant/user x.y not found",
            "postgres.unknown_user",
            "project-ref",
        ),
        (
            "XX000",
            "(ECIRCUITBREAKER) temporarily blocked",
            "postgres.not_admitted",
            "wait",
        ),
        (
            "XX000",
            "(EDBHANDLEREXITED) DbHandler exited",
            "postgres.starting",
            "log",
        ),
        (
            "XX000",
            "(EMAXCONNSESSION) max clients reached",
            "postgres.too_many_connections",
            "6543",
        ),
        (
            "08P01",
            "words of PgBouncer 2",
            "postgres.connection",
            "documentation",
        ),
        (
            "53100",
            "could not write to file \"pg_wal/xlogtemp.4711\": No space left on device",
            "postgres.server_fault",
            "disk space",
        ),
        ("XX000", leak.as_str(), "postgres.connection", "documentation"),
    ] {
        spokesman.refuse("FATAL", state, words, 1_000);
        let settings = Settings::builder().postgres_url(url.as_str()).build().unwrap();
        let posada = Posada::builder().settings(settings).build().unwrap();
        let diagnosis = posada.doctor().await;
        let finding = diagnosis
            .finding(code)
            .unwrap_or_else(|| panic!("{words}: {diagnosis}"));
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.seen.contains(state), "{finding}");
        assert!(finding.to_string().contains(remedy), "{finding}");
        assert!(!diagnosis.to_string().contains(password.expose()), "{diagnosis}");
        posada.close().await.unwrap();
    }
}

/// A pooler that could not log in asks again after `server_login_retry`, and says so in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_cannot_log_in_to_postgres_any_more_is_named_with_what_to_look_at() {
    let mut server = PostgresServer::start();
    server.create_database("hotels");
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'wr0ng-Word'");
    let address = server.address();
    let (host, port) = address.split_once(':').unwrap();
    let lines = format!(
        "server_login_retry = 60\nserver_connect_timeout = 1\n[databases]\n\
         hotels = host={host} port={port} user=clerk password=wr0ng-Word"
    );
    for is_stopped in [false, true] {
        let pooler = PgBouncer::start_with(&server, 3, &lines);
        let mut settings = PostgresSettings::parse(&pooler.url("hotels")).unwrap();
        settings.pooling = Pooling::Transaction;
        Probe::new(&settings).unwrap().connect().await.unwrap();
        if is_stopped {
            server.stop();
        } else {
            server.execute("ALTER ROLE clerk PASSWORD 'another-wr0ng-Word'");
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'");
        }
        let mut attempts = 0;
        loop {
            let error = Probe::new(&settings).unwrap().count().await.unwrap_err();
            let is_outage = error.is(codes::POSTGRES_UNAVAILABLE) || error.is(codes::POSTGRES_TIMEOUT);
            let is_refused = error.message().contains("password authentication failed");
            assert_eq!(error.is(codes::POSTGRES_REFUSED), is_refused, "{error}");
            assert!(
                is_outage == error.is_retryable() && is_outage != is_refused,
                "{error}"
            );
            assert!(!error.message().contains("mixed up"), "{error}");
            if error.message().contains("server_login_retry") {
                break;
            }
            attempts += 1;
            assert!(attempts < 20, "{error}");
        }
        let settings = Settings::builder()
            .postgres_url(pooler.url("hotels"))
            .postgres_pooler(Pooling::Transaction)
            .build()
            .unwrap();
        let posada = Posada::builder().settings(settings).build().unwrap();
        let diagnosis = posada.doctor().await;
        let finding = diagnosis
            .finding("postgres.starting")
            .unwrap_or_else(|| panic!("{diagnosis}"));
        assert_eq!(finding.severity, Severity::Error);
        for words in [
            "server_login_retry = 1",
            "whether Postgres runs",
            "the right password",
        ] {
            assert!(finding.to_string().contains(words), "{finding}");
        }
        posada.close().await.unwrap();
        if !is_stopped {
            server.execute("ALTER ROLE clerk PASSWORD 'wr0ng-Word'");
        }
    }
}

/// Waits until the pooler has no client of the database any more.
fn wait_until_dropped(pooler: &PgBouncer) {
    wait_until("the pooler drops who is idle", || {
        let clients = pooler.admin("SHOW CLIENTS");
        match clients.lines().filter(|line| line.contains("|hotels|")).count() {
            0 => Ok(()),
            _ => Err(clients),
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_kills_forgets_or_loses_its_clients_is_an_outage_that_ends() {
    let mut server = PostgresServer::start();
    server.create_database("hotels");
    server.execute_in("hotels", TABLE);
    let pooler = PgBouncer::start_with(
        &server,
        3,
        "client_idle_timeout = 1\nclient_login_timeout = 2\nserver_login_retry = 1\nserver_connect_timeout = 1",
    );
    let mut settings = PostgresSettings::parse(&pooler.url("hotels")).unwrap();
    settings.pooling = Pooling::Transaction;
    settings.connect_timeout = Duration::from_secs(4);
    let probe = Probe::new(&settings).unwrap();

    // Dropped while it was idle: neither reads nor writes notice.
    for _ in 0..2 {
        probe.insert("before").await.unwrap();
        wait_until_dropped(&pooler);
        probe.count().await.unwrap();
        wait_until_dropped(&pooler);
    }

    probe.connect().await.unwrap();
    pooler.admin("KILL hotels");
    let error = probe.count().await.unwrap_err();
    assert!(
        error.is(codes::POSTGRES_UNAVAILABLE) || error.is(codes::POSTGRES_TIMEOUT),
        "{error}"
    );
    assert!(error.is_retryable(), "{error}");
    pooler.admin("RESUME hotels");
    assert_eq!(probe.count().await.unwrap(), 2);

    server.stop();
    for _ in 0..3 {
        let error = Probe::new(&settings).unwrap().count().await.unwrap_err();
        assert!(
            error.is(codes::POSTGRES_UNAVAILABLE) || error.is(codes::POSTGRES_TIMEOUT),
            "{error}"
        );
        assert!(!error.message().contains("mixed up"), "{error}");
    }
    server.start_again();
    let mut attempts = 0;
    while probe.count().await.is_err() {
        attempts += 1;
        assert!(attempts < 200, "the server is back, and the pooler not");
    }
}
