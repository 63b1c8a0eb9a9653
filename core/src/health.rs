//! Whether the servers answer, and what can be served without those that do not, in the shapes that dashboards and load
//! balancers of the product already read.
//!
//! A probe of a load balancer waits for a second, so the answer comes within 750 milliseconds, however long the servers
//! are silent. Guests are served without Postgres as long as their hotels are known, so then the process stays ready.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::Posada;
//!
//! let posada = Posada::embedded();
//! let health = posada.health().await;
//! assert!(health.is_healthy() && health.is_ready()); // 200 for `/health/ready`, 503 otherwise
//! assert!(health.to_json().starts_with(r#"{"status":"healthy","postgres":"ok","redis":"ok","timestamp":"#));
//! # posada.close().await
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::{Code, Error, Result};
use crate::metrics as names;
use crate::sync::lock;
use crate::task::Tasks;

/// The longest time that a probe waits for one server.
pub(crate) const DEADLINE: Duration = Duration::from_millis(750);

/// The answer of [`Posada::health`](crate::Posada::health).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Health {
    /// Postgres, or the memory that stands for it.
    pub postgres: Check,
    /// Redis, or the memory that stands for it: whether it answers, and takes writes.
    pub redis: Check,
    /// Whether there are hotels whose guests resolve without Postgres, from memory or the snapshot on disk.
    pub knows_hotels: bool,
    /// When the servers were asked.
    pub timestamp: DateTime<Utc>,
}

/// Whether one server answered in time.
#[derive(Debug, Clone, PartialEq, Eq, Copy, Hash)]
pub enum Check {
    /// It answered.
    Ok,
    /// It did not, or refuses to work; the code of the error says why.
    Error(&'static str),
}

impl Health {
    /// Whether everything answered.
    pub fn is_healthy(&self) -> bool {
        self.postgres == Check::Ok && self.redis == Check::Ok
    }

    /// Whether guests can be served: Redis takes writes, and their hotels are found, in Postgres or without it. No user
    /// can sign in meanwhile if Postgres is down. A load balancer that goes by this keeps a process that can book.
    pub fn is_ready(&self) -> bool {
        self.redis == Check::Ok && (self.postgres == Check::Ok || self.knows_hotels)
    }

    /// `healthy`; `degraded` when something did not answer and guests are served all the same; `unhealthy`.
    pub fn status(&self) -> &'static str {
        match (self.is_healthy(), self.is_ready()) {
            (true, _) => "healthy",
            (false, true) => "degraded",
            (false, false) => "unhealthy",
        }
    }

    /// `{"status":"healthy","postgres":"ok","redis":"ok","timestamp":"…"}`; a failed server shows `"error"`.
    pub fn to_json(&self) -> String {
        text(self)
    }

    /// `{"ready":true,"checks":{"database":true,"redis":true,"pms":true},"serves":{"guests":true,"sign_in":true},
    /// "timestamp":"…"}`, as the app in production serves it at `/health/ready`, and what can be served. The PMS is not
    /// asked, as there by default.
    pub fn to_readiness_json(&self) -> String {
        #[derive(Serialize)]
        struct Shape {
            ready: bool,
            checks: Checks,
            serves: Serves,
            timestamp: String,
        }
        #[derive(Serialize)]
        struct Checks {
            database: bool,
            redis: bool,
            pms: bool,
        }
        #[derive(Serialize)]
        struct Serves {
            guests: bool,
            sign_in: bool,
        }
        let database = self.postgres == Check::Ok;
        text(&Shape {
            ready: self.is_ready(),
            checks: Checks {
                database,
                redis: self.redis == Check::Ok,
                pms: true,
            },
            serves: Serves {
                guests: self.is_ready(),
                sign_in: database,
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
        metrics::gauge!(names::READINESS_UP).set(up(self.is_ready()));
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

/// The question to one server. A caller that asks while it is under way waits for the same answer, so that probes of a
/// server that is silent do not take a connection each.
#[derive(Debug, Default)]
pub(crate) struct SharedProbe {
    under_way: Mutex<Option<watch::Receiver<Option<Check>>>>,
}

impl SharedProbe {
    /// The answer, or an error of this code when it does not come in time. Cancel-safe: the question ends by itself.
    pub(crate) async fn probe<F>(
        &self,
        tasks: &Tasks,
        within: Duration,
        late: Code,
        ask: impl FnOnce() -> F,
    ) -> Check
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut answer = self.question(tasks, ask);
        let outcome = timeout(within, answer.wait_for(Option::is_some)).await;
        match outcome {
            Ok(Ok(check)) => check.unwrap_or(Check::Error(late.name)),
            Ok(Err(_)) | Err(_) => Check::Error(late.name),
        }
    }

    fn question<F>(&self, tasks: &Tasks, ask: impl FnOnce() -> F) -> watch::Receiver<Option<Check>>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        let joined = under_way
            .as_ref()
            .filter(|answer| answer.borrow().is_none() && answer.has_changed().is_ok());
        if let Some(answer) = joined {
            return answer.clone();
        }
        let (done, answer) = watch::channel(None);
        *under_way = Some(answer.clone());
        let question = ask();
        tasks.in_background(async move {
            done.send_replace(Some(question.await.into()));
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::error::codes;

    #[test]
    fn a_healthy_answer_has_the_shape_of_the_setup_guide() {
        let health = Health {
            postgres: Check::Ok,
            redis: Check::Ok,
            knows_hotels: false,
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
            knows_hotels: true,
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

        let prometheus = crate::metrics::Prometheus::default();
        metrics::with_local_recorder(&prometheus, || health.show());
        let page = prometheus.render();
        assert!(page.contains("dependency_up{name=\"database\"} 1\ndependency_up{name=\"redis\"} 0\n"));
        assert!(page.contains("readiness_up 0\n"));
    }

    #[test]
    fn without_postgres_guests_of_known_hotels_are_served_and_nobody_signs_in() {
        let mut health = Health {
            postgres: Check::Error("postgres.unavailable"),
            redis: Check::Ok,
            knows_hotels: true,
            timestamp: DateTime::UNIX_EPOCH,
        };
        assert!(health.is_ready() && !health.is_healthy());
        assert!(
            health
                .to_json()
                .starts_with(r#"{"status":"degraded","postgres":"error","redis":"ok","#)
        );
        assert!(health.to_readiness_json().starts_with(
            r#"{"ready":true,"checks":{"database":false,"redis":true,"pms":true},"serves":{"guests":true,"sign_in":false},"#
        ));
        health.knows_hotels = false;
        assert!(!health.is_ready());
        assert_eq!(health.status(), "unhealthy");
    }

    #[tokio::test]
    async fn probes_of_a_silent_server_end_in_time_and_share_one_question() {
        let (tasks, probe, asked) = (Tasks::new(), SharedProbe::default(), Arc::new(AtomicU32::new(0)));
        let thaw = Arc::new(Notify::new());
        let ask = || {
            asked.fetch_add(1, Ordering::Relaxed);
            let thaw = thaw.clone();
            async move {
                thaw.notified().await;
                Ok(())
            }
        };
        for _ in 0..3 {
            let check = probe
                .probe(&tasks, Duration::ZERO, codes::POSTGRES_TIMEOUT, ask)
                .await;
            assert_eq!(check, Check::Error("postgres.timeout"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        for _ in 0..2 {
            thaw.notify_one();
            let check = probe
                .probe(&tasks, Duration::from_mins(1), codes::POSTGRES_TIMEOUT, ask)
                .await;
            assert_eq!(check, Check::Ok);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
