//! What happens when something that sign-in needs is down: the table is data, so that it can be read, shown and
//! tested row by row.
//!
//! One rule stands above it: a fault of the infrastructure is an error of kind `Unavailable`, `Timeout`, `Exhausted`
//! or `Ambiguous` (503), never `Unauthenticated` or `Denied` (401, 403), and it never counts as a failed attempt.

/// A step of sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthStep {
    /// `verify` of a session that this process knows.
    VerifyKnown,
    /// `verify` of a session that this process does not know, or not recently enough.
    VerifyUnknown,
    /// `verify_privileged`.
    VerifyPrivileged,
    /// `login`.
    Login,
    /// `refresh`.
    Refresh,
    /// `logout`, `logout_session` and `logout_everywhere`.
    Revoke,
    /// `change_password` and `set_password`.
    ChangePassword,
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthDependency {
    /// Redis is down or silent.
    Redis,
    /// Postgres is down or silent, or its pool is exhausted.
    Postgres,
    /// Every core is busy with hashes and the queue is full.
    HashPool,
}

/// What the step does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFallback {
    /// It does not need it.
    Unaffected,
    /// It asks Postgres instead.
    AsksPostgres,
    /// This process counts attempts alone, four times as strict.
    CountsAlone,
    /// It goes on; other processes learn of it within the staleness.
    TellsNobody,
    /// It is refused with a 503 kind, nothing was changed, and no token was used up.
    Refuses,
}

/// The table.
pub const AUTH_FAILURE_POLICY: [(AuthStep, AuthDependency, AuthFallback); 21] = {
    use AuthDependency::{HashPool, Postgres, Redis};
    use AuthFallback::{AsksPostgres, CountsAlone, Refuses, TellsNobody, Unaffected};
    use AuthStep::{ChangePassword, Login, Refresh, Revoke, VerifyKnown, VerifyPrivileged, VerifyUnknown};
    [
        (VerifyKnown, Redis, Unaffected),
        (VerifyKnown, Postgres, Unaffected),
        (VerifyKnown, HashPool, Unaffected),
        (VerifyUnknown, Redis, AsksPostgres),
        (VerifyUnknown, Postgres, Refuses),
        (VerifyUnknown, HashPool, Unaffected),
        (VerifyPrivileged, Redis, Unaffected),
        (VerifyPrivileged, Postgres, Refuses),
        (VerifyPrivileged, HashPool, Unaffected),
        (Login, Redis, CountsAlone),
        (Login, Postgres, Refuses),
        (Login, HashPool, Refuses),
        (Refresh, Redis, Unaffected),
        (Refresh, Postgres, Refuses),
        (Refresh, HashPool, Unaffected),
        (Revoke, Redis, TellsNobody),
        (Revoke, Postgres, Refuses),
        (Revoke, HashPool, Unaffected),
        (ChangePassword, Redis, TellsNobody),
        (ChangePassword, Postgres, Refuses),
        (ChangePassword, HashPool, Refuses),
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_step_has_one_row_for_each_dependency() {
        let rows: HashSet<_> = AUTH_FAILURE_POLICY
            .iter()
            .map(|(step, dependency, _)| (*step, *dependency))
            .collect();
        let steps: HashSet<_> = AUTH_FAILURE_POLICY.iter().map(|(step, ..)| *step).collect();
        assert_eq!(
            (rows.len(), steps.len()),
            (AUTH_FAILURE_POLICY.len(), AUTH_FAILURE_POLICY.len() / 3)
        );
    }
}
