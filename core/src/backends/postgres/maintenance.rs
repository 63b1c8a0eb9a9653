//! The clean-ups of the database, in batches that no guest notices.
//!
//! A batch is one transaction with a try for its clean-up's advisory lock, so that one process works and the others
//! stop, also when the pooler gives each transaction another connection. It finds its rows by an index, from where the
//! batch before ended: an old snapshot keeps the entries of deleted rows alive, and a batch that began at the first one
//! would walk over all of them again. Rows are deleted by their place in the table, which their lock keeps. Its size
//! follows the time that it takes, and the pause after it is four times as long, so that at most a fifth of one
//! connection is used.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use tokio::time::sleep;

use super::{Failure, Postgres, Statement, Tx};
use crate::maintenance::{Cleaned, Cleanup, Retention};

/// The rows of a batch at first, at least and at most.
const SIZE: (i64, i64, i64) = (500, 50, 2000);
/// A batch that takes longer is followed by a smaller one, one that takes less by a larger one.
const SLOW: Duration = Duration::from_millis(60);
const QUICK: Duration = Duration::from_millis(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// The columns have times in UTC, with a zone or without one. A lock of the whole table is not waited for.
const LIMITS: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL lock_timeout = 50";

const CUTOFF: &str = "SELECT now() - make_interval(days => $1)";

/// Whether an index begins with the column by which a clean-up finds its rows. Without one every batch reads the whole
/// table.
const HAS_INDEX: &str = "SELECT EXISTS (SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid \
     AND attnum = indkey[0] WHERE indrelid = to_regclass($1) AND attname = $2 AND indisvalid AND indpred IS NULL)";

const SESSIONS: &str = "WITH batch AS (SELECT ctid FROM user_sessions \
     WHERE expires_at >= coalesce($1, '-infinity'::timestamptz) AND expires_at < $2 \
     ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM user_sessions WHERE ctid = ANY (ARRAY(SELECT ctid FROM batch)) RETURNING expires_at) \
     SELECT count(*), max(expires_at)::timestamptz FROM gone";

const AUDIT: &str = "WITH batch AS (SELECT ctid FROM lock_audit \
     WHERE \"timestamp\" >= coalesce($1, '-infinity'::timestamptz) AND \"timestamp\" < $2 \
     ORDER BY \"timestamp\" LIMIT $3 FOR UPDATE SKIP LOCKED), \
     gone AS (DELETE FROM lock_audit WHERE ctid = ANY (ARRAY(SELECT ctid FROM batch)) RETURNING \"timestamp\") \
     SELECT count(*), max(\"timestamp\")::timestamptz FROM gone";

/// The users after one, and what they have beyond their newest passwords. A tenth of the size of the other batches,
/// because each user may have many.
const PASSWORDS: &str = "WITH next_users AS (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2), \
     old AS (SELECT beyond.ctid FROM next_users CROSS JOIN LATERAL (SELECT password_history.ctid FROM password_history \
     WHERE user_id = next_users.id ORDER BY created_at DESC, password_history.id DESC OFFSET $3) AS beyond), \
     gone AS (DELETE FROM password_history WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING 1) \
     SELECT (SELECT count(*) FROM gone), (SELECT max(id)::text FROM next_users)";

/// Runs every clean-up to its end, one after the other. Between two batches it may be cancelled.
///
/// # Errors
/// `Failure::Migration` without an index that a clean-up needs; what Postgres says.
pub(crate) async fn run(postgres: &Postgres, kept: &Retention) -> Result<Vec<Cleaned>, Failure> {
    let mut done = Vec::with_capacity(Cleanup::ALL.len());
    for what in Cleanup::ALL {
        done.push(clean(postgres, what, kept).await?);
    }
    Ok(done)
}

/// From where the next batch goes on.
#[derive(Debug, Clone, Default)]
enum Cursor {
    #[default]
    Begin,
    Moment(DateTime<Utc>),
    User(String),
}

/// What a batch did.
enum Batch {
    Deleted { rows: u64, next: Option<Cursor> },
    OfAnother,
}

async fn clean(postgres: &Postgres, what: Cleanup, kept: &Retention) -> Result<Cleaned, Failure> {
    let cutoff = match what {
        Cleanup::Sessions => Some(before(postgres, kept.sessions).await?),
        Cleanup::Audit => Some(before(postgres, kept.audit).await?),
        Cleanup::Passwords => None,
    };
    require_index(postgres, what).await?;
    let mut cleaned = Cleaned {
        what,
        deleted: 0,
        batches: 0,
        longest: Duration::ZERO,
        skipped: false,
    };
    let (mut size, mut cursor) = (SIZE.0, Cursor::Begin);
    loop {
        let began = postgres.0.clock.instant();
        let (from, keep) = (cursor.clone(), i64::from(kept.passwords));
        let batch = postgres.transaction("postgres.maintain", move |tx: &mut Tx| {
            let from = from.clone();
            Box::pin(async move { run_batch(tx, what, from, cutoff, size, keep).await })
        });
        let batch = batch.await?;
        let took = postgres.0.clock.instant().saturating_duration_since(began);
        match batch {
            Batch::OfAnother => {
                cleaned.skipped = true;
                return Ok(cleaned);
            }
            Batch::Deleted { rows, next } => {
                cleaned.deleted += rows;
                cleaned.batches += 1;
                cleaned.longest = cleaned.longest.max(took);
                match (next, &cursor) {
                    (Some(next), _) => cursor = next,
                    // Once more from the beginning: rows of the same moment, or that another transaction had locked.
                    (None, Cursor::Moment(_)) => cursor = Cursor::Begin,
                    (None, _) => return Ok(cleaned),
                }
            }
        }
        if took > SLOW {
            size = (size / 2).max(SIZE.1);
        } else if took < QUICK {
            size = (size + size / 4).min(SIZE.2);
        }
        sleep(SHORTEST_PAUSE.max(took * 4)).await;
    }
}

/// The moment before which rows are old, by the server's clock.
async fn before(postgres: &Postgres, days: u32) -> Result<DateTime<Utc>, Failure> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let rows = postgres
        .fetch(Statement::read("maintain.cutoff", CUTOFF).bind(days))
        .await?;
    let row = rows.first().ok_or_else(no_row)?;
    Ok(row.try_get(0)?)
}

fn no_row() -> Failure {
    Failure::Unexpected {
        state: "02000".into(),
        reason: "the server returned no row".into(),
    }
}

async fn require_index(postgres: &Postgres, what: Cleanup) -> Result<(), Failure> {
    let (table, column) = match what {
        Cleanup::Sessions => ("user_sessions", "expires_at"),
        Cleanup::Passwords => ("password_history", "user_id"),
        Cleanup::Audit => ("lock_audit", "timestamp"),
    };
    let statement = Statement::read("maintain.has_index", HAS_INDEX)
        .bind(table)
        .bind(column);
    let rows = postgres.fetch(statement).await?;
    if rows.first().ok_or_else(no_row)?.try_get(0)? {
        return Ok(());
    }
    Err(Failure::Migration {
        reason: format!("{table} has no index on {column}, or is not there; run the migrations first"),
    })
}

async fn run_batch(
    tx: &mut Tx,
    what: Cleanup,
    from: Cursor,
    cutoff: Option<DateTime<Utc>>,
    size: i64,
    keep: i64,
) -> Result<Batch, Failure> {
    let turn = match what {
        Cleanup::Sessions => "SELECT pg_try_advisory_xact_lock(123623979443298)",
        Cleanup::Passwords => "SELECT pg_try_advisory_xact_lock(123623979443299)",
        Cleanup::Audit => "SELECT pg_try_advisory_xact_lock(123623979443300)",
    };
    let rows = tx.fetch(Statement::read("maintain.turn", turn)).await?;
    let is_ours: bool = rows.first().ok_or_else(no_row)?.try_get(0)?;
    if !is_ours {
        return Ok(Batch::OfAnother);
    }
    tx.script(LIMITS.to_owned()).await?;
    let since = match &from {
        Cursor::Moment(since) => Some(*since),
        _ => None,
    };
    let statement = match what {
        Cleanup::Sessions => Statement::write("maintain.sessions", SESSIONS)
            .bind(since)
            .bind(cutoff)
            .bind(size),
        Cleanup::Audit => Statement::write("maintain.audit", AUDIT)
            .bind(since)
            .bind(cutoff)
            .bind(size),
        Cleanup::Passwords => {
            let after = match from {
                Cursor::User(after) => after,
                _ => String::new(),
            };
            Statement::write("maintain.passwords", PASSWORDS)
                .bind(after)
                .bind((size / 10).max(1))
                .bind(keep)
        }
    };
    let rows = tx.fetch(statement).await?;
    let row = rows.first().ok_or_else(no_row)?;
    let deleted: i64 = row.try_get(0)?;
    let next = match what {
        Cleanup::Passwords => row.try_get::<Option<String>, _>(1)?.map(Cursor::User),
        _ => row.try_get::<Option<DateTime<Utc>>, _>(1)?.map(Cursor::Moment),
    };
    Ok(Batch::Deleted {
        rows: u64::try_from(deleted).unwrap_or_default(),
        next,
    })
}
