//! `posada.Settings`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use posada::settings::{
    Environment, OptionSource, Pooling, RedisTopology, SettingValue, Store, TlsMode, Variable,
};
use posada::{Settings as CoreSettings, TenantId};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Span, Switch, Whose, path, text, whole};
use crate::errors::Refusal;

/// Where the servers are and how to behave. Shows no secret.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Settings(pub(crate) CoreSettings);

/// Host, port, database, whether it is encrypted, user and password.
type RedisServer = (String, u16, i64, bool, Option<String>, Option<String>, TlsFiles);

/// Root certificates, certificate and key.
type TlsFiles = (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>);

/// The value that Python gives for an option, read as what the table of settings says it is.
struct Given<'a, 'py>(&'a Bound<'py, PyAny>);

impl Given<'_, '_> {
    fn parsed<T: FromStr<Err = posada::Error>>(&self, name: &str) -> PyResult<T> {
        Ok(text(name, self.0)?.parse().map_err(Refusal::from)?)
    }
}

impl OptionSource for Given<'_, '_> {
    type Error = PyErr;

    fn whole(&self, name: &'static str) -> PyResult<u32> {
        whole(name, self.0)
    }

    fn id(&self, name: &'static str) -> PyResult<u64> {
        whole(name, self.0)
    }

    fn time(&self, name: &'static str) -> PyResult<Duration> {
        Span::read(name, self.0)
    }

    fn yes_or_no(&self, name: &'static str) -> PyResult<bool> {
        self.0.extract::<Switch>()?.read(name, self.0.py())
    }

    fn secret(&self, name: &'static str) -> PyResult<String> {
        text(name, self.0).map(Into::into)
    }

    fn path(&self, name: &'static str) -> PyResult<PathBuf> {
        path(name, self.0)
    }

    fn environment(&self, name: &'static str) -> PyResult<Environment> {
        self.parsed(name)
    }

    fn tls(&self, name: &'static str) -> PyResult<TlsMode> {
        self.parsed(name)
    }

    fn tenant(&self, name: &'static str) -> PyResult<TenantId> {
        Whose::read(name, self.0)
    }
}

#[pymethods]
impl Settings {
    #[staticmethod]
    fn embedded() -> Self {
        Self(CoreSettings::embedded())
    }

    #[staticmethod]
    fn from_env() -> PyResult<Self> {
        Ok(Self(CoreSettings::from_env().map_err(Refusal::from)?))
    }

    #[staticmethod]
    fn from_vars(variables: BTreeMap<String, String>) -> PyResult<Self> {
        Ok(Self(CoreSettings::from_vars(variables).map_err(Refusal::from)?))
    }

    /// Options by name; `pms_qloapps` is a pair of address and key, `postgres_pooler` is `session` or `transaction`.
    #[staticmethod]
    fn build(
        options: &Bound<'_, PyDict>,
        pms_qloapps: Option<[String; 2]>,
        postgres_pooler: Option<&str>,
        variables: BTreeMap<String, String>,
    ) -> PyResult<Self> {
        let mut builder = CoreSettings::builder().vars(variables).map_err(Refusal::from)?;
        for (name, value) in options {
            let name: String = name.extract()?;
            let unknown = || pyo3::exceptions::PyTypeError::new_err(format!("unknown option {name:?}"));
            builder = builder.option(&name, &Given(&value))?.ok_or_else(unknown)?;
        }
        if let Some([url, key]) = pms_qloapps {
            builder = builder.pms_qloapps(url, key);
        }
        builder = match postgres_pooler {
            None => builder,
            Some("session") => builder.postgres_pooler(Pooling::Session),
            Some("transaction") => builder.postgres_pooler(Pooling::Transaction),
            Some(other) => {
                return Err(Refusal::invalid(
                    posada::error::codes::SETTINGS_INVALID,
                    "postgres_pooler",
                    format!("expected session or transaction, not {other:?}"),
                )
                .into());
            }
        };
        Ok(Self(builder.build().map_err(Refusal::from)?))
    }

    #[getter]
    fn environment(&self) -> &'static str {
        self.0.environment().as_str()
    }

    /// The one server of Redis with user, password and certificates, for a client of another make; `None` when it is a
    /// cluster, a Sentinel group or memory. A host that begins with a slash is a socket.
    fn redis_server(&self) -> Option<RedisServer> {
        let Store::Server(redis) = self.0.redis() else {
            return None;
        };
        let RedisTopology::Single(node) = &redis.topology else {
            return None;
        };
        Some((
            node.host.clone(),
            node.port,
            redis.database,
            redis.tls,
            redis.username.clone(),
            redis
                .password
                .as_ref()
                .map(|password| password.expose().to_owned()),
            (
                redis.root_certificate.clone(),
                redis
                    .client_certificate
                    .as_ref()
                    .map(|client| client.certificate.clone()),
                redis.client_certificate.as_ref().map(|client| client.key.clone()),
            ),
        ))
    }

    #[getter]
    fn default_tenant(&self) -> Option<&str> {
        self.0.default_tenant().map(TenantId::as_str)
    }

    #[getter]
    fn snapshot_dir(&self) -> Option<PathBuf> {
        self.0.snapshot_dir().map(Into::into)
    }

    /// A time that says how posada behaves, by the name of its getter.
    fn time(&self, name: &str) -> PyResult<Duration> {
        match self.0.value(name) {
            Some(SettingValue::Time(time)) => Ok(time),
            _ => Err(PyAttributeError::new_err(name.to_owned())),
        }
    }

    /// A number that does.
    fn whole(&self, name: &str) -> PyResult<u32> {
        match self.0.value(name) {
            Some(SettingValue::Whole(number)) => Ok(number),
            _ => Err(PyAttributeError::new_err(name.to_owned())),
        }
    }

    #[getter]
    fn service_variables(&self) -> Vec<String> {
        self.0.service_variables().to_vec()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Every variable that `from_env` reads: name, meaning, default.
#[pyfunction]
pub(crate) fn variables() -> Vec<(&'static str, &'static str, &'static str)> {
    Variable::ALL
        .iter()
        .map(|variable| (variable.name, variable.what, variable.default))
        .collect()
}
