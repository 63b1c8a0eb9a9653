//! Migrations on real databases: from nothing and from each layout in the wild, to the same state, keeping data.

use futures_util::future::join_all;
use posada::error::codes;
use posada::settings::{Pooling, PostgresSettings};
use posada::testkit::postgres::Probe;
use posada::{Posada, Settings};
use posada_tests::{servers, unique, wait_until};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, raw_sql};

const EMPTY: &str = "SELECT 1";
const L1: &str = include_str!("../vectors/schema/l1.sql");
const L2: &str = include_str!("../vectors/schema/l2.sql");
const L3: &str = include_str!("../vectors/schema/l3.sql");
const LAYOUTS: [(&str, &str); 4] = [("empty", EMPTY), ("l1", L1), ("l2", L2), ("l3", L3)];

const OURS: &str = "lock_audit password_history tenant_user_identifiers tenants user_sessions users";

/// A new database with this content, and a handle to it.
fn database(content: &str) -> (String, Probe) {
    let name = unique("migrate");
    servers::postgres().create_database(&name);
    run(&name, content);
    let settings = PostgresSettings::parse(&servers::postgres().url_of(&name)).unwrap();
    (name, Probe::new(&settings).unwrap())
}

fn run(database: &str, sql: &str) -> String {
    servers::postgres().execute_in(database, sql)
}

/// Every column, index, constraint, enum label and default of the database, as text.
fn description(database: &str) -> String {
    run(
        database,
        "SELECT table_schema, table_name, column_name, data_type, udt_name, character_maximum_length, is_nullable, \
                column_default, is_identity
         FROM information_schema.columns WHERE table_schema IN ('public', 'posada') ORDER BY 1, 2, ordinal_position;
         SELECT schemaname, indexdef FROM pg_indexes WHERE schemaname IN ('public', 'posada') ORDER BY 1, 2;
         SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace IN ('public'::regnamespace, 'posada'::regnamespace) ORDER BY 1, 2;
         SELECT enumtypid::regtype, enumlabel FROM pg_enum ORDER BY 1, enumsortorder;
         SELECT version, name, checksum FROM posada.migrations ORDER BY 1",
    )
}

/// The rows of every table in `public`, without the columns that migrations may add.
fn rows(database: &str, columns: &[(String, String)]) -> String {
    columns
        .iter()
        .map(|(table, columns)| {
            run(
                database,
                &format!("SELECT {columns} FROM {table} ORDER BY 1::text"),
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Each table of `public` with its columns as they are now.
fn columns(database: &str) -> Vec<(String, String)> {
    run(
        database,
        "SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
         FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1 ORDER BY 1",
    )
    .lines()
    .map(|line| line.split_once('|').unwrap())
    .map(|(table, columns)| (table.to_owned(), columns.to_owned()))
    .collect()
}

fn tables(database: &str) -> String {
    let listed =
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    run(database, listed)
}

#[tokio::test]
async fn public_holds_exactly_the_six_tables_and_those_of_others_that_were_there() {
    for (layout, foreign) in [
        (EMPTY, ""),
        (L2, ""),
        (L1, "audit_logs dlq_permanent_failures"),
        (L3, "alembic_version"),
    ] {
        let (name, probe) = database(layout);
        probe.migrate().await.unwrap();
        let mut expected: Vec<&str> = OURS.split(' ').chain(foreign.split_whitespace()).collect();
        expected.sort_unstable();
        assert_eq!(tables(&name), expected.join(" "));
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    for (layout, content) in LAYOUTS {
        let (name, probe) = database(content);
        let first = probe.migrate().await.unwrap();
        let before = description(&name);
        let second = probe.migrate().await.unwrap();
        assert_eq!(
            (first.migrations.len(), second.migrations.len()),
            (8, 0),
            "{layout}"
        );
        assert_eq!(first.version, second.version);
        assert_eq!(description(&name), before, "{layout}");
    }
}

#[tokio::test]
async fn every_row_is_kept_as_it_was() {
    for (layout, content) in LAYOUTS {
        let (name, probe) = database(content);
        let columns = columns(&name);
        let before = rows(&name, &columns);
        probe.migrate().await.unwrap();
        assert_eq!(rows(&name, &columns), before, "{layout}");
    }
}

#[tokio::test]
async fn types_and_labels_stay_as_found() {
    for (content, details, first_role) in [
        (EMPTY, "jsonb", "GUEST"),
        (L1, "json", "GUEST"),
        (L2, "jsonb", "GUEST"),
        (L3, "jsonb", "guest"),
    ] {
        let (_, probe) = database(content);
        probe.migrate().await.unwrap();
        assert_eq!(
            probe
                .column_type("lock_audit", "details")
                .await
                .unwrap()
                .as_deref(),
            Some(details)
        );
        assert_eq!(probe.role_labels().await.unwrap()[0], first_role);
    }
}

#[tokio::test]
async fn afterwards_a_writer_needs_to_know_only_the_essential_columns() {
    for (layout, content) in LAYOUTS {
        let (name, probe) = database(content);
        probe.migrate().await.unwrap();
        run(
            &name,
            "INSERT INTO tenants (tenant_id, name) VALUES ('new', 'New');
             INSERT INTO tenant_user_identifiers (tenant_id, identifier)
                 SELECT id, 'new@hotel.com' FROM tenants WHERE tenant_id = 'new';
             INSERT INTO users (id, username, email, hashed_password, tenant_id)
                 VALUES ('new', 'new', 'new@hotel.com', 'x', 'new');
             INSERT INTO user_sessions (id, user_id, token_jti, expires_at) VALUES ('new', 'new', 'new', '2027-01-01');
             INSERT INTO password_history (user_id, password_hash) VALUES ('new', 'x');
             INSERT INTO lock_audit (lock_key, event_type, details, tenant_id)
                 VALUES ('lock:room:1:2027-01-01:2027-01-02', 'acquired', '{}', 'new');
             INSERT INTO posada.lock_fence (resource, last_fence) VALUES ('room:1', 1)",
        );
        let stored = run(
            &name,
            "SELECT lower(role::text), is_active, failed_login_attempts,
                    abs(extract(epoch FROM users.created_at - (now() AT TIME ZONE 'utc'))) < 60, tenants.status
             FROM users JOIN tenants USING (tenant_id) WHERE users.id = 'new'",
        );
        // The setup guide's `now()` stores the local time of the session; a default that exists is kept.
        let is_utc = if layout == "l2" { "f" } else { "t" };
        assert_eq!(stored, format!("guest|t|0|{is_utc}|active"), "{layout}");
    }
}

#[tokio::test]
async fn the_app_may_still_write_all_its_columns() {
    for (layout, content) in LAYOUTS.into_iter().filter(|(layout, _)| *layout != "l3") {
        let (name, probe) = database(content);
        probe.migrate().await.unwrap();
        run(
            &name,
            "INSERT INTO users (id, username, email, hashed_password, role, full_name, is_active, is_superuser,
                 is_verified, mfa_enabled, mfa_secret, failed_login_attempts, last_login, account_locked_until,
                 tenant_id, password_last_changed, password_must_change, created_at, updated_at)
             VALUES ('app', 'app', 'app@hotel.com', 'x', 'MANAGER'::userrole, NULL, true, false, false, false, NULL, 0,
                 NULL, NULL, NULL, '2027-01-01', false, '2027-01-01', '2027-01-01');
             INSERT INTO lock_audit (lock_key, event_type, timestamp, details, tenant_id)
                 VALUES ('lock:room:1:2027-01-01:2027-01-02', 'acquired', '2027-01-01', '{\"ttl\": 1200}'::json, 'app')",
        );
        let written = run(
            &name,
            "SELECT count(*) FROM users WHERE id = 'app' AND role::text = 'MANAGER'",
        );
        assert_eq!(written, "1", "{layout}");
    }
}

#[tokio::test]
async fn five_processes_may_migrate_at_once() {
    for (layout, content) in LAYOUTS {
        let (name, _) = database(content);
        let settings = PostgresSettings::parse(&servers::postgres().url_of(&name)).unwrap();
        let probes: Vec<Probe> = (0..5).map(|_| Probe::new(&settings).unwrap()).collect();
        let (one, two, three, four, five) = tokio::join!(
            probes[0].migrate(),
            probes[1].migrate(),
            probes[2].migrate(),
            probes[3].migrate(),
            probes[4].migrate(),
        );
        let worked = [one, two, three, four, five]
            .map(|outcome| usize::from(!outcome.unwrap().migrations.is_empty()))
            .iter()
            .sum::<usize>();
        assert_eq!(worked, 1, "{layout}");
    }
}

#[tokio::test]
async fn runs_that_wait_for_another_occupy_no_lock_of_the_server() {
    let (name, _) = database(EMPTY);
    let url = servers::postgres().url_of(&name);
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut turn = other.begin().await.unwrap();
    raw_sql("SELECT pg_advisory_xact_lock(123623979443297)")
        .execute(&mut *turn)
        .await
        .unwrap();
    let settings = Settings::builder().postgres_url(url.as_str()).build().unwrap();
    let posada = Posada::builder().settings(settings.clone()).build().unwrap();
    let status = posada.migration_status().await.unwrap();
    assert!(status.running.unwrap().since.is_some(), "the other run is seen");
    assert_eq!((status.applied.len(), status.pending.len()), (0, 8));

    let run_all = join_all((0..5).map(|_| {
        let posada = posada.clone();
        tokio::spawn(async move { posada.migrate().await.unwrap().migrations.len() })
    }));
    tokio::task::spawn_blocking(move || {
        wait_until("runs have asked for their turn", || {
            let waiting = run(
                &name,
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
            );
            assert_eq!(waiting, "0", "none waits in the server");
            let asked = run(
                &name,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' \
                 AND query IN ('COMMIT', 'ROLLBACK')",
            );
            (asked != "0").then_some(()).ok_or(asked)
        });
    })
    .await
    .unwrap();
    turn.rollback().await.unwrap();
    let mut applied: Vec<_> = run_all.await.into_iter().map(Result::unwrap).collect();
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, 8]);

    let status = posada.migration_status().await.unwrap();
    assert_eq!((status.applied.len(), status.pending.len()), (8, 0));
    assert_eq!(
        (status.applied[0].name.as_str(), status.running),
        ("0001_six_tables", None)
    );
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran_stops_the_run() {
    let (name, probe) = database(EMPTY);
    probe.migrate().await.unwrap();
    run(
        &name,
        "UPDATE posada.migrations SET checksum = 'changed' WHERE version = 2",
    );
    let error = probe.migrate().await.unwrap_err();
    assert!(error.is(codes::POSTGRES_MIGRATION), "{error}");
    assert!(error.message().contains("0002_missing_columns"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_posada_is_left_alone() {
    let (name, probe) = database(EMPTY);
    probe.migrate().await.unwrap();
    run(
        &name,
        "INSERT INTO posada.migrations VALUES (9999, '9999_tomorrow', 'x'); DROP TABLE posada.lock_fence",
    );
    let error = probe.migrate().await.unwrap_err();
    assert!(error.is(codes::POSTGRES_MIGRATION), "{error}");
    assert_eq!(run(&name, "SELECT to_regclass('posada.lock_fence') IS NULL"), "t");
}

#[tokio::test]
async fn what_cannot_be_migrated_is_named_and_undone() {
    let (name, probe) = database(
        "CREATE TABLE tenants (id serial PRIMARY KEY, tenant_id text NOT NULL, name text);
         INSERT INTO tenants (tenant_id) VALUES ('twice'), ('twice')",
    );
    let error = probe.migrate().await.unwrap_err();
    assert!(error.is(codes::POSTGRES_MIGRATION), "{error}");
    assert!(error.message().contains("uq_tenants_tenant_id"), "{error}");
    assert_eq!(tables(&name), "tenants");
}

#[tokio::test]
async fn the_pasted_schema_gives_what_the_program_gives_and_may_be_pasted_again() {
    for (layout, content) in LAYOUTS {
        let (migrated, probe) = database(content);
        probe.migrate().await.unwrap();
        let (pasted, probe) = database(content);
        run(&pasted, &Posada::schema_sql());
        run(&pasted, &Posada::schema_sql());
        assert_eq!(description(&pasted), description(&migrated), "{layout}");
        assert!(probe.migrate().await.unwrap().migrations.is_empty(), "{layout}");
    }
}

#[tokio::test]
async fn migrations_run_through_a_transaction_pooler() {
    let (name, _) = database(L2);
    let mut settings = PostgresSettings::parse(&servers::pgbouncer().url(&name)).unwrap();
    settings.pooling = Pooling::Transaction;
    let probe = Probe::new(&settings).unwrap();
    probe.migrate().await.unwrap();
    assert_eq!(
        probe
            .column_type("lock_audit", "tenant_id")
            .await
            .unwrap()
            .as_deref(),
        Some("character varying")
    );
}

#[test]
fn on_an_empty_database_the_server_has_nothing_to_remark() {
    let name = unique("quiet");
    let url = servers::postgres().create_database(&name);
    let ran = std::process::Command::new("psql")
        .args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--output=/dev/null",
        ])
        .arg(format!("--command={}", Posada::schema_sql()))
        .arg(&url)
        .output()
        .unwrap();
    assert!(ran.status.success());
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
}
