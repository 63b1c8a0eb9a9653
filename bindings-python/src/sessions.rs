//! `posada.sessions`. Documents cross as JSON.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use posada::SessionManager;
use posada::error::codes;
use posada::sessions::{Json, Session, Turn};
use pyo3::prelude::*;

use crate::arguments::{Given, Whose, any_text, id_of, text, text_or};
use crate::bridge::{Operation, ProcessBound};
use crate::errors::Refusal;
use crate::handle::Handle;
use crate::json;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Sessions(pub(crate) ProcessBound<SessionManager>);

/// A conversation as it was read: the document, as JSON, and what `save` compares with.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct SessionState {
    /// Without its document if the text is there.
    session: Session,
    text: OnceLock<String>,
    channel: Option<String>,
    last_activity: Option<String>,
}

impl SessionState {
    /// What was read, or made of what was read. Writes its text on the thread that read it, and gives the document
    /// back there: the event loop's has more to do.
    fn read(session: Session) -> Self {
        let mut state = Self::saved(session);
        let document = std::mem::take(&mut state.session.document);
        state.text = document.to_text().into();
        state
    }

    /// What Python has stored. It has the document, so hardly anybody asks for the text.
    fn saved(session: Session) -> Self {
        let last_activity = session.document.get("last_activity").and_then(Json::as_str);
        Self {
            text: OnceLock::new(),
            channel: session.channel().map(str::to_owned),
            last_activity: last_activity.map(str::to_owned),
            session,
        }
    }
}

#[pymethods]
impl SessionState {
    #[getter]
    fn id(&self) -> &str {
        self.session.id()
    }

    #[getter]
    fn user(&self) -> &str {
        self.session.user()
    }

    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.session.tenant().map(posada::TenantId::as_str)
    }

    #[getter]
    fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    #[getter]
    fn expires(&self) -> Option<DateTime<Utc>> {
        self.session.expires()
    }

    #[getter]
    fn is_new(&self) -> bool {
        self.session.is_new()
    }

    /// The member of the document that `save` sets.
    #[getter]
    fn last_activity(&self) -> Option<&str> {
        self.last_activity.as_deref()
    }

    /// The document as JSON.
    fn text(&self) -> &str {
        self.text.get_or_init(|| self.session.document.to_text())
    }

    /// The document as Python's own objects, made anew by every call, and its numbers that keep their digits.
    fn document<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
        json::read(py, self.text())
    }
}

fn user_of<'a>(given: Given<'a, '_>) -> PyResult<&'a str> {
    text_or(codes::SESSIONS_INVALID_USER, "user", given)
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
        user: Given<'_, '_>,
        channel: Given<'_, '_>,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let (user, channel) = (user_of(user)?.to_owned(), text("channel", channel)?.to_owned());
        let tenant = id_of(tenant);
        self.0.call(py, async move |sessions: SessionManager| {
            let session = sessions.get_or_create(tenant.as_ref(), &user, &channel).await?;
            Ok(SessionState::read(session))
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn get(&self, py: Python<'_>, user: Given<'_, '_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let (user, tenant) = (user_of(user)?.to_owned(), id_of(tenant));
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions
                .get(tenant.as_ref(), &user)
                .await?
                .map(SessionState::read))
        })
    }

    /// Answers the state after the write. `spelled` are the numbers that `document` of this conversation told of.
    #[pyo3(signature = (session, document, spelled=None))]
    fn save(
        &self,
        py: Python<'_>,
        session: &SessionState,
        document: &Bound<'_, PyAny>,
        spelled: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Operation> {
        let spelled = spelled.map(json::Spelled::new).transpose()?;
        let document = json::write_document(document, spelled.as_ref())?;
        let mut session = session.session.clone();
        session.document = document;
        self.0.call(py, async move |sessions: SessionManager| {
            sessions.save(&mut session).await?;
            Ok(SessionState::saved(session))
        })
    }

    #[pyo3(signature = (user, patch, tenant=None))]
    fn update(
        &self,
        py: Python<'_>,
        user: Given<'_, '_>,
        patch: &Bound<'_, PyAny>,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let patch = Json::parse(json::write("patch", patch)?).map_err(Refusal::from)?;
        let (user, tenant) = (user_of(user)?.to_owned(), id_of(tenant));
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(SessionState::read(
                sessions.update(tenant.as_ref(), &user, &patch).await?,
            ))
        })
    }

    #[pyo3(signature = (user, role, content, id=None, at=None, more=None, tenant=None))]
    #[allow(clippy::too_many_arguments, reason = "Python names them")]
    fn append_turn(
        &self,
        py: Python<'_>,
        user: Given<'_, '_>,
        role: String,
        content: Given<'_, '_>,
        id: Option<String>,
        at: Option<DateTime<Utc>>,
        more: Option<&Bound<'_, PyAny>>,
        tenant: Option<Whose>,
    ) -> PyResult<Operation> {
        let (user, tenant) = (user_of(user)?.to_owned(), id_of(tenant));
        let mut turn = Turn::new(role, any_text("content", content)?);
        if let Some(id) = id {
            turn = turn.id(id);
        }
        if let Some(at) = at {
            turn = turn.at(at);
        }
        if let Some(more) = more {
            let more = Json::parse(json::write("more", more)?).map_err(Refusal::from)?;
            for (key, value) in more
                .as_object()
                .into_iter()
                .flat_map(posada::sessions::JsonObject::iter)
            {
                turn = turn.with(key.clone(), value.clone());
            }
        }
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(SessionState::read(
                sessions.append_turn(tenant.as_ref(), &user, turn).await?,
            ))
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn touch(&self, py: Python<'_>, user: Given<'_, '_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let (user, tenant) = (user_of(user)?.to_owned(), id_of(tenant));
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions.touch(tenant.as_ref(), &user).await?)
        })
    }

    #[pyo3(signature = (user, tenant=None))]
    fn delete(&self, py: Python<'_>, user: Given<'_, '_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let (user, tenant) = (user_of(user)?.to_owned(), id_of(tenant));
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions.delete(tenant.as_ref(), &user).await?)
        })
    }

    /// Pairs of user and end.
    #[pyo3(signature = (tenant=None))]
    fn list(&self, py: Python<'_>, tenant: Option<Whose>) -> PyResult<Operation> {
        let tenant = id_of(tenant);
        self.0.call(py, async move |sessions: SessionManager| {
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
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions.count(tenant.as_ref()).await?)
        })
    }

    fn measure(&self, py: Python<'_>) -> PyResult<Operation> {
        self.0.call(py, async |sessions: SessionManager| {
            Ok(sessions.measure().await?)
        })
    }

    fn purge_tenant(&self, py: Python<'_>, tenant: Whose) -> PyResult<Operation> {
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions.purge_tenant(&tenant.0).await?)
        })
    }

    fn purge_user(&self, py: Python<'_>, user: Given<'_, '_>) -> PyResult<Operation> {
        let user = user_of(user)?.to_owned();
        self.0.call(py, async move |sessions: SessionManager| {
            Ok(sessions.purge_user(&user).await?)
        })
    }
}
