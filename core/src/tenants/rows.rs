//! Which tenants the rows of a look-up mean.

use std::collections::HashMap;
use std::sync::Arc;

use super::identifier::{Identifier, loose};
use super::model::Tenant;
use super::resolution::Verdict;
use super::store::Assignment;

/// The rows of one statement, by their loose form.
pub(super) struct Rows(HashMap<String, Vec<(String, Arc<Tenant>)>>);

impl Rows {
    pub(super) fn new(rows: Vec<Assignment>) -> Self {
        let mut by_key: HashMap<String, Vec<_>> = HashMap::with_capacity(rows.len());
        for row in rows {
            by_key
                .entry(loose(&row.identifier))
                .or_default()
                .push((row.identifier, Arc::new(row.tenant)));
        }
        Self(by_key)
    }

    /// All forms of a number weigh the same; of a host and its wildcards the best decides.
    pub(super) fn judge(&self, identifier: &Identifier) -> Verdict {
        let rows = identifier
            .keys()
            .iter()
            .filter_map(|key| self.0.get(key))
            .flatten();
        let mut ranked: Vec<_> = rows
            .filter_map(|(stored, tenant)| Some((identifier.rank(stored)?, tenant.clone())))
            .collect();
        if identifier.has_ranks() {
            let best = ranked.iter().map(|(rank, _)| *rank).min();
            ranked.retain(|(rank, _)| Some(*rank) == best);
        }
        Verdict::of(ranked.into_iter().map(|(_, tenant)| tenant).collect())
    }
}
