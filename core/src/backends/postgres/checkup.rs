//! What a server says about itself, for the doctor: facts and no judgement. Reads only, on a connection of its own.
//!
//! Every question is one message of the simple protocol, so that a pooler in transaction mode cannot mix it up.

use std::time::Duration;

use chrono::DateTime;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::time::timeout;

use super::connect::{Found, connect, connect_through_pooler, in_time};
use super::failure::Failure;
use super::rights::{self, Rights};
use super::{migrations, schema};
use crate::backends::ClockReading;
use crate::clock::SharedClock;
use crate::settings::{Pooling, PostgresSettings};

/// Longest time to take leave of the server.
const GOODBYE: Duration = Duration::from_millis(500);

// `numbackends` is visible to every role, where `pg_stat_activity` hides what others do.
const SERVER: &str = "SELECT current_setting('server_version'), current_setting('server_version_num'), \
     (current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint)::text, \
     (SELECT rolconnlimit::text FROM pg_roles WHERE rolname = current_user), \
     (SELECT datconnlimit::text FROM pg_database WHERE datname = current_database()), \
     (SELECT coalesce(sum(numbackends), 0)::text FROM pg_stat_database), \
     current_setting('search_path'), coalesce(current_schema()::text, ''), current_user::text, \
     (SELECT coalesce(bool_or(ssl), false)::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()), \
     current_setting('transaction_read_only'), \
     has_database_privilege(current_database(), 'CREATE')::text, \
     coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace \
     WHERE nspname = coalesce(nullif(current_schema()::text, 'posada'), 'public')), false)::text, \
     current_database()::text, \
     (to_regnamespace('posada') IS NOT NULL)::text";
const CLOCK: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint::text";
/// Before the names of the tables.
const TABLES: &str = "SELECT nspname::text, relname::text, pg_table_is_visible(pg_class.oid)::text, \
     has_table_privilege(pg_class.oid, 'SELECT')::text, has_table_privilege(pg_class.oid, 'INSERT')::text, \
     has_table_privilege(pg_class.oid, 'UPDATE')::text, has_table_privilege(pg_class.oid, 'DELETE')::text \
     FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
     WHERE relkind IN ('r', 'p', 'v', 'f') AND nspname NOT LIKE 'pg\\_%' AND relname IN ";
const LEDGER: &str = "SELECT (has_schema_privilege(pg_namespace.oid, 'USAGE') \
     AND has_table_privilege(pg_class.oid, 'SELECT') AND NOT row_security_active(pg_class.oid))::text \
     FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
     WHERE nspname = 'posada' AND relname = 'migrations'";

/// The rights that a role can have, in the order of the columns of [`TABLES`].
const RIGHTS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What was found at the other end.
#[derive(Debug)]
pub(crate) struct Checkup {
    /// A pooler gave itself away, although the settings do not speak of one.
    pub(crate) hidden_pooler: bool,
    /// As the server writes it, such as `15.14 (Debian 15.14-0+deb12u1)`.
    pub(crate) version: String,
    /// The same as a number, such as 150014.
    pub(crate) version_number: i64,
    /// The connections that this role can have here at most: the server's limit without those that it keeps for
    /// superusers, or the limit of the role or the database.
    pub(crate) available: i64,
    /// The connections that are open now, those of others among them.
    pub(crate) in_use: i64,
    pub(crate) search_path: String,
    /// Where a new table would go.
    pub(crate) current_schema: Option<String>,
    pub(crate) user: String,
    /// Whether this very connection is encrypted; of a pooler's, it is the one behind it.
    pub(crate) encrypted: bool,
    pub(crate) read_only: bool,
    pub(crate) clock: ClockReading,
    /// Every table with one of our names, in any schema.
    pub(crate) tables: Vec<FoundTable>,
    pub(crate) ledger: Ledger,
    /// The statements that permit this role to run the migrations, if it may not yet make what is missing.
    pub(crate) grants: Vec<String>,
    pub(crate) rights: Rights,
}

/// A table with one of our names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundTable {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Whether the bare name means this table.
    pub(crate) is_visible: bool,
    /// The rights that this role lacks on it.
    pub(crate) lacks: Vec<&'static str>,
}

/// What is known of the migrations.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// There is none: `migrate` never ran.
    Absent,
    /// There is one, and this role may not read it.
    Hidden,
    /// The names of the migrations that are missing.
    Pending(Vec<&'static str>),
    /// It was not written by this version of posada, or was changed since.
    Foreign(String),
}

/// Connects and asks.
pub(super) async fn look(settings: &PostgresSettings, clock: &SharedClock) -> Result<Checkup, Failure> {
    let (mut connection, hidden_pooler) = in_time(settings.connect_timeout, Box::pin(open(settings))).await?;
    let checkup = timeout(
        settings.statement_timeout,
        ask(&mut connection, clock, hidden_pooler),
    )
    .await
    .map_err(|_| Failure::DeadlinePassed)??;
    let _ = timeout(GOODBYE, connection.close()).await;
    Ok(checkup)
}

/// A connection as the pool makes it, and whether it is another kind than the settings say.
async fn open(settings: &PostgresSettings) -> Result<(PgConnection, bool), Failure> {
    let mut hidden_pooler = false;
    if settings.pooling == Pooling::Session {
        match connect(settings, Pooling::Session).await? {
            Found::Ready(connection) => return Ok((connection, false)),
            Found::Pooler => hidden_pooler = true,
        }
    }
    Ok((connect_through_pooler(settings).await?, hidden_pooler))
}

async fn ask(
    connection: &mut PgConnection,
    clock: &SharedClock,
    hidden_pooler: bool,
) -> Result<Checkup, Failure> {
    let server = sqlx::raw_sql(SERVER).fetch_one(&mut *connection).await?;
    let asked = clock.now();
    let told = sqlx::raw_sql(CLOCK).fetch_one(&mut *connection).await?;
    let answered = clock.now();
    let names = schema::TABLES.join("', '");
    let tables = AssertSqlSafe(format!("{TABLES} ('{names}') ORDER BY nspname, relname"));
    let tables = sqlx::raw_sql(tables).fetch_all(&mut *connection).await?;
    let rights = rights::look(connection).await?;
    let ledger = ledger(connection).await?;

    let usable = number(&server, 2)?;
    let own_limits = [number(&server, 3)?, number(&server, 4)?];
    // −1 is no limit.
    let own_limits = own_limits.into_iter().filter(|limit| *limit >= 0);
    let current_schema = text(&server, 7)?;
    Ok(Checkup {
        hidden_pooler,
        version: text(&server, 0)?,
        version_number: number(&server, 1)?,
        available: own_limits.fold(usable, i64::min),
        in_use: number(&server, 5)?,
        search_path: text(&server, 6)?,
        current_schema: (!current_schema.is_empty()).then_some(current_schema),
        user: text(&server, 8)?,
        encrypted: is_true(&server, 9)?,
        read_only: text(&server, 10)? == "on",
        clock: ClockReading {
            asked,
            told: DateTime::from_timestamp_millis(number(&told, 0)?).unwrap_or(answered),
            answered,
        },
        tables: tables.iter().map(found_table).collect::<Result<_, _>>()?,
        ledger,
        grants: missing_grants(&server)?,
        rights,
    })
}

/// What an administrator has to grant before this role can make tables: in the first schema of its search path, and
/// the schema `posada` in the database.
fn missing_grants(server: &PgRow) -> Result<Vec<String>, Failure> {
    let role = rights::quoted(&text(server, 8)?);
    let schema = text(server, 7)?;
    let mut grants = Vec::new();
    if !is_true(server, 12)? {
        // Where the migrations put tables; see there.
        let schema = match schema.as_str() {
            "" | "posada" => "public",
            schema => schema,
        };
        grants.push(format!(
            "GRANT USAGE, CREATE ON SCHEMA {} TO {role};",
            rights::quoted(schema)
        ));
    }
    if !is_true(server, 11)? && !is_true(server, 14)? {
        grants.push(format!(
            "GRANT CREATE ON DATABASE {} TO {role};",
            rights::quoted(&text(server, 13)?)
        ));
    }
    Ok(grants)
}

async fn ledger(connection: &mut PgConnection) -> Result<Ledger, Failure> {
    let Some(row) = sqlx::raw_sql(LEDGER).fetch_optional(&mut *connection).await? else {
        return Ok(Ledger::Absent);
    };
    if !is_true(&row, 0)? {
        return Ok(Ledger::Hidden);
    }
    let mut known = Vec::new();
    for row in sqlx::raw_sql(migrations::APPLIED).fetch_all(connection).await? {
        known.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    match migrations::pending(&known) {
        Ok(pending) => Ok(Ledger::Pending(pending)),
        Err(Failure::Migration { reason }) => Ok(Ledger::Foreign(reason)),
        Err(failure) => Err(failure),
    }
}

fn found_table(row: &PgRow) -> Result<FoundTable, Failure> {
    let name = text(row, 1)?;
    let mut lacks = Vec::new();
    for (column, right) in (3..).zip(RIGHTS) {
        if needs(&name, right) && !is_true(row, column)? {
            lacks.push(right);
        }
    }
    Ok(FoundTable {
        schema: text(row, 0)?,
        name,
        is_visible: is_true(row, 2)?,
        lacks,
    })
}

/// Whether some statement of posada does this to the table.
fn needs(table: &str, right: &str) -> bool {
    match right {
        "UPDATE" => matches!(table, "tenants" | "users" | "user_sessions"),
        "DELETE" => matches!(table, "password_history" | "tenant_user_identifiers"),
        _ => true,
    }
}

fn text(row: &PgRow, column: usize) -> Result<String, Failure> {
    Ok(row.try_get::<Option<String>, _>(column)?.unwrap_or_default())
}

fn is_true(row: &PgRow, column: usize) -> Result<bool, Failure> {
    Ok(text(row, column)? == "true")
}

fn number(row: &PgRow, column: usize) -> Result<i64, Failure> {
    let text = text(row, column)?;
    text.parse().map_err(|_| Failure::Unexpected {
        state: "none".into(),
        reason: format!("{text} is not a number"),
    })
}
