//! The schema of the database.

use std::time::Duration;

use posada::error::codes;
use posada::migrations::MigrationStatus;
use posada::{Error, Posada};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::arguments::Migrate;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::installation::{Needs, with};
use crate::report::Report;
use crate::table::{moment, or_dash, rfc3339, table};

/// The pause between two looks at a database that is waited for.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(what: Migrate) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| match what {
        Migrate::Plan { exit_code } => plan(posada, exit_code).await,
        Migrate::Apply { wait } => apply(posada, wait).await,
        Migrate::Status { wait_for_current } => status(posada, wait_for_current).await,
    })
    .await
}

async fn plan(posada: &Posada, exit_code: bool) -> Outcome<Report> {
    let status = posada.migration_status().await?;
    let scripts = status
        .pending
        .iter()
        .map(|migration| format!("-- {}\n{}\n", migration.name, migration.sql.trim_end()));
    let mut text = scripts.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        "There is nothing to do.".clone_into(&mut text);
    }
    let exit = if exit_code && !status.pending.is_empty() {
        Exit::Unclean
    } else {
        Exit::Done
    };
    Ok(Report::new(as_json(&status, true), text).ending(exit))
}

async fn apply(posada: &Posada, wait: Option<Duration>) -> Outcome<Report> {
    if let Some(wait) = wait {
        wait_for(posada, wait, |_| true).await?;
    }
    let applied = match posada.migrate().await {
        Err(error) if error.is(codes::POSTGRES_CONTENDED) => return Err(other_run(posada, error).await),
        outcome => outcome?,
    };
    let mut lines: Vec<_> = applied
        .migrations
        .iter()
        .map(|name| format!("applied {name}"))
        .collect();
    lines.push(format!("The database is at version {}.", applied.version));
    let data = json!({"applied": applied.migrations, "version": applied.version});
    Ok(Report::new(data, lines.join("\n")))
}

/// Another process migrates for longer than is waited for: which one is said, so that a person can look at it.
async fn other_run(posada: &Posada, error: Error) -> Failure {
    let mut failure = Failure::from(error);
    if let Ok(MigrationStatus {
        running: Some(run), ..
    }) = posada.migration_status().await
    {
        failure.message = format!(
            "another process migrates this database: process {} of the server, since {}",
            run.pid,
            or_dash(run.since.map(moment))
        );
    }
    failure
}

async fn status(posada: &Posada, wait_for_current: Option<Duration>) -> Outcome<Report> {
    let status = match wait_for_current {
        Some(wait) => wait_for(posada, wait, |status| status.pending.is_empty()).await?,
        None => posada.migration_status().await?,
    };
    let applied = status
        .applied
        .iter()
        .map(|one| [one.name.clone(), moment(one.applied_at)]);
    let pending = status
        .pending
        .iter()
        .map(|one| [one.name.clone(), "to do".to_owned()]);
    let mut text = table(
        ["migration", "applied"],
        applied.chain(pending),
        "There are no migrations.",
    );
    if let Some(run) = &status.running {
        let since = or_dash(run.since.map(moment));
        text = format!(
            "{text}\nA run is under way: process {} of the server, since {since}.",
            run.pid
        );
    }
    Ok(Report::new(as_json(&status, false), text))
}

fn as_json(status: &MigrationStatus, with_sql: bool) -> Value {
    let pending = status.pending.iter().map(|one| {
        if with_sql {
            json!({"version": one.version, "name": one.name, "sql": one.sql})
        } else {
            json!({"version": one.version, "name": one.name})
        }
    });
    json!({
        "applied": status.applied.iter().map(|one| json!({
            "version": one.version, "name": one.name, "applied_at": rfc3339(one.applied_at),
        })).collect::<Vec<_>>(),
        "pending": pending.collect::<Vec<_>>(),
        "running": status.running.as_ref().map(|run| json!({"pid": run.pid, "since": run.since.map(rfc3339)})),
    })
}

/// Looks over the whole way, through a pooler, too, until the database is as it should be. What does not pass by itself,
/// such as a wrong password, is not waited for.
async fn wait_for(
    posada: &Posada,
    limit: Duration,
    is_right: impl Fn(&MigrationStatus) -> bool,
) -> Outcome<MigrationStatus> {
    let mut seen = Failure {
        code: "cli.no_answer".to_owned(),
        message: "the database did not answer in time".to_owned(),
        remedy: Some("`posada doctor` looks for the cause".to_owned()),
        exit: Exit::Unreachable,
    };
    let looking = async {
        loop {
            match posada.migration_status().await {
                Ok(status) if is_right(&status) => return Ok(status),
                Ok(status) => {
                    seen = Failure {
                        code: "cli.not_migrated".to_owned(),
                        message: format!("{} migrations are still to do", status.pending.len()),
                        remedy: Some("`posada migrate apply` does them".to_owned()),
                        exit: Exit::TryAgain,
                    };
                }
                Err(error) if error.is_retryable() => seen = error.into(),
                Err(error) => return Err(error.into()),
            }
            sleep(PAUSE).await;
        }
    };
    let looked = timeout(limit, looking).await;
    looked.unwrap_or(Err(seen))
}
