//! What posada counts, under the names that dashboards and alerts use, and [`Prometheus`], which shows it.
//!
//! posada counts through the facade of the crate `metrics`: install any of its exporters, or
//! [`Prometheus::install`] for a program that has none. The name of every metric stands here once.
//!
//! ```
//! use posada::metrics::Prometheus;
//!
//! let prometheus = Prometheus::install().expect("no other recorder is installed");
//! // … make a Posada, serve requests, and answer `GET /metrics` with:
//! let page = prometheus.render();
//! ```

mod prometheus;

pub use prometheus::Prometheus;

/// Gauge: connections of the pool that are lent out.
pub(crate) const POSTGRES_CONNECTIONS_ACTIVE: &str = "postgres_connections_active";
/// Histogram, seconds, by `operation`: a statement or transaction from the caller's view, retries included.
pub(crate) const POSTGRES_QUERY_DURATION_SECONDS: &str = "postgres_query_duration_seconds";
/// Counter by `code`: calls that failed.
pub(crate) const POSTGRES_ERRORS_TOTAL: &str = "postgres_errors_total";

/// Counter by `operation` (`authenticate`, `refresh_token`, `revoke_token`, `logout`) and `status` (`success` or the
/// code of the error): calls of sign-in.
pub(crate) const AUTH_OPERATIONS_TOTAL: &str = "auth_operations_total";
/// Histogram, seconds, by `operation`: calls of sign-in.
pub(crate) const AUTH_DURATION_SECONDS: &str = "auth_duration_seconds";
/// Counter: sign-ins that were judged and refused. The app's gauge of this name has a user's id; ours names no user.
pub(crate) const FAILED_LOGIN_ATTEMPTS_TOTAL: &str = "failed_login_attempts_total";
/// Gauge: live sessions of sign-in, under the name of the app's code and under that of its scheduler.
pub(crate) const ACTIVE_SESSIONS_TOTAL: &str = "active_sessions_total";
/// See [`ACTIVE_SESSIONS_TOTAL`].
pub(crate) const JWT_SESSIONS_ACTIVE: &str = "jwt_sessions_active";
/// Counter by `result` (`success` or the code of the error): changes of passwords.
pub(crate) const PASSWORD_ROTATIONS_TOTAL: &str = "password_rotations_total";

/// Gauge: live conversations of all tenants.
pub(crate) const SESSION_ACTIVE_TOTAL: &str = "session_active_total";
/// Counter by `reason`: conversations that ended by themselves (`ttl`).
pub(crate) const SESSION_EXPIRATIONS_TOTAL: &str = "session_expirations_total";
/// Counter by `operation` and `result` (`retry`, `success`, `failed`): writes that had to be repeated.
pub(crate) const SESSION_SAVE_RETRIES_TOTAL: &str = "session_save_retries_total";
/// Counter by `operation`: writes that met a conversation which another caller had written.
pub(crate) const SESSION_CONFLICTS_TOTAL: &str = "session_conflicts_total";

/// Gauge by `flag`: whether the global value is switched on, 1 or 0.
pub(crate) const FEATURE_FLAG_ENABLED: &str = "feature_flag_enabled";
/// Gauge, seconds: how long ago Redis last confirmed the flags.
pub(crate) const FLAGS_SNAPSHOT_AGE_SECONDS: &str = "flags_snapshot_age_seconds";
/// Counter by `result`: loads of the flags from Redis.
pub(crate) const FLAGS_RELOADS_TOTAL: &str = "flags_reloads_total";
/// Counter: flags that vanished from Redis without anybody having unset them, and are kept.
pub(crate) const FLAGS_LOST_TOTAL: &str = "flags_lost_total";

/// Counter by `operation` and `result`: calls of locks and holds.
pub(crate) const LOCK_OPERATIONS_TOTAL: &str = "lock_operations_total";
/// Counter by `room_id` (bounded): holds that were refused because of others.
pub(crate) const LOCK_CONFLICTS_TOTAL: &str = "lock_conflicts_total";
/// Counter by `result`: extensions of locks and holds.
pub(crate) const LOCK_EXTENSIONS_TOTAL: &str = "lock_extensions_total";
/// Histogram, seconds: from the call to the grant of a lock.
pub(crate) const LOCK_WAIT_SECONDS: &str = "lock_wait_seconds";
/// Histogram, seconds: from the grant of a lock to its release.
pub(crate) const LOCK_HOLD_SECONDS: &str = "lock_hold_seconds";
/// Counter by `cause`: locks that ended while their guard was alive.
pub(crate) const LOCK_LOST_TOTAL: &str = "lock_lost_total";
/// Counter: audit rows that could not be kept.
pub(crate) const LOCK_AUDIT_DROPPED: &str = "lock_audit_dropped_total";

/// Counter by `result` (`hit`, `miss_strict`, `default`, `suspended`, `ambiguous`, `error`): identifiers that
/// were resolved.
pub(crate) const TENANT_RESOLUTION_TOTAL: &str = "tenant_resolution_total";
/// Gauge: active tenants, as of the last list or refresh.
pub(crate) const TENANTS_ACTIVE_TOTAL: &str = "tenants_active_total";
/// Gauge: identifiers and tenants that the cache holds.
pub(crate) const TENANT_IDENTIFIERS_CACHED_TOTAL: &str = "tenant_identifiers_cached_total";
/// Histogram, seconds: a look-up in the store.
pub(crate) const TENANT_REFRESH_LATENCY_SECONDS: &str = "tenant_refresh_latency_seconds";
/// Counter: answers that were served although their time was over.
pub(crate) const TENANT_STALE_SERVED_TOTAL: &str = "tenant_stale_served_total";

/// Counter by `operation` (`generic`): questions to the PMS that a kept answer answered.
pub(crate) const PMS_CACHE_HITS_TOTAL: &str = "pms_cache_hits_total";
/// Counter by `operation` (`generic`): questions to the PMS that had to be asked.
pub(crate) const PMS_CACHE_MISSES_TOTAL: &str = "pms_cache_misses_total";
/// Gauge by `class` (`read`, `availability`, `write`): 1 while requests of that kind are held back, else 0.
pub(crate) const PMS_CIRCUIT_BREAKER_STATE: &str = "pms_circuit_breaker_state";
/// Counter by `operation` (`pms`): questions that were asked again.
pub(crate) const RETRY_ATTEMPTS_TOTAL: &str = "retry_attempts_total";

/// Gauge by `name` (`database`, `redis`): whether a server answered the last question for health, 1 or 0.
pub(crate) const DEPENDENCY_UP: &str = "dependency_up";
/// Gauge: whether all of them did, 1 or 0.
pub(crate) const READINESS_UP: &str = "readiness_up";
/// Gauge, seconds since 1970: when they were asked.
pub(crate) const READINESS_LAST_CHECK_TIMESTAMP: &str = "readiness_last_check_timestamp";

/// Counter by `method`, `endpoint` and `status_code`: requests that the program's own server has answered.
pub(crate) const HTTP_REQUESTS_TOTAL: &str = "http_requests_total";
/// Histogram, seconds, by `method` and `endpoint`: the same requests, from their arrival to the end of the answer.
pub(crate) const HTTP_REQUEST_DURATION_SECONDS: &str = "http_request_duration_seconds";
