//! The port: what the resolver needs from a database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::TenantId;
use super::change::{NewTenant, TenantUpdate};
use super::identifier::Identifier;
use super::model::Tenant;
use crate::error::{Error, Result, codes};

/// One row of `tenant_user_identifiers` with its tenant.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// The identifier as it was written, by posada or by others.
    pub(crate) identifier: String,
    pub(crate) tenant: Tenant,
}

/// Tenants and their identifiers. Every method is one statement or one transaction.
#[async_trait]
pub(crate) trait TenantStore: Send + Sync {
    /// Every row whose identifier has one of these [`loose`](super::identifier::loose) forms. The caller checks
    /// with [`Identifier::rank`], because different identifiers can share a loose form.
    async fn find(&self, keys: &[String]) -> Result<Vec<Assignment>>;

    async fn get(&self, id: &TenantId) -> Result<Option<Tenant>>;

    /// All tenants, by id.
    async fn list(&self) -> Result<Vec<Tenant>>;

    /// `tenants.exists` when the id is taken.
    async fn insert(&self, tenant: &NewTenant, now: DateTime<Utc>) -> Result<Tenant>;

    /// `tenants.not_found` when there is no such tenant.
    async fn update(&self, id: &TenantId, update: &TenantUpdate, now: DateTime<Utc>) -> Result<Tenant>;

    /// Stores the canonical spelling, unless the tenant has one that means the same already.
    /// `tenants.not_found`, or `tenants.identifier_taken` when any spelling belongs to another tenant.
    async fn add_identifier(&self, id: &TenantId, identifier: &Identifier, now: DateTime<Utc>) -> Result<()>;

    /// Removes every spelling. `tenants.not_found` or `tenants.identifier_not_found`.
    async fn remove_identifier(&self, id: &TenantId, identifier: &Identifier) -> Result<()>;

    /// Identifiers as they were written, at most `limit`.
    async fn all_identifiers(&self, limit: usize) -> Result<Vec<String>>;
}

pub(crate) fn not_found(id: &TenantId) -> Error {
    Error::new(codes::TENANTS_NOT_FOUND, "there is no tenant of that id").with("tenant", id)
}

pub(crate) fn exists(id: &TenantId) -> Error {
    Error::new(codes::TENANTS_EXISTS, "a tenant of that id exists").with("tenant", id)
}

pub(crate) fn identifier_taken(owner: Option<&str>) -> Error {
    let error = Error::new(
        codes::TENANTS_IDENTIFIER_TAKEN,
        "the identifier, or another spelling of it, belongs to another tenant",
    );
    match owner {
        Some(owner) => error.with("owner", owner),
        None => error,
    }
}

pub(crate) fn identifier_not_found(id: &TenantId) -> Error {
    Error::new(
        codes::TENANTS_IDENTIFIER_NOT_FOUND,
        "the tenant does not have that identifier",
    )
    .with("tenant", id)
}
