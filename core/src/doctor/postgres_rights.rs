//! Who sees the tables in Postgres: everybody through a data API, or this role only in part.

use std::collections::{BTreeMap, BTreeSet};

use super::codes;
use super::model::{Finding, Severity};
use crate::backends::postgres::{Checkup, Guarded, Published};

/// What should be kept from the roles of a data API.
pub(super) fn data_api(published: &[Published]) -> Finding {
    if published.is_empty() {
        return Finding::ok(
            codes::DATA_API,
            "No role of a data API (anon, authenticated) has rights on our tables.",
        );
    }
    let seen: Vec<String> = published.iter().map(right).collect();
    let through_public = published.iter().any(|found| found.grantee == "PUBLIC");
    let beware = if through_public {
        " (PUBLIC is every role: GRANT the rights of migrations/README.md to the program's own role first)"
    } else {
        ""
    };
    // Behind policies or a view, what is seen may be meant.
    let severity = if published.iter().all(|found| found.is_guarded) {
        Severity::Warning
    } else {
        Severity::Error
    };
    Finding::error(
        codes::DATA_API,
        format!(
            "Every client with the public key of the data API (Supabase, Neon) reaches our tables: {}.",
            seen.join("; ")
        ),
        format!(
            "Run the migrations again, which revoke what was given to these roles by name, or run this as the owner \
             of the tables{beware}: {}",
            revoking(published).join(" ")
        ),
    )
    .rated(severity)
}

fn right(found: &Published) -> String {
    let through = if found.grantee == found.role {
        String::new()
    } else {
        format!(" through {}", found.grantee)
    };
    let on = match found.kind.as_str() {
        "VIEW" => "the view ",
        "SEQUENCE" => "the sequence ",
        _ => "",
    };
    format!(
        "{} may {} on {on}{}{through}",
        found.role, found.rights, found.relation
    )
}

/// The statements that take the rights away, each once.
fn revoking(published: &[Published]) -> Vec<String> {
    // What each grantee has, per kind of relation; then the grantees that have the same, in one statement.
    let mut held: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut memberships = BTreeSet::new();
    for found in published {
        if found.grantee == found.role || found.grantee == "PUBLIC" {
            let kind = if found.kind == "SEQUENCE" {
                "SEQUENCE"
            } else {
                "TABLE"
            };
            held.entry((found.grantee.as_str(), kind))
                .or_default()
                .insert(&found.relation);
        } else {
            memberships.insert(format!("REVOKE {} FROM {};", found.grantee, found.role));
        }
    }
    let mut shared: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for ((grantee, kind), relations) in held {
        let relations = relations.into_iter().collect::<Vec<_>>().join(", ");
        shared.entry((kind, relations)).or_default().push(grantee);
    }
    shared
        .into_iter()
        .rev()
        .map(|((kind, relations), grantees)| {
            format!(
                "REVOKE ALL ON {kind} {relations} FROM {} CASCADE;",
                grantees.join(", ")
            )
        })
        .chain(memberships)
        .collect()
}

/// What this role lacks on the table that tells a new hotel from one of the same id that was deleted.
pub(super) fn memory_of_hotels(checkup: &Checkup) -> Option<Finding> {
    let lacks = &checkup.rights.lacks_on_memory;
    (!lacks.is_empty()).then(|| {
        Finding::warning(
            codes::PERMISSIONS,
            format!(
                "{} lacks {lacks} on posada.user_hotel, so a new hotel inherits the users of a deleted one of the same \
                 id.",
                checkup.user
            ),
            format!(
                "As the owner of the tables: GRANT USAGE ON SCHEMA posada TO \"{user}\"; GRANT SELECT, INSERT, UPDATE ON \
                 posada.user_hotel TO \"{user}\"; then start the processes anew.",
                user = checkup.user
            ),
        )
    })
}

/// Whether policies hide rows from this role.
pub(super) fn row_security(checkup: &Checkup) -> Finding {
    let guarded = &checkup.rights.guarded;
    if guarded.is_empty() {
        return Finding::ok(
            codes::ROW_SECURITY,
            format!("Row-level security hides no row from {}.", checkup.user),
        );
    }
    let tables: Vec<&str> = guarded.iter().map(|found| found.table.as_str()).collect();
    Finding::error(
        codes::ROW_SECURITY,
        format!(
            "Policies of row-level security bind {} on {}, and posada takes no answer of which rows may be missing, so \
             every statement on them is refused.",
            checkup.user,
            tables.join(", ")
        ),
        format!(
            "{} A policy that shows every row is not enough.",
            unbinding(guarded, &checkup.user)
        ),
    )
}

fn unbinding(guarded: &[Guarded], user: &str) -> String {
    let (forced, foreign): (Vec<&Guarded>, Vec<&Guarded>) = guarded.iter().partition(|found| found.is_owner);
    let mut ways = Vec::new();
    if !foreign.is_empty() {
        let mut owners: Vec<&str> = foreign.iter().map(|found| found.owner.as_str()).collect();
        owners.sort_unstable();
        owners.dedup();
        ways.push(format!(
            "As an administrator: ALTER ROLE \"{user}\" BYPASSRLS; where that is not allowed, connect as the owner of \
             the tables ({}).",
            owners.join(", ")
        ));
    }
    if !forced.is_empty() {
        let statements: Vec<String> = forced
            .iter()
            .map(|found| format!("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY;", found.table))
            .collect();
        ways.push(format!("As {user}: {}", statements.join(" ")));
    }
    ways.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(relation: &str, kind: &str, role: &str, grantee: &str) -> Published {
        Published {
            relation: relation.into(),
            kind: kind.into(),
            role: role.into(),
            grantee: grantee.into(),
            rights: "SELECT".into(),
            is_guarded: false,
        }
    }

    #[test]
    fn what_two_roles_have_alike_is_revoked_from_both_at_once() {
        let published = [
            found("public.users", "TABLE", "anon", "anon"),
            found("public.tenants", "TABLE", "anon", "anon"),
            found("public.users", "TABLE", "authenticated", "authenticated"),
            found("public.tenants", "TABLE", "authenticated", "authenticated"),
            found("public.tenants_id_seq", "SEQUENCE", "anon", "anon"),
            found("public.users", "TABLE", "anon", "\"Web users\""),
            found("public.users", "TABLE", "anon", "PUBLIC"),
        ];
        assert_eq!(
            revoking(&published),
            [
                "REVOKE ALL ON TABLE public.users FROM PUBLIC CASCADE;",
                "REVOKE ALL ON TABLE public.tenants, public.users FROM anon, authenticated CASCADE;",
                "REVOKE ALL ON SEQUENCE public.tenants_id_seq FROM anon CASCADE;",
                "REVOKE \"Web users\" FROM anon;",
            ]
        );
    }
}
