//! Bringing a database to the state that posada needs. The SQL and its rules stand in `migrations/`.

use std::fmt::Write as _;
use std::time::Duration;

use sha1::{Digest as _, Sha1};
use sqlx::Row as _;
use tokio::time::sleep;

use super::deadline::Deadline;
use super::{Failure, Postgres, Refusal, Statement, Tx};
use crate::hex::hex;
use crate::migrations::{Applied, AppliedMigration, LATEST, MigrationRun, MigrationStatus, PendingMigration};
use crate::rng::jitter;

/// Longest time for a whole run, the wait for other runs included.
const LIMIT: Duration = Duration::from_mins(10);

/// One file of `migrations/`.
struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $name, ".sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_six_tables",
    2 "0002_missing_columns",
    3 "0003_missing_defaults",
    4 "0004_missing_indexes",
    5 "0005_lock_fences",
    6 "0006_identifier_spellings",
    7 "0007_no_data_api",
    8 "0008_hotels_of_users",
];

/// Ends every run, whatever was missing: what it revokes may have been granted since, on later tables too.
const LAST_WORD: &str = include_str!("../../../migrations/0007_no_data_api.sql");

/// One run at a time ("posada" as a number). A run that waited here would keep a connection of a pooler in transaction
/// mode meanwhile: twenty replicas that wait stop an app whose pooler has ten. So a turn is asked for again and again,
/// each time in a transaction of its own, whose first statement this is.
const TAKE_TURN: &str = "SELECT pg_try_advisory_xact_lock(123623979443297)";
/// The pauses between two questions for the turn grow from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Tables are waited for only shortly, because all others queue up behind a waiting `ALTER TABLE`. That something exists
/// already is no news.
const LIMITS: &str = "SET LOCAL client_min_messages = warning;\nSET LOCAL lock_timeout = 2000;\n";
/// The turn in a text that is pasted: it is waited for.
const WAIT_FOR_TURN: &str = "SET LOCAL client_min_messages = warning;\n\
     SET LOCAL lock_timeout = 0;\n\
     SELECT pg_advisory_xact_lock(123623979443297);\n\
     SET LOCAL lock_timeout = 2000;\n";

/// Whose turn it is. The key of an advisory lock is shown in two halves.
const RUNNING: &str = "SELECT pg_locks.pid, xact_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) \
     WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
     AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND (classid::bigint << 32) | objid::bigint = 123623979443297 LIMIT 1";

const HAS_LEDGER: &str = "SELECT to_regclass('posada.migrations') IS NOT NULL";
const HISTORY: &str = "SELECT version, name, checksum, applied_at FROM posada.migrations ORDER BY version";

/// Works in the schema where the tables are, or else where new tables of this role go; never in `posada`, which
/// is first on the search path of a role of that name.
const CHOOSE_SCHEMA: &str = "SELECT set_config('search_path', quote_ident(coalesce(\n    \
     (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace\n     \
     WHERE pg_class.oid = coalesce(to_regclass('tenants'), to_regclass('users'))),\n    \
     nullif(current_schema(), 'posada'), 'public')), true);\n";

const LEDGER: &str = "CREATE SCHEMA IF NOT EXISTS posada;\n\
     CREATE TABLE IF NOT EXISTS posada.migrations (\n    \
     version integer PRIMARY KEY,\n    \
     name text NOT NULL,\n    \
     checksum text NOT NULL,\n    \
     applied_at timestamptz NOT NULL DEFAULT now()\n);\n";

pub(super) const APPLIED: &str = "SELECT version, name, checksum FROM posada.migrations ORDER BY version";
const RECORD: &str = "INSERT INTO posada.migrations (version, name, checksum) VALUES ($1, $2, $3)";

/// Applies what is missing, in one transaction. Detached from the moment when its turn came; any number of processes may
/// run it at once.
///
/// # Errors
/// `Failure::Migration` when the database was made by a newer posada, or a migration was changed after it was
/// applied; then nothing is touched. `Failure::LockTimeout` when another run did not end in time.
pub(crate) async fn apply(postgres: &Postgres) -> Result<Applied, Failure> {
    let deadline = Deadline::after(postgres.0.clock.clone(), LIMIT);
    let mut pause = PAUSES.0;
    loop {
        let applied = postgres
            .transaction_within(deadline.remaining(), "postgres.migrate", |tx: &mut Tx| {
                Box::pin(bring_up_to_date(tx))
            })
            .await
            .map_err(name_the_rights)?;
        if let Some(applied) = applied {
            postgres.forget_schema();
            return Ok(applied);
        }
        if deadline.remaining() <= pause {
            return Err(Failure::LockTimeout);
        }
        sleep(pause / 2 + jitter(pause / 2)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// What the ledger says, what it lacks, and which run is under way. Reads only.
///
/// # Errors
/// As [`apply`].
pub(crate) async fn status(postgres: &Postgres) -> Result<MigrationStatus, Failure> {
    postgres
        .transaction("postgres.migration_status", |tx: &mut Tx| {
            Box::pin(read_status(tx))
        })
        .await
}

async fn read_status(tx: &mut Tx) -> Result<MigrationStatus, Failure> {
    let rows = tx.fetch(Statement::read("migrations.running", RUNNING)).await?;
    let running = match rows.first() {
        None => None,
        Some(row) => Some(MigrationRun {
            pid: row.try_get(0)?,
            since: row.try_get(1)?,
        }),
    };
    let rows = tx
        .fetch(Statement::read("migrations.has_ledger", HAS_LEDGER))
        .await?;
    let has_ledger = rows
        .first()
        .map(|row| row.try_get(0))
        .transpose()?
        .unwrap_or(false);
    let (mut known, mut applied) = (Vec::new(), Vec::new());
    if has_ledger {
        for row in tx.fetch(Statement::read("migrations.history", HISTORY)).await? {
            let (version, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
            known.push((version, name.clone(), row.try_get(2)?));
            let applied_at = row.try_get(3)?;
            applied.push(AppliedMigration {
                version,
                name,
                applied_at,
            });
        }
    }
    let pending = compare(&known)?.into_iter().map(|missing| PendingMigration {
        version: missing.version,
        name: missing.name.to_owned(),
        sql: missing.sql.to_owned(),
    });
    Ok(MigrationStatus {
        applied,
        pending: pending.collect(),
        running,
    })
}

/// The names of the migrations that a ledger lacks.
///
/// # Errors
/// `Failure::Migration` when the ledger is not one of ours.
pub(super) fn pending(ledger: &[(i32, String, String)]) -> Result<Vec<&'static str>, Failure> {
    Ok(compare(ledger)?.into_iter().map(|missing| missing.name).collect())
}

/// All migrations and their rows in the ledger, as one text that may be pasted and run again.
pub(crate) fn schema_sql() -> String {
    let mut text = String::from(
        "-- Generated from the files beside it; see README.md. Paste it into the Supabase SQL editor, or run\n\
         -- `psql -f schema.sql`. It may be run again at any time.\n\nBEGIN;\n",
    );
    for part in [WAIT_FOR_TURN, CHOOSE_SCHEMA, LEDGER] {
        text.push_str(part);
    }
    for migration in MIGRATIONS {
        let Migration { version, name, sql } = migration;
        let checksum = migration.checksum();
        let _ = write!(
            text,
            "\n-- {name}\n\n{sql}\nINSERT INTO posada.migrations (version, name, checksum)\n    \
             VALUES ({version}, '{name}', '{checksum}') ON CONFLICT (version) DO NOTHING;\n"
        );
    }
    if MIGRATIONS.last().is_none_or(|last| last.sql != LAST_WORD) {
        text.push('\n');
        text.push_str(LAST_WORD);
    }
    text.push_str("\nCOMMIT;\n");
    text
}

/// Says what a role that lacks a right needs: the server's words name only the first thing that it was denied.
fn name_the_rights(failure: Failure) -> Failure {
    match failure {
        Failure::Refused {
            what: what @ Refusal::Right,
            reason,
        } => Failure::Refused {
            what,
            reason: format!(
                "{reason}; the role that migrates owns the tables and has CREATE on their schema and on the database \
                 (the doctor names the GRANT)"
            ),
        },
        other => other,
    }
}

/// `None` while it is the turn of another run.
async fn bring_up_to_date(tx: &mut Tx) -> Result<Option<Applied>, Failure> {
    let rows = tx.fetch(Statement::read("migrations.turn", TAKE_TURN)).await?;
    let is_ours: bool = rows
        .first()
        .map(|row| row.try_get(0))
        .transpose()?
        .unwrap_or(false);
    if !is_ours {
        return Ok(None);
    }
    tx.script([LIMITS, CHOOSE_SCHEMA, LEDGER].concat()).await?;
    let mut known = Vec::new();
    for row in tx.fetch(Statement::read("migrations.applied", APPLIED)).await? {
        known.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    let missing = compare(&known)?;
    for migration in &missing {
        tx.script(migration.sql.to_owned())
            .await
            .map_err(|failure| migration.blame(failure))?;
        let record = Statement::write("migrations.record", RECORD)
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.checksum());
        tx.execute(record).await?;
    }
    if missing.last().is_none_or(|last| last.sql != LAST_WORD) {
        tx.script(LAST_WORD.to_owned()).await?;
    }
    Ok(Some(Applied {
        migrations: missing
            .iter()
            .map(|migration| migration.name.to_owned())
            .collect(),
        version: LATEST,
    }))
}

/// What is missing from a ledger of (version, name, checksum), unless the ledger is not one of ours.
fn compare(ledger: &[(i32, String, String)]) -> Result<Vec<&'static Migration>, Failure> {
    for (version, name, checksum) in ledger {
        let Some(ours) = MIGRATIONS.iter().find(|ours| ours.version == *version) else {
            return Err(Failure::Migration {
                reason: format!(
                    "the database has migration {name}, which is newer than this posada; update posada"
                ),
            });
        };
        if ours.checksum() != *checksum {
            return Err(Failure::Migration {
                reason: format!(
                    "migration {name} was applied with another text than this posada has ({})",
                    ours.name
                ),
            });
        }
    }
    let applied = |ours: &&Migration| ledger.iter().any(|(version, ..)| *version == ours.version);
    Ok(MIGRATIONS.iter().filter(|ours| !applied(ours)).collect())
}

impl Migration {
    /// The SHA-1 of the text, as hexadecimal digits.
    fn checksum(&self) -> String {
        hex(&Sha1::digest(self.sql))
    }

    /// Names the migration in failures that are about its statements; the others keep their meaning.
    fn blame(&self, failure: Failure) -> Failure {
        let reason = match failure {
            Failure::UniqueViolation { constraint } => {
                format!("there are rows that the unique index {constraint} would forbid; merge them first")
            }
            Failure::ForeignKeyViolation { .. }
            | Failure::CheckViolation { .. }
            | Failure::NotNullViolation { .. }
            | Failure::MissingSchema { .. }
            | Failure::Unexpected { .. } => crate::Error::from(failure).message().to_owned(),
            other => return other,
        };
        Failure::Migration {
            reason: format!("migration {} failed: {reason}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Vec<(i32, String, String)> {
        MIGRATIONS
            .iter()
            .map(|ours| (ours.version, ours.name.to_owned(), ours.checksum()))
            .collect()
    }

    #[test]
    fn versions_count_up_and_names_begin_with_them() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i32::try_from(index).unwrap() + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
        }
        assert_eq!(MIGRATIONS.last().unwrap().version, LATEST);
    }

    #[test]
    fn every_file_of_the_folder_is_applied() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let files = std::fs::read_dir(folder).unwrap();
        let count = files
            .filter(|file| {
                let name = file.as_ref().unwrap().file_name().into_string().unwrap();
                name.starts_with(|first: char| first.is_ascii_digit())
            })
            .count();
        assert_eq!(count, MIGRATIONS.len());
    }

    #[test]
    fn a_complete_ledger_needs_nothing_and_an_empty_one_everything() {
        assert!(compare(&ledger()).unwrap().is_empty());
        assert_eq!(compare(&[]).unwrap().len(), MIGRATIONS.len());
        assert_eq!(compare(&ledger()[..1]).unwrap()[0].version, 2);
    }

    #[test]
    fn a_changed_or_newer_migration_stops_everything() {
        let mut changed = ledger();
        changed[0].2 = "0".repeat(40);
        assert!(
            matches!(compare(&changed), Err(Failure::Migration { reason }) if reason.contains("0001_six_tables"))
        );
        let newer = vec![(9999, "9999_tomorrow".to_owned(), "0".repeat(40))];
        assert!(matches!(compare(&newer), Err(Failure::Migration { reason }) if reason.contains("newer")));
    }

    #[test]
    fn migrations_neither_drop_nor_narrow_nor_leave_their_transaction() {
        const REFUSED: [&str; 12] = [
            "DROP ",
            "TRUNCATE",
            "DELETE FROM",
            "UPDATE ",
            "RENAME",
            " TYPE ",
            "SET NOT NULL",
            "CONCURRENTLY",
            "VACUUM",
            "COMMIT",
            "ROLLBACK",
            "CASCADE;",
        ];
        for migration in MIGRATIONS {
            for line in migration
                .sql
                .lines()
                .filter(|line| !line.trim_start().starts_with("--"))
            {
                let line = line.to_uppercase();
                let unsafe_word = REFUSED.iter().find(|word| {
                    line.contains(**word)
                        && !line.contains("CREATE TYPE")
                        && !line.contains("ON DELETE CASCADE")
                });
                assert_eq!(
                    unsafe_word, None,
                    "{}: {line}; see migrations/README.md",
                    migration.name
                );
            }
        }
    }

    #[test]
    fn schema_sql_is_what_the_migrations_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.sql");
        if std::env::var_os("POSADA_WRITE_SCHEMA").is_some() {
            std::fs::write(path, schema_sql()).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).is_ok_and(|text| text == schema_sql()),
            "migrations/schema.sql is out of date; write it anew with \
             `POSADA_WRITE_SCHEMA=1 cargo test -p posada --lib migrations::`"
        );
    }
}
