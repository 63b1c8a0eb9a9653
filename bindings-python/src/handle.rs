//! The handle that Python holds, from which its services are taken.

use posada::{Posada, TenantId};
use posada_bindings::bridge::OpenHandle;
use pyo3::prelude::*;

use crate::auth::events::AuthEvents;
use crate::bridge::{ProcessBound, RuntimeHandle};
use crate::errors::Refusal;

/// Every service, on the servers of the settings or in memory.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Handle {
    pub(crate) posada: ProcessBound<Posada>,
    /// Its place among what is to be closed; a handle that is bound to a tenant has none.
    pub(crate) open: Option<OpenHandle>,
    pub(crate) events: AuthEvents,
}

impl Handle {
    pub(crate) fn new(posada: Posada, runtime: RuntimeHandle, events: AuthEvents) -> Self {
        let open = OpenHandle::note(&posada);
        Self {
            posada: ProcessBound::new(posada, runtime),
            open: Some(open),
            events,
        }
    }

    /// The tenant to which it is bound.
    pub(crate) fn bound_to(&self) -> Result<Option<TenantId>, Refusal> {
        Ok(self.posada.get()?.tenant().cloned())
    }

    pub(crate) fn scoped(&self, posada: Posada) -> Self {
        let events = self.events.of(posada.tenant());
        Self {
            posada: ProcessBound::new(posada, self.posada.runtime().clone()),
            open: None,
            events,
        }
    }

    /// One of the services, for as long as this process lives.
    pub(crate) fn keep<T>(&self, service: impl FnOnce(&Posada) -> T) -> PyResult<ProcessBound<T>> {
        let value = service(self.posada.get()?);
        Ok(ProcessBound::new(value, self.posada.runtime().clone()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let left = self.open.and_then(OpenHandle::forget);
        if !self.posada.runtime().is_alive() {
            std::mem::forget(left);
        }
    }
}
