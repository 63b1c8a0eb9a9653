//! `posada.sessions`. Documents cross as JSON.

use chrono::{DateTime, Utc};
use posada::{Document, Json, Session, SessionManager, Turn};
use pyo3::prelude::*;

use crate::arguments::{Whose, id_of};
use crate::bridge::{Kept, Operation};
use crate::errors::Refusal;
use crate::open::Handle;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Sessions(pub(crate) Kept<SessionManager>);

/// A conversation as it was read: the document, and what `save` compares with.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct SessionState(Session);

#[pymethods]
impl SessionState {
    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    #[getter]
    fn user(&self) -> &str {
        self.0.user()
    }

    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant().map(posada::TenantId::as_str)
    }

    #[getter]
    fn channel(&self) -> Option<&str> {
        self.0.channel()
    }

    #[getter]
    fn expires(&self) -> Option<DateTime<Utc>> {
        self.0.expires()
    }

    #[getter]
    fn is_new(&self) -> bool {
        self.0.is_new()
    }

    /// The member of the document that `save` sets.
    #[getter]
    fn last_activity(&self) -> Option<&str> {
        self.0.document.get("last_activity").and_then(Json::as_str)
    }

    /// The document as JSON.
    fn text(&self) -> String {
        self.0.document.to_text()
    }
}

#[pymethods]
impl Sessions {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self(handle.keep(|posada| posada.sessions().clone())?))
    }

    #[pyo3(signature = (user, channel, tenant=None))]
    fn get_or_create(
        &self,
        py: Python<'_>,
        user: String,
        channel: String,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.read(py, async move |sessions: SessionManager| {
            let session = sessions.get_or_create(&user, &channel, tenant.as_ref()).await?;
            Ok(SessionState(session))
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn get(&self, py: Python<'_>, user: String, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.read(py, async move |sessions: SessionManager| {
            Ok(sessions.get(&user, tenant.as_ref()).await?.map(SessionState))
        })
    }

    /// Answers the state after the write.
    fn save(&self, py: Python<'_>, session: &SessionState, document: &str) -> PyResult<Operation> {
        let document = Document::parse(document).map_err(Refusal::from)?;
        let mut session = session.0.clone();
        session.document = document;
        self.0.finish(py, async move |sessions: SessionManager| {
            sessions.save(&mut session).await?;
            Ok(SessionState(session))
        })
    }

    #[pyo3(signature = (user, patch, tenant=None))]
    fn update(
        &self,
        py: Python<'_>,
        user: String,
        patch: &str,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let (tenant, patch) = (id_of(tenant), Json::parse(patch).map_err(Refusal::from)?);
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(SessionState(
                sessions.update(&user, tenant.as_ref(), &patch).await?,
            ))
        })
    }

    /// `more` is a JSON object.
    #[pyo3(signature = (user, role, content, id=None, at=None, more=None, tenant=None))]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn append_turn(
        &self,
        py: Python<'_>,
        user: String,
        role: String,
        content: String,
        id: Option<String>,
        at: Option<DateTime<Utc>>,
        more: Option<&str>,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        let mut turn = Turn::new(role, content);
        if let Some(id) = id {
            turn = turn.id(id);
        }
        if let Some(at) = at {
            turn = turn.at(at);
        }
        if let Some(more) = more {
            let more = Json::parse(more).map_err(Refusal::from)?;
            for (key, value) in more.as_object().into_iter().flat_map(posada::JsonObject::iter) {
                turn = turn.with(&key.to_lossy(), value.clone());
            }
        }
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(SessionState(
                sessions.append_turn(&user, tenant.as_ref(), turn).await?,
            ))
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn touch(&self, py: Python<'_>, user: String, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(sessions.touch(&user, tenant.as_ref()).await?)
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn delete(&self, py: Python<'_>, user: String, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(sessions.delete(&user, tenant.as_ref()).await?)
        })
    }

    /// Pairs of user and end.
    #[pyo3(signature = (tenant=None))]
    fn list(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.read(py, async move |sessions: SessionManager| {
            let active = sessions.list(tenant.as_ref()).await?;
            Ok(active
                .into_iter()
                .map(|session| (session.user, session.expires))
                .collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (tenant=None))]
    fn count(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.read(py, async move |sessions: SessionManager| {
            Ok(sessions.count(tenant.as_ref()).await?)
        })
    }

    fn measure(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.read(py, async |sessions: SessionManager| {
            Ok(sessions.measure().await?)
        })
    }

    fn purge_tenant(&self, py: Python<'_>, tenant: Whose) -> PyResult<Operation> {
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(sessions.purge_tenant(&tenant.0).await?)
        })
    }

    fn purge_user(&self, py: Python<'_>, user: String) -> PyResult<Operation> {
        self.0.finish(py, async move |sessions: SessionManager| {
            Ok(sessions.purge_user(&user).await?)
        })
    }
}
