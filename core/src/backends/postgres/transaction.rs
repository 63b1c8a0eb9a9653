//! The one way in which statements reach the server.
//!
//! Between a statement and its values the driver waits for the server. Behind a pooler in transaction mode the
//! server may be another one by then, and would run another client's statement with our values. Inside an explicit
//! transaction the pooler keeps us on one server, so there everything runs in one; see [`Postgres`](super::Postgres).

use std::borrow::Cow;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Either, Executor as _};
use tracing::Instrument as _;

use super::deadline::Deadline;
use super::failure::{Failure, leaves_connection_usable};
use super::pool::Lease;
use super::statement::Statement;
use crate::settings::Pooling;

/// Longest wait for a row that another transaction holds.
const LOCK_TIMEOUT_MILLIS: u32 = 2_000;
/// How long the server waits for our next statement before it rolls back.
const IDLE_TIMEOUT_MILLIS: u32 = 10_000;

/// An open transaction. Only [`Postgres::transaction`](super::Postgres::transaction) makes one.
pub(crate) struct Tx {
    pub(super) lease: Lease,
    pub(super) wrote: bool,
    failed: bool,
    usable: bool,
}

impl Tx {
    /// The rows of a statement.
    pub(crate) async fn fetch(&mut self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        Ok(self.answer(&statement).await?.rows)
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, Failure> {
        Ok(self.answer(&statement).await?.changed)
    }

    /// Runs one statement.
    pub(super) async fn answer(&mut self, statement: &Statement) -> Result<Answer, Failure> {
        self.wrote |= statement.writes;
        let outcome = answer(&mut self.lease, statement).await;
        self.note(outcome)
    }

    /// Runs a script of several statements without values, in one round trip.
    pub(super) async fn script(&mut self, text: String) -> Result<(), Failure> {
        self.wrote = true;
        let outcome = simple(self.lease.connection(), text).await;
        self.note(outcome)
    }

    /// `BEGIN` and the limits of this transaction, in one round trip.
    pub(super) async fn begin(mut lease: Lease, deadline: &Deadline) -> Result<Self, Failure> {
        let text = format!(
            "BEGIN; SET LOCAL row_security = off; SET LOCAL statement_timeout = {}; \
             SET LOCAL lock_timeout = {LOCK_TIMEOUT_MILLIS}; SET LOCAL idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MILLIS}",
            deadline.server_share().as_millis()
        );
        match deadline.bound(simple(lease.connection(), text)).await {
            None => Err(Failure::DeadlinePassed),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(())) => Ok(Self {
                lease,
                wrote: false,
                failed: false,
                usable: true,
            }),
        }
    }

    /// `COMMIT`. When its answer is lost after a write, the outcome is unknown.
    pub(super) async fn commit(mut self, timeout: Duration) -> Result<(), Failure> {
        if self.failed {
            // The server would answer COMMIT by rolling back and calling it a success.
            self.roll_back(timeout).await;
            return Err(Failure::Unexpected {
                state: "25P02".into(),
                reason: "a statement of the transaction failed and the work went on regardless".into(),
            });
        }
        let committed = tokio::time::timeout(timeout, simple(self.lease.connection(), "COMMIT")).await;
        let lost = match committed {
            Ok(Ok(())) => {
                self.lease.give_back();
                return Ok(());
            }
            Ok(Err(error)) if leaves_connection_usable(&error) => {
                self.lease.give_back();
                return Err(error.into());
            }
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::DeadlinePassed,
        };
        Err(if self.wrote { lost.of_lost_write() } else { lost })
    }

    /// `ROLLBACK`; the connection is kept only if the server confirms.
    pub(super) async fn roll_back(mut self, timeout: Duration) {
        if self.usable {
            let undone = tokio::time::timeout(timeout, simple(self.lease.connection(), "ROLLBACK"));
            if matches!(undone.await, Ok(Ok(()))) {
                self.lease.give_back();
            }
        }
    }

    fn note<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, Failure> {
        outcome.map_err(|error| {
            self.failed = true;
            self.usable &= leaves_connection_usable(&error);
            error.into()
        })
    }
}

/// What one statement answered.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<PgRow>,
    /// How many rows it changed, or found.
    pub(super) changed: u64,
}

/// Runs a statement on a lent connection. Behind a pooler this is called inside a transaction only.
pub(super) async fn answer(lease: &mut Lease, statement: &Statement) -> Result<Answer, sqlx::Error> {
    let query = bind(statement, lease.pooling())?;
    let answered = async {
        let mut answer = Answer::default();
        let mut steps = lease.connection().fetch_many(query);
        while let Some(step) = steps.try_next().await? {
            match step {
                Either::Left(done) => answer.changed += done.rows_affected(),
                Either::Right(row) => answer.rows.push(row),
            }
        }
        Ok(answer)
    };
    answered.instrument(span(statement)).await
}

type Bound = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind(statement: &Statement, pooling: Pooling) -> Result<Bound, sqlx::Error> {
    if let Some(reason) = &statement.unbindable {
        return Err(sqlx::Error::Encode(reason.clone().into()));
    }
    let prepared = pooling == Pooling::Session;
    Ok(sqlx::query_with(statement.sql, statement.arguments.clone()).persistent(prepared))
}

fn span(statement: &Statement) -> tracing::Span {
    tracing::info_span!(
        "postgres",
        otel.name = statement.name,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.name = statement.name,
    )
}

/// Sends text by the simple protocol: one round trip, no values, any number of statements.
async fn simple(
    connection: &mut PgConnection,
    text: impl Into<Cow<'static, str>>,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.into()))
        .execute(connection)
        .await
        .map(drop)
}
