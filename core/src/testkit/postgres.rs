//! A probe of the Postgres backend: single statements, transactions and migrations, as the services use them.

use sqlx::Row as _;

use crate::backends::postgres::migrations;
use crate::backends::postgres::{Failure, Postgres, Statement, Tx};
use crate::clock::{SharedClock, SystemClock};
use crate::error::{Error, Result, codes};
use crate::migrations::Applied;
use crate::settings::PostgresSettings;
use crate::task::Tasks;
use crate::tenants::{PostgresTenants, TenantStore as _};

/// Different texts with the same parameter: whoever gets the answer of another text can tell.
const TEXTS: [&str; 12] = [
    "SELECT $1::bigint + 1000000",
    "SELECT $1::bigint + 2000000",
    "SELECT $1::bigint + 3000000",
    "SELECT $1::bigint + 4000000",
    "SELECT $1::bigint + 5000000",
    "SELECT $1::bigint + 6000000",
    "SELECT $1::bigint + 7000000",
    "SELECT $1::bigint + 8000000",
    "SELECT $1::bigint + 9000000",
    "SELECT $1::bigint + 10000000",
    "SELECT $1::bigint + 11000000",
    "SELECT $1::bigint + 12000000",
];

/// A handle to the backend that the services share.
#[derive(Clone)]
pub struct Probe {
    postgres: Postgres,
    tasks: Tasks,
}

/// What came back from many statements that ran at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Answers to the statement that was asked.
    pub ok: u64,
    /// Answers to somebody else's statement.
    pub wrong: u64,
    /// Errors.
    pub errors: u64,
}

impl Probe {
    /// A probe of this server; nothing connects yet.
    pub fn new(settings: &PostgresSettings) -> Result<Self> {
        Self::with_clock(settings, SystemClock::shared())
    }

    /// A probe that reads the age of connections and the time left from this clock.
    pub fn with_clock(settings: &PostgresSettings, clock: SharedClock) -> Result<Self> {
        let tasks = Tasks::new();
        Ok(Self {
            postgres: Postgres::new(settings, tasks.clone(), clock),
            tasks,
        })
    }

    /// Proves that statements can be run.
    pub async fn connect(&self) -> Result<()> {
        Ok(self.postgres.ping().await?)
    }

    /// Runs `executions` statements of `texts` different texts (at most twelve) in `tasks` tasks at once.
    pub async fn interleave(&self, texts: usize, tasks: usize, executions: i64) -> Report {
        let share = executions / i64::try_from(tasks).expect("a handful of tasks");
        let work = (0..tasks).map(|task| self.interleaved(task, texts, share));
        let mut sum = Report::default();
        for report in futures_util::future::join_all(work).await {
            sum.ok += report.ok;
            sum.wrong += report.wrong;
            sum.errors += report.errors;
        }
        sum
    }

    async fn interleaved(&self, task: usize, texts: usize, executions: i64) -> Report {
        let mut report = Report::default();
        let mut asked = TEXTS
            .into_iter()
            .zip((1_000_000_i64..).step_by(1_000_000))
            .take(texts)
            .cycle()
            .skip(task);
        for value in 0..executions {
            let (text, offset) = asked.next().expect("there is at least one text");
            let statement = Statement::read("probe.interleave", text).bind(value);
            let expected = value + offset;
            match self
                .postgres
                .fetch(statement)
                .await
                .map(|rows| rows[0].try_get::<i64, _>(0))
            {
                Ok(Ok(found)) if found == expected => report.ok += 1,
                Ok(Ok(_)) => report.wrong += 1,
                Ok(Err(_)) | Err(_) => report.errors += 1,
            }
        }
        report
    }

    /// Reads how many rows the table `probe (id text)` has.
    pub async fn count(&self) -> Result<i64> {
        let rows = self
            .postgres
            .fetch(Statement::read("probe.count", "SELECT count(*) FROM probe"))
            .await?;
        Ok(rows[0].try_get(0).map_err(Failure::from)?)
    }

    /// Reads all columns of the table `probe`; answers how many rows there are.
    pub async fn rows(&self) -> Result<usize> {
        let statement = Statement::read("probe.rows", "SELECT * FROM probe");
        Ok(self.postgres.fetch(statement).await?.len())
    }

    /// Writes one row into the table `probe`, by a single statement.
    pub async fn insert(&self, id: &str) -> Result<u64> {
        Ok(self.postgres.execute(insert(id)).await?)
    }

    /// Writes the row twice, in one transaction.
    pub async fn insert_twice(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        let outcome = self
            .postgres
            .transaction("probe.insert_twice", move |tx: &mut Tx| {
                let id = id.clone();
                Box::pin(async move {
                    tx.execute(insert(&id)).await?;
                    tx.execute(insert(&id)).await?;
                    Ok(())
                })
            })
            .await;
        Ok(outcome?)
    }

    /// Writes a row in a transaction that then changes its mind; the error is `posada.internal`.
    pub async fn insert_and_give_up(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        let outcome = self
            .postgres
            .transaction("probe.give_up", move |tx: &mut Tx| {
                let id = id.clone();
                Box::pin(async move {
                    tx.execute(insert(&id)).await?;
                    Err::<(), Failure>(Error::new(codes::POSADA_INTERNAL, "changed its mind").into())
                })
            })
            .await;
        Ok(outcome?)
    }

    /// Lets a statement fail in a transaction, and goes on as if it had not.
    pub async fn insert_after_a_failure_that_is_ignored(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        let outcome = self
            .postgres
            .transaction("probe.ignore", move |tx: &mut Tx| {
                let id = id.clone();
                Box::pin(async move {
                    tx.execute(insert(&id)).await?;
                    let _ignored = tx.fetch(Statement::read("probe.fail", "SELECT 1 / 0")).await;
                    Ok(())
                })
            })
            .await;
        Ok(outcome?)
    }

    /// Lets the server sleep, as a read.
    pub async fn sleep(&self, seconds: f64) -> Result<()> {
        let statement = Statement::read("probe.sleep", "SELECT pg_sleep($1)").bind(seconds);
        self.postgres.fetch(statement).await?;
        Ok(())
    }

    /// Whether the connection that is lent next is encrypted.
    pub async fn is_encrypted(&self) -> Result<bool> {
        let text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let rows = self
            .postgres
            .fetch(Statement::read("probe.encrypted", text))
            .await?;
        Ok(rows[0].try_get(0).map_err(Failure::from)?)
    }

    /// The texts that are prepared on the connection that is lent next.
    pub async fn prepared_statements(&self) -> Result<Vec<String>> {
        let statement = Statement::read("probe.prepared", "SELECT statement FROM pg_prepared_statements");
        let rows = self.postgres.fetch(statement).await?;
        let texts = rows.iter().map(|row| row.try_get(0));
        Ok(texts
            .collect::<std::result::Result<_, _>>()
            .map_err(Failure::from)?)
    }

    /// Looks identifiers up, one after the other; how often the server kept its plan and how often it made a new one.
    pub async fn plans_of_look_ups(&self, times: usize) -> Result<(i64, i64)> {
        let tenants = PostgresTenants::new(self.postgres.clone());
        for number in 0..times {
            tenants
                .find(&[format!("{number}"), format!("549{number}")])
                .await?;
        }
        let text = "SELECT sum(generic_plans)::bigint, sum(custom_plans)::bigint FROM pg_prepared_statements \
                    WHERE statement LIKE $1";
        let statement = Statement::read("probe.plans", text).bind("%tenant_user_identifiers%");
        let rows = self.postgres.fetch(statement).await?;
        let count = |column| rows[0].try_get(column).map_err(Failure::from);
        Ok((count(0)?, count(1)?))
    }

    /// Brings the database to the state that posada needs.
    pub async fn migrate(&self) -> Result<Applied> {
        Ok(migrations::apply(&self.postgres).await?)
    }

    /// The type of a column as the schema probe sees it.
    pub async fn column_type(&self, table: &str, column: &str) -> Result<Option<String>> {
        let schema = self.postgres.schema().await?;
        Ok(schema.column_type(table, column).map(str::to_owned))
    }

    /// The labels of the role type as the schema probe sees them.
    pub async fn role_labels(&self) -> Result<Vec<String>> {
        Ok(self.postgres.schema().await?.role_labels().to_vec())
    }

    /// Connections that are lent out, and those that are open and free.
    pub fn connections(&self) -> (u32, u32) {
        let usage = self.postgres.pool_usage();
        (usage.in_use, usage.idle)
    }

    /// Waits for what is under way and closes the handle; answers how many tasks were still running.
    pub async fn close(&self) -> usize {
        let left = self.tasks.close(std::time::Duration::from_secs(10)).await;
        self.postgres.close().await;
        left
    }
}

fn insert(id: &str) -> Statement {
    Statement::write("probe.insert", "INSERT INTO probe (id) VALUES ($1)").bind(id)
}
