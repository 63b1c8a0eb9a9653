//! What lives in Postgres: the only lines that name its adapters.

use std::sync::Arc;

#[cfg(feature = "auth")]
use crate::auth::{AuthStore, PostgresAuth};
use crate::backends::postgres::{Postgres, maintenance, migrations};
use crate::clock::SharedClock;
use crate::error::Result;
use crate::locks::{AuditStore, FenceStore, PostgresAudit, PostgresFences};
use crate::maintenance::{Cleaned, Retention};
use crate::migrations::{Applied, MigrationStatus};
use crate::settings::PostgresSettings;
use crate::task::Tasks;
use crate::tenants::{PostgresTenants, TenantStore};

#[allow(clippy::unnecessary_wraps, reason = "without the feature `postgres` it fails")]
pub(super) fn open(settings: &PostgresSettings, tasks: Tasks, clock: SharedClock) -> Result<Postgres> {
    Ok(Postgres::new(settings, tasks, clock))
}

pub(super) async fn migrate(postgres: &Postgres) -> Result<Applied> {
    Ok(migrations::apply(postgres).await?)
}

pub(super) async fn maintain(postgres: &Postgres, kept: &Retention) -> Result<Vec<Cleaned>> {
    Ok(maintenance::run(postgres, kept).await?)
}

pub(super) async fn migration_status(postgres: &Postgres) -> Result<MigrationStatus> {
    Ok(migrations::status(postgres).await?)
}

pub(super) fn schema_sql() -> String {
    migrations::schema_sql()
}

pub(super) fn tenants(postgres: &Postgres) -> Arc<dyn TenantStore> {
    Arc::new(PostgresTenants::new(postgres.clone()))
}

pub(super) fn audit(postgres: &Postgres) -> Arc<dyn AuditStore> {
    Arc::new(PostgresAudit::new(postgres.clone()))
}

pub(super) fn fences(postgres: &Postgres) -> Arc<dyn FenceStore> {
    Arc::new(PostgresFences::new(postgres.clone()))
}

#[cfg(feature = "auth")]
pub(super) fn users(postgres: &Postgres) -> Arc<dyn AuthStore> {
    Arc::new(PostgresAuth::new(postgres.clone()))
}
