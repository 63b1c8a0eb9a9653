//! What Postgres says when it is asked.

use super::clocks;
use super::codes;
use super::model::Finding;
use super::postgres_refusals::not_connected;
use super::postgres_rights;
use crate::backends::postgres::{Checkup, FoundTable, Ledger, Postgres, TABLES};
use crate::settings::{Pooling, PostgresSettings};

/// The oldest version that the tests run on.
const OLDEST_VERSION: i64 = 140_000;
/// How many processes with pools like ours a server should bear: the replicas of a usual production.
const PROCESSES: i64 = 3;
/// Nearly full, in hundredths.
const NEARLY_FULL: i64 = 90;

/// Connects over a connection of its own and looks at everything. Writes nothing.
pub(super) async fn examine(postgres: &Postgres, settings: &PostgresSettings) -> Vec<Finding> {
    match postgres.check_up().await {
        Ok(checkup) => judge(&checkup, settings),
        Err(failure) => vec![not_connected(failure, settings)],
    }
}

fn judge(checkup: &Checkup, settings: &PostgresSettings) -> Vec<Finding> {
    // Behind a pooler the server speaks of the pooler's connection.
    let is_ours = settings.pooling == Pooling::Session && !checkup.hidden_pooler && !settings.is_supabase();
    let encrypted = if checkup.encrypted && is_ours {
        ", encrypted"
    } else {
        ""
    };
    let mut findings = vec![Finding::ok(
        codes::POSTGRES_CONNECTION,
        format!("Connected to {} as {}{encrypted}.", place(settings), checkup.user),
    )];
    findings.push(version(checkup));
    findings.push(pooler(checkup, settings));
    findings.push(read_only(checkup));
    findings.push(connections(checkup.in_use, checkup.available));
    findings.push(pool_size(checkup, settings));
    findings.extend(tables(checkup));
    findings.push(postgres_rights::data_api(&checkup.rights.published));
    findings.push(postgres_rights::row_security(checkup));
    findings.push(migrations(checkup));
    findings.push(clocks::judge("Postgres", checkup.clock));
    findings
}

pub(super) fn place(settings: &PostgresSettings) -> String {
    if settings.is_socket() {
        format!("{}/{}", settings.host, settings.database)
    } else {
        format!("{}/{}", settings.place(), settings.database)
    }
}

fn version(checkup: &Checkup) -> Finding {
    let seen = format!("Postgres {}.", checkup.version);
    if checkup.version_number < OLDEST_VERSION {
        Finding::warning(
            codes::POSTGRES_VERSION,
            seen,
            format!(
                "Update to version {} or newer; posada is not tested on older ones.",
                OLDEST_VERSION / 10_000
            ),
        )
    } else {
        Finding::ok(codes::POSTGRES_VERSION, seen)
    }
}

fn pooler(checkup: &Checkup, settings: &PostgresSettings) -> Finding {
    match settings.pooling {
        _ if checkup.hidden_pooler => Finding::warning(
            codes::POOLER,
            "A pooler in transaction mode stands before Postgres, and the settings do not say so. posada finds it out \
             with the first connection of each process.",
            "Set POSTGRES_POOLER=transaction, or write pgbouncer=true into the URL.",
        ),
        Pooling::Session => Finding::ok(codes::POOLER, "A connection is ours until we close it."),
        Pooling::Transaction => Finding::ok(
            codes::POOLER,
            "A pooler in transaction mode is expected, and every statement runs in a transaction of its own.",
        ),
    }
}

fn read_only(checkup: &Checkup) -> Finding {
    if checkup.read_only {
        Finding::error(
            codes::READ_ONLY,
            "This server takes no writes.",
            "Use the address of the primary. Supabase also closes a project for writes when its disk is full: look at \
             the dashboard.",
        )
    } else {
        Finding::ok(codes::READ_ONLY, "The server takes writes.")
    }
}

fn connections(in_use: i64, available: i64) -> Finding {
    let open = match in_use {
        1 => "1 connection is".to_owned(),
        several => format!("{several} connections are"),
    };
    let seen = format!("{open} open on the server, of {available} that this user can have.");
    if in_use * 100 >= available * NEARLY_FULL {
        Finding::warning(
            codes::TOO_MANY_CONNECTIONS,
            seen,
            "Find out who has them with pg_stat_activity, lower the pools, or use a pooler in transaction mode.",
        )
    } else {
        Finding::ok(codes::TOO_MANY_CONNECTIONS, seen)
    }
}

fn pool_size(checkup: &Checkup, settings: &PostgresSettings) -> Finding {
    let pool = i64::from(settings.pool_size) + i64::from(settings.max_overflow);
    let available = checkup.available;
    let seen = format!(
        "The pool of this process has up to {pool} connections ({} + {}), and the server admits {available}.",
        settings.pool_size, settings.max_overflow
    );
    let remedy =
        "Lower POSTGRES_POOL_SIZE and POSTGRES_MAX_OVERFLOW, so that all processes together stay below that.";
    // Behind a pooler in transaction mode many of ours share one of the server's.
    let shares = checkup.hidden_pooler || settings.pooling == Pooling::Transaction;
    if pool > available && !shares {
        Finding::error(codes::POOL_SIZE, seen, remedy)
    } else if pool > available || (pool * PROCESSES > available && !shares) {
        Finding::warning(codes::POOL_SIZE, seen, remedy)
    } else {
        Finding::ok(codes::POOL_SIZE, seen)
    }
}

/// Which tables are where, and what may be done with them.
fn tables(checkup: &Checkup) -> Vec<Finding> {
    let visible: Vec<&FoundTable> = checkup.tables.iter().filter(|table| table.is_visible).collect();
    let missing: Vec<&str> = TABLES
        .into_iter()
        .filter(|name| visible.iter().all(|table| table.name != *name))
        .collect();
    let path = &checkup.search_path;
    let mut findings = Vec::new();
    if missing.is_empty() {
        let schemas = names(visible.iter().map(|table| table.schema.as_str()));
        findings.push(Finding::ok(
            codes::TABLES,
            format!("All {} tables are in the schema {schemas}.", TABLES.len()),
        ));
    } else {
        findings.extend(not_found(&missing, checkup));
    }
    let hidden = checkup.tables.iter().filter(|table| !table.is_visible);
    let elsewhere: Vec<&FoundTable> = hidden
        .filter(|table| missing.contains(&table.name.as_str()))
        .collect();
    if !elsewhere.is_empty() {
        let schemas = names(elsewhere.iter().map(|table| table.schema.as_str()));
        findings.push(Finding::error(
            codes::SEARCH_PATH,
            format!(
                "{} exist in the schema {schemas}, where {} does not find them: its search_path is {path}.",
                names(elsewhere.iter().map(|table| table.name.as_str())),
                checkup.user
            ),
            format!(
                "As an administrator: GRANT USAGE ON SCHEMA {schemas} TO \"{user}\"; ALTER ROLE \"{user}\" SET \
                 search_path TO {schemas}; then connect anew.",
                user = checkup.user
            ),
        ));
    }
    let lacking: Vec<String> = visible
        .iter()
        .filter(|table| !table.lacks.is_empty())
        .map(|table| format!("{} on {}", table.lacks.join(", "), table.name))
        .collect();
    let memory = postgres_rights::memory_of_hotels(checkup);
    if !lacking.is_empty() || memory.is_none() {
        findings.push(rights(&lacking, &checkup.user));
    }
    findings.extend(memory);
    findings
}

/// Whether the role may do with the tables what posada needs.
fn rights(lacking: &[String], user: &str) -> Finding {
    if lacking.is_empty() {
        Finding::ok(
            codes::PERMISSIONS,
            format!("{user} may do what posada needs with the tables it sees."),
        )
    } else {
        Finding::error(
            codes::PERMISSIONS,
            format!("{user} lacks {}.", lacking.join("; ")),
            format!("GRANT what is missing to \"{user}\", as the owner of the tables."),
        )
    }
}

fn not_found(missing: &[&str], checkup: &Checkup) -> Option<Finding> {
    let nowhere: Vec<&str> = missing
        .iter()
        .copied()
        .filter(|name| checkup.tables.iter().all(|table| table.name != *name))
        .collect();
    if nowhere.is_empty() {
        return None;
    }
    let looked = match &checkup.current_schema {
        Some(schema) => format!(
            "looked for along the search_path {}, that is first in {schema}",
            checkup.search_path
        ),
        None => format!(
            "the search_path {} has no schema that exists",
            checkup.search_path
        ),
    };
    Some(Finding::error(
        codes::TABLES,
        format!("There is no table {} ({looked}).", nowhere.join(", ")),
        format!(
            "{}Run the migrations (`posada.migrate()` or `python -m posada migrate`), or paste migrations/schema.sql into the SQL editor. Check that \
             DATABASE_URL names the right database.",
            permission(checkup)
        ),
    ))
}

/// What an administrator has to grant before this role can run the migrations; empty when it can.
fn permission(checkup: &Checkup) -> String {
    if checkup.grants.is_empty() {
        String::new()
    } else {
        format!(
            "{} may not make tables here yet; as an administrator: {} ",
            checkup.user,
            checkup.grants.join(" ")
        )
    }
}

fn migrations(checkup: &Checkup) -> Finding {
    let remedy = format!(
        "{}Run the migrations (`posada.migrate()` or `python -m posada migrate`) as the owner of the tables, or paste migrations/schema.sql into the \
         SQL editor.",
        permission(checkup)
    );
    match &checkup.ledger {
        Ledger::Absent => Finding::warning(
            codes::MIGRATIONS,
            "The migrations of posada were never run here; on the app's own tables some things are slower or missing.",
            remedy,
        ),
        Ledger::Hidden => Finding::ok(
            codes::MIGRATIONS,
            "This role may not read which migrations were run (schema posada).",
        ),
        Ledger::Pending(pending) if pending.is_empty() => {
            Finding::ok(codes::MIGRATIONS, "All migrations were run.")
        }
        Ledger::Pending(pending) => Finding::warning(
            codes::MIGRATIONS,
            format!("Not run yet: {}.", pending.join(", ")),
            remedy,
        ),
        Ledger::Foreign(reason) => Finding::error(
            codes::MIGRATIONS,
            format!("{}.", reason.trim_end_matches('.')),
            "Use the version of posada that migrated the database, or a newer one.",
        ),
    }
}

/// Different names, in their order, as people list them.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = all.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn connections_are_counted_in_words_and_nearly_all_of_them_are_a_warning() {
        for (in_use, severity, words) in [
            (1, Severity::Ok, "1 connection is open on the server, of 20 that"),
            (
                2,
                Severity::Ok,
                "2 connections are open on the server, of 20 that",
            ),
            (17, Severity::Ok, "17 connections"),
            (18, Severity::Warning, "18 connections"),
            (20, Severity::Warning, "20 connections"),
        ] {
            let finding = connections(in_use, 20);
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.seen.starts_with(words), "{finding}");
        }
    }
}
