//! How a handle is opened, watched and closed.

use chrono::{DateTime, Utc};
use posada::doctor::Diagnosis;
use posada::{Posada, PosadaBuilder};
use posada_bindings::bridge::OpenHandle;
use pyo3::prelude::*;

use crate::arguments::{Parts, Whose};
use crate::auth::events::AuthEvents;
use crate::auth::{Claims, Options};
use crate::bridge::{Operation, RuntimeHandle, start};
use crate::errors::Refusal;
use crate::handle::Handle;
use crate::pms::Mock;
use crate::settings::Settings;

#[pymethods]
impl Handle {
    /// Builds every service. Nothing connects.
    #[staticmethod]
    #[pyo3(signature = (settings, default_flags=None, auth_options=None, mock_pms=None))]
    fn build(
        settings: &Settings,
        default_flags: Option<Vec<(String, bool)>>,
        auth_options: Option<Parts<Options>>,
        mock_pms: Option<&Mock>,
    ) -> PyResult<Self> {
        let (runtime, events) = (RuntimeHandle::current()?, AuthEvents::new());
        let builder = builder(settings, &events, default_flags, auth_options, mock_pms)?;
        // The handle remembers the runtime that it is built in.
        let inside = runtime.handle().map_err(Refusal::from)?.enter();
        let posada = builder.build().map_err(Refusal::from)?;
        drop(inside);
        Ok(Self::new(posada, runtime, events))
    }

    /// Builds every service, makes sure that every server answers, and loads the flags.
    #[staticmethod]
    #[pyo3(signature = (settings, default_flags=None, auth_options=None, mock_pms=None))]
    fn connect(
        py: Python<'_>,
        settings: &Settings,
        default_flags: Option<Vec<(String, bool)>>,
        auth_options: Option<Parts<Options>>,
        mock_pms: Option<&Mock>,
    ) -> PyResult<Operation> {
        let (runtime, events) = (RuntimeHandle::current()?, AuthEvents::new());
        let builder = builder(settings, &events, default_flags, auth_options, mock_pms)?;
        let here = runtime.clone();
        start(py, &runtime, async move {
            Ok(Self::new(builder.connect().await?, here, events))
        })
    }

    /// The same handle, bound to one tenant. No I/O.
    fn for_tenant(&self, tenant: Whose) -> PyResult<Self> {
        let posada = self.posada.get()?.for_tenant(&tenant.0).map_err(Refusal::from)?;
        Ok(self.scoped(posada))
    }

    /// As `for_tenant`, for the hotel of a user.
    fn for_claims(&self, claims: &Claims) -> PyResult<Self> {
        let posada = self.posada.get()?.for_claims(&claims.0).map_err(Refusal::from)?;
        Ok(self.scoped(posada))
    }

    #[getter]
    fn tenant(&self) -> PyResult<Option<String>> {
        Ok(self.bound_to()?.map(|tenant| tenant.to_string()))
    }

    #[getter]
    fn settings(&self) -> PyResult<Settings> {
        Ok(Settings(self.posada.get()?.settings().clone()))
    }

    /// Answers (postgres, redis, knows_hotels, timestamp, health, readiness): the codes of the errors or `None`, and the
    /// two shapes as JSON.
    fn health(&self, py: Python<'_>) -> PyResult<Operation> {
        self.posada.call(py, async |posada: Posada| {
            let health = posada.health().await;
            let code = |check| match check {
                posada::health::Check::Ok => None,
                posada::health::Check::Error(code) => Some(code),
            };
            let shapes = (health.to_json(), health.to_readiness_json());
            let (postgres, redis) = (code(health.postgres), code(health.redis));
            let known = health.knows_hotels;
            Ok((postgres, redis, known, health.timestamp, shapes.0, shapes.1))
        })
    }

    fn doctor(&self, py: Python<'_>) -> PyResult<Operation> {
        self.posada.call(py, async |posada: Posada| {
            Ok(diagnosis_parts(&posada.doctor().await))
        })
    }

    fn migrate(&self, py: Python<'_>) -> PyResult<Operation> {
        self.posada.finish(py, async |posada: Posada| {
            let applied = posada.migrate().await?;
            Ok((applied.migrations, applied.version))
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<Operation> {
        let open = self.open;
        self.posada.finish(py, async move |posada: Posada| {
            let closed = posada.close().await;
            let _ = open.and_then(OpenHandle::forget);
            Ok(closed?)
        })
    }
}

/// (code, severity, seen, remedy)
type FindingParts = (&'static str, &'static str, String, Option<String>);

/// (findings, timestamp, JSON, report)
type DiagnosisParts = (Vec<FindingParts>, DateTime<Utc>, String, String);

fn diagnosis_parts(diagnosis: &Diagnosis) -> DiagnosisParts {
    let findings = diagnosis.findings.iter().map(|finding| {
        (
            finding.code,
            finding.severity.as_str(),
            finding.seen.clone(),
            finding.remedy.clone(),
        )
    });
    (
        findings.collect(),
        diagnosis.timestamp,
        diagnosis.to_json(),
        diagnosis.to_string(),
    )
}

/// Examines what the variables of this process describe.
#[pyfunction]
pub(crate) fn diagnose_environment(py: Python<'_>) -> PyResult<Operation> {
    start(py, &RuntimeHandle::current()?, async {
        Ok(diagnosis_parts(&Diagnosis::from_env().await))
    })
}

/// Every code that a finding may have, and what it is about.
#[pyfunction]
pub(crate) fn finding_codes() -> Vec<(&'static str, &'static str)> {
    Diagnosis::CODES.to_vec()
}

fn builder(
    settings: &Settings,
    events: &AuthEvents,
    default_flags: Option<Vec<(String, bool)>>,
    auth_options: Option<Parts<Options>>,
    mock_pms: Option<&Mock>,
) -> Result<PosadaBuilder, Refusal> {
    let mut builder = Posada::builder()
        .settings(settings.0.clone())
        .audit_sink(events.sink());
    if let Some(flags) = &default_flags {
        builder = builder.default_flags(flags.iter().map(|(flag, on)| (flag.as_str(), *on)));
    }
    if let Some(options) = auth_options {
        builder = builder.auth_options(options.0.into_core(settings.0.jwt_expiry())?);
    }
    if let Some(mock) = mock_pms {
        builder = builder.mock_pms(mock.client()?.clone());
    }
    Ok(builder)
}
