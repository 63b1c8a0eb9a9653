//! `posada.Settings`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use posada::settings::{Environment, Pooling, RedisTopology, SettingsBuilder, Store, TlsMode, Variable};
use posada::{Settings as CoreSettings, TenantId};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::Span;
use crate::errors::Refusal;

/// Where the servers are and how to behave. Shows no secret.
#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Settings(pub(crate) CoreSettings);

/// Host, port, database, whether it is encrypted, user and password.
type RedisServer = (String, u16, i64, bool, Option<String>, Option<String>);

/// One function per option, so that an option that Python gives is read as what it is.
type Option_ = fn(SettingsBuilder, &Bound<'_, PyAny>) -> PyResult<SettingsBuilder>;

/// The options by their names: those of the crate's builder.
fn option(name: &str) -> Option<Option_> {
    macro_rules! seconds {
        ($option:ident) => {
            |builder, value| Ok(builder.$option(value.extract::<Span>()?.0))
        };
    }
    macro_rules! plain {
        ($option:ident: $type:ty) => {
            |builder, value| Ok(builder.$option(value.extract::<$type>()?))
        };
    }
    macro_rules! parsed {
        ($option:ident: $type:ty) => {
            |builder, value| {
                let value: $type = value.extract::<&str>()?.parse().map_err(Refusal::from)?;
                Ok(builder.$option(value))
            }
        };
    }
    Some(match name {
        "environment" => parsed!(environment: Environment),
        "postgres_url" => plain!(postgres_url: String),
        "postgres_pool_size" => plain!(postgres_pool_size: u32),
        "postgres_max_overflow" => plain!(postgres_max_overflow: u32),
        "postgres_sslmode" => parsed!(postgres_sslmode: TlsMode),
        "postgres_root_certificate" => plain!(postgres_root_certificate: PathBuf),
        "postgres_acquire_timeout" => seconds!(postgres_acquire_timeout),
        "postgres_statement_timeout" => seconds!(postgres_statement_timeout),
        "use_supabase" => plain!(use_supabase: bool),
        "redis_url" => plain!(redis_url: String),
        "redis_password" => plain!(redis_password: String),
        "redis_connect_timeout" => seconds!(redis_connect_timeout),
        "redis_command_timeout" => seconds!(redis_command_timeout),
        "pms_hotel_id" => plain!(pms_hotel_id: u64),
        "pms_timeout" => seconds!(pms_timeout),
        "pms_availability_timeout" => seconds!(pms_availability_timeout),
        "pms_booking_timeout" => seconds!(pms_booking_timeout),
        "pms_max_concurrent" => plain!(pms_max_concurrent: u32),
        "pms_max_rate" => plain!(pms_max_rate: u32),
        "pms_breaker_failures" => plain!(pms_breaker_failures: u32),
        "pms_breaker_pause" => seconds!(pms_breaker_pause),
        "pms_availability_fresh" => seconds!(pms_availability_fresh),
        "pms_room_types_fresh" => seconds!(pms_room_types_fresh),
        "secret_key" => plain!(secret_key: String),
        "jwt_expiry" => seconds!(jwt_expiry),
        "default_tenant" => parsed!(default_tenant: TenantId),
        "snapshot_dir" => plain!(snapshot_dir: PathBuf),
        "session_ttl" => seconds!(session_ttl),
        "tenant_cache_fresh" => seconds!(tenant_cache_fresh),
        "tenant_cache_stale" => seconds!(tenant_cache_stale),
        "tenant_cache_negative" => seconds!(tenant_cache_negative),
        "flags_poll" => seconds!(flags_poll),
        "hold_ttl" => seconds!(hold_ttl),
        "hold_extension" => seconds!(hold_extension),
        "hold_max_extensions" => plain!(hold_max_extensions: u32),
        "close_deadline" => seconds!(close_deadline),
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
                    posada::codes::SETTINGS_INVALID,
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

    /// The one server of Redis with user and password, for a client of another make; `None` when it is a cluster, a
    /// Sentinel group or memory.
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
