//! `posada.Settings`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use posada::settings::{Environment, Pooling, RedisTopology, SettingsBuilder, Store, TlsMode, Variable};
use posada::{Settings as CoreSettings, TenantId};
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

/// One function per option, so that an option that Python gives is read as what it is.
type Option_ = fn(SettingsBuilder, &Bound<'_, PyAny>) -> PyResult<SettingsBuilder>;

/// The options by their names: those of the crate's builder.
fn option(name: &str) -> Option<Option_> {
    macro_rules! read {
        ($option:ident: $read:path) => {
            |builder, value| Ok(builder.$option($read(stringify!($option), value)?))
        };
    }
    macro_rules! parsed {
        ($option:ident: $type:ty) => {
            |builder, value| {
                let value: $type = text(stringify!($option), value)?
                    .parse()
                    .map_err(Refusal::from)?;
                Ok(builder.$option(value))
            }
        };
    }
    Some(match name {
        "environment" => parsed!(environment: Environment),
        "postgres_url" => read!(postgres_url: text),
        "postgres_pool_size" => read!(postgres_pool_size: whole),
        "postgres_max_overflow" => read!(postgres_max_overflow: whole),
        "postgres_sslmode" => parsed!(postgres_sslmode: TlsMode),
        "postgres_root_certificate" => read!(postgres_root_certificate: path),
        "postgres_acquire_timeout" => read!(postgres_acquire_timeout: Span::read),
        "postgres_statement_timeout" => read!(postgres_statement_timeout: Span::read),
        "use_supabase" => |builder, value| {
            let on = value.extract::<Switch>()?.read("use_supabase", value.py())?;
            Ok(builder.use_supabase(on))
        },
        "redis_url" => read!(redis_url: text),
        "redis_password" => read!(redis_password: text),
        "redis_connect_timeout" => read!(redis_connect_timeout: Span::read),
        "redis_command_timeout" => read!(redis_command_timeout: Span::read),
        "pms_hotel_id" => read!(pms_hotel_id: whole),
        "pms_timeout" => read!(pms_timeout: Span::read),
        "pms_availability_timeout" => read!(pms_availability_timeout: Span::read),
        "pms_booking_timeout" => read!(pms_booking_timeout: Span::read),
        "pms_max_concurrent" => read!(pms_max_concurrent: whole),
        "pms_max_rate" => read!(pms_max_rate: whole),
        "pms_breaker_failures" => read!(pms_breaker_failures: whole),
        "pms_breaker_pause" => read!(pms_breaker_pause: Span::read),
        "pms_availability_fresh" => read!(pms_availability_fresh: Span::read),
        "pms_room_types_fresh" => read!(pms_room_types_fresh: Span::read),
        "secret_key" => read!(secret_key: text),
        "jwt_expiry" => read!(jwt_expiry: Span::read),
        "default_tenant" => read!(default_tenant: Whose::read),
        "snapshot_dir" => read!(snapshot_dir: path),
        "session_ttl" => read!(session_ttl: Span::read),
        "tenant_cache_fresh" => read!(tenant_cache_fresh: Span::read),
        "tenant_cache_stale" => read!(tenant_cache_stale: Span::read),
        "tenant_cache_negative" => read!(tenant_cache_negative: Span::read),
        "flags_poll" => read!(flags_poll: Span::read),
        "hold_ttl" => read!(hold_ttl: Span::read),
        "hold_extension" => read!(hold_extension: Span::read),
        "hold_max_extensions" => read!(hold_max_extensions: whole),
        "close_deadline" => read!(close_deadline: Span::read),
        _ => return None,
    })
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
            let set = option(&name).ok_or_else(unknown)?;
            builder = set(builder, &value)?;
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

    #[getter]
    fn jwt_expiry(&self) -> Duration {
        self.0.jwt_expiry()
    }

    #[getter]
    fn session_ttl(&self) -> Duration {
        self.0.session_ttl()
    }

    #[getter]
    fn tenant_cache_fresh(&self) -> Duration {
        self.0.tenant_cache_fresh()
    }

    #[getter]
    fn tenant_cache_stale(&self) -> Duration {
        self.0.tenant_cache_stale()
    }

    #[getter]
    fn tenant_cache_negative(&self) -> Duration {
        self.0.tenant_cache_negative()
    }

    #[getter]
    fn flags_poll(&self) -> Duration {
        self.0.flags_poll()
    }

    #[getter]
    fn hold_ttl(&self) -> Duration {
        self.0.hold_ttl()
    }

    #[getter]
    fn hold_extension(&self) -> Duration {
        self.0.hold_extension()
    }

    #[getter]
    fn service_variables(&self) -> Vec<String> {
        self.0.service_variables().to_vec()
    }

    #[getter]
    fn hold_max_extensions(&self) -> u32 {
        self.0.hold_max_extensions()
    }

    #[getter]
    fn close_deadline(&self) -> Duration {
        self.0.close_deadline()
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
