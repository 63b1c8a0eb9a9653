//! The answer to "whose guest is this?".

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::model::Tenant;

/// Whose guest a sender is. There is no silent default: who is unknown is [`Unknown`](Self::Unknown).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One active tenant.
    Found {
        /// The tenant, shared with the cache.
        tenant: Arc<Tenant>,
        /// Where the answer comes from.
        source: ResolutionSource,
        /// How long ago Postgres said so.
        age: Duration,
    },
    /// A tenant that is not active. Refuse politely; do not ask another tenant.
    Suspended {
        /// The tenant, shared with the cache.
        tenant: Arc<Tenant>,
    },
    /// Postgres was asked and knows no such identifier.
    Unknown,
    /// Spellings of the identifier belong to several tenants; a person has to remove the wrong ones.
    Ambiguous {
        /// The tenants, by id.
        tenants: Arc<[Arc<Tenant>]>,
    },
}

impl Resolution {
    /// The tenant when one is found and active.
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        match self {
            Self::Found { tenant, .. } => Some(tenant),
            _ => None,
        }
    }

    /// The stable lower-case name of the case.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Found { .. } => "found",
            Self::Suspended { .. } => "suspended",
            Self::Unknown => "unknown",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }
}

/// Where a found tenant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResolutionSource {
    /// Postgres, or a cached answer that is young enough.
    Fresh,
    /// An older answer, because Postgres does not answer now.
    Stale,
    /// An answer that an earlier process left on disk, because Postgres does not answer now.
    Disk,
    /// The identifier is unknown and the setting `default_tenant` says whose it is then.
    Default,
}

impl ResolutionSource {
    /// The stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Disk => "disk",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for ResolutionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the store said about one identifier or id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Found(Arc<Tenant>),
    Suspended(Arc<Tenant>),
    Unknown,
    Ambiguous(Arc<[Arc<Tenant>]>),
}

impl Verdict {
    /// Judges by the tenants whose identifiers match. Suspended ones count only where no active one does: the
    /// app never looked at them, and numbers move on to other hotels.
    pub(crate) fn of(mut matches: Vec<Arc<Tenant>>) -> Self {
        if matches.iter().any(|tenant| tenant.is_active()) {
            matches.retain(|tenant| tenant.is_active());
        }
        matches.sort_by(|one, other| one.id.cmp(&other.id));
        matches.dedup_by(|one, other| one.id == other.id);
        match matches.as_slice() {
            [] => Self::Unknown,
            [tenant] if tenant.is_active() => Self::Found(tenant.clone()),
            [tenant] => Self::Suspended(tenant.clone()),
            _ => Self::Ambiguous(matches.into()),
        }
    }

    /// The tenants that it names.
    pub(crate) fn tenants(&self) -> &[Arc<Tenant>] {
        match self {
            Self::Found(tenant) | Self::Suspended(tenant) => std::slice::from_ref(tenant),
            Self::Unknown => &[],
            Self::Ambiguous(tenants) => tenants,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TenantId, TenantStatus};
    use super::*;

    fn tenant(id: &str, status: TenantStatus) -> Arc<Tenant> {
        let mut tenant = Tenant::bare(TenantId::parse(id).unwrap());
        tenant.status = status;
        Arc::new(tenant)
    }

    #[test]
    fn a_suspended_tenant_yields_to_an_active_one_and_is_never_unknown() {
        let active = tenant("a", TenantStatus::Active);
        let suspended = tenant("b", TenantStatus::Inactive);
        let both = Verdict::of(vec![suspended.clone(), active.clone()]);
        assert_eq!(both, Verdict::Found(active));
        assert_eq!(
            Verdict::of(vec![suspended.clone()]),
            Verdict::Suspended(suspended)
        );
    }

    #[test]
    fn two_active_tenants_are_ambiguous_and_two_rows_of_one_are_not() {
        let (one, other) = (
            tenant("a", TenantStatus::Active),
            tenant("b", TenantStatus::Active),
        );
        let twice = Verdict::of(vec![one.clone(), one.clone()]);
        assert_eq!(twice, Verdict::Found(one.clone()));
        let verdict = Verdict::of(vec![other, one]);
        let ids: Vec<_> = verdict
            .tenants()
            .iter()
            .map(|tenant| tenant.id.as_str())
            .collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
