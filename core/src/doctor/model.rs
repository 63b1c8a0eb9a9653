//! What the doctor found, for people and for programs.

use std::fmt;

use chrono::{DateTime, Utc};

use super::codes;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works now; under load, on another day or in production it may not.
    Warning,
    /// Something does not work, or is open to everybody.
    Error,
}

impl Severity {
    /// `ok`, `warning` or `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that the doctor looked at. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// The stable name of what was looked at, such as `postgres.session_port`; [`Diagnosis::CODES`] has all of them.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen, in a sentence.
    pub seen: String,
    /// What to do about it, in a sentence or two; `None` when nothing is to be done.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(code: &'static str, seen: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Ok,
            seen: seen.into(),
            remedy: None,
        }
    }

    pub(super) fn warning(code: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Warning,
            seen: seen.into(),
            remedy: Some(remedy.into()),
        }
    }

    pub(super) fn error(code: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            ..Self::warning(code, seen, remedy)
        }
    }

    pub(super) fn closed() -> Self {
        Self::error(
            codes::CLOSED,
            "This handle was closed.",
            "Ask a handle that is open.",
        )
    }

    /// The same finding, which is as bad as that.
    pub(super) fn rated(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {}: {}", self.severity, self.code, self.seen)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n         → {remedy}"),
            None => Ok(()),
        }
    }
}

/// The answer of [`Posada::doctor`](crate::Posada::doctor). `Display` is a report for people, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Everything that was looked at, the worst first.
    pub findings: Vec<Finding>,
    /// When the examination began.
    pub timestamp: DateTime<Utc>,
}

impl Diagnosis {
    /// Every code that a finding may have, and what it is about.
    pub const CODES: &'static [(&'static str, &'static str)] = codes::ALL;

    pub(super) fn new(mut findings: Vec<Finding>, timestamp: DateTime<Utc>) -> Self {
        // Stable, so that what belongs together stays together.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self { findings, timestamp }
    }

    /// The worst that was found.
    pub fn severity(&self) -> Severity {
        let severities = self.findings.iter().map(|finding| finding.severity);
        severities.max().unwrap_or(Severity::Ok)
    }

    /// Whether nothing is an error. There may be warnings.
    pub fn is_healthy(&self) -> bool {
        self.severity() < Severity::Error
    }

    /// The first finding with this code.
    pub fn finding(&self, code: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.code == code)
    }

    /// `{"severity":"error","timestamp":"…","findings":[{"code":"…","severity":"…","seen":"…","remedy":"…"}]}`; the
    /// remedy is `null` where nothing is to be done.
    pub fn to_json(&self) -> String {
        // Texts always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn count(&self, severity: Severity) -> usize {
        let alike = self
            .findings
            .iter()
            .filter(|finding| finding.severity == severity);
        alike.count()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let named = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        write!(
            f,
            "{}, {}, {} ok.",
            named(self.count(Severity::Error), "error"),
            named(self.count(Severity::Warning), "warning"),
            self.count(Severity::Ok)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let findings = vec![
            Finding::ok(codes::REDIS_VERSION, "Redis 7.0.15."),
            Finding::error(codes::TABLES, "There is no table tenants.", "Run the migrations."),
            Finding::warning(codes::EVICTION, "The policy is allkeys-lru.", "Set noeviction."),
        ];
        Diagnosis::new(findings, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_report_has_the_worst_first_and_counts_at_the_end() {
        assert_eq!(
            diagnosis().to_string(),
            "error    postgres.tables: There is no table tenants.\n         \
             → Run the migrations.\n\
             warning  redis.eviction: The policy is allkeys-lru.\n         \
             → Set noeviction.\n\
             ok       redis.version: Redis 7.0.15.\n\
             1 error, 1 warning, 1 ok."
        );
    }

    #[test]
    fn the_shape_for_programs_says_the_same() {
        let mut found = diagnosis();
        found.findings.truncate(1);
        assert_eq!(
            found.to_json(),
            r#"{"severity":"error","timestamp":"1970-01-01T00:00:00.000000+00:00","findings":[{"code":"postgres.tables","severity":"error","seen":"There is no table tenants.","remedy":"Run the migrations."}]}"#
        );
    }

    #[test]
    fn warnings_are_healthy_and_errors_are_not() {
        let mut found = diagnosis();
        assert!(!found.is_healthy());
        assert_eq!(
            found.finding("redis.eviction").map(|finding| finding.severity),
            Some(Severity::Warning)
        );
        found.findings.remove(0);
        assert_eq!((found.is_healthy(), found.severity()), (true, Severity::Warning));
        found.findings.clear();
        assert_eq!(found.severity(), Severity::Ok);
    }

    #[test]
    fn codes_are_unique_and_named_after_what_they_are_about() {
        let mut names: Vec<_> = Diagnosis::CODES.iter().map(|(code, _)| *code).collect();
        assert!(names.iter().all(|name| name.split('.').count() == 2));
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(before, names.len());
    }
}
