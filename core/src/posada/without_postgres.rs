//! Stands for `on_postgres.rs` where the feature `postgres` is left out.

use std::sync::Arc;

use super::left_out;
#[cfg(feature = "auth")]
use crate::auth::AuthStore;
use crate::backends::postgres::Postgres;
use crate::clock::SharedClock;
use crate::error::Result;
use crate::locks::{AuditStore, FenceStore};
use crate::maintenance::{Cleaned, Retention};
use crate::migrations::{Applied, MigrationStatus};
use crate::settings::PostgresSettings;
use crate::task::Tasks;
use crate::tenants::TenantStore;

pub(super) fn open(_: &PostgresSettings, _: Tasks, _: SharedClock) -> Result<Postgres> {
    Err(left_out("DATABASE_URL", "postgres"))
}

pub(super) async fn migrate(postgres: &Postgres) -> Result<Applied> {
    match *postgres {}
}

pub(super) async fn maintain(postgres: &Postgres, kept: &Retention) -> Result<Vec<Cleaned>> {
    let _ = kept;
    match *postgres {}
}

pub(super) async fn migration_status(postgres: &Postgres) -> Result<MigrationStatus> {
    match *postgres {}
}

pub(super) fn tenants(postgres: &Postgres) -> Arc<dyn TenantStore> {
    match *postgres {}
}

pub(super) fn audit(postgres: &Postgres) -> Arc<dyn AuditStore> {
    match *postgres {}
}

pub(super) fn fences(postgres: &Postgres) -> Arc<dyn FenceStore> {
    match *postgres {}
}

#[cfg(feature = "auth")]
pub(super) fn users(postgres: &Postgres) -> Arc<dyn AuthStore> {
    match *postgres {}
}
