//! Tenants in Postgres, in the tables of the production app.
//!
//! Works on every layout that is in the wild. Row numbers may be `integer` or `bigint`; times are read as the number
//! that the server sends, which is the same whether the column has a zone or not; no column is expected to have a
//! default. The business hours, which one layout lacks, are read so that a missing column is NULL; only writing them
//! needs the columns.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Row as _, Type};

use super::TenantId;
use super::change::{NewTenant, TenantUpdate};
use super::identifier::Identifier;
use super::model::{BusinessHours, Tenant, TenantStatus};
use super::store::{Assignment, TenantStore, exists, identifier_not_found, identifier_taken, not_found};
use crate::backends::postgres::{Failure, Postgres, Statement, Tx};
use crate::error::Result;

/// The columns of a tenant that every layout has.
macro_rules! common {
    () => {
        "t.tenant_id::text AS tenant, t.name::text AS name, t.status::text AS status, \
         t.created_at AS created, t.updated_at AS updated"
    };
}

/// A tenant, from where a statement that changed it says so.
macro_rules! returning {
    () => {
        concat!(
            " RETURNING ",
            common!(),
            ", (to_jsonb(t) ->> 'business_hours_start')::integer AS opens, \
             (to_jsonb(t) ->> 'business_hours_end')::integer AS closes, \
             to_jsonb(t) ->> 'business_hours_timezone' AS timezone"
        )
    };
}

/// Tenants and whatever else, `FROM` a table with the tenants as `t`. The names of the business hours have no table
/// in front of them: they mean the columns of `t`, and the NULLs around when it has none. The planner removes all of
/// it, so unlike `to_jsonb` it costs nothing per row.
macro_rules! select {
    ($more:expr, $from:expr) => {
        concat!(
            "SELECT found.* FROM (SELECT NULL::integer AS business_hours_start, \
             NULL::integer AS business_hours_end, NULL::text AS business_hours_timezone) missing, \
             LATERAL (SELECT ",
            $more,
            common!(),
            ", business_hours_start::integer AS opens, business_hours_end::integer AS closes, \
             business_hours_timezone::text AS timezone FROM ",
            $from,
            ") found"
        )
    };
}

/// Whether [`loose`](super::identifier::loose), in SQL, makes one of `$1` of an identifier. A migration has an index
/// on exactly this expression; without it the small table is read through.
///
/// The keys stand in a query of their own, so that the planner cannot count them: it would find every list cheaper
/// than a list of unknown length and plan every look-up anew, which takes twice as long as the look-up.
macro_rules! is_spelled {
    () => {
        r"lower(translate(i.identifier, E' \t\r\n()+-./\u00a0', '')) = ANY((SELECT $1::text[])::text[])"
    };
}

const FIND: &str = select!(
    "i.identifier::text AS identifier, ",
    concat!(
        "tenant_user_identifiers i JOIN tenants t ON t.id = i.tenant_id WHERE ",
        is_spelled!()
    )
);
const GET: &str = select!("", "tenants t WHERE t.tenant_id = $1");
const LIST: &str = select!("", "tenants t");
const INSERT: &str = concat!(
    "INSERT INTO tenants AS t (tenant_id, name, status, business_hours_start, business_hours_end, \
     business_hours_timezone, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    returning!()
);
const INSERT_WITHOUT_HOURS: &str = concat!(
    "INSERT INTO tenants AS t (tenant_id, name, status, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $4)",
    returning!()
);
const UPDATE: &str = concat!(
    "UPDATE tenants AS t SET name = coalesce($2, t.name), status = coalesce($3, t.status), \
     business_hours_start = CASE WHEN $4 THEN $5 ELSE t.business_hours_start END, \
     business_hours_end = CASE WHEN $6 THEN $7 ELSE t.business_hours_end END, \
     business_hours_timezone = CASE WHEN $8 THEN $9 ELSE t.business_hours_timezone END, \
     updated_at = $10 WHERE t.tenant_id = $1",
    returning!()
);
const UPDATE_WITHOUT_HOURS: &str = concat!(
    "UPDATE tenants AS t SET name = coalesce($2, t.name), status = coalesce($3, t.status), \
     updated_at = $4 WHERE t.tenant_id = $1",
    returning!()
);
/// Two spellings of one identifier are two texts to the unique index, so adding one takes this lock.
const IDENTIFIER_LOCK: &str = "SELECT pg_advisory_xact_lock(8101819366487451753)";
const ROW_ID: &str = "SELECT t.id::bigint AS id FROM tenants t WHERE t.tenant_id = $1";
const SPELLINGS: &str = concat!(
    "SELECT i.id::bigint AS id, i.identifier::text AS identifier, t.tenant_id::text AS tenant \
     FROM tenant_user_identifiers i JOIN tenants t ON t.id = i.tenant_id WHERE ",
    is_spelled!()
);
const ADD: &str =
    "INSERT INTO tenant_user_identifiers (tenant_id, identifier, created_at) VALUES ($1, $2, $3)";
const REMOVE: &str = "DELETE FROM tenant_user_identifiers WHERE id = ANY($1)";
const ALL: &str = "SELECT identifier::text AS identifier FROM tenant_user_identifiers ORDER BY id LIMIT $1";

/// The tables `tenants` and `tenant_user_identifiers`.
pub(crate) struct PostgresTenants {
    postgres: Postgres,
}

impl PostgresTenants {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

#[async_trait]
impl TenantStore for PostgresTenants {
    async fn find(&self, keys: &[String]) -> Result<Vec<Assignment>> {
        let rows = self
            .postgres
            .fetch(Statement::read("tenants.find", FIND).bind(keys.to_vec()))
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let identifier = row.try_get("identifier").map_err(Failure::from)?;
            if let Some(tenant) = read_tenant(row)? {
                found.push(Assignment { identifier, tenant });
            }
        }
        Ok(found)
    }

    async fn get(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let rows = self
            .postgres
            .fetch(Statement::read("tenants.get", GET).bind(id.as_str()))
            .await?;
        Ok(rows.first().map(read_tenant).transpose()?.flatten())
    }

    async fn list(&self) -> Result<Vec<Tenant>> {
        let rows = self.postgres.fetch(Statement::read("tenants.list", LIST)).await?;
        let read: std::result::Result<Vec<_>, Failure> = rows.iter().map(read_tenant).collect();
        let mut tenants: Vec<_> = read?.into_iter().flatten().collect();
        // Here, because the collation of the database may order otherwise.
        tenants.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(tenants)
    }

    async fn insert(&self, new: &NewTenant, now: DateTime<Utc>) -> Result<Tenant> {
        let hours = &new.business_hours;
        let statement = if *hours == BusinessHours::default() {
            Statement::write("tenants.create", INSERT_WITHOUT_HOURS)
                .bind(new.id.as_str())
                .bind(new.name.as_str())
                .bind(new.status.as_str())
                .bind(now.naive_utc())
        } else {
            Statement::write("tenants.create", INSERT)
                .bind(new.id.as_str())
                .bind(new.name.as_str())
                .bind(new.status.as_str())
                .bind(hours.start.map(i32::from))
                .bind(hours.end.map(i32::from))
                .bind(hours.timezone.as_deref())
                .bind(now.naive_utc())
        };
        match self.postgres.fetch(statement).await {
            Ok(rows) => written(&rows, &new.id),
            Err(Failure::UniqueViolation { .. }) => Err(exists(&new.id)),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn update(&self, id: &TenantId, update: &TenantUpdate, now: DateTime<Utc>) -> Result<Tenant> {
        let keeps_hours = update.start.is_none() && update.end.is_none() && update.timezone.is_none();
        let sql = if keeps_hours { UPDATE_WITHOUT_HOURS } else { UPDATE };
        let mut statement = Statement::write("tenants.update", sql)
            .bind(id.as_str())
            .bind(update.name.as_deref())
            .bind(update.status.map(TenantStatus::as_str));
        if !keeps_hours {
            statement = statement
                .bind(update.start.is_some())
                .bind(update.start.flatten().map(i32::from))
                .bind(update.end.is_some())
                .bind(update.end.flatten().map(i32::from))
                .bind(update.timezone.is_some())
                .bind(update.timezone.as_ref().and_then(Option::as_deref));
        }
        let statement = statement.bind(now.naive_utc());
        written(&self.postgres.fetch(statement).await?, id)
    }

    async fn add_identifier(&self, id: &TenantId, identifier: &Identifier, now: DateTime<Utc>) -> Result<()> {
        let (id, identifier) = (id.clone(), identifier.clone());
        let added = self.postgres.transaction("tenants.add_identifier", move |tx| {
            let (id, identifier) = (id.clone(), identifier.clone());
            Box::pin(async move {
                let tenant = enter(tx, &id).await?;
                let spellings = spellings(tx, &identifier).await?;
                if let Some(taken) = spellings.iter().find(|spelling| spelling.owner != id.as_str()) {
                    return Err(Failure::Abandoned(identifier_taken(Some(&taken.owner))));
                }
                if spellings.is_empty() {
                    let statement = Statement::write("tenants.add_identifier", ADD);
                    let statement = statement.bind(tenant).bind(identifier.canonical().to_owned());
                    tx.execute(statement.bind(now.naive_utc())).await?;
                }
                Ok(())
            })
        });
        match added.await {
            // The app does not take the lock.
            Err(Failure::UniqueViolation { .. }) => Err(identifier_taken(None)),
            added => Ok(added?),
        }
    }

    async fn remove_identifier(&self, id: &TenantId, identifier: &Identifier) -> Result<()> {
        let (id, identifier) = (id.clone(), identifier.clone());
        let removed = self.postgres.transaction("tenants.remove_identifier", move |tx| {
            let (id, identifier) = (id.clone(), identifier.clone());
            Box::pin(async move {
                enter(tx, &id).await?;
                let spellings = spellings(tx, &identifier).await?;
                let own = spellings.iter().filter(|spelling| spelling.owner == id.as_str());
                let rows: Vec<i64> = own.map(|spelling| spelling.row).collect();
                if rows.is_empty() {
                    return Err(Failure::Abandoned(identifier_not_found(&id)));
                }
                tx.execute(Statement::write("tenants.remove_identifier", REMOVE).bind(rows))
                    .await?;
                Ok(())
            })
        });
        Ok(removed.await?)
    }

    async fn all_identifiers(&self, limit: usize) -> Result<Vec<String>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .postgres
            .fetch(Statement::read("tenants.all_identifiers", ALL).bind(limit))
            .await?;
        let read: std::result::Result<_, sqlx::Error> =
            rows.iter().map(|row| row.try_get("identifier")).collect();
        Ok(read.map_err(Failure::from)?)
    }
}

/// One row that means the identifier in question.
struct Spelling {
    row: i64,
    owner: String,
}

/// Takes the lock until the transaction ends, and returns the tenant's row.
async fn enter(tx: &mut Tx, id: &TenantId) -> std::result::Result<i64, Failure> {
    tx.execute(Statement::read("tenants.lock_identifiers", IDENTIFIER_LOCK))
        .await?;
    let rows = tx
        .fetch(Statement::read("tenants.row_id", ROW_ID).bind(id.as_str().to_owned()))
        .await?;
    match rows.first() {
        Some(row) => Ok(row.try_get("id")?),
        None => Err(Failure::Abandoned(not_found(id))),
    }
}

async fn spellings(tx: &mut Tx, identifier: &Identifier) -> std::result::Result<Vec<Spelling>, Failure> {
    let statement = Statement::read("tenants.spellings", SPELLINGS).bind(identifier.keys().to_vec());
    let mut spellings = Vec::new();
    for row in tx.fetch(statement).await? {
        if identifier.is_same_address(row.try_get("identifier")?) {
            spellings.push(Spelling {
                row: row.try_get("id")?,
                owner: row.try_get("tenant")?,
            });
        }
    }
    Ok(spellings)
}

fn written(rows: &[PgRow], id: &TenantId) -> Result<Tenant> {
    let tenant = rows.first().map(read_tenant).transpose()?.flatten();
    tenant.ok_or_else(|| not_found(id))
}

/// A tenant, or nothing when people wrote an id that no tenant can have.
fn read_tenant(row: &PgRow) -> std::result::Result<Option<Tenant>, Failure> {
    let id: String = row.try_get("tenant")?;
    let Ok(id) = TenantId::parse(&id) else {
        tracing::warn!(tenant = %id.escape_debug(), "a row of the table tenants has an impossible id and is left out");
        return Ok(None);
    };
    Ok(Some(Tenant {
        id,
        name: row.try_get("name")?,
        status: TenantStatus::from_column(row.try_get("status")?),
        business_hours: BusinessHours::from_columns(
            row.try_get("opens")?,
            row.try_get("closes")?,
            row.try_get("timezone")?,
        ),
        created_at: moment(row, "created")?,
        updated_at: moment(row, "updated")?,
    }))
}

/// Nothing for NULL, and for the infinities and other times that the calendar does not reach.
fn moment(row: &PgRow, column: &str) -> std::result::Result<Option<DateTime<Utc>>, Failure> {
    let sent: Option<Moment> = row.try_get(column)?;
    Ok(sent.and_then(Moment::at))
}

/// A time in a column with or without a zone: the server sends the microseconds since the year 2000 of either.
struct Moment(i64);

impl Moment {
    const YEAR_2000: i64 = 946_684_800_000_000;

    fn at(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0.checked_add(Self::YEAR_2000)?)
    }
}

impl Type<sqlx::Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<sqlx::Postgres>>::type_info()
    }

    fn compatible(kind: &PgTypeInfo) -> bool {
        *kind == Self::type_info() || *kind == <NaiveDateTime as Type<sqlx::Postgres>>::type_info()
    }
}

impl<'row> Decode<'row, sqlx::Postgres> for Moment {
    fn decode(value: PgValueRef<'row>) -> std::result::Result<Self, BoxDynError> {
        <i64 as Decode<sqlx::Postgres>>::decode(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_the_calendar_does_not_reach_are_none() {
        assert_eq!(Moment(0).at().unwrap().to_rfc3339(), "2000-01-01T00:00:00+00:00");
        let micro = Moment(820_540_800_000_001).at().unwrap();
        assert_eq!(micro.to_rfc3339(), "2026-01-01T00:00:00.000001+00:00");
        assert!(Moment(i64::MAX).at().is_none() && Moment(i64::MIN).at().is_none());
    }
}
