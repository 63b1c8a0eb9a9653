//! Passwords as psql takes them, and libpq's variables, which mean nothing to posada.

use std::process::{Command, Stdio};

use posada::doctor::Severity;
use posada::error::codes;
use posada::settings::{Pooling, PostgresSettings, Secret};
use posada::testkit::postgres::Probe;
use posada::{Error, Posada, Settings};
use posada_tests::{PostgresServer, wait_until};

/// What SASLprep refuses, changes or leaves as it is.
const PASSWORDS: [&str; 12] = [
    "plain-Passw0rd",
    "contraseña de ñandú",
    "llave🔑de🏨hotel",
    "tab\there",
    "a mounted secret\n",
    "windows secret\r\n",
    "bell\u{7}",
    "مرحبا-hello",
    "no\u{a0}break",
    "soft\u{ad}hyphen",
    "man\u{303}ana ﬁn",
    "🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨🏨 more than one block of the hash",
];
/// The variable under which [`under_foreign_variables`] finds what it shall reach.
const REACH: &str = "POSADA_TEST_FOREIGN_VARIABLES";

/// A server that asks for passwords in this way, and stores them so.
fn server(method: &str) -> PostgresServer {
    let server = PostgresServer::start();
    server.execute(&format!("ALTER SYSTEM SET password_encryption = '{method}'"));
    server.execute(&format!(
        "COPY (SELECT 'host all clerk 127.0.0.1/32 {method}' UNION ALL \
         SELECT 'host all posada 127.0.0.1/32 scram-sha-256') TO PROGRAM 'cat > pg_hba.conf'"
    ));
    server.execute("SELECT pg_reload_conf()");
    wait_until("the server knows the method", || {
        let known = "SELECT auth_method FROM pg_hba_file_rules WHERE user_name = '{clerk}'";
        match (server.execute(known), server.execute("SHOW password_encryption")) {
            (rule, stored) if rule == method && stored == method => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    server.execute("CREATE ROLE clerk LOGIN");
    server
}

fn as_clerk(server: &PostgresServer, password: &str) -> PostgresSettings {
    let mut settings = PostgresSettings::parse(server.url()).unwrap();
    "clerk".clone_into(&mut settings.user);
    settings.password = Some(Secret::new(password));
    settings
}

fn psql_is_taken(server: &PostgresServer, password: &str) -> bool {
    let url = format!("postgres://clerk@{}/postgres", server.address());
    let asked = Command::new("psql")
        .args(["--no-psqlrc", "--command=SELECT 1", &url])
        .env("PGPASSWORD", password)
        .env("PGCLIENTENCODING", "UTF8")
        .stdin(Stdio::null())
        .output();
    asked.expect("psql can be started").status.success()
}

fn assert_hidden(error: &Error, password: &str) {
    let shown = format!("{error} {error:?}");
    let revealing = password
        .chars()
        .filter(|letter| !letter.is_ascii() || letter.is_control());
    for letter in revealing {
        assert!(!shown.contains(letter), "{letter:?} in {shown:?}");
    }
    assert!(!shown.contains(password.trim()), "{shown}");
}

#[tokio::test]
async fn a_password_that_psql_takes_is_taken() {
    for method in ["scram-sha-256", "md5"] {
        let server = server(method);
        for password in PASSWORDS {
            server.execute(&format!("ALTER ROLE clerk PASSWORD '{password}'"));
            assert!(psql_is_taken(&server, password), "{method} {password:?}");
            for pooling in [Pooling::Session, Pooling::Transaction] {
                let mut settings = as_clerk(&server, password);
                settings.pooling = pooling;
                let probe = Probe::new(&settings).unwrap();
                let taken = probe.connect().await;
                assert!(taken.is_ok(), "{method} {password:?}: {taken:?}");
                assert_eq!(probe.close().await, 0);
            }
            let wrong = format!("{password}🛎\n");
            let error = Probe::new(&as_clerk(&server, &wrong))
                .unwrap()
                .connect()
                .await
                .unwrap_err();
            assert!(
                error.is(codes::POSTGRES_REFUSED),
                "{method} {password:?}: {error}"
            );
            assert!(error.message().contains("28P01"), "{error}");
            assert!(error.message().contains("line break"), "{error}");
            assert_hidden(&error, &wrong);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_for_the_relay_serves_many_statements_and_leaves_no_connection_behind() {
    let server = server("scram-sha-256");
    server.execute("ALTER ROLE clerk PASSWORD 'llave🔑'");
    let mut settings = as_clerk(&server, "llave🔑");
    (settings.pool_size, settings.max_overflow) = (4, 0);
    for pooling in [Pooling::Session, Pooling::Transaction] {
        settings.pooling = pooling;
        let probe = Probe::new(&settings).unwrap();
        let report = probe.interleave(12, 8, 800).await;
        assert_eq!((report.ok, report.wrong, report.errors), (800, 0, 0));
        assert_eq!(probe.close().await, 0);
        wait_until("the server sees them go", || {
            match server
                .execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'clerk'")
                .as_str()
            {
                "0" => Ok(()),
                left => Err(left.to_owned()),
            }
        });
    }
}

#[tokio::test]
async fn users_of_any_spelling_are_known() {
    let server = PostgresServer::start();
    for user in ["hotel,centro", "a=b", "llave🔑", "tab\there"] {
        server.execute(&format!("CREATE ROLE \"{user}\" LOGIN PASSWORD 'plain-Passw0rd'"));
        let mut settings = as_clerk(&server, "plain-Passw0rd");
        settings.user = user.to_owned();
        settings.database = "postgres".to_owned();
        Probe::new(&settings).unwrap().connect().await.unwrap();
    }
}

#[tokio::test]
async fn the_doctor_says_that_a_refused_password_ends_with_a_line_break() {
    let server = PostgresServer::start();
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'mounted-s3cret'");
    let address = server.address();
    let (host, port) = address.split_once(':').unwrap();
    let vars = [
        ("POSTGRES_HOST", host),
        ("POSTGRES_PORT", port),
        ("POSTGRES_DB", "postgres"),
        ("POSTGRES_USER", "clerk"),
        ("POSTGRES_PASSWORD", "mounted-s3cret\n"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let posada = Posada::builder()
        .settings(Settings::from_vars(vars).unwrap())
        .build()
        .unwrap();
    let diagnosis = posada.doctor().await;
    let finding = diagnosis.finding("postgres.wrong_password").unwrap();
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.seen.contains("line break"), "{finding}");
    assert!(!diagnosis.to_string().contains("mounted-s3cret"), "{diagnosis}");
    posada.close().await.unwrap();
}

/// Runs [`under_foreign_variables`] in a process of its own, which has these variables; what it printed.
pub(crate) fn child(reach: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres_passwords::under_foreign_variables",
            "--nocapture",
        ])
        .env(REACH, reach)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    if ran.status.success() {
        Ok(())
    } else {
        Err(printed)
    }
}

/// What runs in the child: the table `probe` is reached. Alone it has nothing to do.
#[tokio::test]
async fn under_foreign_variables() {
    let Ok(url) = std::env::var(REACH) else { return };
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let mut settings = PostgresSettings::parse(&url).unwrap();
        settings.pooling = pooling;
        let probe = Probe::new(&settings).unwrap();
        assert_eq!(probe.count().await.unwrap(), 0);
    }
}

#[test]
fn libpqs_variables_do_not_act() {
    let server = PostgresServer::start();
    server.execute("CREATE TABLE probe (id text)");
    server.execute("CREATE ROLE nobody_knows LOGIN");
    for (name, value) in [
        ("PGOPTIONS", "-c search_path=elsewhere"),
        ("PGOPTIONS", "-c no_such_setting=1"),
        ("PGOPTIONS", "-c row_security=on -c statement_timeout=1"),
        ("PGSSLCERT", "/no/such/client.crt"),
        ("PGSSLKEY", "/no/such/client.key"),
        ("PGSSLROOTCERT", "/no/such/ca.crt"),
        ("PGSSLMODE", "verify-full"),
        ("PGHOST", "no-such-host.invalid"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody_knows"),
        ("PGDATABASE", "nowhere"),
        ("PGAPPNAME", "psql"),
        ("PGPASSFILE", "/no/such/pgpass"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGSERVICE", "nowhere"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGTZ", "America/Lima"),
    ] {
        let outcome = child(server.url(), &[(name, value)]);
        assert_eq!(outcome, Ok(()), "{name}={value}");
    }
    // A password that the settings do not have is not taken from there.
    let without = server.url().replace(":se%2Fcret%3A1@", "@");
    assert_ne!(without, server.url());
    let refused = child(&without, &[("PGPASSWORD", "se/cret:1")]).unwrap_err();
    assert!(
        refused.contains("28P01") || refused.contains("refused"),
        "{refused}"
    );
}
