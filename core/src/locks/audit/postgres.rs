//! The audit in the table `lock_audit`, in each of the layouts that are in use.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::NaiveDateTime;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::model::{AuditEntry, AuditEvent, Note};
use super::store::AuditStore;
use crate::backends::postgres::{Failure, Postgres, Statement};
use crate::error::Result;
use crate::tenants::TenantId;

// A `json` value goes into a `jsonb` column too; the order of the rows is the order of their ids.
const APPEND: &str = "INSERT INTO lock_audit (lock_key, event_type, timestamp, details, tenant_id) \
     SELECT key, event, at, details::json, tenant \
     FROM unnest($1::text[], $2::text[], $3::timestamp[], $4::text[], $5::text[]) \
     WITH ORDINALITY AS entry (key, event, at, details, tenant, place) ORDER BY place";
const APPEND_WITHOUT_TENANT: &str = "INSERT INTO lock_audit (lock_key, event_type, timestamp, details) \
     SELECT key, event, at, details::json \
     FROM unnest($1::text[], $2::text[], $3::timestamp[], $4::text[]) \
     WITH ORDINALITY AS entry (key, event, at, details, place) ORDER BY place";
const RECENT: &str = "SELECT event_type::text, timestamp, details::text, tenant_id::text FROM lock_audit \
     WHERE lock_key = $1 AND ($3::text IS NULL OR COALESCE(tenant_id::text, details::json ->> 'tenant_id') = $3) \
     ORDER BY id DESC LIMIT $2";
const RECENT_WITHOUT_TENANT: &str = "SELECT event_type::text, timestamp, details::text, NULL::text FROM lock_audit \
     WHERE lock_key = $1 AND ($3::text IS NULL OR details::json ->> 'tenant_id' = $3) ORDER BY id DESC LIMIT $2";

/// What the column `tenant_id` holds, in characters.
const MAX_TENANT_CHARACTERS: usize = 100;

/// The fact that names the tenant where the table has no column for it, or too narrow a one.
const TENANT_FACT: &str = "tenant_id";

/// The audit on Postgres.
pub(crate) struct PostgresAudit {
    postgres: Postgres,
}

impl PostgresAudit {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    async fn has_tenant_column(&self) -> Result<bool, Failure> {
        Ok(self
            .postgres
            .schema()
            .await?
            .has_column("lock_audit", "tenant_id"))
    }
}

#[async_trait]
impl AuditStore for PostgresAudit {
    async fn append(&self, rows: &[Arc<Note>]) -> Result<()> {
        let has_tenant_column = self.has_tenant_column().await?;
        let column = |row: &Arc<Note>| {
            let tenant = row.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
            tenant.filter(|tenant| has_tenant_column && tenant.chars().count() <= MAX_TENANT_CHARACTERS)
        };
        let details = |row: &Arc<Note>| {
            let written = match (&row.tenant, column(row)) {
                (Some(tenant), None) => {
                    serde_json::to_string(&row.facts.clone().with(TENANT_FACT, tenant.as_str()))
                }
                _ => serde_json::to_string(&row.facts),
            };
            written.unwrap_or_else(|_| "null".to_owned())
        };
        let (name, sql) = if has_tenant_column {
            ("locks.audit", APPEND)
        } else {
            ("locks.audit_without_tenant", APPEND_WITHOUT_TENANT)
        };
        let mut statement = Statement::write(name, sql)
            .bind(
                rows.iter()
                    .map(|row| row.lock_key.as_ref().to_owned())
                    .collect::<Vec<_>>(),
            )
            .bind(
                rows.iter()
                    .map(|row| row.event.as_str().to_owned())
                    .collect::<Vec<_>>(),
            )
            .bind(rows.iter().map(|row| row.at.naive_utc()).collect::<Vec<_>>())
            .bind(rows.iter().map(details).collect::<Vec<_>>());
        if has_tenant_column {
            statement = statement.bind(rows.iter().map(column).collect::<Vec<_>>());
        }
        self.postgres.execute(statement).await?;
        Ok(())
    }

    async fn recent(
        &self,
        lock_key: &str,
        tenant: Option<&TenantId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let sql = if self.has_tenant_column().await? {
            RECENT
        } else {
            RECENT_WITHOUT_TENANT
        };
        let statement = Statement::read("locks.audit_recent", sql)
            .bind(lock_key.to_owned())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(tenant.map(|tenant| tenant.as_str().to_owned()));
        let mut entries = Vec::new();
        for row in self.postgres.fetch(statement).await? {
            entries.extend(read(lock_key, &row)?);
        }
        Ok(entries)
    }
}

/// Reads a row; `None` when it is none of ours: an event or a tenant that we do not know.
fn read(lock_key: &str, row: &PgRow) -> Result<Option<AuditEntry>, Failure> {
    let (event, at): (String, Option<NaiveDateTime>) = (row.try_get(0)?, row.try_get(1)?);
    let (details, tenant): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    let details: Value = details
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or(Value::Null);
    let tenant = tenant.or_else(|| details.get(TENANT_FACT)?.as_str().map(str::to_owned));
    Ok(AuditEvent::from_word(&event).map(|event| AuditEntry {
        lock_key: lock_key.to_owned(),
        event,
        at: at.unwrap_or_default().and_utc(),
        tenant: tenant.and_then(|tenant| TenantId::parse(&tenant).ok()),
        details,
    }))
}
