//! Tenants.

mod id;

pub use id::TenantId;
