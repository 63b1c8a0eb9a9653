//! The name of every metric, once. Names are public contract: dashboards and alerts use them.

/// Gauge: connections of the pool that are lent out.
pub(crate) const POSTGRES_CONNECTIONS_ACTIVE: &str = "postgres_connections_active";
/// Histogram, seconds, by `operation`: a statement or transaction from the caller's view, retries included.
pub(crate) const POSTGRES_QUERY_DURATION_SECONDS: &str = "postgres_query_duration_seconds";
/// Counter by `code`: calls that failed.
pub(crate) const POSTGRES_ERRORS_TOTAL: &str = "postgres_errors_total";
