//! The doctor: walks through everything that usually is wrong with an installation, and names the remedy.
//!
//! * What can be told from the settings needs no server; everything else is asked for real, at the same time.
//! * A server that is down is a finding. The doctor itself never fails, and each examination ends in time.
//! * It writes nothing, may be asked again and again, and shows no secret.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> posada::Result<()> {
//! use posada::doctor::{Diagnosis, Severity};
//! use posada::{Posada, Settings};
//!
//! let diagnosis = Diagnosis::of(Ok(Settings::embedded())).await; // of a program: `posada.doctor()`
//! assert_eq!(diagnosis.severity(), Severity::Warning);
//! for finding in diagnosis.findings.iter().filter(|finding| finding.severity > Severity::Ok) {
//!     println!("{}: {} {}", finding.code, finding.seen, finding.remedy.as_deref().unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```

mod clocks;
mod codes;
mod model;
mod pms;
#[cfg_attr(not(feature = "postgres"), path = "no_postgres.rs")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_refusals;
#[cfg(feature = "postgres")]
mod postgres_rights;
mod redis;
mod redis_settings;
mod refusal;
mod settings;

use std::future::Future;
use std::time::Duration;

use crate::Posada;
use crate::backends::postgres::Postgres;
use crate::backends::redis::Redis;
use crate::clock::{Clock as _, SharedClock, SystemClock};
use crate::error::{Error, Result};
use crate::pms::PmsClient;
use crate::settings::{PmsSettings, QloAppsSettings, Settings, Store};

pub use model::{Diagnosis, Finding, Severity};

/// The longest time for one server.
const LONGEST: Duration = Duration::from_secs(15);

/// What is examined.
pub(crate) struct Target<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) postgres: Option<&'a Postgres>,
    pub(crate) redis: Option<&'a Redis>,
    pub(crate) pms: &'a PmsClient,
    pub(crate) is_pms_given: bool,
    pub(crate) clock: &'a SharedClock,
}

impl<'a> Target<'a> {
    fn bookings(&self) -> Bookings<'a> {
        match self.settings.pms() {
            _ if self.pms.is_mock() => Bookings::Mock,
            PmsSettings::QloApps(server) if !self.is_pms_given => Bookings::QloApps(server),
            _ => Bookings::Custom,
        }
    }
}

/// Where bookings go.
#[derive(Debug, Clone, Copy)]
enum Bookings<'a> {
    /// Nowhere.
    Mock,
    /// To the server of the settings.
    QloApps(&'a QloAppsSettings),
    /// To a system of the program's own, whatever the settings say.
    Custom,
}

impl Diagnosis {
    /// Examines the installation that the variables of this process describe, without a handle: also when the
    /// settings cannot be used, which is a finding then. Never fails; cancel-safe.
    pub async fn from_env() -> Self {
        Self::of(Settings::from_env()).await
    }

    /// Examines the installation that settings describe, if they could be made.
    pub async fn of(settings: Result<Settings>) -> Self {
        let built = settings.and_then(|settings| Posada::builder().settings(settings).build());
        match built {
            Ok(posada) => {
                let diagnosis = posada.doctor().await;
                // Nothing of it is under way, so nothing is waited for.
                drop(posada.close().await);
                diagnosis
            }
            Err(error) => Self::new(vec![refused(&error)], SystemClock.now()),
        }
    }
}

/// Why there is nothing to examine.
fn refused(error: &Error) -> Finding {
    Finding::error(
        codes::SETTINGS,
        format!("{error}."),
        "Correct the setting; SETTINGS.md has all of them with their meaning.",
    )
}

/// Examines everything. Cancel-safe.
pub(crate) async fn examine(target: Target<'_>) -> Diagnosis {
    let began = target.clock.now();
    let of_postgres = in_time(
        async {
            match (target.postgres, target.settings.postgres()) {
                (Some(postgres), Store::Server(settings)) => postgres::examine(postgres, settings).await,
                _ => Vec::new(),
            }
        },
        codes::POSTGRES_UNREACHABLE,
        LONGEST,
    );
    let of_redis = in_time(
        async {
            match (target.redis, target.settings.redis()) {
                (Some(redis), Store::Server(settings)) => {
                    let environment = target.settings.environment();
                    redis::examine(redis, settings, environment, target.clock).await
                }
                _ => Vec::new(),
            }
        },
        codes::REDIS_UNREACHABLE,
        LONGEST,
    );
    let of_pms = in_time(
        async {
            match target.bookings() {
                Bookings::Mock => Vec::new(),
                Bookings::QloApps(server) => pms::examine_qloapps(target.pms, server).await,
                Bookings::Custom => pms::examine_custom(target.pms).await,
            }
        },
        codes::PMS_UNREACHABLE,
        LONGEST,
    );
    let (of_postgres, of_redis, of_pms) = tokio::join!(of_postgres, of_redis, of_pms);
    let findings = [
        settings::examine(target.settings, target.bookings()),
        of_postgres,
        of_redis,
        of_pms,
    ];
    Diagnosis::new(findings.concat(), began)
}

/// Gives up an examination that takes too long.
async fn in_time(
    work: impl Future<Output = Vec<Finding>>,
    code: &'static str,
    longest: Duration,
) -> Vec<Finding> {
    tokio::time::timeout(longest, work).await.unwrap_or_else(|_| {
        vec![Finding::error(
            code,
            format!("There was no end to it within {} s.", longest.as_secs()),
            "Look at the server's load and at the network between.",
        )]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn in_memory_nothing_is_wrong_and_nothing_stays() {
        let posada = Posada::embedded();
        let diagnosis = posada.doctor().await;
        assert!(diagnosis.is_healthy(), "{diagnosis}");
        let warned: Vec<&str> = diagnosis
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .map(|finding| finding.code)
            .collect();
        assert_eq!(
            warned,
            [codes::POSTGRES_MEMORY, codes::REDIS_MEMORY, codes::PMS_MOCK]
        );
        assert_eq!(posada.doctor().await.findings, diagnosis.findings);
        posada.close().await.unwrap();
    }

    #[tokio::test]
    async fn settings_that_cannot_be_used_are_a_finding() {
        let vars = [
            ("ENVIRONMENT", "production"),
            ("SECRET_KEY", "changeme-in-production"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let diagnosis = Diagnosis::of(Settings::from_vars(vars)).await;
        let [finding] = diagnosis.findings.as_slice() else {
            panic!("{diagnosis}");
        };
        assert_eq!(
            (finding.code, finding.severity),
            (codes::SETTINGS, Severity::Error)
        );
        assert!(!diagnosis.to_string().contains("changeme-in"), "{diagnosis}");
    }

    #[tokio::test]
    async fn an_examination_without_an_end_is_given_up() {
        let findings = in_time(std::future::pending(), codes::REDIS_UNREACHABLE, Duration::ZERO).await;
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings.first().map(|finding| finding.code),
            Some(codes::REDIS_UNREACHABLE)
        );
    }
}
