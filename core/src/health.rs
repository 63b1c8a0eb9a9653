//! Whether the servers answer, in the shapes that dashboards and load balancers of the product already read.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::metrics as names;

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
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shape {
            status: &'static str,
            postgres: &'static str,
            redis: &'static str,
            timestamp: String,
        }
        text(&Shape {
            status: if self.is_healthy() { "healthy" } else { "unhealthy" },
            postgres: self.postgres.as_str(),
            redis: self.redis.as_str(),
            timestamp: self.time(),
        })
    }

    /// `{"ready":true,"checks":{"database":true,"redis":true,"pms":true},"timestamp":"…"}`, as the app in
    /// production serves it at `/health/ready`. The PMS is not asked, as there by default.
    pub fn to_readiness_json(&self) -> String {
        #[derive(Serialize)]
        struct Shape {
            ready: bool,
            checks: Checks,
            timestamp: String,
        }
        #[derive(Serialize)]
        struct Checks {
            database: bool,
            redis: bool,
            pms: bool,
        }
        text(&Shape {
            ready: self.is_healthy(),
            checks: Checks {
                database: self.postgres == Check::Ok,
                redis: self.redis == Check::Ok,
                pms: true,
            },
            timestamp: self.time(),
        })
    }

    /// Shows the answer as the gauges that the product's alerts watch.
    pub(crate) fn show(&self) {
        let up = |up: bool| if up { 1.0 } else { 0.0 };
        for (name, check) in [("database", &self.postgres), ("redis", &self.redis)] {
            metrics::gauge!(names::DEPENDENCY_UP, "name" => name).set(up(*check == Check::Ok));
        }
        metrics::gauge!(names::READINESS_UP).set(up(self.is_healthy()));
        let second = u32::try_from(self.timestamp.timestamp()).unwrap_or_default();
        metrics::gauge!(names::READINESS_LAST_CHECK_TIMESTAMP).set(f64::from(second));
    }

    fn time(&self) -> String {
        self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, false)
    }
}

/// Texts and booleans always have a JSON form.
fn text(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).unwrap_or_default()
}

impl Check {
    /// `ok` or `error`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error(_) => "error",
        }
    }
}

impl From<Result<()>> for Check {
    fn from(outcome: Result<(), Error>) -> Self {
        outcome.map_or_else(|error| Self::Error(error.code()), |()| Self::Ok)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
            health.to_json(),
            r#"{"status":"healthy","postgres":"ok","redis":"ok","timestamp":"1970-01-01T00:00:00.000000+00:00"}"#
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
        assert!(
            health
                .to_json()
                .starts_with(r#"{"status":"unhealthy","postgres":"ok","redis":"error","#)
        );
        assert!(
            health
                .to_readiness_json()
                .starts_with(r#"{"ready":false,"checks":{"database":true,"redis":false,"pms":true},"#)
        );
        assert_eq!(health.redis, Check::Error("redis.timeout"));

        let prometheus = crate::Prometheus::default();
        metrics::with_local_recorder(&prometheus, || health.show());
        let page = prometheus.render();
        assert!(page.contains("dependency_up{name=\"database\"} 1\ndependency_up{name=\"redis\"} 0\n"));
        assert!(page.contains("readiness_up 0\n"));
    }
}
