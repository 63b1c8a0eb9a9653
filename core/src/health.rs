//! Whether the servers answer, in the shapes that dashboards and load balancers of the product already read.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The answer of [`Posada::health`](crate::Posada::health).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Postgres, or the memory that stands for it.
    pub postgres: Check,
    /// Redis, or the memory that stands for it.
    pub redis: Check,
    /// When the servers were asked.
    pub timestamp: DateTime<Utc>,
}

/// Whether one server answered within its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It answered.
    Ok,
    /// It did not; the code of the error says why.
    Error(&'static str),
}

impl Health {
    /// Whether everything answered.
    pub fn is_healthy(&self) -> bool {
        self.postgres == Check::Ok && self.redis == Check::Ok
    }

    /// `{"status":"healthy","postgres":"ok","redis":"ok","timestamp":"…"}`; a failed server shows `"error"`.
    pub fn to_json(&self) -> Value {
        json!({
            "status": if self.is_healthy() { "healthy" } else { "unhealthy" },
            "postgres": self.postgres.to_string(),
            "redis": self.redis.to_string(),
            "timestamp": self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, false),
        })
    }

    /// `{"ready":true,"checks":{"database":true,"redis":true,"pms":true},"timestamp":"…"}`, as the app in
    /// production serves it at `/health/ready`. The PMS is not asked, as there by default.
    pub fn to_readiness_json(&self) -> Value {
        json!({
            "ready": self.is_healthy(),
            "checks": {
                "database": self.postgres == Check::Ok,
                "redis": self.redis == Check::Ok,
                "pms": true,
            },
            "timestamp": self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, false),
        })
    }
}

impl From<Result<()>> for Check {
    fn from(outcome: Result<(), Error>) -> Self {
        outcome.map_or_else(|error| Self::Error(error.code()), |()| Self::Ok)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Error(_) => "error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;

    #[test]
    fn a_healthy_answer_has_the_shape_of_the_setup_guide() {
        let health = Health {
            postgres: Check::Ok,
            redis: Check::Ok,
            timestamp: DateTime::UNIX_EPOCH,
        };
        assert_eq!(
            health.to_json().to_string(),
            r#"{"postgres":"ok","redis":"ok","status":"healthy","timestamp":"1970-01-01T00:00:00.000000+00:00"}"#
        );
    }

    #[test]
    fn one_failed_server_makes_it_unhealthy_and_not_ready() {
        let failed = Check::from(Err(Error::new(codes::REDIS_TIMEOUT, "silence")));
        let health = Health {
            postgres: Check::Ok,
            redis: failed,
            timestamp: DateTime::UNIX_EPOCH,
        };
        assert_eq!(health.to_json()["status"], "unhealthy");
        assert_eq!(health.to_json()["redis"], "error");
        assert_eq!(health.to_readiness_json()["checks"]["redis"], false);
        assert_eq!(health.redis, Check::Error("redis.timeout"));
    }
}
