//! The upkeep of the database.

use std::time::Duration;

use posada::Posada;
use posada::maintenance::{Cleaned, Retention};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::failure::Outcome;
use crate::installation::{Needs, with};
use crate::report::{Printer, Report};
use crate::table::table;

/// Once, or again and again until the program is ended. Of those runs each tells what it did; one that failed is told,
/// too, and the next one comes at its time.
pub(super) async fn run(kept: &Retention, every: Option<Duration>, printer: &Printer) -> Outcome<Report> {
    with(Needs::Postgres, async |posada| {
        let Some(every) = every else {
            return once(posada, kept).await;
        };
        loop {
            let _told = printer.print("maintain", once(posada, kept).await);
            // Replicas that started together do not stay together.
            sleep(every.mul_f64(spread())).await;
        }
    })
    .await
}

/// Between 0.9 and 1.1, another one for each process.
fn spread() -> f64 {
    0.9 + f64::from(std::process::id() % 201) / 1000.0
}

async fn once(posada: &Posada, kept: &Retention) -> Outcome<Report> {
    let done = posada.maintain(kept).await?;
    let rows = done.iter().map(|one| {
        [
            one.what.to_string(),
            one.deleted.to_string(),
            one.batches.to_string(),
            format!("{} ms", one.longest.as_millis()),
            if one.skipped {
                "another process is at it"
            } else {
                ""
            }
            .to_owned(),
        ]
    });
    let text = table(
        ["what", "deleted", "batches", "longest", "note"],
        rows,
        "There is nothing to maintain.",
    );
    Ok(Report::new(
        Value::Array(done.iter().map(as_json).collect()),
        text,
    ))
}

fn as_json(cleaned: &Cleaned) -> Value {
    json!({
        "what": cleaned.what.as_str(),
        "deleted": cleaned.deleted,
        "batches": cleaned.batches,
        "longest_ms": u64::try_from(cleaned.longest.as_millis()).unwrap_or(u64::MAX),
        "skipped": cleaned.skipped,
    })
}
