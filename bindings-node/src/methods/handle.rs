//! The handle itself.

use posada::bridge::Work;
use posada::metrics::Prometheus;
use posada_bindings::Refusal;
use posada_bindings::bridge::OpenHandle;
use serde_json::json;

use super::{read, write};
use crate::outcome::{Outcome, json};
use crate::target::Services;

pub(super) fn work(services: &Services, name: &str) -> Result<Option<Work<Outcome>>, Refusal> {
    let (posada, open) = (services.posada.clone(), services.open);
    Ok(match name {
        "health" => read(async move { json(&posada.health().await) }),
        "doctor" => read(async move {
            let diagnosis = posada.doctor().await;
            json(&json!({
                "severity": diagnosis.severity().as_str(),
                "healthy": diagnosis.is_healthy(),
                "report": diagnosis.to_string(),
                "findings": diagnosis.findings.iter().map(|finding| json!({
                    "code": finding.code,
                    "severity": finding.severity.as_str(),
                    "seen": finding.seen,
                    "remedy": finding.remedy,
                })).collect::<Vec<_>>(),
            }))
        }),
        "migrate" => {
            return write(services, async move {
                let applied = posada.migrate().await?;
                json(&json!({"migrations": applied.migrations, "version": applied.version}))
            });
        }
        "recordMetrics" => read(async {
            // Nothing else in this package could have become the recorder.
            let _ = Prometheus::install();
            json(&())
        }),
        "metrics" => read(async { json(&Prometheus::installed().map(Prometheus::render)) }),
        "close" => {
            return write(services, async move {
                let closed = posada.close().await;
                let _forgotten = open.and_then(OpenHandle::forget);
                closed?;
                json(&())
            });
        }
        _ => None,
    })
}
