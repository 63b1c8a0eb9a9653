//! What is wrong with an installation.

use posada::Settings;
use posada::doctor::{Diagnosis, Finding, Severity};
use posada::settings::Store;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Outcome;
use crate::installation::{Needs, settings, with};
use crate::report::{Printer, Report};
use crate::table::table;

/// What the schema of the database is about, beside whether there is a server at all.
const SCHEMA: [&str; 7] = [
    "postgres.tables",
    "postgres.search_path",
    "postgres.permissions",
    "postgres.data_api",
    "postgres.row_security",
    "postgres.migrations",
    "postgres.read_only",
];

pub(super) async fn run(printer: &Printer) -> Outcome<Report> {
    let diagnosis = Diagnosis::from_env().await;
    let text = shown(&diagnosis.findings, printer) + &format!("\n{}", last_line(&diagnosis));
    let data = serde_json::from_str(&diagnosis.to_json()).unwrap_or_default();
    Ok(Report::new(data, text).ending(exit_of(&diagnosis.findings)))
}

/// Only what is about the schema. Without a server nothing is known of it, and its finding is shown instead.
pub(super) async fn validate(printer: &Printer) -> Outcome<Report> {
    settings(Needs::Postgres)?;
    let diagnosis = Diagnosis::from_env().await;
    let of_schema = |finding: &Finding| SCHEMA.contains(&finding.code);
    let is_relevant = |finding: &Finding| {
        of_schema(finding) || finding.code.starts_with("postgres.") && finding.severity == Severity::Error
    };
    let findings: Vec<_> = diagnosis.findings.into_iter().filter(is_relevant).collect();
    let data = json!({"findings": findings.iter().map(as_json).collect::<Vec<_>>()});
    Ok(Report::new(data, shown(&findings, printer)).ending(exit_of(&findings)))
}

pub(super) async fn health(printer: &Printer) -> Outcome<Report> {
    with(Needs::Nothing, async |posada| {
        let health = posada.health().await;
        let color = if health.is_healthy() { "32" } else { "31" };
        let text = format!(
            "{}\npostgres  {}\nredis     {}",
            printer.colored(health.status(), color),
            health.postgres,
            health.redis
        );
        let data = serde_json::from_str(&health.to_json()).unwrap_or_default();
        let exit = if health.is_ready() {
            Exit::Done
        } else {
            Exit::Unclean
        };
        Ok(Report::new(data, text).ending(exit))
    })
    .await
}

/// Connections that the settings need, beside what the doctor says of the server.
pub(super) async fn size(replicas: u32, printer: &Printer) -> Outcome<Report> {
    let settings: Settings = settings(Needs::Postgres)?;
    let Store::Server(postgres) = settings.postgres() else {
        return Ok(Report::new(Value::Null, ""));
    };
    let (kept, most) = (postgres.pool_size, postgres.pool_size + postgres.max_overflow);
    let rows = [
        ("Postgres, kept", kept, u64::from(kept) * u64::from(replicas)),
        ("Postgres, at most", most, u64::from(most) * u64::from(replicas)),
    ];
    let mut text = table(
        ["connections", "each process", "all"],
        rows.map(|(name, each, all)| [name.to_owned(), each.to_string(), all.to_string()]),
        "",
    );
    let diagnosis = Diagnosis::from_env().await;
    let about_size = |finding: &Finding| {
        matches!(
            finding.code,
            "postgres.pool_size" | "postgres.too_many_connections" | "postgres.session_port"
        ) || finding.code.starts_with("postgres.") && finding.severity == Severity::Error
    };
    let findings: Vec<_> = diagnosis.findings.into_iter().filter(about_size).collect();
    text = format!("{text}\n\n{}", shown(&findings, printer));
    let data = json!({
        "replicas": replicas,
        "postgres": {"pool_size": kept, "most": most, "most_of_all": u64::from(most) * u64::from(replicas)},
        "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
    });
    Ok(Report::new(data, text))
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "code": finding.code,
        "severity": finding.severity.as_str(),
        "seen": finding.seen,
        "remedy": finding.remedy,
    })
}

fn shown(findings: &[Finding], printer: &Printer) -> String {
    let lines = findings.iter().map(|finding| {
        let color = match finding.severity {
            Severity::Ok => "32",
            Severity::Warning => "33",
            Severity::Error => "31",
        };
        let text = finding.to_string();
        let word = finding.severity.as_str();
        let rest = text.strip_prefix(word).unwrap_or_default();
        printer.colored(word, color) + rest
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The line that counts, as the report has it.
fn last_line(diagnosis: &Diagnosis) -> String {
    let text = diagnosis.to_string();
    text.lines().next_back().unwrap_or_default().to_owned()
}

fn exit_of(findings: &[Finding]) -> Exit {
    let worst = findings.iter().map(|finding| finding.severity).max();
    match worst {
        Some(Severity::Error | Severity::Warning) => Exit::Unclean,
        _ => Exit::Done,
    }
}
