//! Postgres: a pool, one safe way to run statements, the capabilities of the schema, and migrations.
//!
//! * Behind a pooler in transaction mode every statement runs inside `BEGIN … COMMIT`, unprepared; on a connection
//!   of our own it runs prepared. [`Postgres`] decides, per connection; no other module can begin a transaction.
//! * Every call runs detached, with a deadline. Dropping the caller never leaves a transaction open.
//! * A connection whose state is not known is closed, never lent again.
//! * A write whose answer was lost is [`Failure::OutcomeUnknown`], and is never repeated by this module.
//! * Nothing connects in a constructor.

mod checkup;
mod connect;
mod deadline;
mod failure;
mod handshake;
pub(crate) mod maintenance;
pub(crate) mod migrations;
mod phrases;
mod pool;
mod relay;
mod rights;
mod schema;
mod statement;
mod transaction;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use self::deadline::Deadline;
use self::pool::{Lease, Pool};
use crate::clock::SharedClock;
use crate::settings::{Pooling, PostgresSettings};
use crate::task::Tasks;
use crate::{metrics as names, rng};

pub(crate) use self::checkup::{Checkup, FoundTable, Ledger};
pub(crate) use self::failure::{Failure, Outage, Refusal};
#[cfg(any(test, feature = "testkit"))]
pub(crate) use self::pool::PoolUsage;
pub(crate) use self::rights::{Guarded, Published};
pub(crate) use self::schema::{Schema, TABLES};
pub(crate) use self::statement::Statement;
use self::transaction::Answer;
pub(crate) use self::transaction::Tx;

/// How often a transaction is run again after a failure that passes by itself.
const RETRIES: u32 = 3;
/// The pause before a retry: at least this, and by chance up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// An idle connection older than this must answer a ping before it is used again. For a write the limit is
/// lower: a connection that died in the meantime would turn a plain failure into an unknown outcome.
const STALE_FOR_READ: Duration = Duration::from_secs(10);
const STALE_FOR_WRITE: Duration = Duration::from_secs(1);

/// What the work of a transaction is, while it runs.
pub(crate) type Work<'tx, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'tx>>;

/// A Postgres server, or the pooler in front of it. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Postgres(Arc<Inner>);

struct Inner {
    pool: Pool,
    tasks: Tasks,
    clock: SharedClock,
    limit: Duration,
    place: Arc<str>,
    schema: schema::Cache,
}

impl Postgres {
    /// A handle. Nothing connects.
    pub(crate) fn new(settings: &PostgresSettings, tasks: Tasks, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            pool: Pool::new(settings.clone(), tasks.clone(), clock.clone()),
            tasks,
            clock,
            limit: settings.statement_timeout,
            place: settings.place().into(),
            schema: schema::Cache::default(),
        }))
    }

    /// One round trip through a statement, which proves that this role is shown every row. Detached.
    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        let rows = self
            .fetch(Statement::read("postgres.ping", rights::BOUND))
            .await?;
        let bound = rows.first().map(|row| row.try_get::<Option<String>, _>(0));
        match bound.transpose()?.flatten() {
            None => Ok(()),
            Some(tables) => Err(Failure::RowSecurity {
                reason: format!("its policies bind us on {tables}"),
            }),
        }
    }

    /// Looks at the server over a connection of its own, so that a busy pool hides nothing. Changes nothing.
    /// Cancel-safe. The caller bounds the time.
    pub(crate) async fn check_up(&self) -> Result<Checkup, Failure> {
        self.0.tasks.ensure_open()?;
        checkup::look(self.0.pool.settings(), &self.0.clock).await
    }

    /// The rows of one statement. Detached: dropping the future loses only the answer.
    pub(crate) async fn fetch(&self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        Ok(self.answer(statement).await?.rows)
    }

    /// How many rows one statement changed. Detached: dropping the future loses only the answer.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<u64, Failure> {
        Ok(self.answer(statement).await?.changed)
    }

    /// Runs `work` in a transaction and commits it if it succeeds. Detached.
    ///
    /// `work` is run again, from the start and in a new transaction, after a collision or a lost connection, so it
    /// must have no effect outside `tx`. An [`Error`](crate::Error) from it rolls back and comes out unchanged.
    pub(crate) async fn transaction<T, F>(&self, name: &'static str, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: for<'tx> Fn(&'tx mut Tx) -> Work<'tx, T> + Send + Sync + 'static,
    {
        self.transaction_within(self.0.limit, name, work).await
    }

    /// Like [`transaction`](Self::transaction), with a time limit of its own.
    async fn transaction_within<T, F>(
        &self,
        limit: Duration,
        name: &'static str,
        work: F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: for<'tx> Fn(&'tx mut Tx) -> Work<'tx, T> + Send + Sync + 'static,
    {
        let inner = self.0.clone();
        let work = async move {
            let deadline = Deadline::after(inner.clock.clone(), limit);
            inner
                .retrying(&deadline, || inner.attempt(&deadline, &work))
                .await
        };
        self.detached(name, Box::pin(work)).await
    }

    /// Makes the next [`schema`](Self::schema) look again.
    fn forget_schema(&self) {
        self.0.schema.forget();
    }

    /// What the tables of the present schema look like. Read once, and again after a column was missing.
    pub(crate) async fn schema(&self) -> Result<Arc<Schema>, Failure> {
        self.0.schema.get(self).await
    }

    /// How the pool stands.
    #[cfg(any(test, feature = "testkit"))]
    pub(crate) fn pool_usage(&self) -> PoolUsage {
        self.0.pool.usage()
    }

    /// Ends the connections. Calls that run keep theirs until they are done; new ones are refused.
    pub(crate) async fn close(&self) {
        self.0.pool.close().await;
    }

    async fn answer(&self, statement: Statement) -> Result<Answer, Failure> {
        let (inner, name) = (self.0.clone(), statement.name);
        let work = async move {
            let deadline = Deadline::after(inner.clock.clone(), inner.limit);
            inner
                .retrying(&deadline, || inner.attempt_one(&deadline, &statement))
                .await
        };
        self.detached(name, Box::pin(work)).await
    }

    /// The work comes in a box: it is large, and every layer that it passes through would copy it.
    async fn detached<T: Send + 'static>(
        &self,
        name: &'static str,
        work: Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>,
    ) -> Result<T, Failure> {
        let inner = self.0.clone();
        let observed = async move {
            let start = inner.clock.instant();
            let outcome = work.await;
            let took = inner.clock.instant().saturating_duration_since(start);
            metrics::histogram!(names::POSTGRES_QUERY_DURATION_SECONDS, "operation" => name).record(took);
            if let Err(failure) = &outcome {
                inner.observe(failure);
            }
            Ok(outcome.map_err(|failure| failure.at(&inner.place)))
        };
        self.0.tasks.detach(observed).await.map_err(Failure::Abandoned)?
    }
}

impl Inner {
    /// Runs an attempt again after failures that pass by themselves, with pauses of random length, as long as
    /// there is time.
    async fn retrying<T, A, F>(&self, deadline: &Deadline, attempt: A) -> Result<T, Failure>
    where
        A: Fn() -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let mut retries = 0;
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            self.distrust_after(&failure);
            let pause = SHORTEST_PAUSE + rng::jitter(LONGEST_PAUSE.saturating_sub(SHORTEST_PAUSE));
            if !failure.is_transient() || retries == RETRIES || pause >= deadline.remaining() {
                return Err(failure);
            }
            retries += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt_one(&self, deadline: &Deadline, statement: &Statement) -> Result<Answer, Failure> {
        let stale = if statement.writes {
            STALE_FOR_WRITE
        } else {
            STALE_FOR_READ
        };
        let mut lease = self.pool.acquire(deadline, stale).await?;
        if lease.pooling() == Pooling::Transaction {
            return Box::pin(Self::attempt_in_transaction(lease, deadline, statement)).await;
        }
        let lost = match deadline.bound(transaction::answer(&mut lease, statement)).await {
            Some(Ok(value)) => {
                lease.give_back();
                return Ok(value);
            }
            Some(Err(error)) if failure::leaves_connection_usable(&error) => {
                lease.give_back();
                return Err(error.into());
            }
            // The server ended the session before it did anything: its last word is an answer.
            Some(Err(error))
                if failure::answer(&error).is_some_and(|answer| answer.proves_that_nothing_happened()) =>
            {
                return Err(error.into());
            }
            Some(Err(error)) => error.into(),
            None => Failure::DeadlinePassed,
        };
        Err(if statement.writes {
            lost.of_lost_write()
        } else {
            lost
        })
    }

    async fn attempt_in_transaction(
        lease: Lease,
        deadline: &Deadline,
        statement: &Statement,
    ) -> Result<Answer, Failure> {
        let mut tx = Tx::begin(lease, deadline).await?;
        let outcome = deadline.bound(tx.answer(statement)).await;
        Self::finish(tx, deadline, outcome).await
    }

    async fn attempt<T, F>(&self, deadline: &Deadline, work: &F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: for<'tx> Fn(&'tx mut Tx) -> Work<'tx, T> + Send + Sync,
    {
        let lease = self.pool.acquire(deadline, STALE_FOR_READ).await?;
        let mut tx = Tx::begin(lease, deadline).await?;
        let outcome = deadline.bound(work(&mut tx)).await;
        Self::finish(tx, deadline, outcome).await
    }

    async fn finish<T>(
        tx: Tx,
        deadline: &Deadline,
        outcome: Option<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match outcome {
            Some(Ok(value)) => tx.commit(deadline.closing_share()).await.map(|()| value),
            Some(Err(failure)) => {
                tx.roll_back(deadline.closing_share()).await;
                Err(failure)
            }
            // The server is in the middle of something: closing the connection is the only rollback left.
            None => Err(Failure::DeadlinePassed),
        }
    }

    /// What one failure says about the other connections.
    fn distrust_after(&self, failure: &Failure) {
        match failure {
            Failure::ReadOnly | Failure::ShuttingDown { .. } | Failure::StalePlan => {
                self.pool.distrust_all();
            }
            Failure::Unreachable { .. } | Failure::DeadlinePassed | Failure::OutcomeUnknown => {
                self.pool.distrust_idle();
            }
            Failure::PoolerContract { state, .. } => {
                self.pool.distrust_all();
                tracing::error!(sqlstate = %state, "the connection pooler mixed up sessions");
            }
            _ => {}
        }
    }

    fn observe(&self, failure: &Failure) {
        metrics::counter!(names::POSTGRES_ERRORS_TOTAL, "code" => failure.code().name).increment(1);
        if matches!(failure, Failure::MissingSchema { .. }) {
            self.schema.forget();
        }
    }
}
