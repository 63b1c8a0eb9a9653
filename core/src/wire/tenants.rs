//! Hotel companies, the identifiers by which guests reach them, and whose guest a sender is.

use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::seconds_if_known;
use crate::tenants::{
    BusinessHours, Identifier, IdentifierKind, NewTenant, Resolution, ResolutionSource, Tenant, TenantStats,
    TenantStatus, TenantUpdate,
};

names! { IdentifierKind, ResolutionSource }

members! {
    BusinessHours { start, end, timezone }
    TenantStats { cached, unknown, lookups, changes }
}

impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Tenant", 8)?;
        object.serialize_field("id", &self.id)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("status", &self.status)?;
        object.serialize_field("business_hours_start", &self.business_hours.start)?;
        object.serialize_field("business_hours_end", &self.business_hours.end)?;
        object.serialize_field("timezone", &self.business_hours.timezone)?;
        object.serialize_field("created_at", &self.created_at)?;
        object.serialize_field("updated_at", &self.updated_at)?;
        object.end()
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Identifier", 3)?;
        object.serialize_field("kind", &self.kind())?;
        object.serialize_field("canonical", self.canonical())?;
        object.serialize_field("candidates", self.candidates())?;
        object.end()
    }
}

impl Serialize for Resolution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut found, mut suspended, mut candidates) = (None, None, &[] as &[Arc<Tenant>]);
        let (mut from, mut known_for) = (None, None);
        match self {
            Self::Found { tenant, source, age } => {
                (found, from, known_for) = (Some(&**tenant), Some(source), Some(*age));
            }
            Self::Suspended { tenant } => suspended = Some(&**tenant),
            Self::Unknown => {}
            Self::Ambiguous { tenants } => candidates = tenants,
        }
        let candidates: Vec<&Tenant> = candidates.iter().map(Arc::as_ref).collect();
        let mut object = serializer.serialize_struct("Resolution", 6)?;
        object.serialize_field("outcome", self.as_str())?;
        object.serialize_field("tenant", &found)?;
        object.serialize_field("suspended", &suspended)?;
        object.serialize_field("candidates", &candidates)?;
        object.serialize_field("source", &from)?;
        object.serialize_field("age", &seconds_if_known(&known_for))?;
        object.end()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    #[serde(default)]
    start: Option<u8>,
    #[serde(default)]
    end: Option<u8>,
    #[serde(default)]
    timezone: Option<String>,
}

/// The parameters of Python's `create`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    tenant_id: String,
    name: String,
    #[serde(default)]
    status: TenantStatus,
    #[serde(default)]
    business_hours: BusinessHours,
}

/// The parameters of Python's `update`. What is not named stays, and `null` forgets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::option_option, reason = "leave it, forget it, or set it")]
struct Update {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    status: Option<TenantStatus>,
    #[serde(default, deserialize_with = "given")]
    start: Option<Option<u8>>,
    #[serde(default, deserialize_with = "given")]
    end: Option<Option<u8>>,
    #[serde(default, deserialize_with = "given")]
    timezone: Option<Option<String>>,
}

/// A member that is there, also when it is `null`.
#[allow(clippy::option_option, reason = "leave it, forget it, or set it")]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

made_of! {
    BusinessHours: Hours => |given| BusinessHours::new(given.start, given.end, given.timezone.as_deref());
    NewTenant: Beginning => |given| {
        let new = NewTenant::new(&given.tenant_id, &given.name)?;
        Ok(new.status(given.status).business_hours(given.business_hours))
    };
    TenantUpdate: Update => |given| {
        let mut update = TenantUpdate::new();
        if let Some(name) = given.name {
            update = update.name(&name)?;
        }
        if let Some(status) = given.status {
            update = update.status(status);
        }
        if let Some(start) = given.start {
            update = update.start(start)?;
        }
        if let Some(end) = given.end {
            update = update.end(end)?;
        }
        if let Some(timezone) = given.timezone {
            update = update.timezone(timezone.as_deref())?;
        }
        Ok(update)
    };
}
